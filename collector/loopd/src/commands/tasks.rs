//! `loopd tasks`: the tasks of a program.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use loopd_dashboard::views::tasks::{KINDS, MAX_LIMIT, SORTS, STATES, Task, TaskFilter, TasksView};
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};

use super::read::{ReadArgs, completeness, warn_unseen};
use super::render::{Screen, Style, Table, note, print, print_lines};
use crate::cli::Global;

/// The flags of `loopd tasks`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd tasks --app orders
  loopd tasks --state alive --sort lifetime
  loopd tasks --match src/report.rs --sort max_poll_time --limit 10
  loopd tasks --filter 'state:idle life>1m -loc:src/pool.rs'
  loopd tasks --kind callback --sort max_poll_time
  loopd tasks --json --limit 1000 | jq 'select(.slow_polls > 0) | .task'

JSON keys: process, task, name, kind, state, outcome, location {id, file, line, column}, loop,
parent, spawned_at, ended_at, lifetime, polls, busy_time, max_poll_time, scheduled_time, wakes,
self_wakes, last_waker, slow_polls, fields, unwakeable_at. Lengths are nanoseconds; ids and instants are text.")]
pub(crate) struct TasksArgs {
    /// Only tasks in this state.
    #[arg(long, default_value = "all", value_parser = names(&STATES))]
    state: String,
    /// Only tasks of this kind. Callbacks, which are functions that a loop runs between its tasks, are
    /// listed only if they are asked for.
    #[arg(long, value_parser = names(&KINDS))]
    kind: Option<String>,
    /// Only tasks whose name or spawn location contains this, or whose id it is.
    #[arg(long = "match", value_name = "TEXT")]
    text: Option<String>,
    /// Only tasks that meet all terms of a filter, as in `state:idle loc:handler busy>5ms`.
    #[arg(
        long,
        value_name = "FILTER",
        allow_hyphen_values = true,
        long_help = "Only tasks that meet all terms of a filter, as in `state:idle loc:handler busy>5ms`. A \
        word or \"some words\" are looked for in the name and the spawn location. Fields are name, loc, \
        field (texts that contain the value; = instead of : for the whole text), state (alive, idle, \
        running, ended, unwakeable, or an outcome), outcome, kind, id, parent, waker, loop, and with \
        < <= = >= >: life, busy, scheduled, worst (5ms, 1.5s), polls, slow, wakes, self (100, 5k). \
        A comma is an or, a - before a term a not."
    )]
    filter: Option<String>,
    /// What to sort by, largest first (names and places from A on).
    #[arg(long, default_value = "busy_time", value_parser = names(&SORTS), hide_possible_values = true,
        long_help = "What to sort by, largest first (names and places from A on): task, name, \
        location, spawned_at, lifetime, polls, busy_time, max_poll_time, wakes, scheduled_time, state.")]
    sort: String,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=MAX_LIMIT))]
    limit: u64,
    /// How many to skip.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    #[command(flatten)]
    read: ReadArgs,
}

fn names<T, const N: usize>(words: &'static [(&'static str, T); N]) -> PossibleValuesParser {
    PossibleValuesParser::new(words.iter().map(|(name, _)| *name))
}

/// Runs the command.
pub(crate) async fn run(args: TasksArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let filter = args.filter(process.process)?;
    let view = source.tasks(&filter).await?;
    if args.read.json {
        print_lines(&view.rows)?;
    } else {
        let screen = Screen::new(global.color);
        print(&screen.table(&table(&view)))?;
        let last = view.offset + view.rows.len() as u64;
        if view.rows.is_empty() {
            note(&format!("no task of {} matches", process.app));
        } else if last < view.total {
            let (last, total) = (count_text(last), at_least_text(view.total, view.more));
            note(&format!(
                "{last} of {total} tasks of {}; --limit and --offset show more",
                process.app
            ));
        }
    }
    if view.more {
        note(
            "of those that are alive, only the latest of each spawn location were looked through; \
             `loopd query` reaches all",
        );
    }
    if let Some(from) = view.searched_from {
        note(&format!(
            "of those that ended, only tasks since {} were looked through; `loopd query` reaches all",
            super::time_arg::clock_text(from.0, &jiff::tz::TimeZone::system())
        ));
    }
    warn_unseen(&process);
    completeness(&source, &process, (None, None)).await
}

impl TasksArgs {
    fn filter(&self, process: i64) -> anyhow::Result<TaskFilter> {
        let (_, state) = STATES.iter().find(|(name, _)| *name == self.state).context("--state")?;
        let kind = self.kind.as_ref().and_then(|kind| KINDS.iter().find(|(name, _)| name == kind));
        let kind = kind.map(|(_, kind)| kind);
        let (_, sort) = SORTS.iter().find(|(name, _)| *name == self.sort).context("--sort")?;
        let from_a_on = matches!(self.sort.as_str(), "name" | "location" | "task" | "state");
        Ok(TaskFilter {
            process: Some(process),
            state: *state,
            kind: kind.copied(),
            q: self.text.clone(),
            filter: self.filter.clone(),
            sort: *sort,
            desc: from_a_on == self.reverse,
            offset: self.offset,
            limit: self.limit,
            ..TaskFilter::default()
        })
    }
}

fn table(view: &TasksView) -> Table {
    let mut table = Table::default()
        .number("TASK")
        .text("NAME")
        .text("STATE")
        .place("LOCATION")
        .number("LIFETIME")
        .number("POLLS")
        .number("BUSY")
        .number("WORST POLL")
        .number("SCHEDULED")
        .number("WAKES")
        .number("SLOW");
    for task in &view.rows {
        table.styled_row(row(task));
    }
    table
}

fn row(task: &Task) -> [(String, Option<Style>); 11] {
    let known = |value: Option<u64>, text: fn(u64) -> String| value.map_or("-".into(), text);
    let location = task.location.as_ref().map_or("-".into(), ToString::to_string);
    let name = task.name.clone().unwrap_or_else(|| format!("({})", task.kind));
    let name_style = task.name.is_none().then_some(Style::Dim);
    [
        (task.task.to_string(), None),
        (name, name_style),
        state(task),
        (location, Some(Style::Place)),
        (duration_text(task.lifetime), None),
        (count_text(task.polls), None),
        (duration_text(task.busy_time), None),
        (known(task.max_poll_time, duration_text), None),
        (known(task.scheduled_time, duration_text), None),
        (known(task.wakes, count_text), None),
        (known(task.slow_polls, count_text), (task.slow_polls > Some(0)).then_some(Style::Warn)),
    ]
}

/// How it is, or how it ended.
pub(crate) fn state(task: &Task) -> (String, Option<Style>) {
    match task.outcome.as_deref() {
        Some(failed @ ("panicked" | "raised")) => (failed.to_owned(), Some(Style::Bad)),
        Some("destroyed") => ("destroyed".into(), Some(Style::Warn)),
        Some("unknown") | None => {
            let style = if task.state == "running" { Style::Good } else { Style::Dim };
            (task.state.clone(), (task.state != "alive").then_some(style))
        }
        Some(outcome) => (outcome.to_owned(), Some(Style::Dim)),
    }
}
