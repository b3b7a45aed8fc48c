//! Retention: removes what is too old, then the oldest while there is too much, a little at a time.
//!
//! What there is too much of is decided by shares of the budget ([`super::budget`]): raw polls have the
//! largest, and so are gone first; roll-ups and tiles, which say the same in less, last longer; slow
//! polls and their stacks are the last of all rows. Tasks that are alive, resources that are open, and
//! waits that last always stay.

use loopd_analysis::rollup::STEPS;
use loopd_analysis::tiles::{BUCKETS, LEVELS, bucket_width};
use sqlx::sqlite::SqliteConnection;

use super::budget::{Class, Usage};
use super::logs::{APP_SPANS, HOLDS, Log, MARKS, METRICS, READINGS, metrics};
use super::orphans::Orphans;
use crate::Retention;

/// So many segments are removed in one step: some 5 MB of pages, for which no commit waits long.
const MAX_SEGMENTS: i64 = 16;
/// Levels with buckets of up to 4 ms, which cost about as much as the polls.
pub(crate) const FINE_LEVELS: u8 = 2;
/// So many rows of any other table.
pub(super) const MAX_ROWS: i64 = 2_000;
/// So many readings of resources are kept, some 100 MB: beside the latest of each, what they say is
/// how things came about lately.
const MAX_READINGS: i64 = 1_000_000;
/// So many pages are given back to the file system in one step: 4 MiB.
const MAX_FREE_PAGES: i64 = 512;
/// With fewer free pages than this, half a megabyte, none is given back.
const MIN_FREE_PAGES: i64 = 64;

/// Removes some; returns how many rows, and whether there may be more.
pub(super) async fn step(
    db: &mut SqliteConnection,
    now: i64,
    retention: &Retention,
    orphans: &mut Orphans,
) -> Result<(u64, bool), sqlx::Error> {
    // There is always some surplus once there is any: it never stands in for the rest.
    let surplus = surplus_readings(db).await?;
    let orphans = orphans.remove(db, now).await?;
    let (removed, more) = old_or_too_much(db, now, retention).await?;
    Ok((removed + surplus + orphans, more || surplus >= MAX_ROWS as u64))
}

/// What ended before this is too old.
fn cutoff(now: i64, retention: &Retention) -> Option<i64> {
    let age = retention.max_age?;
    Some(now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)))
}

async fn old_or_too_much(
    db: &mut SqliteConnection,
    now: i64,
    retention: &Retention,
) -> Result<(u64, bool), sqlx::Error> {
    if let Some(cutoff) = cutoff(now, retention) {
        let removed = older_than(db, now, cutoff).await?;
        if removed > 0 {
            return Ok((removed, true));
        }
    }
    if let Some(max) = retention.max_process_bytes {
        for (process, class, excess) in Usage::of_processes(db).await?.too_large(max) {
            let removed = oldest_of(db, now, class, Some(process), excess).await?;
            if removed > 0 {
                return Ok((removed, true));
            }
        }
    }
    if let Some(max) = retention.max_bytes {
        let used = used_bytes(db).await?;
        let excess = used.saturating_sub(max);
        if excess > 0 {
            let removed = too_much(db, now, used, max).await?;
            return Ok((removed, removed > 0));
        }
    }
    Ok((0, false))
}

/// Removes some of what has more than its share; or, if there is none of that, of what there is.
async fn too_much(
    db: &mut SqliteConnection,
    now: i64,
    used: u64,
    max: u64,
) -> Result<u64, sqlx::Error> {
    let excess = i64::try_from(used - max).unwrap_or(i64::MAX);
    for class in Usage::of_processes(db).await?.by_excess(used, max) {
        let removed = oldest_of(db, now, class, None, excess).await?;
        if removed > 0 {
            return Ok(removed);
        }
    }
    // Nothing else is left.
    for sql in [LOSSES, COVERAGE, SLOW_POLLS, SAMPLES] {
        let removed = chunk(db, sql, i64::MAX).await?;
        if removed > 0 {
            return Ok(removed);
        }
    }
    Ok(0)
}

