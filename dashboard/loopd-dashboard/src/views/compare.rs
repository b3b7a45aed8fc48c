//! Two ranges side by side, of one process or of two: what became slower, what is found in one only, and
//! every place of the program with the figures of both.

use loopd_analysis::compare::{self, Comparison};
use loopd_analysis::findings::Facts;
use loopd_model::UnixNanos;
use loopd_store::{ProcessKey, ProcessRow, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::findings::{Finding, Namer};
use super::params::{Params, QueryPairs};
use super::text::UnixNanosText;
use super::{ViewError, find_process};
use crate::csv::{Csv, optional};

/// `GET /api/v1/compare`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompareView {
    /// The first range, which counts as before.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Places that became slower, fail more often, or run far more or less often.
    pub changes: Vec<Finding>,
    /// Found in the second range only.
    pub new: Vec<Finding>,
    /// Found in the first range only.
    pub gone: Vec<Finding>,
    /// Found in both, as in the second.
    pub lasting: Vec<Finding>,
    /// Every place: those whose share of busy time differs most come first.
    pub sites: Vec<SiteRow>,
}

/// One of the ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CompareSide)]
pub struct Side {
    /// The process.
    pub process: i64,
    /// What people call the program.
    pub app: String,
    /// Its version; empty if it did not say.
    pub app_version: String,
    /// The beginning of the range.
    pub from: UnixNanosText,
    /// Its end.
    pub to: UnixNanosText,
}

/// One spawn location in both ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CompareSite)]
pub struct SiteRow {
    /// `file:line`.
    pub location: String,
    /// Whether it is where a callback is defined, rather than where tasks are spawned.
    pub is_callback: bool,
    /// In the first range; null if nothing of it ran there.
    pub a: Option<Figures>,
    /// In the second.
    pub b: Option<Figures>,
}

/// What the tasks of one spawn location did in a range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SiteFigures)]
pub struct Figures {
    /// Tasks spawned a minute.
    pub spawned_per_min: f64,
    /// Polls a second; null where single polls are not captured.
    pub polls_per_sec: Option<f64>,
    /// Time inside polls as a share of the range; 1 keeps one worker busy.
    pub busy_share: f64,
    /// Nanoseconds that half of the polls do not exceed; null without polls.
    pub poll_p50: Option<u64>,
    /// Nanoseconds that 99 of 100 polls do not exceed.
    pub poll_p99: Option<u64>,
    /// Nanoseconds of the longest poll; null where single polls are not captured.
    pub poll_max: Option<u64>,
    /// Nanoseconds from wake to poll that 99 of 100 do not exceed; null where no wakes were seen.
    pub wake_p99: Option<u64>,
    /// Tasks that panicked or raised; null where it is not captured how tasks end.
    pub failed: Option<u64>,
}

/// Which ranges to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompareFilter {
    /// The first: process, beginning and end; the whole recording if not given.
    pub a: RangeOf,
    /// The second.
    pub b: RangeOf,
}

/// A process, and a range of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeOf {
    /// The process.
    pub process: i64,
    /// From then on.
    pub from: Option<UnixNanos>,
    /// Up to then.
    pub to: Option<UnixNanos>,
}

impl Described for CompareFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, process_named};
        vec![
            process_named("a", "The process of the first range, which counts as before."),
            instant(
                "a_from",
                "The beginning of the first range; that of its recording if not given.",
            ),
            instant("a_to", "The end of the first range; that of its recording if not given."),
            process_named("b", "The process of the second range, which may be the same."),
            instant(
                "b_from",
                "The beginning of the second range; that of its recording if not given.",
            ),
            instant("b_to", "The end of the second range; that of its recording if not given."),
        ]
    }
}

impl CompareFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 6] = ["a", "a_from", "a_to", "b", "b_from", "b_to"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let side = |process: &str, from: &str, to: &str| {
            let Some(number) = params.parsed(process)? else {
                return Err(ViewError::Invalid(format!("`{process}` must name a process")));
            };
            let range =
                RangeOf { process: number, from: params.instant(from)?, to: params.instant(to)? };
            match (range.from, range.to) {
                (Some(first), Some(last)) if first >= last => Err(ViewError::Invalid(format!(
                    "`{from}` ({first}) must be before `{to}` ({last})"
                ))),
                _ => Ok(range),
            }
        };
        Ok(Self { a: side("a", "a_from", "a_to")?, b: side("b", "b_from", "b_to")? })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        let Self { a, b } = self;
        let pairs = QueryPairs::default().add("a", Some(a.process));
        let pairs = pairs.add("a_from", a.from).add("a_to", a.to).add("b", Some(b.process));
        pairs.add("b_from", b.from).add("b_to", b.to)
    }
}

