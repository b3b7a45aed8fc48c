//! Everything an agent can say about a process, but for polls, parks and wakes, which are
//! [`Span`](crate::Span)s in segments. Field by field this is `proto/loopd/v1/event.proto`.

use crate::{
    AppSpanId, Coverage, DumpId, LocationId, LoopId, NameId, Nanos, RecordKind, ResourceId,
    Settings, StackId, TaskId, WaitId, WorkerId,
};

/// Something that happened once.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Nanos,
    /// What.
    pub kind: EventKind,
}

/// The flavor of a loop that is an `EventLoop` of loopd's agent for Rust, which checks itself as asyncio does.
pub const EVENT_LOOP_FLAVOR: &str = "loopd EventLoop";

/// Stands for the system call of a thread that is asleep in the kernel for a page of memory, and in no call.
pub const PAGE_FAULT: &str = "page_fault";

/// Stands for the place in the kernel of a thread that could run, and waits for a processor.
pub const RUNQUEUE: &str = "runqueue";

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A loop came under watch.
    LoopOpened {
        /// The loop.
        loop_id: LoopId,
        /// What the program calls it.
        name: String,
        /// `tokio multi_thread`, `tokio current_thread`, [`EVENT_LOOP_FLAVOR`].
        flavor: String,
        /// How many workers it will have; 0 if not known.
        workers: u32,
    },
    /// A loop began to shut down. Tasks alive then are dropped with it, a little later.
    LoopClosed {
        /// The loop.
        loop_id: LoopId,
    },
    /// A thread became a worker of a loop.
    WorkerStarted {
        /// The loop.
        loop_id: LoopId,
        /// The worker's number.
        worker: WorkerId,
        /// The thread's name.
        thread_name: String,
        /// The operating system's thread id.
        thread_id: u64,
    },
    /// A thread is no longer that worker.
    WorkerStopped {
        /// The loop.
        loop_id: LoopId,
        /// The worker's number.
        worker: WorkerId,
    },
    /// A task was spawned.
    TaskSpawned {
        /// The task.
        task: TaskId,
        /// The loop it was spawned on.
        loop_id: LoopId,
        /// Where the program called spawn.
        spawn_location: LocationId,
        /// The task polled on the spawning thread at that time; none outside any task.
        parent: TaskId,
        /// What sort of task.
        kind: TaskKind,
    },
    /// A task was named. May come after its first polls.
    TaskNamed {
        /// The task.
        task: TaskId,
        /// Its name.
        name: NameId,
    },
    /// A blocking job left the queue and began to run.
    BlockingStarted {
        /// The job.
        task: TaskId,
    },
    /// A task ended.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// A resource was opened.
    ResourceOpened {
        /// The resource.
        resource: ResourceId,
        /// `file`, `socket`, or what the program calls it.
        kind: String,
        /// A path or an address; empty if not given.
        name: String,
        /// Where it was opened.
        open_location: LocationId,
        /// By which task; none outside any task.
        task: TaskId,
        /// The stack that opened it; none if it was not taken.
        stack: StackId,
    },
    /// How things stand with a resource; sent when that has changed, at most once a second each.
    ResourceState {
        /// The resource.
        resource: ResourceId,
        /// Each replaces the last one of the same name.
        readings: Vec<Metric>,
    },
    /// A resource was closed, or dropped without.
    ResourceClosed {
        /// The resource.
        resource: ResourceId,
        /// How.
        how: CloseHow,
    },
    /// A task began to wait: an operation on a resource was not ready at once. Waits that ended
    /// within a millisecond and one batch may have gone into the resource's totals instead.
    WaitBegan {
        /// The wait. A task can be in several at once.
        wait: WaitId,
        /// Who waits; none outside any task.
        task: TaskId,
        /// For what.
        resource: ResourceId,
        /// To do what: `lock`, `read`, `write`, `acquire`, `send`, `recv`, `notified`, `wait`,
        /// `changed`, `closed`, `join`, `sleep`, `tick`, `open`, `accept`, `connect`.
        op: String,
        /// Where in the program; none if not known.
        location: LocationId,
        /// How many permits are wanted; 0 where nothing is counted.
        amount: u64,
        /// Who held the resource then, as far as known: at most [`MAX_HOLDERS`].
        holders: Vec<Holder>,
    },
    /// A wait is over.
    WaitEnded {
        /// The wait.
        wait: WaitId,
        /// How.
        how: WaitHow,
    },
    /// A task gave back what it held. Sent if somebody waited for it meanwhile, or if it took as
    /// long as a slow poll.
    HoldEnded {
        /// What was held.
        resource: ResourceId,
        /// By whom and since when.
        hold: Holder,
        /// Waits for the resource that began meanwhile.
        waits: u64,
    },
    /// A pending task has no waker left: nothing will poll it again, unless a poll proves otherwise.
    TaskUnwakeable {
        /// The task.
        task: TaskId,
    },
    /// What a task has done since the last such event about it, from whoever reads counters and sees no
    /// single poll or wake.
    TaskCounted {
        /// The task.
        task: TaskId,
        /// What has been added.
        counts: TaskCounts,
    },
    /// What the program says about a task, beside its name.
    TaskFields {
        /// The task.
        task: TaskId,
        /// Keys and values.
        fields: Vec<(String, String)>,
    },
    /// The program marked an instant, or traced an event.
    Mark {
        /// The task that was being polled; none outside any task.
        task: TaskId,
        /// How serious; [`MarkLevel::None`] for a mark.
        level: MarkLevel,
        /// The module that traced it; the name of a mark.
        target: String,
        /// What it says; may be empty.
        message: String,
        /// Keys and values.
        fields: Vec<(String, String)>,
        /// Where in the program; none if not known.
        location: LocationId,
    },
    /// A span of the program's own tracing closed.
    AppSpan {
        /// The span.
        span: AppSpanId,
        /// The span that it is in; none at the top.
        parent: AppSpanId,
        /// The task that was being polled when it opened; none outside any task.
        task: TaskId,
        /// What the program calls it.
        name: String,
        /// The module that made it.
        target: String,
        /// When it opened; the event's own instant is when it closed.
        opened_at: Nanos,
        /// How long it was entered, in nanoseconds.
        busy_time: u64,
        /// Keys and values.
        fields: Vec<(String, String)>,
        /// Where in the program; none if not known.
        location: LocationId,
    },
    /// What a worker was doing in the middle of a long poll.
    StackSample {
        /// The worker's loop.
        loop_id: LoopId,
        /// The worker.
        worker: WorkerId,
        /// The task polled.
        task: TaskId,
        /// When that poll began: with loop and worker this names the poll.
        poll_started_at: Nanos,
        /// The stack.
        stack: StackId,
        /// Whether the thread was computing.
        running: Running,
        /// The system call that it was in, as `futex`, `read`, or [`PAGE_FAULT`]; empty if in none, or not
        /// known.
        syscall: String,
        /// Where in the kernel it slept, as the kernel names it, or [`RUNQUEUE`]; empty if not asleep, or not
        /// known.
        wchan: String,
    },
    /// Readings taken together.
    Metrics {
        /// Whose; none for the process.
        loop_id: LoopId,
        /// The readings.
        metrics: Vec<Metric>,
    },
    /// Where a task waited when a collector asked. Of a task that awaits several others at once there
    /// is one for each of them.
    TaskDumped {
        /// Which answer this belongs to.
        dump: DumpId,
        /// The task.
        task: TaskId,
        /// The chain of coroutines, innermost first: where it waits; none if not known.
        stack: StackId,
        /// What the innermost awaits: `Future`, `Lock`, `Task`, `sleep`; empty if not known.
        awaits: String,
        /// The task that it awaits; none if that is no task.
        awaits_task: TaskId,
        /// The resource that it awaits; none if that is none, or none that is tracked.
        resource: ResourceId,
    },
    /// All there is to tell in answer has been told.
    DumpEnded {
        /// Which answer.
        dump: DumpId,
        /// How many tasks were found.
        tasks: u64,
        /// How many of these were not dumped, as for want of room.
        left_out: u64,
        /// Empty if all went well; else why there is no dump, or not all of it.
        reason: String,
    },
    /// What is captured has changed.
    CoverageChanged {
        /// Every layer.
        coverage: Vec<Coverage>,
        /// What is in force; no field is absent.
        settings: Settings,
    },
}

