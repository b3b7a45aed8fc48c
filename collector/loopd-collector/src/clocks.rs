//! What batches tell of the clocks of the programs that send them.
//!
//! Every batch says what both clocks of its program showed when it was sealed. Held against the clock here,
//! the fastest batch of a while says how far the two wall clocks can be apart; held against the first
//! reading, how far the program's wall clock has gone from its clock that never jumps. Kept in memory: the last
//! hour, of programs that have sent since the collector started.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use loopd_model::{Anchor, UnixNanos};
use loopd_store::ProcessKey;

/// One reading sums up so much time.
pub const CLOCK_STEP: u64 = 10_000_000_000;
/// An hour of them.
const MAX_READINGS: usize = 360;
/// Of so many programs; then the one that has been silent the longest is forgotten.
const MAX_PROCESSES: usize = 256;

/// What the batches of one step tell of a program's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// When the step began, by the collector's clock.
    pub at: UnixNanos,
    /// The least time, in nanoseconds, from the sealing of a batch, by the program's wall clock, to its arrival,
    /// by the collector's: the way there, and the difference of the clocks. Below zero the program's clock
    /// is ahead by at least so much.
    pub least_delay: i64,
    /// How far the program's wall clock is ahead of where it would be had it run evenly since its start, in
    /// nanoseconds; that of the last batch.
    pub drift: i64,
    /// Batches that came.
    pub batches: u64,
}

/// The clocks of all programs.
#[derive(Debug, Default)]
pub(crate) struct Clocks(Mutex<HashMap<ProcessKey, VecDeque<ClockReading>>>);

impl Clocks {
    /// Notes that a batch has come. `start` is what the program's clocks showed at first.
    pub(crate) fn note(&self, process: ProcessKey, start: Anchor, sealed: Anchor) {
        self.note_at(now(), process, start, sealed);
    }

    fn note_at(&self, now: UnixNanos, process: ProcessKey, start: Anchor, sealed: Anchor) {
        let least_delay = now.0.saturating_sub(sealed.unix.0);
        let passed = i128::from(sealed.at.0) - i128::from(start.at.0);
        let drift = i128::from(sealed.unix.0) - i128::from(start.unix.0) - passed;
        let drift = i64::try_from(drift).unwrap_or(if drift < 0 { i64::MIN } else { i64::MAX });
        let at = UnixNanos(now.0.saturating_sub(now.0.rem_euclid(CLOCK_STEP.cast_signed())));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_PROCESSES && !all.contains_key(&process) {
            let silent = all.iter().min_by_key(|(_, readings)| readings.back().map(|last| last.at));
            if let Some(silent) = silent.map(|(process, _)| *process) {
                all.remove(&silent);
            }
        }
        let readings = all.entry(process).or_default();
        match readings.back_mut() {
            // Also after a step back of the clock here: readings stay in order.
            Some(last) if last.at >= at => {
                last.least_delay = last.least_delay.min(least_delay);
                last.drift = drift;
                last.batches += 1;
            }
            _ => readings.push_back(ClockReading { at, least_delay, drift, batches: 1 }),
        }
        if readings.len() > MAX_READINGS {
            readings.pop_front();
        }
    }

    /// What is known of a program, oldest first.
    pub(crate) fn of(&self, process: ProcessKey) -> Vec<ClockReading> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&process).into_iter().flatten().copied().collect()
    }
}

fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use loopd_model::Nanos;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn anchor(at: i64, unix: i64) -> Anchor {
        Anchor { at: Nanos(at.cast_unsigned()), unix: UnixNanos(unix) }
    }

    #[test]
    fn the_fastest_batch_of_a_step_and_the_latest_drift_count() {
        let clocks = Clocks::default();
        let start = anchor(0, 100 * SECOND);
        let note = |now: i64, sealed| {
            clocks.note_at(UnixNanos(now), ProcessKey(1), start, sealed);
        };
        note(111 * SECOND, anchor(10 * SECOND, 110 * SECOND));
        // Its wall clock was set forward by five seconds, and is now ahead of ours.
        note(112 * SECOND, anchor(11 * SECOND, 116 * SECOND));
        note(125 * SECOND, anchor(20 * SECOND, 125 * SECOND));
        let reading = |at, least_delay, drift, batches| ClockReading {
            at: UnixNanos(at * SECOND),
            least_delay: least_delay * SECOND,
            drift: drift * SECOND,
            batches,
        };
        assert_eq!(clocks.of(ProcessKey(1)), [reading(110, -4, 5, 2), reading(120, 0, 5, 1)]);
        assert_eq!(clocks.of(ProcessKey(2)), []);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let clocks = Clocks::default();
        let start = anchor(0, 0);
        for step in 0..2 * MAX_READINGS as i64 {
            let now = UnixNanos(step * CLOCK_STEP.cast_signed());
            clocks.note_at(now, ProcessKey(1), start, anchor(0, 0));
        }
        let kept = clocks.of(ProcessKey(1));
        assert_eq!(kept.len(), MAX_READINGS);
        assert_eq!(kept[0].at.0, MAX_READINGS as i64 * CLOCK_STEP.cast_signed());
        for process in 0..=MAX_PROCESSES as i64 {
            clocks.note_at(UnixNanos(i64::MAX / 2), ProcessKey(process + 2), start, start);
        }
        assert_eq!(clocks.of(ProcessKey(1)), [], "it has been silent the longest");
    }

    #[test]
    fn clocks_far_off_do_not_overflow() {
        let clocks = Clocks::default();
        let far = Anchor { at: Nanos(u64::MAX), unix: UnixNanos(i64::MIN) };
        clocks.note_at(UnixNanos(i64::MAX), ProcessKey(1), far, anchor(0, i64::MIN));
        clocks.note_at(UnixNanos(i64::MIN), ProcessKey(1), anchor(0, i64::MAX), far);
        assert_eq!(clocks.of(ProcessKey(1))[0].drift, i64::MIN);
    }
}
