//! Folds the finished steps of roll-ups into longer ones, as tiles are; and removes the shortest once
//! they are of no more use.

use std::collections::BTreeMap;

use loopd_analysis::rollup::{Cell, STEPS, encode, merge_packed};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tracing::warn;

use super::super::apply::insert_rollups;
use super::super::rollups::RollupRow;
use super::retain::MAX_ROWS;

/// A step is left alone for so long after its end, as batches come a little late.
const PATIENCE: i64 = 3_000_000_000;
/// So many longer steps are made at a time.
const MAX_PARENTS: usize = 4;
/// Steps of ten seconds are kept for so long: what they are read for is what happens now.
const KEEP_FINEST: i64 = 3_600_000_000_000;

/// Folds some; returns how many rows, and whether there are more.
pub(super) async fn step(db: &mut SqliteConnection, now: i64) -> Result<(u64, bool), sqlx::Error> {
    let removed = thin(db, now).await?;
    let sql = "SELECT DISTINCT process, level FROM rollup WHERE folded = 0 AND level < 2";
    let lanes: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&mut *db).await?;
    let (mut folded, mut parents) = (0, 0);
    for (process, level) in lanes {
        let Some((&length, &parent_length)) = lengths(level) else { continue };
        let ratio = parent_length / length;
        while let Some(first) = oldest(db, process, level).await? {
            let parent = first.div_euclid(ratio);
            let ends_at = parent.saturating_add(1).saturating_mul(parent_length);
            if ends_at.saturating_add(PATIENCE) > now {
                break;
            }
            if parents == MAX_PARENTS {
                return Ok((folded, true));
            }
            parents += 1;
            folded += fold(db, process, level, (parent, ratio)).await?;
        }
    }
    Ok((folded + removed, removed >= MAX_ROWS as u64))
}

/// How long the steps of a level are, and those of the next.
fn lengths(level: i64) -> Option<(&'static i64, &'static i64)> {
    let level = usize::try_from(level).ok()?;
    Some((STEPS.get(level)?, STEPS.get(level + 1)?))
}

async fn oldest(
    db: &mut SqliteConnection,
    process: i64,
    level: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let sql = "SELECT min(step) FROM rollup WHERE process = ? AND level = ? AND folded = 0";
    sqlx::query_scalar(sql).bind(process).bind(level).fetch_one(db).await
}

/// Folds every row below one parent, and packs the rows of each step into one.
async fn fold(
    db: &mut SqliteConnection,
    process: i64,
    level: i64,
    (parent, ratio): (i64, i64),
) -> Result<u64, sqlx::Error> {
    let place = "process = ? AND level = ? AND folded = 0 AND step >= ? AND step < ?";
    let (from, to) = (parent * ratio, (parent + 1) * ratio);
    let sql = format!("SELECT step, cells, id FROM rollup WHERE {place} ORDER BY step");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql));
    let rows = rows.bind(process).bind(level).bind(from).bind(to).fetch_all(&mut *db).await?;
    let row = |level: i64, step, is_folded, cells: &BTreeMap<i64, Cell>| {
        let cells = encode(cells.iter().map(|(&location, cell)| (location, cell)));
        RollupRow { process, level: level as usize, step, is_folded, cells }
    };
    let (mut made, mut all) = (Vec::new(), BTreeMap::new());
    // Step by step, since unpacked cells take much more room than packed ones.
    for of_step in rows.chunk_by(|a, b| step_of_row(a) == step_of_row(b)) {
        let mut cells = BTreeMap::new();
        for row in of_step {
            let packed: &[u8] = row.try_get(1)?;
            if merge_packed(packed, None, &mut cells).is_none() {
                let id: i64 = row.try_get(2)?;
                warn!(rollup = id, "a stored roll-up is damaged, what can be read of it counts");
            }
        }
        made.push(row(level, step_of_row(&of_step[0]), true, &cells));
        // The cells of the longer step are bounded as those of each.
        let _ = merge_packed(&made[made.len() - 1].cells, None, &mut all);
    }
    if !all.is_empty() {
        made.push(row(level + 1, parent, false, &all));
    }
    let sql = format!("DELETE FROM rollup WHERE {place}");
    let delete = sqlx::query(sqlx::AssertSqlSafe(sql));
    delete.bind(process).bind(level).bind(from).bind(to).execute(&mut *db).await?;
    insert_rollups(db, made).await?;
    Ok(rows.len() as u64)
}

fn step_of_row(row: &SqliteRow) -> i64 {
    row.try_get(0).unwrap_or_default()
}

/// Removes the shortest steps that are in longer ones and old.
async fn thin(db: &mut SqliteConnection, now: i64) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM rollup WHERE id IN
        (SELECT r.id FROM process p CROSS JOIN rollup r INDEXED BY rollup_by_step
         ON r.process = p.id AND r.level = 0 AND r.step < ?1 WHERE r.folded = 1 LIMIT ?2)";
    let before = now.saturating_sub(KEEP_FINEST).div_euclid(STEPS[0]);
    Ok(sqlx::query(sql).bind(before).bind(MAX_ROWS).execute(db).await?.rows_affected())
}
