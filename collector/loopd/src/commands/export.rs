//! `loopd export`: a recording as files for other tools, or for another loopd.

mod database;
mod target;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_export::{ExportError, Selection};
use loopd_store::{ProcessKey, Reader, StoreError, UnixNanos};

use self::target::{Target, write_file};
use super::read::completeness;
use super::render::{note, warn};
use super::serve::Signals;
use super::source::{Source, SourceArgs};
use super::time_arg::TimeArg;
use crate::exit::{Exit, OrExit};
use crate::units::size_text;

/// The flags of `loopd export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd export --format perfetto --from -5m -o orders.pftrace    # for https://ui.perfetto.dev
  loopd export --format html --app orders -o orders.html         # one page, to be mailed
  loopd export --format loopd --all -o recording.db              # for `loopd import`, and every --db
  loopd export --format parquet -o tables                        # a folder with a file for each table
  loopd export --format csv --table tasks -o - | head
  loopd export --format folded -o - | inferno-flamegraph > slow.svg

A range has what lasts into it: tasks, waits, resources. Polls, parks and wakes have to begin in it;
traces also show slow polls that began before.
Exit code 4: the file was written, but some of what it should have was lost or is damaged. There is no
JSON output; chrome is JSON.")]
pub(crate) struct ExportArgs {
    /// What to write.
    #[arg(long, value_enum)]
    pub(super) format: Format,
    /// Where to: a file, - for the standard output, or for tables a folder.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// One table alone, to one file; `loopd query --schema` lists them. For parquet and csv.
    #[arg(long, value_name = "TABLE")]
    pub(super) table: Option<String>,
    /// This program, by name (its newest run), process number or id [default: the newest]. May be
    /// given several times.
    #[arg(long, value_name = "NAME|ID")]
    pub(super) app: Vec<String>,
    /// Every run of every program.
    #[arg(long, conflicts_with = "app")]
    pub(super) all: bool,
    /// Leave out what was over before this: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) from: Option<TimeArg>,
    /// Leave out what began at this or later.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) to: Option<TimeArg>,
    /// Write over what is there.
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A database of loopd's, with everything; `loopd import` adds it to another.
    Loopd,
    /// A trace for ui.perfetto.dev: workers, polls, wakes, stacks, marks, counters.
    Perfetto,
    /// The same as JSON in Chrome's trace format, for other viewers.
    Chrome,
    /// Tables for pandas, DuckDB, Spark and others.
    Parquet,
    /// Tables as comma-separated values.
    Csv,
    /// Stacks of slow polls for flame graphs, weighed in microseconds.
    Folded,
    /// One page for people, without scripts and without links to elsewhere.
    Html,
    /// What is wrong alone, as a page: `loopd report`.
    #[value(skip)]
    Report,
}

impl Format {
    const fn has_tables(self) -> bool {
        matches!(self, Self::Parquet | Self::Csv)
    }

    /// Whether it is nothing for a screen.
    const fn is_binary(self) -> bool {
        matches!(self, Self::Loopd | Self::Perfetto | Self::Parquet)
    }
}

/// Runs the command.
pub(crate) async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    check(&args)?;
    let reader = database::open(&args.source).await?;
    let source = Source::File(reader.clone());
    let processes = chosen(&source, &args).await?;
    let selection = selection(&processes, &args)?;
    let path = reader.status().await.or_exit(Exit::Storage)?.path;
    let mut signals = Signals::new().context("listen for signals")?;
    let (target, scratch) = Target::new(&args.output, args.force, &path)?;
    let started_at = Instant::now();
    let writing = async {
        match args.format {
            Format::Loopd => portable(&path, &selection, &target).await,
            Format::Html | Format::Report => page(&reader, &selection, &target, args.format).await,
            _ => tables_or_trace(&args, &reader, &processes, &selection, &target).await,
        }
    };
    let written = tokio::select! {
        written = writing => written,
        // A thread may still be writing: the program ends without it.
        () = signals.next() => Err(anyhow!("stopped before {target} was whole")),
    };
    scratch.remove()?;
    let written = written?;
    let took = started_at.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
    note(&format!("{target}: {written} in {}", duration_text(took)));
    said_of_gaps(&source, &path, &processes, &selection).await
}

