//! For agents of other languages, whose event loops are not tokio's: the same recorder, watchdog and
//! exporter behind plain numbers. Part of the project, not of the crate's public interface.
//!
//! Tasks have the numbers that the embedding agent gives them, from 1. Instants are [`ticks`]. Whatever
//! is not recorded now costs one load: ask [`is_recording`] first.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loopd_model::{
    CloseHow, Coverage, DumpId, MarkLevel, Metric, Outcome, RecordKind, TaskKind, WaitHow,
};

use crate::agent::{self, Agent};
use crate::config::{Config, StartError};
use crate::dumps::Dumped;
use crate::lane::{LOST, Lane};
use crate::notes::Note;
use crate::record::{self, Record};
use crate::recorder::{self, Control, Loop};
use crate::resource::{Handle, Kind, OwnedHold, kind};
use crate::waits::{Holder, Holders, WaitRecord, next_wait};
use crate::{cost, coverage, dumps, labels, place};

pub use crate::clock::ticks;
pub use crate::dumps::DumpedTask;
pub use crate::labels::number as label;
pub use crate::recorder::{is_recording, records_polls, records_waits, records_wakes};
pub use crate::waits::Op;
pub use crate::watch::Sampler;

/// What an embedding agent says of itself.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Its name, as in `Process.agent`.
    pub agent: &'static str,
    /// How it takes stacks, if it can.
    pub sampler: Option<Sampler>,
    /// What it captures.
    pub coverage: Vec<Coverage>,
}

/// How long a start waits for the agent before it, whose deadline is over.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts an agent. Unlike [`Config::start`] it may be called again once the last one was shut down.
pub fn start(mut config: Config, embedded: Embedded) -> Result<Agent, StartError> {
    if agent::has_ended(PATIENCE) {
        agent::start_over();
    }
    config.embedded = Some(embedded);
    config.start()
}

/// In a forked child: forgets the parent's agent, of which only the memory is there. Nothing is
/// recorded until the next [`start`].
pub fn renew_in_child() {
    recorder::forget_parent();
    place::renew();
    labels::renew();
    cost::renew();
    agent::start_over();
    GAUGES.all().into_iter().for_each(|(_, gauge)| gauge.store(0, Relaxed));
}

/// Says what a layer can do, in the place of what was said of it before.
pub fn set_coverage(layer: Coverage) {
    coverage::set(layer);
}

/// The place of this line of a file; 0 if it is not known.
pub fn place_of(file: &str, line: u32) -> u64 {
    place::made_of(place::file(file), line, 0)
}

/// The slow threshold in force, in nanoseconds.
pub fn slow_threshold() -> u64 {
    agent::STATUS.slow_threshold()
}

/// The same in ticks; as good as endless in the first tenth of a second, before they can be told.
pub fn slow_ticks() -> u64 {
    crate::resource::slow_ticks()
}

/// Changes it, within what is allowed.
pub fn set_slow_threshold(nanos: u64) {
    let asked = loopd_model::Settings { slow_threshold: Some(nanos), ..Default::default() };
    crate::settings::apply(agent::STATUS.get(), &asked);
}

/// What a loop tells of itself once a second; written by its own thread.
#[derive(Debug, Default)]
pub struct LoopGauges {
    /// Tasks spawned and not ended.
    pub alive_tasks: AtomicU64,
    /// Callbacks that were ready at the last turn.
    pub ready_callbacks: AtomicU64,
    /// Turns of the loop.
    pub turns: AtomicU64,
    /// Tasks spawned since the start.
    pub spawned_tasks: AtomicU64,
    /// Set where turns are seen.
    pub has_turns: AtomicBool,
}

impl LoopGauges {
    pub(crate) fn read(&self) -> Vec<Metric> {
        let reading = |name: &str, value: &AtomicU64| Metric {
            name: name.to_owned(),
            worker: None,
            value: value.load(Relaxed) as f64,
        };
        let mut readings = vec![
            reading("alive_tasks", &self.alive_tasks),
            reading("spawned_tasks", &self.spawned_tasks),
        ];
        if self.has_turns.load(Relaxed) {
            readings.push(reading("ready_callbacks", &self.ready_callbacks));
            readings.push(reading("turns", &self.turns));
        }
        readings
    }
}

/// A loop under watch, with one worker.
#[derive(Clone)]
pub struct EmbeddedLoop {
    loop_: Arc<Loop>,
    /// What it tells of itself.
    pub gauges: Arc<LoopGauges>,
    /// When it began to shut down, in ticks; 0 before.
    closing: Arc<AtomicU64>,
}

