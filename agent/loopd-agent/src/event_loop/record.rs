//! What a loop tells the recorder: loops, tasks, steps, callbacks and what the loop complains of, in the
//! same events that Python's loops have.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loopd_model::{CloseHow, MarkLevel, Outcome, RecordKind, TaskKind};
use tokio::runtime::{Builder, Handle};

use crate::clock::ticks;
use crate::embed::{self, LoopGauges, Spawn};
use crate::hooks;
use crate::lane::{LOST, Lane};
use crate::notes::Note;
use crate::place;
use crate::record::Record;
use crate::recorder::{self, Loop, is_recording};
use crate::resource::current_task;
use crate::runtime::UserHooks;
use crate::tracked::Opened;

use super::debug::ExceptionContext;
use super::error::{Error, Place};

/// What the marks of complaints are called, as those of Python's loops: the collector knows them by it.
const TARGET: &str = "asyncio";
/// Places told apart as callbacks of one loop. What is scheduled at others is told as one more.
const MAX_CALLBACKS: usize = 4 << 10;
/// Places looked up without a table.
const NEAR: usize = 64;
/// As much of an error's text as is told.
const MAX_TEXT: usize = 200;

/// The present and the task that runs; zeros if nothing is recorded.
#[inline(always)]
pub(super) fn now() -> (u64, u64) {
    if is_recording() { (ticks(), current_task()) } else { (0, 0) }
}

/// A task was given another name.
pub(super) fn named(task: u64, name: &str) {
    if task != 0 && is_recording() {
        embed::named(task, name);
    }
}

/// See the module.
pub(super) struct Recording {
    loop_: Arc<Loop>,
    gauges: Arc<LoopGauges>,
    is_open: Cell<bool>,
    /// By place: the task that stands for all runs of what is scheduled there.
    callbacks: RefCell<HashMap<usize, u64>>,
    near: [Cell<(usize, u64)>; NEAR],
    last_label: Cell<(usize, u32)>,
    /// When the last step or callback ended, in ticks, while only the loop itself has run since; else 0.
    ended_at: Cell<u64>,
    /// Dropped without a close, it says that the loop was never closed.
    opened: RefCell<Option<Opened>>,
}

/// What a task is called.
pub(super) enum Name<'a> {
    /// By the program.
    Given(&'a str),
    /// By nobody: the type of its future.
    OfType(&'static str),
}

/// A step or callback that runs.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    lane: Option<&'static Lane>,
    /// When, in ticks. Without a lane [`LOST`], or 0 if it is not recorded.
    at: u64,
}

impl Recording {
    pub(super) fn new(name: &str) -> Self {
        let gauges = Arc::<LoopGauges>::default();
        gauges.has_turns.store(true, Relaxed);
        Self {
            loop_: Loop::new(name),
            gauges,
            is_open: Cell::new(false),
            callbacks: RefCell::default(),
            near: [const { Cell::new((0, 0)) }; NEAR],
            last_label: Cell::new((0, 0)),
            ended_at: Cell::new(0),
            opened: RefCell::default(),
        }
    }

    /// Has the runtime to be built tell of parks, and of the tasks that are tokio's own.
    pub(super) fn install(&self, builder: &mut Builder) {
        hooks::install(builder, &self.loop_, UserHooks::default());
    }

    /// Announces the loop, if something is recorded and it was not announced yet.
    pub(super) fn open(&self, handle: &Handle, made_at: Place) {
        if self.is_open.get() || !is_recording() {
            return;
        }
        self.is_open.set(true);
        self.loop_.open_event_loop(handle, self.gauges.clone());
        let name = self.loop_.name.clone();
        *self.opened.borrow_mut() =
            Opened::at(made_at, "event_loop", move || name, CloseHow::Unclosed);
    }

    /// It is closed, since `began` in ticks.
    pub(super) fn close(&self, began: u64) {
        if !self.is_open.replace(false) {
            return;
        }
        for (_, task) in self.callbacks.take() {
            if is_recording() {
                embed::ended(task, Outcome::Completed);
            }
        }
        self.near.iter().for_each(|near| near.set((0, 0)));
        if let Some(opened) = self.opened.take() {
            opened.close();
        }
        self.loop_.clone().close(began);
    }

    /// It is dropped without having been closed.
    pub(super) fn abandon(&self) {
        self.opened.take();
        if self.is_open.replace(false) {
            self.loop_.clone().close(ticks());
        }
    }

    /// A turn begins with so many callbacks.
    #[inline]
    pub(super) fn turn(&self, ready: usize) {
        self.gauges.turns.store(self.gauges.turns.load(Relaxed) + 1, Relaxed);
        self.gauges.ready_callbacks.store(ready as u64, Relaxed);
    }

    /// A task is spawned: its number.
    pub(super) fn spawned(&self, name: Name<'_>, made_at: Place) -> u64 {
        if !is_recording() {
            return 0;
        }
        let label = match name {
            Name::Given(name) => embed::label(name),
            Name::OfType(name) => self.label_of_type(name),
        };
        let task = recorder::next_root();
        add(&self.gauges.alive_tasks, 1);
        add(&self.gauges.spawned_tasks, 1);
        embed::spawned(Spawn {
            at: ticks(),
            task,
            loop_id: self.loop_.id.0,
            place: place::number(made_at),
            parent: current_task(),
            kind: TaskKind::Local,
            label,
        });
        task
    }

