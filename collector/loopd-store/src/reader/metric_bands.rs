//! Readings over time with their least and most, so that no peak is lost when a chart is narrow.

use loopd_model::{LoopId, UnixNanos};
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use super::bounds::SCALE;
use super::metrics::{self, LAST, Lane, Steps};
use crate::{MetricBand, MetricBands, MetricStep, ProcessKey, StoreError};

/// So many readings are looked at for one question: some 50 ms.
const MAX_READINGS: usize = 100_000 / SCALE as usize;
/// More series of one metric than this are a crowd that no chart shows.
const MAX_SERIES: usize = 64;
/// Steps are made so long that there is room for this many readings of each: with fewer a peak would be lost
/// as soon as a step has two.
const MIN_EACH: usize = 8;

/// The readings of a series in one step, latest first.
const IN_STEP: &str = "SELECT value FROM metric INDEXED BY metric_by_lane
    WHERE process = ?1 AND name = ?2 AND loop = ?3 AND worker = ?4 AND at >= ?5 AND at <= ?6
    ORDER BY at DESC LIMIT ?7";

impl Reader {
    /// Metrics in at most `points` even steps from `from` to `to`, with the least and the most of each; of at
    /// most 64 series each. Of many series steps are longer.
    pub async fn metric_bands(
        &self,
        process: ProcessKey,
        names: &[String],
        (from, to): (UnixNanos, UnixNanos),
        points: usize,
    ) -> Result<MetricBands, StoreError> {
        let names = names.to_vec();
        let read = move |db: &Connection| read(db, process.0, &names, (from.0, to.0), points);
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the readings of metrics"))
    }
}

fn read(
    db: &Connection,
    process: i64,
    names: &[String],
    range: (i64, i64),
    points: usize,
) -> rusqlite::Result<MetricBands> {
    let mut metrics: Vec<Option<(i64, Vec<Lane>)>> = Vec::new();
    for name in names {
        let sql = "SELECT id FROM metric_name WHERE name = ?";
        let known: Option<i64> = db.query_row(sql, [name], |row| row.get(0)).optional()?;
        metrics.push(match known {
            Some(name) => Some((name, metrics::lanes(db, process, name, MAX_SERIES)?)),
            None => None,
        });
    }
    let series = metrics.iter().flatten().map(|(_, lanes)| lanes.len()).sum::<usize>().max(1);
    let steps = points.clamp(1, MAX_READINGS / MIN_EACH / series);
    let each = (MAX_READINGS / (steps * series)) as i64;
    let bands = metrics.into_iter().map(|metric| match metric {
        Some((name, lanes)) => bands(db, (process, name), lanes, range, (steps, each)),
        None => Ok(Vec::new()),
    });
    Ok(MetricBands { metrics: bands.collect::<rusqlite::Result<_>>()?, steps })
}

fn bands(
    db: &Connection,
    (process, name): (i64, i64),
    lanes: Vec<Lane>,
    (from, to): (i64, i64),
    (points, each): (usize, i64),
) -> rusqlite::Result<Vec<MetricBand>> {
    let steps = Steps::new(from, to, points);
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
            let key = (process, name, loop_id, worker, before, at, each + 1);
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
                looked_at += 1;
                if looked_at > each {
                    band.is_sampled = true;
                    break;
                }
                (made.min, made.max) = (made.min.min(value), made.max.max(value));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (UnixNanos, UnixNanos) = (UnixNanos(0), UnixNanos(1_000_000));

    /// A metric of so many workers, each with so many readings in the range, and a peak in the first of each.
    async fn store(workers: i64, readings: i64) -> (tempfile::TempDir, Reader) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loopd.db");
        let (writer, reader) = crate::open(crate::StoreOptions::new(&path)).await.unwrap();
        writer.close().await.unwrap();
        let mut db = Connection::open(path).unwrap();
        db.execute("INSERT INTO metric_name (id, name) VALUES (1, 'depth')", []).unwrap();
        let all = db.transaction().unwrap();
        for (worker, i) in (0..workers).flat_map(|worker| (0..readings).map(move |i| (worker, i))) {
            let sql = "INSERT INTO metric (process, name, loop, worker, at, value)
                VALUES (1, 1, 1, ?1, ?2, iif(?3 = 0, 1e9, 1.0))";
            all.execute(sql, [worker, i * 1_000_000 / readings, i]).unwrap();
        }
        all.commit().unwrap();
        (directory, reader)
    }

    async fn read(reader: &Reader, points: usize) -> (usize, f64, bool) {
        let names = ["depth".to_owned()];
        let found = reader.metric_bands(ProcessKey(1), &names, RANGE, points).await.unwrap();
        let bands = &found.metrics[0];
        let most = bands.iter().map(|band| band.steps[0].max).fold(f64::INFINITY, f64::min);
        (found.steps, most, bands.iter().any(|band| band.is_sampled))
    }

    #[tokio::test]
    async fn many_series_have_longer_steps_and_keep_their_peaks() {
        let (_directory, reader) = store(8, 500).await;
        let steps = MAX_READINGS / MIN_EACH / 8;
        assert_eq!(read(&reader, 4_000).await, (steps, 1e9, false));
        assert_eq!(read(&reader, 20).await, (20, 1e9, false));
    }

    #[tokio::test]
    async fn a_step_with_more_readings_than_are_looked_at_says_so() {
        let (_directory, reader) = store(1, MAX_READINGS as i64).await;
        assert_eq!(read(&reader, 1).await, (1, 1e9, false), "all of them, and no more");
        assert_eq!(read(&reader, MAX_READINGS).await, (MAX_READINGS / MIN_EACH, 1e9, false));
        let (_directory, reader) = store(1, MAX_READINGS as i64 + 1).await;
        assert_eq!(read(&reader, 1).await, (1, 1.0, true));
    }
}
