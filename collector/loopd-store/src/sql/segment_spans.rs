//! `segment_spans`: every poll, park and wake as a row, unpacked from segments as they are read.
//!
//! What a query says about process, kind, loop, worker, task, start and length decides which
//! segments are read at all; each is unpacked only when the query gets to it, so that a LIMIT
//! stops early. SQLite checks every constraint once more.

use std::ffi::c_int;

use loopd_model::{Span, segment};
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor,
    eponymous_only_module,
};
use rusqlite::{Connection, Error, Result, ffi, params_from_iter};

use super::guard::Guard;
use crate::instant;

/// Makes the table known to a connection.
pub(super) fn register(connection: &Connection, guard: Guard) -> Result<()> {
    connection.create_module(c"segment_spans", eponymous_only_module::<Table>(), Some(guard))
}

const TABLE: &str = "CREATE TABLE x(process INT, kind INT, loop INT, worker INT, start_at INT,
    length INT, task INT, by_task INT, count INT)";
const PROCESS: c_int = 0;
const START_AT: c_int = 4;
const LENGTH: c_int = 5;
const TASK: c_int = 6;

/// What a segment must be like to hold a row that meets a constraint.
const PRUNE: [&str; 8] = [
    "process = ?",
    "kind = ?",
    "loop = ?",
    "worker = ?",
    "end_at >= ?",
    "start_at <= ?",
    "max_length >= ?",
    "? BETWEEN min_task AND max_task",
];

/// The place in [`PRUNE`] of a constraint, if segments can be skipped by it.
fn prune(column: c_int, op: IndexConstraintOp) -> Option<usize> {
    use IndexConstraintOp::*;
    match (column, op) {
        (PROCESS..START_AT, SQLITE_INDEX_CONSTRAINT_EQ) => Some(column as usize),
        (START_AT, SQLITE_INDEX_CONSTRAINT_GE | SQLITE_INDEX_CONSTRAINT_GT) => Some(4),
        (START_AT, SQLITE_INDEX_CONSTRAINT_LE | SQLITE_INDEX_CONSTRAINT_LT) => Some(5),
        (LENGTH, SQLITE_INDEX_CONSTRAINT_GE | SQLITE_INDEX_CONSTRAINT_GT) => Some(6),
        (TASK, SQLITE_INDEX_CONSTRAINT_EQ) => Some(7),
        _ => None,
    }
}

#[repr(C)]
struct Table {
    base: ffi::sqlite3_vtab,
    db: *mut ffi::sqlite3,
    guard: Guard,
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl VTab<'_> for Table {
    type Aux = Guard;
    type Cursor = Cursor;

    fn connect(
        db: &mut VTabConnection,
        guard: Option<&Guard>,
        _: &[&[u8]],
    ) -> Result<(String, Self)> {
        // The views name it, and views may only use what is declared harmless.
        db.config(VTabConfig::Innocuous)?;
        // SAFETY: the handle outlives the table, which SQLite disconnects before it closes it.
        let db = unsafe { db.handle() };
        let guard = guard.cloned().unwrap_or_default();
        Ok((TABLE.to_owned(), Self { base: ffi::sqlite3_vtab::default(), db, guard }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<()> {
        let mut found = [None; PRUNE.len()];
        for (i, constraint) in info.constraints().enumerate() {
            if let Some(place) = prune(constraint.column(), constraint.operator())
                && constraint.is_usable()
            {
                found[place] = Some(i);
            }
        }
        let (mut bits, mut arguments) = (0, 0);
        for (place, constraint) in found.into_iter().enumerate() {
            let Some(i) = constraint else { continue };
            arguments += 1;
            bits |= 1 << place;
            info.constraint_usage(i).set_argv_index(arguments);
        }
        info.set_idx_num(bits);
        info.set_estimated_rows(100_000_000 >> (3 * arguments));
        info.set_estimated_cost(1e10 / f64::from(1 << (3 * arguments)));
        Ok(())
    }

    fn open(&mut self) -> Result<Cursor> {
        // SAFETY: as above; SQLite closes every cursor before the table. The connection made
        // here does not own the handle, and closes nothing.
        let connection = unsafe { Connection::from_handle(self.db) }?;
        Ok(Cursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            connection,
            guard: self.guard.clone(),
            segments: Vec::new().into_iter(),
            bounds: Bounds::default(),
            current: Current::default(),
            row: 0,
            is_done: true,
        })
    }
}

#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    connection: Connection,
    guard: Guard,
    /// Ids of the segments not read yet.
    segments: std::vec::IntoIter<i64>,
    bounds: Bounds,
    current: Current,
    row: i64,
    is_done: bool,
}

/// What spans must be like; checked here first because it is cheaper than in SQLite.
#[derive(Debug)]
struct Bounds {
    from: i64,
    to: i64,
    length: i64,
    task: Option<i64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { from: i64::MIN, to: i64::MAX, length: 0, task: None }
    }
}

