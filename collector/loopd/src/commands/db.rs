//! `loopd db`: the database file itself. What it is made of, whether it is whole, and how to make it
//! smaller.

mod check;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use loopd_store::StoreOptions;
use serde_json::json;

use super::render::{Screen, print, print_lines};
use super::source::usual_db;
use crate::cli::Global;
use crate::exit::{Exit, OrExit};
use crate::units::size_text;

/// The flags of `loopd db`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd db check
  loopd db stats --db /var/lib/loopd/loopd.db
  loopd db stats --json | jq .bytes_per_poll
  loopd db compact                                # after `loopd serve` was stopped

check and stats read the file, also while a server writes to it. To back it up while it is served:
  sqlite3 loopd.db \"VACUUM INTO 'backup.db'\"

JSON: one object; `loopd db check --help` and the others list its keys.")]
pub(crate) struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Read the whole file and say what is wrong with it; exit code 5 if anything is.
    #[command(after_help = check::HELP)]
    Check(FileArgs),
    /// Write the file anew without what is free in it. Nobody may use it meanwhile.
    #[command(after_help = COMPACT_HELP)]
    Compact(FileArgs),
    /// Say how large the file is, and what of.
    #[command(after_help = stats::HELP)]
    Stats(FileArgs),
}

const COMPACT_HELP: &str = "\
Examples:
  loopd db compact
  loopd db compact --db old.db

`loopd serve` gives free space back by itself, a little at a time; this does it at once. Until it is done,
the disk needs room for a second copy. However it ends, the file is whole.

JSON keys: path, bytes_before, bytes_after.";

/// Flags of each of them.
#[derive(Debug, Args)]
struct FileArgs {
    /// The database [default: the one that `loopd serve` uses].
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: DbArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let screen = Screen::new(global.color);
    let (DbCommand::Check(file) | DbCommand::Compact(file) | DbCommand::Stats(file)) =
        &args.command;
    let path = match &file.db {
        Some(path) => path.clone(),
        None => usual_db()?,
    };
    let is_json = file.json;
    match args.command {
        DbCommand::Check(_) => check::run(&path, is_json).await,
        DbCommand::Stats(_) => stats::run(&path, is_json, screen).await,
        DbCommand::Compact(_) => {
            let options = StoreOptions::new(&path);
            let done = loopd_store::compact_file(&options).await.or_exit(Exit::Storage)?;
            if is_json {
                print_lines([json!({
                    "path": path.display().to_string(),
                    "bytes_before": done.before,
                    "bytes_after": done.after,
                })])?;
            } else {
                let (before, after) = (size_text(done.before), size_text(done.after));
                print(&format!("{}: {before} before, {after} now\n", path.display()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
