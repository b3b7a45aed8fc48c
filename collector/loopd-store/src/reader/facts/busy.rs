//! How long each worker was in polls, over a range: from tiles, whose last bucket is put together of single
//! polls.

use std::collections::{BTreeMap, BTreeSet};

use loopd_analysis::findings::{Facts, Series};
use loopd_analysis::tiles::{
    BUCKETS, bucket_of, bucket_width, decode, level_for, long_poll, tile_of,
};
use loopd_model::{LoopId, RecordKind, WorkerId};
use rusqlite::Connection;

use super::Range;
use super::raw::{self, Budget};
use crate::reader::Reader;
use crate::segments::{Wanted, Wants};
use crate::{LaneId, StoreError};

/// Buckets to a step, at least: what lies across the border of two steps is shared out between them.
const PER_STEP: u64 = 4;
/// So many polls longer than a tile are looked at, the longest.
const MAX_LONG: i64 = 20_000;

/// Tiles of a level from `?3` to `?4`: all, or those that are in no coarser level yet.
const TILES: &str = "SELECT tile, loop, worker, cells FROM tile INDEXED BY tile_by_place
    WHERE process = ?1 AND level = ?2 AND tile BETWEEN ?3 AND ?4 AND folded <= ?5";

/// Polls that no tile has, since they are too long.
const LONG: &str = "SELECT loop, worker, start_at, length
    FROM slow_poll INDEXED BY slow_poll_by_any_length
    WHERE process = ?1 AND length >= ?4 AND last_at > ?2 AND last_at <= ?3
    ORDER BY length DESC LIMIT ?5";

impl Reader {
    /// After the readings: of loops that tell how busy their workers are nobody asks.
    pub(super) async fn add_busy(&self, range: Range, facts: &mut Facts) -> Result<(), StoreError> {
        let told: BTreeSet<LoopId> =
            facts.metric("worker_busy_nanos").iter().map(|series| series.loop_id).collect();
        if !told.is_empty() && facts.loops.iter().all(|it| told.contains(&it.id)) {
            return Ok(());
        }
        let read = move |db: &Connection| {
            let mut lanes = Lanes::read(db, range)?;
            // Of one that was never busy it is not known whether it was there.
            lanes.of.retain(|lane, busy| {
                !told.contains(&lane.loop_id) && busy.iter().any(|&busy| busy > 0)
            });
            Ok(lanes.series())
        };
        let read = self.raw.ask(read).await;
        facts.busy = read.map_err(StoreError::sqlite("read how busy workers were"))?;
        Ok(())
    }
}

/// Busy time of each lane, bucket by bucket; the last may be shorter.
struct Lanes {
    range: Range,
    level: u8,
    /// The first bucket, and the one in which the range ends.
    first: i64,
    last: i64,
    /// Whether nothing is known of a later time, so that tiles have no more than the range.
    is_latest: bool,
    of: BTreeMap<LaneId, Vec<u64>>,
}

impl Lanes {
    fn read(db: &Connection, range: Range) -> rusqlite::Result<Self> {
        let length = range.end().saturating_sub(range.from).max(1).cast_unsigned();
        let level = level_for(length, PER_STEP * Facts::POINTS as u64);
        let (first, last) = (bucket_of(level, range.from), bucket_of(level, range.end()));
        let is_latest = raw::is_latest(db, range.process.0, range.end())?;
        let mut lanes = Self { range, level, first, last, is_latest, of: BTreeMap::new() };
        lanes.add_tiles(db)?;
        lanes.add_long(db)?;
        if !is_latest {
            lanes.mend_end(db)?;
        }
        Ok(lanes)
    }

    fn width(&self) -> i64 {
        bucket_width(self.level) as i64
    }

    /// The first instant of the bucket in which the range ends.
    fn cut(&self) -> i64 {
        self.last.saturating_mul(self.width())
    }

    fn lane(&mut self, lane: LaneId) -> &mut Vec<u64> {
        let buckets = usize::try_from(self.last - self.first + 1).unwrap_or(1);
        self.of.entry(lane).or_insert_with(|| vec![0; buckets])
    }

