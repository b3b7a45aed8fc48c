//! When tasks were spawned and ended, since an instant: one by one while they are few enough, else
//! from roll-ups, to within ten seconds.

use rusqlite::Connection;

use super::bounds::SCALE;
use super::{alive, rollups};
use crate::sql::packed_rows::NULL;
use crate::task_table;
use crate::writer::tasks::{ENDED_AT, SPAWN_LOCATION, SPAWNED_AT};
use loopd_analysis::rollup::STEPS;

/// So many lives are looked at one by one: some 20 ms.
pub(super) const MAX_LIVES: i64 = 200_000 / SCALE as i64;

/// Tasks of one spawn location; what is not known, or not after the instant asked for, may be left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    pub(super) location: Option<i64>,
    pub(super) born: Option<i64>,
    pub(super) died: Option<i64>,
    /// How many.
    pub(super) tasks: i64,
    /// Whether they have rows.
    pub(super) have_rows: bool,
}

/// Gives every life that began or ended after `from`; those whose spawn was not seen are left out.
pub(super) fn after(
    db: &Connection,
    process: i64,
    from: i64,
    mut each: impl FnMut(Lives),
) -> rusqlite::Result<()> {
    let births = alive::born_since(db, process, from, MAX_LIVES + 1)?;
    if births.len() as i64 > MAX_LIVES || count(db, process, from)? > MAX_LIVES {
        return from_rollups(db, process, from, each);
    }
    for (location, born) in births {
        each(Lives { location, born: Some(born), died: None, tasks: 1, have_rows: true });
    }
    const ROWS: &str =
        "SELECT spawn_location, spawned_at, ended_at FROM task INDEXED BY task_by_end
        WHERE process = ?1 AND ended_at > ?2 AND spawned_at IS NOT NULL";
    let mut statement = db.prepare(ROWS)?;
    let mut rows = statement.query((process, from))?;
    while let Some(row) = rows.next()? {
        let (location, born, died) = (row.get(0)?, row.get(1)?, row.get(2)?);
        each(Lives { location, born, died, tasks: 1, have_rows: true });
    }
    const SEGMENTS: &str = "SELECT data, id FROM segment INDEXED BY segment_by_time
        WHERE process = ?1 AND kind = 4 AND end_at > ?2";
    const COLUMNS: u64 = 1 << SPAWN_LOCATION | 1 << SPAWNED_AT | 1 << ENDED_AT;
    let mut statement = db.prepare(SEGMENTS)?;
    let mut void = db.prepare("SELECT task FROM task_void WHERE segment = ?")?;
    let mut segments = statement.query((process, from))?;
    while let Some(row) = segments.next()? {
        // What is damaged holds nothing.
        let records = task_table::read(row.get_ref(0)?.as_blob()?, COLUMNS, None);
        let mut records = records.unwrap_or_default();
        let void = void.query_map([row.get::<_, i64>(1)?], |row| row.get(0))?;
        records.leave_out(&void.collect::<Result<_, _>>()?);
        for row in 0..records.len() {
            let (born, died) = (records.value(row, SPAWNED_AT), records.value(row, ENDED_AT));
            if died > from {
                let location = Some(records.value(row, SPAWN_LOCATION)).filter(|&at| at != NULL);
                let (born, died) = (Some(born), Some(died));
                each(Lives { location, born, died, tasks: 1, have_rows: false });
            }
        }
    }
    Ok(())
}

/// How many lives there are to look at, at least; one more than may be if there are more.
fn count(db: &Connection, process: i64, from: i64) -> rusqlite::Result<i64> {
    const ROWS: &str = "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_by_end
        WHERE process = ?1 AND ended_at > ?2 LIMIT ?3)";
    const RECORDS: &str =
        "SELECT total(spans) FROM (SELECT spans FROM segment INDEXED BY segment_by_time
        WHERE process = ?1 AND kind = 4 AND end_at > ?2 LIMIT ?3)";
    let key = (process, from, MAX_LIVES + 1);
    let rows: i64 = db.query_row(ROWS, key, |row| row.get(0))?;
    let records: f64 = db.query_row(RECORDS, key, |row| row.get(0))?;
    Ok(rows.saturating_add(records as i64))
}

fn from_rollups(
    db: &Connection,
    process: i64,
    from: i64,
    mut each: impl FnMut(Lives),
) -> rusqlite::Result<()> {
    // The finest steps are kept for an hour: not all of a range that begins before.
    const FIRST: &str = "SELECT min(step) FROM rollup WHERE process = ? AND level = 0";
    let first: Option<i64> = db.query_row(FIRST, [process], |row| row.get(0))?;
    let has_finest = first.is_some_and(|first| first.saturating_mul(STEPS[0]) <= from);
    for level in if has_finest { 0..2 } else { 1..2 } {
        let steps = rollups::read(db, process, (from, i64::MAX), level, None)?;
        if steps.is_empty() {
            continue;
        }
        for (step, cells) in steps {
            // In the middle of the step, which is as right as any instant in it.
            let at = step.saturating_mul(STEPS[level]).saturating_add(STEPS[level] / 2);
            for (location, cell) in cells {
                let location = (location != 0).then_some(location);
                let lives = |born, died, tasks: u64| {
                    let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
                    Lives { location, born, died, tasks, have_rows: true }
                };
                each(lives(Some(at), None, cell.spawned));
                each(lives(None, Some(at), cell.ended));
            }
        }
        break;
    }
    Ok(())
}
