//! Unpacking: one loop for each column, and none for a column that is constant.

use super::{
    COLUMN_HEADER_LEN, CRC_LEN, HEADER_LEN, Header, MAX_VARINT, SegmentError, ZSTD_BIT, header,
    take_varint, u32_at, unzigzag,
};
use crate::{Nanos, Span, TaskId};

const BAD: SegmentError = SegmentError::Invalid("column");

/// Spans by column: what [`decode_columns`] gives. Their order is that in which they were packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanColumns {
    /// When each began: nanoseconds since the process's anchor.
    pub start: Vec<u64>,
    /// How long each took, in nanoseconds.
    pub length: Vec<u64>,
    /// The task each is about, a [`TaskId`].
    pub task: Vec<u64>,
    /// The task that caused each, a [`TaskId`]. Empty if the segment says none for all at once.
    pub by: Vec<u64>,
    /// How many events each stands for. Empty if the segment says 1 for all at once.
    pub count: Vec<u64>,
}

impl SpanColumns {
    /// The number of spans.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// One span, or `None` past the last.
    pub fn get(&self, place: usize) -> Option<Span> {
        Some(Span {
            start: Nanos(*self.start.get(place)?),
            length: *self.length.get(place)?,
            task: TaskId(*self.task.get(place)?),
            by: TaskId(self.by.get(place).copied().unwrap_or(0)),
            count: self.count.get(place).copied().unwrap_or(1),
        })
    }
}

/// Unpacks every span, in the order in which they were packed. Anything but the exact bytes that
/// [`encode`](super::encode) wrote is an error.
pub fn decode(bytes: &[u8]) -> Result<(Header, Vec<Span>), SegmentError> {
    let (header, columns) = decode_columns(bytes)?;
    let SpanColumns { start, length, task, by, count } = columns;
    let times = start.into_iter().zip(length).zip(task);
    let spans = times.map(|((start, length), task)| {
        let (start, task) = (Nanos(start), TaskId(task));
        Span { start, length, task, by: TaskId::NONE, count: 1 }
    });
    let mut spans: Vec<Span> = spans.collect();
    spans.iter_mut().zip(by).for_each(|(span, by)| span.by = TaskId(by));
    spans.iter_mut().zip(count).for_each(|(span, count)| span.count = count);
    Ok((header, spans))
}

/// Unpacks every span by column: the same as [`decode`] in less time and memory.
pub fn decode_columns(bytes: &[u8]) -> Result<(Header, SpanColumns), SegmentError> {
    let header = header(bytes)?;
    let mut columns: [Option<Column>; 6] = Default::default();
    let mut rest = &bytes[HEADER_LEN..bytes.len() - CRC_LEN];
    for _ in 0..bytes[9] {
        let (id, encoding, payload, after) = take_column(rest)?;
        rest = after;
        let Some(column) = columns.get_mut(usize::from(id)).filter(|_| id > 0) else { continue };
        if column.is_some() {
            return Err(BAD);
        }
        *column = Some(decode_column(payload, encoding, header.count)?);
    }
    let [_, Some(gaps), Some(length), Some(task), Some(by), Some(count)] = columns else {
        return Err(BAD);
    };
    if !rest.is_empty() {
        return Err(BAD);
    }
    let n = header.count;
    let (mut start, length) = (gaps.each(n), length.each(n));
    starts(&header, &mut start, &length)?;
    let (by, count) = (by.unless(0, n), count.unless(1, n));
    Ok((header, SpanColumns { start, length, task: task.each(n), by, count }))
}

/// Turns zigzag gaps into starts, and checks that the spans lie within what the header says.
fn starts(header: &Header, gaps: &mut [u64], lengths: &[u64]) -> Result<(), SegmentError> {
    let mut end = header.start.0;
    let (mut earliest, mut latest, mut longest, mut overflows) = (u64::MAX, 0, 0, false);
    for (gap, &length) in gaps.iter_mut().zip(lengths) {
        let start = end.wrapping_add(unzigzag(*gap) as u64);
        let (next, is_over) = start.overflowing_add(length);
        (*gap, end) = (start, next);
        earliest = earliest.min(start);
        latest = latest.max(end);
        longest = longest.max(length);
        overflows |= is_over;
    }
    if overflows {
        return Err(SegmentError::Invalid("length"));
    }
    if earliest < header.start.0 || latest > header.end.0 || longest > header.max_length {
        return Err(SegmentError::Invalid("start"));
    }
    Ok(())
}

/// The values of one column.
enum Column {
    Constant(u64),
    Each(Vec<u64>),
}

impl Column {
    /// A value for each of `n` spans.
    fn each(self, n: usize) -> Vec<u64> {
        match self {
            Self::Constant(value) => vec![value; n],
            Self::Each(values) => values,
        }
    }

