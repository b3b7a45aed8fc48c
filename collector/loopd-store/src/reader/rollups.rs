//! Roll-ups: what the tasks of each spawn location did, step by step.

use std::collections::BTreeMap;

use loopd_analysis::rollup::{Cell, STEPS, merge_packed, step_of};
use loopd_model::UnixNanos;
use rusqlite::{Connection, OptionalExtension};

use super::Reader;
use crate::{ProcessKey, RollupCell, RollupStep, StoreError};

/// A range has at most so many steps; of a longer one the latest are given.
pub(super) const MAX_STEPS: i64 = 10_000;

/// So many cells are unpacked, those of the latest steps: of a hundred places four hours of minutes. Each
/// takes some kilobytes.
const MAX_CELLS: usize = 24_000;

/// Rows of one level in a range: all, or only those that are in no coarser level yet.
pub(super) const ROWS: &str = "SELECT step, cells FROM rollup INDEXED BY rollup_by_step
    WHERE process = ?1 AND level = ?2 AND step >= ?3 AND step < ?4 AND folded <= ?5
    ORDER BY step DESC";

impl Reader {
    /// What tasks did in each step that begins in a range: of one spawn location or of all. Of a range with
    /// very many steps and places the latest steps are given.
    pub async fn rollups(
        &self,
        process: ProcessKey,
        (from, to): (UnixNanos, UnixNanos),
        step: RollupStep,
        location: Option<i64>,
    ) -> Result<Vec<RollupCell>, StoreError> {
        let range = (from.0, to.0);
        let question = move |db: &Connection| read(db, process.0, range, step as usize, location);
        let found = self.raw.ask(question).await;
        let found = found.map_err(StoreError::sqlite("read roll-ups"))?;
        let cells = found.into_iter().flat_map(move |(at, cells)| {
            let start_at = UnixNanos(at.saturating_mul(STEPS[step as usize]));
            cells.into_iter().map(move |(location, cell)| RollupCell {
                start_at,
                location: (location != 0).then_some(location),
                cell,
            })
        });
        Ok(cells.collect())
    }
}

type Steps = BTreeMap<i64, BTreeMap<i64, Cell>>;

/// Cells by step and location; 0: not known.
pub(super) fn read(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    level: usize,
    location: Option<i64>,
) -> rusqlite::Result<Steps> {
    let sql = "SELECT last_at FROM process WHERE id = ?";
    let last_at: Option<i64> = db.query_row(sql, [process], |row| row.get(0)).optional()?;
    // What comes after all that is known counts for nothing of the bound on steps.
    let to = to.min(last_at.unwrap_or(0).saturating_add(1));
    // A step belongs to the range in which it begins.
    let last = step_of(level, to.saturating_sub(1)).saturating_add(1);
    let first = from.div_euclid(STEPS[level]) + i64::from(from.rem_euclid(STEPS[level]) != 0);
    let mut first = first.max(last.saturating_sub(MAX_STEPS));
    let mut found = 0;
    let mut steps = Steps::new();
    let mut statement = db.prepare(ROWS)?;
    for (finer, &length) in STEPS.iter().enumerate().take(level + 1) {
        let ratio = STEPS[level] / length;
        let (from, to) = (first.saturating_mul(ratio), last.saturating_mul(ratio));
        let mut rows = statement.query((process, finer as i64, from, to, finer == level))?;
        while let Some(row) = rows.next()? {
            let step = row.get::<_, i64>(0)?.div_euclid(ratio);
            if step < first {
                break;
            }
            let cells = steps.entry(step).or_default();
            found -= cells.len();
            // Damaged cells are nobody's; the rest of the picture stands.
            let _ = merge_packed(row.get_ref(1)?.as_blob()?, location, cells);
            found += cells.len();
            while found > MAX_CELLS
                && let Some((step, cells)) = steps.pop_first()
            {
                found -= cells.len();
                first = step + 1;
            }
        }
    }
    Ok(steps)
}