impl fmt::Debug for EmbeddedLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLoop").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl EmbeddedLoop {
    /// A loop that came under watch now.
    pub fn open(name: &str, flavor: &str) -> Self {
        let (loop_, gauges) = (Loop::new(name), Arc::<LoopGauges>::default());
        loop_.open_embedded(flavor.to_owned(), gauges.clone());
        Self { loop_, gauges, closing: Arc::default() }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.loop_.id.0
    }

    /// It begins to shut down, which is when a loop counts as closed: what it has to sweep away then is
    /// what the program left alive.
    pub fn begin_closing(&self) {
        self.closing.store(ticks(), Relaxed);
    }

    /// It is closed.
    pub fn close(&self) {
        if !self.loop_.is_closed() {
            let began = match self.closing.load(Relaxed) {
                0 => ticks(),
                began => began,
            };
            self.loop_.clone().close(began);
        }
    }

    /// Whether it is.
    pub fn is_closed(&self) -> bool {
        self.loop_.is_closed()
    }
}

/// The calling thread as one that runs steps. Without memory for it, all that it does is counted as lost.
#[derive(Clone, Copy)]
pub struct Thread(Option<&'static Lane>);

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}

impl Thread {
    /// The calling thread.
    #[inline(always)]
    pub fn current() -> Self {
        Self(recorder::poll_lane())
    }

    /// A step of a task begins. What it gives is for [`Thread::end_step`]: when, which is never 0.
    #[inline(always)]
    pub fn begin_step(self, loop_: &EmbeddedLoop, task: u64) -> u64 {
        match self.0 {
            Some(lane) => lane.begin_step(&loop_.loop_, task),
            None => LOST,
        }
    }

    /// The step begun last, at `began`, ends; says when. `wake` is when it was woken and by which task,
    /// if that is known.
    #[inline(always)]
    pub fn end_step(self, loop_: &EmbeddedLoop, began: u64, wake: Option<(u64, u64)>) -> u64 {
        match self.0 {
            Some(lane) => lane.end_step(&loop_.loop_, began, wake.filter(|_| records_wakes())),
            None => {
                recorder::count_lost_step(wake.is_some());
                ticks()
            }
        }
    }

    /// The step begun last ends without a word: nobody knows any more whose it is.
    pub fn abandon_step(self) {
        if let Some(lane) = self.0 {
            lane.abandon_step();
        }
    }

    /// A step that began at `poll_start` was due so many nanoseconds before.
    pub fn late(self, poll_start: u64, nanos: u64, task: u64) {
        match self.0 {
            Some(lane) => lane.write_lateness(poll_start, nanos, task),
            None => recorder::count_no_ring(RecordKind::Wake),
        }
    }

    /// The thread slept.
    pub fn parked(self, loop_: &EmbeddedLoop, start: u64, end: u64) {
        if !records_polls() {
            return;
        }
        match self.0 {
            Some(lane) => lane.write_park(&loop_.loop_, start, end),
            None => recorder::count_no_ring(RecordKind::Park),
        }
    }
}

/// The task whose step runs on the calling thread; 0 outside any.
#[inline(always)]
pub fn current_task() -> u64 {
    recorder::current_task()
}

/// A task as it is spawned.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    /// When.
    pub at: u64,
    /// Its number.
    pub task: u64,
    /// On which loop; 0 for none.
    pub loop_id: u64,
    /// Where, as [`place_of`] has it.
    pub place: u64,
    /// By which task; 0 outside any.
    pub parent: u64,
    /// What sort of task.
    pub kind: TaskKind,
    /// Its name, as [`label`] has it.
    pub label: u32,
}

/// A task was spawned.
#[inline]
pub fn spawned(spawn: Spawn) {
    let Spawn { at, task, loop_id, place, parent, kind, label } = spawn;
    let location = place;
    if let Some(lane) = recorder::existing_lane() {
        let words = record::spawned(at, task, loop_id, location, parent, kind, label);
        return lane.write_life(words);
    }
    recorder::write(&Record::Spawned { at, task, loop_id, location, parent, kind, label });
}

/// A task was named after it was spawned.
pub fn named(task: u64, name: &str) {
    recorder::write(&Record::Named { at: ticks(), task, name: name.to_owned() });
}

/// A thread of the agent's own; whether there is one now.
pub fn spawn_thread(name: &'static str, body: impl FnOnce() + Send + 'static) -> bool {
    agent::spawn_thread(name, body).is_ok()
}

/// A blocking job left its queue.
pub fn blocking_started(task: u64) {
    recorder::write(&Record::BlockingStarted { at: ticks(), task });
}

/// A task ended.
#[inline]
pub fn ended(task: u64, outcome: Outcome) {
    if let Some(lane) = recorder::existing_lane() {
        return lane.write_life(record::ended(ticks(), task, outcome));
    }
    recorder::write(&Record::Ended { at: ticks(), task, outcome });
}

