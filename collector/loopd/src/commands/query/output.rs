//! Rows as text or as a file: tables, JSON, CSV and Parquet.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use loopd_dashboard::views::query::{QueryView, cell, csv};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::parquet;
use crate::commands::render::{Screen, Table, note};
use crate::exit::{Exit, OrExit};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns.
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values.
    Csv,
    /// A Parquet file, for -o or a pipe.
    Parquet,
}

/// The rows as they are printed or written.
pub(super) fn encode(view: &QueryView, format: Format, screen: Screen) -> anyhow::Result<Vec<u8>> {
    match format {
        Format::Table => Ok(screen.table(&table(view)).into_bytes()),
        Format::Csv => Ok(csv(view).into_text().into_bytes()),
        Format::Json => {
            let (names, mut out) = (keys(view), Vec::new());
            for row in &view.rows {
                serde_json::to_writer(&mut out, &Object { names: &names, row })?;
                out.push(b'\n');
            }
            Ok(out)
        }
        Format::Parquet => {
            let (bytes, mixed) = parquet::encode(view)?;
            if !mixed.is_empty() {
                note(&format!(
                    "written as text, because not all values are of one type: {}",
                    mixed.join(", ")
                ));
            }
            Ok(bytes)
        }
    }
}

/// Whether a format may go where the standard output goes.
pub(super) fn check_stdout(format: Format) -> anyhow::Result<()> {
    if format == Format::Parquet && io::stdout().is_terminal() {
        return Err(anyhow!("Parquet is not for terminals; name a file with -o, or pipe it on"))
            .or_exit(Exit::Usage);
    }
    Ok(())
}

/// Prints it, as a whole.
pub(super) fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Whether a file may be written.
pub(super) fn check_file(path: &Path, may_replace: bool) -> anyhow::Result<()> {
    if path.exists() && !may_replace {
        return Err(anyhow!("{} is there already; --force replaces it", path.display()))
            .or_exit(Exit::Usage);
    }
    Ok(())
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = || {
        // As readable as any other file that is made here.
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    written().with_context(|| format!("write {}", path.display())).or_exit(Exit::Storage)
}

fn table(view: &QueryView) -> Table {
    let is_number = |i: usize| {
        let mut values = view.rows.iter().filter_map(|row| row.get(i)).filter(|v| !v.is_null());
        values.clone().next().is_some() && values.all(Value::is_number)
    };
    let mut table = Table::default();
    for (i, column) in view.columns.iter().enumerate() {
        table = if is_number(i) { table.number(&column.name) } else { table.text(&column.name) };
    }
    for row in &view.rows {
        table.row(row.iter().map(cell));
    }
    table
}

/// One row as an object whose keys keep the order of the columns.
struct Object<'a> {
    names: &'a [String],
    row: &'a [Value],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len()))?;
        for (name, value) in self.names.iter().zip(self.row) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Names that can be keys: a second column of the same name gets a number.
fn keys(view: &QueryView) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for column in &view.columns {
        let mut key = column.name.clone();
        let mut n = 1;
        while keys.contains(&key) {
            n += 1;
            key = format!("{}_{n}", column.name);
        }
        keys.push(key);
    }
    keys
}
