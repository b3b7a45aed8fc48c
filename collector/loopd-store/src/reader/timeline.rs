//! The timeline of a process, from tiles.

use std::collections::BTreeMap;
use std::fmt::Write;

use loopd_analysis::tiles::{
    BUCKETS, LEVELS, Strip, bucket_of, bucket_width, decode, level_for, long_poll, tile_of,
};
use loopd_model::{LoopId, TaskId, UnixNanos, WorkerId};
use rusqlite::{Connection, Row, params_from_iter};

use super::bounds::SCALE;
use super::{Reader, books, unsigned};
use crate::writer::FINE_LEVELS;
use crate::{LaneId, MAX_TIMELINE_SLOW, ProcessKey, SlowSpan, StoreError, Timeline, TimelineLane};

/// Even the coarsest level gives no more buckets than this: 208 days. What is older is left out.
const MAX_BUCKETS: u64 = 1 << 16;
/// So many polls are laid over the tiles at most. Of one lane no more than a screen has buckets / 256 are
/// as long as a tile, and one more.
const MAX_LONG_POLLS: i64 = 20_000;
/// Up to this level a range is so short that the polls with a row in it are few; beyond it those as long
/// as a tile are few in all.
const SHORT_RANGE: u8 = 2;
/// So many slow polls of a range, the latest, are looked through for the longest.
const MAX_SEEN: i64 = 50_000 / SCALE as i64;

/// Whether a poll without an end is running now: its process lives, and its lane has not gone on.
pub(super) const IS_RUNNING: &str = "s.length IS NULL
    AND EXISTS (SELECT 1 FROM process p WHERE p.id = s.process AND p.state = 1)
    AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.process = s.process AND w.loop = s.loop
                    AND w.worker = s.worker AND w.last_poll_at > s.start_at)";

/// No poll of process `?1` that the store has by itself is longer. What is not slow is shorter than
/// the threshold.
pub(super) const LONGEST: &str = "max(
    coalesce((SELECT max(length) FROM slow_poll WHERE process = ?1 AND is_slow = 1), 0),
    coalesce((SELECT max(last_at - start_at) FROM slow_poll INDEXED BY slow_poll_unfinished
              WHERE process = ?1 AND length IS NULL), 0),
    coalesce((SELECT slow_threshold FROM process WHERE id = ?1), 0))";

/// Whether a poll of process `?1` overlaps the range from `?2` to `?3`. Its end is bounded on both
/// sides, so that a range long ago does not read everything since.
fn overlaps() -> String {
    format!(
        "s.process = ?1 AND s.last_at > ?2 AND s.last_at <= ?3 + {LONGEST} AND +s.start_at < ?3"
    )
}

/// A stretch of buckets of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    process: i64,
    level: u8,
    first: i64,
    buckets: usize,
}

impl Range {
    pub(super) fn new(
        process: ProcessKey,
        (from, to): (UnixNanos, UnixNanos),
        max_buckets: u32,
        finest: u8,
    ) -> Self {
        let length = to.0.saturating_sub(from.0).max(1) as u64;
        let level = level_for(length, u64::from(max_buckets)).max(finest);
        let last = bucket_of(level, to.0.max(from.0.saturating_add(1)) - 1);
        let first = bucket_of(level, from.0).max(last.saturating_sub(MAX_BUCKETS as i64 - 1));
        Self { process: process.0, level, first, buckets: (last - first + 1) as usize }
    }

    fn start(&self) -> i64 {
        self.first.saturating_mul(bucket_width(self.level) as i64)
    }

    fn end(&self) -> i64 {
        (self.first + self.buckets as i64).saturating_mul(bucket_width(self.level) as i64)
    }
}

impl Reader {
    /// How busy each lane was from `from` to `to`, in at most `max_buckets` buckets as long as
    /// there is a level that coarse.
    pub async fn timeline(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        max_buckets: u32,
    ) -> Result<Timeline, StoreError> {
        self.timeline_of(Range::new(process, (from, to), max_buckets, 0)).await
    }

    /// The same without the levels that retention removes together with single polls.
    pub async fn lasting_timeline(
        &self,
        process: ProcessKey,
        from: UnixNanos,
        to: UnixNanos,
        max_buckets: u32,
    ) -> Result<Timeline, StoreError> {
        self.timeline_of(Range::new(process, (from, to), max_buckets, FINE_LEVELS)).await
    }

