//! What a task has to do with others: who spawned it, who may have cancelled it and whom it may have, and
//! what those spawned at the same place are like.

use std::collections::HashSet;

use loopd_analysis::runtime::Runtime;
use loopd_model::{Outcome, TaskId};
use loopd_store::{ProcessKey, Reader, SiblingFigures, TaskRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tasks::{Location, Task};
use super::text::{IdText, UnixNanosText};
use super::vocabulary::AncestorsEnd;
use super::{ViewError, find_process, is_false, words};

/// `GET /api/v1/tasks/{process}/{task}/kin`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskKinView {
    /// Its process.
    pub process: i64,
    /// Its id.
    pub task: IdText,
    /// Who spawned it, who spawned that, and so on: the nearest first, at most [`MAX_ANCESTORS`].
    pub ancestors: Vec<Task>,
    /// Why there are no more: `root`: the last was spawned outside any task; `gone`: its parent is no
    /// longer stored; `deep`: there are more than are shown; `circle`: it would begin again.
    #[schema(value_type = AncestorsEnd)]
    pub ancestors_end: String,
    /// The parent that is no longer stored; null otherwise.
    pub gone: Option<IdText>,
    /// How this task, if it was cancelled, and those that may have cancelled it ended: itself first.
    pub cancelled: Vec<Cancelled>,
    /// Cancelled tasks that it spawned or was the last to wake: the latest.
    pub cancelled_after: Vec<Task>,
    /// How many of these there are.
    pub cancelled_after_total: u64,
    /// What those spawned at the same place are like; null if its place is not known.
    pub siblings: Option<SiblingsView>,
    /// Tasks that ended before this were not looked through for the last two; null if all were.
    pub searched_from: Option<UnixNanosText>,
    /// Whether more are alive than were looked through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// One task that was cancelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CancelledTask)]
pub struct Cancelled {
    /// The task.
    pub task: IdText,
    /// Its name; null if it has none.
    pub name: Option<String>,
    /// Where it was spawned; null if not known.
    pub location: Option<Location>,
    /// When it ended.
    pub ended_at: Option<UnixNanosText>,
    /// Who gave it its last wake: on asyncio `cancel()` does that. Null if nobody is known to have.
    pub last_waker: Option<IdText>,
    /// Whether that is likely to be who cancelled it: it was another task, and the runtime's cancelling
    /// wakes.
    pub is_likely: bool,
    /// The task that spawned it; null if none did.
    pub parent: Option<IdText>,
    /// How its parent ended; null if it has none, or it is alive or not stored.
    pub parent_outcome: Option<String>,
    /// When its parent ended.
    pub parent_ended_at: Option<UnixNanosText>,
}

/// The tasks of one spawn location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SiblingsView {
    /// Their place.
    pub location: Location,
    /// Those that have ended.
    pub ended: Population,
    /// Those that are alive, so far.
    pub alive: Population,
}

/// What some tasks are like. This one is among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Population {
    /// How many.
    pub tasks: u64,
    /// From spawn to end, or to the last data; null without tasks.
    pub lifetime: Option<Spread>,
    /// Time in polls.
    pub busy_time: Option<Spread>,
    /// How often they were polled.
    pub polls: Option<Spread>,
    /// The longest poll of each; null as well where no lengths of polls are known.
    pub max_poll_time: Option<Spread>,
}

/// How figures are spread: of so many in a hundred tasks none is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// The least.
    pub min: u64,
    /// 10 in 100.
    pub p10: u64,
    /// Half of them.
    pub p50: u64,
    /// 90 in 100.
    pub p90: u64,
    /// 99 in 100.
    pub p99: u64,
    /// The most.
    pub max: u64,
    /// That of the task asked for.
    pub own: u64,
    /// The share of all whose figure is less, from 0 to 1.
    pub below: f64,
    /// The share of all whose figure is less or the same.
    pub up_to: f64,
}

/// So many ancestors are shown.
pub const MAX_ANCESTORS: usize = 50;
/// Cancelling is followed so far.
const MAX_CANCELLED: usize = 16;

