//! One snapshot after the other of what is shown, and in each what has changed since when. Plain values in,
//! plain values out: looking is the feed's.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use console_api::{async_ops, resources, tasks};
use loopd_model::{ResourceId, TaskId, UnixNanos, WaitId};
use loopd_store::ProcessKey;

use super::map::{self, Labels, Sort};
use super::target::Target;
use super::view::{MAX_ENDED, MAX_OPS, MAX_RESOURCES, Program, ProgramView, Shown, View};

/// What is over stays in snapshots for so long, in nanoseconds, so that who comes back after a short time
/// without connection learns of it.
pub const KEEP_ENDED: i64 = 60_000_000_000;

/// One thing that is shown, as viewers are told of it.
#[derive(Debug)]
pub(super) struct Entry<W, S> {
    pub(super) id: u64,
    /// Whose, and which there.
    pub(super) key: (ProcessKey, u64),
    /// What does not change with every look.
    pub(super) what: W,
    pub(super) stats: S,
    /// The snapshot in which `what` became this.
    pub(super) new_in: u64,
    /// The snapshot in which any of it became this.
    pub(super) changed_in: u64,
    pub(super) created_at: UnixNanos,
    pub(super) ended_at: Option<UnixNanos>,
    /// The higher the sooner it is told.
    rank: u8,
}

/// How things stand that end.
pub(super) trait Stats: Clone + PartialEq {
    fn end(&mut self, at: UnixNanos);
}

macro_rules! stats {
    ($type:ty) => {
        impl Stats for $type {
            fn end(&mut self, at: UnixNanos) {
                self.dropped_at = map::instant(at);
            }
        }
    };
}

stats!(tasks::Stats);
stats!(resources::Stats);
stats!(async_ops::Stats);

/// All of one sort.
#[derive(Debug)]
pub(super) struct Table<W, S> {
    /// In the order in which they are told.
    pub(super) entries: Vec<Arc<Entry<W, S>>>,
    index: HashMap<u64, usize>,
}

impl<W, S> Default for Table<W, S> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: HashMap::new() }
    }
}

/// How things stand at one instant.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Rises by one; 0 is before the first.
    pub(super) number: u64,
    pub(super) now: UnixNanos,
    pub(super) tasks: Table<tasks::Task, tasks::Stats>,
    pub(super) resources: Table<resources::Resource, resources::Stats>,
    pub(super) ops: Table<async_ops::AsyncOp, async_ops::Stats>,
    /// Tasks that are alive and not in it.
    pub(super) left_out: u64,
    /// How each process was told apart from others when it came: that stays, since to tell a task
    /// anew closes what a viewer has open of it.
    labels: HashMap<ProcessKey, Labels>,
}

/// What is known of something that was shown, had not ended, and was not seen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lasts,
    /// When, if that is known.
    Over(Option<UnixNanos>),
}

/// What was just seen.
struct Seen<W, S> {
    id: u64,
    key: (ProcessKey, u64),
    what: W,
    stats: S,
    created_at: UnixNanos,
    ended_at: Option<UnixNanos>,
    rank: u8,
}

/// The ranks of tasks: those that a person looks for first.
const ENDED: u8 = 0;
const ALIVE: u8 = 1;
const NOTABLE: u8 = 2;

