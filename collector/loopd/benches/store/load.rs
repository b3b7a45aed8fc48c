//! Load like that of a busy service: four workers, three quarters busy, tasks by Zipf's law, polls
//! of log-normal length with a few slow ones, one poll in 25 of a new task.

use loopd_model::segment::{self, Effort};
use loopd_model::*;

pub(crate) const ORIGIN: i64 = 1_795_000_000_000_000_000;
pub(crate) const WORKERS: usize = 4;
const LONG_LIVED: u64 = 10_000;
const LOCATIONS: u64 = 64;

pub(crate) fn process() -> Process {
    Process {
        id: ProcessId([7; 16]),
        app: "bench".into(),
        app_version: String::new(),
        host: String::new(),
        pid: 1,
        labels: vec![],
        agent: "bench".into(),
        agent_version: String::new(),
        anchor: Anchor { at: Nanos(0), unix: UnixNanos(ORIGIN) },
        coverage: vec![],
        slow_threshold: 10_000_000,
    }
}

/// Marsaglia's xorshift64*: good enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A rank from 0, the smaller the likelier, as 1 / rank.
    fn zipf(&mut self, n: u64) -> u64 {
        ((n as f64).powf(self.unit()) as u64).clamp(1, n) - 1
    }
}

/// Polls of four workers, batch after batch.
pub(crate) struct Polls {
    random: Random,
    now: [u64; WORKERS],
    newest_task: u64,
}

impl Polls {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1)),
            now: [0; WORKERS],
            newest_task: LONG_LIVED,
        }
    }

    /// The end of the latest poll, in wall time.
    pub(crate) fn end(&self) -> i64 {
        ORIGIN + self.now.into_iter().max().unwrap_or(0) as i64
    }

    pub(crate) fn span(&mut self, worker: usize) -> Span {
        let random = &mut self.random;
        let gap = -400.0 * random.unit().ln();
        let is_slow = random.unit() < 5e-5;
        let length = if is_slow {
            1e6 + 19e6 * random.unit()
        } else {
            900.0 * (0.9 * random.normal()).exp()
        };
        let task = if random.unit() < 0.04 {
            self.newest_task += 1;
            self.newest_task
        } else {
            1 + random.zipf(LONG_LIVED)
        };
        let start = self.now[worker] + gap as u64;
        self.now[worker] = start + length as u64;
        let (start, task) = (Nanos(start), TaskId(task));
        Span { start, length: length as u64, task, by: TaskId::NONE, count: 1 }
    }

    pub(crate) fn batch(&mut self, polls: usize) -> Batch {
        let segment = |worker: usize| {
            let spans: Vec<Span> = (0..polls / WORKERS).map(|_| self.span(worker)).collect();
            Segment {
                loop_id: LoopId(1),
                worker: WorkerId(worker as u32),
                kind: RecordKind::Poll,
                count: spans.len() as u32,
                data: segment::encode(RecordKind::Poll, &spans, Effort::Fast),
            }
        };
        Batch { segments: (0..WORKERS).map(segment).collect(), ..Batch::default() }
    }
}

/// Spawns and ends; half of the tasks outlive the batch that they were spawned in.
#[derive(Default)]
pub(crate) struct Events {
    newest_task: u64,
    alive: Vec<u64>,
}

impl Events {
    pub(crate) fn batch(&mut self, events: usize) -> Batch {
        let end = |task| EventKind::TaskEnded { task: TaskId(task), outcome: Outcome::Completed };
        let mut kinds: Vec<EventKind> = self.alive.drain(..).map(end).collect();
        while kinds.len() < events {
            self.newest_task += 1;
            let task = self.newest_task;
            kinds.push(EventKind::TaskSpawned {
                task: TaskId(task),
                loop_id: LoopId(1),
                spawn_location: LocationId(1 + task % LOCATIONS),
                parent: TaskId(task / 2),
                kind: TaskKind::Async,
            });
            if task.is_multiple_of(2) {
                kinds.push(end(task));
            } else {
                self.alive.push(task);
            }
        }
        kinds.truncate(events);
        let first = self.newest_task * 1_000;
        let at = |i: usize| Nanos(first + i as u64 * 100);
        let events = kinds.into_iter().enumerate().map(|(i, kind)| Event { at: at(i), kind });
        Batch { events: events.collect(), ..Batch::default() }
    }
}