/// The oldest of one class, of one process or of all; about so many bytes of what is large.
async fn oldest_of(
    db: &mut SqliteConnection,
    now: i64,
    class: Class,
    process: Option<i64>,
    excess: i64,
) -> Result<u64, sqlx::Error> {
    match class {
        Class::Spans => {
            let removed = segments(db, SPANS, process, i64::MAX, excess).await?;
            // Fine tiles go with the polls that they sum up: together they say little more.
            let rest: Option<i64> = sqlx::query_scalar(
                "SELECT min(end_at) FROM segment INDEXED BY segment_by_age
                 WHERE kind < 4 AND (?1 IS NULL OR process = ?1)",
            )
            .bind(process)
            .fetch_one(&mut *db)
            .await?;
            let mut fine = 0;
            for level in 0..FINE_LEVELS {
                fine += tiles(db, (level, now), process, rest.unwrap_or(i64::MAX)).await?;
            }
            Ok(removed + fine)
        }
        Class::Tasks => segments(db, TASKS, process, i64::MAX, excess).await,
        Class::Tiles => {
            for level in 0..LEVELS {
                let removed = tiles(db, (level, now), process, i64::MAX).await?;
                if removed > 0 {
                    return Ok(removed);
                }
            }
            Ok(0)
        }
        Class::Rollups => {
            for level in 0..STEPS.len() {
                let removed = rollups(db, (level, now), process, i64::MAX).await?;
                if removed > 0 {
                    return Ok(removed);
                }
            }
            Ok(0)
        }
        Class::Rows if process.is_some() => Ok(0),
        Class::Rows => oldest_rows(db).await,
    }
}

/// Bytes of pages that hold something.
async fn used_bytes(db: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let pages = pragma(db, "PRAGMA page_count").await?;
    let free = pragma(db, "PRAGMA freelist_count").await?;
    let size = pragma(db, "PRAGMA page_size").await?;
    Ok(pages.saturating_sub(free).saturating_mul(size).max(0) as u64)
}

async fn pragma(db: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(db).await
}

/// Everything that ended before `cutoff`, in the order in which it may go.
async fn older_than(db: &mut SqliteConnection, now: i64, cutoff: i64) -> Result<u64, sqlx::Error> {
    let mut removed = segments(db, SPANS, None, cutoff, i64::MAX).await?;
    removed += segments(db, TASKS, None, cutoff, i64::MAX).await?;
    for level in 0..LEVELS {
        removed += tiles(db, (level, now), None, cutoff).await?;
    }
    for level in 0..STEPS.len() {
        removed += rollups(db, (level, now), None, cutoff).await?;
    }
    removed += metrics(db, now, cutoff).await?;
    for log in [READINGS, APP_SPANS, MARKS, HOLDS] {
        removed += log.older_than(db, cutoff).await?;
    }
    removed += waits(db, cutoff).await?;
    removed += dumps(db, cutoff).await?;
    for sql in [LOSSES, COVERAGE, ENDED_TASKS, SLOW_POLLS, SAMPLES] {
        removed += chunk(db, sql, cutoff).await?;
    }
    removed += resources(db, cutoff).await?;
    if removed == 0 {
        removed = processes(db, cutoff).await?;
    }
    Ok(removed)
}

