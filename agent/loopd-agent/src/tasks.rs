//! Spawning through loopd: adds a name, how the task ended, and every wake with who woke whom; on
//! runtimes without loopd's hooks also the spawn, the polls and the end.

use std::fmt::Display;
use std::future::Future;
use std::panic::Location;

use loopd_model::{Outcome, TaskKind};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::clock::ticks;
use crate::hooks;
use crate::notes::{self, Fields, Note};
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::wrapped::{Life, Wrapped};

/// Futures of so many bytes have their size told: from here on tokio-console warns of them.
pub(crate) const LARGE_FUTURE: usize = 1024;

/// As [`tokio::spawn`]; also records wakes and how the task ends.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Task::unnamed().spawn(future)
}

/// As [`tokio::task::spawn_local`]; also records wakes and how the task ends.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Task::unnamed().spawn_local(future)
}

/// As [`tokio::task::spawn_blocking`]; records when the job was queued, began and ended.
#[track_caller]
pub fn spawn_blocking<F, R>(job: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Task::unnamed().spawn_blocking(job)
}

/// As [`tokio::runtime::Runtime::block_on`]; the future is recorded as a root task.
#[track_caller]
pub fn block_on<F: Future>(runtime: &tokio::runtime::Runtime, future: F) -> F::Output {
    if !recorder::is_recording() {
        return runtime.block_on(future);
    }
    let spawn = Spawn::begin(TaskKind::BlockOn, None);
    hooks::after_spawn();
    let life = Life::new(recorder::loop_of(runtime.handle()));
    let root = recorder::next_root();
    life.find_task(root, false);
    spawn.write(&life, root);
    // Undone by dropping `spawn`, should it never get to its first poll.
    hooks::before_root();
    runtime.block_on(Wrapped::new(future, life))
}

/// As [`tokio::task::block_in_place`]; also tells when the worker was given away.
///
/// Tokio then lets another thread go on as this worker, while this one finishes its poll. The poll
/// is recorded in two pieces: up to here as the worker's, and the rest among those of the threads
/// that are no workers. With tokio's own function the cut comes where the other thread is first
/// seen at work, a little later.
#[track_caller]
pub fn block_in_place<F: FnOnce() -> R, R>(f: F) -> R {
    if let Some(lane) = recorder::existing_lane() {
        lane.announce_loss();
    }
    tokio::task::block_in_place(f)
}

/// A task to be spawned under this name. Names are for people: they need not be unique, and are cut
/// at 256 bytes.
pub fn task(name: &str) -> Task<'_> {
    Task { name: Some(name), fields: Vec::new() }
}

/// Made by [`task`].
#[derive(Debug)]
#[must_use = "nothing runs until it is spawned"]
pub struct Task<'a> {
    name: Option<&'a str>,
    fields: Fields,
}

impl Task<'_> {
    fn unnamed() -> Self {
        Self { name: None, fields: Vec::new() }
    }

    /// What is said of it, and of its future if that is large and tokio does not tell.
    fn fields_with_size<F>(self) -> Fields {
        let mut fields = self.fields;
        if size_of::<F>() >= LARGE_FUTURE && !crate::layer::is_on() {
            fields.push(("size.bytes".to_owned(), size_of::<F>().to_string()));
        }
        fields
    }

    /// Says more about the task: a key and a value, as `field("order", id)`. 32 at most, of 256
    /// bytes each.
    pub fn field(mut self, key: &str, value: impl Display) -> Self {
        if recorder::is_recording() && self.fields.len() < notes::MAX_FIELDS {
            self.fields.push((key.to_owned(), value.to_string()));
        }
        self
    }

    /// As [`tokio::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if !recorder::is_recording() {
            return tokio::spawn(future);
        }
        let (name, fields) = (self.name, self.fields_with_size::<F>());
        let life = Life::new(None);
        let wrapped = Wrapped::new(future, life.clone());
        let spawn = Spawn::begin(TaskKind::Async, None);
        let handle = tokio::spawn(wrapped);
        spawn.end(&life, handle.id(), name, fields);
        handle
    }

    /// As [`Handle::spawn`].
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if !recorder::is_recording() {
            return handle.spawn(future);
        }
        let (name, fields) = (self.name, self.fields_with_size::<F>());
        let life = Life::new(None);
        let wrapped = Wrapped::new(future, life.clone());
        let spawn = Spawn::begin(TaskKind::Async, Some(handle.clone()));
        let handle = handle.spawn(wrapped);
        spawn.end(&life, handle.id(), name, fields);
        handle
    }

    /// As [`tokio::task::spawn_local`].
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if !recorder::is_recording() {
            return tokio::task::spawn_local(future);
        }
        let (name, fields) = (self.name, self.fields_with_size::<F>());
        let life = Life::new(None);
        let wrapped = Wrapped::new(future, life.clone());
        let spawn = Spawn::begin(TaskKind::Local, None);
        let handle = tokio::task::spawn_local(wrapped);
        spawn.end(&life, handle.id(), name, fields);
        handle
    }

    /// As [`tokio::task::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, job: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if !recorder::is_recording() {
            return tokio::task::spawn_blocking(job);
        }
        let life = Life::new(None);
        let mut running = Blocking { life: life.clone(), outcome: Outcome::Cancelled };
        let job = move || {
            running.start();
            let result = job();
            running.complete();
            result
        };
        let spawn = Spawn::begin(TaskKind::Blocking, None);
        let handle = tokio::task::spawn_blocking(job);
        spawn.end(&life, handle.id(), self.name, self.fields);
        handle
    }
}