    async fn timeline_of(&self, range: Range) -> Result<Timeline, StoreError> {
        let timeline = self.raw.ask(move |db| read(db, &range)).await;
        timeline.map_err(StoreError::sqlite("read the timeline"))
    }
}

pub(super) fn read(db: &Connection, range: &Range) -> rusqlite::Result<Timeline> {
    let mut strips = read_tiles(db, range)?;
    add_long_polls(db, range, &mut strips)?;
    let (data_from, data_to) = read_extent(db, range.process)?;
    let (from_at, to_at) = (UnixNanos(range.start()), UnixNanos(range.end()));
    Ok(Timeline {
        from_at,
        to_at,
        step: bucket_width(range.level),
        level: range.level,
        data_from,
        data_to,
        lanes: name_lanes(db, range.process, strips)?,
        slow: read_slow(db, range)?,
        losses: books::losses(db, range.process, (from_at, to_at))?,
    })
}

type Strips = BTreeMap<LaneId, Strip>;

fn strip<'a>(strips: &'a mut Strips, range: &Range, lane: LaneId) -> &'a mut Strip {
    let empty = || Strip::new(range.level, range.first, range.buckets);
    strips.entry(lane).or_insert_with(empty)
}

/// Reads `loop` and `worker`, which are side by side.
fn lane(row: &Row<'_>, first: usize) -> rusqlite::Result<LaneId> {
    let loop_id = LoopId(row.get::<_, i64>(first)? as u64);
    Ok(LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(first + 1)? as u32) })
}

/// All rows of the level, and those of finer ones that are in no coarser one yet.
fn read_tiles(db: &Connection, range: &Range) -> rusqlite::Result<Strips> {
    let mut sql = String::new();
    let mut keys = vec![range.process];
    for level in 0..=range.level {
        let finer = 2 * u32::from(range.level - level);
        let first = tile_of(range.first.saturating_mul(1 << finer));
        let end = range.first.saturating_add(range.buckets as i64);
        let last = tile_of(end.saturating_mul(1 << finer).saturating_sub(1));
        let unfolded = if level < range.level { "AND folded = 0" } else { "" };
        let union = if level > 0 { "UNION ALL" } else { "" };
        keys.extend([first, last]);
        let to = keys.len();
        // Writing to a string cannot fail.
        let _ = write!(
            sql,
            " {union} SELECT level, tile, loop, worker, cells FROM tile
             WHERE process = ?1 AND level = {level} AND tile BETWEEN ?{} AND ?{to} {unfolded}",
            to - 1
        );
    }
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(keys))?;
    let mut strips = Strips::new();
    while let Some(row) = rows.next()? {
        let (level, tile): (i64, i64) = (row.get(0)?, row.get(1)?);
        let strip = strip(&mut strips, range, lane(row, 2)?);
        let first = tile.saturating_mul(BUCKETS as i64);
        // Damaged cells are nobody's; the rest of the picture stands.
        for (place, cell) in decode(row.get_ref(4)?.as_blob()?).unwrap_or_default() {
            strip.add_cell(level as u8, first.saturating_add(i64::from(place)), &cell);
        }
    }
    Ok(strips)
}

/// Tiles leave out the polls that are longer than one, and those that still run.
fn add_long_polls(db: &Connection, range: &Range, strips: &mut Strips) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(&long_polls_sql(range.level))?;
    let long = long_poll(range.level) as i64;
    let key = (range.process, range.start(), range.end(), long, MAX_LONG_POLLS);
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        strip(strips, range, lane(row, 0)?).add_poll(row.get(2)?, unsigned(row.get(3)?));
    }
    Ok(())
}

pub(super) fn long_polls_sql(level: u8) -> String {
    let ended = if level <= SHORT_RANGE {
        format!("INDEXED BY slow_poll_by_time WHERE {} AND s.length >= ?4", overlaps())
    } else {
        "INDEXED BY slow_poll_by_any_length WHERE s.process = ?1 AND s.length >= ?4
            AND s.last_at > ?2 AND s.start_at < ?3"
            .to_owned()
    };
    format!(
        "SELECT * FROM (SELECT s.loop, s.worker, s.start_at, s.last_at - s.start_at AS ran
            FROM slow_poll s {ended}
            UNION ALL SELECT s.loop, s.worker, s.start_at, s.last_at - s.start_at
            FROM slow_poll s INDEXED BY slow_poll_unfinished
            WHERE s.process = ?1 AND s.length IS NULL AND s.last_at > ?2 AND s.start_at < ?3)
         ORDER BY ran DESC LIMIT ?5"
    )
}

