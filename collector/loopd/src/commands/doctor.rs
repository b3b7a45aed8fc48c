//! `loopd doctor`: whether recording works here, and what would make it better.
//!
//! Each check gives lines; none of them stops the others.

mod checks;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::render::{Screen, Style, Table, print, print_lines};
use super::source::SourceArgs;
use crate::cli::Global;
use crate::exit::Exit;

/// The flags of `loopd doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd doctor
  loopd doctor --db /var/lib/loopd/loopd.db
  loopd doctor --json | jq 'select(.state != \"ok\")'

Ends with 1 if something is bad, so that it can watch over a server. JSON keys: check, state (ok,
warn, bad), text, fix (null if there is nothing to do).")]
pub(crate) struct DoctorArgs {
    /// Print one JSON object per check.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// It works, but less than it could.
    Warn,
    /// It does not work.
    Bad,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Line {
    /// What was looked at: `server`, `database`, or the name of a program.
    check: String,
    /// How it went.
    state: State,
    /// What was found.
    text: String,
    /// What to do; `None` if there is nothing to do.
    fix: Option<String>,
}

impl Line {
    fn ok(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, text: text.into(), fix: None }
    }

    fn warn(check: &str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        let (text, fix) = (text.into(), Some(fix.into()));
        Self { check: check.into(), state: State::Warn, text, fix }
    }

    fn bad(check: &str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Bad, ..Self::warn(check, text, fix) }
    }
}

/// Runs the command.
pub(crate) async fn run(args: DoctorArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let lines = checks::all(&args.source).await?;
    if args.json {
        print_lines(&lines)?;
    } else {
        print(&text(&lines, Screen::new(global.color)))?;
    }
    let is_bad = lines.iter().any(|line| line.state == State::Bad);
    Ok(if is_bad { Exit::Failure.into() } else { ExitCode::SUCCESS })
}

fn text(lines: &[Line], screen: Screen) -> String {
    let mut table = Table::default().text("").text("CHECK").text("FOUND");
    for line in lines {
        let (word, style) = match line.state {
            State::Ok => ("ok", Style::Good),
            State::Warn => ("warn", Style::Warn),
            State::Bad => ("BAD", Style::Bad),
        };
        let cells = [(word, Some(style)), (line.check.as_str(), None), (line.text.as_str(), None)];
        table.styled_row(cells);
        if let Some(fix) = &line.fix {
            let fix = format!("-> {fix}");
            table.styled_row([("", None), ("", None), (fix.as_str(), Some(Style::Dim))]);
        }
    }
    // Sentences are worth a second line on the terminal, so nothing is cut off.
    screen.unlimited().table(&table)
}
