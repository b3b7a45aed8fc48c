//! Agents may claim any instant and any length. Here both are brought into a range in which no
//! sum or difference of two can overflow what SQL computes with.

use loopd_model::Nanos;

/// The latest instant and the longest length the store keeps: 73 years.
const MAX: i64 = 1 << 61;

/// The instant 0 of a process, from its first reading of both clocks.
pub(crate) fn origin(anchor: loopd_model::Anchor) -> i64 {
    let at = anchor.at.0.min(MAX as u64) as i64;
    anchor.unix.0.clamp(0, MAX).saturating_sub(at).max(0)
}

/// The wall time of an instant.
pub(crate) fn wall(origin: i64, at: Nanos) -> i64 {
    origin + at.0.min(MAX as u64) as i64
}

/// A length.
pub(crate) fn length(nanos: u64) -> i64 {
    nanos.min(MAX as u64) as i64
}

/// A count.
pub(crate) fn count(n: u64) -> i64 {
    length(n)
}
