//! `loopd leaks`: what only ever grows, what was never closed, and what of a range is still there.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::leaks::{LeaksView, ResourceLeak, TaskLeak};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::survivors::{Site, SurvivorFilter, Survivors, SurvivorsView};
use loopd_dashboard::views::tasks::Location;
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};
use loopd_model::UnixNanos;
use serde::Serialize;

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, Table, clean, print, print_lines, warn};
use super::source::Source;
use super::time_arg::{RangeArg, clock_text};
use crate::cli::Global;

/// The flags of `loopd leaks`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd leaks
  loopd leaks --app orders --growing
  loopd leaks --born -10m..-5m              what was spawned or opened then, and is still there
  loopd leaks --json | jq -r 'select(.verdict == \"growing\") | .location.file'

JSON: one object per place, growing ones first, with what (task, resource) and the keys location,
alive or open, spawned or opened, ended or closed, unclosed, growth_per_min, oldest_age, median_age,
verdict (growing, steady, settled), counts (over the window, the last is now), examples. With --born one
object per place that has survivors: location, kind (task, or that of resources), born, about (born was not
counted to the end), alive, more, share, oldest_age, median_age, looked, opened_by, waits_for, examples.")]
pub(crate) struct LeaksArgs {
    /// Only what grows or was dropped without being closed.
    #[arg(long)]
    growing: bool,
    /// What was spawned or opened in this range, and is still there: `FROM..TO`, `FROM..` or `..TO`, with times
    /// like -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true, conflicts_with = "growing")]
    born: Option<RangeArg>,
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
    if let Some(range) = args.born {
        return born(&source, &process, range, args.read.json, Screen::new(global.color)).await;
    }
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

/// What was born in a range, and is still there.
async fn born(
    source: &Source,
    process: &Process,
    range: RangeArg,
    as_json: bool,
    screen: Screen,
) -> anyhow::Result<ExitCode> {
    let newest = UnixNanos(process.last_at.0);
    let (from, to) = range.resolve(&process.app, newest, &TimeZone::system())?;
    let filter = SurvivorFilter { process: Some(process.process), from, to };
    let view = source.survivors(&filter).await?;
    if as_json {
        print_lines(view.tasks.sites.iter().chain(&view.resources.sites))?;
    } else {
        print(&born_text(&view, process, screen))?;
    }
    if let Some(caveat) = &view.caveat {
        warn(caveat);
    }
    // What was lost after the range may be the end of what was born in it.
    completeness(source, process, (Some(view.from.0), None)).await
}

fn born_text(view: &SurvivorsView, process: &Process, screen: Screen) -> String {
    let zone = TimeZone::system();
    let [from, to, at] = [view.from, view.to, view.at].map(|at| clock_text(at.0, &zone));
    let mut out = String::new();
    let title =
        format!("born in {} from {from} to {to}, and still there at {at}", clean(&process.app));
    let _ = writeln!(out, "{}", screen.paint(Style::Title, &title));
    for (what, born, survivors) in
        [("tasks", "spawned", &view.tasks), ("resources", "opened", &view.resources)]
    {
        let total = born_count(survivors.born, survivors.about);
        let alive = at_least_text(survivors.alive, survivors.more);
        let _ = writeln!(out, "\n{alive} of {total} {what} that were {born}");
        if !survivors.sites.is_empty() {
            out.push_str(&screen.table(&survivor_table(survivors, what == "tasks")));
        }
    }
    out
}

fn born_count(born: u64, about: bool) -> String {
    if about { format!("about {}", count_text(born)) } else { count_text(born) }
}

fn survivor_table(survivors: &Survivors, are_tasks: bool) -> Table {
    let mut table = Table::default()
        .place(if are_tasks { "SPAWNED AT" } else { "OPENED AT" })
        .text("KIND")
        .number("STILL THERE")
        .number("BORN")
        .number("SHARE")
        .number("OLDEST")
        .number("MEDIAN")
        .text("WAIT FOR")
        .text("MADE BY")
        .text("OLDEST ONES");
    for site in &survivors.sites {
        let examples: Vec<_> = site.examples.iter().map(|it| it.id.to_string()).collect();
        let waits_for = site.waits_for.as_ref();
        table.styled_row([
            (place(site.location.as_ref()), Some(Style::Place)),
            (site.kind.clone(), None),
            (at_least_text(site.alive, site.more), None),
            (born_count(site.born, site.about), None),
            (site.share.map_or_else(|| "-".into(), share_text), None),
            (duration_text(site.oldest_age), None),
            (age(site.median_age), None),
            (waits_for.map_or_else(|| "-".into(), |it| clean(&it.to_string())), None),
            (made_by(site), None),
            (examples.join(" "), Some(Style::Dim)),
        ]);
    }
    table
}

/// Rounded down: not all while one is gone; and never none.
fn share_text(share: f64) -> String {
    let percent = (share * 100.0).floor();
    if percent < 1.0 { "<1 %".into() } else { format!("{percent} %") }
}

fn made_by(site: &Site) -> String {
    let Some(opener) = &site.opened_by else { return "-".into() };
    let task = match &opener.task_name {
        Some(name) => format!("task {} ({})", opener.task, clean(name)),
        None => format!("task {}", opener.task),
    };
    let others = match opener.tasks {
        0 | 1 => String::new(),
        n => format!(" and {} more", count_text(n - 1)),
    };
    match &opener.location {
        Some(location) => format!("{task}{others} of {location}"),
        None => task + &others,
    }
}
