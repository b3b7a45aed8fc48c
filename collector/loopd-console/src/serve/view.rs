//! What a source sees of the programs at one instant, in the words of the store.

use std::collections::HashMap;

use loopd_model::{ResourceId, TaskId, UnixNanos, WaitId};
use loopd_store::{Head, ProcessKey, Reader, ResourceRow, StoreError, TaskStanding, WaitRow};
use tokio::sync::watch;

use super::details::Histograms;
use super::live::Live;
use super::replay::{Replay, ReplayRange};
use super::target::Target;

/// So many tasks that are alive are shown at once; people look at a page of them, and the client sorts
/// all at every key. Those that are shown stay until they end.
pub const MAX_TASKS: usize = 10_000;
/// So many that have ended, the latest: a client forgets them after some seconds.
pub const MAX_ENDED: usize = 2_000;
/// So many resources of each process.
pub const MAX_RESOURCES: usize = 1_000;
/// So many operations that last, the longest, of each process.
pub const MAX_OPS: usize = 1_000;
/// So many processes, those with the newest data.
pub(super) const MAX_PROCESSES: usize = 100;
/// However many processes there are, so many tasks of each are shown.
const MIN_TASKS: usize = 200;

/// A process that is shown.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) process: ProcessKey,
    pub(super) app: String,
    pub(super) pid: u32,
    pub(super) started_at: UnixNanos,
    /// Whether it runs on asyncio.
    pub(super) is_python: bool,
}

/// One process at an instant.
#[derive(Debug)]
pub(super) struct ProgramView {
    pub(super) program: Program,
    pub(super) tasks: Vec<TaskStanding>,
    /// Tasks that are alive and not among those.
    pub(super) left_out: u64,
    pub(super) resources: Vec<ResourceRow>,
    pub(super) waits: Vec<WaitRow>,
    /// Waits that were given before and are over.
    pub(super) wait_ends: HashMap<WaitId, UnixNanos>,
}

/// All processes at an instant.
#[derive(Debug)]
pub(super) struct View {
    pub(super) now: UnixNanos,
    pub(super) programs: Vec<ProgramView>,
}

/// What was shown of a process and is not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) tasks: Vec<TaskId>,
    pub(super) resources: Vec<ResourceId>,
    pub(super) waits: Vec<WaitId>,
}

/// Where views come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Live { reader: Reader, head: watch::Receiver<Head> },
    Replay { reader: Reader, range: ReplayRange },
}

/// Looks again and again for one target.
#[derive(Debug)]
pub(super) enum Looker {
    Live(Live),
    Replay(Replay),
}

impl Source {
    pub(super) fn looker(&self) -> Looker {
        match self {
            Self::Live { reader, head } => Looker::Live(Live::new(reader.clone(), head.clone())),
            Self::Replay { reader, range } => Looker::Replay(Replay::new(reader.clone(), range)),
        }
    }

    /// All polls and wakes of a task so far, as of `now`.
    pub(super) async fn histograms(
        &self,
        (process, task): (ProcessKey, TaskId),
        now: UnixNanos,
    ) -> Result<Option<Histograms>, StoreError> {
        let (reader, to) = match self {
            Self::Live { reader, .. } => (reader, None),
            Self::Replay { reader, .. } => (reader, Some(now)),
        };
        reader.task_life(process, task, (None, to), move |life| Histograms::of(life, to)).await
    }
}

impl Looker {
    /// Looks once. `is_held` says that nobody wants time to go on, which only a replay can do.
    pub(super) async fn look(
        &mut self,
        target: &Target,
        shown: &HashMap<ProcessKey, Shown>,
        is_held: bool,
    ) -> Result<View, StoreError> {
        match self {
            Self::Live(live) => live.look(target, shown).await,
            Self::Replay(replay) => replay.look(target, is_held).await,
        }
    }
}

/// How many tasks of each of so many processes are shown.
pub(super) fn tasks_each(processes: usize) -> usize {
    (MAX_TASKS / processes.max(1)).max(MIN_TASKS)
}
