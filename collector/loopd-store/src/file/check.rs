//! Whether a file is whole: what SQLite can tell, and what it cannot, because it has no checksums.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use loopd_analysis::tiles;
use rusqlite::{Connection, params_from_iter};

use super::blob::{self, SegmentState};
use super::{blocking, read_only, tables};
use crate::{ProcessKey, StoreError, UnixNanos, open};

/// More of one sort say nothing that these do not. All are counted.
const MAX_FINDINGS: usize = 20;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCheck {
    /// What is wrong; the first twenty.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub wrong: u64,
    /// Rows looked at, by table.
    pub rows: BTreeMap<String, u64>,
    /// Segments that were decoded, and whose checksums match.
    pub segments: u64,
    /// Spans in them: polls, parks and wakes.
    pub spans: u64,
    /// Tasks in them: those that have no row of their own.
    pub packed_tasks: u64,
    /// Segments of a format that only a newer loopd knows.
    pub unknown_segments: u64,
    /// Tiles that were decoded.
    pub tiles: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: `file`, or the name of a table.
    pub place: String,
    /// Which process it is about; `None` if it is about the file.
    pub process: Option<ProcessKey>,
    /// What is wrong, in words.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "{} of process {}: {}", self.place, process.0, self.text),
            None => write!(f, "{}: {}", self.place, self.text),
        }
    }
}

/// Reads a whole database and says what is wrong with it: its structure and its indexes, by SQLite;
/// every segment, tile and text of JSON, by decoding it; what stands beside them, by comparing; and
/// whether the books add up. An error means that it could not be read at all.
///
/// It may be written to meanwhile: everything is seen as it was at one instant.
pub async fn check_file(path: &Path) -> Result<FileCheck, StoreError> {
    open::check_for_reading(path).await?;
    let path = path.to_owned();
    blocking(move || {
        let failed = || StoreError::rusqlite("check the database");
        let mut db = read_only(&path).map_err(failed())?;
        // One instant for all of it: what is compared must fit together.
        let tx = db.transaction().map_err(failed())?;
        let mut check = FileCheck::default();
        check.structure(&tx).map_err(failed())?;
        // What SQLite cannot walk through, nobody else can.
        if check.findings.is_empty() {
            check.everything(&tx).map_err(failed())?;
        }
        Ok(check)
    })
    .await
}

/// How many segments of these processes that overlap the range cannot be decoded: what is in them is
/// missing from every answer. Those of a format that is not known count, too.
pub async fn damaged_segments(
    path: &Path,
    processes: &[ProcessKey],
    from: Option<UnixNanos>,
    to: Option<UnixNanos>,
) -> Result<u64, StoreError> {
    let (path, processes) = (path.to_owned(), processes.to_vec());
    blocking(move || {
        let failed = || StoreError::rusqlite("check segments");
        let db = read_only(&path).map_err(failed())?;
        let mut check = FileCheck::default();
        for process in processes {
            let sql = "SELECT process, spans, data, kind FROM segment
                WHERE process = ?1 AND end_at >= ?2 AND start_at < ?3";
            let bounds = (from.map_or(0, |at| at.0), to.map_or(i64::MAX, |at| at.0));
            let binds = [process.0, bounds.0, bounds.1];
            check.segments(&db, sql, &binds).map_err(failed())?;
        }
        Ok(check.wrong + check.unknown_segments)
    })
    .await
}

impl FileCheck {
    /// Whether nothing is wrong.
    pub const fn is_fine(&self) -> bool {
        self.wrong == 0
    }

    fn find(&mut self, place: &str, process: Option<i64>, text: impl Into<String>) {
        self.wrong += 1;
        if self.findings.len() < MAX_FINDINGS {
            let process = process.map(ProcessKey);
            self.findings.push(Finding { place: place.to_owned(), process, text: text.into() });
        }
    }

