//! What the reader returns of dumps: where tasks waited when somebody asked.

use std::sync::Arc;

use loopd_model::{DumpId, Frame, Location, ResourceId, TaskId, TaskKind, UnixNanos};

use crate::ProcessKey;

/// One dump, without its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpHead {
    /// The process.
    pub process: ProcessKey,
    /// Its number.
    pub dump: DumpId,
    /// When it was asked for.
    pub began_at: UnixNanos,
    /// When the agent had told all of it; `None` while it has not.
    pub ended_at: Option<UnixNanos>,
    /// How many tasks the agent found.
    pub tasks: u64,
    /// How many of these it did not tell of.
    pub left_out: u64,
    /// Why there is no dump, or not all of it; empty if all went well.
    pub reason: String,
}

/// One dump.
#[derive(Clone, Debug)]
pub struct Dump {
    /// What is known of it as a whole.
    pub head: DumpHead,
    /// Its tasks, by id, and those that await several once for each of these.
    pub tasks: Vec<DumpedTask>,
    /// Whether there are more than are given.
    pub has_more: bool,
}

/// Where one task waited.
#[derive(Clone, Debug)]
pub struct DumpedTask {
    /// The task.
    pub task: TaskId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What sort; `None` if its spawn was not seen.
    pub kind: Option<TaskKind>,
    /// Where it was spawned; `None` if not seen.
    pub location: Option<Location>,
    /// `None` if its spawn was not seen.
    pub spawned_at: Option<UnixNanos>,
    /// When it ended, which is after the dump; `None` while alive.
    pub ended_at: Option<UnixNanos>,
    /// When it was looked at.
    pub at: UnixNanos,
    /// When its last poll before that ended; `None` if it was not polled, or has been since, or nobody knows.
    pub idle_since: Option<UnixNanos>,
    /// The chain of coroutines, innermost first; empty if not known.
    pub frames: Arc<[Frame]>,
    /// What the innermost awaits; empty if not known.
    pub awaits: String,
    /// The task that it awaits; `None` if that is no task.
    pub awaits_task: Option<TaskId>,
    /// The resource that it awaits; `None` if that is none that is known.
    pub resource: Option<ResourceId>,
    /// The kind of that resource; empty if its opening was not seen.
    pub resource_kind: String,
    /// Its name; empty if it has none.
    pub resource_name: String,
}
