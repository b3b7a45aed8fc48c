//! Readings over time.

use loopd_model::UnixNanos;
use loopd_store::Reader;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::Params;
use super::range::Range;
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process};

/// `GET /api/v1/metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsView {
    /// Of which metric.
    pub name: String,
    /// The beginning of the first step.
    pub t0: UnixNanosText,
    /// How long a step is, in nanoseconds.
    pub step: u64,
    /// One for each loop and worker that has readings.
    pub series: Vec<MetricSeries>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricSeries {
    /// Of which loop; `0` for the process.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// Of which worker; null where it belongs to none.
    pub worker: Option<u32>,
    /// The last reading in each step; null where there is none.
    pub values: Vec<Option<f64>>,
}

/// Which readings to show.
#[derive(Clone, Debug)]
pub struct MetricFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Of which metric.
    pub name: String,
    /// From when; an hour before `to`, or the start of the process, if not given.
    pub from: Option<UnixNanos>,
    /// Until when; the end of the data if not given.
    pub to: Option<UnixNanos>,
    /// In how many steps.
    pub points: u64,
}

const DEFAULT_POINTS: u64 = 120;
/// More points than a screen has pixels are of no use.
const MAX_POINTS: u64 = 4_000;
const DEFAULT_RANGE: u64 = 3_600_000_000_000;

impl Described for MetricFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, needed_text, number, process};
        vec![
            process(),
            needed_text(
                "name",
                "Which metric, as in `rss_bytes`; the view `metrics` in SQL has all names.",
            ),
            instant(
                "from",
                "The beginning; an hour before `to`, or the start of the process, if not given.",
            ),
            instant("to", "The end; the end of the data if not given."),
            number("points", DEFAULT_POINTS, 1, MAX_POINTS, "In how many steps."),
        ]
    }
}

impl MetricFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 5] = ["process", "name", "from", "to", "points"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let Some(name) = params.text("name") else {
            return Err(ViewError::Invalid("`name` is missing, as in name=rss_bytes".into()));
        };
        Ok(Self {
            process: params.parsed("process")?,
            name: name.to_owned(),
            from: params.instant("from")?,
            to: params.instant("to")?,
            points: params.between("points", DEFAULT_POINTS, 1, MAX_POINTS)?,
        })
    }
}

/// One metric over a range.
pub async fn metrics(reader: &Reader, filter: &MetricFilter) -> Result<MetricsView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let points = usize::try_from(filter.points).unwrap_or(usize::MAX);
    let series =
        reader.metrics(process.process, &filter.name, range.from, range.to, points).await?;
    Ok(MetricsView {
        name: filter.name.clone(),
        t0: range.from.into(),
        step: (range.length() / filter.points.max(1)).max(1),
        series: series.into_iter().map(MetricSeries::from).collect(),
    })
}

impl From<loopd_store::MetricSeries> for MetricSeries {
    fn from(series: loopd_store::MetricSeries) -> Self {
        Self {
            loop_id: IdText(series.loop_id.0),
            worker: series.worker.map(|worker| worker.0),
            values: series.values,
        }
    }
}
