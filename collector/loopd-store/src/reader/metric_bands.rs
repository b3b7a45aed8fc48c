//! Readings over time with their least and most, so that no peak is lost when a chart is narrow.

use loopd_model::{LoopId, UnixNanos};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use super::bounds::SCALE;
use super::metrics::{self, LAST, Steps};
use crate::{MetricBand, MetricStep, ProcessKey, StoreError};

/// So many readings are looked at for one question: some 50 ms.
const MAX_READINGS: usize = 100_000 / SCALE as usize;
/// More series than this are a crowd that no chart shows.
const MAX_SERIES: usize = 64;

/// The readings of a series in one step, latest first.
const IN_STEP: &str = "SELECT value FROM metric INDEXED BY metric_by_lane
    WHERE process = ?1 AND name = ?2 AND loop = ?3 AND worker = ?4 AND at >= ?5 AND at <= ?6
    ORDER BY at DESC LIMIT ?7";

impl Reader {
    /// One metric in `points` even steps from `from` to `to`, with the least and the most of each; of at most
    /// 64 series.
    pub async fn metric_bands(
        &self,
        process: ProcessKey,
        name: &str,
        (from, to): (UnixNanos, UnixNanos),
        points: usize,
    ) -> Result<Vec<MetricBand>, StoreError> {
        let name = name.to_owned();
        let read = move |db: &Connection| bands(db, process.0, &name, (from.0, to.0), points);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the readings of a metric"))
    }
}

fn bands(
    db: &Connection,
    process: i64,
    name: &str,
    (from, to): (i64, i64),
    points: usize,
) -> rusqlite::Result<Vec<MetricBand>> {
    let sql = "SELECT id FROM metric_name WHERE name = ?";
    let known = db.query_row(sql, [name], |row| row.get(0)).optional()?;
    let Some(name) = known else { return Ok(Vec::new()) };
    let steps = Steps::new(from, to, points);
    let lanes = metrics::lanes(db, process, name, MAX_SERIES)?;
    let each = (MAX_READINGS / (points * lanes.len()).max(1)).max(1) as i64;
    let (mut last, mut in_step) = (db.prepare(LAST)?, db.prepare(IN_STEP)?);
    let mut found = Vec::new();
    for (loop_id, worker) in lanes {
        let mut band = MetricBand {
            loop_id: LoopId(loop_id as u64),
            worker: metrics::some(worker),
            ..MetricBand::default()
        };
        let mut before = to;
        // From the end to the beginning, past all steps without a reading.
        while let Some((at, value)) =
            metrics::read_last(&mut last, (process, name, loop_id, worker, before))?
        {
            if at < from {
                band.before = Some((UnixNanos(at), value));
                break;
            }
            let step = steps.of(at);
            before = steps.start(step);
            let key = (process, name, loop_id, worker, before, at, each);
            let mut made = MetricStep {
                step: step as u32,
                at: UnixNanos(at),
                last: value,
                min: value,
                max: value,
            };
            let mut looked_at = 0;
            for value in in_step.query_map(key, |row| row.get::<_, f64>(0))? {
                let value = value?;
                (made.min, made.max) = (made.min.min(value), made.max.max(value));
                looked_at += 1;
            }
            band.is_sampled |= looked_at == each && each > 1;
            band.steps.push(made);
        }
        band.steps.reverse();
        if band.before.is_some() || !band.steps.is_empty() {
            found.push(band);
        }
    }
    Ok(found)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [IN_STEP];
