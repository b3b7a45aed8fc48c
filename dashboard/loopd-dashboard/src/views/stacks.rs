//! The stacks taken in slow polls of a range, each with the time it stands for: what a flame graph is
//! drawn from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use loopd_analysis::runtime::Runtime;
use loopd_analysis::slow::{sites, weights};
use loopd_model::{Running, TaskId, UnixNanos};
use loopd_store::{LaneId, Reader, SampleRow, SlowPoll, SlowQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::region::{lanes, lanes_text};
use super::slow::{Frame, MAX_GROUPED, facts, frames};
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, is_false};

/// `GET /api/v1/stacks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StacksView {
    /// Of which process.
    pub process: i64,
    /// How many slow polls were looked at, the newest of the range.
    pub polls: u64,
    /// In how many of them no stack was taken.
    pub polls_without: u64,
    /// How long those were, in nanoseconds.
    pub time_without: u64,
    /// Sum of the weights of all samples given, in nanoseconds.
    pub weight: u64,
    /// Whether there are more polls or samples, which were left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Different stacks, each leaf first; one without frames was lost.
    pub stacks: Vec<Vec<Frame>>,
    /// When they were taken: polls in the order in which they began, and within a poll by time.
    pub samples: Vec<StackSample>,
}

/// One stack taken in a slow poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StackSample {
    /// When it was taken.
    pub at: UnixNanosText,
    /// When its poll began.
    pub poll_start_at: UnixNanosText,
    /// The task polled.
    pub task: IdText,
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// The part of its poll that it stands for, in nanoseconds: up to half way to its neighbours. All
    /// of a poll add up to its length.
    pub weight: u64,
    /// Whether the thread was computing, as opposed to asleep in the kernel; null if not known.
    pub on_cpu: Option<bool>,
    /// Which of the stacks.
    pub stack: usize,
}

/// Which stacks.
#[derive(Clone, Debug, Default)]
pub struct StackFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Only those taken at or after this.
    pub from: Option<UnixNanos>,
    /// Only those taken before this.
    pub to: Option<UnixNanos>,
    /// Only those in polls of this site, which is named as `GET /api/v1/slow` names it.
    pub location: Option<String>,
    /// Only those in polls of this task.
    pub task: Option<TaskId>,
    /// Only those taken on these workers.
    pub lanes: Option<Vec<LaneId>>,
}

/// So many samples are given, the newest: more are no more to see, and these are two megabytes.
pub const MAX_SAMPLES: usize = 20_000;
/// So many different stacks are given, which is some megabytes as well.
pub const MAX_STACKS: usize = 1_000;

impl Described for StackFilter {
    fn params() -> Vec<Param> {
        use super::described::{id, instant, process, text};
        vec![
            process(),
            instant("from", "Only those taken at or after this."),
            instant("to", "Only those taken before this."),
            text(
                "location",
                "Only those in polls of this site, named as `GET /api/v1/slow` names it.",
            ),
            id("task", "Only those in polls of this task."),
            text("lanes", "Only those on these workers: LOOP.WORKER, several with commas between."),
        ]
    }
}

impl StackFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 6] = ["process", "from", "to", "location", "task", "lanes"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let filter = Self {
            process: params.parsed("process")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            location: params.text("location").map(str::to_owned),
            task: params.parsed("task")?.map(TaskId),
            lanes: params.text("lanes").map(lanes).transpose()?,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from >= to => {
                Err(ViewError::Invalid(format!("`from` ({from}) must be before `to` ({to})")))
            }
            _ => Ok(filter),
        }
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("from", self.from)
            .add("to", self.to)
            .add("location", self.location.as_ref())
            .add("task", self.task.map(|task| task.0))
            .add("lanes", self.lanes.as_deref().map(lanes_text))
    }

    fn is_in(&self, at: UnixNanos) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }
}

