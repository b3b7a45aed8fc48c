//! Processes, their loops and totals.

use std::collections::HashMap;

use loopd_model::{Coverage, CoverageState, LoopId, ProcessId, UnixNanos};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Answer, Db, Reader, amount, instant};
use crate::{LoopRow, ProcessKey, ProcessRow, ProcessState, StoreError, Totals};

const SELECT: &str = "SELECT p.id, p.uuid, p.app, p.app_version, p.host, p.pid, p.labels, p.agent,
        p.agent_version, p.coverage, p.slow_threshold, p.state, p.origin, p.last_at, p.ended_at,
        p.tasks_spawned,
        (SELECT count(*) FROM task t WHERE t.process = p.id AND t.ended_at IS NULL),
        (SELECT coalesce(sum(stored), 0) FROM ledger_entry e WHERE e.process = p.id AND e.kind = 1),
        (SELECT count(*) FROM slow_poll s WHERE s.process = p.id AND s.is_slow = 1),
        (SELECT count(*) FROM resource r WHERE r.process = p.id AND r.closed_at IS NULL),
        (SELECT CAST(total(lost + dropped) AS INTEGER) FROM ledger_entry e WHERE e.process = p.id)
    FROM process p WHERE ?1 IS NULL OR p.id = ?1 ORDER BY p.origin DESC, p.id DESC";

impl Reader {
    /// Every process, the latest started first.
    pub async fn processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        self.ask("read processes", async |db| read(db, None).await).await
    }

    /// One process; `None` if there is no such.
    pub async fn process(&self, process: ProcessKey) -> Result<Option<ProcessRow>, StoreError> {
        let read = async |db: &mut Db| Ok(read(db, Some(process.0)).await?.pop());
        self.ask("read a process", read).await
    }
}

async fn read(db: &mut Db, process: Option<i64>) -> Answer<Vec<ProcessRow>> {
    let rows = sqlx::query(SELECT).bind(process).fetch_all(&mut **db).await?;
    let mut loops = read_loops(db, process).await?;
    rows.iter()
        .map(|row| {
            let mut process = process_row(row)?;
            process.loops = loops.remove(&process.process).unwrap_or_default();
            Ok(process)
        })
        .collect()
}

async fn read_loops(
    db: &mut Db,
    process: Option<i64>,
) -> Answer<HashMap<ProcessKey, Vec<LoopRow>>> {
    let sql = "SELECT process, loop, coalesce(name, ''), coalesce(flavor, ''),
            coalesce(workers, 0), opened_at, closed_at
        FROM loop WHERE ?1 IS NULL OR process = ?1 ORDER BY process, opened_at, loop";
    let mut loops = HashMap::<_, Vec<_>>::new();
    for row in sqlx::query(sql).bind(process).fetch_all(&mut **db).await? {
        loops.entry(ProcessKey(row.try_get(0)?)).or_default().push(LoopRow {
            loop_id: LoopId(row.try_get::<i64, _>(1)? as u64),
            name: row.try_get(2)?,
            flavor: row.try_get(3)?,
            workers: row.try_get::<i64, _>(4)? as u32,
            opened_at: instant(&row, 5)?,
            closed_at: instant(&row, 6)?,
        });
    }
    Ok(loops)
}

fn process_row(row: &SqliteRow) -> Answer<ProcessRow> {
    let id: Vec<u8> = row.try_get(1)?;
    Ok(ProcessRow {
        process: ProcessKey(row.try_get(0)?),
        id: ProcessId(id.try_into().unwrap_or_default()),
        app: row.try_get(2)?,
        app_version: row.try_get(3)?,
        host: row.try_get(4)?,
        pid: row.try_get::<i64, _>(5)? as u32,
        labels: labels(row.try_get(6)?),
        agent: row.try_get(7)?,
        agent_version: row.try_get(8)?,
        coverage: coverage(row.try_get(9)?),
        slow_threshold: amount(row, 10)?,
        state: match row.try_get(11)? {
            1 => ProcessState::Live,
            2 => ProcessState::Lost,
            _ => ProcessState::Ended,
        },
        started_at: UnixNanos(row.try_get(12)?),
        last_at: UnixNanos(row.try_get(13)?),
        ended_at: instant(row, 14)?,
        loops: Vec::new(),
        totals: Totals {
            tasks_spawned: amount(row, 15)?,
            tasks_alive: amount(row, 16)?,
            polls: amount(row, 17)?,
            slow_polls: amount(row, 18)?,
            open_resources: amount(row, 19)?,
            lost: amount(row, 20)?,
        },
    })
}

/// The writer made this JSON; what is not as it made it is left out.
fn labels(json: &str) -> Vec<(String, String)> {
    let labels: std::collections::BTreeMap<String, String> =
        serde_json::from_str(json).unwrap_or_default();
    labels.into_iter().collect()
}

/// Layers as the writer keeps them.
pub(super) fn coverage(json: &str) -> Vec<Coverage> {
    let layers: Vec<(String, String, String)> = serde_json::from_str(json).unwrap_or_default();
    let layers = layers.into_iter().map(|(layer, state, reason)| {
        let state = match state.as_str() {
            "on" => CoverageState::On,
            "off" => CoverageState::Off,
            _ => CoverageState::Unavailable,
        };
        Coverage { layer, state, reason }
    });
    layers.collect()
}
