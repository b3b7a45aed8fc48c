//! The words that JSON and tables use for the model's enums, and small shared conversions.

use loopd_analysis::slow::place_text;
use loopd_model::{CloseHow, CoverageState, Outcome, Running, TaskId, TaskKind};

use super::tasks::Location;
use super::text::IdText;

pub(crate) const KINDS: [(&str, TaskKind); 5] = [
    ("async", TaskKind::Async),
    ("local", TaskKind::Local),
    ("block_on", TaskKind::BlockOn),
    ("blocking", TaskKind::Blocking),
    ("callback", TaskKind::Callback),
];

pub(crate) const fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Async => "async",
        TaskKind::Local => "local",
        TaskKind::BlockOn => "block_on",
        TaskKind::Blocking => "blocking",
        TaskKind::Callback => "callback",
    }
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unknown => "unknown",
        Outcome::Completed => "completed",
        Outcome::Panicked => "panicked",
        Outcome::Cancelled => "cancelled",
        Outcome::Raised => "raised",
        Outcome::Destroyed => "destroyed",
    }
}

pub(crate) const fn close_how(how: CloseHow) -> &'static str {
    match how {
        CloseHow::Closed => "closed",
        CloseHow::Dropped => "dropped",
        CloseHow::Unclosed => "unclosed",
    }
}

pub(crate) const fn coverage_state(state: CoverageState) -> &'static str {
    match state {
        CoverageState::On => "on",
        CoverageState::Off => "off",
        CoverageState::Unavailable => "unavailable",
    }
}

pub(crate) const fn running(running: Running) -> Option<&'static str> {
    match running {
        Running::Unknown => None,
        Running::OnCpu => Some("on_cpu"),
        Running::OffCpu => Some("off_cpu"),
    }
}

/// `None` for the id that stands for no task.
pub(crate) fn some_task(task: TaskId) -> Option<IdText> {
    (!task.is_none()).then_some(IdText(task.0))
}

/// `None` for a name that nobody gave.
pub(crate) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<loopd_model::Location> for Location {
    fn from(location: loopd_model::Location) -> Self {
        let loopd_model::Location { id, file, line, column } = location;
        Self { id: IdText(id.0), file, line, column }
    }
}

/// `file:line`, the file from the folder of its crate on.
pub(crate) fn place(location: &loopd_model::Location) -> String {
    place_text(&location.file, location.line)
}
