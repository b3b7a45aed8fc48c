//! `loopd query`: SQL over everything recorded.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use loopd_dashboard::views::query::{QueryRequest, QueryView, SchemaView, cell, csv};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::render::{Screen, Style, Table, print, print_lines, warn};
use super::source::{SourceArgs, read_stdin};
use crate::cli::Global;
use crate::exit::Exit;

/// The flags of `loopd query`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd query --schema
  loopd query 'select app, host, state from processes'
  loopd query 'select location, count(*), duration(sum(busy_time)) from tasks group by 1 order by 2 desc'
  loopd query --format csv 'select * from slow' > slow.csv
  echo 'select count(*) from tasks' | loopd query -

JSON: one object per row, keyed by column; whole numbers beyond 2^53 are text.")]
pub(crate) struct QueryArgs {
    /// One statement that reads; - reads it from the standard input.
    #[arg(required_unless_present = "schema")]
    sql: Option<String>,
    /// List what can be selected from, with every column.
    #[arg(long, conflicts_with = "sql")]
    schema: bool,
    /// How to print the rows.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// At most so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: Option<u64>,
    #[command(flatten)]
    source: SourceArgs,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns.
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values.
    Csv,
}

/// Runs the command.
pub(crate) async fn run(args: QueryArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let format = if args.json { Format::Json } else { args.format };
    let screen = Screen::new(global.color);
    if args.schema {
        let schema = schema(&args.source).await?;
        match format {
            Format::Json => print_lines(&schema.views)?,
            Format::Table | Format::Csv => print(&schema_text(&schema, screen))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let sql = match args.sql.as_deref() {
        Some("-") | None => read_stdin()?,
        Some(sql) => sql.to_owned(),
    };
    let source = args.source.open().await?;
    let timeout_ms = args.timeout.map(|seconds| seconds.saturating_mul(1000));
    let view = source.query(&QueryRequest { sql, limit: args.limit, timeout_ms }).await?;
    match format {
        Format::Table => print(&screen.table(&table(&view)))?,
        Format::Json => {
            let names = keys(&view);
            print_lines(view.rows.iter().map(|row| Object { names: &names, row }))?;
        }
        Format::Csv => print(&csv(&view).into_text())?,
    }
    if view.truncated {
        warn(&format!("only the first {} rows are shown; --limit gives more", view.rows.len()));
        // Who asked for so many rows has all they asked for.
        let is_asked = args.limit.is_some_and(|limit| view.rows.len() >= limit);
        return Ok(if is_asked { ExitCode::SUCCESS } else { Exit::Incomplete.into() });
    }
    Ok(ExitCode::SUCCESS)
}

/// The server's schema if one was named, since it may be newer; else that of this binary.
async fn schema(source: &SourceArgs) -> anyhow::Result<SchemaView> {
    if source.url.is_some() {
        return source.open().await?.schema().await;
    }
    Ok(loopd_dashboard::views::query::schema())
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

fn schema_text(schema: &SchemaView, screen: Screen) -> String {
    let mut out = String::new();
    for view in &schema.views {
        let _ = writeln!(out, "{}  {}", screen.paint(Style::Title, &view.name), view.about);
        let width = view.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
        for column in &view.columns {
            let kind = screen.paint(Style::Dim, &format!("{:7}", column.sql_type));
            let _ = writeln!(out, "  {:width$}  {kind}  {}", column.name, column.about);
        }
        out.push('\n');
    }
    for function in &schema.functions {
        let name = screen.paint(Style::Title, &function.name);
        let _ = writeln!(out, "{name}  {}", function.about);
    }
    out
}
