//! A collector that does what a test tells it: a real tonic server on a port of its own, on threads
//! of its own, so that the program under test may block.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use loopd_model::{Batch, Coverage, Event, EventKind, RecordKind, Settings, Span, segment};
use loopd_wire::pb;
use loopd_wire::pb::ingest_server::{Ingest, IngestServer};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// Nothing a test waits for takes longer, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How the collector behaves; tests change it while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Takes connections but never answers.
    pub(crate) is_frozen: bool,
    /// Reads and never answers; ends its half of the stream when the agent has ended its own.
    pub(crate) is_silent: bool,
    /// Welcomes and then reads no more.
    pub(crate) stops_reading: bool,
    /// Acknowledges batches and forgets what was in them, but for their number.
    pub(crate) forgets: bool,
    /// Acknowledges batches.
    pub(crate) acks: bool,
    /// Refuses these numbers once each.
    pub(crate) refuses: Vec<u64>,
    /// Ends the stream after this many more batches.
    pub(crate) hangs_up_after: Option<u64>,
    /// When it next hangs up, its database is replaced by an empty one.
    pub(crate) loses_database: bool,
    pub(crate) epoch: Vec<u8>,
    pub(crate) settings: Option<pb::Settings>,
    /// Sent once, after the next message.
    pub(crate) asks: Option<pb::Settings>,
    /// Asked for once, after the next message: the dump of this number.
    pub(crate) asks_dump: Option<u64>,
    /// No batch may be larger.
    pub(crate) max_batch_bytes: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            is_frozen: false,
            is_silent: false,
            stops_reading: false,
            forgets: false,
            acks: true,
            refuses: Vec::new(),
            hangs_up_after: None,
            loses_database: false,
            epoch: vec![1; 16],
            settings: None,
            asks: None,
            asks_dump: None,
            max_batch_bytes: 1 << 20,
        }
    }
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<loopd_wire::Hello>,
    /// Stored batches: each number once.
    pub(crate) batches: BTreeMap<u64, Batch>,
    /// Numbers in the order in which they came, also those that were not stored.
    pub(crate) seqs: Vec<u64>,
    pub(crate) goodbyes: Vec<loopd_wire::Goodbye>,
    durable: u64,
}

impl Seen {
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.batches.values().flat_map(|batch| &batch.events)
    }

    pub(crate) fn spans(&self, kind: RecordKind) -> Vec<(u64, u32, Span)> {
        let segments = self.batches.values().flat_map(|batch| &batch.segments);
        let of_kind = segments.filter(|segment| segment.kind == kind);
        of_kind
            .flat_map(|one| {
                let (_, spans) = segment::decode(&one.data).unwrap();
                assert_eq!(spans.len(), one.count as usize);
                spans.into_iter().map(|span| (one.loop_id.0, one.worker.0, span))
            })
            .collect()
    }

    /// What the agent said is captured, and its settings, in order.
    pub(crate) fn coverage(&self) -> Vec<(&[Coverage], Settings)> {
        let changed = self.events().filter_map(|event| match &event.kind {
            EventKind::CoverageChanged { coverage, settings } => Some((&coverage[..], *settings)),
            _ => None,
        });
        changed.collect()
    }

    pub(crate) fn name_of(&self, task: u64) -> Option<&str> {
        let name = self.events().find_map(|event| match &event.kind {
            EventKind::TaskNamed { task: of, name } if of.0 == task => Some(*name),
            _ => None,
        })?;
        let mut names = self.batches.values().flat_map(|batch| &batch.names);
        names.find(|known| known.id == name).map(|known| known.text.as_str())
    }

    pub(crate) fn task_named(&self, text: &str) -> Option<u64> {
        let mut named = self.events().filter_map(|event| match &event.kind {
            EventKind::TaskNamed { task, .. } => Some(task.0),
            _ => None,
        });
        named.find(|&task| self.name_of(task) == Some(text))
    }

    pub(crate) fn loop_named(&self, text: &str) -> Option<u64> {
        self.events().find_map(|event| match &event.kind {
            EventKind::LoopOpened { loop_id, name, .. } if name == text => Some(loop_id.0),
            _ => None,
        })
    }

    /// The last thread that was this worker.
    pub(crate) fn thread_of(&self, of_loop: u64, of_worker: u32) -> Option<String> {
        let threads = self.events().filter_map(|event| match &event.kind {
            EventKind::WorkerStarted { loop_id, worker, thread_name, .. }
                if (loop_id.0, worker.0) == (of_loop, of_worker) =>
            {
                Some(thread_name.clone())
            }
            _ => None,
        });
        threads.last()
    }

    /// Records stored and records reported lost by the agent, by kind.
    pub(crate) fn stored_and_lost(&self, kind: RecordKind) -> (u64, u64) {
        let spans = self.batches.values().flat_map(|batch| &batch.segments);
        let spans: u64 = spans.filter(|s| s.kind == kind).map(|s| u64::from(s.count)).sum();
        let events = self.events().filter(|event| event.kind.record_kind() == kind).count() as u64;
        let losses = self.batches.values().flat_map(|batch| &batch.losses);
        (spans + events, losses.filter(|loss| loss.kind == kind).map(|loss| loss.count).sum())
    }
}

