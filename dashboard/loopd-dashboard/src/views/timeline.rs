//! What every worker did between two instants: summed up in buckets, or poll by poll where that
//! is little enough.

use std::collections::BTreeMap;

use loopd_analysis::tiles::Cell;
use loopd_model::UnixNanos;
use loopd_store::{LaneId, ProcessRow, Reader, Scene, SlowSpan, SpanRow, Spans, TimelineLane};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::losses::Loss;
use super::params::Params;
use super::range::Range;
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, words};

/// `GET /api/v1/timeline`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineView {
    /// The beginning of the first bucket, at or before the range asked for.
    pub t0: UnixNanosText,
    /// The end of the last bucket.
    pub t1: UnixNanosText,
    /// How long a bucket is, in nanoseconds.
    pub step: u64,
    /// The zoom level of the buckets.
    pub level: u8,
    /// Whether lanes also hold single polls and parks.
    pub exact: bool,
    /// From when data of the process is stored.
    pub data_from: UnixNanosText,
    /// Up to when.
    pub data_to: UnixNanosText,
    /// One for each worker, by loop and number.
    pub lanes: Vec<Lane>,
    /// Slow polls in range, oldest first.
    pub slow: Vec<SlowMark>,
    /// Losses that touch the range.
    pub losses: Vec<Loss>,
    /// With exact lanes, the spawn locations that their polls name: id to `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub locations: Option<BTreeMap<IdText, String>>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lane {
    /// Its loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// That loop's name.
    pub loop_name: String,
    /// Its number.
    pub worker: u32,
    /// Its thread's name.
    pub thread_name: String,
    /// When a thread last became this worker; absent if not known. Where polls are before it, another thread was the
    /// worker until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_at: Option<UnixNanosText>,
    /// When it stopped; absent while it runs, or if not known. From its start to its end, where nothing was lost, it
    /// was idle whenever it ran no poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stopped_at: Option<UnixNanosText>,
    /// Its buckets.
    pub cells: Cells,
    /// Its polls, if the timeline is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub polls: Option<Polls>,
    /// Its parks, if the timeline is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parks: Option<Parks>,
}

/// The buckets in which something happened, column by column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cells {
    /// Which bucket, from `t0`.
    pub i: Vec<u64>,
    /// Nanoseconds spent in polls under 100 µs.
    pub b0: Vec<u64>,
    /// In polls from there to under 1 ms.
    pub b1: Vec<u64>,
    /// In polls from there to under 10 ms.
    pub b2: Vec<u64>,
    /// In longer polls.
    pub b3: Vec<u64>,
    /// The longest poll that overlaps it.
    pub max: Vec<u64>,
    /// Polls that begin in it.
    pub n: Vec<u64>,
}

/// Polls, column by column, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Polls {
    /// When each began: nanoseconds after `t0`, negative if before.
    pub s: Vec<i64>,
    /// How long it took, in nanoseconds.
    pub d: Vec<u64>,
    /// The task polled.
    pub t: Vec<IdText>,
    /// Where that task was spawned; `0` if not known.
    pub l: Vec<IdText>,
}

/// Parks, column by column, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parks {
    /// When each began: nanoseconds after `t0`, negative if before.
    pub s: Vec<i64>,
    /// How long it took, in nanoseconds.
    pub d: Vec<u64>,
}

/// A slow poll on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlowMark {
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, or has taken so far; in nanoseconds.
    pub length: u64,
    /// The task polled.
    pub task: IdText,
    /// Whether it has not ended.
    pub running: bool,
}

/// Which stretch of time to show.
#[derive(Clone, Debug, Default)]
pub struct TimelineFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// From when; a minute before `to` if not given.
    pub from: Option<UnixNanos>,
    /// Until when; the end of the data if not given.
    pub to: Option<UnixNanos>,
    /// How many pixels there are to fill: no more buckets than that.
    pub width: u32,
}

const DEFAULT_RANGE: u64 = 60_000_000_000;
const DEFAULT_WIDTH: u32 = 1_200;
/// Wider than any screen that one timeline fills.
const MAX_WIDTH: u32 = 4_000;
/// Up to this many single polls are sent: about a megabyte of JSON, drawn in a few milliseconds.
pub(super) const MAX_EXACT: usize = 20_000;

impl Described for TimelineFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, number, process};
        vec![
            process(),
            instant(
                "from",
                "The beginning; a minute before `to`, or the start of the process, if not given.",
            ),
            instant("to", "The end; the end of the data if not given."),
            number(
                "width",
                u64::from(DEFAULT_WIDTH),
                1,
                u64::from(MAX_WIDTH),
                "How many pixels there are to fill: no more buckets than that.",
            ),
        ]
    }
}

