//! Sessions: which process a batch belongs to, and how far its batches are on disk.

use loopd_model::{DropCause, LedgerEntry, Process, UnixNanos};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Writer, apply, digest, told};
use crate::instant::{self, count};
use crate::settings::{self, ReportedSettings};
use crate::sql::packed_rows::PackedRows;
use crate::{ProcessKey, ProcessState, StoreError};

/// What an agent needs to know to go on where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The process's key in this store.
    pub process: ProcessKey,
    /// Every batch up to this one is on disk; 0: none.
    pub durable_seq: u64,
    /// 16 random bytes made with the file.
    pub store_epoch: [u8; 16],
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// With a goodbye and the final totals.
    Goodbye {
        /// The totals.
        ledger: Vec<LedgerEntry>,
    },
    /// Without: what came after the last batch is lost, and how much cannot be known.
    Lost,
}

/// What the writer remembers of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) origin: i64,
    pub(super) slow_threshold: i64,
    pub(super) durable_seq: u64,
    pub(super) last_at: i64,
    pub(super) state: ProcessState,
    /// Batches are missing, and the next totals will tell how much was in them.
    pub(super) has_hole: bool,
}

/// So many processes are remembered; those without a session are looked up again when needed.
const MAX_KNOWN: usize = 4_096;
/// Longer texts of an agent about itself are cut.
const MAX_TEXT: usize = 1_024;

const UPSERT: &str = "INSERT INTO process
        (uuid, app, app_version, host, pid, labels, agent, agent_version, coverage,
         slow_threshold, origin, durable_seq, state, last_at, in_force, configured)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, 1, ?11, ?12, ?13)
    ON CONFLICT (uuid) DO UPDATE SET app = excluded.app, app_version = excluded.app_version,
        host = excluded.host, pid = excluded.pid, labels = excluded.labels,
        agent = excluded.agent, agent_version = excluded.agent_version,
        coverage = excluded.coverage, slow_threshold = excluded.slow_threshold,
        in_force = excluded.in_force, configured = excluded.configured, state = 1, ended_at = NULL
    RETURNING id, origin, slow_threshold, durable_seq, last_at, state, has_hole";

impl Writer {
    /// Begins or resumes the session of a process whose agent can still send from `first_seq` on.
    /// A hole below that is noted as a loss.
    pub async fn begin_session(
        &mut self,
        process: &Process,
        first_seq: u64,
    ) -> Result<Session, StoreError> {
        self.begin_session_saying(process, first_seq, &ReportedSettings::default()).await
    }

    /// As [`Self::begin_session`], of an agent that says what settings it has.
    pub async fn begin_session_saying(
        &mut self,
        process: &Process,
        first_seq: u64,
        settings: &ReportedSettings,
    ) -> Result<Session, StoreError> {
        let (key, known) = self
            .transact("begin a session", async |db| begin(db, process, first_seq, settings).await)
            .await?;
        self.known.insert(key, known);
        self.publish([key]);
        let durable_seq = known.durable_seq;
        Ok(Session { process: key, durable_seq, store_epoch: self.epoch })
    }

    /// Ends a session; `at` is when the collector noticed. A later [`Self::begin_session`] takes it
    /// up again.
    pub async fn end_session(
        &mut self,
        process: ProcessKey,
        how: How,
        at: UnixNanos,
    ) -> Result<(), StoreError> {
        let mut known = *self.know(process).await?;
        self.transact("end a session", async |db| end(db, process, &how, at.0, &mut known).await)
            .await?;
        self.known.insert(process, known);
        self.rosters.remove(&process.0);
        self.publish([process]);
        Ok(())
    }

    /// What there is to know of a process, from memory or from the file.
    pub(super) async fn know(&mut self, process: ProcessKey) -> Result<&Known, StoreError> {
        if !self.known.contains_key(&process) {
            let sql = "SELECT origin, slow_threshold, durable_seq, last_at, state, has_hole
                FROM process WHERE id = ?";
            let row = sqlx::query(sql).bind(process.0).fetch_optional(self.db().await?).await;
            let found = row.and_then(|row| row.map(|row| known(&row, 0)).transpose());
            let found = found.map_err(StoreError::sqlite("look up a process"))?;
            let found = found.ok_or(StoreError::NoSuchProcess { process: process.0 })?;
            if self.known.len() >= MAX_KNOWN {
                self.known.retain(|_, known| known.state == ProcessState::Live);
            }
            self.known.insert(process, found);
        }
        Ok(&self.known[&process])
    }
}

async fn begin(
    db: &mut SqliteConnection,
    process: &Process,
    first_seq: u64,
    said: &ReportedSettings,
) -> Result<(ProcessKey, Known), sqlx::Error> {
    let cut = |text: &str| digest::cut(text, MAX_TEXT);
    let row = sqlx::query(UPSERT)
        .bind(process.id.0.to_vec())
        .bind(cut(&process.app))
        .bind(cut(&process.app_version))
        .bind(cut(&process.host))
        .bind(i64::from(process.pid))
        .bind(labels_json(&process.labels))
        .bind(cut(&process.agent))
        .bind(cut(&process.agent_version))
        .bind(told::coverage_json(&process.coverage))
        .bind(told::slow_threshold(process.slow_threshold))
        .bind(instant::origin(process.anchor))
        .bind(said.in_force.as_ref().map(settings::to_json))
        .bind(said.configured.as_ref().map(settings::to_json))
        .fetch_one(&mut *db)
        .await?;
    let key = ProcessKey(row.try_get(0)?);
    let mut known = known(&row, 1)?;
    let place = (key.0, known.last_at);
    told::note_coverage(db, place, &process.coverage, said.in_force.as_ref()).await?;
    // Its agent lives, so what came after the last batch was not lost.
    sqlx::query("DELETE FROM loss WHERE process = ? AND cause = ?")
        .bind(key.0)
        .bind(DropCause::UnknownTail as i64)
        .execute(&mut *db)
        .await?;
    // Numbers beyond what SQL has are nobody's.
    let last_missing = first_seq.saturating_sub(1).min(i64::MAX as u64 - 1);
    if last_missing > known.durable_seq {
        note_hole(db, key.0, last_missing, known.last_at).await?;
        (known.durable_seq, known.has_hole) = (last_missing, true);
    }
    Ok((key, known))
}

