//! Notes: what people write to times of a recording.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use crate::reader::{NOTE_COLUMNS, read_note};
use crate::{MAX_NOTES, NoteChange, NoteOutcome, NoteRow, NoteText, StoreError, UnixNanos};

impl Writer {
    /// Makes, changes or removes a note. One about a process needs the store to have that process.
    pub async fn change_note(
        &mut self,
        change: &NoteChange,
        now: UnixNanos,
    ) -> Result<NoteOutcome, StoreError> {
        let process = match change {
            NoteChange::Add(note_text) => note_text.process,
            NoteChange::Edit { edit, .. } => edit.process.flatten(),
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
    let (row, none) = match change {
        NoteChange::Add(note_text) => {
            let sql = "INSERT INTO note (process, from_at, to_at, text, author, made_at)
                SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM note) < ?7";
            (write(db, sql, note_text, now, MAX_NOTES as i64).await?, NoteOutcome::Full)
        }
        NoteChange::Edit { note, edit } => {
            // Read here, where no other edit can come between.
            let sql = format!("SELECT {NOTE_COLUMNS} FROM note WHERE id = ?");
            let before =
                sqlx::query(AssertSqlSafe(sql)).bind(note).fetch_optional(&mut *db).await?;
            let Some(before) = before else { return Ok(NoteOutcome::Unknown) };
            let mut note_text = read_note(&before)?.note_text;
            edit.apply(&mut note_text);
            let NoteText { from, to, .. } = note_text;
            if from > to {
                return Ok(NoteOutcome::Backwards { from, to });
            }
            let sql =
                "UPDATE note SET process = ?1, from_at = ?2, to_at = ?3, text = ?4, author = ?5,
                changed_at = ?6 WHERE id = ?7";
            (write(db, sql, &note_text, now, *note).await?, NoteOutcome::Unknown)
        }
        NoteChange::Remove { note } => {
            let sql = format!("DELETE FROM note WHERE id = ? RETURNING {NOTE_COLUMNS}");
            let row = sqlx::query(AssertSqlSafe(sql)).bind(note).fetch_optional(db).await?;
            (row.as_ref().map(read_note).transpose()?, NoteOutcome::Unknown)
        }
    };
    Ok(row.map_or(none, NoteOutcome::Done))
}

async fn write(
    db: &mut SqliteConnection,
    sql: &str,
    it: &NoteText,
    now: i64,
    last: i64,
) -> Result<Option<NoteRow>, sqlx::Error> {
    let row = sqlx::query(AssertSqlSafe(format!("{sql} RETURNING {NOTE_COLUMNS}")))
        .bind(it.process.map(|process| process.0))
        .bind(it.from.0)
        .bind(it.to.0)
        .bind(&it.text)
        .bind(&it.author)
        .bind(now)
        .bind(last)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read_note).transpose()
}
