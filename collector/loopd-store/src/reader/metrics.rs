//! Readings over time, and the latest of each.

use std::collections::BTreeMap;

use loopd_model::{LoopId, UnixNanos, WorkerId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Reader;
use crate::{MetricRow, MetricSeries, ProcessKey, StoreError};

/// A series is cut into at most so many steps.
const MAX_POINTS: usize = 10_000;
/// A series without a reading for longer than this before its metric's latest has ended.
const STALE: i64 = 10_000_000_000;

impl Reader {
    /// One metric in `points` even steps from `from` to `to`.
    pub async fn metrics(
        &self,
        process: ProcessKey,
        name: &str,
        from: UnixNanos,
        to: UnixNanos,
        points: usize,
    ) -> Result<Vec<MetricSeries>, StoreError> {
        let failed = || StoreError::sqlite("read a metric");
        let sql = "SELECT m.loop, m.worker, m.at, m.value FROM metric m
            JOIN metric_name n ON n.id = m.name
            WHERE m.process = ? AND n.name = ? AND m.at >= ? AND m.at < ? ORDER BY m.at";
        let rows = sqlx::query(sql)
            .bind(process.0)
            .bind(name)
            .bind(from.0)
            .bind(to.0)
            .fetch_all(&self.pool)
            .await
            .map_err(failed())?;
        let points = points.clamp(1, MAX_POINTS);
        let length = to.0.abs_diff(from.0).max(1);
        let mut series: BTreeMap<(i64, i64), Vec<Option<f64>>> = BTreeMap::new();
        for row in &rows {
            let (key, at, value) = reading(row).map_err(failed())?;
            let step = u128::from(at.abs_diff(from.0)) * points as u128 / u128::from(length);
            let values = series.entry(key).or_insert_with(|| vec![None; points]);
            // Rows come in order of time, so the last of a step stays.
            if let Some(place) = values.get_mut(step as usize) {
                *place = Some(value);
            }
        }
        let series = series.into_iter().map(|((loop_id, worker), values)| MetricSeries {
            loop_id: LoopId(loop_id as u64),
            worker: u32::try_from(worker).ok().map(WorkerId),
            values,
        });
        Ok(series.collect())
    }

    /// The latest reading of every metric of a process.
    pub async fn latest_metrics(&self, process: ProcessKey) -> Result<Vec<MetricRow>, StoreError> {
        let failed = || StoreError::sqlite("read the latest metrics");
        let sql = "SELECT n.name, m.loop, m.worker, max(m.at) AS at, m.value FROM metric_name n
            CROSS JOIN metric m ON m.process = ?1 AND m.name = n.id AND m.at >=
                (SELECT max(at) FROM metric WHERE process = ?1 AND name = n.id) - ?2
            GROUP BY n.id, m.loop, m.worker";
        let rows = sqlx::query(sql).bind(process.0).bind(STALE).fetch_all(&self.pool).await;
        let mut latest = Vec::new();
        for row in rows.map_err(failed())? {
            let ((loop_id, worker), at, value) = reading(&row).map_err(failed())?;
            latest.push(MetricRow {
                name: row.try_get("name").map_err(failed())?,
                loop_id: LoopId(loop_id as u64),
                worker: u32::try_from(worker).ok().map(WorkerId),
                at: UnixNanos(at),
                value,
            });
        }
        Ok(latest)
    }
}

fn reading(row: &SqliteRow) -> Result<((i64, i64), i64, f64), sqlx::Error> {
    let series = (row.try_get("loop")?, row.try_get("worker")?);
    Ok((series, row.try_get("at")?, row.try_get("value")?))
}
