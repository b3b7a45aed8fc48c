//! Writes the rows of one commit: a fixed number of statements, however many rows there are.

use std::collections::HashMap;

use loopd_model::RecordKind;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};
use sqlx::{QueryBuilder, Sqlite};

use super::digest::{Digest, SegmentRow, TileRow};
use super::rollups::RollupRow;
use super::task_records;
use super::words::WordIds;
use crate::sql::packed_rows::PackedRows;

/// SQLite binds at most 32,766 values to a statement; half of that is as fast.
const MAX_BINDS: usize = 16_000;

/// Stores and metrics: an agent that invents more names than this gets no new ones stored.
const MAX_METRIC_NAMES: usize = 1_024;

type Result<T = ()> = std::result::Result<T, sqlx::Error>;

/// Metric names and their ids, as far as they have been needed.
pub(super) type MetricNames = HashMap<String, i64>;

/// Texts that have ids in the database, as far as they have been needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Interned {
    metric_names: MetricNames,
    words: WordIds,
}

impl Interned {
    /// The words that are stored; names of metrics are looked up when they are needed.
    pub(super) async fn load(db: &mut SqliteConnection) -> Result<Self> {
        Ok(Self { metric_names: MetricNames::default(), words: WordIds::load(db).await? })
    }
}

const UPSERT_SLOW_POLLS: &str =
    "INSERT INTO slow_poll (process, loop, worker, start_at, length, last_at, is_slow, task)
    SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM packed_rows(?, ?) WHERE true
    ON CONFLICT DO UPDATE SET
        is_slow = iif(length IS NULL, excluded.is_slow, is_slow),
        last_at = iif(length IS NOT NULL, last_at,
            iif(excluded.length IS NOT NULL, excluded.last_at, max(last_at, excluded.last_at))),
        length = coalesce(length, excluded.length)";

const INSERT_SAMPLES: &str = "INSERT OR IGNORE INTO sample
    (process, loop, worker, poll_started_at, at, task, stack, running, syscall, wchan)
    SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM packed_rows(?, ?)";

const UPSERT_LANES: &str = "INSERT INTO worker (process, loop, worker, last_poll_at)
    SELECT c0, c1, c2, c3 FROM packed_rows(?, ?) WHERE true
    ON CONFLICT DO UPDATE SET
        last_poll_at = max(coalesce(last_poll_at, excluded.last_poll_at), excluded.last_poll_at)";

/// Writes everything but the books.
pub(super) async fn rows(
    db: &mut SqliteConnection,
    digest: &mut Digest,
    interned: &mut Interned,
) -> Result {
    words(db, digest).await?;
    let word_ids = std::mem::take(&mut digest.words).write(db, &mut interned.words).await?;
    loops(db, digest).await?;
    task_records::write(db, &mut digest.tasks).await?;
    let (lanes, tiles) = digest.take_lanes();
    packed(db, UPSERT_LANES, lanes).await?;
    packed(db, UPSERT_SLOW_POLLS, digest.take_slow_polls()).await?;
    packed(db, INSERT_SAMPLES, digest.take_samples(&word_ids)).await?;
    insert_tiles(db, tiles).await?;
    insert_rollups(db, std::mem::take(&mut digest.rollups)).await?;
    insert_segments(db, std::mem::take(&mut digest.segments)).await?;
    resources(db, digest).await?;
    std::mem::take(&mut digest.waits).write(db, &word_ids).await?;
    std::mem::take(&mut digest.told).write(db).await?;
    std::mem::take(&mut digest.dumps).write(db, &word_ids).await?;
    metrics(db, digest, &mut interned.metric_names).await
}

pub(super) async fn packed(
    db: &mut SqliteConnection,
    sql: &'static str,
    rows: PackedRows,
) -> Result {
    if rows.is_empty() {
        return Ok(());
    }
    let (bytes, width) = rows.into_args();
    sqlx::query(sql).bind(bytes).bind(width).execute(db).await?;
    Ok(())
}

/// Inserts rows of `columns` values each, as many to a statement as SQLite binds.
pub(super) async fn insert<T>(
    db: &mut SqliteConnection,
    (head, tail): (&str, &str),
    columns: usize,
    rows: Vec<T>,
    mut push: impl FnMut(&mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, T),
) -> Result {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_values(rows.by_ref().take(MAX_BINDS / columns), |mut values, row| {
            push(&mut values, row);
        });
        query.push(tail);
        let _: SqliteQueryResult = query.build().persistent(false).execute(&mut *db).await?;
    }
    Ok(())
}