    /// A value for each of `n` spans; nothing if they are `trivial` throughout.
    fn unless(self, trivial: u64, n: usize) -> Vec<u64> {
        match self {
            Self::Constant(value) if value == trivial => Vec::new(),
            other => other.each(n),
        }
    }
}

/// Splits off one column: id, encoding, its bytes (still compressed if they were), the rest.
fn take_column(bytes: &[u8]) -> Result<(u8, u8, Payload<'_>, &[u8]), SegmentError> {
    const SHORT: SegmentError = SegmentError::Invalid("column");
    if bytes.len() < COLUMN_HEADER_LEN {
        return Err(SHORT);
    }
    let (raw, stored) = (u32_at(bytes, 2) as usize, u32_at(bytes, 6) as usize);
    let rest = &bytes[COLUMN_HEADER_LEN..];
    let (data, after) = rest.split_at_checked(stored).ok_or(SHORT)?;
    let is_packed = bytes[1] & ZSTD_BIT != 0;
    if !is_packed && raw != stored {
        return Err(SHORT);
    }
    Ok((bytes[0], bytes[1] & !ZSTD_BIT, Payload { data, raw, is_packed }, after))
}

struct Payload<'a> {
    data: &'a [u8],
    raw: usize,
    is_packed: bool,
}

fn decode_column(payload: Payload<'_>, encoding: u8, n: usize) -> Result<Column, SegmentError> {
    // A dictionary is the largest: its size, n values and n places.
    if payload.raw > MAX_VARINT * (2 * n + 1) {
        return Err(BAD);
    }
    let unpacked;
    let mut bytes = if payload.is_packed {
        unpacked = decompress(payload.data, payload.raw)?;
        &unpacked[..]
    } else {
        payload.data
    };
    let bytes = &mut bytes;
    let column = match encoding {
        0 => Column::Constant(take_varint(bytes)?),
        1 => Column::Each(take_varints(bytes, n, Some)?),
        2 => {
            let mut value = 0u64;
            let add = |distance| {
                value = value.wrapping_add(unzigzag(distance) as u64);
                Some(value)
            };
            Column::Each(take_varints(bytes, n, add)?)
        }
        3 => {
            let len = usize::try_from(take_varint(bytes)?).ok().filter(|len| *len <= n);
            let len = len.ok_or(SegmentError::Invalid("dictionary"))?;
            let values = take_varints(bytes, len, Some)?;
            let value = |place: u64| values.get(usize::try_from(place).ok()?).copied();
            let each = take_varints(bytes, n, value);
            Column::Each(each?)
        }
        _ => return Err(SegmentError::Invalid("encoding")),
    };
    if bytes.is_empty() { Ok(column) } else { Err(BAD) }
}

/// Splits `n` varints off the front of `bytes`, each turned into what `value` makes of it.
#[inline(always)]
fn take_varints(
    bytes: &mut &[u8],
    n: usize,
    mut value: impl FnMut(u64) -> Option<u64>,
) -> Result<Vec<u64>, SegmentError> {
    const NO_PLACE: SegmentError = SegmentError::Invalid("dictionary");
    // Each takes a byte at least, so that a claim does not allocate.
    if bytes.len() < n {
        return Err(SegmentError::Invalid("varint"));
    }
    let mut values = Vec::with_capacity(n);
    let all = *bytes;
    let mut at = 0;
    while values.len() < n {
        // One or two bytes are by far the most frequent, in no order that a processor could learn.
        let number = match all.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
            Some(&[low, high]) if low & high & 0x80 == 0 => {
                let is_two = u64::from(low >> 7);
                at += 1 + is_two as usize;
                u64::from(low & 0x7f) + ((u64::from(high) * is_two) << 7)
            }
            _ => {
                let mut rest = all.get(at..).unwrap_or(&[]);
                let number = take_varint(&mut rest)?;
                at = all.len() - rest.len();
                number
            }
        };
        values.push(value(number).ok_or(NO_PLACE)?);
    }
    *bytes = &all[at..];
    Ok(values)
}

#[cfg(feature = "zstd")]
fn decompress(data: &[u8], raw: usize) -> Result<Vec<u8>, SegmentError> {
    match zstd::bulk::decompress(data, raw) {
        Ok(bytes) if bytes.len() == raw => Ok(bytes),
        _ => Err(SegmentError::Invalid("zstd frame")),
    }
}

#[cfg(not(feature = "zstd"))]
fn decompress(_data: &[u8], _raw: usize) -> Result<Vec<u8>, SegmentError> {
    Err(SegmentError::NoZstd)
}
