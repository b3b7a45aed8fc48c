//! One stretch of time on some workers: sums, percentiles, a histogram of the lengths of polls, and the
//! polls themselves.
//!
//! Up to [`MAX_EXACT`] polls all of it comes from the polls and is exact. Of more, or where single polls are
//! no longer kept, sums come from tiles and lengths from roll-ups, and the answer says so. Of one task, which
//! has no tiles, they are those of the polls that can be read.

use loopd_analysis::histogram::Histogram;
use loopd_analysis::tiles::Cell;
use loopd_model::{LoopId, TaskId, UnixNanos, WorkerId};
use loopd_store::{
    LaneId, MAX_TIMELINE_SLOW, ProcessRow, Reader, RegionAnswer, RegionOrder, RegionPoll,
    RegionQuery, RollupStep, Timeline,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs, word};
use super::range::Range;
use super::text::{IdText, UnixNanosText, count_text};
use super::{ViewError, find_process, is_false, words};
use crate::csv::Csv;

/// So many polls are looked at one by one: some tens of megabytes, and a fraction of a second.
pub const MAX_EXACT: usize = 2_000_000;
/// So many polls are listed at most.
pub const MAX_ROWS: usize = 1_000;
const DEFAULT_ROWS: usize = 200;
/// So many lanes can be named.
/// In nanoseconds; longer than anything that was recorded.
const MAX_LENGTH: u64 = i64::MAX as u64;
const MAX_LANES: usize = 512;
/// Buckets from which sums are taken where polls are too many.
const BUCKETS: u32 = 4_000;

/// `GET /api/v1/region`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegionView {
    /// Of which process.
    pub process: i64,
    /// From when on.
    pub from: UnixNanosText,
    /// Before when.
    pub to: UnixNanosText,
    /// Whether every number comes from the polls themselves.
    pub exact: bool,
    /// Why not; null if it is.
    pub why: Option<String>,
    /// How many lanes were asked for: time is shares of all of them.
    pub workers: u64,
    /// Each of them on which something ran.
    pub lanes: Vec<RegionLaneView>,
    /// Polls that overlap the range; of an answer that is not exact, polls that began in it.
    pub polls: u64,
    /// Their lengths, added up, in nanoseconds. What lies outside of the range is in it if the answer is exact.
    pub time: u64,
    /// The time inside of them within the range, in nanoseconds.
    pub busy_time: u64,
    /// The same as a share of the time of all lanes: 0 to 1.
    pub share: f64,
    /// `time` by `polls`; null without polls.
    pub mean: Option<u64>,
    /// The length that half of the polls do not exceed; null if it is not known.
    pub p50: Option<u64>,
    /// That nine of ten do not exceed.
    pub p90: Option<u64>,
    /// That 99 of 100 do not exceed.
    pub p99: Option<u64>,
    /// The longest; null without polls.
    pub max: Option<u64>,
    /// How many are slow.
    pub slow: u64,
    /// Whether there are more slow ones, which were not counted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_slow: bool,
    /// Different tasks; null where that is not known.
    pub tasks: Option<u64>,
    /// Polls that began and of which nobody has seen the end. They are in no other number.
    pub unfinished: u64,
    /// When the earliest poll began, which may be before `from`; null without polls, or if the answer is not exact.
    pub first_start_at: Option<UnixNanosText>,
    /// Polls by length, shortest first, without gaps; empty where lengths are not known.
    pub histogram: Vec<Bar>,
    /// If lengths are known of a part of the range alone, the whole steps in it: their beginning,
    pub lengths_from: Option<UnixNanosText>,
    /// and their end.
    pub lengths_to: Option<UnixNanosText>,
    /// Polls as long as was asked for; null where that is not known.
    pub matching: Option<u64>,
    /// The first of these in the order asked for; if the answer is not exact, of the slowest ones of the range.
    pub rows: Vec<RegionRow>,
}

/// One worker in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionLaneView {
    /// Its loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// That loop's name.
    pub loop_name: String,
    /// Its number.
    pub worker: u32,
    /// Its thread's name.
    pub thread_name: String,
    /// Polls.
    pub polls: u64,
    /// The time inside of them within the range, in nanoseconds.
    pub busy_time: u64,
    /// The longest.
    pub max: u64,
}

/// How many polls took so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// At least so long, in nanoseconds,
    pub from: u64,
    /// and shorter than this; null for all that is longer.
    pub to: Option<u64>,
    /// How many.
    pub polls: u64,
}