/// What there is to say about a task.
pub fn task_fields(task: u64, fields: Vec<(String, String)>) {
    recorder::write(&Record::Note(Note::Fields { at: ticks(), task, fields }));
}

/// A fresh number for a resource that is only told of here: from open to close.
pub fn opened(kind: &str, name: &str, place: u64, task: u64) -> u64 {
    opened_at(ticks(), kind, name, (place, task))
}

/// The same for one that was opened at an instant that is past.
pub fn opened_at(at: u64, kind: &str, name: &str, (place, task): (u64, u64)) -> u64 {
    let resource = recorder::next_resource();
    let (kind, name) = (kind.to_owned(), name.to_owned());
    recorder::write(&Record::Opened { at, resource, location: place, task, kind, name });
    resource
}

/// It was closed.
pub fn closed(resource: u64, how: CloseHow) {
    recorder::write(&Record::Closed { at: ticks(), resource, how });
}

/// Whether the calling thread may tell one thing more this second; if not, it is counted as a mark lost.
pub fn is_within_budget() -> bool {
    crate::marks::is_within_budget()
}

/// Something worth knowing that happened now, within the budget of marks.
pub fn mark(
    level: MarkLevel,
    target: &str,
    message: &str,
    (task, place): (u64, u64),
    fields: Vec<(String, String)>,
) {
    if crate::marks::is_within_budget() {
        let (target, message) = (target.to_owned(), message.to_owned());
        let (at, location) = (ticks(), place);
        let mark = Note::Mark { at, task, location, level, target, message, fields };
        recorder::write(&Record::Note(mark));
    }
}

/// Something that took from one instant to another, inside a task.
pub fn span(name: &str, target: &str, (from, to): (u64, u64), fields: Vec<(String, String)>) {
    if crate::marks::is_within_budget() {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        recorder::write(&Record::Note(Note::AppSpan(Box::new(crate::notes::AppSpan {
            at: to,
            span: NEXT.fetch_add(1, Relaxed),
            parent: 0,
            task: current_task(),
            opened_at: from,
            busy_time: to.saturating_sub(from),
            location: 0,
            name: name.to_owned(),
            target: target.to_owned(),
            fields,
        }))));
    }
}

/// What processes with an embedded agent tell beside the rest; 0 is not told.
#[derive(Debug, Default)]
pub struct ProcessGauges {
    /// How long the agent waited for the interpreter's lock, in all.
    pub gil_wait_nanos: AtomicU64,
    /// How often it asked for it.
    pub gil_probes: AtomicU64,
    /// How long garbage collections took, in all.
    pub gc_pause_nanos: AtomicU64,
    /// How many there were.
    pub gc_collections: AtomicU64,
    /// Faults inside the agent that were kept from the program.
    pub agent_faults: AtomicU64,
}

/// See [`ProcessGauges`].
pub static GAUGES: ProcessGauges = ProcessGauges {
    gil_wait_nanos: AtomicU64::new(0),
    gil_probes: AtomicU64::new(0),
    gc_pause_nanos: AtomicU64::new(0),
    gc_collections: AtomicU64::new(0),
    agent_faults: AtomicU64::new(0),
};

impl ProcessGauges {
    fn all(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("gil_wait_nanos", &self.gil_wait_nanos),
            ("gil_probes", &self.gil_probes),
            ("gc_pause_nanos", &self.gc_pause_nanos),
            ("gc_collections", &self.gc_collections),
            ("agent_faults", &self.agent_faults),
        ]
    }
}

/// Those that are not 0.
pub(crate) fn vitals() -> impl Iterator<Item = Metric> {
    GAUGES.all().into_iter().filter(|(_, gauge)| gauge.load(Relaxed) > 0).map(|(name, gauge)| {
        let value = gauge.load(Relaxed) as f64;
        Metric { name: name.to_owned(), worker: None, value }
    })
}

/// Kinds of [`Guarded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardedKind {
    /// One holder at a time.
    Lock,
    /// As many holders as there are permits.
    Semaphore,
    /// Waited for until it has something, or room.
    Queue,
    /// Waited for until it is set.
    Event,
    /// Waited for until it is notified.
    Condition,
    /// Waited for until all are there.
    Barrier,
}

impl GuardedKind {
    fn kind(self) -> &'static Kind {
        match self {
            Self::Lock => &kind::ASYNCIO_LOCK,
            Self::Semaphore => &kind::ASYNCIO_SEMAPHORE,
            Self::Queue => &kind::ASYNCIO_QUEUE,
            Self::Event => &kind::ASYNCIO_EVENT,
            Self::Condition => &kind::ASYNCIO_CONDITION,
            Self::Barrier => &kind::ASYNCIO_BARRIER,
        }
    }
}