/// Spawning into a [`JoinSet`] through loopd.
pub trait JoinSetExt<T> {
    /// As [`JoinSet::spawn`], with a name if one is given.
    #[track_caller]
    fn spawn_recorded<F>(&mut self, name: Option<&str>, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send;
}

impl<T: 'static> JoinSetExt<T> for JoinSet<T> {
    #[track_caller]
    fn spawn_recorded<F>(&mut self, name: Option<&str>, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        if !recorder::is_recording() {
            return self.spawn(future);
        }
        let life = Life::new(None);
        let wrapped = Wrapped::new(future, life.clone());
        let spawn = Spawn::begin(TaskKind::Async, None);
        let handle = self.spawn(wrapped);
        spawn.end(&life, handle.id(), name, Task::unnamed().fields_with_size::<F>());
        handle
    }
}

/// A spawn under way: where, when and by which task it was called.
struct Spawn {
    at: u64,
    location: &'static Location<'static>,
    parent: u64,
    kind: TaskKind,
    /// The runtime it goes to; `None`: the current one.
    on: Option<Handle>,
}

impl Spawn {
    #[track_caller]
    fn begin(kind: TaskKind, on: Option<Handle>) -> Self {
        let location = Location::caller();
        hooks::before_spawn(kind);
        Self { at: ticks(), location, parent: recorder::current_task(), kind, on }
    }

    /// Records what no hook did, the name and the fields.
    fn end(self, life: &Life, id: tokio::task::Id, name: Option<&str>, fields: Fields) {
        let seen = hooks::after_spawn();
        let task = hooks::task_number(id);
        let is_over = life.tell_task(task, seen == task);
        if seen != task {
            life.set_loop(match &self.on {
                Some(handle) => recorder::loop_of(handle),
                None => recorder::current_loop(),
            });
            self.write(life, task);
        }
        if let Some(name) = name {
            recorder::write(&Record::Named { at: ticks(), task, name: name.to_owned() });
        }
        if !fields.is_empty() {
            recorder::write(&Record::Note(Note::Fields { at: ticks(), task, fields }));
        }
        if is_over && seen != task {
            let outcome = Outcome::Cancelled;
            recorder::write(&Record::Ended { at: ticks(), task, outcome });
        }
    }

    fn write(&self, life: &Life, task: u64) {
        recorder::write(&Record::Spawned {
            at: self.at,
            task,
            loop_id: life.loop_id(),
            location: place::number(self.location),
            parent: self.parent,
            kind: self.kind,
            label: 0,
        });
    }
}

impl Drop for Spawn {
    /// Also when tokio panics instead of spawning, as it does outside a runtime: the next spawn on
    /// this thread must not be taken for this one.
    fn drop(&mut self) {
        hooks::after_spawn();
    }
}

/// Records the start and, when dropped, the end of a blocking job.
struct Blocking {
    life: std::sync::Arc<Life>,
    outcome: Outcome,
}

impl Blocking {
    fn start(&mut self) {
        // The spawning thread may not have got round to telling the id.
        if let Some(id) = tokio::task::try_id() {
            self.life.find_task(hooks::task_number(id), false);
        }
        self.outcome = Outcome::Panicked;
        recorder::write(&Record::BlockingStarted { at: ticks(), task: self.life.task() });
    }

    fn complete(&mut self) {
        self.outcome = Outcome::Completed;
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(task) = self.life.end().filter(|_| recorder::is_recording()) {
            recorder::write(&Record::Ended { at: ticks(), task, outcome: self.outcome });
        }
    }
}
