//! `rollup_rows`: roll-ups, one row to a spawn location and step of the level asked for. Rows of finer
//! levels that are in no coarser one yet are added up.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};

use loopd_analysis::rollup::{Cell, STEPS, merge_packed};
use rusqlite::types::Null;
use rusqlite::vtab::{Context, IndexConstraintOp};
use rusqlite::{Connection, Result};

use super::scan::{Bound, Pieces, Prune, bound_of};

const PROCESS: c_int = 0;
const LEVEL: c_int = 1;
const STEP: c_int = 2;
const LOCATION: c_int = 3;

#[derive(Default)]
pub(super) struct RollupRows {
    place: [i64; 3],
    cells: Vec<(i64, Cell)>,
}

impl Pieces for RollupRows {
    const NAME: &'static CStr = c"rollup_rows";
    const DECLARE: &'static str = "CREATE TABLE x(process INT, level INT, step INT, location INT,
        spawned INT, ended INT, panicked INT, cancelled INT, polls INT, busy_time INT,
        max_poll_time INT, p50 INT, p90 INT, p99 INT, wakes INT, scheduled_time INT,
        wake_p50 INT, wake_p99 INT)";
    const PRUNE: &'static [Prune] = &[
        Prune { sql: "process = ?", bound: Bound::Equal },
        Prune { sql: "level = ?", bound: Bound::Equal },
        Prune { sql: "step >= ?", bound: Bound::From },
        Prune { sql: "step <= ?", bound: Bound::UpTo },
        Prune { sql: "step = ?", bound: Bound::Equal },
    ];
    // Every step of every level that there is anything of.
    const FIND: &'static str = "SELECT process, level, step FROM (
            SELECT DISTINCT r.process, l.value AS level, r.step * f.value / l.length AS step
            FROM rollup r
            JOIN (SELECT 0 AS value, 10 AS length UNION ALL SELECT 1, 60 UNION ALL SELECT 2, 3600) l
            JOIN (SELECT 0 AS level, 10 AS value UNION ALL SELECT 1, 60 UNION ALL SELECT 2, 3600) f
                ON f.level = r.level
            WHERE r.level = l.value OR (r.level < l.value AND r.folded = 0))
        WHERE true";
    const ORDER: &'static str = "process, level, step";
    const ROWS: i64 = 1_000_000;

    fn prune(column: c_int, op: IndexConstraintOp) -> Option<usize> {
        match (column, bound_of(op)?) {
            (PROCESS, Bound::Equal) => Some(0),
            (LEVEL, Bound::Equal) => Some(1),
            (STEP, Bound::From) => Some(2),
            (STEP, Bound::UpTo) => Some(3),
            (STEP, Bound::Equal) => Some(4),
            _ => None,
        }
    }

    fn begin(&mut self, _: u64, _: &[Option<i64>]) {}

    fn open(&mut self, connection: &Connection, piece: &[i64]) -> Result<usize> {
        let &[process, level, step] = piece else { return Ok(0) };
        self.place = [process, level, step];
        let Some(&length) = usize::try_from(level).ok().and_then(|level| STEPS.get(level)) else {
            return Ok(0);
        };
        let mut cells = BTreeMap::new();
        let mut statement = connection.prepare(
            "SELECT cells FROM rollup INDEXED BY rollup_by_step
             WHERE process = ?1 AND level = ?2 AND step >= ?3 AND step < ?4 AND folded <= ?5",
        )?;
        for (finer, &finer_length) in STEPS.iter().enumerate().take(level as usize + 1) {
            let steps = length / finer_length;
            let (from, is_own) = (step * steps, finer == level as usize);
            let key = (process, finer as i64, from, from + steps, is_own);
            let mut rows = statement.query(key)?;
            while let Some(row) = rows.next()? {
                // Damaged cells are nobody's.
                let _ = merge_packed(row.get_ref(0)?.as_blob()?, None, &mut cells);
            }
        }
        self.cells = cells.into_iter().collect();
        Ok(self.cells.len())
    }

    fn column(
        &self,
        _: &Connection,
        row: usize,
        column: c_int,
        context: &mut Context,
    ) -> Result<()> {
        let Some((location, cell)) = self.cells.get(row) else { return Ok(()) };
        let count = |value: u64| Some(value.min(1 << 62) as i64);
        let quantile =
            |of: &loopd_analysis::histogram::Histogram, q| of.quantile(q).and_then(count);
        let value = match column {
            PROCESS | LEVEL | STEP => Some(self.place[column as usize]),
            LOCATION => Some(*location),
            4 => count(cell.spawned),
            5 => count(cell.ended),
            6 => count(cell.panicked),
            7 => count(cell.cancelled),
            // Where polls were only counted there is busy time without any.
            8 | 10 if cell.polls.count() == 0 && cell.busy_time > 0 => None,
            8 => count(cell.polls.count()),
            9 => count(cell.busy_time),
            10 => count(cell.max_poll_time),
            11 => quantile(&cell.polls, 0.5),
            12 => quantile(&cell.polls, 0.9),
            13 => quantile(&cell.polls, 0.99),
            14 => count(cell.wakes),
            15 => count(cell.scheduled_time),
            16 => quantile(&cell.delays, 0.5),
            _ => quantile(&cell.delays, 0.99),
        };
        match value {
            Some(value) => context.set_result(&value),
            None => context.set_result(&Null),
        }
    }
}
