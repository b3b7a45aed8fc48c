//! The watchdog's loop.

use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use super::due::{Due, Running};
use super::naming::{Captured, Naming};
use super::signal::Requests;
use super::thread::{CpuShare, Doing};
use super::unwind::Unwind;
use super::{Sample, Sampler, key};
use crate::clock::{BASELINE, Calibration, Origin, ticks};
use crate::lane::Lane;
use crate::recorder::{self, Control, Recorder};
use crate::status::Status;

/// Between two looks.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// So that a change of the settings is soon followed.
const LONGEST_TICK: Duration = Duration::from_millis(100);

/// While a thread has been asked and has not answered.
const OPEN_TICK: Duration = Duration::from_millis(10);
/// A thread that is asleep or computing answers within this; it is looked for in ever longer pauses,
/// from as short as a sleep can be.
const PROMPTLY: Duration = Duration::from_millis(2);
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
/// A thread that does not answer within this, as one that blocks the signal, is left alone for a
/// while.
const PATIENCE: Duration = Duration::from_secs(1);

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
    requests: Requests<Asked>,
    unwind: Unwind,
    naming: Naming,
    sampler: Option<Sampler>,
}

/// A thread that was asked for its stack.
struct Asked {
    /// When, in ticks.
    at: u64,
    one: Running,
    doing: Doing,
}

impl Dog {
    pub(super) fn new(
        recorder: &'static Recorder,
        status: &'static Status,
        origin: Origin,
        sampler: Option<Sampler>,
    ) -> Self {
        Self {
            recorder,
            status,
            origin,
            clock: None,
            lanes: Vec::new(),
            cpu: Vec::new(),
            due: Due::default(),
            requests: Requests::new(),
            unwind: Unwind::default(),
            naming: Naming::new(recorder, status),
            sampler,
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
        self.take_answers();
        self.withdraw(in_ticks(PATIENCE));
        let running = self.running();
        let due = self.due.plan(ticks(), &running, self.requests.room());
        match self.sampler {
            Some(sampler) => due.iter().for_each(|one| self.sample(sampler, *one)),
            None => due.iter().for_each(|one| self.ask(*one)),
        }
        if !due.is_empty() && self.sampler.is_none() {
            self.await_answers();
        }
        // A poll that begins now and becomes slow is seen before it is.
        let tick = (threshold * 3 / 4).clamp(SHORTEST_TICK, LONGEST_TICK);
        let is_open = self.requests.open().next().is_some();
        let tick = if is_open { tick.min(OPEN_TICK) } else { tick };
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

    /// The polls going on whose threads have not been asked already.
    fn running(&mut self) -> Vec<Running> {
        if let Some(lanes) = self.recorder.lanes_beyond(self.lanes.len()) {
            self.lanes = lanes;
            self.cpu.resize_with(self.lanes.len(), CpuShare::default);
        }
        let lanes = self.lanes.iter().zip(&mut self.cpu).enumerate();
        let running = lanes.filter_map(|(index, (lane, cpu))| {
            let poll = lane.running()?;
            if self.requests.open().any(|asked| asked.one.poll == poll) {
                return None;
            }
            let tid = Some(lane.tid()).filter(|tid| *tid != 0)?;
            Some(Running { lane: index, tid, poll, cpu_share: cpu.look(tid) })
        });
        running.collect()
    }

    fn ask(&mut self, one: Running) {
        let (at, doing) = (ticks(), Doing::of(one.tid, one.cpu_share));
        self.requests.ask(self.lanes[one.lane], one.tid, Asked { at, one, doing });
    }

    /// Takes a stack in the way of whoever embeds the agent, which also names it.
    fn sample(&mut self, sampler: Sampler, one: Running) {
        let (at, doing) = (ticks(), Doing::of(one.tid, one.cpu_share));
        let frames = sampler(one.tid);
        // The poll may have ended meanwhile; then the stack is something else's.
        if !frames.is_empty() && self.lanes[one.lane].running() == Some(one.poll) {
            let Doing { running, syscall, wchan } = doing;
            let (addresses, frames) = (frames.iter().map(key).collect(), frames.into());
            let poll = one.poll;
            let sample = Sample { at, poll, addresses, frames, running, syscall, wchan };
            self.recorder.send(Control::Sample(sample));
        }
        self.due.taken(ticks(), &one);
    }

    /// Takes the answers that come promptly; the others, at a later look.
    fn await_answers(&mut self) {
        let (since, mut pause) = (Instant::now(), SHORTEST_PAUSE);
        while self.requests.open().next().is_some() && since.elapsed() < PROMPTLY {
            std::thread::sleep(pause);
            pause *= 2;
            self.take_answers();
        }
    }

    fn take_answers(&mut self) {
        let Self { lanes, due, requests, unwind, naming, .. } = self;
        requests.take_answers(|Asked { at, one, doing }, shot| {
            // The poll may have ended meanwhile; then the stack is something else's.
            if lanes[one.lane].running() == Some(one.poll) {
                naming.push(Captured { at, poll: one.poll, stack: unwind.stack(shot), doing });
                due.taken(ticks(), &one);
            }
        });
    }

    /// Gives up on polls that have ended, and on threads that do not answer.
    fn withdraw(&mut self, patience: u64) {
        let Self { lanes, due, requests, .. } = self;
        let now = ticks();
        requests.withdraw(|Asked { at, one, .. }| {
            let is_too_late = now.saturating_sub(*at) > patience;
            if is_too_late {
                due.taken(now, one);
            }
            is_too_late || lanes[one.lane].running() != Some(one.poll)
        });
    }
}
