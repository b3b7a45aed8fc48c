//! What the head of a stored segment and that of a table have in common: a magic number, the lengths of
//! the whole and of the head, then what the format says, and the checksum of all of it. What follows
//! the head is in parts, each with its length and checksum in the head.

use std::ops::Range;

use crate::segment::{SegmentError, put_varint, take_varint, u32_at};

/// How many first bytes tell `head_len` how long the head is.
pub const HEAD_LEN: usize = 12;

pub(crate) const CRC_LEN: usize = 4;

/// How a format begins.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    pub(crate) magic: [u8; 4],
    /// The length of the fields that every head has, the first [`HEAD_LEN`] bytes among them.
    pub(crate) fixed_len: usize,
}

/// A head whose checksum is right.
pub(crate) struct Head<'a> {
    /// The fields that every head has.
    pub(crate) fixed: &'a [u8],
    /// What follows them.
    pub(crate) rest: &'a [u8],
    /// Where the first part begins.
    pub(crate) len: usize,
    /// Where the last part must end.
    pub(crate) whole_len: usize,
}

impl Format {
    /// How long the head is, by at least its first [`HEAD_LEN`] bytes. Nothing is checked yet but that
    /// it is not longer than the whole.
    pub(crate) fn head_len(self, first_bytes: &[u8]) -> Result<usize, SegmentError> {
        if first_bytes.len() < HEAD_LEN || first_bytes[..4] != self.magic {
            return Err(SegmentError::Magic);
        }
        let (len, head_len) = (u32_at(first_bytes, 4) as usize, u32_at(first_bytes, 8) as usize);
        if head_len < self.fixed_len + CRC_LEN || head_len > len {
            return Err(SegmentError::Invalid("head length"));
        }
        Ok(head_len)
    }

    /// Checks the head. Bytes behind it are left alone.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Head<'_>, SegmentError> {
        let len = self.head_len(bytes)?;
        let Some(head) = bytes.get(..len) else {
            return Err(SegmentError::Length { expected: len, actual: bytes.len() });
        };
        let (head, crc) = head.split_at(len - CRC_LEN);
        if crc32fast::hash(head) != u32_at(crc, 0) {
            return Err(SegmentError::Checksum);
        }
        let (fixed, rest) = head.split_at(self.fixed_len);
        Ok(Head { fixed, rest, len, whole_len: u32_at(fixed, 4) as usize })
    }

    /// Begins a head in `out`, which is empty; [`finish`] ends it.
    pub(crate) fn begin(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&[0; 8]); // two lengths, known at the end
    }
}

/// Ends the head with its checksum, and puts the parts behind it.
pub(crate) fn finish(out: &mut Vec<u8>, parts: &[u8]) {
    let len = out.len() + CRC_LEN;
    out[4..8].copy_from_slice(&((len + parts.len()) as u32).to_le_bytes());
    out[8..12].copy_from_slice(&(len as u32).to_le_bytes());
    let crc = crc32fast::hash(out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(parts);
}

/// The range of the part that begins at `at`, and its checksum.
pub(crate) fn take_part(
    bytes: &mut &[u8],
    at: &mut usize,
) -> Result<(Range<usize>, u32), SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("range");
    let len = u32::try_from(take_varint(bytes)?).map_err(|_| BAD)?;
    let (crc, rest) = bytes.split_first_chunk::<4>().ok_or(BAD)?;
    *bytes = rest;
    let begin = *at;
    *at = begin.checked_add(len as usize).ok_or(BAD)?;
    Ok((begin..*at, u32::from_le_bytes(*crc)))
}

/// What [`take_part`] takes.
pub(crate) fn put_part(out: &mut Vec<u8>, range: &Range<usize>, crc: u32) {
    put_varint(out, range.len() as u64);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Checks that the bytes are those of the part.
pub(crate) fn check_part(bytes: &[u8], range: &Range<usize>, crc: u32) -> Result<(), SegmentError> {
    if bytes.len() != range.len() {
        return Err(SegmentError::Length { expected: range.len(), actual: bytes.len() });
    }
    if crc32fast::hash(bytes) == crc { Ok(()) } else { Err(SegmentError::Checksum) }
}
