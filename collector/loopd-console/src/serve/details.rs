//! Histograms of one task, in the form that the protocol has.

use console_api as api;
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::tasks::{DurationHistogram, TaskDetails};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use loopd_model::UnixNanos;
use loopd_store::TaskLife;

use super::map;

/// The longest that has a place of its own in a histogram, in nanoseconds: an hour. What is longer is an
/// outlier, of which the longest is told.
pub const MAX_HISTOGRAM: u64 = 3_600_000_000_000;

/// Significant decimal digits: those of console-subscriber.
const DIGITS: u8 = 2;

/// Lengths of one sort.
#[derive(Debug)]
struct Lengths {
    within: Histogram<u64>,
    beyond: u64,
    longest: Option<u64>,
}

impl Lengths {
    fn new() -> Option<Self> {
        let within = Histogram::new_with_max(MAX_HISTOGRAM, DIGITS).ok()?;
        Some(Self { within, beyond: 0, longest: None })
    }

    fn add(&mut self, length: u64) {
        // A histogram counts from 1 on.
        if length > MAX_HISTOGRAM || self.within.record(length.max(1)).is_err() {
            self.beyond += 1;
            self.longest = self.longest.max(Some(length));
        }
    }

    fn message(&self) -> Option<DurationHistogram> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.within, &mut bytes).ok()?;
        Some(DurationHistogram {
            raw_histogram: bytes,
            max_value: MAX_HISTOGRAM,
            high_outliers: self.beyond,
            highest_outlier: self.longest,
        })
    }
}

/// How long the polls of a task took, and how long it waited for each after it was woken.
#[derive(Debug)]
pub(super) struct Histograms {
    polls: Option<DurationHistogram>,
    scheduled: Option<DurationHistogram>,
}

impl Histograms {
    /// Of a life as far as it is known by `to`.
    pub(super) fn of(life: &TaskLife, to: Option<UnixNanos>) -> Self {
        let (mut polls, mut scheduled) = (Lengths::new(), Lengths::new());
        let is_over = |end: i64| to.is_none_or(|to| end <= to.0);
        for poll in &life.polls {
            let length = i64::try_from(poll.length).unwrap_or(i64::MAX);
            if is_over(poll.start_at.0.saturating_add(length)) {
                polls.iter_mut().for_each(|polls| polls.add(poll.length));
            }
        }
        for &(woken_at, polled_at) in &life.wakes {
            if is_over(polled_at.0) {
                let delay = u64::try_from(polled_at.0.saturating_sub(woken_at.0)).unwrap_or(0);
                scheduled.iter_mut().for_each(|scheduled| scheduled.add(delay));
            }
        }
        Self {
            polls: polls.as_ref().and_then(Lengths::message),
            scheduled: scheduled.as_ref().and_then(Lengths::message),
        }
    }

    pub(super) fn message(self, task: u64, now: UnixNanos) -> TaskDetails {
        TaskDetails {
            task_id: Some(api::Id { id: task }),
            now: map::instant(now),
            poll_times_histogram: self.polls.map(PollTimesHistogram::Histogram),
            scheduled_times_histogram: self.scheduled,
        }
    }
}
