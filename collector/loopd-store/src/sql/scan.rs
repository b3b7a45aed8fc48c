//! Virtual tables whose rows are packed, many to a piece: what [`Pieces`] says of one of them is made
//! known to SQLite.
//!
//! Constraints decide which pieces are read at all; each is unpacked only when the query gets to it,
//! so that a LIMIT stops early. SQLite checks every constraint once more.

use std::ffi::{CStr, c_int};

use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor,
    eponymous_only_module,
};
use rusqlite::{Connection, Error, Result, ffi, params_from_iter};

use super::guard::Guard;

/// A table of packed rows, and a place in it while it is read.
pub(super) trait Pieces: Default + 'static {
    /// Its name.
    const NAME: &'static CStr;
    /// Its columns, as in `CREATE TABLE x(…)`.
    const DECLARE: &'static str;
    /// What a piece must be like to hold a row that meets a constraint, each with one `?`.
    const PRUNE: &'static [Prune];
    /// Finds the pieces: integers, what [`Self::open`] needs. Ends in a WHERE clause.
    const FIND: &'static str;
    /// In which order.
    const ORDER: &'static str;
    /// How many rows there may be.
    const ROWS: i64;

    /// The place in [`Self::PRUNE`] of a constraint, if pieces can be skipped by it.
    fn prune(column: c_int, op: IndexConstraintOp) -> Option<usize>;

    /// The column by which rows can be given, largest first, without unpacking all of them.
    const LARGEST_FIRST: Option<c_int> = None;

    /// Places of constraints that few rows of a piece meet: then all of those are found sooner than the
    /// largest of all.
    const PICKS: &'static [usize] = &[];

    /// The query wants the rows of these pieces in that order, and not all of them.
    fn begin_sorted(&mut self, _pieces: &[Vec<i64>]) {}

    /// Goes on to the next row in that order, as the only one of its piece; false at the end.
    fn next_sorted(&mut self, _connection: &Connection, _guard: &Guard) -> Result<bool> {
        Ok(false)
    }

    /// A query begins that asks for these columns, a bit each, and gives these bounds, by place in
    /// [`Self::PRUNE`].
    fn begin(&mut self, columns: u64, bounds: &[Option<i64>]);

    /// Unpacks one piece; returns how many rows it has.
    fn open(&mut self, connection: &Connection, piece: &[i64]) -> Result<usize>;

    /// Gives the value of a column of one row of the piece that is open.
    fn column(
        &self,
        connection: &Connection,
        row: usize,
        column: c_int,
        context: &mut Context,
    ) -> Result<()>;
}

/// One condition on pieces.
#[derive(Clone, Copy)]
pub(super) struct Prune {
    pub(super) sql: &'static str,
    pub(super) bound: Bound,
}

/// Which integers a bound lets through.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// Only itself.
    Equal,
    /// From it on.
    From,
    /// Up to it.
    UpTo,
}

impl Bound {
    /// An integer that lets through at least what this value does; `None` if none is known.
    fn integer(self, value: ValueRef<'_>) -> Option<i64> {
        const BEYOND: f64 = 9.2e18;
        match (self, value) {
            (_, ValueRef::Integer(i)) => Some(i),
            (Self::From, ValueRef::Real(x)) if x.abs() < BEYOND => Some(x.ceil() as i64),
            (Self::UpTo, ValueRef::Real(x)) if x.abs() < BEYOND => Some(x.floor() as i64),
            _ => None,
        }
    }
}

/// Which bound an operator makes of a column.
pub(super) fn bound_of(op: IndexConstraintOp) -> Option<Bound> {
    use IndexConstraintOp::*;
    match op {
        SQLITE_INDEX_CONSTRAINT_EQ => Some(Bound::Equal),
        SQLITE_INDEX_CONSTRAINT_GE | SQLITE_INDEX_CONSTRAINT_GT => Some(Bound::From),
        SQLITE_INDEX_CONSTRAINT_LE | SQLITE_INDEX_CONSTRAINT_LT => Some(Bound::UpTo),
        _ => None,
    }
}