impl TimelineFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 4] = ["process", "from", "to", "width"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            width: params.between("width", DEFAULT_WIDTH, 1, MAX_WIDTH)?,
        })
    }
}

/// What every worker did in a stretch of time.
pub async fn timeline(reader: &Reader, filter: &TimelineFilter) -> Result<TimelineView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let range = (range.from, range.to);
    let scene = reader.scene(process.process, range, filter.width, MAX_EXACT).await?;
    Ok(TimelineView::new(&process, &scene))
}

impl TimelineView {
    pub(super) fn new(process: &ProcessRow, scene: &Scene) -> Self {
        let timeline = &scene.timeline;
        let mut slow: Vec<_> = timeline.slow.iter().map(SlowMark::from).collect();
        slow.sort_by_key(|mark| mark.start_at);
        let mut view = Self {
            t0: timeline.from_at.into(),
            t1: timeline.to_at.into(),
            step: timeline.step,
            level: timeline.level,
            exact: false,
            data_from: timeline.data_from.unwrap_or(process.started_at).into(),
            data_to: timeline.data_to.unwrap_or(process.last_at).into(),
            lanes: timeline.lanes.iter().map(Lane::from).collect(),
            slow,
            losses: timeline.losses.iter().copied().map(Loss::from).collect(),
            locations: None,
        };
        if let Some((polls, parks)) = &scene.spans {
            view.add_exact(timeline.from_at, polls, parks);
        }
        view
    }

    fn add_exact(&mut self, t0: UnixNanos, polls: &Spans, parks: &Spans) {
        let places = polls.places.values();
        let places = places.map(|place| (IdText(place.id.0), words::place(place)));
        self.locations = Some(places.collect());
        for lane in &mut self.lanes {
            let spans = lane_spans(polls, lane);
            lane.polls = Some(Polls {
                s: offsets(spans, t0),
                d: spans.iter().map(|span| span.length).collect(),
                t: spans.iter().map(|span| IdText(span.task.0)).collect(),
                l: spans.iter().map(|span| location_of(polls, span)).collect(),
            });
            let spans = lane_spans(parks, lane);
            let lengths = spans.iter().map(|span| span.length).collect();
            lane.parks = Some(Parks { s: offsets(spans, t0), d: lengths });
        }
        self.exact = true;
    }
}

fn lane_spans<'a>(spans: &'a Spans, lane: &Lane) -> &'a [SpanRow] {
    let is_it = |id: LaneId| id.loop_id.0 == lane.loop_id.0 && id.worker.0 == lane.worker;
    spans.lanes.iter().find(|spans| is_it(spans.lane)).map_or(&[], |spans| &spans.spans)
}

fn offsets(spans: &[SpanRow], t0: UnixNanos) -> Vec<i64> {
    spans.iter().map(|span| span.start_at.0.saturating_sub(t0.0)).collect()
}

fn location_of(polls: &Spans, span: &SpanRow) -> IdText {
    polls.places.get(&span.location).map_or(IdText(0), |place| IdText(place.id.0))
}

impl From<&TimelineLane> for Lane {
    fn from(lane: &TimelineLane) -> Self {
        Self {
            loop_id: IdText(lane.lane.loop_id.0),
            loop_name: lane.loop_name.clone(),
            worker: lane.lane.worker.0,
            thread_name: lane.thread_name.clone(),
            started_at: lane.started_at.map(UnixNanosText::from),
            stopped_at: lane.stopped_at.map(UnixNanosText::from),
            cells: Cells::new(&lane.cells),
            polls: None,
            parks: None,
        }
    }
}

impl Cells {
    fn new(cells: &[(u32, Cell)]) -> Self {
        let class = |class: usize| cells.iter().map(|(_, cell)| cell.busy[class]).collect();
        Self {
            i: cells.iter().map(|(i, _)| u64::from(*i)).collect(),
            b0: class(0),
            b1: class(1),
            b2: class(2),
            b3: class(3),
            max: cells.iter().map(|(_, cell)| cell.max).collect(),
            n: cells.iter().map(|(_, cell)| cell.polls).collect(),
        }
    }
}

impl From<&SlowSpan> for SlowMark {
    fn from(span: &SlowSpan) -> Self {
        Self {
            loop_id: IdText(span.lane.loop_id.0),
            worker: span.lane.worker.0,
            start_at: span.start_at.into(),
            length: span.length,
            task: IdText(span.task.0),
            running: span.is_running,
        }
    }
}
