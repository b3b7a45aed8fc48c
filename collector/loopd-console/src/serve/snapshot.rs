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
    /// Of something of which nothing else is known any more.
    fn of_gone(created_at: UnixNanos, at: UnixNanos) -> Self;
}

macro_rules! stats {
    ($type:ty $(, $field:ident)?) => {
        impl Stats for $type {
            fn end(&mut self, at: UnixNanos) {
                self.dropped_at = map::instant(at);
            }

            fn of_gone(created_at: UnixNanos, at: UnixNanos) -> Self {
                Self {
                    created_at: map::instant(created_at),
                    dropped_at: map::instant(at),
                    $($field: Some(Default::default()),)?
                    ..Self::default()
                }
            }
        }
    };
}

stats!(tasks::Stats, poll_stats);
stats!(resources::Stats);
stats!(async_ops::Stats, poll_stats);

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
        for seen in &view.programs {
            let program = &seen.program;
            let labels = labels(target, view, program);
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
        let ends = |key: (ProcessKey, u64)| {
            let of = view.programs.iter().find(|it| it.program.process == key.0)?;
            of.wait_ends.get(&WaitId(key.1)).copied()
        };
        let programs = view.programs.len().max(1);
        Self {
            number,
            now,
            tasks: self.tasks.next(number, now, tasks, MAX_ENDED, |_| None),
            resources: self.resources.next(number, now, resources, MAX_RESOURCES, |_| None),
            ops: self.ops.next(number, now, ops, MAX_OPS * programs, ends),
            left_out: view.programs.iter().map(|it| it.left_out).sum(),
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

impl<W: Clone + PartialEq, S: Stats> Table<W, S> {
    pub(super) fn get(&self, id: u64) -> Option<&Arc<Entry<W, S>>> {
        self.index.get(&id).and_then(|&at| self.entries.get(at))
    }

    fn unfinished(&self) -> impl Iterator<Item = (ProcessKey, u64)> {
        self.entries.iter().filter(|entry| entry.ended_at.is_none()).map(|entry| entry.key)
    }

    /// What was not seen any more is over: when, `end_of` may know.
    fn next(
        &self,
        number: u64,
        now: UnixNanos,
        seen: Vec<Seen<W, S>>,
        max_ended: usize,
        end_of: impl Fn((ProcessKey, u64)) -> Option<UnixNanos>,
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
            let kept = match entry.ended_at {
                Some(_) => Arc::clone(entry),
                None => {
                    let ended_at = end_of(entry.key).unwrap_or(now).max(entry.created_at);
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
        entries.retain(|entry| entry.ended_at.is_none_or(|at| at.0 > oldest));
        entries.sort_unstable_by_key(|entry| {
            // Of those that are alive the newest first, of the others the last to end.
            (Reverse(entry.rank), Reverse(entry.ended_at.unwrap_or(entry.created_at)), entry.id)
        });
        let alive = entries.partition_point(|entry| entry.ended_at.is_none());
        entries.truncate(alive + max_ended);
        let index = entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        Self { entries, index }
    }

    /// The entry as it was, if nothing of it has changed.
    fn entry(&self, number: u64, seen: Seen<W, S>) -> Arc<Entry<W, S>> {
        let Seen { id, key, what, stats, created_at, ended_at, rank } = seen;
        let (mut new_in, mut changed_in) = (number, number);
        if let Some(before) = self.get(id) {
            if before.what == what {
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