async fn words(db: &mut SqliteConnection, digest: &mut Digest) -> Result {
    let head = ("INSERT OR REPLACE INTO name (process, name, text) ", "");
    insert(db, head, 3, std::mem::take(&mut digest.names), |values, (process, id, text)| {
        values.push_bind(process).push_bind(id).push_bind(text);
    })
    .await?;
    let head = ("INSERT OR REPLACE INTO location (process, location, file, line, column) ", "");
    insert(db, head, 5, std::mem::take(&mut digest.locations), |values, (process, id, place)| {
        values.push_bind(process).push_bind(id).push_bind(place.file);
        values.push_bind(i64::from(place.line)).push_bind(i64::from(place.column));
    })
    .await?;
    let head = ("INSERT OR REPLACE INTO stack (process, stack, frames) ", "");
    insert(db, head, 3, std::mem::take(&mut digest.stacks), |values, (process, id, frames)| {
        values.push_bind(process).push_bind(id).push_bind(frames);
    })
    .await
}

async fn loops(db: &mut SqliteConnection, digest: &mut Digest) -> Result {
    let upsert = (
        "INSERT INTO loop (process, loop, name, flavor, workers, opened_at, closed_at) ",
        " ON CONFLICT DO UPDATE SET name = coalesce(excluded.name, name),
            flavor = coalesce(excluded.flavor, flavor),
            workers = coalesce(excluded.workers, workers),
            opened_at = coalesce(excluded.opened_at, opened_at),
            closed_at = coalesce(excluded.closed_at, closed_at)",
    );
    insert(db, upsert, 7, std::mem::take(&mut digest.loops), |values, change| {
        let (name, flavor, workers, at) = split4(change.opened);
        values.push_bind(change.key.0).push_bind(change.key.1).push_bind(name).push_bind(flavor);
        values.push_bind(workers.map(i64::from)).push_bind(at).push_bind(change.closed_at);
    })
    .await?;
    let upsert = (
        "INSERT INTO worker
            (process, loop, worker, thread_name, thread_id, started_at, stopped_at) ",
        " ON CONFLICT DO UPDATE SET thread_name = coalesce(excluded.thread_name, thread_name),
            thread_id = coalesce(excluded.thread_id, thread_id),
            started_at = coalesce(excluded.started_at, started_at),
            -- What came last holds: another thread may have become that worker since.
            stopped_at = excluded.stopped_at",
    );
    insert(db, upsert, 7, std::mem::take(&mut digest.workers), |values, change| {
        let (process, loop_id, worker) = change.key;
        let (name, thread, at) = split3(change.started);
        values.push_bind(process).push_bind(loop_id).push_bind(worker).push_bind(name);
        values.push_bind(thread).push_bind(at).push_bind(change.stopped_at);
    })
    .await
}

fn split3<A, B, C>(all: Option<(A, B, C)>) -> (Option<A>, Option<B>, Option<C>) {
    all.map_or((None, None, None), |(a, b, c)| (Some(a), Some(b), Some(c)))
}

fn split4<A, B, C, D>(all: Option<(A, B, C, D)>) -> (Option<A>, Option<B>, Option<C>, Option<D>) {
    all.map_or((None, None, None, None), |(a, b, c, d)| (Some(a), Some(b), Some(c), Some(d)))
}

/// Inserts rows into the table of tiles.
pub(super) async fn insert_tiles(db: &mut SqliteConnection, rows: Vec<TileRow>) -> Result {
    let head = ("INSERT INTO tile (process, level, tile, loop, worker, folded, cells) ", "");
    insert(db, head, 7, rows, |values, row| {
        values.push_bind(row.process).push_bind(row.level).push_bind(row.tile);
        values.push_bind(row.loop_id).push_bind(row.worker).push_bind(row.is_folded);
        values.push_bind(row.cells);
    })
    .await
}

/// Inserts rows into the table of roll-ups.
pub(super) async fn insert_rollups(db: &mut SqliteConnection, rows: Vec<RollupRow>) -> Result {
    let head = ("INSERT INTO rollup (process, level, step, folded, cells) ", "");
    insert(db, head, 5, rows, |values, row| {
        values.push_bind(row.process).push_bind(row.level as i64).push_bind(row.step);
        values.push_bind(row.is_folded).push_bind(row.cells);
    })
    .await
}

/// Inserts rows into the table of segments.
pub(super) async fn insert_segments(db: &mut SqliteConnection, rows: Vec<SegmentRow>) -> Result {
    let head = (
        "INSERT INTO segment (process, kind, loop, worker, start_at, end_at, spans, max_length,
            min_task, max_task, merged, data) ",
        "",
    );
    insert(db, head, 12, rows, |values, row| {
        values.push_bind(row.process).push_bind(row.kind as i64).push_bind(row.loop_id);
        values.push_bind(row.worker).push_bind(row.start_at).push_bind(row.end_at);
        values.push_bind(row.spans).push_bind(row.max_length).push_bind(row.min_task);
        values.push_bind(row.max_task).push_bind(row.is_full).push_bind(row.data);
    })
    .await
}

