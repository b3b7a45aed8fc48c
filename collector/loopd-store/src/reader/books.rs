//! What was lost, the ledger, and the store as a whole.

use loopd_model::{DropCause, RecordKind, UnixNanos};
use rusqlite::Connection;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::bounds::SCALE;
use super::{Db, Reader, unsigned};
use crate::schema::migrations;
use crate::writer::wal_path;
use crate::{CauseRow, LedgerRow, LossRow, ProcessKey, StoreError, StoreStatus};

/// So many losses are given at most, the latest; the ledger has the sum of all.
const MAX_LOSSES: i64 = 10_000 / SCALE as i64;

/// Losses that end in a range overlap it; of those that end later the first that begin before its end
/// are looked for, as far as the longest loss could reach back.
const OVERLAPPING: &str = "SELECT * FROM (SELECT * FROM loss INDEXED BY loss_by_time
        WHERE process = ?1 AND to_at BETWEEN ?2 AND ?3 ORDER BY to_at DESC LIMIT ?4)
    UNION ALL
    SELECT * FROM (SELECT * FROM loss INDEXED BY loss_by_time
        WHERE process = ?1 AND to_at > ?3 AND to_at <= ?3 + coalesce((SELECT to_at - from_at
            FROM loss INDEXED BY loss_by_length WHERE process = ?1
            ORDER BY to_at - from_at DESC LIMIT 1), 0)
        ORDER BY to_at LIMIT ?4) WHERE from_at <= ?3
    ORDER BY to_at DESC LIMIT ?4";

impl Reader {
    /// What was lost of a process, latest first.
    pub async fn losses(&self, process: ProcessKey) -> Result<Vec<LossRow>, StoreError> {
        self.losses_between(process, None).await
    }

    /// The losses that overlap a range.
    pub(super) async fn losses_between(
        &self,
        process: ProcessKey,
        range: Option<(UnixNanos, UnixNanos)>,
    ) -> Result<Vec<LossRow>, StoreError> {
        let range = range.unwrap_or((UnixNanos(i64::MIN), UnixNanos(i64::MAX)));
        let losses = self.raw.ask(move |db| losses(db, process.0, range)).await;
        losses.map_err(StoreError::sqlite("read losses"))
    }

    /// What was lost of a process by kind and cause, most first. Losses of anything have no kind and
    /// are left out.
    pub async fn losses_by_cause(&self, process: ProcessKey) -> Result<Vec<CauseRow>, StoreError> {
        let failed = || StoreError::sqlite("add up losses");
        let sql = "SELECT kind, cause, count FROM loss_sum WHERE process = ? ORDER BY count DESC";
        let read = async |db: &mut Db| sqlx::query(sql).bind(process.0).fetch_all(&mut **db).await;
        let rows = self.ask("add up losses", read).await?;
        let row = |row: &SqliteRow| {
            let number = row.try_get::<i64, _>("cause")?;
            let cause = u8::try_from(number).ok().and_then(DropCause::from_number);
            let (Some(kind), Some(cause)) = (kind(row.try_get("kind")?), cause) else {
                return Ok(None);
            };
            Ok(Some(CauseRow { kind, cause, count: unsigned(row.try_get("count")?) }))
        };
        rows.iter().filter_map(|one| row(one).map_err(failed()).transpose()).collect()
    }

    /// The books of a process, one row per kind.
    pub async fn ledger(&self, process: ProcessKey) -> Result<Vec<LedgerRow>, StoreError> {
        let failed = || StoreError::sqlite("read the ledger");
        let sql = "SELECT * FROM ledger_entry WHERE process = ? ORDER BY kind";
        let read = async |db: &mut Db| sqlx::query(sql).bind(process.0).fetch_all(&mut **db).await;
        let rows = self.ask("read the ledger", read).await?;
        rows.iter().filter_map(|row| entry(row).map_err(failed()).transpose()).collect()
    }

    /// The store as a whole.
    pub async fn status(&self) -> Result<StoreStatus, StoreError> {
        let failed = || StoreError::sqlite("read the store's status");
        let sql = "SELECT start_at FROM segment INDEXED BY segment_by_age
            WHERE kind < 4 ORDER BY end_at LIMIT 1";
        let read = async |db: &mut Db| {
            let meta = sqlx::query("SELECT epoch, batches, events, polls FROM meta");
            let oldest: Option<i64> = sqlx::query_scalar(sql).fetch_optional(&mut **db).await?;
            Ok((meta.fetch_one(&mut **db).await?, oldest))
        };
        let (row, oldest) = self.ask("read the store's status", read).await?;
        let read = || {
            let epoch: Vec<u8> = row.try_get("epoch")?;
            Ok(StoreStatus {
                path: self.path.clone(),
                bytes: self.bytes(),
                epoch: epoch.try_into().unwrap_or_default(),
                schema: migrations::NEWEST,
                oldest_at: oldest.map(UnixNanos),
                batches: unsigned(row.try_get("batches")?),
                events: unsigned(row.try_get("events")?),
                polls: unsigned(row.try_get("polls")?),
            })
        };
        read().map_err(failed())
    }

    /// The file's size with its write-ahead log.
    fn bytes(&self) -> u64 {
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        size(&self.path) + size(&wal_path(&self.path))
    }
}

fn kind(number: i64) -> Option<RecordKind> {
    u8::try_from(number).ok().and_then(RecordKind::from_number)
}

/// The losses that overlap a range, latest first; without those of causes that only a newer loopd knows.
pub(super) fn losses(
    db: &Connection,
    process: i64,
    (from, to): (UnixNanos, UnixNanos),
) -> rusqlite::Result<Vec<LossRow>> {
    let mut statement = db.prepare_cached(OVERLAPPING)?;
    let mut rows = statement.query((process, from.0, to.0, MAX_LOSSES))?;
    let mut losses = Vec::new();
    while let Some(row) = rows.next()? {
        let cause: i64 = row.get("cause")?;
        let Some(cause) = u8::try_from(cause).ok().and_then(DropCause::from_number) else {
            continue;
        };
        losses.push(LossRow {
            kind: row.get::<_, Option<i64>>("kind")?.and_then(kind),
            cause,
            count: unsigned(row.get("count")?),
            from_at: UnixNanos(row.get("from_at")?),
            to_at: UnixNanos(row.get("to_at")?),
        });
    }
    Ok(losses)
}

fn entry(row: &SqliteRow) -> Result<Option<LedgerRow>, sqlx::Error> {
    let Some(kind) = kind(row.try_get("kind")?) else { return Ok(None) };
    let count = |name| row.try_get(name).map(unsigned);
    Ok(Some(LedgerRow {
        kind,
        produced: count("produced")?,
        stored: count("stored")?,
        dropped: count("dropped")?,
        lost: count("lost")?,
    }))
}
