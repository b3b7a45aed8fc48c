//! How things stood with locks, channels and semaphores, at the end of a range and over it.

use std::cmp::Reverse;

use loopd_analysis::findings::{Facts, ResourceUse};
use loopd_model::ResourceId;
use rusqlite::{Connection, Row, Statement};

use super::Range;
use super::lookup::Lookup;
use crate::StoreError;
use crate::reader::bounds::SCALE;
use crate::reader::{Reader, metrics, unsigned};

/// So many resources are given: those that somebody waits for or has waited for, and that hold something.
const MAX_USES: usize = 300;
/// So many that told how things stand are looked at, the latest opened.
const MAX_STATES: i64 = 20_000 / SCALE as i64;
/// So many of these have told more since; how things stood with them is looked up.
const MAX_LATER: usize = 5_000 / SCALE as usize;
/// So many readings of one resource are put together to what was told last of each sort.
const MAX_READINGS: i64 = 50;
/// So many within one step of the range, likewise.
const MAX_IN_STEP: i64 = 4;

const COLUMNS: &str = "at, depth, waiters, permits, capacity, sent, received, acquired, contended,
    waited_time, held_time, lagged";

fn states_sql() -> String {
    format!(
        "SELECT {COLUMNS}, resource FROM resource_state WHERE process = ?1
         ORDER BY resource DESC LIMIT ?2"
    )
}

/// What a resource told from `?3` to `?4`, latest first.
fn readings_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM resource_reading INDEXED BY resource_reading_by_time
         WHERE process = ?1 AND resource = ?2 AND at >= ?3 AND at <= ?4
         ORDER BY at DESC, rowid DESC LIMIT ?5"
    )
}

impl Reader {
    pub(super) async fn add_uses(&self, range: Range, facts: &mut Facts) -> Result<(), StoreError> {
        let read = move |db: &Connection| uses(db, range);
        let read = self.raw.ask(read).await;
        facts.uses = read.map_err(StoreError::sqlite("read how resources stood"))?;
        Ok(())
    }
}

/// What a resource had told last of each sort by some instant.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: i64,
    depth: Option<i64>,
    waiters: Option<i64>,
    permits: Option<i64>,
    capacity: Option<i64>,
    /// Running totals: sent, received, acquired, contended, waited and held time, lagged.
    totals: [Option<i64>; 7],
}

impl Told {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut totals = [None; 7];
        for (i, total) in totals.iter_mut().enumerate() {
            *total = row.get(5 + i)?;
        }
        Ok(Self {
            at: row.get(0)?,
            depth: row.get(1)?,
            waiters: row.get(2)?,
            permits: row.get(3)?,
            capacity: row.get(4)?,
            totals,
        })
    }

    /// Adds an earlier reading.
    fn add_earlier(&mut self, other: &Self) {
        self.depth = self.depth.or(other.depth);
        self.waiters = self.waiters.or(other.waiters);
        self.permits = self.permits.or(other.permits);
        self.capacity = self.capacity.or(other.capacity);
        for (mine, theirs) in self.totals.iter_mut().zip(other.totals) {
            *mine = mine.or(theirs);
        }
    }

    /// What makes it worth a look: who waits, how often somebody did, what is in it.
    fn weight(&self) -> (i64, i64, i64) {
        let [.., contended, _, _, lagged] = self.totals;
        let known = |value: Option<i64>| value.unwrap_or(0).max(0);
        (known(self.waiters), known(contended).saturating_add(known(lagged)), known(self.depth))
    }
}

/// Readings of one resource at a time.
struct Readings<'db> {
    process: i64,
    statement: Statement<'db>,
}

impl Readings<'_> {
    /// What it had told from one instant to another; `None` if nothing.
    fn told(
        &mut self,
        resource: i64,
        (from, to): (i64, i64),
        most: i64,
    ) -> rusqlite::Result<Option<Told>> {
        let rows =
            self.statement.query_map((self.process, resource, from, to, most), Told::read)?;
        let mut told: Option<Told> = None;
        for row in rows {
            let row = row?;
            match &mut told {
                Some(told) => told.add_earlier(&row),
                None => told = Some(row),
            }
        }
        Ok(told)
    }
}