/// One poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionRow {
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, in nanoseconds.
    pub length: u64,
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// The task polled.
    pub task: IdText,
    /// Where that task was spawned, `file:line`; null if not seen.
    pub location: Option<String>,
    /// Whether it was slow.
    pub slow: bool,
}

/// Which region, and which of its polls to list.
#[derive(Clone, Debug, Default)]
pub struct RegionFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// From when on; a minute before `to` if not given.
    pub from: Option<UnixNanos>,
    /// Before when; the end of the data if not given.
    pub to: Option<UnixNanos>,
    /// On these lanes; on all if not given.
    pub lanes: Option<Vec<LaneId>>,
    /// Of this task alone.
    pub task: Option<TaskId>,
    /// List only polls at least this long,
    pub min_length: Option<u64>,
    /// and shorter than this.
    pub max_length: Option<u64>,
    /// By what they are ordered.
    pub sort: RegionOrder,
    /// Whether the other way round.
    pub desc: bool,
    /// How many to list.
    pub limit: usize,
}

const DEFAULT_RANGE: u64 = 60_000_000_000;
const ORDERS: &[(&str, RegionOrder)] = &[
    ("start_at", RegionOrder::Start),
    ("length", RegionOrder::Length),
    ("worker", RegionOrder::Lane),
    ("task", RegionOrder::Task),
];

impl Described for RegionFilter {
    fn params() -> Vec<Param> {
        use super::described::{flag, id, instant, number, optional_number, process, text, words};
        vec![
            process(),
            instant("from", "From when on; a minute before `to` if not given."),
            instant("to", "Before when; the end of the data if not given."),
            text(
                "lanes",
                "On these workers: LOOP.WORKER, several with commas between; on all if not given.",
            ),
            id("task", "Of this task alone."),
            optional_number(
                "min_length",
                0,
                MAX_LENGTH,
                "List only polls at least this long, in nanoseconds; of any length if not given.",
            ),
            optional_number(
                "max_length",
                0,
                MAX_LENGTH,
                "List only polls shorter than this, in nanoseconds; of any length if not given.",
            ),
            words("sort", ORDERS, Some("start_at"), "By what the polls are ordered."),
            flag("desc", "Whether the other way round."),
            number("limit", DEFAULT_ROWS as u64, 0, MAX_ROWS as u64, "How many polls to list."),
        ]
    }
}

impl RegionFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 10] = [
        "process",
        "from",
        "to",
        "lanes",
        "task",
        "min_length",
        "max_length",
        "sort",
        "desc",
        "limit",
    ];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            lanes: params.text("lanes").map(lanes).transpose()?,
            task: params.parsed("task")?.map(TaskId),
            min_length: length(params, "min_length")?,
            max_length: length(params, "max_length")?,
            sort: params.one_of("sort", ORDERS)?.unwrap_or_default(),
            desc: params.flag("desc")?,
            limit: params.between("limit", DEFAULT_ROWS, 0, MAX_ROWS)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("from", self.from)
            .add("to", self.to)
            .add("lanes", self.lanes.as_deref().map(lanes_text))
            .add("task", self.task.map(|task| task.0))
            .add("min_length", self.min_length)
            .add("max_length", self.max_length)
            .add("sort", word(ORDERS, self.sort))
            .add("desc", self.desc.then_some(1))
            .add("limit", Some(self.limit))
    }
}

fn length(params: &Params, name: &str) -> Result<Option<u64>, ViewError> {
    params.text(name).map(|_| params.between(name, 0, 0, MAX_LENGTH)).transpose()
}

/// Reads `LOOP.WORKER,LOOP.WORKER…`.
pub(crate) fn lanes(text: &str) -> Result<Vec<LaneId>, ViewError> {
    let lane = |text: &str| {
        let (loop_id, worker) = text.split_once('.')?;
        Some(LaneId {
            loop_id: LoopId(loop_id.parse().ok()?),
            worker: WorkerId(worker.parse().ok()?),
        })
    };
    let lanes: Option<Vec<_>> = text.split(',').take(MAX_LANES + 1).map(lane).collect();
    match lanes {
        Some(lanes) if lanes.len() <= MAX_LANES => Ok(lanes),
        Some(_) => Err(ViewError::Invalid(format!("`lanes` names more than {MAX_LANES} workers"))),
        None => Err(ViewError::Invalid(format!(
            "`lanes` must be LOOP.WORKER, several with commas between, not {text:?}"
        ))),
    }
}

