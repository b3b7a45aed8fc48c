//! A program as `console-subscriber` shows it, made of scripts: what it answers is what a test says. As with
//! the real one, the first update of a connection leaves everything to be told again by the next.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use console_api::async_ops::{self, AsyncOp, AsyncOpUpdate};
use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse,
    State as Reports, StateRequest, TaskDetailsRequest, Update,
};
use console_api::register_metadata::NewMetadata;
use console_api::resources::{self, PollOp, Resource, ResourceUpdate, resource};
use console_api::tasks::{self, DurationHistogram, Task, TaskDetails, TaskUpdate, task_details};
use console_api::{
    Attribute, Field, Location, MetaId, Metadata, PollStats, RegisterMetadata, field,
};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status};

pub(crate) const MS: u64 = 1_000_000;

/// See [`start`].
pub(crate) static START: OnceLock<SystemTime> = OnceLock::new();

/// The instant 0 of scripts: one of the future, unless [`START`] says another.
fn start() -> SystemTime {
    *START.get_or_init(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

fn at(ms: u64) -> SystemTime {
    start() + Duration::from_millis(ms)
}

fn length(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// What a program says to whoever connects.
#[derive(Clone, Default)]
pub(crate) struct Program(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The first update of a connection.
    first: Update,
    viewers: Vec<mpsc::Sender<Result<Update, Status>>>,
    states: Vec<mpsc::Sender<Result<Reports, Status>>>,
    /// What was in it, and no later update has told.
    unsent: Option<Update>,
    details: Option<TaskDetails>,
    /// Whether nobody is answered who asks for details.
    is_silent: bool,
    asked: Vec<u64>,
}

impl Program {
    pub(crate) fn new(first: Update) -> Self {
        let program = Self::default();
        program.set_first(first);
        program
    }

    /// What later connections hear first.
    pub(crate) fn set_first(&self, first: Update) {
        let mut state = self.0.lock().unwrap();
        state.unsent = Some(first.clone());
        state.first = first;
    }

    pub(crate) fn set_details(&self, details: TaskDetails) {
        let mut state = self.0.lock().unwrap();
        (state.details, state.is_silent) = (Some(details), false);
    }

    /// From now on details are never given.
    pub(crate) fn be_silent(&self) {
        self.0.lock().unwrap().is_silent = true;
    }

    /// Tasks whose histograms were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<u64> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(crate) fn viewers(&self) -> usize {
        self.0.lock().unwrap().viewers.iter().filter(|viewer| !viewer.is_closed()).count()
    }

    /// Sends an update to everybody.
    pub(crate) async fn say(&self, update: Update) {
        let (viewers, unsent) = {
            let mut state = self.0.lock().unwrap();
            (state.viewers.clone(), state.unsent.take())
        };
        let update = unsent.map_or(update.clone(), |unsent| together(unsent, update));
        for viewer in viewers {
            let _ = viewer.send(Ok(update.clone())).await;
        }
    }

    pub(crate) async fn say_paused(&self, is_paused: bool) {
        let states = self.0.lock().unwrap().states.clone();
        let temporality = i32::from(is_paused);
        for viewer in states {
            let _ = viewer.send(Ok(Reports { temporality })).await;
        }
    }

    /// Ends every connection's streams.
    pub(crate) fn hang_up(&self) {
        let mut state = self.0.lock().unwrap();
        state.viewers.clear();
        state.states.clear();
    }

    /// Serves on a free port.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let incoming = TcpListenerStream::new(listener);
        let mut server = tonic::transport::Server::builder();
        let service = InstrumentServer::new(self.clone());
        tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
        addr
    }

    pub(crate) fn serve_on(&self, path: &Path) {
        let incoming = UnixListenerStream::new(tokio::net::UnixListener::bind(path).unwrap());
        let mut server = tonic::transport::Server::builder();
        let service = InstrumentServer::new(self.clone());
        tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Instrument for Program {
    type WatchUpdatesStream = Answers<Update>;
    type WatchTaskDetailsStream = Answers<TaskDetails>;
    type WatchStateStream = Answers<Reports>;

    async fn watch_updates(
        &self,
        _: Request<InstrumentRequest>,
    ) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        let (sender, receiver) = mpsc::channel(64);
        let first = self.0.lock().unwrap().first.clone();
        sender.try_send(Ok(first)).unwrap();
        self.0.lock().unwrap().viewers.push(sender);
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn watch_task_details(
        &self,
        request: Request<TaskDetailsRequest>,
    ) -> Result<Response<Self::WatchTaskDetailsStream>, Status> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(request.into_inner().id.map_or(0, |id| id.id));
        if state.is_silent {
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        }
        let details = state.details.clone().ok_or_else(|| Status::not_found("no such task"))?;
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(details)))))
    }

    async fn watch_state(
        &self,
        _: Request<StateRequest>,
    ) -> Result<Response<Self::WatchStateStream>, Status> {
        let (sender, receiver) = mpsc::channel(64);
        sender.try_send(Ok(Reports { temporality: 0 })).unwrap();
        self.0.lock().unwrap().states.push(sender);
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        Err(Status::permission_denied("it is only listened to"))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Err(Status::permission_denied("it is only listened to"))
    }
}