async fn resources(db: &mut SqliteConnection, digest: &mut Digest) -> Result {
    let upsert = (
        "INSERT INTO resource
            (process, resource, kind, name, open_location, task, opened_at, closed_at, how, stack) ",
        " ON CONFLICT DO UPDATE SET kind = coalesce(kind, excluded.kind),
            name = coalesce(name, excluded.name),
            open_location = coalesce(open_location, excluded.open_location),
            task = coalesce(task, excluded.task),
            opened_at = coalesce(opened_at, excluded.opened_at),
            closed_at = coalesce(closed_at, excluded.closed_at),
            how = coalesce(how, excluded.how), stack = coalesce(stack, excluded.stack)",
    );
    insert(db, upsert, 10, std::mem::take(&mut digest.resources), |values, change| {
        let opened = change.opened;
        let (location, task) =
            (opened.as_ref().map(|o| o.location), opened.as_ref().map(|o| o.task));
        let (at, stack) = (opened.as_ref().map(|o| o.at), opened.as_ref().map(|o| o.stack));
        let (kind, name) = opened.map_or((None, None), |o| (Some(o.kind), Some(o.name)));
        let (closed_at, how) = change.closed.unzip();
        values.push_bind(change.key.0).push_bind(change.key.1).push_bind(kind).push_bind(name);
        values.push_bind(location).push_bind(task).push_bind(at);
        values.push_bind(closed_at).push_bind(how).push_bind(stack);
    })
    .await
}

async fn metrics(
    db: &mut SqliteConnection,
    digest: &mut Digest,
    names: &mut MetricNames,
) -> Result {
    let readings = std::mem::take(&mut digest.metrics);
    let mut rows = PackedRows::new(6);
    for reading in readings {
        let known = names.get(&reading.name).copied();
        let name = match known {
            Some(name) => name,
            None if names.len() >= MAX_METRIC_NAMES => continue,
            None => {
                let name = metric_name(db, &reading.name).await?;
                names.insert(reading.name, name);
                name
            }
        };
        let value = reading.value.to_bits() as i64;
        let worker = reading.worker;
        rows.push(&[reading.process, name, reading.loop_id, worker, reading.at, value]);
    }
    let sql = "INSERT INTO metric (process, name, loop, worker, at, value)
        SELECT c0, c1, c2, c3, c4, r5 FROM packed_rows(?, ?)";
    packed(db, sql, rows).await
}

async fn metric_name(db: &mut SqliteConnection, name: &str) -> Result<i64> {
    let sql = "INSERT INTO metric_name (name) VALUES (?)
        ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id";
    sqlx::query_scalar(sql).bind(name).fetch_one(db).await
}

/// Writes losses and totals, and moves every process on: what makes the rest count.
pub(super) async fn books(db: &mut SqliteConnection, digest: &Digest) -> Result {
    let mut losses = PackedRows::new(6);
    for (process, loss, from, to) in &digest.losses {
        let count = crate::instant::count(loss.count);
        losses.push(&[*process, loss.kind as i64, loss.cause as i64, count, *from, *to]);
    }
    let sql = "INSERT INTO loss (process, kind, cause, count, from_at, to_at)
        SELECT c0, c1, c2, c3, c4, c5 FROM packed_rows(?, ?)";
    packed(db, sql, losses).await?;
    let mut entries = PackedRows::new(6);
    for (&process, delta) in &digest.processes {
        for kind in RecordKind::ALL {
            let i = kind as usize - 1;
            let (produced, dropped) = delta.totals[i].unwrap_or_default();
            let row = [process, kind as i64, produced, delta.stored[i], dropped, delta.lost[i]];
            if row[2..].iter().any(|&n| n != 0) {
                entries.push(&row);
            }
        }
    }
    ledger(db, entries).await?;
    let mut moves = PackedRows::new(4);
    for (&process, delta) in &digest.processes {
        moves.push(&[process, delta.seq as i64, delta.last_at, delta.tasks_spawned]);
    }
    let sql = "UPDATE process SET durable_seq = c1, last_at = max(last_at, c2),
        tasks_spawned = tasks_spawned + c3 FROM packed_rows(?, ?) WHERE id = c0";
    packed(db, sql, moves).await?;
    let sum = |of: fn(&super::digest::ProcessDelta) -> i64| -> i64 {
        digest.processes.values().map(of).fold(0, i64::saturating_add)
    };
    let sql = "UPDATE meta SET batches = batches + ?, events = events + ?, polls = polls + ?";
    sqlx::query(sql)
        .bind(sum(|delta| delta.batches))
        .bind(sum(|delta| delta.stored[3..].iter().sum()))
        .bind(sum(|delta| delta.stored[0]))
        .execute(db)
        .await?;
    Ok(())
}

/// Adds to the totals; those of the agent only ever rise.
pub(super) async fn ledger(db: &mut SqliteConnection, entries: PackedRows) -> Result {
    let sql = "INSERT INTO ledger_entry (process, kind, produced, stored, dropped, lost)
        SELECT c0, c1, c2, c3, c4, c5 FROM packed_rows(?, ?) WHERE true
        ON CONFLICT DO UPDATE SET produced = max(produced, excluded.produced),
            stored = min(stored + excluded.stored, 1 << 62),
            dropped = max(dropped, excluded.dropped),
            lost = min(lost + excluded.lost, 1 << 62)";
    packed(db, sql, entries).await
}
