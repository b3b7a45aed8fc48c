//! A client that believes what `tokio-console` believes, and refuses what would make it panic or skip.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, StateRequest, Temporality, Update};
use console_api::{Field, async_ops, resources, tasks};
use loopd_console::serve::{Console, MAX_UPDATE_BYTES, ReplayRange, Target};
use loopd_store::Reader;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::service::InterceptorLayer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Streaming};

use crate::support::Store;

/// Longer than anything here takes on a busy machine: a feed rests five times as long as a look took.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// What ended so long ago is taken from the screen: what `tokio-console` does if it is not told otherwise.
const RETAIN: Duration = Duration::from_secs(6);

/// A server of the service alone.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) fn live(store: &Store) -> Self {
        Self::live_of(store, Target::All)
    }

    /// As seen by those whose address names this.
    pub(crate) fn live_of(store: &Store, target: Target) -> Self {
        let (stop, stopped) = watch::channel(false);
        let console = Console::live(store.reader.clone(), store.writer.head(), stopped);
        Self::start(console, stop, target)
    }

    pub(crate) fn replay(reader: Reader, range: ReplayRange) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self::start(Console::replay(reader, range, stopped), stop, Target::All)
    }

    fn start(console: Console, stop: watch::Sender<bool>, target: Target) -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = incoming.local_addr().unwrap();
        let mut stopped = stop.subscribe();
        let serving = tokio::spawn(async move {
            let end = async move {
                stopped.wait_for(|stopped| *stopped).await.unwrap();
            };
            let named = InterceptorLayer::new(move |mut request: Request<()>| {
                request.extensions_mut().insert(target.clone());
                Ok(request)
            });
            let server = Server::builder().layer(named).add_routes(console.routes());
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
    now: SystemTime,
    /// What was taken from the screen since it had ended.
    forgotten: HashSet<u64>,
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
            now: SystemTime::UNIX_EPOCH,
            forgotten: HashSet::new(),
        }
    }

    /// Goes on over another connection, with everything that is on the screen.
    pub(crate) async fn reconnect(&mut self, client: &mut InstrumentClient<Channel>) {
        self.updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
    }

    /// The next update; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.forget();
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

    /// Takes from the screen what ended some time ago, after it was shown.
    fn forget(&mut self) {
        let (now, forgotten) = (self.now, &mut self.forgotten);
        let mut stays = |id: u64, dropped_at: Option<_>| {
            let dropped_at = dropped_at.map(|at| SystemTime::try_from(at).unwrap());
            let is_old = |at| now.duration_since(at).unwrap_or_default() >= RETAIN;
            let is_forgotten = dropped_at.is_some_and(is_old);
            if is_forgotten {
                forgotten.insert(id);
            }
            !is_forgotten
        };
        self.tasks.retain(|&id, (_, stats)| stays(id, stats.dropped_at));
        self.resources.retain(|&id, (_, stats)| stays(id, stats.dropped_at));
        self.ops.retain(|&id, (_, stats)| stays(id, stats.dropped_at));
    }

    fn add(&mut self, update: Update) {
        assert!(update.encoded_len() <= MAX_UPDATE_BYTES + 4096, "{}", update.encoded_len());
        self.now = SystemTime::try_from(update.now.unwrap()).unwrap();
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
            match self.tasks.get_mut(&id) {
                Some(task) => task.1 = stats,
                None => self.assert_forgotten(id, stats.dropped_at.is_some()),
            }
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
            match self.resources.get_mut(&id) {
                Some(resource) => resource.1 = stats,
                None => self.assert_forgotten(id, stats.dropped_at.is_some()),
            }
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
            match self.ops.get_mut(&id) {
                Some(op) => op.1 = stats,
                None => self.assert_forgotten(id, stats.dropped_at.is_some()),
            }
        }
    }

    /// What is not on the screen was there, and nobody has to see it again.
    fn assert_forgotten(&self, id: u64, is_over: bool) {
        assert!(self.forgotten.contains(&id), "stats are of what was told");
        assert!(is_over, "what lives is on the screen");
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
