//! When tasks were spawned and ended, in a range: one by one while they are few enough, else from
//! roll-ups, to within ten seconds.

use rusqlite::Connection;

use super::bounds::SCALE;
use super::{alive, rollups};
use crate::sql::packed_rows::NULL;
use crate::task_table::{self, Records};
use crate::writer::tasks::{ENDED_AT, SPAWN_LOCATION, SPAWNED_AT, TASK};
use loopd_analysis::rollup::STEPS;

/// So many lives are looked at one by one: some 20 ms.
pub(super) const MAX_LIVES: i64 = 200_000 / SCALE as i64;

/// Tasks of one spawn location; what is not known, or not in the range asked for, may be left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    pub(super) location: Option<i64>,
    pub(super) born: Option<i64>,
    pub(super) died: Option<i64>,
    /// How many.
    pub(super) tasks: i64,
}

/// Gives every life that began or ended after `from` and by `to`; those whose spawn was not seen are left
/// out, and callbacks, which have none. What came after `to` costs nothing. Whether it gave them one by one,
/// as opposed to steps of which the first and the last may reach beyond the range.
pub(super) fn between(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    mut each: impl FnMut(Lives),
) -> rusqlite::Result<bool> {
    let births = alive::born_between(db, process, (from, to), MAX_LIVES + 1)?;
    if births.len() as i64 > MAX_LIVES || count(db, process, (from, to))? > MAX_LIVES {
        from_rollups(db, process, (from, to), each)?;
        return Ok(false);
    }
    for (location, born) in births {
        each(Lives { location, born: Some(born), died: None, tasks: 1 });
    }
    let mut statement = db.prepare(ENDED)?;
    let mut rows = statement.query((process, from, to))?;
    while let Some(row) = rows.next()? {
        let (location, born, died) = (row.get(0)?, row.get(1)?, row.get(2)?);
        each(Lives { location, born, died, tasks: 1 });
    }
    if to < i64::MAX {
        let mut statement = db.prepare(ENDED_LATER)?;
        let mut rows = statement.query((process, from, to))?;
        while let Some(row) = rows.next()? {
            each(Lives { location: row.get(0)?, born: row.get(1)?, died: None, tasks: 1 });
        }
    }
    const COLUMNS: u64 = 1 << SPAWN_LOCATION | 1 << SPAWNED_AT | 1 << ENDED_AT;
    records(db, process, (from, to), COLUMNS, |records, row| {
        let is_in = |at: i64| (from + 1..=to).contains(&at).then_some(at);
        let (born, died) = (records.value(row, SPAWNED_AT), records.value(row, ENDED_AT));
        let (born, died) = (is_in(born), is_in(died));
        if born.is_some() || died.is_some() {
            each(Lives { location: location_of(records, row), born, died, tasks: 1 });
        }
    })?;
    Ok(true)
}

/// Gives location, birth and id of the tasks that were alive at an instant and have lived shortly and well
/// since: they have no rows.
pub(super) fn alive_records(
    db: &Connection,
    process: i64,
    at: i64,
    mut each: impl FnMut(Option<i64>, i64, i64),
) -> rusqlite::Result<()> {
    const COLUMNS: u64 = 1 << SPAWN_LOCATION | 1 << SPAWNED_AT | 1 << ENDED_AT;
    records(db, process, (at, at), COLUMNS, |records, row| {
        let (born, died) = (records.value(row, SPAWNED_AT), records.value(row, ENDED_AT));
        if born <= at && died > at {
            each(location_of(records, row), born, records.value(row, TASK));
        }
    })
}

/// Where a record's task was spawned.
pub(super) fn location_of(records: &Records, row: usize) -> Option<i64> {
    Some(records.value(row, SPAWN_LOCATION)).filter(|&at| at != NULL)
}

/// Of the rows of those that ended, the ones that did so after `?2` and by `?3`.
const ENDED: &str = "SELECT spawn_location, spawned_at, ended_at FROM task INDEXED BY task_by_end
    WHERE process = ?1 AND ended_at > ?2 AND ended_at <= ?3 AND spawned_at IS NOT NULL
        AND kind IS NOT 4";

/// And those that were spawned then, but ended later.
const ENDED_LATER: &str = "SELECT spawn_location, spawned_at FROM task INDEXED BY task_by_spawn
    WHERE process = ?1 AND spawned_at > ?2 AND spawned_at <= ?3 AND ended_at > ?3
        AND kind IS NOT 4";