async fn end(
    db: &mut SqliteConnection,
    process: ProcessKey,
    how: &How,
    at: i64,
    known: &mut Known,
) -> Result<(), sqlx::Error> {
    let ended_at = at.max(known.last_at);
    let state = match how {
        How::Goodbye { ledger } => {
            let mut entries = PackedRows::new(6);
            for entry in ledger {
                let (produced, dropped) = (count(entry.produced), count(entry.dropped));
                entries.push(&[process.0, entry.kind as i64, produced, 0, dropped, 0]);
            }
            apply::ledger(&mut *db, entries).await?;
            // These are the last totals: nobody else will count it.
            if known.has_hole && !ledger.is_empty() {
                count_hole(&mut *db, process.0).await?;
                known.has_hole = false;
            }
            known.state = ProcessState::Ended;
            3
        }
        How::Lost => {
            let sql = "INSERT INTO loss (process, cause, count, from_at, to_at)
                VALUES (?, ?, 0, ?, ?)";
            sqlx::query(sql)
                .bind(process.0)
                .bind(DropCause::UnknownTail as i64)
                .bind(known.last_at)
                .bind(ended_at)
                .execute(&mut *db)
                .await?;
            known.state = ProcessState::Lost;
            2
        }
    };
    sqlx::query("UPDATE process SET state = ?, ended_at = ? WHERE id = ?")
        .bind(state)
        .bind(ended_at)
        .bind(process.0)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Reads the columns of a [`Known`], from column `first` on.
fn known(row: &sqlx::sqlite::SqliteRow, first: usize) -> Result<Known, sqlx::Error> {
    Ok(Known {
        origin: row.try_get(first)?,
        slow_threshold: row.try_get(first + 1)?,
        durable_seq: row.try_get::<i64, _>(first + 2)? as u64,
        last_at: row.try_get(first + 3)?,
        state: match row.try_get(first + 4)? {
            1 => ProcessState::Live,
            2 => ProcessState::Lost,
            _ => ProcessState::Ended,
        },
        has_hole: row.try_get(first + 5)?,
    })
}

/// Batches up to `last_missing` will never come: the store was replaced or put back.
async fn note_hole(
    db: &mut SqliteConnection,
    process: i64,
    last_missing: u64,
    at: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE process SET durable_seq = ?, has_hole = 1 WHERE id = ?")
        .bind(last_missing as i64)
        .bind(process)
        .execute(&mut *db)
        .await?;
    let sql = "INSERT INTO loss (process, cause, count, from_at, to_at) VALUES (?, ?, 0, ?, ?)";
    sqlx::query(sql)
        .bind(process)
        .bind(DropCause::StoreRollback as i64)
        .bind(at)
        .bind(at)
        .execute(db)
        .await?;
    Ok(())
}

/// After a hole: what the agent produced and did not drop, and is not here, was in it. Without
/// totals in this commit nothing changes, and the next one is asked again.
pub(super) async fn count_hole(db: &mut SqliteConnection, process: i64) -> Result<(), sqlx::Error> {
    let missing = "FROM ledger_entry e WHERE e.process = ?1
        AND e.produced > e.dropped + e.stored + e.lost";
    let hole = "SELECT max(id) FROM loss WHERE process = ?1 AND cause = ?2 AND kind IS NULL";
    let sql = format!(
        "INSERT INTO loss (process, kind, cause, count, from_at, to_at)
         SELECT ?1, e.kind, ?2, e.produced - e.dropped - e.stored - e.lost,
                (SELECT from_at FROM loss WHERE id = ({hole})),
                (SELECT last_at FROM process WHERE id = ?1) {missing}"
    );
    let cause = DropCause::StoreRollback as i64;
    let counted =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(process).bind(cause).execute(&mut *db).await?;
    if counted.rows_affected() == 0 {
        return Ok(());
    }
    let sql = "UPDATE ledger_entry SET lost = produced - dropped - stored
        WHERE process = ? AND produced > dropped + stored + lost";
    sqlx::query(sql).bind(process).execute(&mut *db).await?;
    let sql = "DELETE FROM loss WHERE process = ? AND cause = ? AND kind IS NULL";
    sqlx::query(sql).bind(process).bind(cause).execute(&mut *db).await?;
    sqlx::query("UPDATE process SET has_hole = 0 WHERE id = ?").bind(process).execute(db).await?;
    Ok(())
}

fn labels_json(labels: &[(String, String)]) -> String {
    let cut = |text: &str| digest::cut(text, MAX_TEXT);
    let labels = labels.iter().map(|(key, value)| (cut(key), cut(value).into()));
    serde_json::Value::Object(labels.collect()).to_string()
}
