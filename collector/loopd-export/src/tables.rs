//! The documented views as tables of typed columns, for programs that compute with them.

use std::io::Write;

use loopd_store::{SchemaView, StoreError};

use crate::csv::CsvTable;
use crate::source::{self, Source};
use crate::{ColumnType, ExportError, ParquetTable};

/// The names of the tables there are, in order.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    source::views().map(|view| view.name)
}

/// Writes one table as Parquet. What was lost in the range is in the file's metadata, under
/// `loopd.losses`.
pub fn parquet_table(
    source: &Source,
    table: &str,
    out: impl Write + Send,
) -> Result<(), ExportError> {
    let view = view(table)?;
    let mut written = ParquetTable::create(out, &columns(view))?;
    written.note("loopd.table", view.about.to_owned());
    written.note("loopd.losses", losses(source)?);
    source.each(view.name, &names(view).join(", "), |row| written.push_row(row))?;
    written.finish().map(drop)
}

/// Writes one table as CSV.
pub fn csv_table(source: &Source, table: &str, out: impl Write) -> Result<(), ExportError> {
    let view = view(table)?;
    let mut written = CsvTable::create(out, &names(view))?;
    source.each(view.name, &names(view).join(", "), |row| written.push_row(row))?;
    written.finish().map(drop)
}

fn view(table: &str) -> Result<&'static SchemaView, ExportError> {
    let found = source::views().find(|view| view.name == table);
    found.ok_or_else(|| ExportError::NoTable { table: table.to_owned() })
}

fn names(view: &SchemaView) -> Vec<&'static str> {
    view.columns.iter().map(|column| column.name).collect()
}

fn columns(view: &SchemaView) -> Vec<(String, ColumnType)> {
    let column = |column: &loopd_store::SchemaColumn| {
        let is_instant = column.name == "at" || column.name.ends_with("_at");
        let kind = match column.kind {
            "integer" if is_instant => ColumnType::Instant,
            "integer" => ColumnType::Integer,
            "real" => ColumnType::Real,
            "blob" => ColumnType::Blob,
            _ => ColumnType::Text,
        };
        (column.name.to_owned(), kind)
    };
    view.columns.iter().map(column).collect()
}

/// What was lost in the range, as JSON: `[{"process": 1, "kind": "poll", "cause": "ring_full",
/// "count": 7, "from_at": …, "to_at": …}]`. Bounded: the first thousand.
fn losses(source: &Source) -> Result<String, ExportError> {
    const MAX: usize = 1_000;
    let mut losses = Vec::new();
    source.peek("losses", "process, kind, cause, count, from_at, to_at", |row| {
        if losses.len() < MAX {
            losses.push(serde_json::json!({
                "process": source::integer(&row[0]),
                "kind": source::text(&row[1]),
                "cause": source::text(&row[2]),
                "count": source::integer(&row[3]),
                "from_at": source::integer(&row[4]),
                "to_at": source::integer(&row[5]),
            }));
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(serde_json::Value::from(losses).to_string())
}
