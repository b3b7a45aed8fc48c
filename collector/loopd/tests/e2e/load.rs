//! Agents that record some of everything, batch after batch. What a batch holds follows from its
//! number alone, so that what is stored can be compared with what was acked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use loopd_model::segment::{self, Effort};
use loopd_model::*;
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;
use tonic::Status;

use crate::agent::{Agent, hello};

/// Batches that a real agent would have on their way at most.
const WINDOW: u64 = 32;
/// Tasks spawned in a batch. Half of them outlive it and end in the next.
pub(crate) const TASKS: u64 = 8;
/// Workers, each with a segment of polls.
pub(crate) const WORKERS: u64 = 2;
/// What a batch tells of, in nanoseconds.
const STEP: u64 = 200_000_000;
/// The one slow poll of a batch; the threshold is 100 ms.
const SLOW: u64 = 120_000_000;

/// One agent, over all its connections.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) n: u8,
    /// Polls of one worker in one batch.
    pub(crate) polls: u64,
    /// The wall time of its instant 0.
    origin: UnixNanos,
    acked: Arc<AtomicU64>,
}

impl Script {
    pub(crate) fn new(n: u8, polls: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // Long enough ago that what it tells of is in the past.
        let origin = UnixNanos(now.as_nanos() as i64 - 3_600_000_000_000);
        Self { n, polls, origin, acked: Arc::default() }
    }

    pub(crate) fn app(&self) -> String {
        format!("app-{}", self.n)
    }

