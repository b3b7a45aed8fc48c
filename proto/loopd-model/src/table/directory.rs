//! The head of a table: how its columns are predicted, and where its pages are.

use std::ops::{Range, RangeInclusive};

use super::{MAX_COLUMNS, MAX_ROWS, PAGE_ROWS, Predict};
use crate::segment::{SegmentError, put_varint, take_varint, u32_at, unzigzag, zigzag};

/// How many first bytes tell how long the head is; see [`head_len`].
pub const HEAD_LEN: usize = 12;

const MAGIC: [u8; 4] = *b"LTB1";
const FIXED_LEN: usize = 20;
const CRC_LEN: usize = 4;
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

/// How many of a table's first bytes [`Directory::read`] needs, told by at least [`HEAD_LEN`] of them.
/// Nothing is checked yet but that the number is not greater than the table is long.
pub fn head_len(first_bytes: &[u8]) -> Result<usize, SegmentError> {
    if first_bytes.len() < HEAD_LEN || first_bytes[..4] != MAGIC {
        return Err(SegmentError::Magic);
    }
    let (len, head_len) = (u32_at(first_bytes, 4) as usize, u32_at(first_bytes, 8) as usize);
    if head_len < FIXED_LEN + CRC_LEN || head_len > len {
        return Err(SegmentError::Invalid("head length"));
    }
    Ok(head_len)
}

impl Directory {
    /// Reads and checks the head. Bytes behind it are left alone.
    pub fn read(bytes: &[u8]) -> Result<Self, SegmentError> {
        let head_len = head_len(bytes)?;
        let Some(head) = bytes.get(..head_len) else {
            return Err(SegmentError::Length { expected: head_len, actual: bytes.len() });
        };
        let (head, crc) = head.split_at(head_len - CRC_LEN);
        if crc32fast::hash(head) != u32_at(crc, 0) {
            return Err(SegmentError::Checksum);
        }
        let (fixed, mut rest) = head.split_at(FIXED_LEN);
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
        let (pages, len) = take_pages(&mut rest, rows, head_len)?;
        if !rest.is_empty() || len != u32_at(fixed, 4) as usize {
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
        let len = u32::try_from(take_varint(bytes)?).map_err(|_| BAD)?;
        let (crc, rest) = bytes.split_first_chunk::<4>().ok_or(BAD)?;
        *bytes = rest;
        let begin = at;
        at = begin.checked_add(len as usize).ok_or(BAD)?;
        let min = unzigzag(take_varint(bytes)?).wrapping_add(before);
        let max = min.checked_add_unsigned(take_varint(bytes)?).ok_or(BAD)?;
        let (range, crc) = (begin..at, u32::from_le_bytes(*crc));
        pages.push(Page { range, first, rows: PAGE_ROWS.min(rows - first), min, max, crc });
        before = max;
    }
    Ok((pages, at))
}

/// What [`Directory::read`] reads. Ranges of pages count from 0 in `body`, and `len` is not known yet.
pub(super) fn put(directory: &Directory, body: &[u8]) -> Vec<u8> {
    let Directory { rows, predict, pages, .. } = directory;
    let room = FIXED_LEN + 2 * predict.len() + pages.len() * 16 + CRC_LEN;
    let mut out = Vec::with_capacity(room + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]); // two lengths, known at the end
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
        put_varint(&mut out, page.range.len() as u64);
        out.extend_from_slice(&page.crc.to_le_bytes());
        put_varint(&mut out, zigzag(page.min.wrapping_sub(before)));
        put_varint(&mut out, page.max.wrapping_sub(page.min) as u64);
        before = page.max;
    }
    let head_len = out.len() + CRC_LEN;
    out[4..8].copy_from_slice(&((head_len + body.len()) as u32).to_le_bytes());
    out[8..12].copy_from_slice(&(head_len as u32).to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
    out
}