fn check(args: &ExportArgs) -> anyhow::Result<()> {
    if args.table.is_some() && !args.format.has_tables() {
        return Err(anyhow!("--table is for --format parquet and csv")).or_exit(Exit::Usage);
    }
    if let Some(table) = &args.table
        && !loopd_export::table_names().any(|name| name == table)
    {
        let error = ExportError::NoTable { table: table.clone() };
        return Err(error).or_exit(Exit::Usage);
    }
    let is_standard = Target::is_standard(&args.output);
    if is_standard && args.format.has_tables() && args.table.is_none() {
        let error = anyhow!("the standard output takes one table: name it with --table");
        return Err(error).or_exit(Exit::Usage);
    }
    if is_standard && args.format == Format::Loopd {
        return Err(anyhow!("a database cannot be written to a pipe")).or_exit(Exit::Usage);
    }
    if is_standard && args.format.is_binary() && target::is_terminal() {
        let error = anyhow!("that is nothing for a terminal: name a file with -o");
        return Err(error).or_exit(Exit::Usage);
    }
    Ok(())
}

async fn chosen(source: &Source, args: &ExportArgs) -> anyhow::Result<Vec<Process>> {
    let all = source.processes().await?;
    if args.all && !all.is_empty() {
        return Ok(all);
    }
    if args.app.is_empty() {
        return Ok(vec![source.process(None).await?]);
    }
    let mut chosen: Vec<Process> = Vec::new();
    for app in &args.app {
        let process = source.process(Some(app)).await?;
        if chosen.iter().all(|other| other.process != process.process) {
            chosen.push(process);
        }
    }
    Ok(chosen)
}

fn selection(processes: &[Process], args: &ExportArgs) -> anyhow::Result<Selection> {
    let newest = processes.iter().map(|process| process.last_at.0).max().unwrap_or(0);
    let (newest, zone) = (UnixNanos(newest), TimeZone::system());
    let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, &zone)).transpose();
    let (from, to) = (resolve(args.from)?, resolve(args.to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(anyhow!("--from is not before --to")).or_exit(Exit::Usage);
    }
    let mut processes: Vec<_> =
        processes.iter().map(|process| ProcessKey(process.process)).collect();
    processes.sort_unstable();
    Ok(Selection { processes, from, to })
}

async fn portable(db: &Path, selection: &Selection, target: &Target) -> anyhow::Result<String> {
    let file = target.new_file()?;
    let Selection { processes, from, to } = selection;
    let exported = loopd_store::export_file(db, file.path(), processes, *from, *to)
        .await
        .or_exit(Exit::Storage)?;
    let bytes = file.keep()?;
    let rows = exported.rows.iter().map(|(name, rows)| (name.as_str(), *rows));
    Ok(format!("{}, {}", rows_text(rows), size_text(bytes)))
}

async fn page(
    reader: &Reader,
    selection: &Selection,
    target: &Target,
    format: Format,
) -> anyhow::Result<String> {
    let mut page = Vec::new();
    // A page has a bounded size.
    let written = match format {
        Format::Report => loopd_export::report(reader, selection, &mut page).await,
        _ => loopd_export::html(reader, selection, &mut page).await,
    };
    written.map_err(failed)?;
    let bytes = write_file(target, |out| Ok(out.write_all(&page)?))?;
    let processes = selection.processes.len();
    let noun = if processes == 1 { "program" } else { "programs" };
    Ok(format!("a page about {processes} {noun}, {}", size_text(bytes)))
}

