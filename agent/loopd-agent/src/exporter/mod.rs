//! The exporter: one thread with its own small runtime that drains the rings, makes batches, and
//! talks to the collector. Nothing here runs on the program's threads.

mod backoff;
mod cut;
mod drain;
mod fds;
mod finish;
mod metrics;
mod notes;
mod resources;
mod session;
mod stage;
mod tables;
mod vitals;
mod waits;
pub(crate) mod wakeup;
mod window;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use loopd_model::{
    Coverage, DropCause, DumpId, EventKind, LoopId, Nanos, Process, RecordKind, ResourceId,
    Settings, StackId, TaskId, WorkerId,
};
use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind;

use crate::clock::{self, Calibration, Origin, ticks};
use crate::cost;
use crate::coverage;
use crate::dumps::{self, Dumped};
use crate::layer;
use crate::recorder::{self, Control, Gauges, Loop, LoopOrigin, Recorder};
use crate::resource;
use crate::settings;
use crate::silence;
use crate::status::{Flushed, Status};
use crate::watch::{Sample, key};

use backoff::Backoff;
use drain::Drain;
use finish::Farewell;
pub(crate) use session::Target;
use session::{Outgoing, Session, SessionEvent};
use stage::Stage;
use tables::Tables;
use vitals::{Own, Vitals};
use wakeup::EventFd;
use window::Window;

/// Between rounds: short while many records come in, longer while there are few, and longest while
/// there are none: the first one after a rest is seen that much later, unless its ring fills up.
const BUSY_INTERVAL: Duration = Duration::from_millis(2);
const CALM_INTERVAL: Duration = Duration::from_millis(50);
const IDLE_INTERVAL: Duration = Duration::from_millis(400);
/// A round that reads this many words comes soon again.
const BUSY_WORDS: u64 = 2_048;
/// The longest that a record waits before it is put into a batch.
const SEAL_INTERVAL: Duration = Duration::from_millis(150);
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Between words about coverage that only have other reasons.
const REASONS_INTERVAL: Duration = Duration::from_secs(10);
/// Runtimes first seen through a wrapper whose metrics are read. Nobody tells when one of them is
/// gone, and reading it keeps its file descriptors open; so only the latest few are read.
const MAX_SEEN: usize = 8;
/// Batches on their way and no acknowledgement for this long: the connection is as good as dead.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);
/// Of one batch on end, before the connection is given up for a while.
const MAX_REFUSALS: u32 = 3;

/// What the exporter is made with.
pub(crate) struct Setup {
    pub(crate) recorder: &'static Recorder,
    pub(crate) status: &'static Status,
    pub(crate) process: Process,
    /// The settings with which the program started.
    pub(crate) configured: Settings,
    pub(crate) origin: Origin,
    pub(crate) target: Arc<Target>,
    pub(crate) memory_limit: usize,
}

/// The most that unacknowledged batches may take.
pub(crate) fn window_bytes(memory_limit: usize) -> usize {
    const MOST: usize = 8 << 20;
    (memory_limit / 4).min(MOST)
}

/// Runs the exporter until shutdown. The body of the thread `loopd-export`.
pub(crate) fn run(setup: Setup) {
    // Whatever tonic, h2 and tokio trace on this thread must not reach the program's subscriber.
    let _silence = silence::on_this_thread();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Those that look up host names.
        .thread_name("loopd-lookup")
        .on_thread_start(|| {
            cost::thread_is_asked_for();
            cost::thread_began();
        })
        .on_thread_stop(|| {
            cost::thread_ended();
            cost::thread_is_gone();
        })
        .build();
    let status = setup.status;
    match runtime {
        Ok(runtime) => {
            let flushed = runtime.block_on(Exporter::new(setup).run());
            // The session's task and its sockets go with the runtime.
            drop(runtime);
            status.finish(flushed);
        }
        Err(error) => {
            recorder::set_recording(false);
            status.update(|stats| stats.last_error = format!("start the exporter: {error}"));
            status.finish(Flushed::default());
        }
    }
}

