//! An agent's side of the stream, and what every recording begins with.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use loopd_model::segment::{self, Effort};
use loopd_model::*;
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;
use loopd_wire::pb::ingest_client::IngestClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Batches on their way, as of a real agent.
const WINDOW: u64 = 64;
/// The one loop of every program here.
pub(crate) const LOOP: LoopId = LoopId(1);
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A program that somebody records.
pub(crate) struct Session {
    outgoing: mpsc::Sender<pb::AgentMessage>,
    incoming: Streaming<pb::CollectorMessage>,
    /// The wall time of its instant 0.
    pub(crate) origin: UnixNanos,
    sent: u64,
    acked: u64,
    polls: u64,
    tasks: u64,
}

impl Session {
    /// A program that began so long ago, with so many workers.
    pub(crate) async fn begin(
        url: &str,
        app: &str,
        version: &str,
        ago: Duration,
        workers: u32,
    ) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let origin = UnixNanos((now - ago).as_nanos() as i64);
        let on = |layer: &str| Coverage {
            layer: layer.into(),
            state: CoverageState::On,
            reason: String::new(),
        };
        let process = Process {
            // No two of them begin in the same nanosecond in the same process.
            id: ProcessId((now.as_nanos() ^ (u128::from(std::process::id()) << 96)).to_le_bytes()),
            app: app.into(),
            app_version: version.into(),
            host: "feed".into(),
            pid: std::process::id(),
            labels: vec![],
            agent: "loopd-agent".into(),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            anchor: Anchor { at: Nanos(0), unix: origin },
            coverage: vec![on("hooks"), on("wrapped")],
            slow_threshold: 10_000_000,
        };
        let mut client =
            IngestClient::connect(url.to_owned()).await.context("connect to the collector")?;
        let (outgoing, messages) = mpsc::channel(WINDOW as usize + 2);
        let process = Some(loopd_wire::encode_process(process));
        let hello = pb::Hello { protocol: 1, process, first_seq: 1, ..pb::Hello::default() };
        outgoing.send(pb::AgentMessage { kind: Some(Said::Hello(hello)) }).await?;
        let incoming = client.stream(ReceiverStream::new(messages)).await?.into_inner();
        let mut session =
            Self { outgoing, incoming, origin, sent: 0, acked: 0, polls: 0, tasks: 0 };
        let Some(Heard::Welcome(_)) = session.hear().await? else { bail!("it was not welcomed") };
        session.send(first(workers)).await?;
        Ok(session)
    }

    async fn hear(&mut self) -> anyhow::Result<Option<Heard>> {
        let heard = self.incoming.message().await.context("the collector ended the stream")?;
        Ok(heard.and_then(|message| message.kind))
    }

    async fn hear_ack(&mut self) -> anyhow::Result<()> {
        match self.hear().await? {
            Some(Heard::Ack(ack)) => self.acked = ack.durable_seq,
            Some(Heard::Refused(refused)) => {
                bail!("batch {} was refused: {}", refused.seq, refused.reason)
            }
            Some(_) => {}
            None => bail!("the collector ended the stream"),
        }
        Ok(())
    }

    /// Sends it as the next one, once there is room in the window.
    pub(crate) async fn send(&mut self, batch: Batch) -> anyhow::Result<()> {
        while self.sent - self.acked >= WINDOW {
            self.hear_ack().await?;
        }
        self.sent += 1;
        self.polls += batch.segments.iter().map(|segment| u64::from(segment.count)).sum::<u64>();
        let is_of_task = |event: &&Event| {
            use EventKind::{TaskEnded, TaskNamed, TaskSpawned};
            matches!(event.kind, TaskSpawned { .. } | TaskNamed { .. } | TaskEnded { .. })
        };
        self.tasks += batch.events.iter().filter(is_of_task).count() as u64;
        let entry = |kind, produced| LedgerEntry { kind, produced, dropped: 0 };
        let ledger = vec![entry(RecordKind::Poll, self.polls), entry(RecordKind::Task, self.tasks)];
        let batch = loopd_wire::encode_batch(Batch { seq: self.sent, ledger, ..batch });
        self.outgoing.send(pb::AgentMessage { kind: Some(Said::Batch(batch)) }).await?;
        Ok(())
    }

    /// Waits until everything is on disk, and says goodbye.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        while self.acked < self.sent {
            self.hear_ack().await?;
        }
        let goodbye = pb::Goodbye { reason: "it is over".into(), ledger: Vec::new() };
        self.outgoing.send(pb::AgentMessage { kind: Some(Said::Goodbye(goodbye)) }).await?;
        drop(self.outgoing);
        // Whatever else it says, its end is what we wait for.
        while self.incoming.message().await?.is_some() {}
        Ok(())
    }
}

/// The loop and its workers.
fn first(workers: u32) -> Batch {
    let opened = EventKind::LoopOpened {
        loop_id: LOOP,
        name: "main".into(),
        flavor: "tokio multi_thread".into(),
        workers,
    };
    let started = |worker| EventKind::WorkerStarted {
        loop_id: LOOP,
        worker: WorkerId(worker),
        thread_name: format!("worker-{worker}"),
        thread_id: u64::from(worker) + 1,
    };
    let kinds = std::iter::once(opened).chain((0..workers).map(started));
    let events = kinds.map(|kind| Event { at: Nanos(0), kind }).collect();
    Batch { events, ..Batch::default() }
}

/// What a batch that was sealed at this instant begins with.
pub(crate) fn sealed_at(at: u64) -> Batch {
    Batch { anchor: Anchor { at: Nanos(at), unix: UnixNanos(0) }, ..Batch::default() }
}

/// A line of a file.
pub(crate) fn place(id: u64, file: &str, line: u32) -> Location {
    Location { id: LocationId(id), file: file.into(), line, column: 5 }
}

pub(crate) fn spawned(at: u64, task: u64, location: u64) -> Event {
    let kind = EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LOOP,
        spawn_location: LocationId(location),
        parent: TaskId::NONE,
        kind: TaskKind::Async,
    };
    Event { at: Nanos(at), kind }
}

pub(crate) fn ended(at: u64, task: u64) -> Event {
    let kind = EventKind::TaskEnded { task: TaskId(task), outcome: Outcome::Completed };
    Event { at: Nanos(at), kind }
}

pub(crate) fn poll(start: u64, length: u64, task: u64) -> Span {
    Span { start: Nanos(start), length, task: TaskId(task), by: TaskId::NONE, count: 1 }
}

/// Polls of one worker, packed as an agent packs them; nothing if there are none.
pub(crate) fn pack(worker: u32, spans: &[Span]) -> Option<Segment> {
    let data = || segment::encode(RecordKind::Poll, spans, Effort::Fast);
    (!spans.is_empty()).then(|| Segment {
        loop_id: LOOP,
        worker: WorkerId(worker),
        kind: RecordKind::Poll,
        count: spans.len() as u32,
        data: data(),
    })
}
