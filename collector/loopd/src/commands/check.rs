//! `loopd check`: fails where something is wrong, for CI.

mod junit;
mod markdown;
mod sarif;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use loopd_dashboard::views::findings::{Finding, FindingsView, Level};
use loopd_dashboard::views::process::Process;
use serde::Serialize;

use super::findings::{card, looked};
use super::read::{JudgeArgs, Judged};
use super::render::{Screen, Style, clean, print, warn};
use super::slow::plural;
use crate::cli::Global;
use crate::exit::Exit;

/// The flags of `loopd check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd check --app orders                                     after a load test, in CI
  loopd check --fail-on error --from -10m
  loopd check --format sarif --db loopd.db > loopd.sarif       for code scanning
  loopd check --format junit > loopd.xml                       for the CI's list of tests
  loopd check --format markdown > comment.md                   for a pull request

What `loopd findings mute` muted fails nothing.

Exit codes: 1 something was found at the level of --fail-on or above; 4 nothing was, but records were lost
or there are none, so that something may be missing; 0 neither.

SARIF has a result for what has a line; the rest are notifications, since services refuse results without one.

JSON: one object with app, fail_on, failed (how many findings are at that level or above), and what the HTTP
API gives: process, from, to, findings, rules.")]
pub(crate) struct CheckArgs {
    /// The least serious level that fails.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "warning")]
    fail_on: FailOn,
    /// What to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// A level, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Whatever is worth knowing
    Info,
    /// What costs others time, or will
    Warning,
    /// What does not work, or hurts those who wait
    Error,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object with everything
    Json,
    /// For a comment on a pull request
    Markdown,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit's XML: a test case for each rule
    Junit,
}

/// A program, what was found, and what fails.
struct Checked<'a> {
    process: &'a Process,
    view: &'a FindingsView,
    fail_on: Level,
}

/// Runs the command.
pub(crate) async fn run(args: CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let judged = args.judge.judge().await?;
    let fail_on = match args.fail_on {
        FailOn::Info => Level::Info,
        FailOn::Warning => Level::Warning,
        FailOn::Error => Level::Error,
    };
    let Judged { process, view, .. } = &judged;
    let checked = Checked { process, view, fail_on };
    let out = match args.format {
        Format::Text => text(&checked, Screen::new(global.color)),
        Format::Json => json(&checked)?,
        Format::Markdown => markdown::write(&checked),
        Format::Sarif => sarif::write(&checked)?,
        Format::Junit => junit::write(&checked),
    };
    print(&out)?;
    let mut incomplete = judged.completeness().await?;
    if let Some(why) = process.nothing_to_judge() {
        warn(&format!("{}: {why}, so there was nothing to judge", process.app));
        incomplete = Exit::Incomplete.into();
    }
    let has_failed = checked.failing().next().is_some();
    Ok(if has_failed { Exit::Failure.into() } else { incomplete })
}

impl<'a> Checked<'a> {
    /// Whether a finding fails the check. Lost records are no fault of the program, and have an exit code
    /// of their own; of what is muted nobody wants to hear.
    fn fails(&self, finding: &Finding) -> bool {
        let is_told = !finding.is_about_capture() && finding.muted.is_none();
        is_told && finding.level >= self.fail_on
    }

    /// What somebody wants to hear.
    fn told(&self) -> impl Iterator<Item = &'a Finding> {
        self.view.findings.iter().filter(|finding| finding.muted.is_none())
    }

    fn failing(&self) -> impl Iterator<Item = &Finding> {
        self.view.findings.iter().filter(|finding| self.fails(finding))
    }

    /// Every rule, and every check of asyncio that complained, with its title.
    fn rules(&self) -> Vec<(&str, String)> {
        let known = self.view.rules.iter().map(|rule| (rule.rule.as_str(), rule.title.clone()));
        let mut rules: Vec<_> = known.collect();
        for finding in &self.view.findings {
            if rules.iter().all(|(rule, _)| *rule != finding.rule) {
                rules.push((&finding.rule, finding.rule.replace('_', " ")));
            }
        }
        rules
    }

    /// `2 errors, 1 warning, 3 things worth knowing`.
    fn counts(&self) -> String {
        let of = |level| {
            let is_it = |it: &&Finding| !it.is_about_capture() && it.level == level;
            self.told().filter(is_it).count() as u64
        };
        let all = [
            (of(Level::Error), "error"),
            (of(Level::Warning), "warning"),
            (of(Level::Info), "thing"),
        ];
        let told = all.iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = told
            .map(|(count, noun)| match *noun {
                "thing" => format!("{} worth knowing", plural(*count, noun)),
                _ => plural(*count, noun),
            })
            .collect();
        if told.is_empty() { "nothing found".into() } else { told.join(", ") }
    }

    /// What the capture lacks, in one sentence; `None` if nothing was lost.
    fn gap(&self) -> Option<&str> {
        let finding = self.view.findings.iter().find(|finding| finding.is_about_capture())?;
        Some(&finding.title)
    }
}

fn text(checked: &Checked<'_>, screen: Screen) -> String {
    let mut out = String::new();
    for finding in checked.failing() {
        out.push_str(&card(finding, screen));
        out.push('\n');
    }
    let has_failed = !out.is_empty();
    let (word, style) = if has_failed { ("failed", Style::Bad) } else { ("ok", Style::Good) };
    let _ = writeln!(
        out,
        "{}  {}: {}; {}",
        screen.paint(style, word),
        clean(&checked.process.app),
        checked.counts(),
        looked(checked.view).replace("--rules", "`loopd findings --rules`"),
    );
    out
}

/// Everything, and whether it failed.
#[derive(Serialize)]
struct Document<'a> {
    app: &'a str,
    fail_on: Level,
    failed: usize,
    #[serde(flatten)]
    view: &'a FindingsView,
}

fn json(checked: &Checked<'_>) -> anyhow::Result<String> {
    let document = Document {
        app: &checked.process.app,
        fail_on: checked.fail_on,
        failed: checked.failing().count(),
        view: checked.view,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests;