    /// Without a lock if it is the one asked for last: names of types are constants, each at an address
    /// of its own.
    fn label_of_type(&self, name: &'static str) -> u32 {
        let key = name.as_ptr() as usize ^ name.len().rotate_left(32);
        let (known, label) = self.last_label.get();
        if known == key {
            return label;
        }
        let label = embed::label(name);
        self.last_label.set((key, label));
        label
    }

    /// A task ended.
    pub(super) fn ended(&self, task: u64, outcome: Outcome, error: Option<&Error>) {
        if task == 0 {
            return;
        }
        add(&self.gauges.alive_tasks, -1);
        if !is_recording() {
            return;
        }
        if let Some(error) = error.filter(|error| !error.is_cancelled())
            && embed::is_within_budget()
        {
            let text = cut(error.text());
            embed::task_fields(task, vec![("error".to_owned(), text)]);
        }
        embed::ended(task, outcome);
    }

    /// The number of what is scheduled at a place; 0 if nothing is recorded.
    #[inline]
    pub(super) fn callback(&self, at: Place, name: fn() -> &'static str) -> u64 {
        if !is_recording() {
            return 0;
        }
        let key = std::ptr::from_ref(at) as usize;
        let near = &self.near[(key >> 3) % NEAR];
        let (known, task) = near.get();
        if known == key {
            return task;
        }
        self.callback_slowly(key, at, name)
    }

    #[cold]
    #[inline(never)]
    fn callback_slowly(&self, key: usize, at: Place, name: fn() -> &'static str) -> u64 {
        let mut callbacks = self.callbacks.borrow_mut();
        let is_full = callbacks.len() >= MAX_CALLBACKS && !callbacks.contains_key(&key);
        let (kept, location, name) = match is_full {
            true => (0, 0, "other callbacks"),
            false => (key, place::number(at), name()),
        };
        let task = *callbacks.entry(kept).or_insert_with(|| {
            let task = recorder::next_root();
            embed::spawned(Spawn {
                at: ticks(),
                task,
                loop_id: self.loop_.id.0,
                place: location,
                parent: 0,
                kind: TaskKind::Callback,
                label: embed::label(name),
            });
            task
        });
        self.near[(key >> 3) % NEAR].set((key, task));
        task
    }

    /// A step or callback begins: when the one before it ended, if nothing came between, which saves a
    /// reading of the clock.
    #[inline(always)]
    pub(super) fn begin(&self, task: u64) -> Begun {
        let ended_at = self.ended_at.replace(0);
        if task == 0 || !is_recording() {
            return Begun { lane: None, at: 0 };
        }
        let Some(lane) = recorder::poll_lane() else { return Begun { lane: None, at: LOST } };
        Begun { lane: Some(lane), at: lane.begin_step_at(&self.loop_, task, ended_at) }
    }

    /// It was due so many nanoseconds before.
    #[cold]
    pub(super) fn late(&self, begun: Begun, nanos: u64, task: u64) {
        if begun.at == 0 || !recorder::records_wakes() {
            return;
        }
        match begun.lane {
            Some(lane) => lane.write_lateness(begun.at, nanos, task),
            None => recorder::count_no_ring(RecordKind::Wake),
        }
    }

    /// It ends. `wake` is when it was scheduled, and by which task.
    #[inline(always)]
    pub(super) fn end(&self, begun: Begun, wake: Option<(u64, u64)>) {
        if let Some(lane) = begun.lane {
            let wake = wake.filter(|_| recorder::records_wakes());
            self.ended_at.set(lane.end_step(&self.loop_, begun.at, wake));
        } else if begun.at != 0 {
            recorder::count_lost_step(wake.is_some());
        }
    }

    /// Something runs that is neither a step nor a callback, and no part of the next one.
    #[inline]
    pub(super) fn interrupted(&self) {
        self.ended_at.set(0);
    }

    /// The loop complains.
    pub(super) fn complain(&self, context: &ExceptionContext) {
        if !is_recording() || !embed::is_within_budget() {
            return;
        }
        let mut fields = vec![("check".to_owned(), context.check.name().to_owned())];
        let mut field = |key: &str, value: String| fields.push((key.to_owned(), cut(value)));
        if let Some(error) = &context.error {
            field("error", error.text());
        }
        if let Some(task) = &context.task {
            field("task", task.to_string());
        }
        if context.number != 0 {
            field("task_id", context.number.to_string());
        }
        if let Some(handle) = context.handle {
            field("callback", handle.to_owned());
        }
        recorder::write(&Record::Note(Note::Mark {
            at: ticks(),
            task: current_task(),
            location: context.made_at.map_or(0, place::number),
            level: if context.check.is_error() { MarkLevel::Error } else { MarkLevel::Warn },
            target: TARGET.to_owned(),
            message: cut(context.message.clone()),
            fields,
        }));
    }
}

fn add(gauge: &AtomicU64, amount: i64) {
    // Only the loop's own thread writes it.
    gauge.store(gauge.load(Relaxed).saturating_add_signed(amount), Relaxed);
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}
