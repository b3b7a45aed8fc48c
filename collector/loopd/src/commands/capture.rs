//! `loopd capture`: what is captured of a program, what that costs it, and how to change it while it
//! runs.

mod text;

pub(crate) use text::{captured_share, percent};

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use loopd_dashboard::views::agent::AgentView;
use loopd_dashboard::views::process::{Process, ProcessState};
use loopd_store::{ProcessKey, SettingKey, SettingValue, SettingsChange, SettingsScope};
use tokio::time::Instant;

use super::render::{Screen, note, print, print_lines};
use super::source::{Source, SourceArgs};
use crate::cli::Global;
use crate::exit::{Exit, OrExit};
use crate::units::{self, Threshold};

/// How long a change is waited for. Agents that are connected answer within a second.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// Between looks whether it has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The flags of `loopd capture`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd capture                                    what is captured of the newest program, and its cost
  loopd capture orders --polls off                 every run of orders, from now on
  loopd capture 3 --slow-threshold 20ms --stacks on    the run with this number only
  loopd capture 3 --polls default                  as everybody is asked, else as configured
  loopd capture --all --app-events off             every program

A change reaches a program that runs within a second, without a restart, and is kept: a program that
starts later, or a collector that starts again, goes on with it. What is asked of one run wins over
what is asked of its program, and that over what is asked of all. It needs a running `loopd serve`.

JSON keys: process, settings (desired, in_force, configured, pending), coverage (layer, state, reason),
cost (cpu_share, cpu_nanos, sent_bytes, sent_bytes_per_s, memory_bytes), ledger (kind, produced, stored,
dropped, in_flight, by_cause), captured_share. With --all: all, apps. Lengths are nanoseconds.")]
pub(crate) struct CaptureArgs {
    /// A program by name, which is every run of it, or one run by its process number or id
    /// [default: the newest run].
    #[arg(value_name = "PROCESS|APP", conflicts_with = "all")]
    target: Option<String>,
    /// Every program, also those to come.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    change: ChangeArgs,
    /// Print one JSON object, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Flags that change what is captured.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to change (without any of these nothing is)")]
struct ChangeArgs {
    /// Single polls, and the sleep of workers; without them tasks, slow polls' stacks and totals stay.
    #[arg(long, value_name = "WHEN")]
    polls: Option<Switch>,
    /// Who wakes whom, and how long the woken wait.
    #[arg(long, value_name = "WHEN")]
    wakes: Option<Switch>,
    /// Who waits for which lock, channel or permit, and who holds it.
    #[arg(long, value_name = "WHEN")]
    waits: Option<Switch>,
    /// Stacks of polls while they block.
    #[arg(long, value_name = "WHEN")]
    stacks: Option<Switch>,
    /// Every open file descriptor.
    #[arg(long, value_name = "WHEN")]
    fds: Option<Switch>,
    /// The program's own tracing spans and events.
    #[arg(long, value_name = "WHEN")]
    app_events: Option<Switch>,
    /// From which length a poll is slow: 1ms to 1h, as in 50ms or 1.5s, or `default`.
    #[arg(long, value_name = "TIME", value_parser = units::threshold)]
    slow_threshold: Option<Threshold>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    /// Capture it
    On,
    /// Do not
    Off,
    /// Ask for nothing: what a wider scope asks for, else the program's own configuration
    Default,
}

impl ChangeArgs {
    fn change(&self) -> anyhow::Result<SettingsChange> {
        let switches = [
            (SettingKey::RecordPolls, self.polls),
            (SettingKey::RecordWakes, self.wakes),
            (SettingKey::RecordWaits, self.waits),
            (SettingKey::SampleStacks, self.stacks),
            (SettingKey::TrackFds, self.fds),
            (SettingKey::AppEvents, self.app_events),
        ];
        let mut change = SettingsChange::default();
        for (key, switch) in switches {
            let Some(switch) = switch else { continue };
            let value = match switch {
                Switch::On => Some(SettingValue::Switch(true)),
                Switch::Off => Some(SettingValue::Switch(false)),
                Switch::Default => None,
            };
            change = change.with(key, value)?;
        }
        if let Some(Threshold(nanos)) = self.slow_threshold {
            change = change.with(SettingKey::SlowThreshold, nanos.map(SettingValue::Nanos))?;
        }
        Ok(change)
    }
}

/// Runs the command.
pub(crate) async fn run(args: CaptureArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let change = args.change.change().or_exit(Exit::Usage)?;
    let source = args.source.open().await?;
    let screen = Screen::new(global.color);
    let server = (!change.is_empty()).then(|| source.server(&args.source)).transpose()?;
    if args.all {
        let view = match server {
            None => source.common_settings().await?,
            Some(server) => server.change_settings(&SettingsScope::All, &change).await?,
        };
        if args.json {
            print_lines([&view])?;
        } else {
            print(&text::common(&view, screen))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.target.as_deref();
    let process = source.process(target).await?;
    let agent = if let Some(server) = server {
        let scope = scope(target, &process.app, process.process)?;
        server.change_settings(&scope, &change).await?;
        answer(&source, &process).await?
    } else {
        source.agent(process.process).await?
    };
    if args.json {
        print_lines([&agent])?;
    } else {
        print(&text::agent(&process, &agent, screen))?;
    }
    if agent.settings.pending {
        note(match process.state {
            ProcessState::Live => "the program has not said yet that it does what it is asked for",
            _ => "the program is not connected; it is told when it comes back",
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Whom a change is for: a name means every run. What has no name can only be asked run by run.
fn scope(target: Option<&str>, app: &str, process: i64) -> anyhow::Result<SettingsScope> {
    match target {
        Some("") => Err(anyhow!(
            "an empty name means no program; name one run by its process number, as in \
             `loopd capture {process}`, or every program with --all"
        ))
        .or_exit(Exit::Usage),
        Some(target) if target == app => Ok(SettingsScope::App(app.to_owned())),
        _ => Ok(SettingsScope::Process(ProcessKey(process))),
    }
}

/// Waits a moment for the program to do what it is asked for.
async fn answer(source: &Source, process: &Process) -> anyhow::Result<AgentView> {
    let until = Instant::now() + ANSWER_TIME;
    loop {
        let agent = source.agent(process.process).await?;
        let is_over = !agent.settings.pending || process.state != ProcessState::Live;
        if is_over || Instant::now() >= until {
            return Ok(agent);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn a_name_means_every_run_and_no_name_means_nobody() {
        assert_eq!(
            scope(Some("orders"), "orders", 3).unwrap(),
            SettingsScope::App("orders".into())
        );
        for target in [Some("3"), None] {
            let one = scope(target, "orders", 3).unwrap();
            assert_eq!(one, SettingsScope::Process(ProcessKey(3)), "{target:?}");
        }
        let refused = scope(Some(""), "", 3).unwrap_err();
        assert_eq!(exit_of(&refused), Exit::Usage);
        assert_eq!(scope(None, "", 3).unwrap(), SettingsScope::Process(ProcessKey(3)));
    }
}