    fn structure(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let sql = format!("PRAGMA integrity_check({MAX_FINDINGS})");
        let mut statement = db.prepare(&sql)?;
        let mut lines = statement.query([])?;
        loop {
            // A page that cannot be read at all ends the check.
            let line: String = match lines.next() {
                Ok(Some(row)) => row.get(0)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.find("file", None, error.to_string());
                    return Ok(());
                }
            };
            if line != "ok" {
                self.find("file", None, line);
            }
        }
    }

    fn everything(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.segments(db, "SELECT process, spans, data, kind FROM segment", &[])?;
        self.tiles(db)?;
        for table in tables::all(db)? {
            let sql = format!("SELECT count(*) FROM \"{}\"", table.name);
            let rows: i64 = db.query_row(&sql, [], |row| row.get(0))?;
            self.rows.insert(table.name.clone(), rows.max(0) as u64);
            if table.name != "process" && table.has("process") {
                self.orphans(db, &table.name)?;
            }
            // An older loopd did not have all of them.
            for (_, column) in
                JSON.iter().filter(|(name, column)| *name == table.name && table.has(column))
            {
                self.json(db, &table.name, column)?;
            }
        }
        self.books(db)
    }

    /// Decodes segments and compares their counts with those beside them.
    fn segments(&mut self, db: &Connection, sql: &str, binds: &[i64]) -> rusqlite::Result<()> {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(binds))?;
        while let Some(row) = rows.next()? {
            let (process, spans): (i64, i64) = (row.get(0)?, row.get(1)?);
            let bytes = row.get_ref(2)?.as_blob().unwrap_or_default();
            match blob::segment(row.get(3)?, bytes) {
                SegmentState::Spans(found) if found as i64 == spans => {
                    self.segments += 1;
                    match row.get(3)? {
                        blob::TASKS => self.packed_tasks += found,
                        _ => self.spans += found,
                    }
                }
                SegmentState::Spans(found) => {
                    let text = format!("a segment has {found} spans, its row says {spans}");
                    self.find("segment", Some(process), text);
                }
                SegmentState::Unknown => self.unknown_segments += 1,
                SegmentState::Damaged(text) => self.find("segment", Some(process), text),
            }
        }
        Ok(())
    }

    fn tiles(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement = db.prepare("SELECT process, cells FROM tile")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob().unwrap_or_default();
            match tiles::decode(bytes) {
                Some(_) => self.tiles += 1,
                None => self.find("tile", Some(row.get(0)?), "a tile cannot be decoded"),
            }
        }
        Ok(())
    }

    /// Rows of processes that are not there.
    fn orphans(&mut self, db: &Connection, table: &str) -> rusqlite::Result<()> {
        // Settings of every program and of those of a name have process 0.
        let sql = format!(
            "SELECT process, count(*) FROM \"{table}\" WHERE process <> 0
             AND process NOT IN (SELECT id FROM process) GROUP BY process"
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (process, rows): (i64, i64) = (row.get(0)?, row.get(1)?);
            self.find(table, Some(process), format!("{rows} rows, but there is no such process"));
        }
        Ok(())
    }

    fn json(&mut self, db: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
        let key = if table == "process" { "id" } else { "process" };
        let sql = format!(
            "SELECT {key}, count(*) FROM {table} WHERE {column} IS NOT NULL
             AND NOT json_valid({column}) GROUP BY 1"
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (process, rows): (i64, i64) = (row.get(0)?, row.get(1)?);
            let text = format!("{column} of {rows} rows cannot be read");
            self.find(table, Some(process), text);
        }
        Ok(())
    }

    /// What was produced is stored, dropped or lost, and there is no more than was stored.
    fn books(&mut self, db: &Connection) -> rusqlite::Result<()> {
        // While a program runs some is on its way, and after a crash nobody told the last totals.
        let sql = "SELECT e.process, e.kind, e.produced, e.stored, e.dropped, e.lost
            FROM ledger_entry e JOIN process p ON p.id = e.process
            WHERE min(e.produced, e.stored, e.dropped, e.lost) < 0
               OR (e.produced > 0 AND e.dropped > e.produced)
               OR (p.state = 3 AND NOT p.has_hole AND e.produced > 0
                   AND e.produced <> e.stored + e.dropped + e.lost)";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let counts: [i64; 5] =
                [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            let [kind, produced, stored, dropped, lost] = counts;
            let text = format!(
                "of kind {kind} {produced} were produced, but {stored} are stored, {dropped} \
                 dropped and {lost} lost"
            );
            self.find("ledger_entry", Some(row.get(0)?), text);
        }
        let sql = "SELECT s.process, s.kind, sum(s.spans) AS found, ifnull(e.stored, 0) AS stored
            FROM segment s LEFT JOIN ledger_entry e ON e.process = s.process AND e.kind = s.kind
            GROUP BY s.process, s.kind HAVING found > stored";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, spans, stored): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let text = format!("of kind {kind} there are {spans}, but {stored} were stored");
            self.find("ledger_entry", Some(row.get(0)?), text);
        }
        Ok(())
    }
}

/// Columns that hold JSON.
const JSON: [(&str, &str); 10] = [
    ("process", "labels"),
    ("process", "coverage"),
    ("process", "in_force"),
    ("process", "configured"),
    ("stack", "frames"),
    ("task", "fields"),
    ("mark", "fields"),
    ("app_span", "fields"),
    ("coverage_change", "layers"),
    ("coverage_change", "settings"),
];
