//! What led to a poll: who spawned its task, who woke it; and whom that poll woke itself.

use loopd_model::{TaskId, UnixNanos};
use loopd_store::{PollRow, ProcessKey, Reader, WokenRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LaneTask;
use crate::views::described::{Described, Param};
use crate::views::params::Params;
use crate::views::text::{IdText, UnixNanosText};
use crate::views::{ViewError, find_process, words};

/// `GET /api/v1/lanes/arrows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArrowsView {
    /// The task of the poll.
    pub task: IdText,
    /// When the poll began.
    pub start_at: UnixNanosText,
    /// Whether wakes of the task are recorded.
    pub has_wakes: bool,
    /// The wake that led to the poll; null if it is not known.
    pub wake: Option<WakeArrow>,
    /// How the task came to be; null if that was lost.
    pub spawn: Option<SpawnArrow>,
    /// Whom this poll woke, oldest first.
    pub woke: Vec<Woken>,
    /// Whether `woke` has all.
    pub woke_all: bool,
}

/// One poll of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PollRef {
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, in nanoseconds.
    pub length: u64,
}

/// A wake, and the poll in which it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WakeArrow {
    /// When the first of the wakes came.
    pub at: UnixNanosText,
    /// From there to the poll, in nanoseconds.
    pub delay: u64,
    /// How many wakes.
    pub count: u64,
    /// Who woke it; null outside any task: a timer, a socket, or another thread.
    pub by: Option<LaneTask>,
    /// Whether it woke itself.
    pub by_itself: bool,
    /// The poll of `by` in which it did; null if that is not known, or no longer stored.
    pub from: Option<PollRef>,
}

/// How a task came to be, and its first poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpawnArrow {
    /// When it was spawned.
    pub at: UnixNanosText,
    /// By whom; null outside any task.
    pub by: Option<LaneTask>,
    /// The poll of `by` in which it was; null if that is not known, or no longer stored.
    pub from: Option<PollRef>,
    /// Its first poll; null if there was none, or it is no longer stored.
    pub first_poll: Option<PollRef>,
}

/// A task that a poll woke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Woken {
    /// Who was woken.
    pub task: IdText,
    /// When.
    pub at: UnixNanosText,
    /// From there to its poll, in nanoseconds.
    pub delay: u64,
    /// The loop of that poll.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// Its worker.
    pub worker: u32,
}

/// Which poll.
#[derive(Clone, Debug)]
pub struct ArrowsFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Its task.
    pub task: u64,
    /// When it began.
    pub start: UnixNanos,
}

/// An instant of a wake may be off by so much against that of its poll.
const SLACK: i64 = 1_000;
/// So many woken tasks are given.
const MAX_WOKEN: usize = 100;

impl Described for ArrowsFilter {
    fn params() -> Vec<Param> {
        use crate::views::described::{needed_id, needed_instant, process};
        vec![
            process(),
            needed_id("task", "The task of the poll."),
            needed_instant("start_at", "When the poll began."),
        ]
    }
}

impl ArrowsFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 3] = ["process", "task", "start_at"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let (Some(task), Some(start)) = (params.parsed("task")?, params.instant("start_at")?)
        else {
            let sentence = "`task` and `start_at` are needed: which poll";
            return Err(ViewError::Invalid(sentence.into()));
        };
        Ok(Self { process: params.parsed("process")?, task, start })
    }
}

/// What led to a poll, and what it led to.
pub async fn arrows(reader: &Reader, filter: &ArrowsFilter) -> Result<ArrowsView, ViewError> {
    let key = find_process(reader, filter.process).await?.process;
    let id = TaskId(filter.task);
    let row = reader.task(key, id).await?;
    let row = row.ok_or(ViewError::NoTask { process: key.0, task: filter.task })?;
    let poll = reader.poll_at(key, id, filter.start).await?;
    let wake = match reader.wake_before(key, id, filter.start, SLACK).await? {
        None => None,
        Some(wake) => {
            let (by, from) = origin(reader, key, Some(wake.by), wake.woken_at).await?;
            let by_itself = wake.by == id;
            let (at, delay, count) = (wake.woken_at.into(), wake.delay, wake.count);
            Some(WakeArrow { at, delay, count, by, by_itself, from })
        }
    };
    let spawn = match row.spawned_at {
        None => None,
        Some(at) => {
            let (by, from) = origin(reader, key, row.parent, at).await?;
            let first_poll = match reader.first_poll_at(key, id).await? {
                None => None,
                Some(first) => reader.poll_at(key, id, first).await?,
            };
            let first_poll = first_poll.as_ref().map(PollRef::from);
            Some(SpawnArrow { at: at.into(), by, from, first_poll })
        }
    };
    let (woke, woke_all) = match poll {
        None => (Vec::new(), true),
        Some(poll) => {
            let length = i64::try_from(poll.length).unwrap_or(i64::MAX);
            let end = poll.start_at.0.saturating_add(length).saturating_add(1);
            reader.woken_by(key, id, (poll.start_at, UnixNanos(end)), MAX_WOKEN).await?
        }
    };
    Ok(ArrowsView {
        task: IdText(filter.task),
        start_at: filter.start.into(),
        has_wakes: row.wakes.is_some(),
        wake,
        spawn,
        woke: woke.iter().map(Woken::from).collect(),
        woke_all,
    })
}

/// A task, if it is one, and the poll in which it was at an instant.
async fn origin(
    reader: &Reader,
    process: ProcessKey,
    task: Option<TaskId>,
    at: UnixNanos,
) -> Result<(Option<LaneTask>, Option<PollRef>), ViewError> {
    let Some(task) = task.filter(|task| !task.is_none()) else { return Ok((None, None)) };
    let name = reader.task(process, task).await?.and_then(|row| row.name);
    let poll = reader.poll_at(process, task, at).await?;
    Ok((
        words::some_task(task).map(|task| LaneTask { task, name }),
        poll.as_ref().map(PollRef::from),
    ))
}

impl From<&PollRow> for PollRef {
    fn from(row: &PollRow) -> Self {
        Self {
            loop_id: IdText(row.lane.loop_id.0),
            worker: row.lane.worker.0,
            start_at: row.start_at.into(),
            length: row.length,
        }
    }
}

impl From<&WokenRow> for Woken {
    fn from(row: &WokenRow) -> Self {
        Self {
            task: IdText(row.task.0),
            at: row.woken_at.into(),
            delay: row.delay,
            loop_id: IdText(row.lane.loop_id.0),
            worker: row.lane.worker.0,
        }
    }
}