    fn add_tiles(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement = db.prepare(TILES)?;
        for level in 0..=self.level {
            let finer = 2 * u32::from(self.level - level);
            let from = tile_of(self.first.saturating_mul(1 << finer));
            let end = self.last + i64::from(self.is_latest);
            let to = tile_of(end.saturating_mul(1 << finer).saturating_sub(1));
            let is_all = level == self.level;
            let key = (self.range.process.0, i64::from(level), from, to, is_all);
            let mut rows = statement.query(key)?;
            while let Some(row) = rows.next()? {
                let tile: i64 = row.get(0)?;
                let first = self.first;
                let buckets = self.lane(lane(row.get(1)?, row.get(2)?));
                // Damaged cells are nobody's; the rest of the picture stands.
                let cells = decode(row.get_ref(3)?.as_blob()?).unwrap_or_default();
                for (place, cell) in cells {
                    let bucket = (tile * BUCKETS as i64 + i64::from(place)) >> finer;
                    if (first..end).contains(&bucket) {
                        let busy = &mut buckets[(bucket - first) as usize];
                        *busy = cell.busy.iter().fold(*busy, |sum, it| sum.saturating_add(*it));
                    }
                }
            }
        }
        Ok(())
    }

    fn add_long(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement = db.prepare(LONG)?;
        let Range { process, from, to, .. } = self.range;
        let key = (process.0, from, to, long_poll(self.level) as i64, MAX_LONG);
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            let start: i64 = row.get(2)?;
            let span = (start, start.saturating_add(row.get(3)?));
            self.overlay(lane(row.get(0)?, row.get(1)?), span, u64::saturating_add);
        }
        Ok(())
    }

    /// Takes out the polls that ended only after the range, and adds those of its last, unfinished bucket.
    fn mend_end(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let columns = Wants { times: true, ..Wants::default() };
        let (to, cut) = (self.range.to, self.cut());
        let wanted =
            Wanted { start_to: to, end_from: cut.saturating_add(1), columns, ..Wanted::default() };
        let mut spans = Vec::new();
        let key = (self.range.process.0, RecordKind::Poll, None);
        raw::each(db, key, &wanted, &mut Budget::default(), |lane, found| {
            for (&start, &length) in found.start.iter().zip(&found.length) {
                spans.push((lane, start, start.saturating_add(length)));
            }
        })?;
        let long = long_poll(self.level) as i64;
        for (lane, start, end) in spans {
            if end > to && end - start < long {
                self.overlay(lane, (start, end.min(cut)), u64::saturating_sub);
            } else if end <= to && end - start < long {
                self.overlay(lane, (start.max(cut), end), u64::saturating_add);
            }
        }
        Ok(())
    }

    /// Adds a stretch of time to the buckets that it overlaps, or takes it from them.
    fn overlay(&mut self, lane: LaneId, (start, end): (i64, i64), change: fn(u64, u64) -> u64) {
        let (first, width, level) = (self.first, self.width(), self.level);
        let (from, to) = (bucket_of(level, start).max(first), bucket_of(level, end).min(self.last));
        let buckets = self.lane(lane);
        for bucket in from..=to {
            let begin = bucket.saturating_mul(width);
            let overlap = end.min(begin.saturating_add(width)) - start.max(begin);
            let busy = &mut buckets[(bucket - first) as usize];
            *busy = change(*busy, overlap.max(0) as u64);
        }
    }

    /// The time from the beginning of the range to the end of each step.
    fn series(self) -> Vec<Series> {
        let (from, end) = (self.range.from, self.range.end());
        let width = self.width();
        let length = i128::from(end - from);
        let ends = (1..=Facts::POINTS)
            .map(|step| from + (length * step as i128 / Facts::POINTS as i128) as i64);
        let ends: Vec<i64> = ends.collect();
        let (first, last) = (self.first, self.last);
        let of_lane = |(lane, buckets): (LaneId, Vec<u64>)| {
            let value = |&until: &i64| {
                let busy = buckets.iter().enumerate().map(|(i, &busy)| {
                    let begin = (first + i as i64) * width;
                    // What is before the range, and after it, is no part of a bucket's time.
                    let finish = if first + i as i64 == last { end } else { begin + width };
                    let whole = (finish - begin).max(1);
                    let part = (until.min(finish) - from.max(begin)).clamp(0, whole);
                    busy as f64 * part as f64 / whole as f64
                });
                Some(busy.sum::<f64>().round())
            };
            let values = ends.iter().map(value).collect();
            Series { loop_id: lane.loop_id, worker: Some(lane.worker), values }
        };
        self.of.into_iter().map(of_lane).collect()
    }
}

fn lane(loop_id: i64, worker: i64) -> LaneId {
    LaneId { loop_id: LoopId(loop_id as u64), worker: WorkerId(worker as u32) }
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    vec![TILES.to_owned(), LONG.to_owned()]
}
