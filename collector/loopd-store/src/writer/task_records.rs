//! Moves tasks between rows and segments of kind 4.
//!
//! A task whose whole life is known, short and unremarkable goes to a segment, thousands to a row of
//! the database; that is nearly all of them. If more is told of one later, it becomes a row again, and
//! its record is void.

use std::collections::{BTreeMap, HashMap};

use loopd_model::RecordKind;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::apply::{insert_segments, packed};
use super::digest::SegmentRow;
use super::hash::IdMap;
use super::lane_spans::MAX_SPANS;
use super::task_plan::TaskPlan;
use super::tasks::{self, ENDED_AT, SPAWNED_AT, TaskDelta, WIDTH};
use crate::sql::packed_rows::{PackedRows, unpack_rows};
use crate::task_table;

type Result<T = ()> = std::result::Result<T, sqlx::Error>;

/// Carries out the plan.
pub(super) async fn write(db: &mut SqliteConnection, plan: &mut TaskPlan) -> Result {
    let mut plain = std::mem::take(&mut plan.plain);
    let mut rows = std::mem::take(&mut plan.rows);
    end(db, std::mem::take(&mut plan.ended), &mut plain, &mut rows).await?;
    let strays = std::mem::take(&mut plan.strays);
    rows.extend(recall(db, plan, strays).await?);
    upsert(db, rows).await?;
    insert_segments(db, pack(plain)).await
}

/// Adds to rows what is new of them.
async fn upsert(db: &mut SqliteConnection, mut rows: Vec<TaskDelta>) -> Result {
    // In the order of the table, which makes the writes to it sequential.
    rows.sort_unstable_by_key(|delta| (delta.0[0], delta.task()));
    let (mut lifecycle, mut totals) = (PackedRows::new(WIDTH), PackedRows::new(WIDTH));
    for delta in &rows {
        let rows = if delta.is_lifecycle() { &mut lifecycle } else { &mut totals };
        rows.push(&delta.0);
    }
    packed(db, tasks::UPSERT.as_str(), lifecycle).await?;
    packed(db, tasks::UPSERT_TOTALS.as_str(), totals).await
}

/// Adds to tasks that ended what their rows say. Those that are plain with it need no row.
async fn end(
    db: &mut SqliteConnection,
    ended: Vec<TaskDelta>,
    plain: &mut Vec<TaskDelta>,
    rows: &mut Vec<TaskDelta>,
) -> Result {
    if ended.is_empty() {
        return Ok(());
    }
    let mut known = rows_of(db, &ended).await?;
    let mut gone = PackedRows::new(2);
    for delta in ended {
        let mut whole = delta;
        let row = known.remove(&(delta.0[0], delta.task()));
        if let Some(row) = row {
            whole.merge(&row);
        }
        if !whole.is_plain() {
            rows.push(delta);
            continue;
        }
        if row.is_some() {
            gone.push(&delta.0[..2]);
        }
        plain.push(whole);
    }
    let sql = "DELETE FROM task WHERE (process, task) IN (SELECT c0, c1 FROM packed_rows(?, ?))";
    packed(db, sql, gone).await
}

/// What the table says of these tasks.
async fn rows_of(
    db: &mut SqliteConnection,
    tasks: &[TaskDelta],
) -> Result<HashMap<(i64, i64), TaskDelta>> {
    let sql = format!(
        "SELECT pack_rows({}) FROM (SELECT c0, c1 FROM packed_rows(?, ?)) CROSS JOIN task
         ON process = c0 AND task = c1",
        tasks::NAMES.as_str()
    );
    let (bytes, width) = keys(tasks).into_args();
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(bytes).bind(width);
    let found: Option<Vec<u8>> = query.fetch_one(db).await?;
    let rows = unpack_rows::<WIDTH>(found.as_deref().unwrap_or_default());
    Ok(rows.map(|row| ((row[0], row[1]), TaskDelta(row))).collect())
}

fn keys(tasks: &[TaskDelta]) -> PackedRows {
    let mut keys = PackedRows::new(2);
    tasks.iter().for_each(|delta| keys.push(&delta.0[..2]));
    keys
}

/// Brings back from segments what is known there of tasks that nobody remembers, and notes which
/// have ended. Returns what rows get.
async fn recall(
    db: &mut SqliteConnection,
    plan: &mut TaskPlan,
    strays: Vec<TaskDelta>,
) -> Result<Vec<TaskDelta>> {
    let mut by_process = BTreeMap::<i64, IdMap<i64, TaskDelta>>::new();
    for stray in strays {
        by_process.entry(stray.0[0]).or_default().insert(stray.task(), stray);
    }
    let mut rows = Vec::new();
    for (process, mut strays) in by_process {
        let all: Vec<TaskDelta> = strays.values().copied().collect();
        let known = rows_of(db, &all).await?;
        let mut ended: Vec<i64> =
            known.values().filter(|row| row.is_ended()).map(TaskDelta::task).collect();
        let missing: Vec<i64> = all
            .iter()
            .map(TaskDelta::task)
            .filter(|&task| !known.contains_key(&(process, task)))
            .collect();
        for record in take_records(db, process, missing).await? {
            if let Some(stray) = strays.get_mut(&record.task()) {
                stray.merge(&record);
                ended.push(record.task());
            }
        }
        plan.have_ended(process, ended);
        rows.extend(strays.into_values());
    }
    Ok(rows)
}

