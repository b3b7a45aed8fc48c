//! What the agent of one process costs, what it was asked for, and how much of what it recorded
//! arrived.

use loopd_analysis::capture::Capture;
use loopd_model::{RecordKind, UnixNanos};
use loopd_store::{CauseRow, LedgerRow, MetricRow, ProcessRow, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::process::Coverage;
use super::settings::{self, SettingsState};
use super::{ViewError, find_process};

/// `GET /api/v1/processes/{process}/agent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Of which process.
    pub process: i64,
    /// What it is asked to capture, and what is in force.
    pub settings: SettingsState,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
    /// What it costs the program.
    pub cost: Cost,
    /// How late the reports come of a program that is read as console snapshots; null of any other, and
    /// before the first report.
    pub reporting: Option<Reporting>,
    /// What became of what it recorded, one line for each kind of record.
    pub ledger: Vec<LedgerLine>,
    /// The share, 0 to 1, that is stored of all records whose fate is known; null when there are
    /// none. Records on their way are not counted.
    pub captured_share: Option<f64>,
}

/// What an agent costs its program. Null where it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AgentCost)]
pub struct Cost {
    /// Processor time of its own threads over the last minute of data, as a share of one processor.
    /// What recording costs the program's own threads is not in it.
    pub cpu_share: Option<f64>,
    /// The same since the start, in nanoseconds.
    pub cpu_nanos: Option<u64>,
    /// Bytes sent since the start.
    pub sent_bytes: Option<u64>,
    /// Bytes sent per second over the last minute of data.
    pub sent_bytes_per_s: Option<f64>,
    /// Memory that it holds now, in bytes.
    pub memory_bytes: Option<u64>,
}

/// How late the reports of a program's `console-subscriber` come. It reports about once a second, so a
/// second is no delay. Where program and reader run on different machines, the difference of their clocks
/// is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reporting {
    /// How old the oldest news of the last report was when it was read, in nanoseconds.
    pub lag: u64,
    /// The most over the last minute of data.
    pub max_lag: u64,
}

/// `produced = stored + dropped + in_flight`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AgentLedgerLine)]
pub struct LedgerLine {
    /// Of what.
    pub kind: String,
    /// Recorded by the agent so far, as far as it told.
    pub produced: u64,
    /// Stored here.
    pub stored: u64,
    /// What will never arrive: dropped by the agent, or lost on the way or here.
    pub dropped: u64,
    /// Recorded and not here yet.
    pub in_flight: u64,
    /// Why it was dropped, most first. They may sum up to less than `dropped`: losses are kept for
    /// a shorter time than their sum.
    pub by_cause: Vec<CauseCount>,
}

/// How much was dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CauseCount {
    /// The reason.
    pub cause: String,
    /// How many records.
    pub count: u64,
}

/// Rates are those of the last minute of data.
const RATE_RANGE: u64 = 60_000_000_000;
/// A step is as long as the agent's interval between readings.
const RATE_STEPS: usize = 60;

/// How the agent of a process is doing.
pub async fn agent(reader: &Reader, process: i64) -> Result<AgentView, ViewError> {
    let row = find_process(reader, Some(process)).await?;
    let settings = settings::stored(reader, process).await?;
    let ledger = reader.ledger(row.process).await?;
    let causes = reader.losses_by_cause(row.process).await?;
    let ledger: Vec<_> = ledger.iter().map(|row| LedgerLine::new(row, &causes)).collect();
    Ok(AgentView {
        process,
        settings: SettingsState::new(&settings, &settings::asked(reader, process).await?),
        coverage: settings.coverage.into_iter().map(Coverage::from).collect(),
        cost: cost(reader, &row).await?,
        reporting: reporting(reader, &row).await?,
        captured_share: captured_share(&ledger),
        ledger,
    })
}

async fn cost(reader: &Reader, process: &ProcessRow) -> Result<Cost, ViewError> {
    let latest = reader.latest_metrics(process.process).await?;
    let reading = |name: &str| latest.iter().find(|row| row.name == name && row.loop_id.is_none());
    let whole = |name: &str| reading(name).map(|row| row.value.max(0.0) as u64);
    Ok(Cost {
        cpu_share: match reading("agent_cpu_nanos") {
            Some(last) => rate(reader, process, last).await?.map(|nanos_per_s| nanos_per_s / 1e9),
            None => None,
        },
        cpu_nanos: whole("agent_cpu_nanos"),
        sent_bytes: whole("agent_sent_bytes"),
        sent_bytes_per_s: match reading("agent_sent_bytes") {
            Some(last) => rate(reader, process, last).await?,
            None => None,
        },
        memory_bytes: whole("agent_memory_bytes"),
    })
}