/// Segments of records that overlap a range. The search ends by the index, which has ends: no segment is
/// longer than the longest.
const SEGMENTS: &str = "SELECT data, id FROM segment INDEXED BY segment_by_time
    WHERE process = ?1 AND kind = 4 AND end_at > ?2 AND start_at <= ?3
        AND end_at <= ?3 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = 4
            ORDER BY end_at - start_at DESC LIMIT 1), 0)";

/// How many records each of these has.
const SPANS: &str = "SELECT spans, end_at FROM segment INDEXED BY segment_by_time
    WHERE process = ?1 AND kind = 4 AND end_at > ?2 AND start_at <= ?3
        AND end_at <= ?3 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = 4
            ORDER BY end_at - start_at DESC LIMIT 1), 0)";

/// Gives every record of the segments that overlap a range, with these columns; others may be among them.
pub(super) fn records(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    columns: u64,
    mut each: impl FnMut(&Records, usize),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(SEGMENTS)?;
    let mut void = db.prepare("SELECT task FROM task_void WHERE segment = ?")?;
    // No sum with a length may be more than SQL has.
    let mut segments = statement.query((process, from, to.min(i64::MAX / 2)))?;
    while let Some(row) = segments.next()? {
        // What is damaged holds nothing.
        let records = task_table::read(row.get_ref(0)?.as_blob()?, columns, None);
        let mut records = records.unwrap_or_default();
        let void = void.query_map([row.get::<_, i64>(1)?], |row| row.get(0))?;
        records.leave_out(&void.collect::<Result<_, _>>()?);
        (0..records.len()).for_each(|row| each(&records, row));
    }
    Ok(())
}

/// The same of the latest segments, until so many records were given.
pub(super) fn latest_records(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    columns: u64,
    each: impl FnMut(&Records, usize),
) -> rusqlite::Result<()> {
    let sql = format!("{SPANS} ORDER BY end_at DESC LIMIT ?4");
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query((process, from, to.min(i64::MAX / 2), MAX_LIVES))?;
    let (mut left, mut first) = (MAX_LIVES, None);
    while let Some(row) = rows.next()? {
        left -= row.get::<_, i64>(0)?;
        if left < 0 && first.is_some() {
            break;
        }
        first = Some(row.get::<_, i64>(1)?);
    }
    // No segment before that is looked at.
    match first {
        Some(first) => records(db, process, (from.max(first - 1), to), columns, each),
        None => Ok(()),
    }
}

/// How many lives there are to look at, at least; one more than may be if there are more.
fn count(db: &Connection, process: i64, (from, to): (i64, i64)) -> rusqlite::Result<i64> {
    const ROWS: &str = "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_by_end
        WHERE process = ?1 AND ended_at > ?2 AND ended_at <= ?3 LIMIT ?4)";
    const BORN: &str = "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_by_spawn
        WHERE process = ?1 AND spawned_at > ?2 AND spawned_at <= ?3 AND ended_at IS NOT NULL
        LIMIT ?4)";
    let records = format!("SELECT total(spans) FROM ({SPANS} LIMIT ?4)");
    let key = (process, from, to.min(i64::MAX / 2), MAX_LIVES + 1);
    let mut rows: i64 = db.query_row(ROWS, key, |row| row.get(0))?;
    if to < i64::MAX {
        rows = rows.max(db.query_row(BORN, key, |row| row.get(0))?);
    }
    let records: f64 = db.query_row(&records, key, |row| row.get(0))?;
    Ok(rows.saturating_add(records as i64))
}

fn from_rollups(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    mut each: impl FnMut(Lives),
) -> rusqlite::Result<()> {
    // The finest steps are kept for an hour: not all of a range that begins before.
    const FIRST: &str = "SELECT min(step) FROM rollup WHERE process = ? AND level = 0";
    let first: Option<i64> = db.query_row(FIRST, [process], |row| row.get(0))?;
    let has_finest = first.is_some_and(|first| first.saturating_mul(STEPS[0]) <= from);
    for level in if has_finest { 0..2 } else { 1..2 } {
        let steps = rollups::read(db, process, (from, to), level, None)?;
        if steps.is_empty() {
            continue;
        }
        for (step, cells) in steps {
            // In the middle of the step, which is as right as any instant in it.
            let at = step.saturating_mul(STEPS[level]).saturating_add(STEPS[level] / 2).min(to);
            for (location, cell) in cells {
                let location = (location != 0).then_some(location);
                let lives = |born, died, tasks: u64| {
                    let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
                    Lives { location, born, died, tasks }
                };
                each(lives(Some(at), None, cell.spawned));
                each(lives(None, Some(at), cell.ended));
            }
        }
        break;
    }
    Ok(())
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [ENDED, ENDED_LATER, SEGMENTS];
