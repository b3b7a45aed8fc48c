//! What a list of tasks can be narrowed down to, term by term.

use loopd_model::{Outcome, TaskKind};

/// One condition; a task has to meet all that a query has.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskTerm {
    /// It meets one of these,
    pub any: Vec<TaskCondition>,
    /// or, if so, none of them.
    pub is_negated: bool,
}

/// What a task may be.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskCondition {
    /// A text of it holds this, or is this; upper and lower case are the same.
    Text(TaskText, String, IsWhole),
    /// A number of it compares so to this.
    Amount(TaskAmount, Compare, u64),
    /// An id of it is this.
    Id(TaskIdOf, u64),
    /// Not ended.
    Alive,
    /// Not ended, and in no slow poll right now.
    Idle,
    /// In a slow poll right now.
    Running,
    /// Over.
    Ended,
    /// Ended so.
    Outcome(Outcome),
    /// Of this sort.
    Kind(TaskKind),
    /// Pending with nothing left that could wake it.
    Unwakeable,
}

/// Whether a text is compared as a whole.
pub type IsWhole = bool;

/// A text of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskText {
    /// Its name or its spawn location; a number is also compared to its id.
    Any,
    /// Its name.
    Name,
    /// Its spawn location, as `file:line`.
    Location,
    /// What the program says of it beside its name, as JSON.
    Fields,
}

/// A number of a task; lengths are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskAmount {
    /// From spawn to end, or to the last data.
    Lifetime,
    /// Time in polls.
    BusyTime,
    /// Time between wakes and polls; none where no wake was recorded.
    ScheduledTime,
    /// The longest poll.
    MaxPollTime,
    /// Polls.
    Polls,
    /// Slow polls.
    SlowPolls,
    /// Wakes; none where none was recorded.
    Wakes,
    /// Wakes by itself; likewise.
    SelfWakes,
}

/// An id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskIdOf {
    /// Its own.
    Task,
    /// Who spawned it.
    Parent,
    /// Who woke it last.
    LastWaker,
    /// Its loop.
    Loop,
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `<`
    Less,
    /// `<=`
    UpTo,
    /// `=`
    Equal,
    /// `>=`
    From,
    /// `>`
    More,
}

impl Compare {
    /// As SQL and people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::UpTo => "<=",
            Self::Equal => "=",
            Self::From => ">=",
            Self::More => ">",
        }
    }
}
