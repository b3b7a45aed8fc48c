//! `packed_rows(blob, width)`: a table-valued function that hands many rows to one statement.
//!
//! A statement costs sqlx some 30 µs and a bound value most of a microsecond; rows of integers,
//! packed into one blob, cost neither. The blob is `width` little-endian 64-bit words to a row;
//! columns `c0 …` are those words, with [`NULL`] for NULL, and `r0 …` the same words as floating
//! point.
//!
//! `pack_rows(…)` is the way back: an aggregate that gives all rows of integers as one such blob.

use std::ffi::c_int;

use rusqlite::functions::{self, Aggregate, FunctionFlags};
use rusqlite::types::{Null, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor,
    eponymous_only_module,
};
use rusqlite::{Connection, Result, ffi};

/// The word that stands for NULL. No instant, id or count that the store keeps has this value,
/// as ids with it are read back as NULL by nobody: agents count up from 1.
pub(crate) const NULL: i64 = i64::MIN;

const COLUMNS: usize = 32;
const REALS: usize = 8;
const WORD: usize = 8;

/// Makes the function known to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_module(c"packed_rows", eponymous_only_module::<Table>(), None)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_aggregate_function(c"pack_rows", -1, flags, PackRows)
}

struct PackRows;

impl Aggregate<Vec<u8>, Option<Vec<u8>>> for PackRows {
    fn init(&self, _: &mut functions::Context<'_>) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut functions::Context<'_>, bytes: &mut Vec<u8>) -> Result<()> {
        for i in 0..context.len() {
            let word = match context.get_raw(i) {
                ValueRef::Integer(word) => word,
                _ => NULL,
            };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut functions::Context<'_>,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>> {
        Ok(bytes)
    }
}

/// The rows of a blob that `pack_rows` gave for so many columns.
pub(crate) fn unpack_rows<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [i64; N]> + '_ {
    let word = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap_or_default());
    bytes.chunks_exact(N * WORD).map(move |row| {
        let mut words = row.chunks_exact(WORD).map(word);
        std::array::from_fn(|_| words.next().unwrap_or(NULL))
    })
}

/// Rows on their way into `packed_rows`.
#[derive(Debug)]
pub(crate) struct PackedRows {
    bytes: Vec<u8>,
    width: usize,
}

impl PackedRows {
    pub(crate) fn new(width: usize) -> Self {
        debug_assert!(width <= COLUMNS);
        Self { bytes: Vec::new(), width }
    }

    pub(crate) fn push(&mut self, row: &[i64]) {
        debug_assert_eq!(row.len(), self.width);
        row.iter().for_each(|word| self.bytes.extend_from_slice(&word.to_le_bytes()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The arguments of `packed_rows(?, ?)`.
    pub(crate) fn into_args(self) -> (Vec<u8>, i64) {
        (self.bytes, self.width as i64)
    }
}

#[repr(C)]
struct Table {
    base: ffi::sqlite3_vtab,
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl VTab<'_> for Table {
    type Aux = ();
    type Cursor = Cursor;

    fn connect(db: &mut VTabConnection, _: Option<&()>, _: &[&[u8]]) -> Result<(String, Self)> {
        db.config(VTabConfig::DirectOnly)?;
        let integers = (0..COLUMNS).map(|i| format!("c{i}"));
        let reals = (0..REALS).map(|i| format!("r{i}"));
        let columns: Vec<String> = integers.chain(reals).collect();
        let sql = format!("CREATE TABLE x({}, bytes HIDDEN, width HIDDEN)", columns.join(","));
        Ok((sql, Self { base: ffi::sqlite3_vtab::default() }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<()> {
        let hidden = (COLUMNS + REALS) as c_int;
        let mut found = [None, None];
        for (i, constraint) in info.constraints().enumerate() {
            let argument = constraint.column() - hidden;
            let is_equal = constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ;
            if (0..2).contains(&argument) && is_equal && constraint.is_usable() {
                found[argument as usize] = Some(i);
            }
        }
        for (argument, constraint) in found.into_iter().enumerate() {
            let Some(i) = constraint else { return Err(rusqlite::Error::InvalidQuery) };
            let mut usage = info.constraint_usage(i);
            usage.set_argv_index(argument as c_int + 1);
            usage.set_omit(true);
        }
        info.set_estimated_cost(1.0);
        info.set_estimated_rows(1_000);
        Ok(())
    }

    fn open(&mut self) -> Result<Cursor> {
        let base = ffi::sqlite3_vtab_cursor::default();
        Ok(Cursor { base, bytes: Vec::new(), width: 1, row: 0, rows: 0 })
    }
}

#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    bytes: Vec<u8>,
    width: usize,
    row: usize,
    rows: usize,
}

impl Cursor {
    fn word(&self, column: usize) -> Option<u64> {
        let at = (self.row * self.width + column) * WORD;
        let bytes = self.bytes.get(at..at + WORD).filter(|_| column < self.width)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[expect(unsafe_code, reason = "the trait's contract: repr(C), and the base class comes first")]
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, _: Option<&str>, args: &Filters<'_>) -> Result<()> {
        self.bytes = args.get(0)?;
        self.width = args.get::<i64>(1)?.clamp(1, COLUMNS as i64) as usize;
        self.rows = self.bytes.len() / (self.width * WORD);
        self.row = 0;
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.row >= self.rows
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let column = column as usize;
        let is_real = column >= COLUMNS;
        match self.word(if is_real { column - COLUMNS } else { column }) {
            Some(word) if is_real => context.set_result(&f64::from_bits(word)),
            Some(word) if word as i64 != NULL => context.set_result(&(word as i64)),
            _ => context.set_result(&Null),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.row as i64)
    }
}