fn uses(db: &Connection, range: Range) -> rusqlite::Result<Vec<ResourceUse>> {
    let mut readings =
        Readings { process: range.process.0, statement: db.prepare(&readings_sql())? };
    let mut statement = db.prepare(&states_sql())?;
    let mut rows = statement.query((range.process.0, MAX_STATES))?;
    let (mut found, mut later) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (latest, resource) = (Told::read(row)?, row.get::<_, i64>(12)?);
        let told = if latest.at <= range.to {
            Some(latest)
        } else if later < MAX_LATER {
            later += 1;
            readings.told(resource, (i64::MIN, range.to), MAX_READINGS)?
        } else {
            None
        };
        found.extend(told.filter(|told| told.weight() > (0, 0, 0)).map(|told| (told, resource)));
    }
    found.sort_by_key(|(told, resource)| (Reverse(told.weight()), *resource));
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut uses = Vec::new();
    for (told, resource) in found {
        let thing = lookup.thing(resource)?;
        let closed_at = thing.closed_at;
        if closed_at.is_some_and(|closed| closed < range.from) {
            continue;
        }
        let before = if range.from > range.started {
            readings.told(resource, (i64::MIN, range.from - 1), MAX_READINGS)?
        } else {
            None
        };
        // Totals are told when they change: of one that told nothing in the range nothing is of the range.
        let is_quiet = told.at < range.from;
        let before = before.unwrap_or_default();
        let rise = |i: usize| {
            let total = told.totals[i]?;
            let before = if is_quiet { total } else { before.totals[i].unwrap_or(0) };
            Some(unsigned(total.saturating_sub(before)))
        };
        let [depths, waiters, permits] =
            series(&mut readings, range, resource, &before, closed_at)?;
        uses.push(ResourceUse {
            resource: ResourceId(resource as u64),
            kind: thing.kind,
            name: thing.name,
            location: thing.place,
            depths,
            waiters,
            permits,
            capacity: told.capacity.map(unsigned),
            sent: rise(0),
            received: rise(1),
            acquired: rise(2),
            contended: rise(3),
            waited_time: rise(4),
            held_time: rise(5),
            lagged: rise(6),
            ..ResourceUse::default()
        });
        if uses.len() == MAX_USES {
            break;
        }
    }
    Ok(uses)
}

/// Depth, waiters and permits at even steps of the range: what was told last by the end of each.
fn series(
    readings: &mut Readings<'_>,
    range: Range,
    resource: i64,
    before: &Told,
    closed_at: Option<i64>,
) -> rusqlite::Result<[Vec<Option<f64>>; 3]> {
    let steps = metrics::Steps::new(range.from, range.end(), Facts::POINTS);
    let mut of_steps = vec![None; Facts::POINTS];
    let mut until = range.to;
    // From the end to the beginning, past all readings of a step but its last.
    while let Some(last) = readings.told(resource, (range.from, until), 1)? {
        let step = steps.of(last.at);
        let start = steps.start(step);
        of_steps[step] = readings.told(resource, (start.min(last.at), last.at), MAX_IN_STEP)?;
        until = start - 1;
    }
    let mut series: [Vec<Option<f64>>; 3] = Default::default();
    let mut known = *before;
    for (step, told) in of_steps.into_iter().enumerate() {
        if let Some(mut told) = told {
            told.add_earlier(&known);
            known = told;
        }
        let is_closed = closed_at.is_some_and(|closed| closed < steps.start(step));
        let values = [known.depth, known.waiters, known.permits];
        for (series, value) in series.iter_mut().zip(values) {
            series.push(value.filter(|_| !is_closed).map(|value| value as f64));
        }
    }
    Ok(series)
}

/// What is sent to SQLite, for the test of its plans; but for that which reads the first rows of a process
/// in order, and ends after so many.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    vec![readings_sql()]
}