/// So many bytes of segments are read in one commit to find what was told of tasks before: a minute of a
/// hundred thousand tasks a second. What comes later than that of a task is a row of its own.
const MAX_RECALLED_BYTES: usize = 64 << 20;

/// The records of these tasks, which are void from now on.
async fn take_records(
    db: &mut SqliteConnection,
    process: i64,
    mut tasks: Vec<i64>,
) -> Result<Vec<TaskDelta>> {
    tasks.sort_unstable();
    let (Some(&first), Some(&last)) = (tasks.first(), tasks.last()) else { return Ok(Vec::new()) };
    let sql = "SELECT id, min_task, max_task FROM segment INDEXED BY segment_by_task
        WHERE kind = 4 AND process = ? AND max_task >= ? AND min_task <= ? ORDER BY id DESC";
    let segments: Vec<(i64, i64, i64)> =
        sqlx::query_as(sql).bind(process).bind(first).bind(last).fetch_all(&mut *db).await?;
    let (mut found, mut voids) = (Vec::new(), PackedRows::new(2));
    let mut read = 0;
    for (segment, min, max) in segments {
        if read > MAX_RECALLED_BYTES || tasks.is_empty() {
            break;
        }
        let place = tasks.partition_point(|&task| task < min);
        if tasks.get(place).is_none_or(|&task| task > max) {
            continue;
        }
        let sql = "SELECT data FROM segment WHERE id = ?";
        let row = sqlx::query(sql).bind(segment).fetch_one(&mut *db).await?;
        let data: &[u8] = row.try_get(0)?;
        read += data.len();
        let Ok(table) = task_table::find(data, process, &tasks) else { continue };
        if table.is_empty() {
            continue;
        }
        let sql = "SELECT task FROM task_void WHERE segment = ?";
        let void: Vec<i64> = sqlx::query_scalar(sql).bind(segment).fetch_all(&mut *db).await?;
        for row in table.into_iter().filter(|row| !void.contains(&row[1])) {
            // In a segment that has it twice the first speaks for both.
            if let Ok(place) = tasks.binary_search(&row[1]) {
                voids.push(&[segment, row[1]]);
                tasks.remove(place);
                found.push(TaskDelta(row));
            }
        }
    }
    let sql =
        "INSERT OR IGNORE INTO task_void (segment, task) SELECT c0, c1 FROM packed_rows(?, ?)";
    packed(db, sql, voids).await?;
    Ok(found)
}

/// Packs plain tasks, process by process, in the order of their ids.
pub(super) fn pack(mut tasks: Vec<TaskDelta>) -> Vec<SegmentRow> {
    tasks.sort_unstable_by_key(|delta| (delta.0[0], delta.task()));
    // An agent that says everything twice does not make two tasks of one.
    tasks.dedup_by(|later, first| {
        let is_same = (later.0[0], later.task()) == (first.0[0], first.task());
        if is_same {
            first.merge(later);
        }
        is_same
    });
    let of_processes = tasks.chunk_by(|a, b| a.0[0] == b.0[0]);
    of_processes.flat_map(|of_process| of_process.chunks(MAX_SPANS)).map(segment).collect()
}

fn segment(tasks: &[TaskDelta]) -> SegmentRow {
    let times = |column| tasks.iter().map(move |delta| delta.get(column));
    let lives = tasks.iter().map(|delta| delta.get(ENDED_AT) - delta.get(SPAWNED_AT));
    let rows: Vec<[i64; WIDTH]> = tasks.iter().map(|delta| delta.0).collect();
    SegmentRow {
        process: tasks.first().map_or(0, |delta| delta.0[0]),
        kind: RecordKind::Task,
        loop_id: 0,
        worker: 0,
        start_at: times(SPAWNED_AT).min().unwrap_or(0),
        end_at: times(ENDED_AT).max().unwrap_or(0),
        spans: tasks.len() as i64,
        max_length: lives.max().unwrap_or(0),
        min_task: tasks.first().map_or(0, TaskDelta::task),
        max_task: tasks.last().map_or(0, TaskDelta::task),
        is_full: tasks.len() >= MAX_SPANS / 4,
        data: task_table::encode(&rows),
    }
}