/// The stacks taken in slow polls of a process.
///
/// A sample belongs to the range in which it was taken, with all of its weight, so that no part of a
/// poll is in two ranges that follow each other.
pub async fn stacks(reader: &Reader, filter: &StackFilter) -> Result<StacksView, ViewError> {
    let found = find_process(reader, filter.process).await?;
    let (process, runtime) = (found.process, Runtime::of_agent(&found.agent));
    let query = SlowQuery {
        process,
        task: filter.task,
        from: filter.from,
        to: filter.to,
        limit: MAX_GROUPED,
    };
    let slow = reader.slow_polls(&query).await?;
    let mut more = slow.has_more || slow.total > slow.polls.len() as u64;
    let polls = match &filter.location {
        Some(location) => of_site(slow.polls, location, runtime),
        None => slow.polls,
    };
    let is_on = |poll: &SlowPoll| filter.lanes.as_ref().is_none_or(|it| it.contains(&poll.lane));
    let polls: Vec<_> = polls.into_iter().filter(is_on).collect();
    let mut taken = Taken::default();
    let mut samples = polls.iter().flat_map(|poll| of_poll(poll, filter));
    more |= !samples.all(|(sample, row)| taken.has_added(sample, row));
    taken.samples.sort_by_key(|it| (it.poll_start_at, it.loop_id, it.worker, it.at));
    let without = || polls.iter().filter(|poll| poll.samples.is_empty());
    let sum = |sum: u64, length: u64| sum.saturating_add(length);
    Ok(StacksView {
        process: process.0,
        polls: polls.len() as u64,
        polls_without: without().count() as u64,
        time_without: without().map(|poll| poll.length_so_far).fold(0, sum),
        weight: taken.samples.iter().map(|it| it.weight).fold(0, sum),
        more,
        stacks: taken.stacks,
        samples: taken.samples,
    })
}

/// The polls of one site.
fn of_site(polls: Vec<SlowPoll>, location: &str, runtime: Runtime) -> Vec<SlowPoll> {
    let facts: Vec<_> = polls.iter().map(facts).collect();
    let sites = sites(&facts, runtime).into_iter().filter(|site| site.location == location);
    let of_site: HashSet<usize> = sites.flat_map(|site| site.polls).collect();
    let polls = polls.into_iter().enumerate().filter(|(i, _)| of_site.contains(i));
    polls.map(|(_, poll)| poll).collect()
}

/// The samples of a poll that are asked for; which stack each has is not known yet.
fn of_poll<'a>(poll: &'a SlowPoll, filter: &StackFilter) -> Vec<(StackSample, &'a SampleRow)> {
    let taken_at: Vec<_> = poll.samples.iter().map(|sample| sample.at.0).collect();
    let length = i64::try_from(poll.length_so_far).unwrap_or(i64::MAX);
    let weights = weights(poll.start_at.0, poll.start_at.0.saturating_add(length), &taken_at);
    let sample = |(row, weight): (&'a SampleRow, u64)| {
        let sample = StackSample {
            at: row.at.into(),
            poll_start_at: poll.start_at.into(),
            task: IdText(poll.task.0),
            loop_id: IdText(poll.lane.loop_id.0),
            worker: poll.lane.worker.0,
            weight,
            on_cpu: match row.running {
                Running::OnCpu => Some(true),
                Running::OffCpu => Some(false),
                Running::Unknown => None,
            },
            stack: 0,
        };
        (sample, row)
    };
    let samples = poll.samples.iter().zip(weights).filter(|(row, _)| filter.is_in(row.at));
    samples.map(sample).collect()
}

/// What was gathered so far. Stacks that differ in nothing that people see are one.
#[derive(Default)]
struct Taken {
    samples: Vec<StackSample>,
    stacks: Vec<Vec<Frame>>,
    /// The store hands out one value for each stack it has, which is quicker to find.
    by_pointer: HashMap<*const loopd_model::Frame, usize>,
    by_text: HashMap<Vec<Frame>, usize>,
}

impl Taken {
    /// Adds a sample if there is room for it and its stack.
    fn has_added(&mut self, mut sample: StackSample, row: &SampleRow) -> bool {
        let pointer = Arc::as_ptr(&row.frames).cast();
        sample.stack = match self.by_pointer.get(&pointer) {
            Some(&stack) => stack,
            None => self.stack(pointer, frames(&row.frames)),
        };
        let has_room = self.samples.len() < MAX_SAMPLES && sample.stack < MAX_STACKS;
        if has_room {
            self.samples.push(sample);
        }
        has_room
    }

    fn stack(&mut self, pointer: *const loopd_model::Frame, frames: Vec<Frame>) -> usize {
        let next = self.stacks.len();
        let stack = *self.by_text.entry(frames.clone()).or_insert(next);
        if stack == next && next < MAX_STACKS {
            self.stacks.push(frames);
        }
        self.by_pointer.insert(pointer, stack);
        stack
    }
}
