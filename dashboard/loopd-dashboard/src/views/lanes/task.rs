//! One task over a stretch of time: when it ran, was ready to run, and waited for what.

use loopd_model::{TaskId, UnixNanos};
use loopd_store::{PollRow, Reader, TaskStretch, WaitsOf, WakeRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DEFAULT_RANGE, DEFAULT_WIDTH, LaneWait, MAX_ROWS, MAX_WIDTH};
use crate::views::described::{Described, Param};
use crate::views::params::Params;
use crate::views::range::Range;
use crate::views::text::{IdText, UnixNanosText};
use crate::views::{ViewError, find_process, words};

/// `GET /api/v1/lanes/task`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskLaneView {
    /// The task.
    pub task: IdText,
    /// Its name; null if it has none.
    pub name: Option<String>,
    /// Where it was spawned, `file:line`; null if not known.
    pub location: Option<String>,
    /// When; null if that was lost.
    pub spawned_at: Option<UnixNanosText>,
    /// When it ended; null while it is alive.
    pub ended_at: Option<UnixNanosText>,
    /// How; null while it is alive.
    pub outcome: Option<String>,
    /// Whether wakes of it are recorded: without them nobody knows when it was ready.
    pub has_wakes: bool,
    /// The beginning of the first step.
    pub t0: UnixNanosText,
    /// The end of the last one.
    pub t1: UnixNanosText,
    /// In how many even steps the stretch is cut.
    pub steps: u64,
    /// What it did, step by step.
    pub cells: TaskCells,
    /// Its polls; absent if it has more polls and wakes here than are sent one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub polls: Option<TaskPolls>,
    /// Its wakes, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub wakes: Option<TaskWakes>,
    /// Polls and wakes that ended before this were not looked at; absent if all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub known_from: Option<UnixNanosText>,
    /// Its waits, oldest first.
    pub waits: Vec<LaneWait>,
    /// Waits that began before this are left out; absent if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waits_from: Option<UnixNanosText>,
}

/// The steps in which something happened, column by column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskCells {
    /// Which step.
    pub i: Vec<u64>,
    /// Nanoseconds in polls.
    pub running: Vec<u64>,
    /// Nanoseconds from wakes to polls.
    pub ready: Vec<u64>,
}

/// Polls, column by column, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPolls {
    /// When each began: nanoseconds after `t0`, negative if before.
    pub s: Vec<i64>,
    /// How long it took, in nanoseconds.
    pub d: Vec<u64>,
    /// On which loop.
    pub l: Vec<IdText>,
    /// On which worker.
    pub w: Vec<u32>,
}

/// Wakes, column by column, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskWakes {
    /// When each came: nanoseconds after `t0`, negative if before.
    pub s: Vec<i64>,
    /// How long until the poll, in nanoseconds.
    pub d: Vec<u64>,
    /// Which task woke it; `0` outside any.
    pub by: Vec<IdText>,
}

/// Which task, and when.
#[derive(Clone, Debug)]
pub struct TaskLaneFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// The task.
    pub task: u64,
    /// From when; a minute before `to` if not given.
    pub from: Option<UnixNanos>,
    /// Until when; the end of the data if not given.
    pub to: Option<UnixNanos>,
    /// In how many steps.
    pub width: u32,
}

/// Up to this many single polls and wakes are sent.
const MAX_EXACT: usize = 5_000;

impl Described for TaskLaneFilter {
    fn params() -> Vec<Param> {
        use crate::views::described::{instant, needed_id, number, process};
        vec![
            process(),
            needed_id("task", "The task."),
            instant("from", "From when on; a minute before `to` if not given."),
            instant("to", "Until when; the end of the data if not given."),
            number("width", DEFAULT_WIDTH.into(), 1, MAX_WIDTH.into(), "In how many steps."),
        ]
    }
}

impl TaskLaneFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 5] = ["process", "task", "from", "to", "width"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let Some(task) = params.parsed("task")? else {
            return Err(ViewError::Invalid("`task` is missing, as in task=12".into()));
        };
        Ok(Self {
            process: params.parsed("process")?,
            task,
            from: params.instant("from")?,
            to: params.instant("to")?,
            width: params.between("width", DEFAULT_WIDTH, 1, MAX_WIDTH)?,
        })
    }
}

/// What a task did in a stretch of time.
pub async fn task_lane(
    reader: &Reader,
    filter: &TaskLaneFilter,
) -> Result<TaskLaneView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let (key, id) = (process.process, TaskId(filter.task));
    let row = reader.task(key, id).await?;
    let row = row.ok_or(ViewError::NoTask { process: key.0, task: filter.task })?;
    let (stretch, steps) = ((range.from, range.to), filter.width as usize);
    let did = reader.task_stretch(key, id, stretch, steps, MAX_EXACT).await?;
    let waits = reader.waits_between(key, WaitsOf::Task(id), stretch, MAX_ROWS).await?;
    Ok(TaskLaneView {
        task: IdText(filter.task),
        name: row.name,
        location: row.location.as_ref().map(words::place),
        spawned_at: row.spawned_at.map(UnixNanosText::from),
        ended_at: row.ended_at.map(UnixNanosText::from),
        outcome: row.outcome.map(|outcome| words::outcome(outcome).into()),
        has_wakes: row.wakes.is_some(),
        t0: range.from.into(),
        t1: range.to.into(),
        steps: u64::from(filter.width),
        cells: TaskCells::new(&did),
        polls: did.is_exact.then(|| TaskPolls::new(&did.polls, range.from)),
        wakes: did.is_exact.then(|| TaskWakes::new(&did.wakes, range.from)),
        known_from: did.known_from.map(UnixNanosText::from),
        waits: waits.rows.iter().map(LaneWait::from).collect(),
        waits_from: waits.known_from.map(UnixNanosText::from),
    })
}

impl TaskCells {
    fn new(did: &TaskStretch) -> Self {
        let mut cells = Self::default();
        for (i, (&running, &ready)) in did.running.iter().zip(&did.ready).enumerate() {
            if running > 0 || ready > 0 {
                cells.i.push(i as u64);
                cells.running.push(running);
                cells.ready.push(ready);
            }
        }
        cells
    }
}

impl TaskPolls {
    fn new(polls: &[PollRow], t0: UnixNanos) -> Self {
        Self {
            s: polls.iter().map(|poll| poll.start_at.0.saturating_sub(t0.0)).collect(),
            d: polls.iter().map(|poll| poll.length).collect(),
            l: polls.iter().map(|poll| IdText(poll.lane.loop_id.0)).collect(),
            w: polls.iter().map(|poll| poll.lane.worker.0).collect(),
        }
    }
}

impl TaskWakes {
    fn new(wakes: &[WakeRow], t0: UnixNanos) -> Self {
        Self {
            s: wakes.iter().map(|wake| wake.woken_at.0.saturating_sub(t0.0)).collect(),
            d: wakes.iter().map(|wake| wake.delay).collect(),
            by: wakes.iter().map(|wake| IdText(wake.by.0)).collect(),
        }
    }
}
