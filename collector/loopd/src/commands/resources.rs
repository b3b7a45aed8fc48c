//! `loopd resources`: what a program opened, and how things stand with it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::tz::TimeZone;
use loopd_dashboard::views::resources::{Resource, ResourceFilter, STATES, State};
use loopd_dashboard::views::tasks::MAX_LIMIT;
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, Table, note, print, print_lines};
use super::time_arg::clock_text;
use crate::cli::Global;

/// The flags of `loopd resources`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd resources
  loopd resources --state open --limit 1000
  loopd resources --json | jq 'select(.state.waiters > 0)'

JSON keys: resource, kind, name, location {id, file, line, column}, task, opened_at, closed_at, how,
state {at, depth, capacity, permits, waiters, senders, receivers, locked, acquired, contended,
waited_time, held_time, sent, received, lagged} or null. Lengths are nanoseconds; ids and instants
are text.")]
pub(crate) struct ResourcesArgs {
    /// Only resources in this state.
    #[arg(long, default_value = "all", value_parser = PossibleValuesParser::new(STATES.iter().map(|(name, _)| *name)))]
    state: String,
    /// How many to show, the newest.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=MAX_LIMIT))]
    limit: u64,
    /// How many to skip.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub(crate) async fn run(args: ResourcesArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let (_, is_open) = STATES.iter().find(|(name, _)| *name == args.state).context("--state")?;
    let filter = ResourceFilter {
        process: Some(process.process),
        is_open: *is_open,
        offset: args.offset,
        limit: args.limit,
    };
    let view = source.resources(&filter).await?;
    if args.read.json {
        print_lines(&view.rows)?;
    } else {
        print(&Screen::new(global.color).table(&table(&view.rows)))?;
        let last = args.offset.saturating_add(view.rows.len() as u64);
        if view.rows.is_empty() {
            note(&format!("no resource of {} matches", process.app));
        } else if last < view.total || view.more {
            let (last, total) = (count_text(last), at_least_text(view.total, view.more));
            note(&format!(
                "{last} of {total} resources of {}; --limit and --offset show more",
                process.app
            ));
        }
    }
    completeness(&source, &process, (None, None)).await
}

fn table(resources: &[Resource]) -> Table {
    let zone = TimeZone::system();
    let mut table = Table::default()
        .number("ID")
        .text("KIND")
        .text("NAME")
        .place("OPENED AT")
        .number("TASK")
        .text("OPENED")
        .text("STATE")
        .number("WAITERS")
        .text("INSIDE")
        .number("CONTENDED")
        .number("WAITED");
    for row in resources {
        let state = row.state.as_ref();
        let count =
            |of: fn(&State) -> Option<u64>| state.and_then(of).map_or("-".into(), count_text);
        let waiters = state.and_then(|state| state.waiters).unwrap_or(0);
        let waited = state.and_then(|state| state.waited_time).map_or("-".into(), duration_text);
        let how = row.how.clone().unwrap_or_else(|| "open".into());
        let is_bad = how == "unclosed";
        table.styled_row([
            (row.resource.to_string(), None),
            (row.kind.clone(), None),
            (row.name.clone(), None),
            (row.location.as_ref().map_or("-".into(), ToString::to_string), Some(Style::Place)),
            (row.task.map_or("-".into(), |task| task.to_string()), None),
            (clock_text(row.opened_at.0, &zone), None),
            (how, is_bad.then_some(Style::Bad)),
            (count(|state| state.waiters), (waiters > 0).then_some(Style::Warn)),
            (inside(state), None),
            (count(|state| state.contended), None),
            (waited, None),
        ]);
    }
    table
}

/// What is in it, in a few words: `locked`, `3 of 8 permits free`, `17 of 64 queued`.
pub(super) fn inside(state: Option<&State>) -> String {
    let Some(state) = state else { return "-".into() };
    let of =
        state.capacity.map_or(String::new(), |capacity| format!(" of {}", count_text(capacity)));
    match (state.locked, state.permits, state.depth) {
        (Some(true), ..) => "locked".into(),
        (_, Some(permits), _) => format!("{}{of} permits free", count_text(permits)),
        (_, _, Some(depth)) => format!("{}{of} queued", count_text(depth)),
        (Some(false), ..) => "free".into(),
        _ => "-".into(),
    }
}
