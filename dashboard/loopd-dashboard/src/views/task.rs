//! One task with everything known about it.

use loopd_analysis::histogram::Histogram;
use loopd_model::TaskId;
use loopd_store::{MarkQuery, PollRow, Reader, ResourceQuery, SlowQuery, WaitQuery, WakeRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::marks::{AppSpan, Mark};
use super::resources::{MAX_PAST, Resource};
use super::slow::SlowPoll;
use super::tasks::Task;
use super::text::{IdText, UnixNanosText};
use super::waits::{self, Hold, Wait};
use super::{ViewError, find_process, words};

/// `GET /api/v1/tasks/{process}/{task}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The task.
    pub task: Task,
    /// Its last [`MAX_POLLS`] polls, oldest first.
    pub polls: Vec<Poll>,
    /// Its longest [`MAX_SLOWEST`] polls among those still stored, longest first.
    pub slowest: Vec<Poll>,
    /// False if some of its polls are no longer stored, or too many to look through: then `polls`,
    /// `slowest` and `poll_histogram` know only the rest.
    pub polls_complete: bool,
    /// Its last [`MAX_WAKES`] wakes, oldest first.
    pub wakes: Vec<Wake>,
    /// Its slow polls, newest first.
    pub slow: Vec<SlowPoll>,
    /// What it waits for now, longest first; of a task that is gone, what it waited for to the last.
    pub waits: Vec<Wait>,
    /// Its last [`MAX_PAST`] waits, whatever became of them, newest first.
    pub past_waits: Vec<Wait>,
    /// Its latest holds that somebody waited for, or that took long, newest first.
    pub holds: Vec<Hold>,
    /// Marks and traced events in its polls, newest first.
    pub marks: Vec<Mark>,
    /// Spans of the program's own tracing that opened in its polls and have closed, newest first.
    pub app_spans: Vec<AppSpan>,
    /// Tasks that it spawned.
    pub children: u64,
    /// Resources that it opened, newest first.
    pub resources: Vec<Resource>,
    /// All tasks spawned at the same place, to compare with.
    pub location_stats: LocationStats,
    /// How long its polls were, shortest class first.
    pub poll_histogram: Vec<Class>,
}

/// How many polls of one task are shown.
pub const MAX_POLLS: usize = 500;
/// How many of its longest.
pub const MAX_SLOWEST: usize = 20;
/// How many wakes.
pub const MAX_WAKES: usize = 200;

/// One poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, in nanoseconds.
    pub length: u64,
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
}

/// One or more wakes that led to one poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wake {
    /// When the first of them came.
    pub at: UnixNanosText,
    /// How long until the poll, in nanoseconds.
    pub delay: u64,
    /// The task that woke it; null outside any task.
    pub by: Option<IdText>,
    /// How many wakes.
    pub count: u64,
}

/// Tasks spawned at one place, taken together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LocationStats {
    /// How many.
    pub tasks: u64,
    /// Their polls.
    pub polls: u64,
    /// Time in those polls, in nanoseconds.
    pub busy_time: u64,
    /// Median length of a poll; null when no polls are stored.
    pub p50: Option<u64>,
    /// Length that 99 of 100 polls do not exceed; null when no polls are stored.
    pub p99: Option<u64>,
}

/// One class of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PollClass)]
pub struct Class {
    /// The longest length that falls into it, in nanoseconds.
    pub le_ns: u64,
    /// How many did.
    pub count: u64,
}

/// Slow polls of one task that are shown.
const MAX_SLOW: u64 = 50;
/// Marks, and spans, of one task that are shown.
const MAX_MARKS: u64 = 100;
/// Resources of one task that are shown.
const MAX_RESOURCES: u64 = 100;

