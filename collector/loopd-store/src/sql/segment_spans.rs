//! `segment_spans`: every poll, park and wake as a row, unpacked from segments as they are read.
//!
//! What a query says about process, kind, loop, worker, task, start and length decides which
//! segments are read at all, and of those which pages; of the columns only those are unpacked that
//! the query names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::rc::Rc;

use rusqlite::types::Null;
use rusqlite::vtab::{Context, IndexConstraintOp};
use rusqlite::{Connection, OptionalExtension, Result};

use super::guard::Guard;
use super::scan::{Bound, Pieces, Prune, bound_of};
use crate::segments::{self, Found, Place, Slowest, Wanted, Wants};

const PROCESS: c_int = 0;
const WORKER: c_int = 3;
const START_AT: c_int = 4;
const LENGTH: c_int = 5;
const TASK: c_int = 6;
const BY_TASK: c_int = 7;
const COUNT: c_int = 8;
const LOCATION: c_int = 9;

/// Places of constraints, see [`Pieces::PRUNE`].
const FROM: usize = 4;
const TO: usize = 5;
const LONGER: usize = 6;
const OF_TASK: usize = 7;

#[derive(Default)]
pub(super) struct SegmentSpans {
    wanted: Wanted,
    /// What all spans of the segment have in common: process, kind, loop, worker.
    lane: [i64; 4],
    found: Found,
    /// For rows that come slowest first: the search, and the lanes of the segments in it.
    slowest: Slowest,
    lanes: Vec<[i64; 4]>,
    locations: RefCell<Locations>,
}

impl Pieces for SegmentSpans {
    const NAME: &'static CStr = c"segment_spans";
    const DECLARE: &'static str = "CREATE TABLE x(process INT, kind INT, loop INT, worker INT,
        start_at INT, length INT, task INT, by_task INT, count INT, location TEXT)";
    const PRUNE: &'static [Prune] = &[
        Prune { sql: "s.process = ?", bound: Bound::Equal },
        Prune { sql: "s.kind = ?", bound: Bound::Equal },
        Prune { sql: "s.loop = ?", bound: Bound::Equal },
        Prune { sql: "s.worker = ?", bound: Bound::Equal },
        Prune { sql: "s.end_at >= ?", bound: Bound::From },
        Prune { sql: "s.start_at <= ?", bound: Bound::UpTo },
        Prune { sql: "s.max_length >= ?", bound: Bound::From },
        Prune { sql: "? BETWEEN s.min_task AND s.max_task", bound: Bound::Equal },
    ];
    const LARGEST_FIRST: Option<c_int> = Some(LENGTH);
    const PICKS: &'static [usize] = &[OF_TASK];
    const FIND: &'static str =
        "SELECT s.id, p.origin, s.process, s.kind, s.loop, s.worker, s.max_length
        FROM segment s CROSS JOIN process p ON p.id = s.process WHERE s.kind < 4";
    const ORDER: &'static str = "s.end_at";
    const ROWS: i64 = 100_000_000;

    fn prune(column: c_int, op: IndexConstraintOp) -> Option<usize> {
        match (column, bound_of(op)?) {
            (PROCESS..=WORKER, Bound::Equal) => Some(column as usize),
            (START_AT, Bound::From) => Some(FROM),
            (START_AT, Bound::UpTo) => Some(TO),
            (LENGTH, Bound::From) => Some(LONGER),
            (TASK, Bound::Equal) => Some(OF_TASK),
            _ => None,
        }
    }

    fn begin(&mut self, columns: u64, bounds: &[Option<i64>]) {
        let is_used = |column: c_int| columns & 1 << column != 0;
        let all = Wanted::default();
        self.wanted = Wanted {
            start_from: bounds[FROM].unwrap_or(all.start_from),
            start_to: bounds[TO].unwrap_or(all.start_to),
            length: bounds[LONGER].unwrap_or(all.length),
            task: bounds[OF_TASK].map(|task| task as u64),
            columns: Wants {
                times: is_used(START_AT) || is_used(LENGTH),
                task: is_used(TASK) || is_used(LOCATION),
                by: is_used(BY_TASK),
                count: is_used(COUNT),
            },
            ..all
        };
    }

    fn open(&mut self, connection: &Connection, piece: &[i64]) -> Result<usize> {
        let &[id, origin, process, kind, loop_id, worker, _] = piece else { return Ok(0) };
        self.lane = [process, kind, loop_id, worker];
        self.found = segments::read(connection, Place { id, origin }, &self.wanted)?;
        Ok(self.found.len)
    }

    fn begin_sorted(&mut self, pieces: &[Vec<i64>]) {
        self.lanes = pieces.iter().map(|piece| [piece[2], piece[3], piece[4], piece[5]]).collect();
        let segments =
            pieces.iter().map(|piece| (Place { id: piece[0], origin: piece[1] }, piece[6]));
        self.slowest = Slowest::new(segments, self.wanted);
    }

    fn next_sorted(&mut self, connection: &Connection, guard: &Guard) -> Result<bool> {
        let next = self.slowest.next(connection, || guard.is_late())?;
        let Some((segment, found)) = next else { return Ok(false) };
        (self.lane, self.found) = (self.lanes[segment], found);
        Ok(true)
    }

    fn column(
        &self,
        connection: &Connection,
        row: usize,
        column: c_int,
        context: &mut Context,
    ) -> Result<()> {
        let found = &self.found;
        let signed = |column: &[u64]| column.get(row).map(|&value| value as i64);
        let value = match column {
            PROCESS..=WORKER => Some(self.lane[column as usize]),
            START_AT => found.start.get(row).copied(),
            LENGTH => found.length.get(row).copied(),
            TASK => signed(&found.task),
            BY_TASK => signed(&found.by),
            COUNT => found.count.get(row).copied(),
            _ => return self.location(connection, row, context),
        };
        match value {
            Some(value) => context.set_result(&value),
            None => context.set_result(&Null),
        }
    }
}

