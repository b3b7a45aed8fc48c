//! Copies the rows of one process from the database `source`, which is attached, to the main one.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, named_params, params};

use super::tables::{self, Column, DERIVED, NOTES, PARTS, SHARED, Table};

/// The key of a process there and here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) source: i64,
    pub(super) target: i64,
}

/// Attaches a database for reading only.
pub(super) fn attach(db: &Connection, path: &Path) -> rusqlite::Result<()> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = "file:".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?mode=ro");
    db.execute("ATTACH ?1 AS source", [uri]).map(drop)
}

/// Whether the tables, indexes and views there are the ones here, to the letter. What another
/// program made could otherwise have loopd run what it likes.
pub(super) fn has_our_schema(db: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT type, name, sql FROM source.sqlite_schema
            WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            EXCEPT SELECT type, name, sql FROM main.sqlite_schema)
        AND NOT EXISTS (SELECT type, name, sql FROM main.sqlite_schema
            WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            EXCEPT SELECT type, name, sql FROM source.sqlite_schema)";
    db.query_row(sql, [], |row| row.get(0))
}

/// Makes sure that every text that rows there may refer to is here, as far as there is room.
pub(super) fn shared(db: &Connection) -> rusqlite::Result<()> {
    // The writer keeps all words in memory, and so there are only so many.
    const MAX_WORDS: i64 = 4_096;
    let sql = "INSERT OR IGNORE INTO main.word (text) SELECT text FROM source.word
        WHERE text NOT IN (SELECT text FROM main.word) ORDER BY id
        LIMIT max(0, ?1 - (SELECT count(*) FROM main.word))";
    db.execute(sql, [MAX_WORDS])?;
    let sql = "INSERT OR IGNORE INTO main.metric_name (name) SELECT name FROM source.metric_name
        ORDER BY id";
    db.execute(sql, []).map(drop)
}

/// Copies the process's own row. `id` is the key it gets, if that matters. Returns its key.
pub(super) fn process(db: &Connection, source: i64, target: Option<i64>) -> rusqlite::Result<i64> {
    let tables = tables::of_processes(db)?;
    let Some(table) = tables.iter().find(|table| table.name == "process") else {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    };
    let columns = table.columns.iter().map(|column| quoted(&column.name));
    let columns: Vec<_> = columns.filter(|column| column != "\"id\"").collect();
    let columns = columns.join(", ");
    let sql = format!(
        "INSERT INTO main.process (id, {columns}) SELECT ?2, {columns} FROM source.process
         WHERE id = ?1"
    );
    db.execute(&sql, params![source, target])?;
    Ok(db.last_insert_rowid())
}

/// Copies everything else of a process that lies in the range, but no note that is there. Returns how many
/// rows, by table.
pub(super) fn rows(
    db: &Connection,
    keys: Keys,
    range: Option<(i64, i64)>,
    copied: &mut BTreeMap<String, u64>,
) -> rusqlite::Result<()> {
    let is_copied =
        |table: &&Table| table.name != "process" && !DERIVED.contains(&table.name.as_str());
    for table in tables::of_processes(db)?.iter().filter(is_copied) {
        let rows = of_table(db, table, keys, range)?;
        if rows > 0 {
            *copied.entry(table.name.clone()).or_default() += rows;
        }
    }
    count(db, keys.target)
}

fn of_table(
    db: &Connection,
    table: &Table,
    keys: Keys,
    range: Option<(i64, i64)>,
) -> rusqlite::Result<u64> {
    let name = quoted(&table.name);
    let columns = &table.columns;
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    let values: Vec<_> = columns.iter().map(|column| value(&table.name, column)).collect();
    let time = range.and_then(|_| table.in_range("s")).unwrap_or_else(|| "true".to_owned());
    // When it was made is what no edit changes of a note.
    let is_new = match table.name == NOTES {
        true => "s.made_at NOT IN (SELECT made_at FROM main.note WHERE process = :target)",
        false => "true",
    };
    let sql = format!(
        "INSERT INTO main.{name} ({}) SELECT {} FROM source.{name} s
         WHERE s.process = :source AND ({time}) AND {is_new}",
        names.join(", "),
        values.join(", "),
    );
    let (from, to) = range.unwrap_or_default();
    let mut offset = 0;
    if let Some(id) = columns.iter().find(|column| column.is_rowid) {
        // Their old numbers may be taken; behind all others the order stays.
        let sql = format!("SELECT ifnull(max({}), 0) FROM main.{name}", quoted(&id.name));
        offset = db.query_row(&sql, [], |row| row.get(0))?;
    }
    let binds = [
        (":source", keys.source),
        (":target", keys.target),
        (":from", from),
        (":to", to),
        (":offset", offset),
    ];
    let rows = run(db, &sql, &binds)?;
    for (part, column, _) in PARTS.iter().filter(|(_, _, owner)| *owner == table.name) {
        // Of the rows that were just copied.
        let values = part_values(db, part, column)?;
        let sql = format!(
            "INSERT INTO main.{part} SELECT {values} FROM source.{part} p
             JOIN source.{name} s ON s.id = p.{column}
             WHERE s.process = :source
               AND EXISTS (SELECT 1 FROM main.{name} m WHERE m.id = s.id + :offset)"
        );
        run(db, &sql, &binds)?;
    }
    Ok(rows)
}

/// Runs a statement with those of the values that it names.
fn run(db: &Connection, sql: &str, binds: &[(&str, i64)]) -> rusqlite::Result<u64> {
    let mut statement = db.prepare(sql)?;
    for (name, value) in binds {
        // Not every table has a time.
        if let Some(place) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(place, value)?;
        }
    }
    Ok(statement.raw_execute()? as u64)
}

/// The columns of a part, the number of its owner moved.
fn part_values(db: &Connection, part: &str, column: &str) -> rusqlite::Result<String> {
    let table = tables::all(db)?.into_iter().find(|table| table.name == part);
    let columns = table.map(|table| table.columns).unwrap_or_default();
    let values = columns.iter().map(|found| match found.name == column {
        true => format!("p.{} + :offset", quoted(&found.name)),
        false => format!("p.{}", quoted(&found.name)),
    });
    Ok(values.collect::<Vec<_>>().join(", "))
}

/// What a column gets, as SQL.
fn value(table: &str, column: &Column) -> String {
    if column.name == "process" {
        return ":target".to_owned();
    }
    let name = quoted(&column.name);
    if column.is_rowid {
        return format!("s.{name} + :offset");
    }
    match SHARED.into_iter().find(|shared| (shared.0, shared.1) == (table, &column.name)) {
        Some((.., shared, text)) => format!(
            "(SELECT m.id FROM main.{shared} m JOIN source.{shared} o ON o.{text} = m.{text}
              WHERE o.id = s.{name})"
        ),
        None => format!("s.{name}"),
    }
}

/// Adds what the process's books say was stored to what the file as a whole says.
fn count(db: &Connection, process: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE main.meta SET
        polls = polls + (SELECT ifnull(sum(stored), 0) FROM main.ledger_entry
            WHERE process = :process AND kind = 1),
        events = events + (SELECT ifnull(sum(stored), 0) FROM main.ledger_entry
            WHERE process = :process AND kind > 3),
        batches = batches + (SELECT durable_seq FROM main.process WHERE id = :process)";
    db.execute(sql, named_params! {":process": process}).map(drop)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
