//! What tasks did in any range, by spawn location: whole steps of roll-ups, and what is left at both ends
//! read span by span and life by life.

use std::collections::{BTreeMap, BTreeSet};

use loopd_analysis::rollup::{Cell, MAX_LOCATIONS, STEPS, merge_packed, step_of};
use loopd_model::RecordKind;
use rusqlite::Connection;

use super::raw::{self, Budget};
use crate::reader::bounds::MAX_LOOKED;
use crate::reader::{alive, lives, rollups};
use crate::segments::{Wanted, Wants};
use crate::writer::tasks::{
    CANCELLED, ENDED_AT, OUTCOME, PANICKED, RAISED, SPAWN_LOCATION, SPAWNED_AT,
};

/// By location; 0: not known.
pub(super) type Cells = BTreeMap<i64, Cell>;

/// So many hours, the last, of a range that is longer: two months.
const MAX_HOURS: i64 = 1_440;
/// Steps in which a poll or a wake began that ended only after the range are read span by span, since it was
/// not known at the end; so many, more of them would be a strange program.
const MAX_HOLES: usize = 16;

/// A part of a range, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Steps of a level of roll-ups.
    Steps { level: usize, first: i64, last: i64 },
    /// Less than a step, or of steps that are not kept.
    Raw { from: i64, to: i64 },
}

/// Cuts a range into steps as long as fit, beginning with those of `level`. The finest are kept from an
/// instant on.
fn parts(level: usize, (from, to): (i64, i64), kept: i64, into: &mut Vec<Part>) {
    let length = STEPS[level];
    let finer = |range: (i64, i64), into: &mut Vec<Part>| match level.checked_sub(1) {
        Some(level) => parts(level, range, kept, into),
        None if range.0 < range.1 => into.push(Part::Raw { from: range.0, to: range.1 }),
        None => {}
    };
    let begin = if level == 0 { from.max(kept).min(to) } else { from };
    let first = step_of(level, begin.saturating_add(length - 1));
    let last = step_of(level, to);
    if first >= last {
        return finer((from, to), into);
    }
    finer((from, first * length), into);
    let is_coarsest = level + 1 == STEPS.len();
    let first = if is_coarsest { first.max(last - MAX_HOURS) } else { first };
    into.push(Part::Steps { level, first, last });
    finer((last * length, to), into);
}

/// What tasks did from `from` until before `to`, as it was known before `to`.
pub(super) fn read(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
) -> rusqlite::Result<Cells> {
    const KEPT: &str = "SELECT min(step) FROM rollup INDEXED BY rollup_by_step
        WHERE process = ?1 AND level = 0";
    let kept: Option<i64> = db.query_row(KEPT, [process], |row| row.get(0))?;
    let kept = kept.map_or(to, |step| step.saturating_mul(STEPS[0]));
    let is_latest = raw::is_latest(db, process, to)?;
    let holes = if is_latest { BTreeSet::new() } else { holes(db, process, (from, to))? };
    // Before the first and up to the end of the last of the coarsest steps there is nothing more, and the finest
    // may not be kept any more.
    let coarsest = STEPS.len() - 1;
    let to = if is_latest { (step_of(coarsest, to - 1) + 1) * STEPS[coarsest] } else { to };
    let is_earliest = raw::is_earliest(db, process, from)?;
    let from = if is_earliest { step_of(coarsest, from) * STEPS[coarsest] } else { from };
    let mut parts_of = Vec::new();
    let mut begin = from;
    for hole in holes {
        let (first, last) = (hole.max(begin), (hole + STEPS[0]).min(to));
        parts(STEPS.len() - 1, (begin, first), kept, &mut parts_of);
        parts_of.push(Part::Raw { from: first, to: last });
        begin = last;
    }
    parts(STEPS.len() - 1, (begin, to), kept, &mut parts_of);

    let mut cells = Cells::new();
    let mut budget = Budget::default();
    for part in parts_of {
        match part {
            Part::Steps { level, first, last } => {
                add_steps(db, process, level, (first, last), &mut cells)?;
            }
            Part::Raw { from, to: end } => {
                add_spans(db, process, (from, end, to), &mut budget, &mut cells)?;
                add_lives(db, process, (from, end), &mut cells)?;
            }
        }
    }
    Ok(cells)
}

/// The finest steps in which something began that had not ended at the end of the range: the earliest.
fn holes(db: &Connection, process: i64, (from, to): (i64, i64)) -> rusqlite::Result<BTreeSet<i64>> {
    let columns = Wants { times: true, ..Wants::default() };
    let wanted =
        Wanted { start_from: from, start_to: to - 1, end_from: to, columns, ..Wanted::default() };
    let mut steps = BTreeSet::new();
    for kind in [RecordKind::Poll, RecordKind::Wake] {
        raw::each(db, (process, kind, None), &wanted, &mut Budget::default(), |_, found| {
            steps.extend(found.start.iter().map(|&start| step_of(0, start) * STEPS[0]));
        })?;
    }
    // The rest of the last step is read span by span anyway.
    steps.remove(&(step_of(0, to) * STEPS[0]));
    Ok(steps.into_iter().take(MAX_HOLES).collect())
}

fn add_steps(
    db: &Connection,
    process: i64,
    level: usize,
    (first, last): (i64, i64),
    cells: &mut Cells,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(rollups::ROWS)?;
    for (finer, &length) in STEPS.iter().enumerate().take(level + 1) {
        let ratio = STEPS[level] / length;
        let (from, to) = (first.saturating_mul(ratio), last.saturating_mul(ratio));
        let mut rows = statement.query((process, finer as i64, from, to, finer == level))?;
        while let Some(row) = rows.next()? {
            // Damaged cells are nobody's; the rest of the picture stands.
            let _ = merge_packed(row.get_ref(1)?.as_blob()?, None, cells);
        }
    }
    Ok(())
}

