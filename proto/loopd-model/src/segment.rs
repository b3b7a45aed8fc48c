//! The segment codec: many [`Span`]s of one worker and one kind, packed by column.
//!
//! # Format, version 1
//!
//! Integers are little-endian; `varint` is LEB128 of a `u64` (at most 10 bytes); `zigzag` maps
//! signed to unsigned as in protobuf.
//!
//! ```text
//! offset  size  field
//! 0       4     magic "LSG1"; the digit is the version
//! 4       4     length of the whole segment in bytes
//! 8       1     kind: 1 poll, 2 park, 3 wake
//! 9       1     number of columns
//! 10      2     zero
//! 12      4     n, the number of spans, 1 to 1,048,576
//! 16      8     start of the earliest span
//! 24      8     end of the latest span
//! 32      8     length of the longest span
//! 40      …     columns
//! end-4   4     CRC-32 (IEEE) of everything before
//! ```
//!
//! A column is `id: u8, encoding: u8, raw: u32, stored: u32` and `stored` bytes. Bit 7 of the
//! encoding says that those are one zstd frame of `raw` bytes; otherwise `raw == stored`. Columns
//! with unknown ids are skipped; each can be read alone.
//!
//! | id | column | values before encoding |
//! |---|---|---|
//! | 1 | start | zigzag of the distance from the previous span's end (from "start of the earliest" for the first) |
//! | 2 | length | as it is |
//! | 3 | task | as it is |
//! | 4 | by | as it is |
//! | 5 | count | as it is |
//!
//! | encoding | bytes |
//! |---|---|
//! | 0 constant | one varint, the value of every span |
//! | 1 plain | n varints |
//! | 2 delta | n varints, zigzag of the difference from the value before (from 0 for the first) |
//! | 3 dictionary | varint m, m varints (the distinct values, most frequent first), n varints (places in that list) |
//!
//! Spans keep the order in which they were given.

use std::collections::HashMap;

mod decode;

pub use decode::{SpanColumns, decode, decode_columns};

use crate::{Nanos, RecordKind, Span};

/// No segment holds more: it bounds what a reader must allocate.
pub const MAX_SPANS: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"LSG1";
const HEADER_LEN: usize = 40;
const COLUMN_HEADER_LEN: usize = 10;
const CRC_LEN: usize = 4;
const ZSTD_BIT: u8 = 0x80;
/// The longest varint of a `u64`.
const MAX_VARINT: usize = 10;

/// How much work to put into making a segment small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A few nanoseconds a span: for the agent, which spends the program's time.
    Fast,
    /// Dictionaries, and zstd where it helps (with the feature `zstd`): for the store.
    Small,
}