/// An update, and before it what was told to new viewers only. What has another's span since is no more.
fn together(before: Update, update: Update) -> Update {
    let mut all = update;
    if let Some(before) = before.new_metadata {
        let metadata = &mut all.new_metadata.get_or_insert_default().metadata;
        metadata.splice(0..0, before.metadata);
    }
    if let (Some(before), Some(tasks)) = (before.task_update, &mut all.task_update) {
        let is_here = |it: &Task| tasks.new_tasks.iter().all(|task| task.id != it.id);
        let old: Vec<_> = before.new_tasks.into_iter().filter(is_here).collect();
        tasks.new_tasks.splice(0..0, old);
        tasks.stats_update = joined(before.stats_update, &mut tasks.stats_update);
    }
    if let (Some(before), Some(resources)) = (before.resource_update, &mut all.resource_update) {
        resources.new_resources.splice(0..0, before.new_resources);
        resources.stats_update = joined(before.stats_update, &mut resources.stats_update);
    }
    if let (Some(before), Some(ops)) = (before.async_op_update, &mut all.async_op_update) {
        ops.new_async_ops.splice(0..0, before.new_async_ops);
        ops.stats_update = joined(before.stats_update, &mut ops.stats_update);
    }
    all
}

fn joined<T>(mut before: HashMap<u64, T>, after: &mut HashMap<u64, T>) -> HashMap<u64, T> {
    before.extend(after.drain());
    before
}

/// Makes an update, made at an instant.
pub(crate) struct Script(Update);

/// The callsite of spawns.
pub(crate) const SPAWN: u64 = 0x7000;

/// What is counted of a task.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) polls: u64,
    pub(crate) busy: u64,
    pub(crate) wakes: u64,
    pub(crate) self_wakes: u64,
    pub(crate) scheduled: u64,
    /// When its last poll began and ended, in milliseconds.
    pub(crate) last: Option<(u64, u64)>,
    pub(crate) dropped: Option<u64>,
}

impl Script {
    pub(crate) fn at(ms: u64) -> Self {
        let update = Update {
            now: Some(at(ms).into()),
            task_update: Some(TaskUpdate::default()),
            resource_update: Some(ResourceUpdate::default()),
            async_op_update: Some(AsyncOpUpdate::default()),
            new_metadata: None,
        };
        Self(update)
    }

    pub(crate) fn done(self) -> Update {
        self.0
    }

    /// Introduces callsites by id and name.
    pub(crate) fn callsites(mut self, all: &[(u64, &str)]) -> Self {
        let one = |&(id, name): &(u64, &str)| NewMetadata {
            id: Some(MetaId { id }),
            metadata: Some(Metadata {
                name: name.into(),
                target: "tokio::task".into(),
                field_names: vec!["kind".into(), "task.name".into(), "task.id".into()],
                ..Metadata::default()
            }),
        };
        let metadata = all.iter().map(one).collect();
        self.0.new_metadata = Some(RegisterMetadata { metadata });
        self
    }

    pub(crate) fn tasks(&mut self) -> &mut TaskUpdate {
        self.0.task_update.as_mut().unwrap()
    }

    /// Introduces a task with the span, made at an instant.
    pub(crate) fn task(mut self, span: u64, ms: u64, fields: &[(&str, &str)]) -> Self {
        let field = |&(name, value): &(&str, &str)| Field {
            metadata_id: Some(MetaId { id: SPAWN }),
            name: Some(field::Name::StrName(name.into())),
            value: Some(field::Value::DebugVal(value.into())),
        };
        let task = Task {
            id: Some(span.into()),
            metadata: Some(MetaId { id: SPAWN }),
            fields: fields.iter().map(field).collect(),
            location: Some(place("shop/src/main.rs", 7)),
            ..Task::default()
        };
        self.tasks().new_tasks.push(task);
        self.counted(span, ms, Counts::default())
    }

