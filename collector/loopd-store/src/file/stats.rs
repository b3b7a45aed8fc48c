//! How large a file is, and what of.

use std::path::Path;

use rusqlite::Connection;

use super::{blocking, read_only, tables};
use crate::writer::wal_path;
use crate::{ProcessKey, StoreError, UnixNanos, open};

/// What a file is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStats {
    /// Bytes of the file itself.
    pub bytes: u64,
    /// Bytes of the log beside it, which are moved into the file in time.
    pub wal_bytes: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// Pages, free ones included.
    pub pages: u64,
    /// Pages that hold nothing. They are used before the file grows, and given back in time.
    pub free_pages: u64,
    /// The version of the schema.
    pub schema: i64,
    /// Single polls that are kept.
    pub polls: u64,
    /// Bytes of the segments that hold single polls. Divided by `polls`, what a poll costs.
    pub poll_bytes: u64,
    /// From when single polls, parks and wakes are kept; `None` if there are none.
    pub oldest_at: Option<UnixNanos>,
    /// Up to when.
    pub newest_at: Option<UnixNanos>,
    /// Tables, largest first.
    pub tables: Vec<TableStats>,
    /// Processes, by number.
    pub processes: Vec<ProcessStats>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Its name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of pages that hold its rows.
    pub bytes: u64,
    /// Bytes of pages that hold its indexes.
    pub index_bytes: u64,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// Its number.
    pub process: ProcessKey,
    /// What people call the program.
    pub app: String,
    /// Its tasks that are kept, those with a row and those that are packed.
    pub tasks: u64,
    /// Its single polls that are kept.
    pub polls: u64,
    /// Bytes of its packed rows: single polls, parks, wakes, tasks and tiles. All else is not told apart by
    /// process.
    pub packed_bytes: u64,
}

/// Measures a database. Reads all of it; it may be written to meanwhile.
pub async fn file_stats(path: &Path) -> Result<FileStats, StoreError> {
    let schema = open::check_for_reading(path).await?;
    let path = path.to_owned();
    blocking(move || {
        let failed = || StoreError::rusqlite("measure the database");
        let mut db = read_only(&path).map_err(failed())?;
        let tx = db.transaction().map_err(failed())?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut stats = FileStats {
            bytes: size(&path),
            wal_bytes: size(&wal_path(&path)),
            schema,
            ..FileStats::default()
        };
        stats.measure(&tx).map_err(failed())?;
        Ok(stats)
    })
    .await
}

impl FileStats {
    fn measure(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(unsigned);
        self.page_size = number("PRAGMA page_size")?;
        self.pages = number("PRAGMA page_count")?;
        self.free_pages = number("PRAGMA freelist_count")?;
        let sql = "SELECT ifnull(sum(iif(kind = 1, spans, 0)), 0),
            ifnull(sum(iif(kind = 1, length(data), 0)), 0), min(start_at), max(end_at)
            FROM segment WHERE kind < 4";
        let row = |row: &rusqlite::Row<'_>| {
            let at = |i| row.get::<_, Option<i64>>(i);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, at(2)?, at(3)?))
        };
        let (polls, bytes, oldest, newest) = db.query_row(sql, [], row)?;
        (self.polls, self.poll_bytes) = (unsigned(polls), unsigned(bytes));
        (self.oldest_at, self.newest_at) = (oldest.map(UnixNanos), newest.map(UnixNanos));
        self.tables = measure_tables(db)?;
        self.processes = measure_processes(db)?;
        Ok(())
    }
}

fn measure_tables(db: &Connection) -> rusqlite::Result<Vec<TableStats>> {
    // Of the table's own pages, and of those of its indexes.
    let sql = "SELECT ifnull(sum(iif(s.type = 'table', d.pgsize, 0)), 0),
            ifnull(sum(iif(s.type = 'index', d.pgsize, 0)), 0)
        FROM sqlite_schema s JOIN dbstat d ON d.name = s.name AND d.aggregate = 1
        WHERE s.tbl_name = ?1 AND s.type IN ('table', 'index')";
    let mut tables = Vec::new();
    for table in tables::all(db)? {
        let count = format!("SELECT count(*) FROM \"{}\"", table.name);
        let rows = unsigned(db.query_row(&count, [], |row| row.get(0))?);
        let (bytes, index_bytes) =
            db.query_row(sql, [&table.name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (bytes, index_bytes) = (unsigned(bytes), unsigned(index_bytes));
        tables.push(TableStats { name: table.name, rows, bytes, index_bytes });
    }
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes + table.index_bytes));
    Ok(tables)
}

fn measure_processes(db: &Connection) -> rusqlite::Result<Vec<ProcessStats>> {
    // Packed tasks that became rows; an older loopd has none.
    let has_void = tables::all(db)?.iter().any(|table| table.name == "task_void");
    let void = match has_void {
        true => {
            "(SELECT count(*) FROM task_void v JOIN segment s ON s.id = v.segment
                WHERE s.process = p.id)"
        }
        false => "0",
    };
    let sql = format!(
        "SELECT p.id, p.app,
            (SELECT count(*) FROM task WHERE process = p.id)
                + (SELECT ifnull(sum(spans), 0) FROM segment WHERE process = p.id AND kind = 4)
                - {void},
            (SELECT ifnull(sum(spans), 0) FROM segment WHERE process = p.id AND kind = 1),
            (SELECT ifnull(sum(length(data)), 0) FROM segment WHERE process = p.id)
                + (SELECT ifnull(sum(length(cells)), 0) FROM tile WHERE process = p.id)
        FROM process p ORDER BY p.id"
    );
    let mut statement = db.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        Ok(ProcessStats {
            process: ProcessKey(row.get(0)?),
            app: row.get(1)?,
            tasks: unsigned(row.get(2)?),
            polls: unsigned(row.get(3)?),
            packed_bytes: unsigned(row.get(4)?),
        })
    })?;
    rows.collect()
}

fn unsigned(value: i64) -> u64 {
    value.max(0) as u64
}
