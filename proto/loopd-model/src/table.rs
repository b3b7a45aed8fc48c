//! Many rows of whole numbers, packed by column and in pages, of which any page and any columns can be
//! read without the rest: for records such as those of ended tasks.
//!
//! The first column is the key: the directory has its least and greatest value in each page, so
//! that a reader can skip pages. Keys need neither be sorted nor distinct.
//!
//! # Format, version 1
//!
//! Integers are little-endian; `varint` is LEB128 of a `u64` (at most 10 bytes); `zigzag` maps signed
//! to unsigned as in protobuf. Values are signed, of 64 bits; -2^63 is NULL. Arithmetic is modulo 2^64.
//!
//! ```text
//! offset  size  field
//! 0       4     magic "LTB1"; the digit is the version
//! 4       4     length of the whole in bytes
//! 8       4     length of the head: from offset 0 through its checksum
//! 12      4     n, the number of rows, 1 to 1,048,576
//! 16      1     c, the number of columns, 1 to 64
//! 17      3     zero
//! 20      2 c   for each column how its values are predicted: 0, 0 not; 1, 0 by the row before;
//!               2, j by column j (from 0) of the same row, which is an earlier column
//! …       …     page directory
//! head-4  4     CRC-32 (IEEE) of the head before it
//! …       …     the pages, in order
//! ```
//!
//! **Page directory**: an entry for each page. Page `p` has the rows from `256 p` on, 256 of them or what is
//! left.
//!
//! | field | encoding |
//! |---|---|
//! | length of the page in bytes | varint |
//! | CRC-32 of the page | 4 bytes |
//! | least key | zigzag varint of the distance from the greatest key of the page before; from 0 for the first |
//! | greatest key | varint of the distance from the least |
//!
//! A NULL among the keys counts as -2^63.
//!
//! **Page**: for each column the length of its bytes, as varint; then those bytes, in order. A column's begin with
//! one byte:
//!
//! | byte | what follows |
//! |---|---|
//! | 0, no value is NULL | the values |
//! | 1, some are | a bit for each row, lowest first, set where it is NULL, filled up with zeros to a whole byte; the other values |
//! | 2, all are | nothing |
//!
//! Values that are not predicted are a run of numbers; those predicted by a column a run of the distances from
//! that column's value in the same row, or from 0 if that is NULL. Of those predicted by the row before, the
//! first is a zigzag varint, and the others are a run of the distances from the value before; values that
//! are NULL are passed over. A run of no numbers has no bytes.
//!
//! ## A run of numbers
//!
#![doc = include_str!("pack.md")]
//!
//! # What a reader must hold
//!
//! The head has at least seven bytes for each page, and a page at least two for each column, so that no blob
//! shorter than 28 kB can claim 1,048,576 rows. A reader holds 8 bytes for each value that it asks for.

mod directory;
mod pages;

pub use crate::head::HEAD_LEN;
pub use directory::{Directory, Page, head_len};
pub use pages::encode;

use crate::segment::SegmentError;

/// No table has more rows: it bounds what a reader must allocate.
pub const MAX_ROWS: usize = 1 << 20;

/// No table has more columns, so that a choice of them is the bits of a `u64`.
pub const MAX_COLUMNS: usize = 64;

/// The number of rows of every page but the last.
pub const PAGE_ROWS: usize = 256;

/// The value that stands for none.
pub const NULL: i64 = i64::MIN;

/// What a column's values are likely to be near to. Only the distance is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predict {
    /// Nothing: values as they are.
    Nothing,
    /// The value of the row before, for what rises from row to row.
    Row,
    /// The value of an earlier column of the same row, counted from 0.
    Column(u8),
}

/// Unpacks the chosen columns of a whole table: bit `i` of `chosen` is column `i`. The others are
/// empty, but for those by which a chosen one is predicted. Anything but the exact bytes that
/// [`encode`] wrote is an error, as far as it is read.
pub fn decode(bytes: &[u8], chosen: u64) -> Result<(Directory, Vec<Vec<i64>>), SegmentError> {
    let directory = Directory::read(bytes)?;
    if directory.len() != bytes.len() {
        return Err(SegmentError::Length { expected: directory.len(), actual: bytes.len() });
    }
    let mut columns = vec![Vec::new(); directory.predict.len()];
    for (place, page) in directory.pages.iter().enumerate() {
        directory.append_page(place, &bytes[page.range.clone()], chosen, &mut columns)?;
    }
    Ok((directory, columns))
}

#[cfg(test)]
mod tests;