/// Rows that say what happened when, each kind with the instant of its oldest.
const OLDEST: [(RowKind, &str); 9] = [
    (
        RowKind::Tasks,
        "SELECT min((SELECT min(ended_at) FROM task t INDEXED BY task_by_end
            WHERE t.process = p.id AND ended_at IS NOT NULL)) FROM process p",
    ),
    (RowKind::Log(METRICS), "SELECT at FROM metric ORDER BY rowid LIMIT 1"),
    (RowKind::Log(READINGS), "SELECT at FROM resource_reading ORDER BY rowid LIMIT 1"),
    (RowKind::Log(APP_SPANS), "SELECT closed_at FROM app_span ORDER BY rowid LIMIT 1"),
    (RowKind::Log(MARKS), "SELECT at FROM mark ORDER BY rowid LIMIT 1"),
    (RowKind::Log(HOLDS), "SELECT ended_at FROM hold ORDER BY rowid LIMIT 1"),
    (
        RowKind::Waits,
        "SELECT min((SELECT min(began_at) FROM wait w INDEXED BY wait_by_time
            WHERE w.process = p.id)) FROM process p",
    ),
    (
        RowKind::Resources,
        "SELECT min((SELECT min(closed_at) FROM resource r INDEXED BY resource_by_close
            WHERE r.process = p.id AND closed_at IS NOT NULL)) FROM process p",
    ),
    (
        RowKind::Dumps,
        "SELECT d.began_at FROM task_dump d INDEXED BY task_dump_by_age
         WHERE d.dump < (SELECT max(n.dump) FROM task_dump n WHERE n.process = d.process)
            OR EXISTS (SELECT 1 FROM dumped_task t WHERE t.process = d.process AND t.dump = d.dump)
         ORDER BY d.began_at LIMIT 1",
    ),
];

#[derive(Clone, Copy)]
enum RowKind {
    Tasks,
    Log(Log),
    Waits,
    Resources,
    Dumps,
}

/// Some rows of the kind whose oldest is the oldest of all. Slow polls and what goes with them are not
/// among them.
async fn oldest_rows(db: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let mut kinds = Vec::new();
    for (kind, sql) in OLDEST {
        let oldest: Option<Option<i64>> = sqlx::query_scalar(sql).fetch_optional(&mut *db).await?;
        if let Some(at) = oldest.flatten() {
            kinds.push((at, kind));
        }
    }
    kinds.sort_by_key(|&(at, _)| at);
    for (_, kind) in kinds {
        let removed = match kind {
            RowKind::Tasks => chunk(db, ENDED_TASKS, i64::MAX).await?,
            RowKind::Log(log) => log.first(db).await?,
            // The oldest may last still; then it is the turn of others.
            RowKind::Waits => waits(db, i64::MAX).await?,
            RowKind::Resources => resources(db, i64::MAX).await?,
            RowKind::Dumps => dumps(db, i64::MAX).await?,
        };
        if removed > 0 {
            return Ok(removed);
        }
    }
    Ok(0)
}

/// What holds now stays.
const COVERAGE: &str = "DELETE FROM coverage_change WHERE rowid IN
    (SELECT c.rowid FROM process p
     CROSS JOIN coverage_change c INDEXED BY coverage_by_time ON c.process = p.id AND c.at < ?1
     WHERE EXISTS (SELECT 1 FROM coverage_change n
        WHERE n.process = c.process AND (n.at, n.rowid) > (c.at, c.rowid)) LIMIT ?2)";
/// Waits that are over: they ended, or their task did, or their process, or their end may be among
/// what was lost. A wait without a beginning is one whose beginning was lost.
const DOOMED_WAITS: &str = "SELECT w.process, w.wait FROM process p
    CROSS JOIN wait w INDEXED BY wait_by_time ON w.process = p.id AND w.began_at < ?1
    WHERE w.ended_at < ?1 OR (w.ended_at IS NULL AND (p.ended_at < ?1
        OR (w.task <> 0 AND NOT EXISTS (SELECT 1 FROM task t WHERE t.process = w.process
            AND t.task = w.task AND coalesce(t.ended_at, ?1) >= ?1))
        OR EXISTS (SELECT 1 FROM loss x INDEXED BY loss_of_waits
            WHERE x.process = w.process AND x.to_at >= w.began_at AND x.to_at < ?1 AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9)))
    UNION ALL
    SELECT w.process, w.wait FROM process p
    CROSS JOIN wait w INDEXED BY wait_by_time ON w.process = p.id AND w.began_at IS NULL
    WHERE w.ended_at < ?1
    LIMIT ?2";
/// A loss that may have taken the ends of waits stays until they are gone: it is why they do not
/// count as pending.
const LOSSES: &str = "DELETE FROM loss WHERE id IN
    (SELECT x.id FROM process p
     CROSS JOIN loss x INDEXED BY loss_by_time ON x.process = p.id AND x.to_at < ?1
     WHERE x.cause = 9 OR x.kind <> 9 OR NOT EXISTS
        (SELECT 1 FROM wait w INDEXED BY wait_pending WHERE w.process = x.process
         AND w.began_at <= x.to_at AND w.ended_at IS NULL) LIMIT ?2)";
