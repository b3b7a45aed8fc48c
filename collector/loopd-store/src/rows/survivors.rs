//! What the reader returns of what was born in a range and is still there.

use loopd_model::{Location, TaskId, UnixNanos};

use crate::WaitRow;

/// Places of one sort that are given, those with the most survivors.
pub const MAX_SURVIVOR_SITES: usize = 100;

/// What was spawned and opened in a range, and is still there at a later instant.
#[derive(Clone, Debug, Default)]
pub struct Survivors {
    /// Tasks, by spawn location.
    pub tasks: SurvivorSites,
    /// Resources, by kind and open location.
    pub resources: SurvivorSites,
}

/// Survivors of one sort.
#[derive(Clone, Debug, Default)]
pub struct SurvivorSites {
    /// How many were born in the range, wherever.
    pub born: u64,
    /// Whether that is their number, here and of every place, and not about it or the least that it can be.
    pub is_born_exact: bool,
    /// How many are alive, wherever, as far as they were counted.
    pub alive: u64,
    /// Whether more are alive than that.
    pub has_more: bool,
    /// The places that have survivors, the most first, at most [`MAX_SURVIVOR_SITES`].
    pub sites: Vec<SurvivorSite>,
}

/// The survivors of one place.
#[derive(Clone, Debug)]
pub struct SurvivorSite {
    /// Of resources what they are; empty for tasks, and where it is not known.
    pub kind: String,
    /// Where they were spawned or opened; `None` if not known.
    pub location: Option<Location>,
    /// How many were born there in the range; never less than are alive.
    pub born: u64,
    /// How many of them are alive, as far as they were counted.
    pub alive: u64,
    /// Whether more are alive than that.
    pub has_more: bool,
    /// Age of the oldest.
    pub oldest_age: u64,
    /// Age that half of them have reached; `None` if it is not known.
    pub median_age: Option<u64>,
    /// So many, the oldest, were looked at for what follows.
    pub looked: u64,
    /// Who spawned or opened most of those that were looked at; `None` outside any task.
    pub opener: Option<Opener>,
    /// Waits that tasks among those that were looked at were in, with who held them up.
    pub waits: Vec<WaitRow>,
    /// Some of the oldest.
    pub examples: Vec<Survivor>,
}

/// Tasks spawned at one line that spawned or opened survivors.
#[derive(Clone, Debug, PartialEq)]
pub struct Opener {
    /// The one that made the most.
    pub task: TaskId,
    /// Its name, if it has one.
    pub task_name: Option<String>,
    /// Where they were spawned; `None` if not known.
    pub location: Option<Location>,
    /// How many of them there are.
    pub tasks: u64,
    /// How many survivors, of those that were looked at, are theirs.
    pub survivors: u64,
}

/// One survivor.
#[derive(Clone, Debug, PartialEq)]
pub struct Survivor {
    /// The task or the resource.
    pub id: u64,
    /// Its name; empty if it has none.
    pub name: String,
    /// When it was born.
    pub born_at: UnixNanos,
    /// Who spawned or opened it; `None` outside any task.
    pub opener: Option<TaskId>,
}