/// Writes it.
pub(crate) fn lanes_text(lanes: &[LaneId]) -> String {
    let lanes = lanes.iter().map(|lane| format!("{}.{}", lane.loop_id.0, lane.worker.0));
    lanes.collect::<Vec<_>>().join(",")
}

const GONE: &str = "single polls of a part of this range are no longer kept";
const DAMAGED: &str = "single polls of a part of this range are damaged";

/// What ran in a stretch of time on some workers.
pub async fn region(reader: &Reader, filter: &RegionFilter) -> Result<RegionView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let query = RegionQuery {
        process: process.process,
        from: range.from,
        to: range.to,
        lanes: filter.lanes.clone(),
        task: filter.task,
        limit: MAX_EXACT,
        min_length: filter.min_length.unwrap_or(0),
        max_length: filter.max_length.unwrap_or(u64::MAX),
        order: filter.sort,
        is_descending: filter.desc,
        rows: filter.limit,
    };
    let is_gone = reader.polls_gone_until(process.process, range.from).await?.is_some();
    // The finest tiles go with the polls, and would agree that there were none.
    let timeline = match is_gone {
        true => reader.lasting_timeline(process.process, range.from, range.to, BUCKETS).await?,
        false => reader.timeline(process.process, range.from, range.to, BUCKETS).await?,
    };
    let whole = Whole::of(&timeline, &query);
    let mut view = RegionView::new(&process, &query, &whole);
    if query.task.is_some() {
        // What a task did is in no tile: there is nothing to fall back to but what can be read.
        let region = match reader.region(query).await? {
            RegionAnswer::Exact(region) => region,
            RegionAnswer::Damaged(region) => {
                view.why = Some(DAMAGED.to_owned());
                region
            }
            RegionAnswer::Gone(region) => {
                view.why = Some(GONE.to_owned());
                region
            }
            RegionAnswer::TooMany => {
                let sentence = "there are more polls in it than are searched for those of one task; \
                                choose a shorter range";
                return Err(ViewError::Invalid(sentence.to_owned()));
            }
        };
        view.fill_polls(&timeline, region);
        return Ok(view);
    }
    let too_many =
        || format!("there are more than {} polls to look at", count_text(MAX_EXACT as u64));
    view.why = Some(if is_gone {
        GONE.to_owned()
    } else if whole.polls > MAX_EXACT as u64 {
        too_many()
    } else {
        match reader.region(query.clone()).await? {
            RegionAnswer::Exact(region)
                if region.lengths.len() as u64 + region.unfinished >= whole.inside =>
            {
                view.fill_polls(&timeline, region);
                return Ok(view);
            }
            RegionAnswer::Exact(_) | RegionAnswer::Gone(_) => GONE.to_owned(),
            RegionAnswer::Damaged(_) => DAMAGED.to_owned(),
            RegionAnswer::TooMany => too_many(),
        }
    });
    view.fill_sums(&timeline, &query, &whole);
    view.add_lengths(reader, &query, process.started_at).await?;
    view.add_slowest(reader, &process, &query).await?;
    Ok(view)
}

/// What tiles say of the lanes asked for.
struct Whole {
    workers: u64,
    polls: u64,
    /// Polls that began in buckets that lie in the range with all of their length.
    inside: u64,
}

impl Whole {
    fn of(timeline: &Timeline, query: &RegionQuery) -> Self {
        let mut whole = Self { workers: 0, polls: 0, inside: 0 };
        for lane in timeline.lanes.iter().filter(|lane| query.has(lane.lane)) {
            whole.workers += 1;
            for (place, cell) in &lane.cells {
                whole.polls = whole.polls.saturating_add(cell.polls);
                if part_of(timeline, *place, query) >= 1.0 {
                    whole.inside = whole.inside.saturating_add(cell.polls);
                }
            }
        }
        whole
    }
}

/// Which part of a bucket lies in the range.
fn part_of(timeline: &Timeline, place: u32, query: &RegionQuery) -> f64 {
    let step = i64::try_from(timeline.step).unwrap_or(i64::MAX);
    let start = timeline.from_at.0.saturating_add(i64::from(place).saturating_mul(step));
    let end = start.saturating_add(step).min(query.to.0);
    end.saturating_sub(start.max(query.from.0)).max(0) as f64 / step.max(1) as f64
}

