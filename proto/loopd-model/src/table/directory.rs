//! The head of a table: how its columns are predicted, and where its pages are.

use std::ops::{Range, RangeInclusive};

use super::{MAX_COLUMNS, MAX_ROWS, PAGE_ROWS, Predict};
use crate::head::{self, CRC_LEN, Format, Head, put_part, take_part};
use crate::segment::{SegmentError, put_varint, take_varint, u32_at, unzigzag, zigzag};

const FORMAT: Format = Format { magic: *b"LTB1", fixed_len: 20 };
/// The least that an entry of the page directory takes.
const PAGE_ENTRY: usize = 7;

/// Some successive rows, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where its bytes are in the table's.
    pub range: Range<usize>,
    /// The place of its first row among all.
    pub first: usize,
    /// The number of its rows.
    pub rows: usize,
    /// The least key; [`NULL`](super::NULL) if some key is.
    pub min: i64,
    /// The greatest key.
    pub max: i64,
    pub(super) crc: u32,
}

/// The head of a table. It reads pages out of bytes that the caller fetches by their ranges, and
/// checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The number of rows.
    pub rows: usize,
    /// How the columns are predicted; one for each column.
    pub predict: Vec<Predict>,
    /// Its pages, in order of their rows.
    pub pages: Vec<Page>,
    pub(super) len: usize,
}

/// How many of a table's first bytes [`Directory::read`] needs, told by at least
/// [`HEAD_LEN`](super::HEAD_LEN) of them. Nothing is checked yet but that the number is not greater than
/// the table is long.
pub fn head_len(first_bytes: &[u8]) -> Result<usize, SegmentError> {
    FORMAT.head_len(first_bytes)
}

impl Directory {
    /// Reads and checks the head. Bytes behind it are left alone.
    pub fn read(bytes: &[u8]) -> Result<Self, SegmentError> {
        let Head { fixed, mut rest, len: begin, whole_len } = FORMAT.read(bytes)?;
        let (rows, columns) = (u32_at(fixed, 12) as usize, usize::from(fixed[16]));
        if rows == 0 || rows > MAX_ROWS {
            return Err(SegmentError::Invalid("n"));
        }
        if columns == 0 || columns > MAX_COLUMNS || fixed[17..] != [0; 3] {
            return Err(SegmentError::Invalid("columns"));
        }
        // Nothing may be allocated that the bytes cannot hold.
        if rest.len() < 2 * columns + rows.div_ceil(PAGE_ROWS) * PAGE_ENTRY {
            return Err(SegmentError::Invalid("head length"));
        }
        let predict = (0..columns).map(|place| take_predict(&mut rest, place));
        let predict = predict.collect::<Result<_, _>>()?;
        let (pages, len) = take_pages(&mut rest, rows, begin)?;
        if !rest.is_empty() || len != whole_len {
            return Err(SegmentError::Invalid("head length"));
        }
        Ok(Self { rows, predict, pages, len })
    }

    /// The length of the whole table, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no table is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The pages that may have rows with such keys.
    pub fn pages_with(&self, keys: RangeInclusive<i64>) -> impl Iterator<Item = usize> {
        let (from, to) = keys.into_inner();
        let may_have = move |page: &Page| page.min <= to && page.max >= from;
        self.pages.iter().enumerate().filter(move |(_, page)| may_have(page)).map(|(i, _)| i)
    }
}

fn take_predict(bytes: &mut &[u8], place: usize) -> Result<Predict, SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("prediction");
    let (&predict, rest) = bytes.split_first_chunk::<2>().ok_or(BAD)?;
    *bytes = rest;
    match predict {
        [0, 0] => Ok(Predict::Nothing),
        [1, 0] => Ok(Predict::Row),
        [2, column] if usize::from(column) < place => Ok(Predict::Column(column)),
        _ => Err(BAD),
    }
}

/// The pages, and where the last ends.
fn take_pages(
    bytes: &mut &[u8],
    rows: usize,
    mut at: usize,
) -> Result<(Vec<Page>, usize), SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("page");
    let mut pages = Vec::with_capacity(rows.div_ceil(PAGE_ROWS));
    let mut before = 0;
    for first in (0..rows).step_by(PAGE_ROWS) {
        let (range, crc) = take_part(bytes, &mut at)?;
        let min = unzigzag(take_varint(bytes)?).wrapping_add(before);
        let max = min.checked_add_unsigned(take_varint(bytes)?).ok_or(BAD)?;
        pages.push(Page { range, first, rows: PAGE_ROWS.min(rows - first), min, max, crc });
        before = max;
    }
    Ok((pages, at))
}

/// What [`Directory::read`] reads. Ranges of pages count from 0 in `body`, and `len` is not known yet.
pub(super) fn put(directory: &Directory, body: &[u8]) -> Vec<u8> {
    let Directory { rows, predict, pages, .. } = directory;
    let room = FORMAT.fixed_len + 2 * predict.len() + pages.len() * 16 + CRC_LEN;
    let mut out = Vec::with_capacity(room + body.len());
    FORMAT.begin(&mut out);
    out.extend_from_slice(&(*rows as u32).to_le_bytes());
    out.extend_from_slice(&[predict.len() as u8, 0, 0, 0]);
    for predict in predict {
        out.extend_from_slice(&match predict {
            Predict::Nothing => [0, 0],
            Predict::Row => [1, 0],
            Predict::Column(column) => [2, *column],
        });
    }
    let mut before = 0i64;
    for page in pages {
        put_part(&mut out, &page.range, page.crc);
        put_varint(&mut out, zigzag(page.min.wrapping_sub(before)));
        put_varint(&mut out, page.max.wrapping_sub(page.min) as u64);
        before = page.max;
    }
    head::finish(&mut out, body);
    out
}
