//! What blocked the loops: slow polls grouped by the line that made them slow.

use std::collections::BTreeMap;

use loopd_analysis::runtime::Runtime;
use loopd_analysis::slow::{Sample, is_own};
use loopd_model::{EVENT_LOOP_FLAVOR, LoopId, Running, UnixNanos};
use loopd_store::{Reader, SampleRow, SlowQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, is_false, vocabulary, words};
use crate::csv::Csv;

/// `GET /api/v1/slow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowView {
    /// Sum of the lengths of the slow polls in range that were counted, in nanoseconds.
    pub total_time: u64,
    /// How many there are, as far as they were counted: the newest.
    pub polls: u64,
    /// Whether there may be more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// How many of them, the newest, the sites are made of.
    pub grouped: u64,
    /// Where they come from, most harmful first.
    pub sites: Vec<Site>,
    /// The newest of them, newest first.
    pub recent: Vec<SlowPoll>,
}

/// One place that makes polls slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SlowSite)]
pub struct Site {
    /// `file:line` of the first frame in the program's own code, or of the spawn.
    pub location: String,
    /// The function there; empty when found by spawn location.
    pub function: String,
    /// What it was found by: `stack` or `spawn_location`.
    #[schema(value_type = vocabulary::FoundBy)]
    pub by: String,
    /// How many slow polls.
    pub polls: u64,
    /// Sum of their lengths, in nanoseconds.
    pub total_time: u64,
    /// The longest.
    pub max: u64,
    /// The median.
    pub p50: u64,
    /// Samples that found the thread computing.
    pub on_cpu: u64,
    /// Samples that found it asleep in the kernel, there for a file, or without a processor.
    pub off_cpu: u64,
    /// What most samples found it doing: `computing`; `blocked` in a call; asleep until a page of `memory`
    /// was there; ready, without a `processor`. Null if nothing tells.
    #[schema(value_type = Option<vocabulary::SlowDoing>)]
    pub doing: Option<String>,
    /// How many found just that.
    pub found_so: u64,
    /// The system call that samples found it in most often, or `page_fault`; null if in none, or not known.
    pub syscall: Option<String>,
    /// The function most often found running; empty without stacks.
    pub leaf: String,
    /// What to do about it.
    pub advice: String,
    /// Different stacks, most frequent first.
    pub stacks: Vec<SiteStack>,
    /// Some of the polls, longest first.
    pub examples: Vec<SlowPoll>,
}

/// One stack and how often it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SiteStack {
    /// In how many samples.
    pub count: u64,
    /// Leaf first.
    pub frames: Vec<Frame>,
}

/// One frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// Empty if no symbol covers the address.
    pub function: String,
    /// Empty without line tables.
    pub file: String,
    /// 0 without line tables.
    pub line: u32,
    /// Whether it is the program's own code.
    pub own: bool,
}

/// One slow poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowPoll {
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, in nanoseconds; null while it runs.
    pub length: Option<u64>,
    /// How long it is known to have taken, in nanoseconds: up to the last sample while it runs.
    pub length_so_far: u64,
    /// The task polled.
    pub task: IdText,
    /// Where that task was spawned, `file:line`; null if not known.
    pub spawn_location: Option<String>,
    /// How many stacks were taken.
    pub samples: u64,
    /// What the thread was doing in most of them: `on_cpu` or `off_cpu`; null if not known.
    #[schema(value_type = Option<vocabulary::OnCpu>)]
    pub running: Option<String>,
    /// The system call that most of them found it in, as `futex` or `read`; null if in none, or not
    /// known.
    pub syscall: Option<String>,
    /// The last stack taken, leaf first; null if none was.
    pub stack: Option<Vec<Frame>>,
}

/// Which slow polls to look at.
#[derive(Clone, Debug, Default)]
pub struct SlowFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Only those that end at or after this.
    pub from: Option<UnixNanos>,
    /// Only those that begin before this.
    pub to: Option<UnixNanos>,
    /// How many of the newest to list; 0 for [`DEFAULT_RECENT`].
    pub limit: u64,
}

/// How many of the newest are listed if nobody says.
pub const DEFAULT_RECENT: u64 = 50;
/// More carry their stacks through a browser for nothing.
pub const MAX_RECENT: u64 = 500;
/// Sites are made of the newest slow polls, at most this many: enough to rank sites by, and their
/// stacks fit in a few megabytes.
pub const MAX_GROUPED: u64 = 5_000;
/// How many polls are shown of each site.
const EXAMPLES: usize = 5;
/// Frames beyond this are not sent: what matters is near the leaf.
const MAX_FRAMES: usize = 96;

impl Described for SlowFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, number, process};
        vec![
            process(),
            instant("from", "Only those that end at or after this."),
            instant("to", "Only those that begin before this."),
            number(
                "limit",
                DEFAULT_RECENT,
                1,
                MAX_RECENT,
                "How many of the newest to list one by one.",
            ),
        ]
    }
}

impl SlowFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 4] = ["process", "from", "to", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            limit: params.between("limit", DEFAULT_RECENT, 1, MAX_RECENT)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("from", self.from)
            .add("to", self.to)
            .add("limit", Some(self.recent()))
    }

    fn recent(&self) -> u64 {
        if self.limit == 0 { DEFAULT_RECENT } else { self.limit.min(MAX_RECENT) }
    }
}