/// One task of a process.
pub async fn task(reader: &Reader, process: i64, task: u64) -> Result<TaskView, ViewError> {
    let key = find_process(reader, Some(process)).await?.process;
    let id = TaskId(task);
    let row = reader.task(key, id).await?.ok_or(ViewError::NoTask { process, task })?;
    let polls = reader.task_polls(key, id, MAX_POLLS, MAX_SLOWEST).await?;
    let wakes = reader.task_wakes(key, id, MAX_WAKES).await?;
    let slow = SlowQuery { process: key, task: Some(id), limit: MAX_SLOW, ..Default::default() };
    let slow = reader.slow_polls(&slow).await?.polls;
    let resources =
        ResourceQuery { process: key, task: Some(id), limit: MAX_RESOURCES, ..Default::default() };
    let resources = reader.resources(&resources).await?.rows;
    let stats = reader.location_stats(key, id).await?;
    let waiting = WaitQuery {
        process: key,
        task: Some(id),
        is_pending: true,
        limit: MAX_PAST,
        ..WaitQuery::default()
    };
    let past = WaitQuery { is_pending: false, ..waiting };
    let said = MarkQuery { process: key, task: Some(id), limit: MAX_MARKS, ..Default::default() };
    Ok(TaskView {
        task: Task::from(row),
        polls: polls.last.iter().rev().map(Poll::from).collect(),
        slowest: polls.slowest.iter().map(Poll::from).collect(),
        polls_complete: polls.is_complete,
        wakes: wakes.iter().rev().map(Wake::from).collect(),
        slow: slow.iter().map(SlowPoll::from).collect(),
        waits: waits::list(reader, &waiting).await?.rows,
        past_waits: waits::list(reader, &past).await?.rows,
        holds: reader.holds(key, None, Some(id), MAX_PAST).await?.iter().map(Hold::from).collect(),
        marks: reader.marks(&said).await?.rows.into_iter().map(Mark::from).collect(),
        app_spans: reader.app_spans(&said).await?.into_iter().map(AppSpan::from).collect(),
        children: reader.task_children(key, id).await?,
        resources: resources.into_iter().map(Resource::from).collect(),
        location_stats: LocationStats::from(stats),
        poll_histogram: classes(&polls.histogram),
    })
}

/// The histogram in classes that double, which is as fine as a small chart can show.
fn classes(histogram: &Histogram) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for (largest, count) in histogram.buckets() {
        let le_ns = largest.checked_next_power_of_two().unwrap_or(u64::MAX);
        match classes.last_mut() {
            Some(class) if class.le_ns == le_ns => class.count = class.count.saturating_add(count),
            _ => classes.push(Class { le_ns, count }),
        }
    }
    classes
}

impl From<&PollRow> for Poll {
    fn from(row: &PollRow) -> Self {
        Self {
            start_at: row.start_at.into(),
            length: row.length,
            loop_id: IdText(row.lane.loop_id.0),
            worker: row.lane.worker.0,
        }
    }
}

impl From<&WakeRow> for Wake {
    fn from(row: &WakeRow) -> Self {
        let by = words::some_task(row.by);
        Self { at: row.woken_at.into(), delay: row.delay, by, count: row.count }
    }
}

impl From<loopd_store::LocationStats> for LocationStats {
    fn from(stats: loopd_store::LocationStats) -> Self {
        let quantile = |q| stats.histogram.as_ref().and_then(|histogram| histogram.quantile(q));
        Self {
            tasks: stats.tasks,
            polls: stats.polls,
            busy_time: stats.busy_time,
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_double_and_keep_every_count() {
        let mut histogram = Histogram::default();
        for length in [0, 1, 3, 4, 5, 1000, 1001, u64::MAX] {
            histogram.add(length);
        }
        let classes = classes(&histogram);
        assert_eq!(classes.iter().map(|class| class.count).sum::<u64>(), 8);
        assert!(classes.windows(2).all(|pair| pair[0].le_ns < pair[1].le_ns));
        assert_eq!(classes.last().unwrap(), &Class { le_ns: u64::MAX, count: 1 });
    }
}
