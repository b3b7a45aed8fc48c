//! `loopd apps`: the programs that were recorded, newest first.

use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::NOTHING_YET;
use loopd_dashboard::views::agent::AgentView;
use loopd_dashboard::views::process::{Process, ProcessState};
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};

use super::capture::{captured_share, percent};
use super::render::{Screen, Style, Table, note, print, print_lines};
use super::source::{Source, SourceArgs};
use super::time_arg::clock_text;
use crate::cli::Global;

/// The flags of `loopd apps`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd apps
  loopd apps --db /var/lib/loopd/loopd.db
  loopd apps --json | jq -r 'select(.lost > 0) | .app'

JSON keys: process, id, app, app_version, host, pid, labels, agent, agent_version, capture (records,
console snapshots), state (live, lost, ended), started_at, last_at, ended_at, slow_threshold, coverage, tasks_alive, tasks_spawned,
polls, slow_polls, open_resources, lost, loops; more_tasks_alive and more_open_resources where there are
more than were counted. What is not captured is null, and - in the table. LAG is how late the reports of a
program are that `loopd attach` reads. Instants are unix nanoseconds as text.")]
pub(crate) struct AppsArgs {
    /// Print one JSON object per line, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs the command.
pub(crate) async fn run(args: AppsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let source = args.source.open().await?;
    let processes = source.processes().await?;
    if args.json {
        print_lines(&processes)?;
    } else if processes.is_empty() {
        note(&format!("{NOTHING_YET}, or try `loopd demo`"));
    } else {
        let agents = agents(&source, &processes).await;
        print(&Screen::new(global.color).table(&table(&processes, &agents)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Of so many processes, the newest, the agents are asked for what they cost.
const MAX_AGENTS: usize = 32;

/// The agents of the newest processes, in their order. What cannot be told of one, such as by an
/// older server, does not keep the rest from being shown.
async fn agents(source: &Source, processes: &[Process]) -> Vec<Option<AgentView>> {
    let mut agents = Vec::new();
    for process in processes.iter().take(MAX_AGENTS) {
        agents.push(source.agent(process.process).await.ok());
    }
    agents
}

fn table(processes: &[Process], agents: &[Option<AgentView>]) -> Table {
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
        .number("LOST")
        .number("CAPTURED")
        .number("LAG")
        .number("AGENT CPU");
    let zone = TimeZone::system();
    for (i, process) in processes.iter().enumerate() {
        let agent = agents.get(i).and_then(Option::as_ref);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let captured = agent.and_then(|agent| captured_share(agent.captured_share));
        let lag = agent.and_then(|agent| agent.reporting).map(|it| duration_text(it.lag));
        let cpu = agent.and_then(|agent| agent.cost.cpu_share).map(percent);
        let known = |count: Option<u64>, text: fn(u64) -> String| {
            count.map_or_else(|| "-".to_owned(), text)
        };
        let alarming = |count, style| (count > 0).then_some(style);
        table.styled_row([
            (process.process.to_string(), None),
            (process.app.clone(), None),
            (process.app_version.clone(), None),
            (process.host.clone(), None),
            (or_dash((process.pid != 0).then(|| process.pid.to_string())), None),
            (process.state.as_str().to_owned(), Some(state_style(process.state))),
            (clock_text(process.started_at.0, &zone), Some(Style::Dim)),
            (at_least_text(process.tasks_alive, process.more_tasks_alive), None),
            (known(process.polls, count_text), None),
            (
                known(process.slow_polls, count_text),
                alarming(process.slow_polls.unwrap_or(0), Style::Warn),
            ),
            (at_least_text(process.open_resources, process.more_open_resources), None),
            (count_text(process.lost), alarming(process.lost, Style::Bad)),
            (or_dash(captured), None),
            (or_dash(lag), None),
            (or_dash(cpu), None),
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