/// Slow polls of a process, grouped and listed.
pub async fn slow(reader: &Reader, filter: &SlowFilter) -> Result<SlowView, ViewError> {
    let found = find_process(reader, filter.process).await?;
    let (process, runtime) = (found.process, Runtime::of_agent(&found.agent));
    let event_loops = found.loops.iter().filter(|it| it.flavor == EVENT_LOOP_FLAVOR);
    let event_loops: Vec<LoopId> = event_loops.map(|it| it.loop_id).collect();
    let query =
        SlowQuery { process, task: None, from: filter.from, to: filter.to, limit: MAX_GROUPED };
    let found = reader.slow_polls(&query).await?;
    let recent = usize::try_from(filter.recent()).unwrap_or(usize::MAX);
    Ok(SlowView {
        total_time: found.total_time,
        polls: found.total,
        more: found.has_more,
        grouped: found.polls.len() as u64,
        sites: sites(&found.polls, runtime, &event_loops),
        recent: found.polls.iter().take(recent).map(SlowPoll::from).collect(),
    })
}

/// Groups polls by the line that made them slow, most harmful first.
fn sites(polls: &[loopd_store::SlowPoll], runtime: Runtime, event_loops: &[LoopId]) -> Vec<Site> {
    let fact = |poll: &loopd_store::SlowPoll| loopd_analysis::slow::SlowPoll {
        is_event_loop: event_loops.contains(&poll.lane.loop_id),
        ..facts(poll)
    };
    let facts: Vec<_> = polls.iter().map(fact).collect();
    let sites = loopd_analysis::slow::sites(&facts, runtime);
    sites.into_iter().map(|site| Site::new(site, polls)).collect()
}

/// What grouping needs to know of a poll.
pub(crate) fn facts(poll: &loopd_store::SlowPoll) -> loopd_analysis::slow::SlowPoll {
    let sample = |row: &SampleRow| Sample {
        frames: row.frames.clone(),
        running: row.running,
        syscall: row.syscall.clone(),
        wchan: row.wchan.clone(),
    };
    loopd_analysis::slow::SlowPoll {
        length: poll.length_so_far,
        samples: poll.samples.iter().map(sample).collect(),
        spawn_location: poll.spawn_location.as_ref().map(words::place),
        is_event_loop: false,
    }
}

impl Site {
    fn new(site: loopd_analysis::slow::Site, polls: &[loopd_store::SlowPoll]) -> Self {
        let of_site = || site.polls.iter().filter_map(|&i| polls.get(i));
        let examples = of_site().take(EXAMPLES);
        let samples = of_site().flat_map(|poll| &poll.samples);
        let stack = |stack: loopd_analysis::slow::SiteStack| SiteStack {
            count: stack.count,
            frames: frames(&stack.frames),
        };
        Self {
            polls: site.polls.len() as u64,
            examples: examples.map(SlowPoll::from).collect(),
            location: site.location,
            function: site.function,
            by: site.by.as_str().into(),
            total_time: site.total_time,
            max: site.max,
            p50: site.p50,
            on_cpu: site.on_cpu,
            off_cpu: site.off_cpu,
            doing: site.doing.as_str().map(str::to_owned),
            found_so: site.found_so,
            syscall: syscall(samples),
            leaf: site.leaf,
            advice: site.advice,
            stacks: site.stacks.into_iter().map(stack).collect(),
        }
    }
}

impl From<&loopd_store::SlowPoll> for SlowPoll {
    fn from(poll: &loopd_store::SlowPoll) -> Self {
        let stack = poll.samples.iter().rev().find(|sample| !sample.frames.is_empty());
        Self {
            loop_id: IdText(poll.lane.loop_id.0),
            worker: poll.lane.worker.0,
            start_at: poll.start_at.into(),
            length: poll.length,
            length_so_far: poll.length_so_far,
            task: IdText(poll.task.0),
            spawn_location: poll.spawn_location.as_ref().map(words::place),
            samples: poll.samples.len() as u64,
            running: mostly(&poll.samples).map(str::to_owned),
            syscall: syscall(&poll.samples),
            stack: stack.map(|sample| frames(&sample.frames)),
        }
    }
}

/// What the thread was doing in most samples.
fn mostly(samples: &[SampleRow]) -> Option<&'static str> {
    let count = |running| samples.iter().filter(|sample| sample.running == running).count();
    let (on, off) = (count(Running::OnCpu), count(Running::OffCpu));
    match on + off {
        0 => None,
        _ => words::running(if on >= off { Running::OnCpu } else { Running::OffCpu }),
    }
}

/// The system call that is found most often; of equals the first by name.
fn syscall<'a>(samples: impl IntoIterator<Item = &'a SampleRow>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples {
        *counts.entry(&sample.syscall).or_default() += 1;
    }
    counts.remove("");
    let most = counts.into_iter().rev().max_by_key(|&(_, count)| count);
    most.map(|(name, _)| name.to_owned())
}

pub(crate) fn frames(frames: &[loopd_model::Frame]) -> Vec<Frame> {
    let frame = |frame: &loopd_model::Frame| Frame {
        function: frame.function.clone(),
        file: frame.file.clone(),
        line: frame.line,
        own: is_own(frame),
    };
    frames.iter().take(MAX_FRAMES).map(frame).collect()
}

/// The sites as comma-separated values.
pub fn csv(sites: &[Site]) -> Csv {
    let mut csv = Csv::new([
        "location",
        "function",
        "by",
        "polls",
        "total_time",
        "max",
        "p50",
        "on_cpu",
        "off_cpu",
        "doing",
        "syscall",
        "leaf",
        "advice",
    ]);
    for site in sites {
        csv.row([
            site.location.as_str(),
            &site.function,
            &site.by,
            &site.polls.to_string(),
            &site.total_time.to_string(),
            &site.max.to_string(),
            &site.p50.to_string(),
            &site.on_cpu.to_string(),
            &site.off_cpu.to_string(),
            site.doing.as_deref().unwrap_or_default(),
            site.syscall.as_deref().unwrap_or_default(),
            &site.leaf,
            &site.advice,
        ]);
    }
    csv
}