const ENDED_TASKS: &str = "DELETE FROM task WHERE (process, task) IN
    (SELECT t.process, t.task FROM process p CROSS JOIN task t
     ON t.process = p.id AND t.ended_at IS NOT NULL AND t.ended_at < ?1 LIMIT ?2)";
const SLOW_POLLS: &str = "DELETE FROM slow_poll WHERE (process, loop, worker, start_at) IN
    (SELECT s.process, s.loop, s.worker, s.start_at FROM process p CROSS JOIN slow_poll s
     ON s.process = p.id AND s.last_at < ?1 ORDER BY s.last_at LIMIT ?2)";
const SAMPLES: &str = "DELETE FROM sample WHERE (process, loop, worker, poll_started_at, at) IN
    (SELECT process, loop, worker, poll_started_at, at FROM sample a WHERE at < ?1
     AND NOT EXISTS (SELECT 1 FROM slow_poll s WHERE s.process = a.process AND s.loop = a.loop
         AND s.worker = a.worker AND s.start_at = a.poll_started_at) LIMIT ?2)";
const CLOSED_RESOURCES: &str = "SELECT r.process, r.resource FROM process p
    CROSS JOIN resource r
    ON r.process = p.id AND r.closed_at IS NOT NULL AND r.closed_at < ?1 LIMIT ?2";

pub(super) async fn chunk(
    db: &mut SqliteConnection,
    sql: &'static str,
    cutoff: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(sql).bind(cutoff).bind(MAX_ROWS).execute(db).await?;
    Ok(done.rows_affected())
}

/// Removes waits that were over before `cutoff`, with their holders.
async fn waits(db: &mut SqliteConnection, cutoff: i64) -> Result<u64, sqlx::Error> {
    let doomed: Vec<(i64, i64)> =
        sqlx::query_as(DOOMED_WAITS).bind(cutoff).bind(MAX_ROWS).fetch_all(&mut *db).await?;
    remove_keys(db, &["wait_holder", "wait"], "wait", doomed).await
}

/// The oldest dump of which there is something to remove. Of the latest of each process the head stays,
/// so that no number is given twice.
const DOOMED_DUMP: &str = "SELECT d.process, d.dump,
        d.dump < (SELECT max(n.dump) FROM task_dump n WHERE n.process = d.process) AS is_older
    FROM task_dump d INDEXED BY task_dump_by_age WHERE d.began_at < ?1 AND (is_older
        OR EXISTS (SELECT 1 FROM dumped_task t WHERE t.process = d.process AND t.dump = d.dump))
    ORDER BY d.began_at LIMIT 1";

/// Removes some of a dump that was asked for before `cutoff`.
async fn dumps(db: &mut SqliteConnection, cutoff: i64) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_as(DOOMED_DUMP).bind(cutoff);
    let Some((process, dump, is_older)): Option<(i64, i64, bool)> =
        query.fetch_optional(&mut *db).await?
    else {
        return Ok(0);
    };
    let sql = "DELETE FROM dumped_task WHERE (process, dump, task, awaits_task) IN
        (SELECT process, dump, task, awaits_task FROM dumped_task
         WHERE process = ? AND dump = ? LIMIT ?)";
    let query = sqlx::query(sql).bind(process).bind(dump).bind(MAX_ROWS);
    let removed = query.execute(&mut *db).await?.rows_affected();
    if removed >= MAX_ROWS as u64 || !is_older {
        return Ok(removed);
    }
    let sql = "DELETE FROM task_dump WHERE process = ? AND dump = ?";
    let gone = sqlx::query(sql).bind(process).bind(dump).execute(db).await?;
    Ok(removed + gone.rows_affected())
}

