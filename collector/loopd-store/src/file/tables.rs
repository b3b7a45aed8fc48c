//! Which tables there are, and what of them belongs to a process and a range.

use rusqlite::Connection;

/// Instants by which rows are chosen: the names of a beginning and an end, the first pair that a
/// table has.
const LASTING: [(&str, &str); 9] = [
    ("start_at", "end_at"),
    ("start_at", "last_at"),
    ("poll_started_at", "at"),
    ("spawned_at", "ended_at"),
    ("opened_at", "closed_at"),
    ("began_at", "ended_at"),
    ("since", "ended_at"),
    ("from_at", "to_at"),
    ("at", "at"),
];

/// Tables of which every row of a process is wanted, whatever the range: what others refer to, and
/// what is true until something else is said.
const WHOLE: [&str; 11] = [
    "process",
    "finding",
    "loop",
    "worker",
    "name",
    "location",
    "stack",
    "ledger_entry",
    "resource_state",
    "coverage_change",
    "setting",
];

/// Columns that refer to tables of the file: table, column, table that it refers to, its text.
pub(super) const SHARED: [(&str, &str, &str, &str); 5] = [
    ("wait", "op", "word", "text"),
    ("sample", "syscall", "word", "text"),
    ("sample", "wchan", "word", "text"),
    ("dumped_task", "awaits", "word", "text"),
    ("metric", "name", "metric_name", "name"),
];

/// Tables that triggers keep up to date with others.
pub(super) const DERIVED: [&str; 3] = ["usage", "slow_poll_count", "loss_sum"];

/// What people wrote here: it stays while its process does, whatever else of that is replaced.
pub(super) const NOTES: &str = "note";

/// Tables of which every row belongs to a row of another: table, column, the table whose id it has.
pub(super) const PARTS: [(&str, &str, &str); 1] = [("task_void", "segment", "segment")];

/// A table whose rows belong to processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether it is the number that SQLite gives a row.
    pub(super) is_rowid: bool,
}

/// Every table of the main database, by name.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table'
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    let names = names.collect::<rusqlite::Result<Vec<String>>>()?;
    names.into_iter().map(|name| Ok(Table { columns: columns(db, &name)?, name })).collect()
}

/// Those with rows of processes. The process itself comes first, what is chosen by another table's
/// rows after those, and what triggers keep last.
pub(super) fn of_processes(db: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut tables = all(db)?;
    tables.retain(|table| table.name == "process" || table.has("process"));
    tables.sort_by_key(|table| match table.name.as_str() {
        "process" => 0,
        WAIT_HOLDER => 2,
        name if DERIVED.contains(&name) => 3,
        _ => 1,
    });
    Ok(tables)
}

const WAIT_HOLDER: &str = "wait_holder";

fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    // A primary key with an index of its own is not the row's number. `pragma_table_list` would say so as well, but
    // compiles every view of the file for each answer.
    let sql = "SELECT i.name, i.pk = 1 AND upper(i.type) = 'INTEGER'
            AND (SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0) = 1
            AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')
        FROM pragma_table_info(?1) i";
    let mut statement = db.prepare(sql)?;
    let columns = statement
        .query_map([table], |row| Ok(Column { name: row.get(0)?, is_rowid: row.get(1)? }))?;
    columns.collect()
}

impl Table {
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c.name == column)
    }

    /// The column with the process's key.
    pub(super) fn process_column(&self) -> &'static str {
        if self.name == "process" { "id" } else { "process" }
    }

    /// The condition for rows of `source` from before `:to` and not over before `:from`. `None` for a
    /// table whose rows are wanted whenever they were.
    pub(super) fn in_range(&self, source: &str) -> Option<String> {
        if WHOLE.contains(&self.name.as_str()) {
            return None;
        }
        if self.name == WAIT_HOLDER {
            // They go where their waits go, which have been copied by now.
            return Some(format!(
                "EXISTS (SELECT 1 FROM main.wait w WHERE w.process = {source}.process
                 AND w.wait = {source}.wait)"
            ));
        }
        if ["tile", "level"].into_iter().all(|column| self.has(column)) {
            let width = loopd_analysis::tiles::BUCKETS << 20;
            let at = |tile: &str| format!("({tile}) * ({width} << (2 * {source}.level))");
            let (from, to) = (at(&format!("{source}.tile")), at(&format!("{source}.tile + 1")));
            return Some(format!("{from} < :to AND {to} > :from"));
        }
        if ["step", "level"].into_iter().all(|column| self.has(column)) {
            let width = format!("CASE {source}.level WHEN 0 THEN 10 WHEN 1 THEN 60 ELSE 3600 END");
            let at = |step: &str| format!("({step}) * ({width}) * 1000000000");
            let (from, to) = (at(&format!("{source}.step")), at(&format!("{source}.step + 1")));
            return Some(format!("{from} < :to AND {to} > :from"));
        }
        let (from, to) = LASTING.into_iter().find(|(from, to)| self.has(from) && self.has(to))?;
        // A row without a beginning began before everything, one without an end still lasts.
        Some(format!(
            "ifnull({source}.\"{from}\", 0) < :to AND ifnull({source}.\"{to}\", {}) >= :from",
            i64::MAX
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of the file itself, of no process. What is muted stays where somebody muted it.
    const OF_FILE: [&str; 5] = ["_sqlx_migrations", "finding_mute", "meta", "word", "metric_name"];

    fn fresh() -> Connection {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loopd.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(super::super::portable::create(&path)).unwrap();
        let db = Connection::open(&path).unwrap();
        // Open files live on without their names.
        drop(directory);
        db
    }

    #[test]
    fn every_table_is_of_processes_or_known_to_be_of_the_file() {
        let db = fresh();
        let of_processes = of_processes(&db).unwrap();
        for table in all(&db).unwrap() {
            assert!(
                of_processes.contains(&table)
                    || PARTS.iter().any(|(name, ..)| *name == table.name)
                    || OF_FILE.contains(&table.name.as_str()),
                "{} has no column `process`: see that `shared` in copy.rs copies it, and say so here and in SHARED",
                table.name
            );
        }
    }

    #[test]
    fn what_is_said_of_tables_is_true_of_the_schema() {
        let db = fresh();
        let tables = all(&db).unwrap();
        let find = |name: &str| tables.iter().find(|table| table.name == name).unwrap();
        WHOLE.iter().chain(&OF_FILE).for_each(|name| assert_eq!(find(name).name, *name));
        DERIVED.iter().for_each(|name| assert_eq!(find(name).name, *name));
        assert!(find(NOTES).has("made_at"));
        for (table, column, owner) in PARTS {
            assert!(find(table).has(column) && find(owner).columns[0].is_rowid, "{table}.{column}");
        }
        for (table, column, shared, text) in SHARED {
            assert!(find(table).has(column) && find(shared).has(text), "{table}.{column}");
        }
        assert!(find("segment").columns[0].is_rowid);
        assert!(find("task").columns.iter().all(|column| !column.is_rowid));
        assert!(find("tile").in_range("s").unwrap().contains("level"));
        assert!(find("hold").in_range("s").unwrap().contains("\"since\""));
    }
}
