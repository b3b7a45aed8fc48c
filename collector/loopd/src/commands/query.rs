//! `loopd query`: SQL over everything recorded.

mod command;
mod output;
mod parquet;
mod prompt;
mod words;

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use loopd_dashboard::views::query::{
    MAX_ROWS, QueryRequest, SchemaFunction, SchemaTable, SchemaView,
};
use loopd_store::QueryLimits;

use self::output::Format;
use self::prompt::Prompt;
use super::render::{Screen, Style, note, print, print_lines, warn};
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
  loopd query --format parquet -o slow.parquet \"select * from slow where start_at > unix('-1h')\"
  echo 'select count(*) from tasks' | loopd query -
  loopd query          # a prompt: Tab completes, \\help lists its commands

JSON: one object per row, keyed by column; whole numbers beyond 2^53 are text.")]
pub(crate) struct QueryArgs {
    /// One statement that reads; - reads it from the standard input. Without it, a prompt.
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
    /// Write the rows to this file.
    #[arg(short, long, value_name = "FILE", requires = "sql")]
    output: Option<PathBuf>,
    /// Replace that file if it is there.
    #[arg(long, requires = "output")]
    force: bool,
    /// At most so many rows, up to 100000 [default: 10000; 200 at the prompt].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// At most so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: Option<u64>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub(crate) async fn run(args: QueryArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let format = if args.json { Format::Json } else { args.format };
    let screen = Screen::new(global.color);
    if args.schema {
        let schema = schema(&args.source).await?;
        match format {
            Format::Json => print_lines(&schema.views)?,
            _ => print(&schema_text(&schema, screen))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    match &args.output {
        Some(path) => output::check_file(path, args.force)?,
        None => output::check_stdout(format)?,
    }
    let timeout_ms = args.timeout.map(|seconds| seconds.saturating_mul(1000));
    let sql = match args.sql.as_deref() {
        Some("-") => read_stdin()?,
        Some(sql) => sql.to_owned(),
        None if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() => {
            let source = args.source.open().await?;
            let schema = Arc::new(source.schema().await?);
            let (limit, is_timing) = (args.limit, false);
            let prompt = Prompt { source, schema, screen, format, limit, timeout_ms, is_timing };
            prompt.run().await?;
            return Ok(ExitCode::SUCCESS);
        }
        None => read_stdin()?,
    };
    let source = args.source.open().await?;
    let view = source.query(&QueryRequest { sql, limit: args.limit, timeout_ms }).await?;
    let bytes = output::encode(&view, format, screen)?;
    match &args.output {
        Some(path) => output::write(path, &bytes)?,
        None => output::print(&bytes)?,
    }
    view.hints.iter().for_each(|hint| note(hint));
    if view.truncated {
        let asked = args.limit.unwrap_or_else(|| QueryLimits::default().rows);
        let rows = view.rows.len();
        let more = if rows < asked || rows >= MAX_ROWS {
            "an answer holds no more; `loopd export --table` writes whole tables"
        } else {
            "--limit gives more"
        };
        warn(&format!("only the first {rows} rows are shown; {more}"));
        // Who asked for so many rows has all they asked for.
        let is_asked = args.limit.is_some_and(|limit| view.rows.len() >= limit);
        return Ok(if is_asked { ExitCode::SUCCESS } else { Exit::Incomplete.into() });
    }
    Ok(ExitCode::SUCCESS)
}

/// The server's schema if one was named, since it may be newer; else that of this binary.
async fn schema(source: &SourceArgs) -> anyhow::Result<SchemaView> {
    if source.url().is_some() {
        return source.open().await?.schema().await;
    }
    Ok(loopd_dashboard::views::query::schema())
}

fn schema_text(schema: &SchemaView, screen: Screen) -> String {
    let views = schema.views.iter().map(|view| view_text(view, screen) + "\n");
    views.collect::<String>() + &functions_text(schema, screen)
}

fn view_text(view: &SchemaTable, screen: Screen) -> String {
    let mut out = format!("{}  {}\n", screen.paint(Style::Title, &view.name), view.about);
    let width = view.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for column in &view.columns {
        let kind = screen.paint(Style::Dim, &format!("{:7}", column.sql_type));
        let _ = writeln!(out, "  {:width$}  {kind}  {}", column.name, column.about);
    }
    out
}

fn functions_text(schema: &SchemaView, screen: Screen) -> String {
    let line = |function: &SchemaFunction| {
        format!("{}  {}\n", screen.paint(Style::Title, &function.name), function.about)
    };
    schema.functions.iter().map(line).collect()
}

/// Every view in a line, and the functions.
fn overview(schema: &SchemaView, screen: Screen) -> String {
    let width = schema.views.iter().map(|view| view.name.len()).max().unwrap_or(0);
    let line = |view: &SchemaTable| {
        let name = screen.paint(Style::Title, &format!("{:width$}", view.name));
        format!("{name}  {}\n", view.about)
    };
    schema.views.iter().map(line).collect::<String>() + "\n" + &functions_text(schema, screen)
}
