//! One process at a glance: a verdict, what it rests on, and how the process is doing.

use loopd_analysis::capture::Capture;
use loopd_analysis::runtime::Runtime;
use loopd_model::{LoopId, UnixNanos};
use loopd_store::{ProcessRow, Reader, Timeline};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::findings::{self, FindingFilter};
use super::process::Process;
use super::range::Range;
use super::text::UnixNanosText;
use super::{ViewError, find_process, is_false, verdict};

/// `GET /api/v1/overview`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OverviewView {
    /// The process.
    pub process: Process,
    /// One sentence about it.
    pub verdict: Verdict,
    /// What is wrong, worst first; what was lost comes before everything else. Of the last hour of data.
    pub headlines: Vec<Headline>,
    /// How much there is beside that is worth knowing.
    pub worth_knowing: u64,
    /// How it is doing now, or did last.
    pub health: Health,
    /// How it has been doing.
    pub series: Series,
}

/// One sentence about a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// How bad it is.
    pub level: Level,
    /// The sentence.
    pub sentence: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = VerdictLevel)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Headline {
    /// The rule that found it.
    pub rule: String,
    /// How serious it is.
    pub level: findings::Level,
    /// What and where, in one sentence.
    pub sentence: String,
    /// `file:line`; empty if there is none.
    pub location: String,
    /// The finding, on its page.
    pub href: String,
    /// Harm that it did, in nanoseconds; null where that is not known.
    pub weight_ns: Option<u64>,
    /// How often it was seen.
    pub count: u64,
}

/// How a process is doing, over the last minute of its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Share of the workers' time spent in polls, 0 to 1; null where single polls are not captured.
    pub busy_share: Option<f64>,
    /// Polls per second; null likewise.
    pub polls_per_s: Option<f64>,
    /// Tasks that have not ended, as far as they were counted.
    pub tasks_alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_tasks_alive: bool,
    /// The longest poll, in nanoseconds; null likewise.
    pub worst_poll: Option<u64>,
    /// Records that will never arrive, since the start.
    pub lost: u64,
    /// Resident memory, in bytes; null if not measured.
    pub rss_bytes: Option<u64>,
    /// Open file descriptors; null if not measured.
    pub open_fds: Option<u64>,
}

/// Evenly spaced readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// The beginning of the first step.
    pub t0: UnixNanosText,
    /// How long a step is, in nanoseconds.
    pub step: u64,
    /// Polls per second; 0 as well where single polls are not captured.
    pub polls: Vec<f64>,
    /// Share of the workers' time spent in polls, 0 to 1.
    pub busy: Vec<f64>,
    /// Tasks alive at the end of each step; null where that is not known.
    pub tasks_alive: Vec<Option<u64>>,
    /// How long the agent waited for Python's global lock each time that it asked for it, as any other
    /// thread would, in nanoseconds; absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gil_wait: Vec<Option<f64>>,
    /// Share of time spent in Python's garbage collector, in which no other thread runs Python; absent
    /// where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gc_share: Vec<Option<f64>>,
}

/// What happened this long before the end of the data counts for the verdict.
const VERDICT_RANGE: u64 = 3_600_000_000_000;
/// The same in the address of a page.
const VERDICT_LAST: &str = "1h";
const MINUTE: i64 = 60_000_000_000;
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
    // Whole minutes are added up of roll-ups alone.
    let from = range.from.0.div_euclid(MINUTE) * MINUTE;
    let from = UnixNanos(from.max(row.started_at.0.min(range.from.0)));
    let filter = FindingFilter { from: Some(from), to: None };
    let counted = [row.process];
    let (counts, (facts, view), health, series) = tokio::try_join!(
        async { Ok::<_, ViewError>(reader.counts(&counted).await?.pop().unwrap_or_default()) },
        findings::of_process(reader, row.process, &filter),
        health(reader, &row),
        series(reader, &row),
    )?;
    let health = Health {
        tasks_alive: counts.tasks_alive,
        more_tasks_alive: counts.has_more_alive,
        ..health
    };

    let process = Process::new(row, counts);
    let page = format!("/findings?process={}&last={VERDICT_LAST}", process.process);
    let headlines = verdict::headlines(&view, &page);
    let has_slow_polls = !facts.slow_polls.is_empty();
    let verdict = verdict::verdict(&process, &view, &headlines, has_slow_polls);
    let worth_knowing = view.worth_knowing().count() as u64;
    Ok(OverviewView { process, verdict, headlines, worth_knowing, health, series })
}

