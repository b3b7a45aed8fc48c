//! `loopd db check`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use loopd_dashboard::views::text::count_text;
use loopd_store::FileCheck;
use serde_json::json;

use crate::commands::render::{clean, note, print, print_lines};
use crate::exit::{Exit, OrExit};

pub(super) const HELP: &str = "\
Examples:
  loopd db check
  loopd db check --json | jq '.findings[].text'

SQLite checks the structure of the file and its indexes; loopd then decodes every segment and tile and
compares checksums and counts, which SQLite has none of, and looks whether the books add up.

JSON keys: path, fine, wrong (how many things), findings (the first 20: place, process, text), segments,
spans, packed_tasks, unknown_segments (written by a newer loopd), tiles, rows (by table).";

/// Checks a file.
pub(super) async fn run(path: &Path, is_json: bool) -> anyhow::Result<ExitCode> {
    let check = loopd_store::check_file(path).await.or_exit(Exit::Storage)?;
    if is_json {
        print_lines([line(path, &check)])?;
    } else {
        print(&text(path, &check))?;
    }
    if check.unknown_segments > 0 {
        note(&format!(
            "{} segments were written by a newer loopd and could not be looked into",
            count_text(check.unknown_segments)
        ));
    }
    Ok(if check.is_fine() { ExitCode::SUCCESS } else { Exit::Storage.into() })
}

fn line(path: &Path, check: &FileCheck) -> serde_json::Value {
    let findings = check.findings.iter().map(|found| {
        let process = found.process.map(|process| process.0);
        json!({"place": found.place, "process": process, "text": found.text})
    });
    json!({
        "path": path.display().to_string(),
        "fine": check.is_fine(),
        "wrong": check.wrong,
        "findings": findings.collect::<Vec<_>>(),
        "segments": check.segments,
        "spans": check.spans,
        "packed_tasks": check.packed_tasks,
        "unknown_segments": check.unknown_segments,
        "tiles": check.tiles,
        "rows": check.rows,
    })
}

fn text(path: &Path, check: &FileCheck) -> String {
    let mut text = String::new();
    for found in &check.findings {
        let _ = writeln!(text, "BAD  {}", clean(&found.to_string()));
    }
    let hidden = check.wrong.saturating_sub(check.findings.len() as u64);
    if hidden > 0 {
        let _ = writeln!(text, "BAD  {} more", count_text(hidden));
    }
    let rows: u64 = check.rows.values().sum();
    let _ = writeln!(
        text,
        "{}: {}; {} rows, {} segments with {} polls, parks and wakes and {} tasks, {} tiles were \
         read",
        path.display(),
        if check.is_fine() { "fine" } else { "damaged" },
        count_text(rows),
        count_text(check.segments),
        count_text(check.spans),
        count_text(check.packed_tasks),
        count_text(check.tiles),
    );
    text
}
