//! The watchdog's loop.

use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use super::due::{Due, Running};
use super::naming::{Captured, Naming};
use super::signal::{self, MAX_AT_ONCE};
use super::thread::{CpuShare, Doing};
use super::unwind::Unwind;
use crate::clock::{BASELINE, Calibration, Origin, ticks};
use crate::lane::Lane;
use crate::recorder::{self, Recorder};
use crate::status::Status;

/// Between two looks.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// So that a change of the settings is soon followed.
const LONGEST_TICK: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Dog {
    recorder: &'static Recorder,
    status: &'static Status,
    origin: Origin,
    clock: Option<Calibration>,
    lanes: Vec<&'static Lane>,
    /// By lane.
    cpu: Vec<CpuShare>,
    due: Due,
    unwind: Unwind,
    naming: Naming,
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
            cpu: Vec::new(),
            due: Due::default(),
            unwind: Unwind::default(),
            naming: Naming::new(recorder, status),
        }
    }

    /// The body of the thread `loopd-watch`.
    pub(super) fn run(mut self) {
        let mut tick = SHORTEST_TICK;
        while !self.status.sleep(tick) {
            tick = if recorder::is_recording() && self.status.samples_stacks() {
                self.status.samples_underway.fetch_add(1, Release);
                let tick = self.look();
                self.status.samples_underway.fetch_sub(1, Release);
                tick
            } else {
                LONGEST_TICK
            };
        }
    }

    /// Takes the stacks that are due; says when to look again.
    fn look(&mut self) -> Duration {
        let clock = self.clock();
        let threshold = Duration::from_nanos(self.status.slow_threshold());
        let in_ticks = |time: Duration| clock.ticks_in(time.as_nanos() as u64);
        self.due.set_pace(in_ticks(threshold / 2), in_ticks(Duration::from_secs(1)));
        let running = self.running();
        for some in self.due.plan(ticks(), &running).chunks(MAX_AT_ONCE) {
            self.take(some);
        }
        // A poll that begins now and becomes slow is seen before it is.
        let tick = (threshold * 3 / 4).clamp(SHORTEST_TICK, LONGEST_TICK);
        let next = self.due.next(ticks(), &running);
        let next = next.map_or(tick, |next| Duration::from_nanos(clock.length(next)));
        next.clamp(SHORTEST_TICK, tick)
    }

    fn clock(&mut self) -> Calibration {
        if self.clock.is_none() && self.origin.elapsed() >= BASELINE {
            self.clock = Some(self.origin.calibrate());
        }
        self.clock.unwrap_or_else(|| self.origin.calibrate())
    }

    /// The polls going on.
    fn running(&mut self) -> Vec<Running> {
        if let Some(lanes) = self.recorder.lanes_beyond(self.lanes.len()) {
            self.lanes = lanes;
            self.cpu.resize_with(self.lanes.len(), CpuShare::default);
        }
        let lanes = self.lanes.iter().zip(&mut self.cpu).enumerate();
        let running = lanes.filter_map(|(index, (lane, cpu))| {
            let poll = lane.running()?;
            let tid = Some(lane.tid()).filter(|tid| *tid != 0)?;
            Some(Running { lane: index, tid, poll, cpu_share: cpu.look(tid) })
        });
        running.collect()
    }

    /// Takes the stacks of up to [`MAX_AT_ONCE`] polls.
    fn take(&mut self, some: &[Running]) {
        let Self { lanes, due, unwind, naming, .. } = self;
        let threads: Vec<_> = some.iter().map(|one| (lanes[one.lane], one.tid)).collect();
        let mut doing: Vec<_> = some.iter().map(|one| Doing::of(one.tid, one.cpu_share)).collect();
        signal::take(&threads, |index, shot| {
            let (at, one) = (ticks(), &some[index]);
            // The poll may have ended meanwhile; then the stack is something else's.
            if lanes[one.lane].running() == Some(one.poll) {
                let doing = std::mem::take(&mut doing[index]);
                naming.push(Captured { at, poll: one.poll, stack: unwind.stack(shot), doing });
                due.taken(at, one);
            }
        });
    }
}