/// A place's cell, as roll-ups count it: no more places than they have.
fn cell(cells: &mut Cells, location: i64) -> &mut Cell {
    let has_room = cells.len() < MAX_LOCATIONS || cells.contains_key(&location);
    cells.entry(if has_room { location } else { 0 }).or_default()
}

/// Adds the polls and wakes that began in a part and ended before `to`.
fn add_spans(
    db: &Connection,
    process: i64,
    (from, end, to): (i64, i64, i64),
    budget: &mut Budget,
    cells: &mut Cells,
) -> rusqlite::Result<()> {
    for kind in [RecordKind::Poll, RecordKind::Wake] {
        let is_wake = kind == RecordKind::Wake;
        let columns = Wants { times: true, task: true, by: false, count: is_wake };
        let wanted = Wanted { start_from: from, start_to: end - 1, columns, ..Wanted::default() };
        raw::each(db, (process, kind, None), &wanted, budget, |_, found| {
            for at in 0..found.len {
                let length = found.length[at];
                if found.start[at].saturating_add(length) >= to {
                    continue;
                }
                let cell = cell(cells, found.location[at] as i64);
                let length = length.max(0) as u64;
                match kind {
                    RecordKind::Wake => cell.add_wake(length, found.count[at].max(0) as u64),
                    _ => cell.add_poll(length),
                }
            }
        })?;
    }
    Ok(())
}

/// The spawns in a part of tasks that have ended since and have a row.
const SPAWNED: &str = "SELECT spawn_location FROM task INDEXED BY task_by_spawn
    WHERE process = ?1 AND spawned_at >= ?2 AND spawned_at < ?3 AND ended_at IS NOT NULL
        AND kind IS NOT 4 LIMIT ?4";
/// And the ends.
const ENDED: &str = "SELECT spawn_location, outcome FROM task INDEXED BY task_by_end
    WHERE process = ?1 AND ended_at >= ?2 AND ended_at < ?3 AND kind IS NOT 4 LIMIT ?4";

/// Adds the tasks that were spawned and that ended in a part.
fn add_lives(
    db: &Connection,
    process: i64,
    (from, end): (i64, i64),
    cells: &mut Cells,
) -> rusqlite::Result<()> {
    let range = (from.saturating_sub(1), end.saturating_sub(1));
    for (location, _) in alive::born_between(db, process, range, MAX_LOOKED)? {
        cell(cells, location.unwrap_or(0)).spawned += 1;
    }
    let key = (process, from, end, MAX_LOOKED);
    let mut statement = db.prepare(SPAWNED)?;
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        cell(cells, row.get::<_, Option<i64>>(0)?.unwrap_or(0)).spawned += 1;
    }
    let mut statement = db.prepare(ENDED)?;
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        let location = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
        add_end(cell(cells, location), row.get::<_, Option<i64>>(1)?.unwrap_or(0));
    }
    const COLUMNS: u64 = 1 << SPAWN_LOCATION | 1 << SPAWNED_AT | 1 << ENDED_AT | 1 << OUTCOME;
    lives::records(db, process, range, COLUMNS, |records, row| {
        let location = lives::location_of(records, row).unwrap_or(0);
        if (from..end).contains(&records.value(row, SPAWNED_AT)) {
            cell(cells, location).spawned += 1;
        }
        if (from..end).contains(&records.value(row, ENDED_AT)) {
            add_end(cell(cells, location), records.value(row, OUTCOME));
        }
    })
}

fn add_end(cell: &mut Cell, outcome: i64) {
    cell.ended += 1;
    cell.panicked += u64::from([PANICKED, RAISED].contains(&outcome));
    cell.cancelled += u64::from(outcome == CANCELLED);
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [SPAWNED, ENDED];

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts in seconds.
    fn picture(from: i64, to: i64, kept: i64) -> String {
        const S: i64 = 1_000_000_000;
        let mut found = Vec::new();
        parts(STEPS.len() - 1, (from * S, to * S), kept * S, &mut found);
        let text = |part: &Part| match *part {
            Part::Raw { from, to } => format!("raw {}..{}", from / S, to / S),
            Part::Steps { level, first, last } => {
                let length = STEPS[level] / S;
                format!("{length} s {}..{}", first * length, last * length)
            }
        };
        found.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_range_is_put_together_of_steps_as_long_as_fit() {
        assert_eq!(picture(3, 8, 0), "raw 3..8");
        assert_eq!(picture(10, 40, 0), "10 s 10..40");
        assert_eq!(picture(3, 34, 0), "raw 3..10, 10 s 10..30, raw 30..34");
        assert_eq!(
            picture(3_555, 7_381, 0),
            "raw 3555..3560, 10 s 3560..3600, 3600 s 3600..7200, 60 s 7200..7380, raw 7380..7381"
        );
    }

    #[test]
    fn where_the_finest_steps_are_gone_single_spans_are_read() {
        assert_eq!(picture(43, 200, 180), "raw 43..60, 60 s 60..180, 10 s 180..200");
        assert_eq!(picture(3, 8, 20), "raw 3..8");
        assert_eq!(picture(3, 34, 20), "raw 3..20, 10 s 20..30, raw 30..34");
    }
}
