//! `loopd import`: adds what `loopd export --format loopd` wrote to a database.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use loopd_dashboard::views::text::count_text;
use loopd_store::{Imported, ImportedProcess, StoreOptions};
use serde::Serialize;

use super::render::{clean, note, print, print_lines};
use super::source::usual_db;
use crate::exit::{Exit, OrExit};

/// The flags of `loopd import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd import recording.db
  loopd import recording.db --db /var/lib/loopd/loopd.db --replace
  loopd import recording.db --json | jq -r 'select(.added) | .process'

Stop `loopd serve` first: it alone writes to its database. Or look at the file itself: every command
reads it with --db, also while a server runs. The file is checked from end to end first; it is imported
as a whole or not at all.

JSON: one object per program of the file: id, app, process (its number here), known (it was here
before), added.")]
pub(crate) struct ImportArgs {
    /// The file: a database of loopd's.
    file: PathBuf,
    /// Add to this database [default: the one that `loopd serve` uses].
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Replace runs that are there already; otherwise they are left alone.
    #[arg(long)]
    replace: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    app: &'a str,
    process: i64,
    known: bool,
    added: bool,
}

/// Runs the command.
pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let db = match args.db {
        Some(path) => path,
        None => usual_db()?,
    };
    let options = StoreOptions::new(&db);
    let imported = loopd_store::import_file(&args.file, &options, args.replace)
        .await
        .with_context(|| format!("import {}", args.file.display()))
        .or_exit(Exit::Storage)?;
    if args.json {
        print_lines(imported.processes.iter().map(|process| Line {
            id: &process.id,
            app: &process.app,
            process: process.process.0,
            known: process.was_known,
            added: process.is_added,
        }))?;
    } else {
        print(&text(&imported))?;
    }
    let rows = imported.rows.values().sum();
    note(&format!("{} rows were added to {}", count_text(rows), db.display()));
    Ok(ExitCode::SUCCESS)
}

fn text(imported: &Imported) -> String {
    let line = |process: &ImportedProcess| {
        let app = clean(&process.app);
        let number = process.process.0;
        match (process.was_known, process.is_added) {
            (false, _) => format!("{app} is process {number}\n"),
            (true, true) => format!("{app} was replaced, it is process {number}\n"),
            (true, false) => {
                format!("{app} is there already as process {number}; --replace replaces it\n")
            }
        }
    };
    imported.processes.iter().map(line).collect()
}