impl RegionView {
    fn new(process: &ProcessRow, query: &RegionQuery, whole: &Whole) -> Self {
        Self {
            process: process.process.0,
            from: query.from.into(),
            to: query.to.into(),
            exact: false,
            why: None,
            workers: whole.workers,
            lanes: Vec::new(),
            polls: 0,
            time: 0,
            busy_time: 0,
            share: 0.0,
            mean: None,
            p50: None,
            p90: None,
            p99: None,
            max: None,
            slow: 0,
            more_slow: false,
            tasks: None,
            unfinished: 0,
            first_start_at: None,
            histogram: Vec::new(),
            lengths_from: None,
            lengths_to: None,
            matching: None,
            rows: Vec::new(),
        }
    }

    fn fill_polls(&mut self, timeline: &Timeline, region: loopd_store::Region) {
        self.exact = self.why.is_none();
        for it in &region.lanes {
            self.time = self.time.saturating_add(it.time);
            self.slow += it.slow;
            let mut lane = named(timeline, it.lane);
            (lane.polls, lane.busy_time, lane.max) = (it.polls, it.busy_time, it.max);
            self.add_lane(lane);
        }
        let lengths = &region.lengths;
        // The smallest that at least such a share of all do not exceed, as in SQL.
        let quantile = |q: f64| {
            let rank = ((q * lengths.len() as f64).ceil() as usize).max(1);
            lengths.get(rank - 1).copied()
        };
        (self.p50, self.p90, self.p99) = (quantile(0.5), quantile(0.9), quantile(0.99));
        self.histogram = bars(lengths.iter().map(|&length| (length, 1)));
        self.tasks = Some(region.tasks);
        self.unfinished = region.unfinished;
        self.first_start_at = region.first_start_at.map(Into::into);
        self.matching = Some(region.matching);
        self.rows = region.rows.iter().map(RegionRow::from).collect();
        self.finish();
    }

    fn fill_sums(&mut self, timeline: &Timeline, query: &RegionQuery, whole: &Whole) {
        for lane in timeline.lanes.iter().filter(|lane| query.has(lane.lane)) {
            let mut sum = named(timeline, lane.lane);
            let (mut polls, mut busy) = (0.0, 0.0);
            for (place, cell) in &lane.cells {
                let part = part_of(timeline, *place, query);
                polls += cell.polls as f64 * part;
                busy += busy_of(cell) as f64 * part;
                if part > 0.0 {
                    sum.max = sum.max.max(cell.max);
                }
            }
            (sum.polls, sum.busy_time) = (polls.round() as u64, busy.round() as u64);
            self.time = self.time.saturating_add(sum.busy_time);
            if sum.polls > 0 || sum.busy_time > 0 {
                self.add_lane(sum);
            }
        }
        let slow = timeline.slow.iter().filter(|slow| query.has(slow.lane));
        // Buckets reach beyond the range.
        let is_in = |at: i64, length: u64| {
            let end = at.saturating_add(i64::try_from(length).unwrap_or(i64::MAX));
            at < query.to.0 && end > query.from.0
        };
        self.slow = slow.filter(|slow| is_in(slow.start_at.0, slow.length)).count() as u64;
        self.more_slow = timeline.slow.len() >= MAX_TIMELINE_SLOW;
        self.workers = whole.workers;
        self.finish();
    }

    fn add_lane(&mut self, lane: RegionLaneView) {
        self.polls = self.polls.saturating_add(lane.polls);
        self.busy_time = self.busy_time.saturating_add(lane.busy_time);
        self.max = self.max.max((lane.polls > 0).then_some(lane.max));
        self.lanes.push(lane);
    }

    fn finish(&mut self) {
        self.mean = self.time.checked_div(self.polls);
        let length = self.to.0.abs_diff(self.from.0).saturating_mul(self.workers.max(1));
        self.share = (self.busy_time as f64 / length.max(1) as f64).min(1.0);
    }

