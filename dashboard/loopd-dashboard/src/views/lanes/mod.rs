//! Lanes that the timeline shows below its workers: one task, one resource or one metric over a stretch of
//! time; and what led to a poll.
//!
//! Each answer has a bound, and says from when on it is complete.

pub mod arrows;
pub mod metrics;
pub mod resource;
pub mod task;

use loopd_store::{HolderRow, WaitRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::{IdText, UnixNanosText};
use super::waits::ResourceRef;
use super::{is_false, words};

/// So much of a process is shown if no beginning is given.
const DEFAULT_RANGE: u64 = 60_000_000_000;
const DEFAULT_WIDTH: u32 = 1_200;
/// Wider than any screen that one timeline fills.
const MAX_WIDTH: u32 = 4_000;
/// So many waits, and holds, are given: more would not be told apart, and are there on a closer look.
const MAX_ROWS: usize = 2_000;

/// A wait on a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LaneWait {
    /// Its id.
    pub wait: IdText,
    /// Who waits; null outside any task.
    pub task: Option<IdText>,
    /// That task's name; null if it has none.
    pub task_name: Option<String>,
    /// For what; null if not known.
    pub resource: Option<ResourceRef>,
    /// To do what: `lock`, `send` …; empty if not known.
    pub op: String,
    /// Where it waits, `file:line`; null if not known.
    pub location: Option<String>,
    /// When it began.
    pub began_at: UnixNanosText,
    /// When it ended, or the last instant at which it is known to have lasted.
    pub until_at: UnixNanosText,
    /// Whether it lasts; absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub open: bool,
    /// `pending`, `ready`, `cancelled` or `unfinished`.
    pub state: String,
    /// Who holds it up; null if nobody is known to.
    pub holder: Option<LaneTask>,
}

/// A task by its id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneTask {
    /// Its id.
    pub task: IdText,
    /// Its name; null if it has none.
    pub name: Option<String>,
}

impl LaneTask {
    fn of(holder: &HolderRow) -> Option<Self> {
        let task = words::some_task(holder.task?)?;
        Some(Self { task, name: holder.task_name.clone() })
    }
}

impl From<&WaitRow> for LaneWait {
    fn from(row: &WaitRow) -> Self {
        let length = i64::try_from(row.length).unwrap_or(i64::MAX);
        let until = row.ended_at.map_or(row.began_at.0.saturating_add(length), |end| end.0);
        let has_it = |holder: &&HolderRow| holder.released_at.is_none();
        // While it lasts, who has it now; afterwards who had it when it began.
        let holder = match row.is_open {
            true => row.holders.iter().rev().find(has_it),
            false => row.holders.first(),
        };
        Self {
            wait: IdText(row.wait.0),
            task: row.task.and_then(words::some_task),
            task_name: row.task_name.clone(),
            resource: ResourceRef::of(row),
            op: row.op.clone(),
            location: row.location.as_ref().map(words::place),
            began_at: row.began_at.into(),
            until_at: UnixNanosText(until),
            open: row.is_open,
            state: row.state.as_str().into(),
            holder: holder.and_then(LaneTask::of),
        }
    }
}
