//! Notes: what people write to times of a recording.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use crate::reader::{NOTE_COLUMNS, read_note};
use crate::{MAX_NOTES, NoteChange, NoteOutcome, NoteText, StoreError, UnixNanos};

impl Writer {
    /// Makes, changes or removes a note. One about a process needs the store to have that process.
    pub async fn change_note(
        &mut self,
        change: &NoteChange,
        now: UnixNanos,
    ) -> Result<NoteOutcome, StoreError> {
        let process = match change {
            NoteChange::Add(note_text) | NoteChange::Edit { note_text, .. } => note_text.process,
            NoteChange::Remove { .. } => None,
        };
        if let Some(process) = process {
            self.know(process).await?;
        }
        let change = async |db: &mut SqliteConnection| change_in(db, change, now.0).await;
        let outcome = self.transact("change a note", change).await?;
        // Pages that show it are older now.
        self.publish([]);
        Ok(outcome)
    }
}

async fn change_in(
    db: &mut SqliteConnection,
    change: &NoteChange,
    now: i64,
) -> Result<NoteOutcome, sqlx::Error> {
    let none = || {
        if matches!(change, NoteChange::Add(_)) { NoteOutcome::Full } else { NoteOutcome::Unknown }
    };
    let (sql, note_text, last) = match change {
        NoteChange::Add(note_text) => (
            "INSERT INTO note (process, from_at, to_at, text, author, made_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM note) < ?7",
            Some(note_text),
            MAX_NOTES as i64,
        ),
        NoteChange::Edit { note, note_text } => (
            "UPDATE note SET process = ?1, from_at = ?2, to_at = ?3, text = ?4, author = ?5,
                changed_at = ?6 WHERE id = ?7",
            Some(note_text),
            *note,
        ),
        NoteChange::Remove { note } => ("DELETE FROM note WHERE id = ?7", None, *note),
    };
    let empty = NoteText::default();
    let it = note_text.unwrap_or(&empty);
    let sql = format!("{sql} RETURNING {NOTE_COLUMNS}");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(it.process.map(|process| process.0))
        .bind(it.from.0)
        .bind(it.to.0)
        .bind(&it.text)
        .bind(&it.author)
        .bind(now)
        .bind(last)
        .fetch_optional(db)
        .await?;
    match row {
        Some(row) => Ok(NoteOutcome::Done(read_note(&row)?)),
        None => Ok(none()),
    }
}
