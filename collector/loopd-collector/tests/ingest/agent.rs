//! An agent that does what a test says, right or wrong.

use std::net::SocketAddr;

use loopd_model::{
    Anchor, Batch, Event, EventKind, LedgerEntry, LocationId, LoopId, Nanos, Process, ProcessId,
    RecordKind, TaskId, TaskKind, UnixNanos,
};
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;
use loopd_wire::pb::ingest_client::IngestClient;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::LIMIT;

pub(crate) struct Agent {
    outgoing: mpsc::Sender<pb::AgentMessage>,
    incoming: Streaming<pb::CollectorMessage>,
}

impl Agent {
    /// A stream on which nothing was said yet.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).await.unwrap()
    }

    pub(crate) async fn try_connect(addr: SocketAddr) -> Result<Self, Status> {
        let client = IngestClient::connect(format!("http://{addr}")).await;
        let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
        let (outgoing, messages) = mpsc::channel(64);
        let incoming = client.stream(ReceiverStream::new(messages)).await?.into_inner();
        Ok(Self { outgoing, incoming })
    }

    /// A stream of process number `n`, welcomed. Gives what is durable.
    pub(crate) async fn welcomed(addr: SocketAddr, n: u8) -> (Self, u64) {
        let mut agent = Self::connect(addr).await;
        agent.say(Said::Hello(hello(n))).await;
        let welcome = agent.welcome().await;
        (agent, welcome.durable_seq)
    }

    pub(crate) async fn say(&self, said: Said) {
        // A stream that the collector ended takes no more, which the test will hear.
        let _ = self.outgoing.send(pb::AgentMessage { kind: Some(said) }).await;
    }

    pub(crate) async fn send(&self, batch: pb::Batch) {
        self.say(Said::Batch(batch)).await;
    }

    /// The next message; nothing at a polite end.
    pub(crate) async fn hear(&mut self) -> Result<Option<Heard>, Status> {
        let message =
            timeout(LIMIT, self.incoming.message()).await.expect("the collector is silent")?;
        Ok(message.map(|message| message.kind.expect("a kind that we know")))
    }

    pub(crate) async fn welcome(&mut self) -> pb::Welcome {
        match self.hear().await.unwrap() {
            Some(Heard::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Itself if the collector welcomes it, nothing if the collector ends the stream.
    pub(crate) async fn maybe_welcome(mut self) -> Option<Self> {
        match self.hear().await {
            Ok(Some(Heard::Welcome(_))) => Some(self),
            Ok(other) => panic!("no welcome but {other:?}"),
            Err(_) => None,
        }
    }

    /// Hears acks until `seq` is durable.
    pub(crate) async fn acked(&mut self, seq: u64) {
        loop {
            match self.hear().await.unwrap() {
                Some(Heard::Ack(ack)) if ack.durable_seq >= seq => {
                    assert_eq!(ack.durable_seq, seq, "acked more than was asked for");
                    return;
                }
                Some(Heard::Ack(_)) => {}
                other => panic!("no ack of {seq} but {other:?}"),
            }
        }
    }

    /// Hears acks until a refusal.
    pub(crate) async fn refused(&mut self) -> pb::Refused {
        loop {
            match self.hear().await.unwrap() {
                Some(Heard::Refused(refused)) => return refused,
                Some(Heard::Ack(_)) => {}
                other => panic!("no refusal but {other:?}"),
            }
        }
    }

    /// Hears the stream to its end: how it ended, and the last ack before that.
    pub(crate) async fn end(mut self) -> (Result<(), (Code, String)>, u64) {
        let mut durable_seq = 0;
        loop {
            match self.hear().await {
                Ok(Some(Heard::Ack(ack))) => durable_seq = ack.durable_seq,
                Ok(Some(_)) => {}
                Ok(None) => return (Ok(()), durable_seq),
                Err(status) => {
                    return (Err((status.code(), status.message().to_owned())), durable_seq);
                }
            }
        }
    }
}

pub(crate) fn hello(n: u8) -> pb::Hello {
    let process = Process {
        id: ProcessId([n; 16]),
        app: format!("app-{n}"),
        app_version: String::new(),
        host: String::new(),
        pid: 1,
        labels: Vec::new(),
        agent: "script".into(),
        agent_version: "0".into(),
        anchor: Anchor { at: Nanos(0), unix: UnixNanos(1_700_000_000_000_000_000) },
        coverage: Vec::new(),
        slow_threshold: 100_000_000,
    };
    let process = Some(loopd_wire::encode_process(process));
    pb::Hello { protocol: 1, process, first_seq: 1, ..pb::Hello::default() }
}

/// A batch in which one task is spawned, whose id is the batch's number.
pub(crate) fn batch(seq: u64) -> pb::Batch {
    let at = Nanos(seq * 1_000_000);
    let spawned = EventKind::TaskSpawned {
        task: TaskId(seq),
        loop_id: LoopId(1),
        spawn_location: LocationId::NONE,
        parent: TaskId::NONE,
        kind: TaskKind::Async,
    };
    let ledger = vec![LedgerEntry { kind: RecordKind::Task, produced: seq, dropped: 0 }];
    let anchor = Anchor { at, unix: UnixNanos(1_700_000_000_000_000_000).at(at) };
    let events = vec![Event { at, kind: spawned }];
    loopd_wire::encode_batch(Batch { seq, anchor, events, ledger, ..Batch::default() })
}

/// A batch that cannot be read.
pub(crate) fn malformed(seq: u64) -> pb::Batch {
    pb::Batch { names: vec![pb::Name { id: 0, text: "nameless".into() }], ..batch(seq) }
}