/// Why bytes are not a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It does not begin as one of this version.
    #[error("not a segment of this version")]
    Magic,
    /// Fewer or more bytes than the header says.
    #[error("segment is {actual} bytes long, its header says {expected}")]
    Length {
        /// What the header says.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The bytes changed since they were written.
    #[error("segment checksum does not match")]
    Checksum,
    /// A field has a value that no writer produces.
    #[error("segment field {0} is invalid")]
    Invalid(&'static str),
    /// A column is compressed and this build cannot decompress.
    #[error("segment uses zstd, which this build lacks")]
    NoZstd,
}

/// What can be known of a segment without decoding its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Poll, park or wake.
    pub kind: RecordKind,
    /// The number of spans.
    pub count: usize,
    /// Start of the earliest.
    pub start: Nanos,
    /// End of the latest.
    pub end: Nanos,
    /// Length of the longest, in nanoseconds.
    pub max_length: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Column {
    Start = 1,
    Length = 2,
    Task = 3,
    By = 4,
    Count = 5,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Encoding {
    Constant = 0,
    Plain = 1,
    Delta = 2,
    Dictionary = 3,
}

/// Packs spans of one worker. Returns an empty vector for no spans; more than [`MAX_SPANS`] must
/// be cut by the caller, and are cut here if they are not.
pub fn encode(kind: RecordKind, spans: &[Span], effort: Effort) -> Vec<u8> {
    debug_assert!(spans.len() <= MAX_SPANS, "cut segments before encoding them");
    let spans = spans.get(..MAX_SPANS).unwrap_or(spans);
    if spans.is_empty() {
        return Vec::new();
    }
    let start = spans.iter().map(|s| s.start.0).min().unwrap_or(0);
    let end = spans.iter().map(|s| s.end().0).max().unwrap_or(0);
    let max_length = spans.iter().map(|s| s.length).max().unwrap_or(0);

    let mut out = Vec::with_capacity(HEADER_LEN + spans.len() * 6 + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]); // the length, known at the end
    out.extend_from_slice(&[kind as u8, 5, 0, 0]);
    out.extend_from_slice(&(spans.len() as u32).to_le_bytes());
    for field in [start, end, max_length] {
        out.extend_from_slice(&field.to_le_bytes());
    }

    let mut previous_end = start;
    let gaps = spans.iter().map(|span| {
        let gap = zigzag(span.start.0.wrapping_sub(previous_end) as i64);
        previous_end = span.end().0;
        gap
    });
    let gaps: Vec<u64> = gaps.collect();
    let mut raw = Vec::with_capacity(spans.len() * 2);
    let mut column = |id, values: &mut dyn Iterator<Item = u64>, encoding| {
        raw.clear();
        encode_column(values, encoding, &mut raw);
        push_column(&mut out, id, encoding, &raw, effort);
    };
    let ids = if effort == Effort::Small { Encoding::Dictionary } else { Encoding::Delta };
    let constant = |value: fn(&Span) -> u64, otherwise| {
        let first = value(&spans[0]);
        if spans.iter().all(|span| value(span) == first) { Encoding::Constant } else { otherwise }
    };
    column(Column::Start, &mut gaps.iter().copied(), Encoding::Plain);
    column(Column::Length, &mut spans.iter().map(|s| s.length), Encoding::Plain);
    let encoding = constant(|s| s.task.0, ids);
    column(Column::Task, &mut spans.iter().map(|s| s.task.0), encoding);
    let encoding = constant(|s| s.by.0, ids);
    column(Column::By, &mut spans.iter().map(|s| s.by.0), encoding);
    let encoding = constant(|s| s.count, Encoding::Plain);
    column(Column::Count, &mut spans.iter().map(|s| s.count), encoding);

    let length = (out.len() + CRC_LEN) as u32;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads the header, and checks length and checksum of the whole.
pub fn header(bytes: &[u8]) -> Result<Header, SegmentError> {
    if bytes.len() < HEADER_LEN + CRC_LEN || bytes[..4] != MAGIC {
        return Err(SegmentError::Magic);
    }
    let expected = u32_at(bytes, 4) as usize;
    if expected != bytes.len() {
        return Err(SegmentError::Length { expected, actual: bytes.len() });
    }
    let body = bytes.len() - CRC_LEN;
    if crc32fast::hash(&bytes[..body]) != u32_at(bytes, body) {
        return Err(SegmentError::Checksum);
    }
    let kind = match RecordKind::from_number(bytes[8]) {
        Some(kind @ (RecordKind::Poll | RecordKind::Park | RecordKind::Wake)) => kind,
        _ => return Err(SegmentError::Invalid("kind")),
    };
    let count = u32_at(bytes, 12) as usize;
    if count == 0 || count > MAX_SPANS {
        return Err(SegmentError::Invalid("n"));
    }
    let header = Header {
        kind,
        count,
        start: Nanos(u64_at(bytes, 16)),
        end: Nanos(u64_at(bytes, 24)),
        max_length: u64_at(bytes, 32),
    };
    if header.end < header.start {
        return Err(SegmentError::Invalid("end"));
    }
    Ok(header)
}

fn encode_column(values: &mut dyn Iterator<Item = u64>, encoding: Encoding, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Constant => put_varint(out, values.next().unwrap_or(0)),
        Encoding::Plain => values.for_each(|value| put_varint(out, value)),
        Encoding::Delta => {
            let mut previous = 0u64;
            values.for_each(|value| {
                put_varint(out, zigzag(value.wrapping_sub(previous) as i64));
                previous = value;
            });
        }
        Encoding::Dictionary => {
            let values: Vec<u64> = values.collect();
            let mut places: HashMap<u64, u64> = HashMap::new();
            for &value in &values {
                *places.entry(value).or_default() += 1;
            }
            let mut distinct: Vec<(u64, u64)> = places.iter().map(|(&v, &n)| (n, v)).collect();
            // The most frequent get the shortest varints; ties by value, so that equal input
            // gives equal bytes.
            distinct.sort_unstable_by_key(|&(n, value)| (std::cmp::Reverse(n), value));
            put_varint(out, distinct.len() as u64);
            for (place, &(_, value)) in distinct.iter().enumerate() {
                put_varint(out, value);
                places.insert(value, place as u64);
            }
            values.iter().for_each(|value| put_varint(out, places[value]));
        }
    }
}

fn push_column(out: &mut Vec<u8>, id: Column, encoding: Encoding, raw: &[u8], effort: Effort) {
    let packed = if effort == Effort::Small { compress(raw) } else { None };
    let (flag, stored) = match &packed {
        Some(packed) => (ZSTD_BIT, packed.as_slice()),
        None => (0, raw),
    };
    out.extend_from_slice(&[id as u8, encoding as u8 | flag]);
    out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
    out.extend_from_slice(stored);
}

/// The bytes as one zstd frame, if that is at least a tenth smaller.
#[cfg(feature = "zstd")]
fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    // A frame costs about 15 bytes and a few microseconds.
    const WORTH_TRYING: usize = 64;
    if raw.len() < WORTH_TRYING {
        return None;
    }
    let packed = zstd::bulk::compress(raw, 1).ok()?;
    (packed.len() < raw.len() - raw.len() / 10).then_some(packed)
}