#[derive(Default)]
struct State {
    script: Script,
    seen: Seen,
}

/// The running collector.
pub(crate) struct Collector {
    state: Arc<Mutex<State>>,
    pub(crate) endpoint: String,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A port at which connections are refused until it is listened at, and which nobody else gets meanwhile.
pub(crate) struct Port(tokio::net::TcpSocket);

impl Port {
    pub(crate) fn take() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    pub(crate) fn listen(self) -> std::net::TcpListener {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async { self.0.listen(128).unwrap().into_std().unwrap() })
    }
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::start_with(Script::default())
    }

    pub(crate) fn start_with(script: Script) -> Self {
        Self::start_on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub(crate) fn start_on(listener: std::net::TcpListener, script: Script) -> Self {
        Self::serve_on(listener, Arc::new(Mutex::new(State { script, seen: Seen::default() })))
    }

    /// Dies with all its connections and comes back, with the same database and on the same port.
    pub(crate) fn restart(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits, so that nothing of the old one takes a batch any more.
            runtime.shutdown_timeout(LIMIT);
        }
        let address = self.endpoint.strip_prefix("http://").unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        *self = Self::serve_on(listener, self.state.clone());
    }

    fn serve_on(listener: std::net::TcpListener, state: Arc<Mutex<State>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("collector")
            // Whatever listens to the program under test must not hear it.
            .on_thread_start(|| std::mem::forget(silence()))
            .enable_all()
            .build()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service =
            IngestServer::new(Service { state: state.clone() }).max_decoding_message_size(4 << 20);
        let _silence = silence();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
        });
        Self { state, endpoint, runtime: Some(runtime) }
    }

    /// Changes the script.
    pub(crate) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.state.lock().unwrap().script);
    }

    /// What has arrived so far.
    pub(crate) fn seen(&self) -> Seen {
        self.state.lock().unwrap().seen.clone()
    }

    /// Waits until what has arrived satisfies a condition.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_there: impl Fn(&Seen) -> bool) -> Seen {
        self.wait_within(LIMIT, what, is_there)
    }

    /// The same for what takes longer than anything else.
    #[track_caller]
    pub(crate) fn wait_within(
        &self,
        limit: Duration,
        what: &str,
        is_there: impl Fn(&Seen) -> bool,
    ) -> Seen {
        let since = Instant::now();
        loop {
            // Copied once it is there: copies in vain would take the time of what is waited for.
            let state = self.state.lock().unwrap();
            if is_there(&state.seen) {
                return state.seen.clone();
            }
            drop(state);
            assert!(
                since.elapsed() < limit,
                "{what} did not happen; {:?}; seen {:?}",
                loopd_agent::stats(),
                self.seen().seqs
            );
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn silence() -> tracing::subscriber::DefaultGuard {
    tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default())
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Service {
    state: Arc<Mutex<State>>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::CollectorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Ingest for Service {
    type StreamStream = Answers;

    async fn stream(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Answers>, Status> {
        if self.state.lock().unwrap().script.is_frozen {
            std::future::pending::<()>().await;
        }
        let (answers, outbound) = mpsc::channel(64);
        let state = self.state.clone();
        tokio::spawn(async move { serve(state, request.into_inner(), answers).await });
        let outbound = tokio_stream::wrappers::ReceiverStream::new(outbound);
        Ok(Response::new(outbound.map(Ok).boxed()))
    }
}

fn message(kind: pb::collector_message::Kind) -> pb::CollectorMessage {
    pb::CollectorMessage { kind: Some(kind) }
}

async fn serve(
    state: Arc<Mutex<State>>,
    mut messages: Streaming<pb::AgentMessage>,
    answers: mpsc::Sender<pb::CollectorMessage>,
) {
    use pb::collector_message::Kind;
    while let Ok(Some(got)) = messages.message().await {
        if let Some(pb::agent_message::Kind::Batch(batch)) = &got.kind {
            let bytes = loopd_wire::encoded_len(batch);
            assert!(bytes <= state.lock().unwrap().script.max_batch_bytes as usize, "{bytes}");
        }
        let answer = match loopd_wire::decode_message(got).unwrap() {
            loopd_wire::AgentMessage::Hello(hello) => {
                let mut state = state.lock().unwrap();
                // What cannot be sent any more is noted as a hole.
                state.seen.durable = state.seen.durable.max(hello.first_seq - 1);
                state.seen.hellos.push(hello);
                Some(Kind::Welcome(pb::Welcome {
                    protocol: 1,
                    store_epoch: state.script.epoch.clone(),
                    durable_seq: state.seen.durable,
                    settings: state.script.settings,
                    max_batch_bytes: state.script.max_batch_bytes,
                }))
            }
            loopd_wire::AgentMessage::Batch(batch, tolerated) => {
                assert_eq!(tolerated, loopd_wire::Tolerated::default());
                let mut state = state.lock().unwrap();
                let State { script, seen } = &mut *state;
                let seq = batch.seq;
                seen.seqs.push(seq);
                if let Some(index) = script.refuses.iter().position(|&refused| refused == seq) {
                    script.refuses.remove(index);
                    Some(Kind::Refused(pb::Refused { seq, reason: "as told".into() }))
                } else {
                    if seq > seen.durable {
                        assert!(
                            seen.durable == 0 || seq == seen.durable + 1,
                            "a hole before {seq}"
                        );
                        seen.durable = seq;
                        if !script.forgets {
                            seen.batches.insert(seq, batch);
                        }
                    }
                    if let Some(left) = &mut script.hangs_up_after {
                        *left -= 1;
                        if *left == 0 {
                            script.hangs_up_after = None;
                            if std::mem::take(&mut script.loses_database) {
                                (seen.durable, script.epoch) = (0, vec![2; 16]);
                                seen.batches.clear();
                            }
                            return;
                        }
                    }
                    script.acks.then_some(Kind::Ack(pb::Ack { durable_seq: seen.durable }))
                }
            }
            loopd_wire::AgentMessage::Goodbye(goodbye) => {
                state.lock().unwrap().seen.goodbyes.push(goodbye);
                None
            }
            loopd_wire::AgentMessage::Unknown => panic!("an unknown message"),
        };
        let (settings, dump) = {
            let script = &mut state.lock().unwrap().script;
            (script.asks.take(), script.asks_dump.take())
        };
        let dump = dump.map(|dump_id| Kind::DumpTasks(pb::DumpTasks { dump_id }));
        if state.lock().unwrap().script.is_silent {
            continue;
        }
        for answer in answer.into_iter().chain(settings.map(Kind::Settings)).chain(dump) {
            let _ = answers.send(message(answer)).await;
        }
        if state.lock().unwrap().script.stops_reading {
            std::future::pending::<()>().await;
        }
    }
}
