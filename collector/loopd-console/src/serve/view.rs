//! What a source sees of the programs at one instant, in the words of the store.

use std::collections::{HashMap, HashSet};

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
/// So many resources of each process, and up to [`MAX_OPS`] more that somebody waits for. Those that are
/// shown stay until they are closed.
pub const MAX_RESOURCES: usize = 1_000;
/// So many operations that last, the longest, of each process. Those that are shown stay until they end.
pub const MAX_OPS: usize = 1_000;
/// So many processes, those with the newest data. Those that are shown stay until they end.
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
    /// Of the waits that were shown and are not among those: when they were over, `None` if they last.
    /// What is not here either is over as well.
    pub(super) wait_ends: HashMap<WaitId, Option<UnixNanos>>,
    /// When the process was over, and with it all that it had.
    pub(super) over_at: Option<UnixNanos>,
}

/// All processes at an instant.
#[derive(Debug)]
pub(super) struct View {
    pub(super) now: UnixNanos,
    /// Those that run, and those that were over since the last look.
    pub(super) programs: Vec<ProgramView>,
    /// How many more run, since they are more than [`MAX_PROCESSES`].
    pub(super) left_out: usize,
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

    /// The apps that there are, in order; `None` if they are more than are listed.
    pub(super) async fn apps(&self) -> Result<Option<Vec<String>>, StoreError> {
        let (reader, only) = match self {
            Self::Live { reader, .. } => (reader, None),
            Self::Replay { reader, range } => (reader, range.app()),
        };
        let processes = reader.processes().await?;
        let mut apps: Vec<_> = processes.rows.into_iter().map(|row| row.app).collect();
        apps.retain(|app| only.is_none_or(|only| app == only));
        apps.sort_unstable();
        apps.dedup();
        Ok((!processes.has_more).then_some(apps))
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
            Self::Replay(replay) => replay.look(target, shown, is_held).await,
        }
    }
}

/// How many tasks of each of so many processes are shown.
pub(super) fn tasks_each(processes: usize) -> usize {
    (MAX_TASKS / processes.max(1)).max(MIN_TASKS)
}

/// What became of the waits that were shown and are not among these.
pub(super) async fn wait_ends(
    reader: &Reader,
    process: ProcessKey,
    (waits, shown): (&[WaitRow], &Shown),
    at: Option<UnixNanos>,
) -> Result<HashMap<WaitId, Option<UnixNanos>>, StoreError> {
    let given: HashSet<WaitId> = waits.iter().map(|wait| wait.wait).collect();
    let missing = shown.waits.iter().filter(|wait| !given.contains(wait));
    let missing: Vec<WaitId> = missing.copied().collect();
    if missing.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ends = reader.wait_ends(process, &missing).await?;
    if let Some(at) = at {
        ends.values_mut().for_each(|end| *end = end.filter(|&end| end <= at));
    }
    Ok(ends)
}

/// The resources that are asked for by name: those that were shown, and those that are waited for.
pub(super) fn wanted_resources(waits: &[WaitRow], shown: &Shown) -> Vec<ResourceId> {
    let waited = waits.iter().filter_map(|wait| wait.resource);
    let wanted: HashSet<_> = waited.chain(shown.resources.iter().copied()).collect();
    wanted.into_iter().collect()
}

impl ProgramView {
    /// Takes out what there is no room for. What was shown stays.
    pub(super) fn limit(&mut self, shown: &Shown) {
        let ops: HashSet<WaitId> = shown.waits.iter().copied().collect();
        let last = self.wait_ends.values().filter(|end| end.is_none()).count();
        let still = self.waits.iter().filter(|wait| ops.contains(&wait.wait)).count();
        let mut room = MAX_OPS.saturating_sub(last + still);
        self.waits.retain(|wait| ops.contains(&wait.wait) || take(&mut room));

        let waited: HashSet<_> = self.waits.iter().filter_map(|wait| wait.resource).collect();
        let before: HashSet<_> = shown.resources.iter().copied().collect();
        let is_shown = |row: &ResourceRow| before.contains(&row.resource);
        let kept = self.resources.iter().filter(|row| is_shown(row)).count();
        let mut room = MAX_RESOURCES.saturating_sub(kept);
        let mut room_for_waited = (MAX_RESOURCES + MAX_OPS).saturating_sub(kept);
        // What is waited for is shown, whenever it was opened.
        self.resources.sort_by_key(|row| !waited.contains(&row.resource));
        self.resources.retain(|row| {
            if is_shown(row) {
                return true;
            }
            // It takes a place of either sort, others one of the first.
            let is_waited_for = waited.contains(&row.resource) && take(&mut room_for_waited);
            take(&mut room) || is_waited_for
        });
        // An operation is shown with its resource only.
        let there: HashSet<_> = self.resources.iter().map(|row| row.resource).collect();
        self.waits.retain(|wait| {
            let is_there = wait.resource.is_none_or(|resource| there.contains(&resource));
            is_there || ops.contains(&wait.wait)
        });
    }
}

/// Takes one, if there is one left.
const fn take(room: &mut usize) -> bool {
    let is_there = *room > 0;
    *room = room.saturating_sub(1);
    is_there
}
