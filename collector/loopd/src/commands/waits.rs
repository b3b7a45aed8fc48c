//! `loopd waits`: which tasks wait for what, and who holds them up.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::tasks::MAX_LIMIT;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_dashboard::views::waits::{Link, Wait, WaitFilter};
use loopd_model::UnixNanos;

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, Table, note, print, print_lines};
use super::source::Source;
use super::time_arg::{TimeArg, clock_text};
use crate::cli::Global;

/// The flags of `loopd waits`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd waits --pending
  loopd waits --app orders --task 4711
  loopd waits --at 14:03:07                     who waited for whom at that instant
  loopd waits --pending --json | jq -r 'select(.cycle) | .text'

JSON keys: wait, task, task_name, resource {resource, kind, name, location}, op, location, amount,
began_at, ended_at, length, state (pending, ready, cancelled, unfinished), holders, chain, cycle,
text. Lengths are nanoseconds; ids and instants are text.")]
pub(crate) struct WaitsArgs {
    /// Only waits that last, longest first; of a program that is gone, those it was caught in.
    #[arg(long)]
    pending: bool,
    /// Only waits that lasted at this instant, as far as was known then, longest first: -5m (before the newest
    /// data), 14:03:07.412, RFC 3339. Of the newest program or run that was there then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "pending")]
    at: Option<TimeArg>,
    /// Only waits of this task.
    #[arg(long, value_name = "ID")]
    task: Option<u64>,
    /// Only waits for this resource.
    #[arg(long, value_name = "ID")]
    resource: Option<u64>,
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=MAX_LIMIT))]
    limit: u64,
    /// How many to skip.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    #[command(flatten)]
    read: ReadArgs,
}

/// Tasks of a chain that the text shows, where JSON has them all; and other programs of an instant.
const SHOWN: usize = 4;

/// Runs the command.
pub(crate) async fn run(args: WaitsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, newest) = args.read.open().await?;
    let zone = TimeZone::system();
    let newest_at = UnixNanos(newest.last_at.0);
    let at = args.at.map(|at| at.resolve(newest_at, &zone)).transpose()?;
    let process = match at {
        Some(at) => there(&source, args.read.app.as_deref(), at, &newest, &zone).await?,
        None => newest,
    };
    let filter = WaitFilter {
        process: Some(process.process),
        pending: args.pending,
        at,
        task: args.task,
        resource: args.resource,
        offset: args.offset,
        limit: args.limit,
    };
    let view = source.waits(&filter).await?;
    if args.read.json {
        print_lines(&view.rows)?;
    } else {
        print(&Screen::new(global.color).table(&table(&view.rows)))?;
        let last = args.offset.saturating_add(view.rows.len() as u64);
        if view.rows.is_empty() {
            let which = match view.at {
                Some(at) => format!(" that lasted at {}", clock_text(at.0, &TimeZone::system())),
                None if args.pending => " that lasts".into(),
                None => String::new(),
            };
            note(&format!("no wait of {} was seen{which}", process.app));
        } else if last < view.total || view.more {
            let (last, total) = (count_text(last), count_text(view.total));
            let than = if view.more { "more than " } else { "" };
            note(&format!(
                "{last} of {than}{total} waits of {}; --limit and --offset show more",
                process.app
            ));
        }
    }
    // What is lost later is not missing at an instant.
    completeness(&source, &process, (None, view.at.map(|at| at.0))).await
}

/// The program that was there at an instant, which may be an earlier one than the newest; says which one it is,
/// and who else was.
async fn there(
    source: &Source,
    app: Option<&str>,
    at: UnixNanos,
    newest: &Process,
    zone: &TimeZone,
) -> anyhow::Result<Process> {
    let mut there = source.there(app, at, zone).await?.into_iter();
    let process = there.next().context("nobody was there")?;
    if process.process != newest.process {
        let (from, to) = (process.started_at.0, process.last_at.0);
        let (from, to) = (clock_text(from, zone), clock_text(to, zone));
        let (app, number) = (&process.app, process.process);
        note(&format!("these are of {app}, process {number}, which ran from {from} to {to}"));
    }
    let others: Vec<_> = there.map(|it| format!("{} (process {})", it.app, it.process)).collect();
    if !others.is_empty() {
        let more = if others.len() > SHOWN { ", …" } else { "" };
        let named = others[..others.len().min(SHOWN)].join(", ");
        note(&format!("also there at that instant: {named}{more}; --app shows another"));
    }
    Ok(process)
}

/// Waits, one to a line.
pub(crate) fn table(waits: &[Wait]) -> Table {
    let mut table = Table::default()
        .number("TASK")
        .text("STATE")
        .number("FOR")
        .text("OP")
        .text("RESOURCE")
        .place("WAITS AT")
        .text("HELD UP BY");
    for wait in waits {
        let resource = wait.resource.as_ref().map_or("-".into(), ToString::to_string);
        let is_over = wait.ended_at.is_some();
        table.styled_row([
            (wait.task.map_or("-".into(), |task| task.to_string()), None),
            (wait.state.clone(), is_over.then_some(Style::Dim)),
            (duration_text(wait.length), None),
            (wait.op.clone(), None),
            (resource, None),
            (wait.location.clone().unwrap_or_else(|| "-".into()), Some(Style::Place)),
            (held_up_by(wait), wait.cycle.then_some(Style::Bad)),
        ]);
    }
    table
}

/// `21 (reloader) > 7`, with `…` where it comes round or goes on.
pub(super) fn held_up_by(wait: &Wait) -> String {
    let link = |link: &Link| match &link.task_name {
        Some(name) => format!("{} ({name})", link.task),
        None => link.task.to_string(),
    };
    if wait.chain.is_empty() {
        let first = wait.holders.iter().find_map(|holder| holder.task);
        return first.map_or("-".into(), |task| task.to_string());
    }
    let mut chain: Vec<_> = wait.chain.iter().take(SHOWN).map(link).collect();
    if wait.cycle || wait.chain.len() > SHOWN {
        chain.push("…".into());
    }
    chain.join(" > ")
}