/// What a task has to do with others.
pub async fn task_kin(reader: &Reader, process: i64, task: u64) -> Result<TaskKinView, ViewError> {
    let found = find_process(reader, Some(process)).await?;
    let key = found.process;
    let row = reader.task(key, TaskId(task)).await?.ok_or(ViewError::NoTask { process, task })?;
    let (ancestors, end, gone) = ancestors(reader, key, &row).await?;
    let runtime = Runtime::of_agent(&found.agent);
    let cancelled = cancelled(reader, key, &row, runtime).await?;
    let after = reader.cancelled_by(key, row.task).await?;
    let mut searched_from = after.searched_from;
    let mut more = false;
    let siblings = match row.location.clone() {
        None => None,
        Some(location) => {
            let siblings = reader.siblings(key, location.id.0.cast_signed()).await?;
            searched_from = searched_from.max(siblings.searched_from);
            more = siblings.has_more_alive;
            let location = Location::from(location);
            let ended = population(&siblings.ended, &row);
            let alive = population(&siblings.alive, &row);
            Some(SiblingsView { location, ended, alive })
        }
    };
    Ok(TaskKinView {
        process: key.0,
        task: IdText(task),
        ancestors,
        ancestors_end: end.into(),
        gone: gone.map(|task| IdText(task.0)),
        cancelled,
        cancelled_after: after.rows.into_iter().map(Task::from).collect(),
        cancelled_after_total: after.total,
        siblings,
        searched_from: searched_from.map(UnixNanosText::from),
        more,
    })
}

async fn ancestors(
    reader: &Reader,
    process: ProcessKey,
    row: &TaskRow,
) -> Result<(Vec<Task>, &'static str, Option<TaskId>), ViewError> {
    let mut seen = HashSet::from([row.task]);
    let mut ancestors = Vec::new();
    let mut next = row.parent;
    while let Some(parent) = next.filter(|task| !task.is_none()) {
        if !seen.insert(parent) {
            return Ok((ancestors, "circle", None));
        }
        if ancestors.len() == MAX_ANCESTORS {
            return Ok((ancestors, "deep", None));
        }
        let Some(row) = reader.task(process, parent).await? else {
            return Ok((ancestors, "gone", Some(parent)));
        };
        next = row.parent;
        ancestors.push(Task::from(row));
    }
    Ok((ancestors, "root", None))
}

async fn cancelled(
    reader: &Reader,
    process: ProcessKey,
    row: &TaskRow,
    runtime: Runtime,
) -> Result<Vec<Cancelled>, ViewError> {
    let mut seen = HashSet::new();
    let mut list = Vec::new();
    let mut next = Some(row.clone());
    while let Some(row) = next.take() {
        let is_cancelled = row.outcome == Some(Outcome::Cancelled);
        if !is_cancelled || !seen.insert(row.task) || list.len() == MAX_CANCELLED {
            break;
        }
        let waker = row.last_waker.filter(|waker| !waker.is_none());
        let is_likely = runtime == Runtime::Asyncio && waker.is_some_and(|by| by != row.task);
        let parent = match row.parent.filter(|task| !task.is_none()) {
            Some(parent) => reader.task(process, parent).await?,
            None => None,
        };
        if let Some(waker) = waker.filter(|_| is_likely) {
            next = reader.task(process, waker).await?;
        }
        list.push(Cancelled {
            task: IdText(row.task.0),
            name: row.name,
            location: row.location.map(Location::from),
            ended_at: row.ended_at.map(UnixNanosText::from),
            last_waker: waker.map(|task| IdText(task.0)),
            is_likely,
            parent: row.parent.and_then(words::some_task),
            parent_outcome: parent
                .as_ref()
                .and_then(|it| it.outcome)
                .map(|outcome| words::outcome(outcome).into()),
            parent_ended_at: parent.and_then(|it| it.ended_at).map(UnixNanosText::from),
        });
    }
    Ok(list)
}

fn population(figures: &SiblingFigures, row: &TaskRow) -> Population {
    Population {
        tasks: figures.lifetime.len() as u64,
        lifetime: spread(&figures.lifetime, row.lifetime),
        busy_time: spread(&figures.busy_time, row.busy_time),
        polls: spread(&figures.polls, row.polls),
        max_poll_time: row.max_poll_time.and_then(|own| spread(&figures.max_poll_time, own)),
    }
}

/// How figures are spread that are in order.
fn spread(figures: &[u64], own: u64) -> Option<Spread> {
    let (&min, &max) = (figures.first()?, figures.last()?);
    let at = |share: f64| {
        let rank = (share * figures.len() as f64).ceil() as usize;
        figures[rank.clamp(1, figures.len()) - 1]
    };
    let share = |count: usize| count as f64 / figures.len() as f64;
    Some(Spread {
        min,
        p10: at(0.1),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max,
        own,
        below: share(figures.partition_point(|&it| it < own)),
        up_to: share(figures.partition_point(|&it| it <= own)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_figures_that_some_task_has() {
        let figures: Vec<u64> = (1..=200).collect();
        let found = spread(&figures, 50).unwrap();
        assert_eq!((found.p10, found.p50, found.p90, found.p99), (20, 100, 180, 198));
        assert_eq!((found.min, found.max, found.own), (1, 200, 50));
        assert_eq!((found.below, found.up_to), (0.245, 0.25));
        assert_eq!(spread(&[], 1), None);
        let one = spread(&[7], 7).unwrap();
        assert_eq!((one.p10, one.p99, one.below, one.up_to), (7, 7, 0.0, 1.0));
    }
}
