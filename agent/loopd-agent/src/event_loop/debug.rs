//! What a loop complains of: to its exception handler, and to the recorder.

use std::fmt;
use std::rc::Rc;

use super::error::{Error, Place};

/// What a loop found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// A callback returned an error or panicked.
    CallbackFailed,
    /// A task failed, and nobody asked for its result.
    NeverRetrieved,
    /// A loop was closed, or freed, with a task that was not done.
    DestroyedPending,
    /// Debug mode: a callback or step held the loop for too long.
    Slow,
    /// A loop was freed that nobody had closed.
    UnclosedLoop,
    /// Debug mode: callbacks were still to be run when the loop was closed.
    NeverRun,
    /// A task failed while [`run`](super::run) cancelled it at its end.
    ShutdownFailed,
    /// Something that must be closed was still open when its loop was closed.
    FinalizerFailed,
    /// Jobs of the default executor went on for longer than [`run`](super::run) waits for them.
    ExecutorUnfinished,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CallbackFailed,
        Self::NeverRetrieved,
        Self::DestroyedPending,
        Self::Slow,
        Self::UnclosedLoop,
        Self::NeverRun,
        Self::ShutdownFailed,
        Self::FinalizerFailed,
        Self::ExecutorUnfinished,
    ];

    /// How it is called in the store and on the dashboard.
    pub fn name(self) -> &'static str {
        match self {
            Self::CallbackFailed => "callback_failed",
            Self::NeverRetrieved => "error_never_retrieved",
            Self::DestroyedPending => "pending_task_destroyed",
            Self::Slow => "slow_callback",
            Self::UnclosedLoop => "event_loop_unclosed",
            Self::NeverRun => "callback_never_run",
            Self::ShutdownFailed => "shutdown_failed",
            Self::FinalizerFailed => "finalizer_failed",
            Self::ExecutorUnfinished => "executor_unfinished",
        }
    }

    /// Whether it is an error; else it is a warning.
    pub fn is_error(self) -> bool {
        let is_warning = matches!(
            self,
            Self::Slow | Self::UnclosedLoop | Self::NeverRun | Self::ExecutorUnfinished
        );
        !is_warning
    }
}

/// What an exception handler is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExceptionContext {
    /// What was found.
    pub check: Check,
    /// The same in words.
    pub message: String,
    /// The error, if there is one.
    pub error: Option<Error>,
    /// The name of the task it is about.
    pub task: Option<Rc<str>>,
    /// The callback it is about, as its type is called.
    pub handle: Option<&'static str>,
    /// Where the task was made, the callback scheduled, or the loop made.
    pub made_at: Option<Place>,
    /// The task's number as it is recorded; 0 for none.
    pub(super) number: u64,
}

impl ExceptionContext {
    pub(super) fn new(check: Check, message: String, made_at: Option<Place>) -> Self {
        Self { check, message, error: None, task: None, handle: None, made_at, number: 0 }
    }
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(error) = &self.error {
            write!(f, ": {}", error.text())?;
        }
        if let Some(task) = &self.task {
            write!(f, ", task {task:?}")?;
        }
        if let Some(handle) = self.handle {
            write!(f, ", callback {handle}")?;
        }
        match self.made_at {
            Some(place) => write!(f, ", made at {place}"),
            None => Ok(()),
        }
    }
}

/// Where a loop has no handler, or the handler itself panics.
pub(super) fn log(context: &ExceptionContext) {
    match context.check.is_error() {
        true => {
            tracing::error!(target: "loopd::event_loop", check = context.check.name(), "{context}")
        }
        false => {
            tracing::warn!(target: "loopd::event_loop", check = context.check.name(), "{context}")
        }
    }
}
