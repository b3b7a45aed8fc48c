//! Groups slow polls by what blocked them, and says what to do about it.

use std::sync::Arc;

use loopd_model::{Frame, Running};

/// One slow poll, as far as grouping is concerned.
#[derive(Clone, Debug, Default)]
pub struct SlowPoll {
    /// How long it took so far, in nanoseconds.
    pub length: u64,
    /// Stacks taken while it ran.
    pub samples: Vec<Sample>,
    /// Where its task was spawned, as `file:line`; `None` if not known.
    pub spawn_location: Option<String>,
}

/// One stack of a slow poll.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Leaf first.
    pub frames: Arc<[Frame]>,
    /// What the thread was doing.
    pub running: Running,
}

/// What a site was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The first frame of a stack that is the program's own.
    Stack,
    /// No stack was taken: where the task was spawned.
    SpawnLocation,
}

impl By {
    /// The word for it in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::SpawnLocation => "spawn_location",
        }
    }
}

/// One place that makes polls slow.
#[derive(Clone, Debug)]
pub struct Site {
    /// `file:line`; the function where line tables are missing; empty if nothing is known.
    pub location: String,
    /// The function there; empty when found by spawn location.
    pub function: String,
    /// What it was found by.
    pub by: By,
    /// Which polls, as indices into the input, longest first.
    pub polls: Vec<usize>,
    /// Sum of their lengths, in nanoseconds. Sites are ranked by it.
    pub total_time: u64,
    /// The longest.
    pub max: u64,
    /// The median length.
    pub p50: u64,
    /// Samples that found the thread computing.
    pub on_cpu: u64,
    /// Samples that found it asleep in the kernel.
    pub off_cpu: u64,
    /// The function most often found running; empty without stacks.
    pub leaf: String,
    /// What to do about it, in one or two sentences.
    pub advice: String,
    /// The different stacks seen, most frequent first, at most [`MAX_STACKS`].
    pub stacks: Vec<SiteStack>,
}

/// One stack and how often it was seen.
#[derive(Clone, Debug)]
pub struct SiteStack {
    /// In how many samples.
    pub count: u64,
    /// Leaf first.
    pub frames: Arc<[Frame]>,
}

/// More different stacks of one site than this say nothing new.
pub const MAX_STACKS: usize = 10;

/// Groups polls by what blocked them, most harmful first.
pub fn sites(polls: &[SlowPoll]) -> Vec<Site> {
    let _ = polls;
    Vec::new()
}

/// Whether a frame is the program's own: not std's, a dependency's, tokio's or loopd's.
pub fn is_own(frame: &Frame) -> bool {
    let _ = frame;
    false
}
