//! What the reader returns of what programs say themselves, and of what was captured when.

use loopd_model::{Coverage, Location, MarkLevel, Settings, TaskId, UnixNanos};

use crate::ProcessKey;

/// Which marks or spans to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarkQuery {
    /// Of this process.
    pub process: ProcessKey,
    /// Of this task.
    pub task: Option<TaskId>,
    /// Not before; `None` from the beginning.
    pub from: Option<UnixNanos>,
    /// Before; `None` to the end.
    pub to: Option<UnixNanos>,
    /// Marks, and events at least as serious.
    pub level: MarkLevel,
    /// At most so many, the latest.
    pub limit: u64,
}

/// Marks and traced events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The latest, latest first.
    pub rows: Vec<MarkRow>,
    /// What came before this was not looked at; `None` if nothing was left out.
    pub searched_from: Option<UnixNanos>,
}

/// One mark, or one traced event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkRow {
    /// When.
    pub at: UnixNanos,
    /// In a poll of which task; `None` outside any.
    pub task: Option<TaskId>,
    /// How serious; none for a mark.
    pub level: MarkLevel,
    /// The module that traced it; the name of a mark.
    pub target: String,
    /// What it says; may be empty.
    pub message: String,
    /// Keys and values, by key.
    pub fields: Vec<(String, String)>,
    /// Where in the program.
    pub location: Option<Location>,
}

/// One span of the program's own tracing that has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpanRow {
    /// Its id.
    pub span: u64,
    /// The span that it is in; `None` at the top.
    pub parent: Option<u64>,
    /// The task polled when it opened; `None` outside any.
    pub task: Option<TaskId>,
    /// What the program calls it.
    pub name: String,
    /// The module that made it.
    pub target: String,
    /// When it opened.
    pub opened_at: UnixNanos,
    /// When it closed.
    pub closed_at: UnixNanos,
    /// How long it was entered.
    pub busy_time: u64,
    /// Keys and values, by key.
    pub fields: Vec<(String, String)>,
    /// Where in the program.
    pub location: Option<Location>,
}

/// What was captured from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow {
    /// Since when.
    pub at: UnixNanos,
    /// Every layer.
    pub coverage: Vec<Coverage>,
    /// The settings in force; absent where the agent has not told.
    pub settings: Settings,
}