/// Something that tasks wait for, and that some of them hold. Dropped, it is closed.
#[derive(Debug)]
pub struct Guarded(Handle);

/// A wait that has begun. Of one that is over soon only the totals of what was waited for tell: its
/// records are written when it is [told](Guarded::tell), or when it ends after a while.
#[derive(Debug)]
pub struct Waiting {
    /// When it began.
    pub since: u64,
    op: Op,
    task: u64,
    place: u64,
    /// Who held what is waited for when the wait began.
    holders: Holders,
    /// Its number once it was told; else 0.
    id: u64,
}

/// Something held; dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    _hold: OwnedHold,
    /// By which task.
    pub task: u64,
}

impl Guarded {
    /// One that is told of from now on.
    pub fn open(kind: GuardedKind, place: u64, task: u64, capacity: usize) -> Self {
        let handle = Handle::open_at(kind.kind(), "", place, task);
        handle.state().set_capacity(capacity);
        Self(handle)
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.0.state().id
    }

    /// A task has to wait from now on.
    pub fn wait(&self, op: Op, task: u64, place: u64) -> Waiting {
        let state = self.0.state();
        state.begin_wait(op == Op::Send);
        Waiting { since: ticks(), op, task, place, holders: state.holders(), id: 0 }
    }

    /// Tells of a wait that goes on, once.
    pub fn tell(&self, waiting: &mut Waiting) {
        if waiting.id != 0 || !is_recording() {
            return;
        }
        waiting.id = next_wait();
        let state = self.0.state();
        recorder::write(&Record::Wait(WaitRecord::Began {
            at: waiting.since,
            wait: waiting.id,
            task: waiting.task,
            resource: state.id,
            op: waiting.op,
            location: waiting.place,
            amount: 0,
            holders: std::mem::take(&mut waiting.holders),
        }));
    }

    /// It need not wait any more.
    pub fn waited(&self, mut waiting: Waiting, how: WaitHow) {
        let now = ticks();
        let length = now.saturating_sub(waiting.since);
        self.0.state().end_wait(waiting.op == Op::Send, length);
        // A hundredth of what is slow: a millisecond, unless that was changed. All while it is not known.
        let slow = slow_ticks();
        if waiting.id == 0 && (slow == u64::MAX || length >= slow / 100) {
            self.tell(&mut waiting);
        }
        if waiting.id != 0 && is_recording() {
            let wait = waiting.id;
            recorder::write(&Record::Wait(WaitRecord::Ended { at: now, wait, how }));
        }
    }

    /// A task holds it since this instant.
    pub fn hold(&self, task: u64, since: u64, place: u64) -> Held {
        let holder = Holder { task, since, location: place, amount: 0 };
        Held { _hold: OwnedHold::begin_by(self.0.state().clone(), holder), task }
    }
}

/// Records nothing until [`resume`]; what runs keeps running.
pub fn pause() {
    recorder::set_recording(false);
}

/// Records again, if an agent runs.
pub fn resume() {
    if recorder::get().is_some() && agent::STATUS.shutdown_deadline().is_none() {
        recorder::set_recording(true);
    }
}

/// Names the calling thread, whose language does not tell the system.
pub fn name_thread(name: &str) {
    recorder::name_thread(name);
}

/// Threads of the agent's own that run now.
pub fn own_threads() -> usize {
    cost::threads()
}

/// From now on `handler` is called, on the exporter's thread, when somebody asks where tasks wait; it
/// answers with [`dumped`], and last with [`dump_ended`]. Only the first is heard.
pub fn on_dump(handler: fn(u64)) {
    let _ = DUMP.set(handler);
    dumps::register(|dump| {
        if let Some(handler) = DUMP.get() {
            handler(dump.0);
        }
    });
}

static DUMP: OnceLock<fn(u64)> = OnceLock::new();

/// Part of an answer.
pub fn dumped(dump: u64, tasks: Vec<DumpedTask>) {
    send_dumped(Dumped { dump: DumpId(dump), tasks, end: None });
}

/// The end of an answer: how many tasks there were, how many were left out, and why there is no more.
pub fn dump_ended(dump: u64, tasks: u64, left_out: u64, reason: &str) {
    let end = Some((tasks, left_out, reason.to_owned()));
    send_dumped(Dumped { dump: DumpId(dump), tasks: Vec::new(), end });
}

fn send_dumped(dumped: Dumped) {
    if let Some(recorder) = recorder::get() {
        recorder.send(Control::Dumped(dumped));
    }
}