/// Holders of one resource that are told one by one; more are only counted.
pub const MAX_HOLDERS: usize = 8;

impl EventKind {
    /// What it counts as in the ledger.
    pub const fn record_kind(&self) -> RecordKind {
        match self {
            Self::LoopOpened { .. }
            | Self::LoopClosed { .. }
            | Self::WorkerStarted { .. }
            | Self::WorkerStopped { .. } => RecordKind::Loop,
            Self::TaskSpawned { .. }
            | Self::TaskNamed { .. }
            | Self::BlockingStarted { .. }
            | Self::TaskUnwakeable { .. }
            | Self::TaskCounted { .. }
            | Self::TaskFields { .. }
            | Self::TaskDumped { .. }
            | Self::DumpEnded { .. }
            | Self::TaskEnded { .. } => RecordKind::Task,
            Self::ResourceOpened { .. }
            | Self::ResourceState { .. }
            | Self::ResourceClosed { .. } => RecordKind::Resource,
            Self::WaitBegan { .. } | Self::WaitEnded { .. } | Self::HoldEnded { .. } => {
                RecordKind::Wait
            }
            Self::Mark { .. } | Self::AppSpan { .. } => RecordKind::Mark,
            Self::StackSample { .. } => RecordKind::Sample,
            Self::Metrics { .. } | Self::CoverageChanged { .. } => RecordKind::Metric,
        }
    }
}

