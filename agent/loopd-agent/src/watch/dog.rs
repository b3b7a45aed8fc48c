//! The watchdog's loop.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use loopd_model::Running;

use super::Sample;
use super::signal;
use super::symbols::Symbols;
use super::unwind::Unwind;
use crate::clock::{BASELINE, Calibration, Origin, ticks};
use crate::lane::{Lane, RunningPoll};
use crate::recorder::{self, Control, Recorder};
use crate::status::Status;

/// The watchdog looks four times per threshold, within these.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_millis(25);
/// Stacks per second, over all workers: what a program that blocks everywhere pays at most.
const MAX_SAMPLES_PER_SECOND: u32 = 20;

/// See the module.
pub(super) struct Dog {
    recorder: &'static Recorder,
    status: &'static Status,
    origin: Origin,
    clock: Option<Calibration>,
    lanes: Vec<&'static Lane>,
    /// Per lane, by its place in `lanes`: the poll last sampled, and at which age, in ticks, the
    /// next sample of it is due.
    watched: HashMap<usize, (u64, u64)>,
    unwind: Unwind,
    symbols: Symbols,
    /// Samples taken in the second that began then.
    budget: (Instant, u32),
}

impl Dog {
    pub(super) fn new(
        recorder: &'static Recorder,
        status: &'static Status,
        origin: Origin,
    ) -> Self {
        Self {
            recorder,
            status,
            origin,
            clock: None,
            lanes: Vec::new(),
            watched: HashMap::new(),
            unwind: Unwind::default(),
            symbols: Symbols::default(),
            budget: (Instant::now(), 0),
        }
    }

    /// The body of the thread `loopd-watch`.
    pub(super) fn run(mut self) {
        loop {
            let threshold = Duration::from_nanos(self.status.slow_threshold());
            if self.status.sleep((threshold / 4).clamp(SHORTEST_TICK, LONGEST_TICK)) {
                return;
            }
            if recorder::is_recording() && self.status.samples_stacks() {
                self.status.is_sampling.store(true, Relaxed);
                self.look();
                self.status.is_sampling.store(false, Relaxed);
            }
        }
    }

    fn look(&mut self) {
        if self.clock.is_none() && self.origin.elapsed() >= BASELINE {
            self.clock = Some(self.origin.calibrate());
        }
        let clock = self.clock.unwrap_or_else(|| self.origin.calibrate());
        if let Some(lanes) = self.recorder.lanes_beyond(self.lanes.len()) {
            self.lanes = lanes;
        }
        let first_due = clock.ticks_in(self.status.slow_threshold() / 2);
        for index in 0..self.lanes.len() {
            let Some(poll) = self.lanes[index].running() else { continue };
            let age = ticks().saturating_sub(poll.started);
            let due = match self.watched.get(&index) {
                Some(&(started, due)) if started == poll.started => due,
                _ => first_due,
            };
            // What could not be taken, because the thread did not get to run its handler or the
            // poll ended, is tried again at the next tick.
            if age >= due && self.may_sample() && self.sample(self.lanes[index], poll) {
                self.watched.insert(index, (poll.started, (age * 2).max(1)));
            }
        }
    }

    fn may_sample(&mut self) -> bool {
        let (since, taken) = &mut self.budget;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *taken) = (Instant::now(), 0);
        }
        *taken += 1;
        *taken <= MAX_SAMPLES_PER_SECOND
    }

    fn sample(&mut self, lane: &'static Lane, poll: RunningPoll) -> bool {
        let tid = lane.tid();
        if tid == 0 {
            return false;
        }
        // Before the signal: that makes a sleeping thread run.
        let running = running(tid);
        let unwind = &mut self.unwind;
        let taken = signal::take(lane, tid, |shot| {
            // The poll may have ended meanwhile; then the stack is something else's.
            (lane.running() == Some(poll)).then(|| unwind.addresses(shot))
        });
        let Some(Some(addresses)) = taken else { return false };
        let frames = self.symbols.frames(&addresses);
        self.recorder.send(Control::Sample(Sample { poll, addresses, frames, running }));
        true
    }
}

/// Whether a thread is computing or asleep, as the kernel sees it.
fn running(tid: i32) -> Running {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    match state {
        Some('R') => Running::OnCpu,
        Some('S' | 'D') => Running::OffCpu,
        _ => Running::Unknown,
    }
}