impl Snapshot {
    /// The snapshot after this one.
    pub(super) fn next(&self, target: &Target, view: &View) -> Self {
        let number = self.number + 1;
        let now = view.now;
        let (mut tasks, mut resources, mut ops) = (Vec::new(), Vec::new(), Vec::new());
        let mut all_labels = HashMap::with_capacity(view.programs.len());
        for seen in &view.programs {
            let program = &seen.program;
            let before = self.labels.get(&program.process).cloned();
            let labels = before.unwrap_or_else(|| labels(target, view, program));
            all_labels.insert(program.process, labels.clone());
            tasks.extend(seen.tasks.iter().map(|standing| {
                let (what, stats) = map::task(program, &labels, standing);
                let is_notable =
                    standing.running_since.is_some() || standing.unwakeable_at.is_some();
                Seen {
                    id: map::task_id(program.process, standing.task),
                    key: (program.process, standing.task.0),
                    what,
                    stats,
                    created_at: map::created_at(program, standing),
                    ended_at: standing.ended_at,
                    rank: rank(standing.ended_at, is_notable),
                }
            }));
            resources.extend(seen.resources.iter().map(|row| {
                let (what, stats) = map::resource(program, &labels, row);
                Seen {
                    id: map::id(program.process, Sort::Resource, row.resource.0),
                    key: (program.process, row.resource.0),
                    what,
                    stats,
                    created_at: row.opened_at.unwrap_or(program.started_at),
                    ended_at: row.closed_at,
                    rank: rank(row.closed_at, false),
                }
            }));
            ops.extend(seen.waits.iter().filter_map(|wait| {
                let (what, stats) = map::op(program, wait)?;
                Some(Seen {
                    id: map::id(program.process, Sort::Op, wait.wait.0),
                    key: (program.process, wait.wait.0),
                    what,
                    stats,
                    created_at: wait.began_at,
                    ended_at: wait.ended_at,
                    rank: rank(wait.ended_at, false),
                })
            }));
        }
        let programs: HashMap<ProcessKey, &ProgramView> =
            view.programs.iter().map(|it| (it.program.process, it)).collect();
        let over_at = |key: ProcessKey| programs.get(&key).and_then(|it| it.over_at);
        // What is shown is looked at until it ends: it is no longer in the store.
        let gone = |(process, _): (ProcessKey, u64)| Fate::Over(over_at(process));
        let fate_of_op = |(process, wait): (ProcessKey, u64)| {
            let end = programs.get(&process).and_then(|it| it.wait_ends.get(&WaitId(wait)));
            match (end, over_at(process)) {
                (Some(None), None) => Fate::Lasts,
                (end, over_at) => Fate::Over(end.copied().flatten().or(over_at)),
            }
        };
        for seen in &mut tasks {
            seen.end(over_at(seen.key.0));
        }
        for seen in &mut resources {
            seen.end(over_at(seen.key.0));
        }
        for seen in &mut ops {
            seen.end(over_at(seen.key.0));
        }
        let max_ops = MAX_OPS * programs.len().max(1);
        Self {
            number,
            now,
            tasks: self.tasks.next(number, now, tasks, MAX_ENDED, gone),
            resources: self.resources.next(number, now, resources, MAX_RESOURCES, gone),
            ops: self.ops.next(number, now, ops, max_ops, fate_of_op),
            left_out: view.programs.iter().map(|it| it.left_out).sum(),
            labels: all_labels,
        }
    }

    /// What is shown and not over, process by process.
    pub(super) fn shown(&self) -> HashMap<ProcessKey, Shown> {
        let mut shown = HashMap::<ProcessKey, Shown>::new();
        for (process, id) in self.tasks.unfinished() {
            shown.entry(process).or_default().tasks.push(TaskId(id));
        }
        for (process, id) in self.resources.unfinished() {
            shown.entry(process).or_default().resources.push(ResourceId(id));
        }
        for (process, id) in self.ops.unfinished() {
            shown.entry(process).or_default().waits.push(WaitId(id));
        }
        shown
    }
}

fn labels(target: &Target, view: &View, program: &Program) -> Labels {
    let is_other =
        |it: &ProgramView| it.program.process != program.process && it.program.app == program.app;
    let has_other = view.programs.iter().any(is_other);
    Labels {
        app: matches!(target, Target::All).then(|| program.app.clone()),
        pid: has_other.then_some(program.pid),
    }
}

fn rank(ended_at: Option<UnixNanos>, is_notable: bool) -> u8 {
    match ended_at {
        Some(_) => ENDED,
        None if is_notable => NOTABLE,
        None => ALIVE,
    }
}