struct Exporter {
    setup: Setup,
    drain: Drain,
    stage: Stage,
    tables: Tables,
    window: Window,
    vitals: Vitals,
    clock: Option<Calibration>,
    /// Loops whose metrics are read, oldest first.
    loops: Vec<Watched>,
    link: Link,
    backoff: Backoff,
    /// The database of the last collector that welcomed us.
    store_epoch: Option<Vec<u8>>,
    /// The one before that.
    epoch_before: Option<Vec<u8>>,
    /// Whether the program is ending, and how far its last words are.
    farewell: Farewell,
    interval: Duration,
    sealed_at: Instant,
    measured_at: Instant,
    /// When the connection last made progress.
    progress_at: Instant,
    /// What is captured, as far as it was last told.
    told: (Vec<Coverage>, Settings),
    told_at: Instant,
}

/// A loop, and what its runtime says about itself.
struct Watched {
    loop_: Arc<Loop>,
    gauges: Gauges,
    origin: LoopOrigin,
}

impl Watched {
    fn measure(&self, stage: &mut Stage) {
        let metrics = match &self.gauges {
            Gauges::Tokio(metrics) => metrics::of_runtime(metrics),
            Gauges::Embedded(gauges) => gauges.read(),
        };
        stage.event(ticks(), EventKind::Metrics { loop_id: self.loop_.id, metrics });
    }
}

/// The connection to the collector.
enum Link {
    /// None; the next attempt is due then.
    Down(Instant),
    /// Begun, not welcomed yet.
    Greeting(Session),
    /// Welcomed.
    Up(Session),
}

/// What can end the exporter's wait.
enum Wakeup {
    /// Time for another round.
    Round,
    /// The collector said something, or the connection changed.
    Session(SessionEvent),
    /// The transport takes a batch again.
    CanSend,
}

