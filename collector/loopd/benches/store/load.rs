//! Load like that of a busy service: four workers, three quarters busy, tasks by Zipf's law, polls
//! of log-normal length with a few slow ones, one poll in 25 of a new task.

use std::time::{Duration, SystemTime};

use loopd_model::segment::{self, Effort};
use loopd_model::*;

use crate::random::Random;

pub(crate) const WORKERS: usize = 4;
/// Places that tasks are spawned at.
pub(crate) const LOCATIONS: u64 = 64;
/// Tasks that live as long as the load; the first is polled most.
const LONG_LIVED: u64 = 10_000;
/// How often each of the tasks with a known number of polls is polled: the first after the long
/// lived ones this often, and so on.
pub(crate) const PLANTED: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];
/// Polls of one batch: what an agent of a busy program sends at once.
pub(crate) const POLLS_PER_BATCH: usize = WORKERS * 8_192;

/// A program that began so long ago.
pub(crate) fn process(app: &str, number: u8, ago: Duration) -> Process {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let origin = UnixNanos((now - ago).as_nanos() as i64);
    Process {
        id: ProcessId([number; 16]),
        app: app.into(),
        app_version: String::new(),
        host: String::new(),
        pid: 1,
        labels: vec![],
        agent: "bench".into(),
        agent_version: String::new(),
        anchor: Anchor { at: Nanos(0), unix: origin },
        coverage: vec![],
        slow_threshold: 10_000_000,
    }
}

/// The places that tasks are spawned at.
pub(crate) fn locations() -> Vec<Location> {
    let place = |id: u64| Location {
        id: LocationId(id),
        file: format!("src/handlers/of_{}.rs", id % 7),
        line: 10 * id as u32,
        column: 5,
    };
    (1..=LOCATIONS).map(place).collect()
}

pub(crate) fn spawned(at: Nanos, task: u64, parent: u64) -> Event {
    let kind = EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(1 + task % LOCATIONS),
        parent: TaskId(parent),
        kind: TaskKind::Async,
    };
    Event { at, kind }
}

pub(crate) fn ended(at: Nanos, task: u64) -> Event {
    let kind = EventKind::TaskEnded { task: TaskId(task), outcome: Outcome::Completed };
    Event { at, kind }
}

/// Spans of one worker, packed as an agent packs them.
pub(crate) fn pack(worker: usize, spans: &[Span]) -> Segment {
    Segment {
        loop_id: LoopId(1),
        worker: WorkerId(worker as u32),
        kind: RecordKind::Poll,
        count: spans.len() as u32,
        data: segment::encode(RecordKind::Poll, spans, Effort::Fast),
    }
}

/// Polls of four workers, batch after batch, and the lives of their tasks if wanted.
pub(crate) struct Polls {
    random: Random,
    now: [u64; WORKERS],
    newest_task: u64,
    made: u64,
    /// Every so many polls is one of the task planted in this place.
    strides: [u64; PLANTED.len()],
    has_tasks: bool,
}

impl Polls {
    /// The polls alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: [0; WORKERS],
            newest_task: LONG_LIVED + PLANTED.len() as u64,
            made: 0,
            strides: [u64::MAX; PLANTED.len()],
            has_tasks: false,
        }
    }

    /// With spawns and ends, and planted tasks that come to their numbers within `polls`.
    pub(crate) fn with_tasks(seed: u64, polls: u64) -> Self {
        let strides = PLANTED.map(|target| (polls / target).max(8));
        Self { has_tasks: true, strides, ..Self::new(seed) }
    }

    /// The end of the latest poll, in nanoseconds since the process's anchor.
    pub(crate) fn end(&self) -> u64 {
        self.now.into_iter().max().unwrap_or(0)
    }

    /// The task that is planted in this place.
    pub(crate) fn planted(place: usize) -> TaskId {
        TaskId(LONG_LIVED + 1 + place as u64)
    }

    /// The task that is polled most.
    pub(crate) fn hottest() -> TaskId {
        TaskId(1)
    }

    /// Whether this task is one of those that are polled once.
    pub(crate) fn is_new(task: TaskId) -> bool {
        task.0 > LONG_LIVED + PLANTED.len() as u64
    }

    /// The tasks that live from the beginning, and where they were spawned.
    pub(crate) fn first_events(&self) -> Vec<Event> {
        if !self.has_tasks {
            return Vec::new();
        }
        (1..=LONG_LIVED + PLANTED.len() as u64).map(|task| spawned(Nanos(0), task, 0)).collect()
    }

    /// The next poll of a worker.
    pub(crate) fn span(&mut self, worker: usize) -> Span {
        let random = &mut self.random;
        let gap = -400.0 * random.unit().ln();
        let is_slow = random.unit() < 5e-5;
        let length = if is_slow {
            1e6 + 19e6 * random.unit()
        } else {
            900.0 * (0.9 * random.normal()).exp()
        };
        self.made += 1;
        let planted = |place: &usize| self.made % self.strides[*place] == 1 + *place as u64;
        let task = if let Some(place) = (0..PLANTED.len()).find(planted) {
            Self::planted(place)
        } else if random.unit() < 0.04 {
            self.newest_task += 1;
            TaskId(self.newest_task)
        } else {
            TaskId(1 + random.zipf(LONG_LIVED))
        };
        let start = self.now[worker] + gap as u64;
        self.now[worker] = start + length as u64;
        let (start, length) = (Nanos(start), length as u64);
        Span { start, length, task, by: TaskId::NONE, count: 1 }
    }

    /// The next polls of every worker.
    pub(crate) fn spans(&mut self, polls: usize) -> [Vec<Span>; WORKERS] {
        std::array::from_fn(|worker| (0..polls / WORKERS).map(|_| self.span(worker)).collect())
    }

    /// The next batch, numbered `seq`.
    pub(crate) fn batch(&mut self, seq: u64, polls: usize) -> Batch {
        let lanes = self.spans(polls);
        let mut batch = batch_of(seq, &lanes, self.has_tasks);
        if seq == 1 {
            batch.locations = locations();
            batch.events.splice(0..0, self.first_events());
        }
        batch
    }
}

/// A batch of these polls; with the lives of tasks that were polled only once, if wanted.
pub(crate) fn batch_of(seq: u64, lanes: &[Vec<Span>; WORKERS], has_tasks: bool) -> Batch {
    let mut events = Vec::new();
    let is_new = |span: &&Span| has_tasks && Polls::is_new(span.task);
    for span in lanes.iter().flatten().filter(is_new) {
        events.push(spawned(Nanos(span.start.0.saturating_sub(300)), span.task.0, 1));
        events.push(ended(span.end(), span.task.0));
    }
    let at = lanes.iter().flatten().map(Span::end).max().unwrap_or_default();
    Batch {
        seq,
        anchor: Anchor { at, unix: UnixNanos(0) },
        segments: lanes.iter().enumerate().map(|(worker, spans)| pack(worker, spans)).collect(),
        events,
        ..Batch::default()
    }
}
