//! Where tasks waited when somebody asked: who awaits whom, as a tree.

use std::collections::BTreeMap;

use loopd_analysis::await_tree::{self, Line};
use loopd_model::{DumpId, TaskId};
use loopd_store::{DumpHead, DumpedTask, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::slow::{Frame, frames};
use super::tasks::Location;
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, is_false, vocabulary, words};

/// `POST /api/v1/processes/{process}/dump`: a dump that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DumpTaken {
    /// The process.
    pub process: i64,
    /// The dump's number, for `GET /api/v1/processes/{process}/dumps/{dump}`.
    pub dump: IdText,
}

/// `GET /api/v1/processes/{process}/dumps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DumpsView {
    /// Those that are kept, the latest first.
    pub dumps: Vec<DumpSummary>,
}

/// One dump, without its tasks. The fields are those of [`DumpView`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DumpSummary {
    /// The dump's number.
    pub dump: IdText,
    /// When it was asked for.
    pub began_at: UnixNanosText,
    /// When the agent had told all of it; null while it has not.
    pub ended_at: Option<UnixNanosText>,
    /// How many tasks the agent found.
    pub tasks: u64,
    /// How many of these it did not tell of.
    pub left_out: u64,
    /// Why there is no dump, or not all of it; null if all went well.
    pub reason: Option<String>,
}

/// `GET /api/v1/processes/{process}/dumps/{dump}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DumpView {
    /// The process.
    pub process: i64,
    /// The dump as a whole.
    #[serde(flatten)]
    pub summary: DumpSummary,
    /// Whether there are more tasks than are shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The tree, line by line: at the top the tasks that nobody awaits, beneath each task those that
    /// it awaits. Each task has one line of its own, and others that point to it.
    pub lines: Vec<DumpLine>,
}

/// One line of the tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DumpLine {
    /// The task.
    pub task: IdText,
    /// How many tasks are above it.
    pub depth: usize,
    /// The one above it, which awaits it; null at the top.
    pub parent: Option<IdText>,
    /// Null on the task's own line. `cycle`: it is above this line, so that it awaits itself in the end;
    /// `above`: it has a line before this; `missing`: nothing is known of it but that it is awaited.
    #[schema(value_type = Option<vocabulary::Pointer>)]
    pub pointer: Option<String>,
    /// Its name; null if it has none.
    pub name: Option<String>,
    /// Where it waits; null on lines that only point to it.
    pub wait: Option<DumpedWait>,
}

/// Where one task waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DumpedWait {
    /// `async`, `local` and so on, as of tasks; `unknown` if its spawn was not seen.
    pub kind: String,
    /// Where it was spawned; null if not known.
    pub location: Option<Location>,
    /// How old it was, in nanoseconds; null if its spawn was not seen.
    pub age: Option<u64>,
    /// For how long it had waited, in nanoseconds; null if it has been polled since, or nobody knows.
    pub waited: Option<u64>,
    /// When it ended, after the dump; null while it is alive.
    pub ended_at: Option<UnixNanosText>,
    /// The chain of coroutines, innermost first: where it waits; empty if not known.
    pub frames: Vec<Frame>,
    /// What the innermost awaits: `Future`, `Lock`, `sleep`; null if not known.
    pub awaits: Option<String>,
    /// The resource that it awaits; null if that is none that is tracked.
    pub resource: Option<DumpedResource>,
}

/// What a task awaits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DumpedResource {
    /// Its id.
    pub resource: IdText,
    /// `lock`, `queue`; empty if its opening was not seen.
    pub kind: String,
    /// Its name; empty if it has none.
    pub name: String,
}

/// The dumps of a process.
pub async fn dumps(reader: &Reader, process: i64) -> Result<DumpsView, ViewError> {
    let process = find_process(reader, Some(process)).await?.process;
    let heads = reader.dumps(process).await?;
    Ok(DumpsView { dumps: heads.into_iter().map(DumpSummary::from).collect() })
}

/// One dump of a process, or the latest that has ended.
pub async fn dump(reader: &Reader, process: i64, dump: Option<u64>) -> Result<DumpView, ViewError> {
    let process = find_process(reader, Some(process)).await?.process;
    let found = reader.dump(process, dump.map(DumpId)).await?;
    let found = found.ok_or(ViewError::NoDump { process: process.0, dump })?;
    let mut tasks: BTreeMap<TaskId, &DumpedTask> = BTreeMap::new();
    let mut awaited: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
    for row in &found.tasks {
        // One that awaits several tasks has a row for each.
        tasks.entry(row.task).or_insert(row);
        awaited.entry(row.task).or_default().extend(row.awaits_task);
    }
    let lines = await_tree::lines(&awaited);
    Ok(DumpView {
        process: process.0,
        summary: found.head.into(),
        more: found.has_more,
        lines: lines.iter().map(|line| dump_line(line, tasks.get(&line.task).copied())).collect(),
    })
}

impl From<DumpHead> for DumpSummary {
    fn from(head: DumpHead) -> Self {
        Self {
            dump: IdText(head.dump.0),
            began_at: head.began_at.into(),
            ended_at: head.ended_at.map(UnixNanosText::from),
            tasks: head.tasks,
            left_out: head.left_out,
            reason: (!head.reason.is_empty()).then_some(head.reason),
        }
    }
}

fn dump_line(line: &Line, task: Option<&DumpedTask>) -> DumpLine {
    DumpLine {
        task: IdText(line.task.0),
        depth: line.depth,
        parent: line.parent.map(|parent| IdText(parent.0)),
        pointer: line.pointer.map(|pointer| pointer.as_str().to_owned()),
        name: task.and_then(|task| task.name.clone()),
        wait: task.filter(|_| line.pointer.is_none()).map(wait),
    }
}

fn wait(task: &DumpedTask) -> DumpedWait {
    let since = |instant: loopd_model::UnixNanos| {
        u64::try_from(task.at.0.saturating_sub(instant.0)).unwrap_or(0)
    };
    DumpedWait {
        kind: task.kind.map_or("unknown", words::kind).into(),
        location: task.location.clone().map(Location::from),
        age: task.spawned_at.map(since),
        waited: task.idle_since.map(since),
        ended_at: task.ended_at.map(UnixNanosText::from),
        frames: frames(&task.frames),
        awaits: (!task.awaits.is_empty()).then(|| task.awaits.clone()),
        resource: task.resource.map(|resource| DumpedResource {
            resource: IdText(resource.0),
            kind: task.resource_kind.clone(),
            name: task.resource_name.clone(),
        }),
    }
}