#[cfg(not(feature = "zstd"))]
fn compress(_raw: &[u8]) -> Option<Vec<u8>> {
    None
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends `value` as LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Splits one LEB128 number off the front of `bytes`.
pub fn take_varint(bytes: &mut &[u8]) -> Result<u64, SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("varint");
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        if i == MAX_VARINT - 1 && byte > 1 {
            return Err(BAD);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(BAD)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskId;
    use proptest::prelude::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0..1u64 << 40, 0..1u64 << 34, 0..300u64, 0..3u64, 1..4u64);
        let span = span.prop_map(|(start, length, task, by, count)| Span {
            start: Nanos(start),
            length,
            task: TaskId(task),
            by: TaskId(by),
            count,
        });
        proptest::collection::vec(span, 1..600)
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(spans in spans(), small: bool) {
            let effort = if small { Effort::Small } else { Effort::Fast };
            let bytes = encode(RecordKind::Poll, &spans, effort);
            let (header, decoded) = decode(&bytes).unwrap();
            prop_assert_eq!(header.count, spans.len());
            prop_assert_eq!(header.max_length, spans.iter().map(|s| s.length).max().unwrap());
            prop_assert_eq!(decoded, spans);
        }

        #[test]
        fn a_changed_bit_is_noticed(spans in spans(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = encode(RecordKind::Wake, &spans, Effort::Small);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn garbage_behind_a_valid_checksum_is_an_error_not_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), HEADER_LEN..400),
        ) {
            bytes[..4].copy_from_slice(&MAGIC);
            let len = (bytes.len() + CRC_LEN) as u32;
            bytes[4..8].copy_from_slice(&len.to_le_bytes());
            bytes[8] = 1;
            bytes[12..16].copy_from_slice(&5u32.to_le_bytes());
            let crc = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn extreme_values_survive() {
        let spans = [
            Span { start: Nanos(0), length: u64::MAX, task: TaskId(u64::MAX), ..Span::default() },
            Span {
                start: Nanos(u64::MAX),
                length: 0,
                by: TaskId(u64::MAX),
                count: u64::MAX,
                ..Span::default()
            },
        ];
        let bytes = encode(RecordKind::Poll, &spans, Effort::Fast);
        assert_eq!(decode(&bytes).unwrap().1, spans);
    }

    #[test]
    fn a_claimed_length_does_not_allocate() {
        let mut bytes = encode(RecordKind::Poll, &[Span::default()], Effort::Fast);
        let body = bytes.len() - CRC_LEN;
        bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&bytes), Err(SegmentError::Invalid("n")));
    }
}
