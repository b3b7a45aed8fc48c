//! `loopd db stats`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_store::{FileStats, UnixNanos};
use serde_json::json;

use crate::commands::render::{Screen, Table, print, print_lines};
use crate::commands::time_arg::clock_text;
use crate::exit::{Exit, OrExit};
use crate::units::size_text;

pub(super) const HELP: &str = "\
Examples:
  loopd db stats
  loopd db stats --json | jq '.tables[] | [.name, .bytes]'

JSON keys: path, bytes, wal_bytes, page_size, pages, free_pages, schema, polls, poll_bytes,
bytes_per_poll (null without polls), oldest_at, newest_at (of single polls, parks and wakes; unix
nanoseconds as text, or null), tables (largest first: name, rows, bytes, index_bytes), processes
(process, app, tasks, polls, packed_bytes).";

/// Measures a file.
pub(super) async fn run(path: &Path, is_json: bool, screen: Screen) -> anyhow::Result<ExitCode> {
    let stats = loopd_store::file_stats(path).await.or_exit(Exit::Storage)?;
    if is_json {
        print_lines([line(path, &stats)])?;
    } else {
        print(&text(path, &stats, screen))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bytes_per_poll(stats: &FileStats) -> Option<f64> {
    (stats.polls > 0).then(|| stats.poll_bytes as f64 / stats.polls as f64)
}

fn line(path: &Path, stats: &FileStats) -> serde_json::Value {
    let at = |at: Option<UnixNanos>| at.map(|at| at.0.to_string());
    let tables = stats.tables.iter().map(|table| {
        json!({
            "name": table.name,
            "rows": table.rows,
            "bytes": table.bytes,
            "index_bytes": table.index_bytes,
        })
    });
    let processes = stats.processes.iter().map(|process| {
        json!({
            "process": process.process.0,
            "app": process.app,
            "tasks": process.tasks,
            "polls": process.polls,
            "packed_bytes": process.packed_bytes,
        })
    });
    json!({
        "path": path.display().to_string(),
        "bytes": stats.bytes,
        "wal_bytes": stats.wal_bytes,
        "page_size": stats.page_size,
        "pages": stats.pages,
        "free_pages": stats.free_pages,
        "schema": stats.schema,
        "polls": stats.polls,
        "poll_bytes": stats.poll_bytes,
        "bytes_per_poll": bytes_per_poll(stats),
        "oldest_at": at(stats.oldest_at),
        "newest_at": at(stats.newest_at),
        "tables": tables.collect::<Vec<_>>(),
        "processes": processes.collect::<Vec<_>>(),
    })
}

fn text(path: &Path, stats: &FileStats, screen: Screen) -> String {
    let mut text = format!(
        "{}: {}, of which {} are free; the log beside it has {}; schema {}\n",
        path.display(),
        size_text(stats.bytes),
        size_text(stats.free_pages.saturating_mul(stats.page_size)),
        size_text(stats.wal_bytes),
        stats.schema,
    );
    if let (Some(oldest), Some(newest)) = (stats.oldest_at, stats.newest_at) {
        let zone = TimeZone::system();
        let _ = writeln!(
            text,
            "single polls, parks and wakes from {} to {}, {}",
            clock_text(oldest.0, &zone),
            clock_text(newest.0, &zone),
            duration_text(newest.0.saturating_sub(oldest.0).max(0).cast_unsigned()),
        );
    }
    if let Some(bytes) = bytes_per_poll(stats) {
        let polls = count_text(stats.polls);
        let _ = writeln!(text, "{polls} polls at {bytes:.1} bytes each, without indexes");
    }
    let mut tables = Table::default().text("TABLE").number("ROWS").number("SIZE").number("INDEXES");
    for table in stats.tables.iter().filter(|table| table.rows > 0) {
        let sizes = (size_text(table.bytes), size_text(table.index_bytes));
        tables.row([table.name.clone(), count_text(table.rows), sizes.0, sizes.1]);
    }
    let _ = write!(text, "\n{}", screen.table(&tables));
    let mut processes = Table::default()
        .number("PROCESS")
        .text("APP")
        .number("TASKS")
        .number("POLLS")
        .number("PACKED");
    for process in &stats.processes {
        processes.row([
            process.process.0.to_string(),
            process.app.clone(),
            count_text(process.tasks),
            count_text(process.polls),
            size_text(process.packed_bytes),
        ]);
    }
    if !stats.processes.is_empty() {
        let _ = write!(text, "\n{}", screen.table(&processes));
    }
    text
}
