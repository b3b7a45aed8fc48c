//! Notes.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Answer, Db, Reader, instant};
use crate::{MAX_NOTES, NoteQuery, NoteRow, NoteText, ProcessKey, StoreError, UnixNanos};

pub(crate) const COLUMNS: &str = "id, process, from_at, to_at, text, author, made_at, changed_at";

impl Reader {
    /// Notes by time, and whether there are more than were asked for. None are in a file of an older loopd.
    pub async fn notes(&self, query: &NoteQuery) -> Result<(Vec<NoteRow>, bool), StoreError> {
        let limit = query.limit.min(MAX_NOTES);
        let read = async |db: &mut Db| {
            if !has_notes(db).await? {
                return Ok(Vec::new());
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM note
                 WHERE (?1 IS NULL OR process = ?1 OR process IS NULL) AND to_at >= ?2 AND from_at < ?3
                   AND (?4 IS NULL OR instr(lower(text), ?4) OR instr(lower(ifnull(author, '')), ?4))
                 ORDER BY from_at, id LIMIT ?5"
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(query.process.map(|process| process.0))
                .bind(query.from.map_or(i64::MIN, |at| at.0))
                .bind(query.to.map_or(i64::MAX, |at| at.0))
                .bind(query.contains.as_ref().map(|text| text.to_ascii_lowercase()))
                .bind(limit as i64 + 1)
                .fetch_all(&mut **db)
                .await?;
            rows.iter().map(note).collect::<Answer<Vec<_>>>()
        };
        let mut notes = self.ask("list notes", read).await?;
        let has_more = notes.len() > limit;
        notes.truncate(limit);
        Ok((notes, has_more))
    }

    /// One note; `None` if there is no such.
    pub async fn note(&self, id: i64) -> Result<Option<NoteRow>, StoreError> {
        let read = async |db: &mut Db| {
            if !has_notes(db).await? {
                return Ok(None);
            }
            let sql = format!("SELECT {COLUMNS} FROM note WHERE id = ?");
            let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut **db).await?;
            row.as_ref().map(note).transpose()
        };
        self.ask("read a note", read).await
    }
}

/// Files are read as they are: one of an older loopd has no such table.
async fn has_notes(db: &mut Db) -> Answer<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'note')";
    sqlx::query_scalar(sql).fetch_one(&mut **db).await
}

/// Reads [`COLUMNS`].
pub(crate) fn note(row: &SqliteRow) -> Answer<NoteRow> {
    Ok(NoteRow {
        note: row.try_get("id")?,
        note_text: NoteText {
            process: row.try_get::<Option<i64>, _>("process")?.map(ProcessKey),
            from: UnixNanos(row.try_get("from_at")?),
            to: UnixNanos(row.try_get("to_at")?),
            text: row.try_get("text")?,
            author: row.try_get("author")?,
        },
        made_at: UnixNanos(row.try_get("made_at")?),
        changed_at: instant(row, "changed_at")?,
    })
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection};

    use super::*;
    use crate::schema::migrations;
    use crate::{QueryError, QueryLimits};

    #[tokio::test]
    async fn a_file_of_an_older_loopd_has_no_notes_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut db = options.connect().await.unwrap();
        let steps = migrations::migrator();
        let first = steps.iter().filter(|step| step.version <= 23).cloned().collect();
        Migrator::with_migrations(first).run(&mut db).await.unwrap();
        db.close().await.unwrap();

        let reader = Reader::open(&path).await.unwrap();
        let query = NoteQuery { limit: 10, ..NoteQuery::default() };
        assert_eq!(reader.notes(&query).await.unwrap(), (Vec::new(), false));
        assert_eq!(reader.note(1).await.unwrap(), None);
        let error = reader.query("SELECT * FROM notes", QueryLimits::default()).await.unwrap_err();
        let QueryError::Refused { hint, .. } = error else { panic!("{error}") };
        assert!(hint.contains("open it once with `loopd serve"), "{hint}");
    }
}