/// From when to when there is data.
type Extent = (Option<UnixNanos>, Option<UnixNanos>);

fn read_extent(db: &Connection, process: i64) -> rusqlite::Result<Extent> {
    let mut sql = "SELECT last_at, origin".to_owned();
    for level in 0..LEVELS {
        let _ =
            write!(sql, ", (SELECT min(tile) FROM tile WHERE process = ?1 AND level = {level})");
    }
    sql.push_str(" FROM process WHERE id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([process])?;
    let Some(row) = rows.next()? else { return Ok((None, None)) };
    let (last_at, origin): (i64, i64) = (row.get(0)?, row.get(1)?);
    let mut from = None;
    for level in 0..LEVELS {
        let tile: Option<i64> = row.get(2 + usize::from(level))?;
        let width = (bucket_width(level) as i64).saturating_mul(BUCKETS as i64);
        let start = tile.map(|tile| tile.saturating_mul(width).max(origin));
        from = from.into_iter().chain(start).min();
    }
    Ok((from.map(UnixNanos), from.map(|_| UnixNanos(last_at))))
}

fn name_lanes(
    db: &Connection,
    process: i64,
    mut strips: Strips,
) -> rusqlite::Result<Vec<TimelineLane>> {
    const SQL: &str = "SELECT w.loop, w.worker, coalesce(l.name, ''), coalesce(w.thread_name, ''),
            coalesce(w.started_at, l.opened_at), coalesce(w.stopped_at, l.closed_at)
        FROM worker w LEFT JOIN loop l ON l.process = w.process AND l.loop = w.loop
        WHERE w.process = ? ORDER BY w.loop, w.worker";
    let cells = |strip: Strip| -> Vec<_> {
        strip.filled().map(|(place, cell)| (place as u32, cell)).collect()
    };
    let mut lanes = Vec::new();
    let mut statement = db.prepare_cached(SQL)?;
    let mut rows = statement.query([process])?;
    while let Some(row) = rows.next()? {
        let lane = lane(row, 0)?;
        lanes.push(TimelineLane {
            lane,
            loop_name: row.get(2)?,
            thread_name: row.get(3)?,
            started_at: row.get::<_, Option<i64>>(4)?.map(UnixNanos),
            stopped_at: row.get::<_, Option<i64>>(5)?.map(UnixNanos),
            cells: strips.remove(&lane).map(cells).unwrap_or_default(),
        });
    }
    lanes.extend(strips.into_iter().map(|(lane, strip)| TimelineLane {
        lane,
        cells: cells(strip),
        ..TimelineLane::default()
    }));
    Ok(lanes)
}

fn read_slow(db: &Connection, range: &Range) -> rusqlite::Result<Vec<SlowSpan>> {
    let mut statement = db.prepare_cached(&slow_sql())?;
    let key = (range.process, range.start(), range.end(), MAX_TIMELINE_SLOW as i64);
    let span = |row: &Row<'_>| {
        Ok(SlowSpan {
            lane: lane(row, 0)?,
            start_at: UnixNanos(row.get(2)?),
            length: unsigned(row.get(3)?),
            task: TaskId(row.get::<_, i64>(4)? as u64),
            is_running: row.get(5)?,
        })
    };
    statement.query_map(key, span)?.collect()
}

pub(super) fn slow_sql() -> String {
    format!(
        "SELECT s.loop, s.worker, s.start_at, s.last_at - s.start_at, s.task, {IS_RUNNING}
         FROM (SELECT * FROM slow_poll s INDEXED BY slow_poll_by_time
               WHERE {} AND s.is_slow = 1 ORDER BY s.last_at DESC LIMIT {MAX_SEEN}) s
         ORDER BY s.last_at - s.start_at DESC LIMIT ?4",
        overlaps()
    )
}
