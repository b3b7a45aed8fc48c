//! `loopd leaks`: what only ever grows, and what was never closed.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use loopd_dashboard::views::leaks::{LeaksView, ResourceLeak, TaskLeak};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::tasks::Location;
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};
use serde::Serialize;

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, Table, clean, print, print_lines};
use crate::cli::Global;

/// The flags of `loopd leaks`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd leaks
  loopd leaks --app orders --growing
  loopd leaks --json | jq -r 'select(.verdict == \"growing\") | .location.file'

JSON: one object per place, growing ones first, with what (task, resource) and the keys location,
alive or open, spawned or opened, ended or closed, unclosed, growth_per_min, oldest_age, median_age,
verdict (growing, steady, settled), counts (over the window, the last is now), examples.")]
pub(crate) struct LeaksArgs {
    /// Only what grows or was dropped without being closed.
    #[arg(long)]
    growing: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
enum Line<'a> {
    Task(&'a TaskLeak),
    Resource(&'a ResourceLeak),
}

/// Runs the command.
pub(crate) async fn run(args: LeaksArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let mut view = source.leaks(process.process).await?;
    if args.growing {
        view.tasks.retain(|leak| leak.verdict == "growing");
        view.resources.retain(|leak| leak.verdict == "growing" || leak.unclosed > 0);
    }
    if args.read.json {
        let resources = view.resources.iter().map(Line::Resource);
        print_lines(view.tasks.iter().map(Line::Task).chain(resources))?;
    } else {
        print(&text(&view, &process, Screen::new(global.color)))?;
    }
    completeness(&source, &process, (None, None)).await
}

fn text(view: &LeaksView, process: &Process, screen: Screen) -> String {
    let mut out = String::new();
    let app = clean(&process.app);
    let window = duration_text(view.window);
    if view.tasks.is_empty() && view.resources.is_empty() {
        let _ = writeln!(out, "nothing of {app} was left over in its last {window}");
    }
    if !view.tasks.is_empty() {
        let title = format!("tasks of {app} by where they were spawned, over {window}");
        let _ = writeln!(out, "{}", screen.paint(Style::Title, &title));
        out.push_str(&screen.table(&tasks(&view.tasks)));
    }
    if !view.resources.is_empty() {
        let gap = if view.tasks.is_empty() { "" } else { "\n" };
        let title = format!("resources of {app} by where they were opened, over {window}");
        let _ = writeln!(out, "{gap}{}", screen.paint(Style::Title, &title));
        out.push_str(&screen.table(&resources(&view.resources)));
    }
    if let Some(caveat) = &view.caveat {
        let style = if view.complete { Style::Dim } else { Style::Warn };
        let _ = writeln!(out, "\n{}", screen.paint(style, &clean(caveat)));
    }
    out
}

fn place(location: Option<&Location>) -> String {
    location.map_or_else(|| "-".into(), ToString::to_string)
}

fn age(age: Option<u64>) -> String {
    age.map_or_else(|| "-".into(), duration_text)
}

/// A slope over the window is a rate only of what keeps growing: a pool that has filled up has one,
/// too.
fn per_minute(verdict: &str, growth: f64) -> String {
    if verdict == "growing" { format!("{growth:+.1}") } else { "-".into() }
}

fn verdict_style(verdict: &str) -> Option<Style> {
    match verdict {
        "growing" => Some(Style::Bad),
        "settled" => Some(Style::Dim),
        _ => None,
    }
}

fn tasks(leaks: &[TaskLeak]) -> Table {
    let mut table = Table::default()
        .text("VERDICT")
        .place("SPAWNED AT")
        .number("ALIVE")
        .number("PER MINUTE")
        .number("SPAWNED")
        .number("ENDED")
        .number("OLDEST")
        .number("MEDIAN")
        .text("OLDEST TASKS");
    for leak in leaks {
        let examples: Vec<_> = leak.examples.iter().map(ToString::to_string).collect();
        table.styled_row([
            (leak.verdict.clone(), verdict_style(&leak.verdict)),
            (place(leak.location.as_ref()), Some(Style::Place)),
            (at_least_text(leak.alive, leak.more), None),
            (per_minute(&leak.verdict, leak.growth_per_min), None),
            (count_text(leak.spawned), None),
            (count_text(leak.ended), None),
            (age(leak.oldest_age), None),
            (age(leak.median_age), None),
            (examples.join(" "), Some(Style::Dim)),
        ]);
    }
    table
}

fn resources(leaks: &[ResourceLeak]) -> Table {
    let mut table = Table::default()
        .text("VERDICT")
        .place("OPENED AT")
        .text("KIND")
        .number("OPEN")
        .number("UNCLOSED")
        .number("PER MINUTE")
        .number("OPENED")
        .number("CLOSED")
        .number("OLDEST")
        .text("EXAMPLE");
    for leak in leaks {
        table.styled_row([
            (leak.verdict.clone(), verdict_style(&leak.verdict)),
            (place(leak.location.as_ref()), Some(Style::Place)),
            (leak.kind.clone(), None),
            (at_least_text(leak.open, leak.more), None),
            (count_text(leak.unclosed), (leak.unclosed > 0).then_some(Style::Bad)),
            (per_minute(&leak.verdict, leak.growth_per_min), None),
            (count_text(leak.opened), None),
            (count_text(leak.closed), None),
            (age(leak.oldest_age), None),
            (
                leak.examples.first().map_or_else(String::new, |it| it.name.clone()),
                Some(Style::Dim),
            ),
        ]);
    }
    table
}