/// Removes resources that were closed before `cutoff`, with their states.
async fn resources(db: &mut SqliteConnection, cutoff: i64) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_as(CLOSED_RESOURCES).bind(cutoff).bind(MAX_ROWS);
    let doomed: Vec<(i64, i64)> = query.fetch_all(&mut *db).await?;
    remove_keys(db, &["resource_state", "resource"], "resource", doomed).await
}

/// Removes rows by process and `column` from each of the tables.
pub(super) async fn remove_keys(
    db: &mut SqliteConnection,
    tables: &[&str],
    column: &str,
    doomed: Vec<(i64, i64)>,
) -> Result<u64, sqlx::Error> {
    if doomed.is_empty() {
        return Ok(0);
    }
    let keys = serde_json::to_string(&doomed).unwrap_or_default();
    let key = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)";
    for table in tables {
        let sql = format!("DELETE FROM {table} WHERE (process, {column}) IN ({key})");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&keys).execute(&mut *db).await?;
    }
    Ok(doomed.len() as u64)
}

/// Readings of resources beyond [`MAX_READINGS`], the oldest.
async fn surplus_readings(db: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM resource_reading WHERE rowid IN
        (SELECT rowid FROM resource_reading
         WHERE rowid <= (SELECT max(rowid) FROM resource_reading) - ? ORDER BY rowid LIMIT ?)";
    let done = sqlx::query(sql).bind(MAX_READINGS).bind(MAX_ROWS).execute(db).await?;
    Ok(done.rows_affected())
}

/// Kinds of segments, and the index by the age of each.
const SPANS: (&str, &str) = ("kind < 4", "segment_by_age");
const TASKS: (&str, &str) = ("kind = 4", "segment_of_tasks_by_age");

/// Segments of these kinds that end before `cutoff`, the oldest first, as many as hold about `bytes`.
async fn segments(
    db: &mut SqliteConnection,
    (kinds, by_age): (&str, &str),
    process: Option<i64>,
    cutoff: i64,
    bytes: i64,
) -> Result<u64, sqlx::Error> {
    let index = if process.is_some() { "segment_by_time" } else { by_age };
    let process_is = if process.is_some() { "process = ?4" } else { "?4 IS NULL" };
    // The length of a blob is known without reading it.
    let sql = format!(
        "SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY end_at, id) - size AS before FROM
            (SELECT id, end_at, length(data) AS size FROM segment INDEXED BY {index}
             WHERE end_at < ?1 AND {kinds} AND {process_is} ORDER BY end_at, id LIMIT ?2))
         WHERE before < ?3"
    );
    let doomed: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(cutoff)
        .bind(MAX_SEGMENTS)
        .bind(bytes)
        .bind(process)
        .fetch_all(&mut *db)
        .await?;
    if doomed.is_empty() {
        return Ok(0);
    }
    let ids = serde_json::to_string(&doomed).unwrap_or_default();
    let sql = "DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(&ids).execute(&mut *db).await?;
    Ok(doomed.len() as u64)
}

