//! What a task or callback ends with when it does not end well, and what the loop refuses.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// What a task's future may return, and what awaiting a task, a [`Promise`](super::Promise) or
/// [`sleep`](super::sleep) gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The counterpart of an exception. Any error of the program becomes one by `?`.
///
/// It is cheap to clone: everybody who awaits a task gets the same error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The task, or what it awaited, was cancelled.
    Cancelled(Cancelled),
    /// A [`wait_for`](super::wait_for) took too long.
    TimedOut,
    /// Ctrl-C ended a [`run`](super::run), whose future was cancelled by it.
    Interrupted,
    /// A panic, which went no further than the task or callback it happened in.
    Panicked(Arc<str>),
    /// The loop refused something.
    Loop(LoopError),
    /// Errors of the program's own, as `?` makes them.
    Raised(Arc<dyn std::error::Error + Send + Sync>),
    /// All that went wrong in a [`TaskGroup`](super::TaskGroup).
    Group(Arc<[Error]>),
}

impl Error {
    /// An error that is only a text.
    pub fn new(message: impl Into<String>) -> Self {
        let message: Box<dyn std::error::Error + Send + Sync> = message.into().into();
        Self::Raised(message.into())
    }

    /// Whether this is a cancellation.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// The program's own error, if it is of this type.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Raised(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// What it says, also if what the program wrote for that panics.
    pub(super) fn text(&self) -> String {
        let text = || self.to_string();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(text)).unwrap_or_else(|payload| {
            // Its own drop may panic as well.
            std::mem::forget(payload);
            "an error that panics when it is shown".to_owned()
        })
    }

    /// What a panic carried, as far as it is text.
    pub(super) fn of_panic(payload: Box<dyn Any + Send>) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        // A payload's own drop may panic, which is none of ours to pass on.
        std::mem::forget(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload))));
        Self::Panicked(text.unwrap_or_else(|| "a panic without a text".to_owned()).into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::TimedOut => f.write_str("timed out"),
            Self::Interrupted => f.write_str("interrupted by Ctrl-C"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Loop(error) => error.fmt(f),
            Self::Raised(error) => error.fmt(f),
            Self::Group(errors) => {
                write!(f, "{} of the group's tasks failed", errors.len())?;
                errors.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(cancelled) = any.downcast_ref::<Cancelled>() {
            return Self::Cancelled(cancelled.clone());
        }
        if let Some(error) = any.downcast_ref::<LoopError>() {
            return Self::Loop(error.clone());
        }
        Self::Raised(Arc::new(error))
    }
}

/// A task was asked to end: what the await in it gives, once for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    message: Option<Arc<str>>,
}

impl Cancelled {
    pub(super) fn new(message: Option<&str>) -> Self {
        Self { message: message.map(Into::into) }
    }

    /// What was said when it was cancelled.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "cancelled: {message}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Cancelled {}

/// A place in the program.
pub type Place = &'static Location<'static>;

/// What a loop refuses, where asyncio raises `RuntimeError` or `InvalidStateError`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoopError {
    /// Nothing more can be done with it.
    #[error("the event loop is closed")]
    Closed,
    /// It runs already.
    #[error("the event loop made at {made_at} is already running, since {running_since}")]
    AlreadyRunning {
        /// Where it was made.
        made_at: Place,
        /// Where it was told to run.
        running_since: Place,
    },
    /// One loop at a time runs in a thread.
    #[error(
        "cannot run the event loop made at {made_at} here: this thread runs another, made at \
         {other_made_at}, since {running_since}"
    )]
    AnotherIsRunning {
        /// Where the one was made that was told to run.
        made_at: Place,
        /// Where the one was made that runs.
        other_made_at: Place,
        /// Where that was told to run.
        running_since: Place,
    },
    /// It would wait for ever: a loop makes only the steps of its own tasks.
    #[error(
        "the event loop made at {made_at} cannot run until a task is done that is of another one, \
         made at {other_made_at}"
    )]
    OfAnotherLoop {
        /// Where the one was made that was told to run.
        made_at: Place,
        /// Where the one was made that the task is of.
        other_made_at: Place,
    },
    /// The calling thread is inside a runtime of tokio's, which must not block.
    #[error("cannot run an event loop inside a tokio runtime: run it in a thread of its own")]
    InsideRuntime,
    /// A running loop cannot be closed.
    #[error("cannot close a running event loop: stop it first (it runs since {running_since})")]
    CannotCloseRunning {
        /// Where it was told to run.
        running_since: Place,
    },
    /// The calling thread runs no loop.
    #[error("no event loop runs in this thread")]
    NotRunning,
    /// The calling thread neither runs a loop nor has one set.
    #[error("there is no current event loop in this thread: see `EventLoop::set_current`")]
    NoCurrent,
    /// `stop` was called while somebody waited for a result.
    #[error("the event loop was stopped before the future completed")]
    StoppedEarly,
    /// There is no result yet, or there is one already.
    #[error("{0}")]
    InvalidState(&'static str),
    /// The executor takes no more jobs.
    #[error("the executor has been shut down")]
    ExecutorShutDown,
    /// A task can only be awaited by another one.
    #[error("a task cannot await itself")]
    AwaitsItself,
    /// It belongs to a loop of another thread that is gone.
    #[error("the event loop is gone")]
    Gone,
    /// The system refused.
    #[error("{action}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
}