    /// Says what is counted of the task with the span, made at an instant.
    pub(crate) fn counted(mut self, span: u64, ms: u64, counts: Counts) -> Self {
        let stats = tasks::Stats {
            created_at: Some(at(ms).into()),
            dropped_at: counts.dropped.map(|ms| at(ms).into()),
            wakes: counts.wakes,
            self_wakes: counts.self_wakes,
            last_wake: None,
            scheduled_time: length(counts.scheduled).try_into().ok(),
            poll_stats: Some(PollStats {
                polls: counts.polls,
                first_poll: counts.last.map(|_| at(ms + 1).into()),
                last_poll_started: counts.last.map(|(began, _)| at(began).into()),
                last_poll_ended: counts.last.map(|(_, ended)| at(ended).into()),
                busy_time: length(counts.busy).try_into().ok(),
            }),
            ..tasks::Stats::default()
        };
        self.tasks().stats_update.insert(span, stats);
        self
    }

    /// Introduces a resource, made at an instant.
    pub(crate) fn resource(mut self, span: u64, ms: u64, kind: &str, is_internal: bool) -> Self {
        let known = resource::kind::Known::Timer as i32;
        let resource = Resource {
            id: Some(span.into()),
            concrete_type: kind.into(),
            kind: Some(resource::Kind { kind: Some(resource::kind::Kind::Known(known)) }),
            location: Some(place("shop/src/stock.rs", 3)),
            is_internal,
            ..Resource::default()
        };
        self.0.resource_update.as_mut().unwrap().new_resources.push(resource);
        self.state(span, ms, &[], None)
    }

    /// Says how things stand with a resource.
    pub(crate) fn state(
        mut self,
        span: u64,
        ms: u64,
        attributes: &[(&str, field::Value)],
        dropped: Option<u64>,
    ) -> Self {
        let attribute = |(name, value): &(&str, field::Value)| Attribute {
            field: Some(Field {
                metadata_id: None,
                name: Some(field::Name::StrName((*name).into())),
                value: Some(value.clone()),
            }),
            unit: None,
        };
        let stats = resources::Stats {
            created_at: Some(at(ms).into()),
            dropped_at: dropped.map(|ms| at(ms).into()),
            attributes: attributes.iter().map(attribute).collect(),
        };
        self.0.resource_update.as_mut().unwrap().stats_update.insert(span, stats);
        self
    }

    /// Introduces an operation on a resource.
    pub(crate) fn op(mut self, span: u64, ms: u64, resource: u64, source: &str) -> Self {
        let op = AsyncOp {
            id: Some(span.into()),
            source: source.into(),
            resource_id: Some(resource.into()),
            ..AsyncOp::default()
        };
        self.0.async_op_update.as_mut().unwrap().new_async_ops.push(op);
        self.polled(span, ms, None, 1, ms, None)
    }

    /// Says that a task polled an operation so often, last at an instant.
    pub(crate) fn polled(
        mut self,
        span: u64,
        ms: u64,
        task: Option<u64>,
        polls: u64,
        last: u64,
        dropped: Option<u64>,
    ) -> Self {
        let stats = async_ops::Stats {
            created_at: Some(at(ms).into()),
            dropped_at: dropped.map(|ms| at(ms).into()),
            task_id: task.map(Into::into),
            poll_stats: Some(PollStats {
                polls,
                first_poll: Some(at(ms).into()),
                last_poll_started: Some(at(last).into()),
                last_poll_ended: Some(at(last).into()),
                busy_time: None,
            }),
            attributes: Vec::new(),
        };
        self.0.async_op_update.as_mut().unwrap().stats_update.insert(span, stats);
        self
    }

    /// Says what a poll of an operation came to.
    pub(crate) fn came_to(mut self, op: u64, is_ready: bool) -> Self {
        let polled = PollOp { async_op_id: Some(op.into()), is_ready, ..PollOp::default() };
        self.0.resource_update.as_mut().unwrap().new_poll_ops.push(polled);
        self
    }

    /// Says that events were dropped, of tasks, resources and operations.
    pub(crate) fn dropped(mut self, [tasks, resources, ops]: [u64; 3]) -> Self {
        self.tasks().dropped_events = tasks;
        self.0.resource_update.as_mut().unwrap().dropped_events = resources;
        self.0.async_op_update.as_mut().unwrap().dropped_events = ops;
        self
    }
}

fn place(file: &str, line: u32) -> Location {
    Location { file: Some(file.into()), line: Some(line), column: Some(5), module_path: None }
}

/// Details of a task whose longest poll was beyond what the histogram holds.
pub(crate) fn details(raw_histogram: Vec<u8>, outlier: u64) -> TaskDetails {
    let histogram = DurationHistogram {
        raw_histogram,
        max_value: 1_000 * MS,
        high_outliers: 1,
        highest_outlier: Some(outlier),
    };
    TaskDetails {
        poll_times_histogram: Some(task_details::PollTimesHistogram::Histogram(histogram)),
        ..TaskDetails::default()
    }
}
