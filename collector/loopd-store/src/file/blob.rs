//! What is packed into one value, looked at without knowing where it belongs.

use loopd_model::segment::SegmentError;

use crate::{segments, task_table};

/// What a segment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SegmentState {
    /// They decode, to so many spans.
    Spans(u64),
    /// A format that this loopd does not know, whole as far as its length says.
    Unknown,
    /// They changed since they were written.
    Damaged(String),
}

/// Bytes of a magic number that all versions of the format begin with.
const MAGIC: &[u8] = b"LSG";

/// The kind of segments that hold tasks.
pub(super) const TASKS: i64 = 4;

/// Decodes a segment from end to end, its checksums included.
pub(super) fn segment(kind: i64, bytes: &[u8]) -> SegmentState {
    let rows = match kind {
        TASKS => task_table::read(bytes, u64::MAX, None).map(|records| records.len()),
        _ => segments::unpack(bytes).map(|spans| spans.start.len()),
    };
    match rows {
        Ok(rows) => SegmentState::Spans(rows as u64),
        Err(SegmentError::Magic) if is_of_another_version(bytes) => SegmentState::Unknown,
        Err(error) => SegmentState::Damaged(error.to_string()),
    }
}

/// Every version has its number and then its length in bytes.
fn is_of_another_version(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    bytes.starts_with(MAGIC)
        && bytes.get(3).is_some_and(u8::is_ascii_digit)
        && length.is_some_and(|length| length as usize == bytes.len())
}

#[cfg(test)]
mod tests {
    use loopd_model::segment::{self, Effort};
    use loopd_model::{RecordKind, Span};

    use super::SegmentState;

    #[test]
    fn a_changed_bit_is_damage_and_another_version_is_not() {
        let spans = [Span { length: 7, count: 1, ..Span::default() }; 3];
        let mut bytes = segment::encode(RecordKind::Poll, &spans, Effort::Fast);
        assert_eq!(super::segment(1, &bytes), SegmentState::Spans(3));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(matches!(super::segment(1, &bytes), SegmentState::Damaged(_)));
        bytes[middle] ^= 1;
        bytes[3] = b'9';
        assert_eq!(super::segment(1, &bytes), SegmentState::Unknown);
        bytes[3] = b'x';
        assert!(matches!(super::segment(1, &bytes), SegmentState::Damaged(_)));
        assert!(matches!(super::segment(1, b""), SegmentState::Damaged(_)));
    }
}