    /// Lengths by roll-ups, which know no workers: of all of them only.
    async fn add_lengths(
        &mut self,
        reader: &Reader,
        query: &RegionQuery,
        started_at: UnixNanos,
    ) -> Result<(), ViewError> {
        if query.lanes.is_some() {
            return Ok(());
        }
        let range = query.to.0.abs_diff(query.from.0);
        let steps =
            [(RollupStep::TenSeconds, 10), (RollupStep::Minute, 60), (RollupStep::Hour, 3_600)];
        let mut found: Vec<Lengths> = Vec::new();
        for (step, seconds) in steps {
            let length = seconds * 1_000_000_000_i64;
            let from = query.from.0.div_euclid(length).saturating_add(1).saturating_mul(length);
            let from = if query.from.0.rem_euclid(length) == 0 { query.from.0 } else { from };
            let to = query.to.0.div_euclid(length).saturating_mul(length);
            // Many steps cost more than they tell.
            if from >= to || range / length.unsigned_abs() > 2_000 {
                continue;
            }
            let cells =
                reader.rollups(query.process, (UnixNanos(from), UnixNanos(to)), step, None).await?;
            let mut lengths = Histogram::default();
            cells.iter().for_each(|cell| lengths.merge(&cell.cell.polls));
            let Some(first) = cells.iter().map(|cell| cell.start_at.0).min() else { continue };
            let last = cells.iter().map(|cell| cell.start_at.0).max().unwrap_or(first);
            if lengths.count() == 0 {
                continue;
            }
            found.push(Lengths { step: length, first, end: last.saturating_add(length), lengths });
            if found.last().is_some_and(|it| it.has_all_since(query.from.max(started_at))) {
                break;
            }
        }
        let Some(Lengths { first, end, lengths, .. }) = best(found, query.from.max(started_at))
        else {
            return Ok(());
        };
        self.lengths_from = Some(UnixNanosText(first));
        self.lengths_to = Some(UnixNanosText(end));
        (self.p50, self.p90, self.p99) =
            (lengths.quantile(0.5), lengths.quantile(0.9), lengths.quantile(0.99));
        self.histogram = bars(lengths.buckets());
        Ok(())
    }

    async fn add_slowest(
        &mut self,
        reader: &Reader,
        process: &ProcessRow,
        query: &RegionQuery,
    ) -> Result<(), ViewError> {
        let slowest = reader.slowest_polls(query.process, query.from, query.to, MAX_ROWS).await?;
        let is_wanted = |poll: &&loopd_store::SlowestPoll| {
            query.has(poll.lane) && (query.min_length..query.max_length).contains(&poll.length)
        };
        let rows = slowest.iter().filter(is_wanted).map(|poll| RegionPoll {
            lane: poll.lane,
            start_at: poll.start_at,
            length: poll.length,
            task: poll.task,
            is_slow: poll.length >= process.slow_threshold,
            location: None,
            place: None,
        });
        let mut rows: Vec<_> = rows.collect();
        reader.order_polls(query, &mut rows).await?;
        self.rows = rows.iter().map(RegionRow::from).collect();
        Ok(())
    }
}

/// What roll-ups of one level say of the lengths of polls.
struct Lengths {
    step: i64,
    /// When the first step with polls begins,
    first: i64,
    /// and the last one ends.
    end: i64,
    lengths: Histogram,
}

impl Lengths {
    /// Short steps are not kept for long: they are all there if they begin with the range.
    fn has_all_since(&self, from: UnixNanos) -> bool {
        self.first <= from.0.saturating_add(self.step)
    }
}

/// The finest that has the whole range; if none has, the finest of those that reach back furthest.
fn best(mut found: Vec<Lengths>, from: UnixNanos) -> Option<Lengths> {
    let whole = found.iter().position(|it| it.has_all_since(from));
    let furthest = || (0..found.len()).min_by_key(|&at| found[at].first);
    let at = whole.or_else(furthest)?;
    Some(found.swap_remove(at))
}

fn named(timeline: &Timeline, lane: LaneId) -> RegionLaneView {
    let known = timeline.lanes.iter().find(|known| known.lane == lane);
    RegionLaneView {
        loop_id: IdText(lane.loop_id.0),
        loop_name: known.map(|known| known.loop_name.clone()).unwrap_or_default(),
        worker: lane.worker.0,
        thread_name: known.map(|known| known.thread_name.clone()).unwrap_or_default(),
        polls: 0,
        busy_time: 0,
        max: 0,
    }
}

fn busy_of(cell: &Cell) -> u64 {
    cell.busy.iter().fold(0, |sum, &busy| sum.saturating_add(busy))
}

