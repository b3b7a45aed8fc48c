//! `task_records`: the tasks that have no row of their own, unpacked from segments of kind 4, with the
//! columns of the table `task`. Those that became rows since are left out.

use std::collections::HashSet;
use std::ffi::{CStr, c_int};

use rusqlite::types::Null;
use rusqlite::vtab::{Context, IndexConstraintOp};
use rusqlite::{Connection, OptionalExtension, Result};

use super::packed_rows::NULL;
use super::scan::{Bound, Pieces, Prune, bound_of};
use crate::task_table::{self, Records};
use crate::writer::tasks;

const PROCESS: c_int = 0;
const TASK: c_int = 1;
const SPAWNED_AT: c_int = tasks::SPAWNED_AT as c_int;
const ENDED_AT: c_int = tasks::ENDED_AT as c_int;

/// The place of the one constraint that skips rows within a segment, see [`Pieces::PRUNE`].
const OF_TASK: usize = 1;

#[derive(Default)]
pub(super) struct TaskRecords {
    columns: u64,
    task: Option<i64>,
    process: i64,
    records: Records,
}

impl Pieces for TaskRecords {
    const NAME: &'static CStr = c"task_records";
    const DECLARE: &'static str = "CREATE TABLE x(process INT, task INT, kind INT, loop INT,
        spawn_location INT, parent INT, spawned_at INT, name INT, named_at INT, started_at INT,
        ended_at INT, outcome INT, polls INT, busy_time INT, max_poll_time INT, slow_polls INT,
        first_poll_at INT, last_poll_at INT, wakes INT, self_wakes INT, scheduled_time INT,
        last_waker INT, last_woken_at INT, last_poll_start INT, unwakeable_at INT, children INT,
        kept INT)";
    const PRUNE: &'static [Prune] = &[
        Prune { sql: "process = ?", bound: Bound::Equal },
        Prune { sql: "? BETWEEN min_task AND max_task", bound: Bound::Equal },
        Prune { sql: "end_at >= ?", bound: Bound::From },
        Prune { sql: "start_at <= ?", bound: Bound::UpTo },
        Prune { sql: "end_at >= ?", bound: Bound::From },
        Prune { sql: "start_at <= ?", bound: Bound::UpTo },
    ];
    const FIND: &'static str = "SELECT id, process FROM segment WHERE kind = 4";
    const ORDER: &'static str = "end_at";
    const ROWS: i64 = 10_000_000;

    fn prune(column: c_int, op: IndexConstraintOp) -> Option<usize> {
        match (column, bound_of(op)?) {
            (PROCESS, Bound::Equal) => Some(0),
            (TASK, Bound::Equal) => Some(OF_TASK),
            (SPAWNED_AT, Bound::From) => Some(2),
            (SPAWNED_AT, Bound::UpTo) => Some(3),
            (ENDED_AT, Bound::From) => Some(4),
            (ENDED_AT, Bound::UpTo) => Some(5),
            _ => None,
        }
    }

    fn begin(&mut self, columns: u64, bounds: &[Option<i64>]) {
        (self.columns, self.task) = (columns, bounds[OF_TASK]);
    }

    fn open(&mut self, connection: &Connection, piece: &[i64]) -> Result<usize> {
        let &[id, process] = piece else { return Ok(0) };
        self.process = process;
        let data = connection
            .query_row("SELECT data FROM segment WHERE id = ?", [id], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional()?;
        // Retention may have removed it meanwhile; and what is damaged holds nothing.
        let records = data.and_then(|data| task_table::read(&data, self.columns, self.task).ok());
        self.records = records.unwrap_or_default();
        let mut statement = connection.prepare("SELECT task FROM task_void WHERE segment = ?")?;
        let void = statement.query_map([id], |row| row.get(0))?;
        let void: HashSet<i64> = void.collect::<Result<_>>()?;
        self.records.leave_out(&void);
        Ok(self.records.len())
    }

    fn column(
        &self,
        _: &Connection,
        row: usize,
        column: c_int,
        context: &mut Context,
    ) -> Result<()> {
        let value = match column {
            PROCESS => self.process,
            column => self.records.value(row, column as usize),
        };
        match value {
            NULL => context.set_result(&Null),
            value => context.set_result(&value),
        }
    }
}
