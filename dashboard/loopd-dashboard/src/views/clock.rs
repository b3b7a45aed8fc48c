//! How far the clock of a program is from that of the server, and how evenly it runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::UnixNanosText;

/// How much time one reading sums up, in nanoseconds.
pub const CLOCK_STEP: u64 = 10_000_000_000;

/// `GET /api/v1/processes/{process}/clock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockView {
    /// Of which process.
    pub process: i64,
    /// How much time one reading sums up, in nanoseconds; null where no server knows clocks.
    pub step: Option<u64>,
    /// The last hour, oldest first. Empty if the process has not sent since the server started.
    pub readings: Vec<ClockReading>,
}

/// What the batches of one step tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockReading {
    /// When it began, by the server's clock.
    pub at: UnixNanosText,
    /// The least time from the sealing of a batch, by the program's wall clock, to its arrival, by the server's,
    /// in nanoseconds: the difference of the clocks, and the way of the fastest batch. Below zero the
    /// program's clock is ahead by at least so much.
    pub least_delay: i64,
    /// How far the program's wall clock is ahead of where it would be had it run evenly since its start, in
    /// nanoseconds.
    pub drift: i64,
    /// Batches that came.
    pub batches: u64,
}
