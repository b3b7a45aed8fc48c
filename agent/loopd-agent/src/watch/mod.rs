//! The watchdog.

use loopd_model::{Coverage, CoverageState, Frame, Running};

use crate::clock::Origin;
use crate::lane::RunningPoll;
use crate::recorder::Recorder;
use crate::status::Status;

/// A stack taken in the middle of a poll.
pub(crate) struct Sample {
    pub(crate) poll: RunningPoll,
    pub(crate) addresses: Vec<u64>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) running: Running,
}

pub(crate) fn start(_: &'static Recorder, _: &'static Status, _: Origin) -> Coverage {
    Coverage {
        layer: "watchdog".into(),
        state: CoverageState::Unavailable,
        reason: "not built".into(),
    }
}
