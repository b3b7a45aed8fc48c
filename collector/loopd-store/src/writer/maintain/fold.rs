//! Folds the finished tiles of a level into the next.
//!
//! Four tiles side by side make one of the next level. Rows that come after theirs were folded are
//! folded later, into one more row; rows add up, so nobody can tell.

use std::collections::BTreeMap;

use loopd_analysis::tiles::{BUCKETS, LEVELS, Strip, bucket_width, decode, encode, parent_of};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use tracing::warn;

use super::super::apply::insert_tiles;
use super::super::digest::TileRow;

/// A tile is left alone for so long after its end, as batches come a little late.
const PATIENCE: i64 = 3_000_000_000;
/// So many parent tiles are made in one step.
const MAX_PARENTS: usize = 32;

/// Folds some; returns how many rows, and whether there are more.
pub(super) async fn step(db: &mut SqliteConnection, now: i64) -> Result<(u64, bool), sqlx::Error> {
    // Per process and level the oldest is enough: rows come in order of time, or nearly.
    let sql = "SELECT process, level, min(tile) FROM tile WHERE folded = 0 AND level < ?
        GROUP BY process, level";
    let oldest: Vec<(i64, i64, i64)> =
        sqlx::query_as(sql).bind(i64::from(LEVELS) - 1).fetch_all(&mut *db).await?;
    let (mut folded, mut parents) = (0, 0);
    for (process, level, mut tile) in oldest {
        loop {
            let parent = parent_of(tile);
            if end_of(level + 1, parent).saturating_add(PATIENCE) > now {
                break;
            }
            if parents == MAX_PARENTS {
                return Ok((folded, true));
            }
            parents += 1;
            folded += fold(db, process, level, parent).await?;
            match next(db, process, level, (parent + 1) * 4).await? {
                Some(later) => tile = later,
                None => break,
            }
        }
    }
    Ok((folded, false))
}

fn end_of(level: i64, tile: i64) -> i64 {
    let width = bucket_width(level as u8).saturating_mul(BUCKETS as u64) as i64;
    tile.saturating_add(1).saturating_mul(width)
}

async fn next(
    db: &mut SqliteConnection,
    process: i64,
    level: i64,
    from: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let sql = "SELECT min(tile) FROM tile
        WHERE process = ? AND level = ? AND folded = 0 AND tile >= ?";
    sqlx::query_scalar(sql).bind(process).bind(level).bind(from).fetch_one(db).await
}

/// Folds every row below one parent, and packs the rows of each tile into one.
async fn fold(
    db: &mut SqliteConnection,
    process: i64,
    level: i64,
    parent: i64,
) -> Result<u64, sqlx::Error> {
    let place = "process = ? AND level = ? AND folded = 0 AND tile BETWEEN ? AND ?";
    let sql = format!("SELECT tile, loop, worker, cells, id FROM tile WHERE {place}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(process)
        .bind(level)
        .bind(parent * 4)
        .bind(parent * 4 + 3)
        .fetch_all(&mut *db)
        .await?;
    let mut tiles = BTreeMap::new();
    let mut parents = BTreeMap::new();
    for row in &rows {
        if decode(row.try_get(3)?).is_none() {
            let id: i64 = row.try_get(4)?;
            warn!(tile = id, "a stored tile is damaged, it is left as it is");
            let sql = "UPDATE tile SET folded = 1 WHERE id = ?";
            sqlx::query(sql).bind(id).execute(&mut *db).await?;
            continue;
        }
        let (tile, lane) = (row.try_get(0)?, (row.try_get::<i64, _>(1)?, row.try_get(2)?));
        add(&mut tiles, level, tile, lane, (level, tile, row.try_get(3)?));
        add(&mut parents, level + 1, parent, lane, (level, tile, row.try_get(3)?));
    }
    let sql = format!("DELETE FROM tile WHERE {place}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(process)
        .bind(level)
        .bind(parent * 4)
        .bind(parent * 4 + 3)
        .execute(&mut *db)
        .await?;
    let mut made = Vec::new();
    for (strips, level, is_folded) in [(tiles, level, true), (parents, level + 1, false)] {
        made.extend(strips.into_iter().map(|((tile, loop_id, worker), strip): (Key, Strip)| {
            let cells = encode(strip.filled().map(|(place, cell)| (place as u8, cell)));
            TileRow { process, level, tile, loop_id, worker, is_folded, cells }
        }));
    }
    insert_tiles(db, made).await?;
    Ok(rows.len() as u64)
}

/// Tile, loop, worker.
type Key = (i64, i64, i64);

/// Adds the cells of a row to the strip of a tile of the same or the next level.
fn add(
    strips: &mut BTreeMap<Key, Strip>,
    level: i64,
    tile: i64,
    lane: (i64, i64),
    (from_level, from_tile, cells): (i64, i64, &[u8]),
) {
    let buckets = BUCKETS as i64;
    let empty = || Strip::new(level as u8, tile * buckets, BUCKETS);
    let strip = strips.entry((tile, lane.0, lane.1)).or_insert_with(empty);
    for (place, cell) in decode(cells).unwrap_or_default() {
        strip.add_cell(from_level as u8, from_tile * buckets + i64::from(place), &cell);
    }
}
