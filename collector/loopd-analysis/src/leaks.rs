//! Whether a population only ever grows. A judgement, made of counts over a window and the ages of
//! what is alive now; that capture was complete enough to judge is for the caller to know.

/// How many of one kind (tasks of one spawn location, resources of one open location) were alive
/// over a window of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// How many were alive at evenly spaced instants; the last is the end of the window.
    pub counts: Vec<u64>,
    /// The length of the window, in nanoseconds.
    pub window: u64,
    /// Ages of what is alive at the end of the window, in nanoseconds; any order. May be a sample
    /// of them.
    pub ages: Vec<u64>,
}

/// What the counts of a population say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It grew all through the window and nothing says that it will stop.
    Growing,
    /// It is there, and does not grow.
    Steady,
    /// Nothing is alive, or it shrinks.
    Settled,
}

impl Verdict {
    /// The word for it in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Steady => "steady",
            Self::Settled => "settled",
        }
    }
}

/// A verdict and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Slope of the line of least squares through the counts, per minute.
    pub growth_per_min: f64,
    /// Age of the oldest; `None` when nothing is alive.
    pub oldest_age: Option<u64>,
    /// Age that half of them have reached; `None` when nothing is alive.
    pub median_age: Option<u64>,
}

/// Judges one population.
pub fn judge(population: &Population) -> Judgement {
    let _ = population;
    Judgement { verdict: Verdict::Steady, growth_per_min: 0.0, oldest_age: None, median_age: None }
}
