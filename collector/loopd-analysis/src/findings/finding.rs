//! One finding: what is wrong, how much it harms, the proof, and the fix.

use loopd_model::{ResourceId, TaskId, UnixNanos};
/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing; a healthy program may have it.
    Info,
    /// It costs others time, or will.
    Warning,
    /// Something does not work, or hurts those who wait for an answer.
    Error,
}

impl Level {
    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Other causes look alike.
    Possible,
    /// The evidence points this way.
    Likely,
    /// It was seen.
    Certain,
}

impl Confidence {
    /// The word for it in SQL, JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// Where to look further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A task.
    Task(TaskId),
    /// A resource.
    Resource(ResourceId),
    /// An instant of the timeline, as unix ns.
    At(UnixNanos),
    /// A page of its own: `slow`, `waits`, `leaks`, `resources`, `sources`, `tasks`.
    Page(&'static str),
}

/// One piece of proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What was seen, as a clause with its figures.
    pub text: String,
    /// Where to see it.
    pub link: Option<Link>,
}

/// Code that mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// `rust` or `python`.
    pub language: &'static str,
    /// A few lines.
    pub code: &'static str,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static str,
    /// What it is about: the same in each analysis of the same trouble, so that it is known again. A
    /// `file:line` where there is one.
    pub subject: String,
    /// How serious.
    pub level: Level,
    /// Delay inflicted on others, or what was held times how long, in nanoseconds; 0 if not known.
    pub harm: u64,
    /// 0 to 100, from the harm, or by the rule where harm has no time.
    pub score: u8,
    /// How sure.
    pub confidence: Confidence,
    /// What is wrong, in one sentence without a full stop, with the line and the figure.
    pub title: String,
    /// The line of code to look at, `file:line` as pages show it; `None` if no line is known.
    pub location: Option<String>,
    /// How often it was seen.
    pub occurrences: u64,
    /// The first time in the range.
    pub first_seen_at: UnixNanos,
    /// The last time in the range.
    pub last_seen_at: UnixNanos,
    /// The proof.
    pub evidence: Vec<Evidence>,
    /// Why it is wrong, in a sentence or two.
    pub why: String,
    /// What to do, in a sentence or two.
    pub fix: String,
    /// How that looks in this runtime, where it can be shown.
    pub snippet: Option<Snippet>,
}

impl Finding {
    /// A finding of one occurrence, with a score by its harm and nothing else said yet.
    pub(super) fn new(rule: &'static str, subject: impl Into<String>, level: Level) -> Self {
        Self {
            rule,
            subject: subject.into(),
            level,
            harm: 0,
            score: 0,
            confidence: Confidence::Certain,
            title: String::new(),
            location: None,
            occurrences: 1,
            first_seen_at: UnixNanos::default(),
            last_seen_at: UnixNanos::default(),
            evidence: Vec::new(),
            why: String::new(),
            fix: String::new(),
            snippet: None,
        }
    }

    pub(super) fn harm(mut self, harm: u64) -> Self {
        self.harm = harm;
        self.score = self.score.max(score_of(harm));
        self
    }

    /// For harm that has no time of its own: a deadlock never ends.
    pub(super) fn at_least(mut self, score: u8) -> Self {
        self.score = self.score.max(score);
        self
    }

    pub(super) fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    pub(super) fn at(mut self, location: Option<impl Into<String>>) -> Self {
        self.location = location.map(Into::into);
        self
    }

    pub(super) fn seen(mut self, occurrences: u64, first: UnixNanos, last: UnixNanos) -> Self {
        (self.occurrences, self.first_seen_at, self.last_seen_at) = (occurrences, first, last);
        self
    }

    pub(super) fn proof(mut self, text: impl Into<String>, link: Option<Link>) -> Self {
        self.evidence.push(Evidence { text: text.into(), link });
        self
    }

    pub(super) fn advice(mut self, why: impl Into<String>, fix: impl Into<String>) -> Self {
        (self.why, self.fix) = (why.into(), fix.into());
        self
    }

    pub(super) fn snippet(mut self, snippet: Option<Snippet>) -> Self {
        self.snippet = snippet;
        self
    }
}

/// A score of harm in nanoseconds: 0 up to a millisecond, 50 at a second, 100 from a quarter of an hour
/// on, and evenly by powers of ten between.
pub fn score_of(harm: u64) -> u8 {
    let seconds = harm as f64 / 1e9;
    (50.0 + 50.0 / 3.0 * seconds.max(1e-3).log10()).clamp(0.0, 100.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_go_by_powers_of_ten() {
        let of = |seconds: f64| score_of((seconds * 1e9) as u64);
        assert_eq!([of(0.0), of(0.001), of(0.01), of(0.1)], [0, 0, 16, 33]);
        assert_eq!([of(1.0), of(10.0), of(100.0), of(1000.0), of(1e6)], [50, 66, 83, 100, 100]);
        assert_eq!(score_of(u64::MAX), 100);
    }
}
