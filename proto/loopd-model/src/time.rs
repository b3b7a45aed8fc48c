//! Two kinds of instant that must never be mixed.

use std::fmt;
use std::time::Duration;

/// An instant: nanoseconds since the process's anchor, on a clock that never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `nanos` after this one, at most the end of time.
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// An instant in wall time: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub i64);

impl UnixNanos {
    /// The wall time of `at` in a process whose instant 0 was `self`.
    pub const fn at(self, at: Nanos) -> Self {
        let nanos = if at.0 > i64::MAX as u64 { i64::MAX } else { at.0 as i64 };
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
