//! Where tasks wait: a dump is numbered when it is asked for, and filled as the agent tells.

use loopd_model::{DumpId, UnixNanos};
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use super::apply::packed;
use super::digest::cut;
use super::words::word_id;
use crate::sql::packed_rows::PackedRows;
use crate::{ProcessKey, StoreError};

/// Of each process the latest so many are kept. They are taken by hand, and what one says is soon old.
pub(crate) const MAX_DUMPS: i64 = 20;

/// Longer reasons are cut.
const MAX_REASON: usize = 256;
/// Columns of a dumped task.
const WIDTH: usize = 8;
/// Where the word for what is awaited is in the row of a task.
const AWAITS: usize = 6;

/// The new rows.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    /// As in the table; what is awaited is a place in the commit's words.
    pub(super) tasks: Vec<[i64; WIDTH]>,
    pub(super) ends: Vec<DumpEnd>,
}

/// The end of a dump.
#[derive(Debug)]
pub(super) struct DumpEnd {
    pub(super) process: i64,
    pub(super) dump: i64,
    pub(super) at: i64,
    pub(super) tasks: i64,
    pub(super) left_out: i64,
    pub(super) reason: String,
}

/// What nobody asked for, and what is told of a dump that is no longer kept, goes nowhere.
const INSERT_TASKS: &str = "INSERT OR IGNORE INTO dumped_task
        (process, dump, task, awaits_task, at, stack, awaits, resource)
    SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM packed_rows(?, ?)
    WHERE EXISTS (SELECT 1 FROM task_dump d WHERE d.process = c0 AND d.dump = c1)";

const END: &str = "UPDATE task_dump SET ended_at = max(began_at, ?3), tasks = ?4, left_out = ?5,
        reason = ?6
    WHERE process = ?1 AND dump = ?2 AND ended_at IS NULL";

impl Dumps {
    /// Writes everything; `words` are the ids of the words of the commit.
    pub(super) async fn write(
        self,
        db: &mut SqliteConnection,
        words: &[i64],
    ) -> Result<(), sqlx::Error> {
        let mut tasks = PackedRows::new(WIDTH);
        for mut row in self.tasks {
            row[AWAITS] = word_id(words, row[AWAITS]);
            tasks.push(&row);
        }
        packed(db, INSERT_TASKS, tasks).await?;
        for end in self.ends {
            let query = sqlx::query(END).bind(end.process).bind(end.dump).bind(end.at);
            let query = query.bind(end.tasks).bind(end.left_out);
            query.bind(cut(&end.reason, MAX_REASON)).execute(&mut *db).await?;
        }
        Ok(())
    }
}

impl Writer {
    /// Makes room for a dump of a process that is about to be asked for, and gives its number: what an
    /// agent tells of it is kept from now on. The oldest goes if there are too many.
    pub async fn begin_dump(
        &mut self,
        process: ProcessKey,
        now: UnixNanos,
    ) -> Result<DumpId, StoreError> {
        self.know(process).await?;
        let begin = async |db: &mut SqliteConnection| begin(db, process.0, now.0).await;
        Ok(DumpId(self.transact("begin a dump", begin).await? as u64))
    }
}

async fn begin(db: &mut SqliteConnection, process: i64, now: i64) -> Result<i64, sqlx::Error> {
    let sql = "INSERT INTO task_dump (process, dump, began_at)
        SELECT ?1, coalesce(max(dump), 0) + 1, ?2 FROM task_dump WHERE process = ?1 RETURNING dump";
    let dump: i64 = sqlx::query_scalar(sql).bind(process).bind(now).fetch_one(&mut *db).await?;
    for sql in [
        "DELETE FROM dumped_task WHERE process = ? AND dump <= ?",
        "DELETE FROM task_dump WHERE process = ? AND dump <= ?",
    ] {
        sqlx::query(sql).bind(process).bind(dump - MAX_DUMPS).execute(&mut *db).await?;
    }
    Ok(dump)
}
