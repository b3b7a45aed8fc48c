//! Dumps: where tasks waited when somebody asked.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_model::{DumpId, Frame, ResourceId, TaskId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::bounds::SCALE;
use super::{Answer, Db, Reader, amount, instant, location, slow, tasks};
use crate::writer::MAX_DUMPS;
use crate::{Dump, DumpHead, DumpedTask, ProcessKey, StoreError, UnixNanos};

/// So many tasks of one dump are given: more than anybody reads.
const MAX_TASKS: usize = 5_000 / SCALE as usize;

const HEAD: &str = "SELECT process, dump, began_at, ended_at, coalesce(tasks, 0) AS tasks,
        coalesce(left_out, 0) AS left_out, coalesce(reason, '') AS reason
    FROM task_dump WHERE process = ?1";

/// Tasks in dumps have rows, as long as they are kept.
const TASKS: &str = "SELECT d.task, d.awaits_task, d.at, d.stack, d.resource,
        coalesce(w.text, '') AS awaits, coalesce(r.kind, '') AS resource_kind,
        coalesce(r.name, '') AS resource_name, n.text AS name, t.kind, t.spawned_at, t.ended_at,
        iif(t.last_poll_at <= d.at, t.last_poll_at, NULL) AS idle_since, t.spawn_location, l.file, l.line, l.column
    FROM dumped_task d
    LEFT JOIN word w ON w.id = d.awaits
    LEFT JOIN resource r ON r.process = d.process AND r.resource = d.resource
    LEFT JOIN task t ON t.process = d.process AND t.task = d.task
    LEFT JOIN name n ON n.process = t.process AND n.name = t.name
    LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
    WHERE d.process = ?1 AND d.dump = ?2 ORDER BY d.task, d.awaits_task LIMIT ?3";

const STACKS: &str = "SELECT stack, frames FROM stack
    WHERE process = ?1 AND stack IN (SELECT value FROM json_each(?2))";

impl Reader {
    /// How one dump of a process stands; `None` if there is no such.
    pub async fn dump_head(
        &self,
        process: ProcessKey,
        dump: DumpId,
    ) -> Result<Option<DumpHead>, StoreError> {
        let read = async |db: &mut Db| head(db, process, Some(dump)).await;
        self.ask("read how a dump stands", read).await
    }

    /// All dumps of a process that are kept, the latest first.
    pub async fn dumps(&self, process: ProcessKey) -> Result<Vec<DumpHead>, StoreError> {
        let read = async |db: &mut Db| {
            let sql = format!("{HEAD} ORDER BY dump DESC LIMIT {MAX_DUMPS}");
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(process.0);
            rows.fetch_all(&mut **db).await?.iter().map(dump_head).collect()
        };
        self.ask("list dumps", read).await
    }

    /// One dump of a process, or the latest that has ended; `None` if there is no such.
    pub async fn dump(
        &self,
        process: ProcessKey,
        dump: Option<DumpId>,
    ) -> Result<Option<Dump>, StoreError> {
        let read = async |db: &mut Db| {
            let Some(head) = head(db, process, dump).await? else { return Ok(None) };
            let query = sqlx::query(TASKS).bind(process.0).bind(head.dump.0 as i64);
            let mut rows = query.bind(MAX_TASKS as i64 + 1).fetch_all(&mut **db).await?;
            let has_more = rows.len() > MAX_TASKS;
            rows.truncate(MAX_TASKS);
            let stacks = stacks(db, process, &rows).await?;
            let tasks = rows.iter().map(|row| task(row, &stacks)).collect::<Answer<_>>()?;
            Ok(Some(Dump { head, tasks, has_more }))
        };
        self.ask("read a dump", read).await
    }
}

async fn head(db: &mut Db, process: ProcessKey, dump: Option<DumpId>) -> Answer<Option<DumpHead>> {
    let which = match dump {
        Some(_) => "AND dump = ?2",
        None => "AND ended_at IS NOT NULL AND ?2 IS NULL ORDER BY dump DESC LIMIT 1",
    };
    let sql = format!("{HEAD} {which}");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(process.0);
    let row = query.bind(dump.map(|dump| dump.0 as i64)).fetch_optional(&mut **db).await?;
    row.as_ref().map(dump_head).transpose()
}

fn dump_head(row: &SqliteRow) -> Answer<DumpHead> {
    Ok(DumpHead {
        process: ProcessKey(row.try_get("process")?),
        dump: DumpId(row.try_get::<i64, _>("dump")? as u64),
        began_at: UnixNanos(row.try_get("began_at")?),
        ended_at: instant(row, "ended_at")?,
        tasks: amount(row, "tasks")?,
        left_out: amount(row, "left_out")?,
        reason: row.try_get("reason")?,
    })
}

type Stacks = HashMap<i64, Arc<[Frame]>>;

/// The stacks that these tasks have; many have the same.
async fn stacks(db: &mut Db, process: ProcessKey, rows: &[SqliteRow]) -> Answer<Stacks> {
    let mut ids = rows.iter().map(|row| row.try_get("stack")).collect::<Answer<Vec<i64>>>()?;
    ids.sort_unstable();
    ids.dedup();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let found = sqlx::query(STACKS).bind(process.0).bind(ids).fetch_all(&mut **db).await?;
    let stack = |row: &SqliteRow| Ok((row.try_get("stack")?, slow::parse(row.try_get("frames")?)));
    found.iter().map(stack).collect()
}

fn task(row: &SqliteRow, stacks: &Stacks) -> Answer<DumpedTask> {
    let id = |column| -> Answer<Option<u64>> {
        let id: i64 = row.try_get(column)?;
        Ok((id != 0).then_some(id as u64))
    };
    Ok(DumpedTask {
        task: TaskId(row.try_get::<i64, _>("task")? as u64),
        name: row.try_get("name")?,
        kind: row.try_get::<Option<i64>, _>("kind")?.map(tasks::kind),
        location: location(row, "spawn_location")?,
        spawned_at: instant(row, "spawned_at")?,
        ended_at: instant(row, "ended_at")?,
        at: UnixNanos(row.try_get("at")?),
        idle_since: instant(row, "idle_since")?,
        frames: stacks.get(&row.try_get("stack")?).cloned().unwrap_or_default(),
        awaits: row.try_get("awaits")?,
        awaits_task: id("awaits_task")?.map(TaskId),
        resource: id("resource")?.map(ResourceId),
        resource_kind: row.try_get("resource_kind")?,
        resource_name: row.try_get("resource_name")?,
    })
}