async fn tables_or_trace(
    args: &ExportArgs,
    reader: &Reader,
    processes: &[Process],
    selection: &Selection,
    target: &Target,
) -> anyhow::Result<String> {
    let (format, table) = (args.format, args.table.clone());
    let is_all = selection.from.is_none() && selection.to.is_none();
    let has_polls = format != Format::Folded && table.as_ref().is_none_or(|table| table == "polls");
    let stored: u64 = processes.iter().filter_map(|process| process.polls).sum();
    let (reader, selection, target) = (reader.clone(), selection.clone(), target.clone());
    // Reading row by row blocks.
    let work = move || {
        let source = loopd_export::Source::new(&reader, selection).or_exit(Exit::Storage)?;
        let bytes = match (format.has_tables(), table) {
            (true, None) => folder(format, &source, &target)?,
            (true, Some(table)) => {
                write_file(&target, |out| write_table(format, &source, &table, out))?
            }
            (false, _) => write_file(&target, |out| match format {
                Format::Perfetto => loopd_export::perfetto(&source, out),
                Format::Chrome => loopd_export::chrome(&source, out),
                _ => loopd_export::folded(&source, out),
            })?,
        };
        let counts = source.counts();
        let polls = counts.of("polls");
        if is_all && has_polls && polls < stored {
            note(&format!(
                "{} of {} polls are still there: retention has removed the others, and `rollups` \
                 counts them all",
                count_text(polls),
                count_text(stored)
            ));
        }
        let rows = rows_text(counts.rows.iter().map(|(name, rows)| (*name, *rows)));
        Ok(format!("{rows}, {}", size_text(bytes)))
    };
    tokio::task::spawn_blocking(work).await.context("write the file")?
}

/// A file for each table.
fn folder(format: Format, source: &loopd_export::Source, target: &Target) -> anyhow::Result<u64> {
    target.make_folder()?;
    let ending = if format == Format::Csv { "csv" } else { "parquet" };
    let mut bytes = 0;
    for table in loopd_export::table_names() {
        let file = target.inside(&format!("{table}.{ending}"));
        bytes += write_file(&file, |out| write_table(format, source, table, out))?;
    }
    Ok(bytes)
}

fn write_table(
    format: Format,
    source: &loopd_export::Source,
    table: &str,
    out: &mut (dyn Write + Send),
) -> Result<(), ExportError> {
    match format {
        Format::Csv => loopd_export::csv_table(source, table, out),
        _ => loopd_export::parquet_table(source, table, out),
    }
}

/// Says what is missing from the file, and gives the exit code that says so.
async fn said_of_gaps(
    source: &Source,
    db: &Path,
    processes: &[Process],
    selection: &Selection,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let range = (selection.from.map(|at| at.0), selection.to.map(|at| at.0));
    for process in processes {
        let of_process = completeness(source, process, range).await?;
        if of_process != ExitCode::SUCCESS {
            code = of_process;
        }
    }
    let Selection { processes, from, to } = selection;
    let damaged = loopd_store::damaged_segments(db, processes, *from, *to).await;
    let damaged = damaged.or_exit(Exit::Storage)?;
    if damaged > 0 {
        warn(&format!(
            "{} segments of polls, parks, wakes or tasks cannot be read and are missing; \
             `loopd db check` says more",
            count_text(damaged)
        ));
        code = Exit::Incomplete.into();
    }
    Ok(code)
}

/// `1,234,567 polls, 12,345 tasks and 3 more tables`.
fn rows_text<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> String {
    const SHOWN: usize = 6;
    let mut rows: Vec<_> = rows.filter(|(_, rows)| *rows > 0).collect();
    if rows.is_empty() {
        return "nothing".to_owned();
    }
    rows.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let named = rows.iter().take(SHOWN).map(|(name, rows)| format!("{} {name}", count_text(*rows)));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if rows.len() > SHOWN {
        let _ = write!(text, " and {} more tables", rows.len() - SHOWN);
    }
    text
}

/// Gives an error of the export its exit code.
fn failed(error: ExportError) -> anyhow::Error {
    let is_storage = matches!(error, ExportError::Store(_));
    let is_storage = is_storage
        || std::error::Error::source(&error)
            .is_some_and(|source| source.downcast_ref::<StoreError>().is_some());
    let failed = Err::<(), _>(error);
    let failed =
        if is_storage { failed.or_exit(Exit::Storage) } else { failed.or_exit(Exit::Failure) };
    failed.err().unwrap_or_else(|| anyhow!("the export failed"))
}
