//! Which spans and events of tokio's own instrumentation are worth looking at, told by their
//! metadata: every other one is switched off at its call site.

use tracing::Metadata;

/// What a call site is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The span of a task.
    Task,
    /// The span of a blocking job.
    Blocking,
    /// A waker is made, used or dropped.
    Waker,
    /// The span of a lock, semaphore, timer, …
    Resource,
    /// The span of an operation on one.
    Op,
    /// An operation was polled.
    PollOp,
    /// A resource changed.
    State,
    /// As the three above, of the semaphore that most of tokio's locks and channels are made of;
    /// only worth it inside tokio's `Semaphore`.
    InnerResource,
    /// See [`Site::InnerResource`].
    InnerOp,
    /// See [`Site::InnerResource`].
    InnerState,
    /// See [`Site::InnerResource`]: an operation's permits.
    InnerOpState,
    /// Tokio's or ours, of no use.
    Useless,
    /// The program's own.
    App,
}

/// State that is recorded; the rest tells nothing that waits do not.
const STATES: [&str; 5] = ["locked", "write_locked", "current_readers", "max_readers", "size"];

/// Those that must not be taken for the program's: what they say is known, or is about the agent.
const NOT_THE_PROGRAM: [&str; 3] = ["tokio", "runtime", "loopd_agent"];

impl Site {
    /// What this call site is.
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        if !metadata.is_span() {
            return Self::of_event(metadata);
        }
        match metadata.name() {
            "runtime.spawn" if metadata.target() == "tokio::task" => Self::Task,
            "runtime.spawn" if metadata.target() == "tokio::task::blocking" => Self::Blocking,
            "runtime.resource" if is_inner(metadata) => Self::InnerResource,
            "runtime.resource" => Self::Resource,
            "runtime.resource.async_op" if is_inner(metadata) => Self::InnerOp,
            "runtime.resource.async_op" => Self::Op,
            _ => Self::of_others(metadata),
        }
    }

    fn of_event(metadata: &Metadata<'_>) -> Self {
        match metadata.target() {
            // By far the most frequent.
            "tokio::task::waker" => Self::Waker,
            "runtime::resource::poll_op" if is_inner(metadata) => Self::Useless,
            "runtime::resource::poll_op" => Self::PollOp,
            "runtime::resource::state_update" if is_inner(metadata) => Self::InnerState,
            "runtime::resource::state_update" => Self::State,
            "runtime::resource::async_op::state_update" if is_inner(metadata) => Self::InnerOpState,
            "runtime::resource::async_op::state_update" => Self::Useless,
            _ => Self::of_others(metadata),
        }
    }

    /// Whether a state update of this call site is worth hearing.
    pub(crate) fn is_known_state(metadata: &Metadata<'_>) -> bool {
        STATES.iter().any(|name| metadata.fields().field(name).is_some())
    }

    fn of_others(metadata: &Metadata<'_>) -> Self {
        let root = metadata.target().split("::").next().unwrap_or_default();
        if NOT_THE_PROGRAM.contains(&root) { Self::Useless } else { Self::App }
    }
}

/// Whether it is in the semaphore that most of tokio's locks and channels are made of.
fn is_inner(metadata: &Metadata<'_>) -> bool {
    metadata.module_path() == Some("tokio::sync::batch_semaphore")
}