/// Where bars begin: 1, 2 and 5 of every decade from 100 ns to 100 s, after one for all that is shorter.
fn bounds() -> impl Iterator<Item = u64> {
    let decades = (2..=11).map(|decade| 10_u64.pow(decade));
    std::iter::once(0).chain(decades.flat_map(|unit| [unit, 2 * unit, 5 * unit]))
}

/// Counts lengths, each with how often it is there. Empty bars at both ends are left out.
fn bars(lengths: impl Iterator<Item = (u64, u64)>) -> Vec<Bar> {
    let bounds: Vec<u64> = bounds().collect();
    let mut counts = vec![0_u64; bounds.len()];
    for (length, n) in lengths {
        let place = bounds.partition_point(|&bound| bound <= length) - 1;
        counts[place] = counts[place].saturating_add(n);
    }
    let (Some(first), Some(last)) =
        (counts.iter().position(|&n| n > 0), counts.iter().rposition(|&n| n > 0))
    else {
        return Vec::new();
    };
    let bar =
        |at: usize| Bar { from: bounds[at], to: bounds.get(at + 1).copied(), polls: counts[at] };
    (first..=last).map(bar).collect()
}

impl From<&RegionPoll> for RegionRow {
    fn from(poll: &RegionPoll) -> Self {
        Self {
            start_at: poll.start_at.into(),
            length: poll.length,
            loop_id: IdText(poll.lane.loop_id.0),
            worker: poll.lane.worker.0,
            task: IdText(poll.task.0),
            location: poll.place.as_ref().map(words::place),
            slow: poll.is_slow,
        }
    }
}

/// The polls as a table.
pub fn csv(view: &RegionView) -> Csv {
    let mut csv = Csv::new(["start_at", "length", "loop", "worker", "task", "location", "slow"]);
    for row in &view.rows {
        csv.row([
            row.start_at.to_string(),
            row.length.to_string(),
            row.loop_id.to_string(),
            row.worker.to_string(),
            row.task.to_string(),
            row.location.clone().unwrap_or_default(),
            u8::from(row.slow).to_string(),
        ]);
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_no_gaps_and_no_empty_ends() {
        let bar = |from, to, polls| Bar { from, to: Some(to), polls };
        let of = |lengths: &[u64]| bars(lengths.iter().map(|&length| (length, 1)));
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[99]), [bar(0, 100, 1)]);
        assert_eq!(
            of(&[1_000, 1_999, 5_000]),
            [bar(1_000, 2_000, 2), bar(2_000, 5_000, 0), bar(5_000, 10_000, 1)]
        );
        let longest = of(&[u64::MAX]);
        assert_eq!(longest, [Bar { from: 500_000_000_000, to: None, polls: 1 }]);
    }

    #[test]
    fn lengths_are_of_the_whole_range_where_some_step_has_it() {
        const SECOND: i64 = 1_000_000_000;
        let check = |from: i64, firsts: &[(i64, i64)], wanted: Option<i64>| {
            let found = firsts.iter().map(|&(step, first)| Lengths {
                step: step * SECOND,
                first: first * SECOND,
                end: 20_000 * SECOND,
                lengths: Histogram::default(),
            });
            let chosen = best(found.collect(), UnixNanos(from * SECOND));
            assert_eq!(chosen.map(|it| it.step / SECOND), wanted, "{from} {firsts:?}");
        };
        check(0, &[], None);
        check(0, &[(10, 0), (60, 0)], Some(10));
        // Of five hours those of ten seconds have the last.
        check(0, &[(10, 14_400), (60, 0), (3_600, 0)], Some(60));
        check(5, &[(10, 10), (60, 60)], Some(10));
        // Nothing ran at first.
        check(0, &[(10, 5_000), (60, 4_980), (3_600, 7_200)], Some(60));
    }

    #[test]
    fn workers_are_read_as_they_are_written() {
        let text = "1.0,1.12,18446744073709551615.3";
        assert_eq!(lanes_text(&lanes(text).unwrap()), text);
        for wrong in ["1", "a.b", "1.0,", "1.0;1.1", "-1.0"] {
            let error = lanes(wrong).unwrap_err().to_string();
            assert!(error.starts_with("`lanes` must be LOOP.WORKER"), "{error}");
        }
        let many = vec!["1.0"; MAX_LANES + 1].join(",");
        assert!(lanes(&many).unwrap_err().to_string().contains("more than 512"));
    }
}
