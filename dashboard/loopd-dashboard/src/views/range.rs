//! A stretch of a process's time.

use loopd_model::UnixNanos;
use loopd_store::ProcessRow;

use super::ViewError;

/// From one instant to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
}

impl Range {
    /// What was asked for; without an end up to the last data, without a beginning `length`
    /// before the end but not before the process began.
    pub(crate) fn new(
        process: &ProcessRow,
        from: Option<UnixNanos>,
        to: Option<UnixNanos>,
        length: u64,
    ) -> Result<Self, ViewError> {
        // A process without data yet still has a moment to show.
        let end = process.last_at.max(UnixNanos(process.started_at.0.saturating_add(1)));
        let to = to.unwrap_or(end);
        let from = from.unwrap_or_else(|| {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let earliest = process.started_at.0.min(to.0.saturating_sub(1));
            UnixNanos(to.0.saturating_sub(length).max(earliest))
        });
        if from >= to {
            return Err(ViewError::Invalid(format!("`from` ({from}) must be before `to` ({to})")));
        }
        Ok(Self { from, to })
    }

    /// Its length, in nanoseconds.
    pub(crate) fn length(&self) -> u64 {
        self.to.0.abs_diff(self.from.0)
    }
}