/// Without its tasks, which are counted meanwhile.
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
    let has_polls = Capture::of_agent(&process.agent) == Capture::Records;
    let busy = share(busy, open_workers(process, &timeline), range.length() as f64);
    let worst = cells().map(|cell| cell.max).max().unwrap_or(0);
    Ok(Health {
        busy_share: has_polls.then_some(busy),
        polls_per_s: has_polls.then_some(polls as f64 / seconds),
        tasks_alive: 0,
        more_tasks_alive: false,
        worst_poll: has_polls.then_some(worst),
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
    let (gil_wait, gc_share) = interpreter(reader, process, range, step).await?;
    Ok(Series {
        t0: range.from.into(),
        step,
        polls: polls.iter().map(|polls| polls * 1e9 / step as f64).collect(),
        busy: busy.iter().map(|&busy| share(busy, workers, step as f64)).collect(),
        tasks_alive: (0..SERIES_POINTS).map(|i| alive.get(i).copied()).collect(),
        gil_wait,
        gc_share,
    })
}

/// Waits for Python's lock and the share of its garbage collector, step by step; empty where nobody
/// tells.
async fn interpreter(
    reader: &Reader,
    process: &ProcessRow,
    range: Range,
    step: u64,
) -> Result<(Vec<Option<f64>>, Vec<Option<f64>>), ViewError> {
    if Runtime::of_agent(&process.agent) != Runtime::Asyncio {
        return Ok(Default::default());
    }
    // Before the process there was nothing, and its totals began at 0.
    let is_whole = range.from <= process.started_at;
    let totals = async |name| {
        let to = UnixNanos(range.from.0.saturating_add_unsigned(step * SERIES_POINTS as u64));
        let all = reader.metrics(process.process, name, range.from, to, SERIES_POINTS).await?;
        let of_process = all.into_iter().find(|series| series.loop_id.is_none());
        Ok::<_, ViewError>(of_process.map(|series| series.values).unwrap_or_default())
    };
    let (waited, probes) = (totals("gil_wait_nanos").await?, totals("gil_probes").await?);
    let paused = totals("gc_pause_nanos").await?;
    let time: Vec<_> = (1..=paused.len() as u64).map(|i| Some((i * step) as f64)).collect();
    Ok((rises(&waited, &probes, is_whole), rises(&paused, &time, is_whole)))
}

/// By how much one total rises for each 1 that another does, from each reading to the next.
fn rises(total: &[Option<f64>], other: &[Option<f64>], from_zero: bool) -> Vec<Option<f64>> {
    let mut rises = vec![None; total.len()];
    let mut last = from_zero.then_some((0, 0.0, 0.0));
    for (i, readings) in total.iter().zip(other).enumerate() {
        let (Some(total), Some(other)) = readings else { continue };
        if let Some((next, total_before, other_before)) = last
            && *other > other_before
        {
            let rise = ((total - total_before) / (other - other_before)).max(0.0);
            rises[next..=i].fill(Some(rise));
        }
        last = Some((i + 1, *total, *other));
    }
    rises
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
    fn a_rise_holds_from_reading_to_reading_and_is_not_known_beyond() {
        let waited = [None, Some(10.0), None, Some(40.0), None];
        let probes = [None, Some(2.0), None, Some(4.0), None];
        let (five, fifteen) = (Some(5.0), Some(15.0));
        assert_eq!(rises(&waited, &probes, true), [five, five, fifteen, fifteen, None]);
        assert_eq!(rises(&waited, &probes, false), [None, None, fifteen, fifteen, None]);
        assert_eq!(rises(&waited, &[Some(1.0); 5], false), [None; 5], "nothing was probed");
        assert_eq!(rises(&[], &[], true), []);
    }

    #[test]
    fn what_hangs_over_the_edges_is_left_out() {
        let mut points = [0.0; 2];
        spread(&mut points, -10.0, 20.0, 10.0, 2.0);
        spread(&mut points, 15.0, 10.0, 10.0, 2.0);
        assert_eq!(points, [1.0, 1.0]);
    }
}
