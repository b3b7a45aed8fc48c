//! `loopd apps`: the programs that were recorded, newest first.

use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::process::{Process, ProcessState};
use loopd_dashboard::views::text::count_text;

use super::render::{Screen, Style, Table, note, print, print_lines};
use super::source::SourceArgs;
use super::time_arg::clock_text;
use crate::cli::Global;

/// The flags of `loopd apps`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd apps
  loopd apps --db /var/lib/loopd/loopd.db
  loopd apps --json | jq -r 'select(.lost > 0) | .app'

JSON keys: process, id, app, app_version, host, pid, labels, agent, agent_version, state (live,
lost, ended), started_at, last_at, ended_at, slow_threshold, coverage, tasks_alive, tasks_spawned,
polls, slow_polls, open_resources, lost, loops. Instants are unix nanoseconds as text.")]
pub(crate) struct AppsArgs {
    /// Print one JSON object per line, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub(crate) async fn run(args: AppsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let processes = args.source.open().await?.processes().await?;
    if args.json {
        print_lines(&processes)?;
    } else if processes.is_empty() {
        note(
            "nothing has been recorded yet; start a program with loopd-agent in it, or `loopd demo`",
        );
    } else {
        print(&Screen::new(global.color).table(&table(&processes)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(processes: &[Process]) -> Table {
    let mut table = Table::default()
        .number("PROCESS")
        .text("APP")
        .text("VERSION")
        .text("HOST")
        .number("PID")
        .text("STATE")
        .text("STARTED")
        .number("TASKS ALIVE")
        .number("POLLS")
        .number("SLOW")
        .number("OPEN")
        .number("LOST");
    let zone = TimeZone::system();
    for process in processes {
        let alarming = |count, style| (count > 0).then_some(style);
        table.styled_row([
            (process.process.to_string(), None),
            (process.app.clone(), None),
            (process.app_version.clone(), None),
            (process.host.clone(), None),
            (process.pid.to_string(), None),
            (process.state.as_str().to_owned(), Some(state_style(process.state))),
            (clock_text(process.started_at.0, &zone), Some(Style::Dim)),
            (count_text(process.tasks_alive), None),
            (count_text(process.polls), None),
            (count_text(process.slow_polls), alarming(process.slow_polls, Style::Warn)),
            (count_text(process.open_resources), None),
            (count_text(process.lost), alarming(process.lost, Style::Bad)),
        ]);
    }
    table
}

const fn state_style(state: ProcessState) -> Style {
    match state {
        ProcessState::Live => Style::Good,
        ProcessState::Lost => Style::Bad,
        ProcessState::Ended => Style::Dim,
    }
}
