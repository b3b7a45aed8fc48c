//! A client that believes what `tokio-console` believes, and refuses what would make it panic or skip.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, StateRequest, Temporality, Update};
use console_api::{Field, async_ops, resources, tasks};
use loopd_console::serve::{Console, MAX_UPDATE_BYTES, ReplayRange};
use loopd_store::Reader;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

use crate::support::Store;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server of the service alone.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) fn live(store: &Store) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self::start(Console::live(store.reader.clone(), store.writer.head(), stopped), stop)
    }

    pub(crate) fn replay(reader: Reader, range: ReplayRange) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self::start(Console::replay(reader, range, stopped), stop)
    }

    fn start(console: Console, stop: watch::Sender<bool>) -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = incoming.local_addr().unwrap();
        let mut stopped = stop.subscribe();
        let serving = tokio::spawn(async move {
            let end = async move {
                stopped.wait_for(|stopped| *stopped).await.unwrap();
            };
            let server = Server::builder().add_routes(console.routes());
            server.serve_with_incoming_shutdown(incoming, end).await.unwrap();
        });
        Self { addr, stop, serving }
    }

    /// Ends every stream and the server.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        timeout(LIMIT, self.serving).await.unwrap().unwrap();
    }

    pub(crate) async fn connect(&self) -> InstrumentClient<Channel> {
        InstrumentClient::connect(format!("http://{}", self.addr)).await.unwrap()
    }

    /// With room for so many bytes on the way.
    pub(crate) async fn connect_narrow(&self, bytes: u32) -> InstrumentClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addr)).unwrap();
        let endpoint = endpoint.initial_stream_window_size(bytes);
        let endpoint = endpoint.initial_connection_window_size(bytes);
        InstrumentClient::new(endpoint.connect().await.unwrap())
    }
}

/// What a viewer has been told so far.
pub(crate) struct Screen {
    updates: Streaming<Update>,
    metadata: HashSet<u64>,
    pub(crate) tasks: HashMap<u64, (tasks::Task, tasks::Stats)>,
    pub(crate) resources: HashMap<u64, (resources::Resource, resources::Stats)>,
    pub(crate) ops: HashMap<u64, (async_ops::AsyncOp, async_ops::Stats)>,
    pub(crate) dropped: u64,
    /// How many updates came.
    pub(crate) count: usize,
}

impl Screen {
    pub(crate) async fn new(client: &mut InstrumentClient<Channel>) -> Self {
        let updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        Self {
            updates,
            metadata: HashSet::new(),
            tasks: HashMap::new(),
            resources: HashMap::new(),
            ops: HashMap::new(),
            dropped: 0,
            count: 0,
        }
    }

    /// The next update; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<()> {
        let update = timeout(LIMIT, self.updates.message()).await.unwrap().unwrap()?;
        self.add(update);
        Some(())
    }

    /// Reads on until it shows what is expected.
    pub(crate) async fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let read = async {
            while !is_true(self) {
                self.next().await.expect("updates go on");
            }
        };
        let is_there = timeout(LIMIT, read).await.is_ok();
        assert!(is_there, "never: {what}");
    }

    fn add(&mut self, update: Update) {
        assert!(update.encoded_len() <= MAX_UPDATE_BYTES + 4096, "{}", update.encoded_len());
        assert!(update.now.is_some());
        self.count += 1;
        let metadata = update.new_metadata.into_iter().flat_map(|it| it.metadata);
        self.metadata.extend(metadata.map(|it| it.id.unwrap().id));
        let mut of_tasks = update.task_update.unwrap();
        self.dropped += of_tasks.dropped_events;
        for task in of_tasks.new_tasks {
            assert!(self.metadata.contains(&task.metadata.unwrap().id));
            let id = task.id.unwrap().id;
            let stats = of_tasks.stats_update.remove(&id).expect("a new task has its stats");
            self.tasks.insert(id, (task, stats));
        }
        for (id, stats) in of_tasks.stats_update {
            self.tasks.get_mut(&id).expect("stats are of a task that was told").1 = stats;
        }
        for (_, stats) in self.tasks.values() {
            assert!(stats.created_at.is_some() && stats.poll_stats.is_some());
        }
        let mut of_resources = update.resource_update.unwrap();
        for resource in of_resources.new_resources {
            assert!(self.metadata.contains(&resource.metadata.unwrap().id));
            assert!(resource.kind.as_ref().unwrap().kind.is_some());
            let id = resource.id.unwrap().id;
            let stats = of_resources.stats_update.remove(&id).unwrap();
            self.resources.insert(id, (resource, stats));
        }
        for (id, stats) in of_resources.stats_update {
            assert!(stats.created_at.is_some());
            self.resources.get_mut(&id).unwrap().1 = stats;
        }
        let mut of_ops = update.async_op_update.unwrap();
        for op in of_ops.new_async_ops {
            assert!(self.metadata.contains(&op.metadata.unwrap().id));
            let id = op.id.unwrap().id;
            let stats = of_ops.stats_update.remove(&id).unwrap();
            assert!(self.resources.contains_key(&op.resource_id.unwrap().id));
            self.ops.insert(id, (op, stats));
        }
        for (id, stats) in of_ops.stats_update {
            assert!(stats.created_at.is_some() && stats.poll_stats.is_some());
            self.ops.get_mut(&id).unwrap().1 = stats;
        }
    }

    /// The task of this id of loopd's.
    pub(crate) fn task(&self, id: u64) -> Option<&(tasks::Task, tasks::Stats)> {
        let has_id = |task: &tasks::Task| field(&task.fields, "task.id") == Some(id.to_string());
        self.tasks.values().find(|(task, _)| has_id(task))
    }

    /// As its client would call it: completed, running, scheduled or idle.
    pub(crate) fn state(&self, id: u64) -> &'static str {
        let Some((_, stats)) = self.task(id) else { return "absent" };
        let polls = stats.poll_stats.unwrap();
        let at = |at: Option<_>| at.map(|at| std::time::SystemTime::try_from(at).unwrap());
        let (started, ended) = (at(polls.last_poll_started), at(polls.last_poll_ended));
        match () {
            () if stats.dropped_at.is_some() => "completed",
            () if started > ended => "running",
            () if at(stats.last_wake) > started => "scheduled",
            () => "idle",
        }
    }

    pub(crate) fn polls(&self, id: u64) -> u64 {
        self.task(id).map_or(0, |(_, stats)| stats.poll_stats.unwrap().polls)
    }
}

/// A field's value, as text.
pub(crate) fn field(fields: &[Field], name: &str) -> Option<String> {
    let is_it = |field: &&Field| field.name == Some(Name::StrName(name.to_owned()));
    fields.iter().find(is_it).and_then(|field| field.value.as_ref()).map(Value::to_string)
}

/// The words of a state stream, one by one.
pub(crate) struct States(Streaming<console_api::instrument::State>);

impl States {
    pub(crate) async fn new(client: &mut InstrumentClient<Channel>) -> Self {
        Self(client.watch_state(StateRequest {}).await.unwrap().into_inner())
    }

    pub(crate) async fn next(&mut self) -> Temporality {
        timeout(LIMIT, self.0.message()).await.unwrap().unwrap().unwrap().temporality()
    }
}