/// What sort of task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// An ordinary spawned future.
    #[default]
    Async,
    /// A future that never leaves its thread.
    Local,
    /// The root future of `block_on`.
    BlockOn,
    /// A closure on the blocking pool.
    Blocking,
    /// All runs of one plain callback function (asyncio's `call_soon`, `call_later`, a reader …) on
    /// one loop: it is spawned at its function's definition, every run is a poll of it, and it lives
    /// as long as its loop.
    Callback,
}

/// What was counted of a task since it was last told of. Lengths are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Polls that began.
    pub polls: u64,
    /// Time in polls that ended.
    pub busy_time: u64,
    /// Wakes.
    pub wakes: u64,
    /// Of these, those by itself.
    pub self_wakes: u64,
    /// Time between wakes and the polls they led to.
    pub scheduled_time: u64,
    /// When it was first polled; 0 if not known.
    pub first_poll_at: Nanos,
    /// When its last poll began; 0 if not known.
    pub last_poll_started_at: Nanos,
    /// When the last poll that ended did; 0 if not known.
    pub last_poll_ended_at: Nanos,
    /// When it was last woken; 0 if not known.
    pub last_woken_at: Nanos,
    /// The longest poll so far; 0 where no lengths are known.
    pub max_poll_time: u64,
    /// Polls that were found to be slow, of those whose lengths are known.
    pub slow_polls: u64,
    /// Since when all of this was added; 0 if that is not known.
    pub since: Nanos,
    /// Whether the longest poll and the slow ones are known of all polls so far, also of one in progress;
    /// `None` if that is as it was. At first they are, unless there is busy time.
    pub are_lengths_known: Option<bool>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The end was seen, but not how.
    #[default]
    Unknown,
    /// It returned.
    Completed,
    /// It panicked.
    Panicked,
    /// It was aborted, or dropped while pending.
    Cancelled,
    /// By an exception that nobody caught inside it.
    Raised,
    /// It was garbage-collected while still pending: nobody held it any more, and it will never go on.
    Destroyed,
}

/// How a resource was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseHow {
    /// By an explicit call.
    Closed,
    /// By dropping it, which closes this kind.
    Dropped,
    /// Dropped without the close that this kind requires.
    Unclosed,
}

/// A task that has a lock, or permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Who; none outside any task.
    pub task: TaskId,
    /// Since when.
    pub since: Nanos,
    /// Where it was taken; none if not known.
    pub location: LocationId,
    /// How many permits; 0 where nothing is counted.
    pub amount: u64,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitHow {
    /// The operation was done.
    Ready,
    /// The operation was dropped before, as by a timeout.
    Cancelled,
    /// It is over, and nobody knows how.
    Unknown,
}

/// How serious an event of the program's own tracing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkLevel {
    /// A mark, which has no level.
    #[default]
    None,
    /// `TRACE`.
    Trace,
    /// `DEBUG`.
    Debug,
    /// `INFO`.
    Info,
    /// `WARN`.
    Warn,
    /// `ERROR`.
    Error,
}

/// What a thread was doing when its stack was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Running {
    /// Not known.
    #[default]
    Unknown,
    /// Computing.
    OnCpu,
    /// Asleep in the kernel: a lock, a disk, a timer.
    OffCpu,
}

/// One reading. The names are listed in `event.proto`, message `Metric`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Which.
    pub name: String,
    /// Of which worker; absent where it belongs to none.
    pub worker: Option<WorkerId>,
    /// The value.
    pub value: f64,
}

/// An interned string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its id.
    pub id: NameId,
    /// At most 256 bytes.
    pub text: String,
}

/// A place in source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its id.
    pub id: LocationId,
    /// As the compiler knew it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1; 0 if not known.
    pub column: u32,
}

/// A call stack, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its id.
    pub id: StackId,
    /// The first frame is what was running.
    pub frames: Vec<Frame>,
}

/// One frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Demangled; empty if no symbol covers the address.
    pub function: String,
    /// Empty where the program carries no line tables.
    pub file: String,
    /// 0 where the program carries no line tables.
    pub line: u32,
    /// The instruction's address in the process.
    pub address: u64,
}
