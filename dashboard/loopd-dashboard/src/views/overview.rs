//! One process at a glance: a verdict, what it rests on, and how the process is doing.

use loopd_model::{LoopId, UnixNanos};
use loopd_store::{ProcessRow, Reader, Timeline};
use serde::{Deserialize, Serialize};

use super::process::Process;
use super::range::Range;
use super::slow::{self, SlowFilter};
use super::text::UnixNanosText;
use super::{ViewError, find_process, is_false, leaks, verdict};

/// `GET /api/v1/overview`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewView {
    /// The process.
    pub process: Process,
    /// One sentence about it.
    pub verdict: Verdict,
    /// What is wrong, worst first; what was lost comes before everything else.
    pub headlines: Vec<Headline>,
    /// How it is doing now, or did last.
    pub health: Health,
    /// How it has been doing.
    pub series: Series,
}

/// One sentence about a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How bad it is.
    pub level: Level,
    /// The sentence.
    pub sentence: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing was found.
    Ok,
    /// Something to look at.
    Warn,
    /// Something to fix.
    Bad,
    /// Too little was captured to say.
    Incomplete,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// What sort of thing.
    pub kind: HeadlineKind,
    /// What and where, in one sentence.
    pub sentence: String,
    /// `file:line`; empty if there is none.
    pub location: String,
    /// The page that shows more.
    pub href: String,
    /// Time that it cost, in nanoseconds; null where that means nothing.
    pub weight_ns: Option<u64>,
    /// How many of them.
    pub count: u64,
}

/// What sort of thing a headline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadlineKind {
    /// Slow polls of one site.
    Slow,
    /// Tasks of one spawn location that only grow in number.
    TaskLeak,
    /// Resources of one open location that only grow in number, or are never closed.
    ResourceLeak,
    /// Telemetry that was lost.
    Loss,
}

/// How a process is doing, over the last minute of its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Share of the workers' time spent in polls, 0 to 1.
    pub busy_share: f64,
    /// Polls per second.
    pub polls_per_s: f64,
    /// Tasks that have not ended, as far as they were counted.
    pub tasks_alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_tasks_alive: bool,
    /// The longest poll, in nanoseconds.
    pub worst_poll: u64,
    /// Records that will never arrive, since the start.
    pub lost: u64,
    /// Resident memory, in bytes; null if not measured.
    pub rss_bytes: Option<u64>,
    /// Open file descriptors; null if not measured.
    pub open_fds: Option<u64>,
}

/// Evenly spaced readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The beginning of the first step.
    pub t0: UnixNanosText,
    /// How long a step is, in nanoseconds.
    pub step: u64,
    /// Polls per second.
    pub polls: Vec<f64>,
    /// Share of the workers' time spent in polls, 0 to 1.
    pub busy: Vec<f64>,
    /// Tasks alive at the end of each step; null where that is not known.
    pub tasks_alive: Vec<Option<u64>>,
}

/// Slow polls of this long before the end of the data count for the verdict.
const VERDICT_RANGE: u64 = 3_600_000_000_000;
/// Health is that of the last minute.
const HEALTH_RANGE: u64 = 60_000_000_000;
/// The charts show the last ten minutes.
const SERIES_RANGE: u64 = 600_000_000_000;
const SERIES_POINTS: usize = 120;
/// Buckets are spread over the points, so more of them than points make for sharper charts.
const BUCKETS_PER_POINT: u32 = 4;

/// One process at a glance.
pub async fn overview(reader: &Reader, process: Option<i64>) -> Result<OverviewView, ViewError> {
    let row = find_process(reader, process).await?;
    let range = Range::new(&row, None, None, VERDICT_RANGE)?;
    let slow =
        SlowFilter { process: Some(row.process.0), from: Some(range.from), to: None, limit: 1 };
    let slow = slow::slow(reader, &slow).await?;
    let leaks = leaks::leaks(reader, Some(row.process.0)).await?;
    let losses = reader.losses(row.process).await?;
    let health = health(reader, &row).await?;
    let series = series(reader, &row).await?;

    let process = Process::from(row);
    let headlines = verdict::headlines(&process, &slow, &leaks, &losses);
    let verdict = verdict::verdict(&process, &headlines);
    Ok(OverviewView { process, verdict, headlines, health, series })
}