impl Exporter {
    fn new(setup: Setup) -> Self {
        let now = Instant::now();
        let seed = setup.process.id.0;
        let seed = u64::from_le_bytes([
            seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7],
        ]);
        Self {
            drain: Drain::new(setup.recorder),
            stage: Stage::new(setup.memory_limit),
            tables: Tables::new(setup.memory_limit),
            window: Window::new(window_bytes(setup.memory_limit)),
            vitals: Vitals::default(),
            clock: None,
            loops: Vec::new(),
            link: Link::Down(now),
            backoff: Backoff::new(seed),
            store_epoch: None,
            epoch_before: None,
            farewell: Farewell::NotYet,
            interval: BUSY_INTERVAL,
            sealed_at: now,
            measured_at: now,
            progress_at: now,
            told: (setup.process.coverage.clone(), setup.configured),
            told_at: now,
            setup,
        }
    }

    async fn run(mut self) -> Flushed {
        let event_fd = self.setup.recorder.wakeup().event_fd();
        loop {
            self.round();
            self.connect_if_due();
            self.send();
            if let Some(deadline) = self.setup.status.shutdown_deadline() {
                return self.finish(deadline).await;
            }
            match self.wait(event_fd.as_ref()).await {
                Wakeup::Session(event) => self.hear(event),
                Wakeup::Round | Wakeup::CanSend => {}
            }
        }
    }

    async fn wait(&mut self, event_fd: Option<&EventFd>) -> Wakeup {
        let can_send = self.may_send() && (self.window.has_next() || self.owes_goodbye());
        let session = async {
            match &mut self.link {
                Link::Down(_) => std::future::pending().await,
                Link::Greeting(session) | Link::Up(session) => {
                    let wants_slot = can_send && session.slot().is_none();
                    session.next_or_slot(wants_slot).await.map_or(Wakeup::CanSend, Wakeup::Session)
                }
            }
        };
        let (mut session, mut called, mut timer) = (
            pin!(session),
            pin!(self.setup.recorder.wakeup().called(event_fd)),
            pin!(tokio::time::sleep(self.interval)),
        );
        poll_fn(|context| {
            if let Poll::Ready(wakeup) = session.as_mut().poll(context) {
                return Poll::Ready(wakeup);
            }
            let is_called = called.as_mut().poll(context).is_ready();
            if is_called || timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Wakeup::Round);
            }
            Poll::Pending
        })
        .await
    }

    /// Drains, measures, seals.
    fn round(&mut self) {
        self.calibrate_if_due();
        let controls = self.setup.recorder.take_controls();
        let mut closed = Vec::new();
        for (at, control) in controls {
            match control {
                Control::LoopOpened(loop_, gauges, origin) => {
                    self.loop_opened(at, Watched { loop_, gauges, origin });
                }
                Control::Sample(sample) => self.sampled(sample),
                Control::Dumped(dumped) => self.dumped(at, dumped),
                Control::LoopClosed(loop_, began) => closed.push((began, loop_)),
            }
        }
        let mut words = 0;
        loop {
            let round = self.drain.round(&mut self.stage, &mut self.tables);
            words += round.words;
            if self.stage.is_full() && !self.seal() {
                // Not calibrated yet: the rings hold what follows.
                break;
            }
            if !round.is_cut_short {
                break;
            }
        }
        while !fds::stage_changes(&mut self.stage, &mut self.tables) && self.seal() {}
        for (at, loop_) in closed {
            self.loop_closed(at, &loop_);
        }
        if self.measured_at.elapsed() >= METRICS_INTERVAL {
            self.measure();
            self.tell_changes();
        }
        if self.sealed_at.elapsed() >= SEAL_INTERVAL && !self.stage.is_empty() {
            self.seal();
        }
        self.interval = match words {
            BUSY_WORDS.. => BUSY_INTERVAL,
            0 => (self.interval * 2).min(IDLE_INTERVAL),
            _ => (self.interval * 2).min(CALM_INTERVAL),
        };
    }

    fn calibrate_if_due(&mut self) {
        if self.clock.is_none() && self.setup.origin.elapsed() >= clock::BASELINE {
            self.clock = Some(self.setup.origin.calibrate());
        }
        self.tell_time();
    }

    /// To what needs the clock before a batch is sealed.
    fn tell_time(&mut self) {
        if let Some(clock) = self.clock {
            self.drain.resources().set_clock(clock);
            resource::set_slow_ticks(clock.ticks_in(self.setup.status.slow_threshold()));
        }
    }

    /// Makes a batch of the stage; not before the clock is calibrated.
    fn seal(&mut self) -> bool {
        let Some(clock) = &self.clock else { return false };
        let batch = self.stage.seal(clock, &mut self.tables);
        self.window.push(batch);
        self.sealed_at = Instant::now();
        self.publish();
        true
    }

    fn loop_opened(&mut self, at: u64, watched: Watched) {
        let loop_ = &watched.loop_;
        let (flavor, workers) =
            loop_.facts.get().map_or(("tokio", 0), |facts| (&*facts.flavor, facts.workers));
        let opened = EventKind::LoopOpened {
            loop_id: loop_.id,
            name: loop_.name.clone(),
            flavor: flavor.to_owned(),
            workers,
        };
        self.stage.event(at, opened);
        let is_seen = |known: &Watched| known.origin == LoopOrigin::Seen;
        if is_seen(&watched) && self.loops.iter().filter(|known| is_seen(known)).count() >= MAX_SEEN
        {
            let oldest = self.loops.iter().position(is_seen);
            oldest.map(|index| self.loops.remove(index));
        }
        self.loops.push(watched);
    }

    fn loop_closed(&mut self, at: u64, loop_: &Arc<Loop>) {
        self.drain.forget(loop_.id);
        self.stage.event(at, EventKind::LoopClosed { loop_id: loop_.id });
        if let Some(index) = self.loops.iter().position(|known| known.loop_.id == loop_.id) {
            self.loops.remove(index).measure(&mut self.stage);
        }
    }

    fn measure(&mut self) {
        self.measured_at = Instant::now();
        let Self { loops, stage, .. } = self;
        // The word that a loop closed may have been lost. What is read after its end is final.
        loops.retain(|watched| {
            let is_closed = watched.loop_.is_closed();
            watched.measure(stage);
            !is_closed
        });
        self.drain.resources().measure(stage);
        layer::scan(|event| self.stage.event(ticks(), event));
        let own = Own {
            memory: self.memory(),
            produced: self.stage.produced().iter().sum(),
            dropped: self.stage.dropped().iter().map(|(_, _, count)| count).sum(),
        };
        let metrics = self.vitals.read(own);
        self.stage.event(ticks(), EventKind::Metrics { loop_id: LoopId::NONE, metrics });
    }

    /// Part of an answer, or its end.
    fn dumped(&mut self, at: u64, dumped: Dumped) {
        let Dumped { dump, tasks, end } = dumped;
        for task in tasks {
            let known = self.tables.stack(task.frames.iter().map(key).collect(), task.frames);
            let dumped = EventKind::TaskDumped {
                dump,
                task: TaskId(task.task),
                stack: known.unwrap_or(StackId::NONE),
                awaits: task.awaits,
                awaits_task: TaskId(task.awaits_task),
                resource: ResourceId(task.resource),
            };
            self.stage.event(at, dumped);
            if self.stage.is_full() {
                self.seal();
            }
        }
        if let Some((tasks, left_out, reason)) = end {
            self.stage.event(at, EventKind::DumpEnded { dump, tasks, left_out, reason });
        }
    }

    fn sampled(&mut self, sample: Sample) {
        let at = sample.at;
        match self.tables.stack(sample.addresses, sample.frames.to_vec()) {
            Some(stack) => {
                let event = EventKind::StackSample {
                    loop_id: LoopId(sample.poll.loop_id),
                    worker: WorkerId(sample.poll.worker),
                    task: TaskId(sample.poll.task),
                    poll_started_at: Nanos(sample.poll.started),
                    stack,
                    running: sample.running,
                    syscall: sample.syscall,
                    wchan: sample.wchan,
                };
                self.stage.event(at, event);
            }
            None => self.stage.loss(RecordKind::Sample, DropCause::AgentLimit, 1, (at, at)),
        }
    }

    fn memory(&self) -> usize {
        self.setup.recorder.ring_bytes()
            + self.window.bytes()
            + self.stage.bytes()
            + self.tables.bytes()
            + crate::fds::bytes()
            + self.drain.resources_bytes()
            + layer::bytes()
    }

    fn connect_if_due(&mut self) {
        if let Link::Down(due) = self.link
            && Instant::now() >= due
        {
            let settings = settings::in_force(self.setup.status);
            let mut process = self.setup.process.clone();
            process.coverage = coverage::now(&settings);
            process.slow_threshold = self.setup.status.slow_threshold();
            let hello = pb::Hello {
                protocol: loopd_wire::PROTOCOL,
                process: Some(loopd_wire::encode_process(process)),
                first_seq: self.window.first_seq(),
                settings: Some(loopd_wire::encode_settings(settings)),
                configured: Some(loopd_wire::encode_settings(self.setup.configured)),
            };
            self.link = Link::Greeting(Session::start(self.setup.target.clone(), hello));
            self.window.restart();
            self.progress_at = Instant::now();
        }
        if matches!(self.link, Link::Greeting(_)) && self.progress_at.elapsed() >= ACK_TIMEOUT {
            self.hang_up("the collector has not welcomed this process for 15 s");
        }
        if matches!(self.link, Link::Up(_))
            && self.window.is_waiting()
            && self.progress_at.elapsed() >= ACK_TIMEOUT
        {
            self.hang_up("the collector has not acknowledged anything for 15 s");
        }
    }

    fn hang_up(&mut self, reason: &str) {
        self.link = Link::Down(Instant::now() + self.backoff.next());
        self.setup.status.update(|stats| {
            stats.connected = false;
            stats.last_error = reason.to_owned();
        });
    }

    /// Sends what the transport takes.
    fn send(&mut self) {
        if !self.may_send() {
            return;
        }
        let (Link::Greeting(session) | Link::Up(session)) = &self.link else { return };
        while let Some(slot) = session.slot() {
            let was_waiting = self.window.is_waiting();
            let Some(batch) = self.window.next() else { break };
            if !was_waiting {
                self.progress_at = Instant::now();
            }
            slot.send(Outgoing::Batch(batch));
        }
        self.stage.give_up(DropCause::AgentLimit, self.window.take_oversized());
    }

    fn hear(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Message(Kind::Welcome(welcome)) => self.welcomed(welcome),
            SessionEvent::Message(Kind::Ack(ack)) => {
                self.progress_at = Instant::now();
                match self.window.ack(ack.durable_seq) {
                    // Not at its welcome: it may welcome us and end the stream over and over.
                    Ok(()) => self.backoff.reset(),
                    Err(unsent) => {
                        let seq = unsent.seq;
                        self.hang_up(&format!(
                            "the collector acknowledged batch {seq}, never sent"
                        ));
                    }
                }
                self.publish();
            }
            SessionEvent::Message(Kind::Settings(asked)) => {
                settings::apply(self.setup.status, &loopd_wire::decode_settings(asked));
                self.tell_changes();
            }
            SessionEvent::Message(Kind::DumpTasks(asked)) => self.dump(DumpId(asked.dump_id)),
            SessionEvent::Message(Kind::Refused(refused)) => {
                self.progress_at = Instant::now();
                let refusals = self.window.refuse(refused.seq, DropCause::Malformed);
                let reason = format!("batch {} was refused: {}", refused.seq, refused.reason);
                if refusals > MAX_REFUSALS {
                    // There is nothing left in it to take out: not in a hurry, then.
                    self.hang_up(&reason);
                } else {
                    self.setup.status.update(|stats| stats.last_error = reason);
                }
            }
            SessionEvent::Ended(reason) => self.hang_up(&reason),
        }
    }

    /// Has it told where every task waits. Somebody looks at a page meanwhile.
    fn dump(&mut self, dump: DumpId) {
        self.interval = BUSY_INTERVAL;
        if !dump.is_none() && !dumps::ask(dump) {
            let reason = dumps::NOBODY.to_owned();
            let ended = EventKind::DumpEnded { dump, tasks: 0, left_out: 0, reason };
            self.stage.event(ticks(), ended);
        }
    }

    fn welcomed(&mut self, welcome: pb::Welcome) {
        let before = std::mem::replace(&mut self.link, Link::Down(Instant::now()));
        let Link::Greeting(session) = before else {
            return self.hang_up("the collector said welcome twice");
        };
        if let Some(asked) = welcome.settings {
            settings::apply(self.setup.status, &loopd_wire::decode_settings(asked));
        }
        // Also if nothing changed: the collector may still get older batches that say otherwise.
        self.tell_coverage();
        let is_other_store =
            self.store_epoch.as_ref().is_some_and(|known| *known != welcome.store_epoch);
        self.window.set_max_batch_bytes(welcome.max_batch_bytes);
        if is_other_store {
            let is_back = self.epoch_before.as_ref() == Some(&welcome.store_epoch);
            let known_to = if is_back { welcome.durable_seq } else { 0 };
            self.window.teach(self.tables.everything(), known_to);
            self.epoch_before = self.store_epoch.take();
        }
        self.store_epoch = Some(welcome.store_epoch);
        if let Err(unsent) = self.window.ack(welcome.durable_seq) {
            let seq = unsent.seq;
            return self.hang_up(&format!("the collector claims to have batch {seq}, never sent"));
        }
        self.link = Link::Up(session);
        self.progress_at = Instant::now();
        self.setup.status.update(|stats| {
            stats.connected = true;
            stats.last_error.clear();
        });
        self.publish();
    }

    /// Tells the collector what is captured from now on, if that changed. A reason may hold a count
    /// that rises all the time, and waits.
    fn tell_changes(&mut self) {
        let settings = settings::in_force(self.setup.status);
        let coverage = coverage::now(&settings);
        let (told, told_settings) = &self.told;
        let is_due = self.told_at.elapsed() >= REASONS_INTERVAL && *told != coverage;
        if *told_settings != settings || coverage::differ(told, &coverage) || is_due {
            self.tell_coverage();
        }
    }

    /// Tells the collector what is captured from now on. Not at the end: nothing follows, and the
    /// last batch is made before the last welcome.
    fn tell_coverage(&mut self) {
        if self.setup.status.shutdown_deadline().is_some() {
            return;
        }
        let settings = settings::in_force(self.setup.status);
        let coverage = coverage::now(&settings);
        self.setup.status.update(|stats| stats.coverage.clone_from(&coverage));
        (self.told, self.told_at) = ((coverage.clone(), settings), Instant::now());
        self.stage.event(ticks(), EventKind::CoverageChanged { coverage, settings });
    }

    /// Shows the program how things stand.
    fn publish(&self) {
        let by_kind = |counts: &[u64; RecordKind::SLOTS]| {
            let count = |kind: RecordKind| (kind, counts[kind as usize]);
            RecordKind::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
        };
        let held = self.window.held();
        self.setup.status.update(|stats| {
            stats.is_recording = recorder::is_recording();
            stats.durable_seq = self.window.durable_seq();
            stats.produced = by_kind(self.stage.produced());
            stats.dropped = self.stage.dropped();
            stats.in_flight = by_kind(&held);
            stats.evicted = self.window.evicted();
            stats.memory = self.memory();
        });
    }
}