/// The segment being read.
#[derive(Debug, Default)]
struct Current {
    process: i64,
    kind: i64,
    loop_id: i64,
    worker: i64,
    origin: i64,
    spans: Vec<Span>,
    place: usize,
}

impl Current {
    fn skip_to_match(&mut self, bounds: &Bounds) -> bool {
        let matches = |span: &Span| {
            let start = instant::wall(self.origin, span.start);
            (bounds.from..=bounds.to).contains(&start)
                && instant::length(span.length) >= bounds.length
                && bounds.task.is_none_or(|task| span.task.0 as i64 == task)
        };
        match self.spans[self.place.min(self.spans.len())..].iter().position(matches) {
            Some(distance) => self.place += distance,
            None => self.place = self.spans.len(),
        }
        self.place < self.spans.len()
    }
}

impl Cursor {
    /// Moves to the first span at or after the current place that fits, segment by segment.
    fn settle(&mut self) -> Result<()> {
        while !self.current.skip_to_match(&self.bounds) {
            if self.guard.is_late() {
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
            }
            let Some(id) = self.segments.next() else {
                self.is_done = true;
                return Ok(());
            };
            self.current = self.guard.inside(|| load_whole(&self.connection, id))?;
        }
        Ok(())
    }
}

/// No segment is larger.
const MAX_SEGMENT: i32 = 8 << 20;

/// Unpacks one segment, which may be longer than a user's values.
fn load_whole(connection: &Connection, id: i64) -> Result<Current> {
    let limit = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit.max(MAX_SEGMENT))?;
    let current = load(connection, id);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit)?;
    current
}

/// Unpacks one segment; nothing if retention has removed it or its bytes are damaged.
fn load(connection: &Connection, id: i64) -> Result<Current> {
    let sql = "SELECT s.process, s.kind, s.loop, s.worker, p.origin, s.data
        FROM segment s JOIN process p ON p.id = s.process WHERE s.id = ?";
    let read = |row: &rusqlite::Row<'_>| {
        let data = row.get_ref(5)?.as_blob()?;
        Ok(Current {
            process: row.get(0)?,
            kind: row.get(1)?,
            loop_id: row.get(2)?,
            worker: row.get(3)?,
            origin: row.get(4)?,
            spans: segment::decode(data).map(|(_, spans)| spans).unwrap_or_default(),
            place: 0,
        })
    };
    match connection.query_row(sql, [id], read) {
        Err(Error::QueryReturnedNoRows) => Ok(Current::default()),
        result => result,
    }
}

/// An integer bound that lets through at least what this value does.
fn bound(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(i) => Some(i),
        _ => None,
    }
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, bits: c_int, _: Option<&str>, args: &Filters<'_>) -> Result<()> {
        let mut sql = "SELECT id FROM segment WHERE true".to_owned();
        let mut values = Vec::new();
        self.bounds = Bounds::default();
        let places = (0..PRUNE.len()).filter(|place| bits & 1 << place != 0);
        for (place, value) in places.zip(args.iter()) {
            let Some(value) = bound(value) else { continue };
            sql.push_str(" AND ");
            sql.push_str(PRUNE[place]);
            values.push(Value::Integer(value));
            match place {
                4 => self.bounds.from = value,
                5 => self.bounds.to = value,
                6 => self.bounds.length = value,
                7 => self.bounds.task = Some(value),
                _ => {}
            }
        }
        sql.push_str(" ORDER BY end_at");
        let connection = &self.connection;
        let segments: Vec<i64> = self.guard.inside(|| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            rows.collect::<Result<_>>()
        })?;
        self.segments = segments.into_iter();
        self.current = Current::default();
        (self.row, self.is_done) = (0, false);
        self.settle()
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        self.current.place += 1;
        self.settle()
    }

    fn eof(&self) -> bool {
        self.is_done
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let current = &self.current;
        let Some(span) = current.spans.get(current.place) else { return Ok(()) };
        let value = match column {
            0 => current.process,
            1 => current.kind,
            2 => current.loop_id,
            3 => current.worker,
            START_AT => instant::wall(current.origin, span.start),
            LENGTH => instant::length(span.length),
            TASK => span.task.0 as i64,
            7 => span.by.0 as i64,
            _ => instant::count(span.count),
        };
        context.set_result(&value)
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.row)
    }
}