impl<W, S: Stats> Seen<W, S> {
    /// It was over by then, if anything was.
    fn end(&mut self, over_at: Option<UnixNanos>) {
        if let (None, Some(over_at)) = (self.ended_at, over_at) {
            let ended_at = over_at.max(self.created_at);
            self.stats.end(ended_at);
            (self.ended_at, self.rank) = (Some(ended_at), ENDED);
        }
    }
}

impl<W: Clone + PartialEq, S: Stats> Table<W, S> {
    pub(super) fn get(&self, id: u64) -> Option<&Arc<Entry<W, S>>> {
        self.index.get(&id).and_then(|&at| self.entries.get(at))
    }

    fn unfinished(&self) -> impl Iterator<Item = (ProcessKey, u64)> {
        self.entries.iter().filter(|entry| entry.ended_at.is_none()).map(|entry| entry.key)
    }

    /// `fate` is what became of something that was not seen any more.
    fn next(
        &self,
        number: u64,
        now: UnixNanos,
        seen: Vec<Seen<W, S>>,
        max_ended: usize,
        fate: impl Fn((ProcessKey, u64)) -> Fate,
    ) -> Self {
        let mut entries: HashMap<u64, Arc<Entry<W, S>>> = HashMap::with_capacity(seen.len());
        for seen in seen {
            let entry = self.entry(number, seen);
            entries.insert(entry.id, entry);
        }
        for entry in &self.entries {
            if entries.contains_key(&entry.id) {
                continue;
            }
            let fate = if entry.ended_at.is_some() { Fate::Lasts } else { fate(entry.key) };
            let kept = match fate {
                Fate::Lasts => Arc::clone(entry),
                Fate::Over(at) => {
                    let ended_at = at.unwrap_or(now).max(entry.created_at);
                    let mut stats = entry.stats.clone();
                    stats.end(ended_at);
                    Arc::new(Entry {
                        what: entry.what.clone(),
                        stats,
                        changed_in: number,
                        ended_at: Some(ended_at),
                        rank: ENDED,
                        ..**entry
                    })
                }
            };
            entries.insert(kept.id, kept);
        }
        let mut entries: Vec<_> = entries.into_values().collect();
        let oldest = now.0.saturating_sub(KEEP_ENDED);
        // Of what was alive until now the end is told, however many end and whenever it was.
        let ends_now = |entry: &Entry<W, S>| {
            self.get(entry.id).is_some_and(|before| before.ended_at.is_none())
        };
        entries.retain(|entry| entry.ended_at.is_none_or(|at| at.0 > oldest) || ends_now(entry));
        entries.sort_unstable_by_key(|entry| {
            // Of those that are alive the newest first, of the others the last to end.
            (Reverse(entry.rank), Reverse(entry.ended_at.unwrap_or(entry.created_at)), entry.id)
        });
        let mut ended = 0;
        entries.retain(|entry| {
            ended += usize::from(entry.ended_at.is_some());
            entry.ended_at.is_none() || ended <= max_ended || ends_now(entry)
        });
        let index = entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        Self { entries, index }
    }

    /// The entry as it was, if nothing of it has changed.
    fn entry(&self, number: u64, seen: Seen<W, S>) -> Arc<Entry<W, S>> {
        let Seen { id, key, what, stats, created_at, ended_at, rank } = seen;
        let (mut new_in, mut changed_in) = (number, number);
        if let Some(before) = self.get(id) {
            // What was told as ended is forgotten by viewers, and told anew if it is back.
            let is_back = before.ended_at.is_some() && ended_at.is_none();
            if before.what == what && !is_back {
                new_in = before.new_in;
                if before.stats == stats {
                    changed_in = before.changed_in;
                }
            }
            if changed_in != number && before.rank == rank {
                return Arc::clone(before);
            }
        }
        Arc::new(Entry { id, key, what, stats, new_in, changed_in, created_at, ended_at, rank })
    }
}