/// In the number of a plan: rows come largest first.
const SORTED: c_int = 1 << 30;

/// Makes a table known to a connection.
pub(super) fn register<P: Pieces>(connection: &Connection, guard: Guard) -> Result<()> {
    connection.create_module(P::NAME, eponymous_only_module::<Table<P>>(), Some(guard))
}

#[repr(C)]
struct Table<P> {
    base: ffi::sqlite3_vtab,
    db: *mut ffi::sqlite3,
    guard: Guard,
    pieces: std::marker::PhantomData<P>,
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl<P: Pieces> VTab<'_> for Table<P> {
    type Aux = Guard;
    type Cursor = Cursor<P>;

    fn connect(
        db: &mut VTabConnection,
        guard: Option<&Guard>,
        _: &[&[u8]],
    ) -> Result<(String, Self)> {
        // The views name it, and views may only use what is declared harmless.
        db.config(VTabConfig::Innocuous)?;
        // SAFETY: the handle outlives the table, which SQLite disconnects before it closes it.
        let db = unsafe { db.handle() };
        let (guard, pieces) = (guard.cloned().unwrap_or_default(), std::marker::PhantomData);
        let base = ffi::sqlite3_vtab::default();
        Ok((P::DECLARE.to_owned(), Self { base, db, guard, pieces }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<()> {
        let mut found = vec![None; P::PRUNE.len()];
        let (mut is_few, mut may_sort) = (false, true);
        for (i, constraint) in info.constraints().enumerate() {
            use IndexConstraintOp::{
                SQLITE_INDEX_CONSTRAINT_LIMIT, SQLITE_INDEX_CONSTRAINT_OFFSET,
            };
            match constraint.operator() {
                SQLITE_INDEX_CONSTRAINT_LIMIT => is_few = true,
                SQLITE_INDEX_CONSTRAINT_OFFSET => {}
                op => {
                    let place = P::prune(constraint.column(), op);
                    // What is not known here might leave nothing of the largest.
                    may_sort &= place.is_some_and(|place| !P::PICKS.contains(&place));
                    if let Some(place) = place.filter(|_| constraint.is_usable()) {
                        found[place] = Some(i);
                    } else {
                        may_sort = false;
                    }
                }
            }
        }
        let mut order = info.order_bys();
        let first = order.next().filter(|by| by.is_order_by_desc()).map(|by| by.column());
        let is_sorted = is_few
            && may_sort
            && first.is_some()
            && first == P::LARGEST_FIRST
            && order.next().is_none();
        let (mut bits, mut arguments) = (0, 0);
        for (place, constraint) in found.into_iter().enumerate() {
            let Some(i) = constraint else { continue };
            arguments += 1;
            bits |= 1 << place;
            info.constraint_usage(i).set_argv_index(arguments);
        }
        if is_sorted {
            info.set_order_by_consumed(true);
            bits |= SORTED;
        }
        info.set_idx_num(bits);
        info.set_idx_str(&info.col_used().to_string());
        let rows = (P::ROWS >> (3 * arguments)).max(1);
        info.set_estimated_rows(rows);
        // To begin costs something, too: few beginnings with many rows beat many with few.
        info.set_estimated_cost(1e4 + 100.0 * rows as f64);
        Ok(())
    }

    fn open(&mut self) -> Result<Cursor<P>> {
        // SAFETY: as above; SQLite closes every cursor before the table. The connection made
        // here does not own the handle, and closes nothing.
        let connection = unsafe { Connection::from_handle(self.db) }?;
        Ok(Cursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            connection,
            guard: self.guard.clone(),
            pieces: P::default(),
            found: Vec::new().into_iter(),
            rows: 0,
            row: 0,
            rowid: 0,
            is_sorted: false,
            is_done: true,
        })
    }
}

#[repr(C)]
struct Cursor<P> {
    base: ffi::sqlite3_vtab_cursor,
    connection: Connection,
    guard: Guard,
    pieces: P,
    /// The pieces not read yet.
    found: std::vec::IntoIter<Vec<i64>>,
    /// Rows of the piece that is open.
    rows: usize,
    row: usize,
    rowid: i64,
    is_sorted: bool,
    is_done: bool,
}

impl<P: Pieces> Cursor<P> {
    /// Moves on to the next piece that has rows, unless the current one still does.
    fn settle(&mut self) -> Result<()> {
        while self.row >= self.rows {
            if self.guard.is_late() {
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
            }
            if self.is_sorted {
                let (connection, guard) = (&self.connection, &self.guard);
                let pieces = &mut self.pieces;
                let next = || whole(connection, || pieces.next_sorted(connection, guard));
                self.is_done = !self.guard.inside(next)?;
                (self.rows, self.row) = (1, 0);
                return Ok(());
            }
            let Some(piece) = self.found.next() else {
                self.is_done = true;
                return Ok(());
            };
            let (connection, pieces) = (&self.connection, &mut self.pieces);
            let read = || whole(connection, || pieces.open(connection, &piece));
            self.rows = self.guard.inside(read)?;
            self.row = 0;
        }
        Ok(())
    }
}

/// No piece is larger.
const MAX_PIECE: i32 = 16 << 20;

/// Reads values which may be longer than a user's.
fn whole<T>(connection: &Connection, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let limit = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit.max(MAX_PIECE))?;
    let read = read();
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit)?;
    read
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl<P: Pieces> VTabCursor for Cursor<P> {
    fn filter(&mut self, bits: c_int, columns: Option<&str>, args: &Filters<'_>) -> Result<()> {
        let mut sql = P::FIND.to_owned();
        let (mut values, mut bounds) = (Vec::new(), vec![None; P::PRUNE.len()]);
        let places = (0..P::PRUNE.len()).filter(|place| bits & 1 << place != 0);
        for (place, value) in places.zip(args.iter()) {
            // Nothing is equal to NULL, before or after it.
            if value == ValueRef::Null {
                (self.rows, self.row) = (0, 0);
                self.is_done = true;
                return Ok(());
            }
            let Some(value) = P::PRUNE[place].bound.integer(value) else { continue };
            sql.push_str(" AND ");
            sql.push_str(P::PRUNE[place].sql);
            values.push(Value::Integer(value));
            bounds[place] = Some(value);
        }
        sql.push_str(" ORDER BY ");
        sql.push_str(P::ORDER);
        // Without a word on it: all of them.
        let columns = columns.and_then(|columns| columns.parse().ok()).unwrap_or(u64::MAX);
        self.pieces.begin(columns, &bounds);
        let connection = &self.connection;
        let found: Vec<Vec<i64>> = self.guard.inside(|| {
            let mut statement = connection.prepare(&sql)?;
            let width = statement.column_count();
            let rows = statement.query_map(params_from_iter(values), |row| {
                (0..width).map(|i| row.get(i)).collect()
            })?;
            rows.collect::<Result<_>>()
        })?;
        self.is_sorted = bits & SORTED != 0;
        if self.is_sorted {
            self.pieces.begin_sorted(&found);
        }
        self.found = found.into_iter();
        (self.rows, self.row) = (0, 0);
        (self.rowid, self.is_done) = (0, false);
        self.settle()
    }

    fn next(&mut self) -> Result<()> {
        self.rowid += 1;
        self.row += 1;
        if self.row < self.rows { Ok(()) } else { self.settle() }
    }

    fn eof(&self) -> bool {
        self.is_done
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let give = || self.pieces.column(&self.connection, self.row, column, context);
        self.guard.inside(give)
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.rowid)
    }
}
