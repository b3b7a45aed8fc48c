//! `loopd report`: what is wrong, as one page to mail.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::export::{self, ExportArgs, Format};
use super::source::SourceArgs;
use super::time_arg::TimeArg;

/// The flags of `loopd report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd report                                  loopd-report.html, of the newest program
  loopd report --app orders --from -10m -o orders.html
  loopd report --db recording.db -o - | mail -a 'Content-Type: text/html' team

The page has what was found with its proof and fix, what each rule said, what is missing, the workers over
time and what leaks: no script, nothing from elsewhere. `loopd export --format html` also has every slow
poll's stacks, waits and tasks. It reads the database file, so with --url the server has to be on this
machine. Exit code 4: the page was written, but records were lost. There is no JSON output: `loopd check
--format json` has the same.")]
pub(crate) struct ReportArgs {
    /// Where to: a file, or - for the standard output.
    #[arg(short, long, value_name = "FILE", default_value = "loopd-report.html")]
    output: PathBuf,
    /// This program, by name (its newest run), process number or id [default: the newest]. May be
    /// given several times.
    #[arg(long, value_name = "NAME|ID")]
    app: Vec<String>,
    /// Every run of every program.
    #[arg(long, conflicts_with = "app")]
    all: bool,
    /// Look at what happened from then on: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Look at what happened before then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeArg>,
    /// Write over what is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub(crate) async fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let ReportArgs { output, app, all, from, to, force, source } = args;
    let format = Format::Report;
    export::run(ExportArgs { format, output, table: None, app, all, from, to, force, source }).await
}