impl SegmentSpans {
    /// Gives where the task of a span was spawned, as `file:line`.
    fn location(&self, connection: &Connection, row: usize, context: &mut Context) -> Result<()> {
        let task = self.found.task.get(row).copied().unwrap_or(0);
        let location = self.found.location.get(row).copied().unwrap_or(0);
        if task == 0 {
            return context.set_result(&Null);
        }
        let key = (self.lane[PROCESS as usize], location, task);
        match self.locations.borrow_mut().get(connection, key)? {
            Some(text) => context.set_result(&text),
            None => context.set_result(&Null),
        }
    }
}

/// Where tasks were spawned.
#[derive(Default)]
struct Locations {
    /// By process and id of the location.
    known: HashMap<(i64, u64), Option<Rc<str>>>,
    /// By process and task, of segments that do not say.
    of_tasks: HashMap<(i64, u64), Option<Rc<str>>>,
}

/// So many are remembered; then it begins anew.
const MAX_LOCATIONS: usize = 1 << 16;

impl Locations {
    fn get(
        &mut self,
        connection: &Connection,
        (process, location, task): (i64, u64, u64),
    ) -> Result<Option<&str>> {
        const BY_ID: &str =
            "SELECT file || ':' || line FROM location WHERE process = ? AND location = ?";
        // Its spawn may have been told after its polls.
        const BY_TASK: &str = "SELECT file || ':' || line FROM location
            WHERE process = ?1 AND location =
                (SELECT spawn_location FROM any_task WHERE process = ?1 AND task = ?2)";
        let (known, id, sql) = match location {
            0 => (&mut self.of_tasks, task, BY_TASK),
            location => (&mut self.known, location, BY_ID),
        };
        let key = (process, id);
        if !known.contains_key(&key) {
            let found =
                connection.query_row(sql, (process, id as i64), |row| row.get::<_, String>(0));
            let found = found.optional()?.map(Rc::from);
            if known.len() >= MAX_LOCATIONS {
                known.clear();
            }
            known.insert(key, found);
        }
        Ok(known.get(&key).and_then(Option::as_deref))
    }
}
