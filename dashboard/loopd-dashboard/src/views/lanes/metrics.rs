//! Readings over time with their least and most, and which there are.

use std::collections::BTreeMap;

use loopd_model::UnixNanos;
use loopd_store::{MetricBand, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DEFAULT_RANGE, DEFAULT_WIDTH, MAX_WIDTH};
use crate::views::described::{Described, Param};
use crate::views::params::Params;
use crate::views::range::Range;
use crate::views::text::{IdText, UnixNanosText};
use crate::views::{ViewError, find_process, is_false};

/// `GET /api/v1/lanes/metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricLaneView {
    /// The beginning of the first step.
    pub t0: UnixNanosText,
    /// The end of the last one.
    pub t1: UnixNanosText,
    /// In how many even steps the stretch is cut.
    pub steps: u64,
    /// In the order that was asked for.
    pub metrics: Vec<MetricBands>,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricBands {
    /// Its name.
    pub name: String,
    /// One for each loop and worker that has readings.
    pub series: Vec<BandSeries>,
}

/// One line of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BandSeries {
    /// Of which loop; `0` for the process.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// Of which worker; null where it belongs to none.
    pub worker: Option<u32>,
    /// When the last reading before the stretch was taken, in nanoseconds after `t0`, and what it was; null if
    /// there is none.
    #[schema(value_type = Option<[f64; 2]>)]
    pub before: Option<(i64, f64)>,
    /// Which steps have readings.
    pub i: Vec<u64>,
    /// When the last reading of each was taken: nanoseconds after `t0`.
    pub at: Vec<i64>,
    /// What it was.
    pub last: Vec<f64>,
    /// The least of each step.
    pub min: Vec<f64>,
    /// The most.
    pub max: Vec<f64>,
    /// Whether some steps had more readings than were looked at; absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sampled: bool,
}

/// `GET /api/v1/lanes/metric-names`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricNamesView {
    /// By name.
    pub metrics: Vec<MetricName>,
}

/// A metric that has readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricName {
    /// Its name.
    pub name: String,
    /// Of how many loops and workers.
    pub series: u64,
}

/// Which readings to show.
#[derive(Clone, Debug)]
pub struct MetricLaneFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Of which metrics.
    pub names: Vec<String>,
    /// From when; a minute before `to` if not given.
    pub from: Option<UnixNanos>,
    /// Until when; the end of the data if not given.
    pub to: Option<UnixNanos>,
    /// In how many steps.
    pub width: u32,
}

/// What is drawn on one lane: so many metrics at once.
const MAX_NAMES: usize = 8;

impl Described for MetricLaneFilter {
    fn params() -> Vec<Param> {
        use crate::views::described::{instant, needed_text, number, process};
        vec![
            process(),
            needed_text("names", "Of which metrics, at most eight with commas between."),
            instant("from", "From when on; a minute before `to` if not given."),
            instant("to", "Until when; the end of the data if not given."),
            number("width", DEFAULT_WIDTH.into(), 1, MAX_WIDTH.into(), "In how many steps."),
        ]
    }
}

impl MetricLaneFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 5] = ["process", "names", "from", "to", "width"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let Some(names) = params.text("names") else {
            let sentence = "`names` is missing, as in names=rss_bytes,open_fds";
            return Err(ViewError::Invalid(sentence.into()));
        };
        let names: Vec<_> = names.split(',').map(str::to_owned).collect();
        if names.len() > MAX_NAMES {
            let sentence = format!("`names` may have {MAX_NAMES} names, not {}", names.len());
            return Err(ViewError::Invalid(sentence));
        }
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(ViewError::Invalid(format!("`names` has {name:?} twice")));
        }
        Ok(Self {
            process: params.parsed("process")?,
            names,
            from: params.instant("from")?,
            to: params.instant("to")?,
            width: params.between("width", DEFAULT_WIDTH, 1, MAX_WIDTH)?,
        })
    }
}

/// A few metrics over a stretch of time.
pub async fn metric_lane(
    reader: &Reader,
    filter: &MetricLaneFilter,
) -> Result<MetricLaneView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let (key, stretch) = (process.process, (range.from, range.to));
    let width = filter.width as usize;
    let found = reader.metric_bands(key, &filter.names, stretch, width).await?;
    let metrics = filter.names.iter().zip(&found.metrics).map(|(name, bands)| MetricBands {
        name: name.clone(),
        series: bands.iter().map(|band| BandSeries::new(band, range.from)).collect(),
    });
    let metrics = metrics.collect();
    let (t0, t1) = (range.from.into(), range.to.into());
    Ok(MetricLaneView { t0, t1, steps: found.steps as u64, metrics })
}

/// Which metrics a process has.
pub async fn metric_names(
    reader: &Reader,
    process: Option<i64>,
) -> Result<MetricNamesView, ViewError> {
    let process = find_process(reader, process).await?.process;
    let mut names = BTreeMap::<String, u64>::new();
    for row in reader.latest_metrics(process).await? {
        *names.entry(row.name).or_default() += 1;
    }
    let metrics = names.into_iter().map(|(name, series)| MetricName { name, series });
    Ok(MetricNamesView { metrics: metrics.collect() })
}

impl BandSeries {
    fn new(band: &MetricBand, t0: UnixNanos) -> Self {
        let after = |at: UnixNanos| at.0.saturating_sub(t0.0);
        Self {
            loop_id: IdText(band.loop_id.0),
            worker: band.worker.map(|worker| worker.0),
            before: band.before.map(|(at, value)| (after(at), value)),
            i: band.steps.iter().map(|step| u64::from(step.step)).collect(),
            at: band.steps.iter().map(|step| after(step.at)).collect(),
            last: band.steps.iter().map(|step| step.last).collect(),
            min: band.steps.iter().map(|step| step.min).collect(),
            max: band.steps.iter().map(|step| step.max).collect(),
            sampled: band.is_sampled,
        }
    }
}