async fn health(reader: &Reader, process: &ProcessRow) -> Result<Health, ViewError> {
    const BUCKETS: u32 = 240;
    let range = Range::new(process, None, None, HEALTH_RANGE)?;
    let timeline = reader.timeline(process.process, range.from, range.to, BUCKETS).await?;
    let cells = || timeline.lanes.iter().flat_map(|lane| lane.cells.iter().map(|(_, cell)| cell));
    let seconds = range.length() as f64 / 1e9;
    let polls = cells().fold(0, |sum: u64, cell| sum.saturating_add(cell.polls));
    let metrics = reader.latest_metrics(process.process).await?;
    let reading = |name: &str| {
        let row = metrics.iter().find(|row| row.name == name && row.loop_id.is_none())?;
        (row.value >= 0.0).then_some(row.value as u64)
    };
    let busy = buckets(&timeline).map(|bucket| bucket.busy).sum::<f64>();
    Ok(Health {
        busy_share: share(busy, open_workers(process, &timeline), range.length() as f64),
        polls_per_s: polls as f64 / seconds,
        tasks_alive: process.totals.tasks_alive,
        more_tasks_alive: process.totals.has_more_alive,
        worst_poll: cells().map(|cell| cell.max).max().unwrap_or(0),
        lost: process.totals.lost,
        rss_bytes: reading("rss_bytes"),
        open_fds: reading("open_fds"),
    })
}

async fn series(reader: &Reader, process: &ProcessRow) -> Result<Series, ViewError> {
    let range = Range::new(process, None, None, SERIES_RANGE)?;
    let step = range.length().div_ceil(SERIES_POINTS as u64).max(1);
    let buckets_asked = SERIES_POINTS as u32 * BUCKETS_PER_POINT;
    let timeline = reader.timeline(process.process, range.from, range.to, buckets_asked).await?;
    let (mut polls, mut busy) = ([0.0; SERIES_POINTS], [0.0; SERIES_POINTS]);
    for bucket in buckets(&timeline) {
        let start = bucket.start_at.saturating_sub(range.from.0) as f64;
        spread(&mut polls, start, timeline.step as f64, step as f64, bucket.polls);
        spread(&mut busy, start, timeline.step as f64, step as f64, bucket.busy);
    }
    let ends: Vec<_> = (1..=SERIES_POINTS as u64)
        .map(|i| UnixNanos(range.from.0.saturating_add_unsigned(i.saturating_mul(step))))
        .collect();
    let alive = reader.tasks_alive_at(process.process, &ends).await?;
    let workers = open_workers(process, &timeline);
    Ok(Series {
        t0: range.from.into(),
        step,
        polls: polls.iter().map(|polls| polls * 1e9 / step as f64).collect(),
        busy: busy.iter().map(|&busy| share(busy, workers, step as f64)).collect(),
        tasks_alive: (0..SERIES_POINTS).map(|i| alive.get(i).copied()).collect(),
    })
}

/// One bucket of one lane.
struct Bucket {
    start_at: i64,
    polls: f64,
    busy: f64,
}

fn buckets(timeline: &Timeline) -> impl Iterator<Item = Bucket> + '_ {
    timeline.lanes.iter().flat_map(|lane| &lane.cells).map(|(i, cell)| Bucket {
        start_at: timeline
            .from_at
            .0
            .saturating_add_unsigned(u64::from(*i).saturating_mul(timeline.step)),
        polls: cell.polls as f64,
        busy: cell.busy.iter().map(|&nanos| nanos as f64).sum(),
    })
}

/// Adds `amount`, evenly spread from `start` over `width`, to the points it overlaps. What lies
/// before the first or behind the last is left out.
fn spread(points: &mut [f64], start: f64, width: f64, step: f64, amount: f64) {
    let end = start + width;
    let first = (start / step).max(0.0) as usize;
    let last = ((end / step).ceil().max(0.0) as usize).min(points.len());
    for (i, point) in points.iter_mut().enumerate().take(last).skip(first) {
        let (from, to) = (i as f64 * step, (i + 1) as f64 * step);
        let overlap = (end.min(to) - start.max(from)).max(0.0);
        *point += amount * overlap / width;
    }
}

/// Workers that share the load: those of loops that are still open, or of all when none is.
fn open_workers(process: &ProcessRow, timeline: &Timeline) -> usize {
    let is_open = |id: LoopId| {
        process.loops.iter().any(|known| known.loop_id == id && known.closed_at.is_none())
    };
    match timeline.lanes.iter().filter(|lane| is_open(lane.lane.loop_id)).count() {
        0 => timeline.lanes.len(),
        open => open,
    }
}

/// The share of so many workers' time, 0 to 1.
fn share(busy: f64, workers: usize, length: f64) -> f64 {
    if workers == 0 || length <= 0.0 {
        return 0.0;
    }
    (busy / (workers as f64 * length)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_keeps_the_amount_inside_the_points() {
        let mut points = [0.0; 4];
        spread(&mut points, 5.0, 20.0, 10.0, 2.0);
        assert_eq!(points, [0.5, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn what_hangs_over_the_edges_is_left_out() {
        let mut points = [0.0; 2];
        spread(&mut points, -10.0, 20.0, 10.0, 2.0);
        spread(&mut points, 15.0, 10.0, 10.0, 2.0);
        assert_eq!(points, [1.0, 1.0]);
    }
}