    /// Every batch up to this one was acked, on whichever connection.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Connects, and gives what the collector says is durable.
    pub(crate) async fn connect(&self, addr: SocketAddr) -> Result<(Agent, u64), Status> {
        let mut agent = Agent::try_connect(addr).await?;
        let mut hello = hello(self.n);
        let process = hello.process.as_mut().unwrap();
        process.anchor = Some(pb::Anchor { at: 0, unix_nanos: self.origin.0 });
        agent.say(Said::Hello(hello)).await;
        match agent.hear().await? {
            Some(Heard::Welcome(welcome)) => Ok((agent, welcome.durable_seq)),
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Sends batches up to number `last`, as a real agent with a full window would. Gives why the
    /// stream ended before that, if it did.
    pub(crate) async fn deliver(
        &self,
        agent: &mut Agent,
        durable_seq: u64,
        last: u64,
    ) -> Result<(), Status> {
        let (mut sent, mut acked) = (durable_seq, durable_seq);
        while acked < last {
            while sent < last && sent - acked < WINDOW {
                sent += 1;
                agent.send(self.batch(sent)).await;
            }
            match agent.hear().await? {
                Some(Heard::Ack(ack)) => {
                    assert!(ack.durable_seq > acked && ack.durable_seq <= sent, "{ack:?}");
                    acked = ack.durable_seq;
                    self.acked.fetch_max(acked, Ordering::Relaxed);
                }
                Some(Heard::Settings(_)) => {}
                Some(other) => panic!("no ack but {other:?}"),
                None => return Err(Status::cancelled("the stream ended")),
            }
        }
        Ok(())
    }

    /// The batch with this number.
    fn batch(&self, seq: u64) -> pb::Batch {
        let began = (seq - 1) * STEP;
        let sealed = Nanos(seq * STEP);
        let mut batch = Batch {
            seq,
            anchor: Anchor { at: sealed, unix: self.origin.at(sealed) },
            events: events(seq, began),
            segments: self.segments(seq, began),
            ..Batch::default()
        };
        if seq == 1 {
            batch.locations = (1..=4).map(location).collect();
            let frames = vec![Frame { function: "app::compute".into(), ..Frame::default() }];
            batch.stacks = vec![Stack { id: StackId(1), frames }];
        }
        let produced = |kind| seq * self.records(kind) - missing_at_first(kind);
        let entry = |kind| LedgerEntry { kind, produced: produced(kind), dropped: 0 };
        batch.ledger = RecordKind::ALL.map(entry).into();
        loopd_wire::encode_batch(batch)
    }

    /// Polls of every worker, the last one slow, and what led to them.
    fn segments(&self, seq: u64, began: u64) -> Vec<Segment> {
        let segment = |kind, worker: u64, spans: Vec<Span>| Segment {
            loop_id: LoopId(1),
            worker: WorkerId(worker as u32),
            kind,
            count: spans.len() as u32,
            data: segment::encode(kind, &spans, Effort::Fast),
        };
        let room = (STEP - SLOW - 10_000_000) / self.polls;
        let poll = |worker: u64, i: u64| {
            let length = 1 + mixed(seq << 32 | worker << 24 | i) % (room / 2);
            let (start, task) = (Nanos(began + i * room), TaskId(first_task(seq) + i % TASKS));
            Span { start, length, task, count: 1, ..Span::default() }
        };
        let worker = |worker: u64| {
            let mut polls: Vec<Span> = (0..self.polls).map(|i| poll(worker, i)).collect();
            if worker == 0
                && let Some(last) = polls.last_mut()
            {
                *last = slow_poll(seq, began);
            }
            segment(RecordKind::Poll, worker, polls)
        };
        let mut segments: Vec<Segment> = (0..WORKERS).map(worker).collect();
        let (start, by) = (Nanos(began), TaskId(first_task(seq)));
        let task = TaskId(first_task(seq) + 1);
        let wake = Span { start, length: 900, task, by, count: 1 };
        let park = Span { start, length: 1_000, count: 1, ..Span::default() };
        segments.push(segment(RecordKind::Wake, 0, vec![wake]));
        segments.push(segment(RecordKind::Park, 1, vec![park]));
        segments
    }

    /// Records of a kind in every batch but the first, which has a few less or more.
    fn records(&self, kind: RecordKind) -> u64 {
        match kind {
            RecordKind::Poll => WORKERS * self.polls,
            RecordKind::Task => 2 * TASKS,
            RecordKind::Resource => 3,
            RecordKind::Wait => 3,
            RecordKind::Loop => 0,
            RecordKind::Park
            | RecordKind::Wake
            | RecordKind::Sample
            | RecordKind::Metric
            | RecordKind::Mark => 1,
        }
    }
}

/// What later batches end, the first one does not.
fn missing_at_first(kind: RecordKind) -> u64 {
    match kind {
        RecordKind::Task => TASKS / 2,
        RecordKind::Resource | RecordKind::Wait => 1,
        _ => 0,
    }
}

fn first_task(seq: u64) -> u64 {
    (seq - 1) * TASKS + 1
}

fn slow_poll(seq: u64, began: u64) -> Span {
    let start = Nanos(began + STEP - SLOW - 1_000_000);
    Span { start, length: SLOW, task: TaskId(first_task(seq)), count: 1, ..Span::default() }
}

fn location(id: u64) -> Location {
    Location { id: LocationId(id), file: "src/main.rs".into(), line: id as u32 * 10, column: 5 }
}

/// Everything but polls: tasks, a sample of the slow poll, a wait, a hold, a resource, a mark, a
/// reading.
fn events(seq: u64, began: u64) -> Vec<Event> {
    let first = first_task(seq);
    let (task, resource) = (TaskId(first), ResourceId(seq));
    let mut kinds = Vec::new();
    for id in first..first + TASKS {
        let (spawn_location, parent) = (LocationId(1 + id % 4), TaskId::NONE);
        let kind = TaskKind::Async;
        let (task, loop_id) = (TaskId(id), LoopId(1));
        kinds.push(EventKind::TaskSpawned { task, loop_id, spawn_location, parent, kind });
    }
    let ended = |id| EventKind::TaskEnded { task: TaskId(id), outcome: Outcome::Completed };
    kinds.extend((first..first + TASKS / 2).map(ended));
    kinds.push(EventKind::ResourceOpened {
        resource,
        kind: "socket".into(),
        name: format!("peer {seq}"),
        open_location: LocationId(2),
        task,
        stack: StackId::NONE,
    });
    let reading = |name: &str| Metric { name: name.into(), worker: None, value: seq as f64 };
    kinds.push(EventKind::ResourceState { resource, readings: vec![reading("depth")] });
    kinds.push(EventKind::WaitBegan {
        wait: WaitId(seq),
        task,
        resource,
        op: "lock".into(),
        location: LocationId(3),
        amount: 0,
        holders: Vec::new(),
    });
    let hold = Holder { task, since: Nanos(began), location: LocationId(3), amount: 0 };
    kinds.push(EventKind::HoldEnded { resource, hold, waits: 1 });
    kinds.push(EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task,
        poll_started_at: slow_poll(seq, began).start,
        stack: StackId(1),
        running: Running::OnCpu,
        syscall: String::new(),
        wchan: String::new(),
    });
    kinds.push(EventKind::Mark {
        task,
        level: MarkLevel::None,
        target: "batch".into(),
        message: seq.to_string(),
        fields: Vec::new(),
        location: LocationId(4),
    });
    kinds.push(EventKind::Metrics { loop_id: LoopId(1), metrics: vec![reading("alive_tasks")] });
    if seq > 1 {
        kinds.extend((first - TASKS / 2..first).map(ended));
        let resource = ResourceId(seq - 1);
        kinds.push(EventKind::ResourceClosed { resource, how: CloseHow::Closed });
        kinds.push(EventKind::WaitEnded { wait: WaitId(seq - 1), how: WaitHow::Ready });
    }
    let at = |i: usize| Nanos(began + 1_000 * (i as u64 + 1));
    kinds.into_iter().enumerate().map(|(i, kind)| Event { at: at(i), kind }).collect()
}

/// Looks random, and is the same every time.
fn mixed(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}
