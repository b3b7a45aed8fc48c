//! Processes, their loops and totals.

use std::collections::HashMap;

use loopd_model::{Coverage, CoverageState, LoopId, ProcessId, UnixNanos};
use rusqlite::{Connection, Row};

use super::{Reader, unsigned};
use crate::{
    Counts, LoopRow, MAX_COUNTED, MAX_LOOPS, MAX_PROCESSES, ProcessKey, ProcessRow, ProcessState,
    Processes, StoreError, Totals,
};

/// So many live tasks, and open resources, are counted for a whole list: the latest processes come
/// first, and of each some are.
const MAX_COUNTED_OF_ALL: u64 = 5 * MAX_COUNTED;
const MIN_COUNTED: u64 = MAX_COUNTED / 100;

const COLUMNS: &str = "SELECT p.id, p.uuid, p.app, p.app_version, p.host, p.pid, p.labels, p.agent,
        p.agent_version, p.coverage, p.slow_threshold, p.state, p.origin, p.last_at, p.ended_at,
        p.tasks_spawned,
        (SELECT coalesce(sum(stored), 0) FROM ledger_entry e WHERE e.process = p.id AND e.kind = 1),
        coalesce((SELECT polls FROM slow_poll_count c WHERE c.process = p.id), 0),
        (SELECT CAST(total(lost + dropped) AS INTEGER) FROM ledger_entry e WHERE e.process = p.id)
    FROM process p";

impl Reader {
    /// The [`MAX_PROCESSES`] processes that started last, the latest first.
    pub async fn processes(&self) -> Result<Processes, StoreError> {
        let latest = format!("{COLUMNS} ORDER BY p.origin DESC, p.id DESC LIMIT ?1");
        let limit = MAX_PROCESSES as i64 + 1;
        let mut rows = self.read_processes(latest, limit).await?;
        let has_more = rows.len() > MAX_PROCESSES;
        rows.truncate(MAX_PROCESSES);
        Ok(Processes { rows, has_more })
    }

    /// The process that started last; `None` if there is none.
    pub async fn latest_process(&self) -> Result<Option<ProcessRow>, StoreError> {
        let latest = format!("{COLUMNS} ORDER BY p.origin DESC, p.id DESC LIMIT ?1");
        Ok(self.read_processes(latest, 1).await?.pop())
    }

    /// The processes whose agents are connected, or were when the store was last written: as many as
    /// there are.
    pub async fn live_processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        self.read_processes(format!("{COLUMNS} WHERE p.state = ?1"), 1).await
    }

    /// One process; `None` if there is no such.
    pub async fn process(&self, process: ProcessKey) -> Result<Option<ProcessRow>, StoreError> {
        Ok(self.read_processes(format!("{COLUMNS} WHERE p.id = ?1"), process.0).await?.pop())
    }

    async fn read_processes(&self, sql: String, key: i64) -> Result<Vec<ProcessRow>, StoreError> {
        let read = self.raw.ask(move |db| read(db, &sql, key)).await;
        read.map_err(StoreError::sqlite("read processes"))
    }

    /// What each of these processes has now. The first are counted furthest.
    pub async fn counts(&self, processes: &[ProcessKey]) -> Result<Vec<Counts>, StoreError> {
        let keys: Vec<i64> = processes.iter().map(|process| process.0).collect();
        let counts = self.raw.ask(move |db| count(db, &keys)).await;
        let counts = counts.map_err(StoreError::sqlite("count what processes have"))?;
        let counts = counts.into_iter().map(|[alive, open]| Counts {
            tasks_alive: alive.0,
            has_more_alive: alive.1,
            open_resources: open.0,
            has_more_open: open.1,
        });
        Ok(counts.collect())
    }
}

