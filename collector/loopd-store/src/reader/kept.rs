//! Until when polls of a process may be gone, of which nothing but their number is known.

use loopd_model::{RecordKind, TaskId, UnixNanos};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use crate::{ProcessKey, StoreError};

/// What retention removes next, of all lanes: what is gone ended no later.
const FIRST: &str = "SELECT end_at FROM segment INDEXED BY segment_by_time
    WHERE process = ?1 AND kind = ?2 ORDER BY end_at LIMIT 1";
/// The index holds the numbers.
const KEPT: &str = "SELECT count(*), ifnull(sum(spans), 0) FROM (
    SELECT spans FROM segment INDEXED BY segment_by_time WHERE process = ?1 AND kind = ?2 LIMIT ?3)";
/// So many segments are counted, some 16 million polls. Of a longer recording nobody tells whether its very
/// first polls are gone, and they are taken to be.
const MAX_SEGMENTS: i64 = 2_000;
const FIRST_POLL: &str = "SELECT first_poll_at FROM any_task WHERE process = ?1 AND task = ?2";
const STORED: &str = "SELECT stored FROM ledger_entry WHERE process = ?1 AND kind = ?2";

impl Reader {
    /// Until when polls that ended after `from` may be gone; `None` if all of them are kept.
    pub async fn polls_gone_until(
        &self,
        process: ProcessKey,
        from: UnixNanos,
    ) -> Result<Option<UnixNanos>, StoreError> {
        let read = move |db: &Connection| polls_gone_until(db, process.0, from.0);
        let until = self.raw.ask(read).await;
        Ok(until.map_err(StoreError::sqlite("read since when polls are kept"))?.map(UnixNanos))
    }
}

pub(super) fn polls_gone_until(
    db: &Connection,
    process: i64,
    from: i64,
) -> rusqlite::Result<Option<i64>> {
    let key = (process, RecordKind::Poll as i64);
    let first: Option<i64> = db.query_row(FIRST, key, |row| row.get(0)).optional()?;
    if first.is_some_and(|first| first <= from) {
        return Ok(None);
    }
    let all = (key.0, key.1, MAX_SEGMENTS + 1);
    let (segments, kept): (i64, i64) =
        db.query_row(KEPT, all, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if segments > MAX_SEGMENTS {
        return Ok(first);
    }
    let stored: Option<i64> = db.query_row(STORED, key, |row| row.get(0)).optional()?;
    Ok((kept < stored.unwrap_or(0)).then(|| first.unwrap_or(i64::MAX)))
}

/// The same of the polls of one task in a range, which has none before its first.
pub(super) fn task_polls_gone_until(
    db: &Connection,
    process: i64,
    task: TaskId,
    (from, to): (i64, i64),
) -> rusqlite::Result<Option<i64>> {
    let key = (process, task.0 as i64);
    let first: Option<Option<i64>> = db.query_row(FIRST_POLL, key, |row| row.get(0)).optional()?;
    let from = first.flatten().map_or(from, |first| first.max(from));
    let until = if from < to { polls_gone_until(db, process, from)? } else { None };
    Ok(until.map(|until| until.min(to)))
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [FIRST, KEPT];
