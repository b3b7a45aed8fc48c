//! `loopd task ID`: everything about one task.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::marks::{Mark, fields_text};
use loopd_dashboard::views::task::{Poll, TaskView};
use loopd_dashboard::views::tasks::Task;
use loopd_dashboard::views::text::{count_text, duration_text};

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, Table, clean, print, print_lines};
use super::slow::plural;
use super::tasks::state;
use super::time_arg::clock_text;
use crate::cli::Global;

/// The flags of `loopd task`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd task 4711
  loopd task 4711 --app orders --json | jq .poll_histogram

JSON: one object with the keys task (see `loopd tasks --help`), polls, slowest, polls_complete,
wakes, slow, waits, past_waits, holds, marks, app_spans, children, resources, location_stats,
poll_histogram.")]
pub(crate) struct TaskArgs {
    /// The task's id, as `loopd tasks` shows it.
    #[arg(value_name = "ID")]
    task: u64,
    #[command(flatten)]
    read: ReadArgs,
}

/// How many polls the text shows; JSON has them all.
const SHOWN: usize = 10;

/// Runs the command.
pub(crate) async fn run(args: TaskArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let view = source.task(process.process, args.task).await?;
    if args.read.json {
        print_lines([&view])?;
    } else {
        print(&text(&view, Screen::new(global.color)))?;
    }
    completeness(&source, &process, (None, None)).await
}

fn text(view: &TaskView, screen: Screen) -> String {
    let mut out = String::new();
    let name = view.task.name.as_deref().map_or(String::new(), |name| format!(" {}", clean(name)));
    let title = format!("task {}{name}", view.task.task);
    let _ = writeln!(out, "{}\n", screen.paint(Style::Title, &title));
    out.push_str(&facts(view, screen));
    if !view.slowest.is_empty() {
        let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "longest polls"));
        out.push_str(&screen.table(&polls(&view.slowest)));
    }
    if !view.polls_complete {
        out.push_str("(of those polls that are still stored)\n");
    }
    if !view.slow.is_empty() {
        let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "slow polls"));
        for slow in view.slow.iter().take(SHOWN) {
            out.push_str(&super::slow::one_poll(slow, screen));
        }
    }
    if !view.past_waits.is_empty() {
        let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "waits"));
        let shown = view.past_waits.len().min(SHOWN);
        out.push_str(&screen.table(&super::waits::table(&view.past_waits[..shown])));
    }
    if !view.marks.is_empty() {
        let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "what it said"));
        out.push_str(&screen.table(&marks(&view.marks)));
    }
    if !view.resources.is_empty() {
        let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "resources that it opened"));
        out.push_str(&screen.table(&resources(view)));
    }
    out
}

fn facts(view: &TaskView, screen: Screen) -> String {
    let zone = TimeZone::system();
    let task: &Task = &view.task;
    let known = |text: Option<String>| text.unwrap_or_else(|| "not known".into());
    let at = |at: Option<i64>| known(at.map(|at| clock_text(at, &zone)));
    let (state, _) = state(task);
    let mut facts = vec![
        ("state", state),
        ("kind", task.kind.clone()),
        (
            "spawned",
            format!(
                "{} at {}",
                at(task.spawned_at.map(|at| at.0)),
                known(task.location.as_ref().map(ToString::to_string))
            ),
        ),
        ("by", task.parent.map_or("no task".into(), |parent| format!("task {parent}"))),
        ("lifetime", duration_text(task.lifetime)),
        (
            "busy",
            format!(
                "{} in {} polls, the longest {}",
                duration_text(task.busy_time),
                count_text(task.polls),
                known(task.max_poll_time.map(duration_text))
            ),
        ),
    ];
    if let Some(ended_at) = task.ended_at {
        facts.insert(3, ("ended", clock_text(ended_at.0, &zone)));
    }
    if let (Some(wakes), Some(scheduled)) = (task.wakes, task.scheduled_time) {
        let own = task.self_wakes.unwrap_or(0);
        let waited = duration_text(scheduled);
        facts.push((
            "wakes",
            format!(
                "{}, {} by itself; waited {waited} for its turn",
                count_text(wakes),
                count_text(own)
            ),
        ));
    }
    for wait in &view.waits {
        facts.insert(1, ("now", wait.text.clone()));
    }
    if let Some(at) = task.unwakeable_at {
        let since = clock_text(at.0, &zone);
        facts.insert(
            1,
            ("now", format!("pending, with nothing left that could wake it, since {since}")),
        );
    }
    if !task.fields.is_empty() {
        facts.push(("fields", fields_text(&task.fields)));
    }
    let stats = &view.location_stats;
    let typical = match (stats.p50, stats.p99) {
        (Some(p50), Some(p99)) => {
            format!(", polls p50 {} p99 {}", duration_text(p50), duration_text(p99))
        }
        _ => String::new(),
    };
    facts
        .push(("like it", format!("{} from the same place{typical}", plural(stats.tasks, "task"))));
    facts.push(("children", count_text(view.children)));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().fold(String::new(), |mut out, (name, value)| {
        let name = screen.paint(Style::Dim, &format!("{name:width$}"));
        let _ = writeln!(out, "{name}  {}", clean(value));
        out
    })
}

fn polls(polls: &[Poll]) -> Table {
    let zone = TimeZone::system();
    let mut table = Table::default().text("STARTED").number("LENGTH").number("WORKER");
    for poll in polls.iter().take(SHOWN) {
        table.row([
            clock_text(poll.start_at.0, &zone),
            duration_text(poll.length),
            poll.worker.to_string(),
        ]);
    }
    table
}

fn marks(marks: &[Mark]) -> Table {
    let zone = TimeZone::system();
    let mut table = Table::default().text("AT").text("LEVEL").text("TARGET").text("MESSAGE");
    for mark in marks.iter().take(SHOWN) {
        let said = format!("{} {}", mark.message, fields_text(&mark.fields));
        table.row([
            clock_text(mark.at.0, &zone),
            mark.level.clone().unwrap_or_else(|| "mark".into()),
            mark.target.clone(),
            said.trim().to_owned(),
        ]);
    }
    table
}

fn resources(view: &TaskView) -> Table {
    let zone = TimeZone::system();
    let mut table =
        Table::default().number("ID").text("KIND").text("NAME").text("OPENED").text("STATE");
    for resource in &view.resources {
        table.row([
            resource.resource.to_string(),
            resource.kind.clone(),
            resource.name.clone(),
            clock_text(resource.opened_at.0, &zone),
            resource.how.clone().unwrap_or_else(|| "open".into()),
        ]);
    }
    table
}