/// How many tasks are alive and resources open in each of these processes, and whether there are more.
fn count(db: &Connection, processes: &[i64]) -> rusqlite::Result<Vec<[(u64, bool); 2]>> {
    const ALIVE: &str = "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_alive
        WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 LIMIT ?2)";
    const OPEN: &str = "SELECT count(*) FROM (SELECT 1 FROM resource INDEXED BY resource_open
        WHERE process = ?1 AND closed_at IS NULL LIMIT ?2)";
    let mut statements = [db.prepare_cached(ALIVE)?, db.prepare_cached(OPEN)?];
    let mut left = MAX_COUNTED_OF_ALL;
    let mut counts = Vec::with_capacity(processes.len());
    for &process in processes {
        let mut of_process = [(0, false); 2];
        for (statement, counted) in statements.iter_mut().zip(&mut of_process) {
            let max = left.clamp(MIN_COUNTED, MAX_COUNTED);
            let key = (process, max as i64 + 1);
            let found: u64 = unsigned(statement.query_row(key, |row| row.get(0))?);
            *counted = (found.min(max), found > max);
            left = left.saturating_sub(found);
        }
        counts.push(of_process);
    }
    Ok(counts)
}

/// One process; `None` if there is no such.
pub(super) fn one(db: &Connection, process: i64) -> rusqlite::Result<Option<ProcessRow>> {
    Ok(read(db, &format!("{COLUMNS} WHERE p.id = ?1"), process)?.pop())
}

fn read(db: &Connection, sql: &str, key: i64) -> rusqlite::Result<Vec<ProcessRow>> {
    let mut statement = db.prepare_cached(sql)?;
    let processes = statement.query_map([key], process_row)?;
    let mut processes = processes.collect::<rusqlite::Result<Vec<_>>>()?;
    let keys: Vec<i64> = processes.iter().map(|row| row.process.0).collect();
    let mut loops = read_loops(db, &keys)?;
    for process in &mut processes {
        process.loops = loops.remove(&process.process).unwrap_or_default();
    }
    Ok(processes)
}

fn read_loops(
    db: &Connection,
    processes: &[i64],
) -> rusqlite::Result<HashMap<ProcessKey, Vec<LoopRow>>> {
    // A program opens few loops; of one that opens them over and over the last are given.
    const SQL: &str = "SELECT l.process, l.loop, coalesce(l.name, ''), coalesce(l.flavor, ''),
            coalesce(l.workers, 0), l.opened_at, l.closed_at
        FROM json_each(?1) j CROSS JOIN loop l ON l.process = j.value
            AND l.loop IN (SELECT x.loop FROM loop x WHERE x.process = j.value
                ORDER BY x.loop DESC LIMIT ?2)
        ORDER BY l.process, l.opened_at, l.loop";
    let keys = serde_json::to_string(processes).unwrap_or_default();
    let mut statement = db.prepare_cached(SQL)?;
    let mut rows = statement.query((keys, MAX_LOOPS as i64))?;
    let mut loops = HashMap::<_, Vec<_>>::new();
    while let Some(row) = rows.next()? {
        loops.entry(ProcessKey(row.get(0)?)).or_default().push(LoopRow {
            loop_id: LoopId(row.get::<_, i64>(1)? as u64),
            name: row.get(2)?,
            flavor: row.get(3)?,
            workers: row.get::<_, i64>(4)? as u32,
            opened_at: row.get::<_, Option<i64>>(5)?.map(UnixNanos),
            closed_at: row.get::<_, Option<i64>>(6)?.map(UnixNanos),
        });
    }
    Ok(loops)
}

fn process_row(row: &Row<'_>) -> rusqlite::Result<ProcessRow> {
    let id: Vec<u8> = row.get(1)?;
    Ok(ProcessRow {
        process: ProcessKey(row.get(0)?),
        id: ProcessId(id.try_into().unwrap_or_default()),
        app: row.get(2)?,
        app_version: row.get(3)?,
        host: row.get(4)?,
        pid: row.get::<_, i64>(5)? as u32,
        labels: labels(row.get_ref(6)?.as_str()?),
        agent: row.get(7)?,
        agent_version: row.get(8)?,
        coverage: coverage(row.get_ref(9)?.as_str()?),
        slow_threshold: unsigned(row.get(10)?),
        state: match row.get(11)? {
            1 => ProcessState::Live,
            2 => ProcessState::Lost,
            _ => ProcessState::Ended,
        },
        started_at: UnixNanos(row.get(12)?),
        last_at: UnixNanos(row.get(13)?),
        ended_at: row.get::<_, Option<i64>>(14)?.map(UnixNanos),
        loops: Vec::new(),
        totals: Totals {
            tasks_spawned: unsigned(row.get(15)?),
            polls: unsigned(row.get(16)?),
            slow_polls: unsigned(row.get(17)?),
            lost: unsigned(row.get(18)?),
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