/// The metric by which `loopd attach` tells how late the reports are.
const REPORTING_LAG: &str = "console_lag_nanos";

async fn reporting(reader: &Reader, process: &ProcessRow) -> Result<Option<Reporting>, ViewError> {
    if Capture::of_agent(&process.agent) != Capture::ConsoleSnapshots {
        return Ok(None);
    }
    let latest = reader.latest_metrics(process.process).await?;
    let Some(last) = latest.iter().find(|row| row.name == REPORTING_LAG) else { return Ok(None) };
    let end = UnixNanos(last.at.0.saturating_add(1));
    let from = UnixNanos(end.0.saturating_sub_unsigned(RATE_RANGE).max(process.started_at.0));
    let series = reader.metrics(process.process, REPORTING_LAG, from, end, RATE_STEPS).await?;
    let values = series.iter().flat_map(|series| series.values.iter().flatten());
    let max = values.fold(last.value, |max, value| max.max(*value));
    let nanos = |value: f64| value.max(0.0) as u64;
    Ok(Some(Reporting { lag: nanos(last.value), max_lag: nanos(max) }))
}

/// How fast a running total rises per second, up to its last reading.
async fn rate(
    reader: &Reader,
    process: &ProcessRow,
    last: &MetricRow,
) -> Result<Option<f64>, ViewError> {
    let end = UnixNanos(last.at.0.saturating_add(1));
    let from = UnixNanos(end.0.saturating_sub_unsigned(RATE_RANGE).max(process.started_at.0));
    let series = reader.metrics(process.process, &last.name, from, end, RATE_STEPS).await?;
    let of_process = series.iter().find(|series| series.loop_id.is_none());
    let values = of_process.map(|series| &series.values[..]).unwrap_or_default();
    Ok(rise(values, end.0.abs_diff(from.0), last.value))
}

/// The rise per second from the first reading to `last` at the end of `length`. A total that has
/// one reading only has risen since the beginning.
fn rise(values: &[Option<f64>], length: u64, last: f64) -> Option<f64> {
    let seconds = length as f64 / 1e9;
    let step = seconds / values.len().max(1) as f64;
    let first = values.iter().position(Option::is_some)?;
    let left = (values.len() - 1 - first) as f64 * step;
    let (risen, time) = match values[first] {
        Some(value) if left > 0.0 => (last - value, left),
        _ => (last, seconds),
    };
    (time > 0.0).then(|| (risen / time).max(0.0))
}

fn captured_share(ledger: &[LedgerLine]) -> Option<f64> {
    let sum = |of: fn(&LedgerLine) -> u64| ledger.iter().map(of).fold(0, u64::saturating_add);
    let (stored, dropped) = (sum(|line| line.stored), sum(|line| line.dropped));
    let known = stored.saturating_add(dropped);
    (known > 0).then(|| stored as f64 / known as f64)
}

impl LedgerLine {
    fn new(row: &LedgerRow, causes: &[CauseRow]) -> Self {
        let dropped = row.dropped.saturating_add(row.lost);
        let of_kind = |cause: &&CauseRow| cause.kind == row.kind && cause.count > 0;
        let count =
            |row: &CauseRow| CauseCount { cause: row.cause.as_str().into(), count: row.count };
        Self {
            kind: RecordKind::as_str(row.kind).into(),
            produced: row.produced,
            stored: row.stored,
            dropped,
            in_flight: row.produced.saturating_sub(row.stored).saturating_sub(dropped),
            by_cause: causes.iter().filter(of_kind).map(count).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_between_the_first_reading_and_the_last() {
        let second = 1_000_000_000;
        let values = [None, Some(10.0), None, Some(30.0)];
        assert_eq!(rise(&values, 4 * second, 30.0), Some(10.0));
        assert_eq!(rise(&[None, None], 2 * second, 8.0), None);
        assert_eq!(rise(&[None, Some(8.0)], 2 * second, 8.0), Some(4.0), "since the beginning");
        assert_eq!(rise(&[], 2 * second, 8.0), None);
        assert_eq!(rise(&[Some(9.0), Some(8.0)], 2 * second, 8.0), Some(0.0), "never falls");
    }

    #[test]
    fn the_captured_share_leaves_out_what_is_on_its_way() {
        let line = |produced, stored, dropped| LedgerLine {
            kind: "poll".into(),
            produced,
            stored,
            dropped,
            in_flight: produced - stored - dropped,
            by_cause: Vec::new(),
        };
        assert_eq!(captured_share(&[line(500, 90, 10), line(0, 0, 0)]), Some(0.9));
        assert_eq!(captured_share(&[line(500, 0, 0)]), None);
    }
}