/// Tiles of a level that end before `cutoff`. Those not folded yet are in no coarser one, and
/// stay until they are; but for those of a clock that is ahead, which nobody folds.
async fn tiles(
    db: &mut SqliteConnection,
    (level, now): (u8, i64),
    process: Option<i64>,
    cutoff: i64,
) -> Result<u64, sqlx::Error> {
    let width = bucket_width(level).saturating_mul(BUCKETS as u64) as i64;
    let sql = "DELETE FROM tile WHERE id IN
        (SELECT t.id FROM process p CROSS JOIN tile t
         ON t.process = p.id AND t.level = ?1 AND t.tile < ?2
         WHERE (t.folded = 1 OR t.level = ?3 OR t.tile > ?6) AND (?5 IS NULL OR p.id = ?5)
         ORDER BY t.tile LIMIT ?4)";
    let done = sqlx::query(sql)
        .bind(i64::from(level))
        .bind(cutoff / width)
        .bind(i64::from(LEVELS) - 1)
        .bind(MAX_ROWS)
        .bind(process)
        .bind(now / width)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Roll-ups of a level that end before `cutoff`; those not folded yet stay until they are.
async fn rollups(
    db: &mut SqliteConnection,
    (level, now): (usize, i64),
    process: Option<i64>,
    cutoff: i64,
) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM rollup WHERE id IN
        (SELECT r.id FROM process p CROSS JOIN rollup r INDEXED BY rollup_by_step
         ON r.process = p.id AND r.level = ?1 AND r.step < ?2
         WHERE (r.folded = 1 OR r.level = ?3 OR r.step > ?6) AND (?5 IS NULL OR p.id = ?5)
         ORDER BY r.step LIMIT ?4)";
    let done = sqlx::query(sql)
        .bind(level as i64)
        .bind(cutoff.div_euclid(STEPS[level]))
        .bind(STEPS.len() as i64 - 1)
        .bind(MAX_ROWS)
        .bind(process)
        .bind(now.div_euclid(STEPS[level]))
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Processes that ended before `cutoff` and of which nothing is left but who they were.
async fn processes(db: &mut SqliteConnection, cutoff: i64) -> Result<u64, sqlx::Error> {
    let sql = "SELECT id FROM process WHERE ended_at < ? AND state <> 1 LIMIT 16";
    let ended: Vec<i64> = sqlx::query_scalar(sql).bind(cutoff).fetch_all(&mut *db).await?;
    let mut removed = 0;
    for process in ended {
        removed += forget(db, process, MAX_ROWS as u64 - removed).await?;
        if removed >= MAX_ROWS as u64 {
            break;
        }
    }
    Ok(removed)
}

/// Removes up to `max` rows of a process, and the process itself once nothing else is left.
async fn forget(db: &mut SqliteConnection, process: i64, max: u64) -> Result<u64, sqlx::Error> {
    const PARTS: [(&str, &str); 31] = [
        ("note", "id"),
        ("finding", "process, rule, subject"),
        ("rollup", "id"),
        ("setting", "scope, app, process"),
        ("wait", "process, wait"),
        ("wait_holder", "process, wait, place"),
        ("hold", "rowid"),
        ("resource_state", "process, resource"),
        ("resource_reading", "rowid"),
        ("mark", "rowid"),
        ("app_span", "rowid"),
        ("coverage_change", "rowid"),
        ("dumped_task", "process, dump, task, awaits_task"),
        ("task_dump", "process, dump"),
        ("task", "process, task"),
        ("resource", "process, resource"),
        ("slow_poll", "process, loop, worker, start_at"),
        ("sample", "process, loop, worker, poll_started_at, at"),
        ("metric", "rowid"),
        ("tile", "id"),
        ("segment", "id"),
        ("usage", "process, class"),
        ("loss", "id"),
        ("slow_poll_count", "process"),
        ("loss_sum", "process, kind, cause"),
        ("ledger_entry", "process, kind"),
        ("name", "process, name"),
        ("location", "process, location"),
        ("stack", "process, stack"),
        ("worker", "process, loop, worker"),
        ("loop", "process, loop"),
    ];
    let mut removed = 0;
    for (table, key) in PARTS {
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN
                (SELECT {key} FROM {table} WHERE process = ? LIMIT ?)"
        );
        let query =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(process).bind((max - removed) as i64);
        removed += query.execute(&mut *db).await?.rows_affected();
        if removed >= max {
            return Ok(removed);
        }
    }
    let gone = sqlx::query("DELETE FROM process WHERE id = ?").bind(process).execute(db).await?;
    Ok(removed + gone.rows_affected())
}

/// Gives some free pages back to the file system; returns whether there are more.
pub(super) async fn shrink(db: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let free = pragma(db, "PRAGMA freelist_count").await?;
    let pages = pragma(db, "PRAGMA page_count").await?;
    // Some free pages are what the next commits fill: to give them back means to move others. With
    // so many of them a file is still within a twentieth of its budget.
    let spare = MIN_FREE_PAGES.max(pages / 25);
    if free < spare {
        return Ok(false);
    }
    let given = MAX_FREE_PAGES.min(free / 2);
    // It frees one page for each row that is fetched.
    let sql = format!("PRAGMA incremental_vacuum({given})");
    sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *db).await?;
    Ok(free - given >= spare)
}