/// Compares two ranges.
pub async fn compare(reader: &Reader, filter: &CompareFilter) -> Result<CompareView, ViewError> {
    let (a, facts_of_a) = side(reader, filter.a).await?;
    let (b, facts_of_b) = side(reader, filter.b).await?;
    let found = compare::compare(&facts_of_a, &facts_of_b, &name_of_first(&a, &b));
    let Comparison { changes, new, gone, lasting, sites } = found;
    let in_a = Namer::new(reader, &facts_of_a, a.process).await?;
    let in_b = Namer::new(reader, &facts_of_b, b.process).await?;
    Ok(CompareView {
        changes: changes.into_iter().map(|it| in_b.finding(it)).collect(),
        new: new.into_iter().map(|it| in_b.finding(it)).collect(),
        gone: gone.into_iter().map(|it| in_a.finding(it)).collect(),
        lasting: lasting.into_iter().map(|(_, it)| in_b.finding(it)).collect(),
        sites: sites.into_iter().map(SiteRow::from).collect(),
        a: Side::new(&a, &facts_of_a),
        b: Side::new(&b, &facts_of_b),
    })
}

async fn side(reader: &Reader, range: RangeOf) -> Result<(ProcessRow, Facts), ViewError> {
    let process = find_process(reader, Some(range.process)).await?;
    let facts = reader.facts(ProcessKey(range.process), range.from, range.to).await?;
    Ok((process, facts.ok_or(ViewError::NoProcess { process: range.process })?))
}

/// As in "not 2 ms as in *version 1.4*".
fn name_of_first(a: &ProcessRow, b: &ProcessRow) -> String {
    if a.process == b.process {
        "the first range".into()
    } else if a.app == b.app && a.app_version != b.app_version && !a.app_version.is_empty() {
        format!("version {}", a.app_version)
    } else {
        format!("{} (process {})", a.app, a.process.0)
    }
}

impl Side {
    fn new(process: &ProcessRow, facts: &Facts) -> Self {
        Self {
            process: process.process.0,
            app: process.app.clone(),
            app_version: process.app_version.clone(),
            from: facts.from.into(),
            to: facts.to.into(),
        }
    }
}

impl From<compare::SiteRow> for SiteRow {
    fn from(row: compare::SiteRow) -> Self {
        Self {
            location: row.location,
            is_callback: row.is_callback,
            a: row.a.map(Figures::from),
            b: row.b.map(Figures::from),
        }
    }
}

impl From<compare::Figures> for Figures {
    fn from(it: compare::Figures) -> Self {
        Self {
            spawned_per_min: it.spawned_per_min,
            polls_per_sec: it.polls_per_sec,
            busy_share: it.busy_share,
            poll_p50: it.poll_p50,
            poll_p99: it.poll_p99,
            poll_max: it.poll_max,
            wake_p99: it.wake_p99,
            failed: it.failed,
        }
    }
}

/// The places as comma-separated values.
pub fn csv(view: &CompareView) -> Csv {
    let mut csv = Csv::new([
        "location",
        "a_busy_share",
        "b_busy_share",
        "a_polls_per_sec",
        "b_polls_per_sec",
        "a_poll_p50",
        "b_poll_p50",
        "a_poll_p99",
        "b_poll_p99",
        "a_wake_p99",
        "b_wake_p99",
        "a_failed",
        "b_failed",
    ]);
    for row in &view.sites {
        let (a, b) = (row.a, row.b);
        csv.row([
            row.location.as_str(),
            &optional(a.map(|it| it.busy_share)),
            &optional(b.map(|it| it.busy_share)),
            &optional(a.and_then(|it| it.polls_per_sec)),
            &optional(b.and_then(|it| it.polls_per_sec)),
            &optional(a.and_then(|it| it.poll_p50)),
            &optional(b.and_then(|it| it.poll_p50)),
            &optional(a.and_then(|it| it.poll_p99)),
            &optional(b.and_then(|it| it.poll_p99)),
            &optional(a.and_then(|it| it.wake_p99)),
            &optional(b.and_then(|it| it.wake_p99)),
            &optional(a.and_then(|it| it.failed)),
            &optional(b.and_then(|it| it.failed)),
        ]);
    }
    csv
}
