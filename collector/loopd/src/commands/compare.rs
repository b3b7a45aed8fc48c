//! `loopd compare`: two runs, versions or ranges side by side.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::compare::{CompareFilter, CompareView, Figures, RangeOf, Side};
use loopd_dashboard::views::findings::Finding;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::text::duration_text;
use loopd_model::UnixNanos;

use super::findings::card;
use super::read::completeness;
use super::render::{Screen, Style, Table, clean, print, print_lines};
use super::source::{Source, SourceArgs};
use super::time_arg::{RangeArg, clock_text};
use crate::cli::Global;

/// The flags of `loopd compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd compare orders                      the run before the newest, and the newest
  loopd compare 3 4                         two runs, by process number
  loopd compare orders@-20m..-10m orders@-10m..
  loopd compare 7@09:00..10:00 7@10:00..11:00

Of each range every rule is asked. Shown is what became slower or fails more often, what is found in the
second range only, what is no longer, and every place of the program with the figures of both. Places are
known again by file and line: a line that moved is a place that went and one that came.

JSON: one object as the HTTP API gives it: a, b (process, app, app_version, from, to), changes, new, gone,
lasting (findings), sites (location, is_callback, a and b with spawned_per_min, polls_per_sec, busy_share,
poll_p50, poll_p99, poll_max, wake_p99, failed).")]
pub(crate) struct CompareArgs {
    /// What counts as before: NAME or ID, and of it the range FROM..TO, as in orders@-10m..
    #[arg(value_name = "A")]
    a: SideArg,
    /// What to hold against it; without, A's newest run, and the run before it as A.
    #[arg(value_name = "B")]
    b: Option<SideArg>,
    /// How many places to show.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print one JSON object, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// A program, and a range of it.
#[derive(Clone, Debug)]
struct SideArg {
    who: String,
    range: RangeArg,
}

impl std::str::FromStr for SideArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let Some((who, range)) = text.rsplit_once('@') else {
            return Ok(Self { who: text.to_owned(), range: RangeArg::default() });
        };
        let range = range.parse().map_err(|error| anyhow!("{error}"))?;
        Ok(Self { who: who.to_owned(), range })
    }
}

/// Runs the command.
pub(crate) async fn run(args: CompareArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let source = args.source.open().await?;
    let (a, b) = match &args.b {
        Some(b) => (resolve(&source, &args.a).await?, resolve(&source, b).await?),
        None => {
            let b = resolve(&source, &args.a).await?;
            let before = run_before(&source, &b.0).await?;
            let whole = RangeOf { process: before.process, from: None, to: None };
            ((before, whole), b)
        }
    };
    let view = source.compare(&CompareFilter { a: a.1, b: b.1 }).await?;
    if args.json {
        print_lines([&view])?;
    } else {
        print(&text(&view, args.limit, Screen::new(global.color)))?;
    }
    let first = completeness(&source, &a.0, ends(a.1)).await?;
    let second = completeness(&source, &b.0, ends(b.1)).await?;
    Ok(if second == ExitCode::SUCCESS { first } else { second })
}

fn ends(range: RangeOf) -> (Option<i64>, Option<i64>) {
    (range.from.map(|at| at.0), range.to.map(|at| at.0))
}

async fn resolve(source: &Source, arg: &SideArg) -> anyhow::Result<(Process, RangeOf)> {
    let process = source.process(Some(arg.who.as_str()).filter(|who| !who.is_empty())).await?;
    let newest = UnixNanos(process.last_at.0);
    let (from, to) = arg.range.resolve(&arg.who, newest, &TimeZone::system())?;
    let range = RangeOf { process: process.process, from, to };
    Ok((process, range))
}

/// The run of the same program that was recorded before this one.
async fn run_before(source: &Source, process: &Process) -> anyhow::Result<Process> {
    let is_before =
        |other: &Process| other.app == process.app && other.started_at < process.started_at;
    let found = source.processes().await?.into_iter().find(is_before);
    found.ok_or_else(|| {
        anyhow!(
            "{} was recorded once: name two ranges of it, as in {0}@-20m..-10m {0}@-10m..",
            process.app
        )
    })
}

fn text(view: &CompareView, limit: usize, screen: Screen) -> String {
    let mut out = String::new();
    for (letter, side) in [("A", &view.a), ("B", &view.b)] {
        let _ = writeln!(out, "{letter}  {}", side_text(side));
    }
    out.push('\n');
    let parts: [(&str, &[Finding]); 4] = [
        ("Changed for the worse in B", &view.changes),
        ("Found in B only", &view.new),
        ("Found in A only", &view.gone),
        ("Found in both", &view.lasting),
    ];
    for (title, findings) in parts {
        if findings.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "{}",
            screen.paint(Style::Title, &format!("{title}: {}", findings.len()))
        );
        for finding in findings {
            if title == "Found in both" || title == "Found in A only" {
                let _ = writeln!(out, "  {}  {}", finding.level.as_str(), clean(&finding.title));
            } else {
                out.push_str(&card(finding, screen));
            }
        }
        out.push('\n');
    }
    if parts[..3].iter().all(|(_, findings)| findings.is_empty()) {
        out.push_str("nothing is worse or better than before, as far as was seen\n\n");
    }
    out.push_str(&screen.table(&sites(view, limit)));
    if view.sites.len() > limit {
        let _ = writeln!(out, "{} more places; --limit shows them", view.sites.len() - limit);
    }
    out
}

fn side_text(side: &Side) -> String {
    let zone = TimeZone::system();
    let version = match side.app_version.as_str() {
        "" => String::new(),
        version => format!(" {}", clean(version)),
    };
    format!(
        "{}{version}, process {}, from {} to {}",
        clean(&side.app),
        side.process,
        clock_text(side.from.0, &zone),
        clock_text(side.to.0, &zone),
    )
}

fn sites(view: &CompareView, limit: usize) -> Table {
    let mut table = Table::default().text("LOCATION");
    for heading in
        ["BUSY A", "BUSY B", "POLLS/S A", "POLLS/S B", "P99 A", "P99 B", "WAKE P99 A", "WAKE P99 B"]
    {
        table = table.number(heading);
    }
    let none = || "-".to_owned();
    let busy =
        |it: Option<Figures>| it.map_or_else(none, |it| format!("{:.1} %", it.busy_share * 100.0));
    let polls = |it: Option<Figures>| {
        it.and_then(|it| it.polls_per_sec).map_or_else(none, |polls| format!("{polls:.1}"))
    };
    let p99 = |it: Option<Figures>| it.and_then(|it| it.poll_p99).map_or_else(none, duration_text);
    let wake = |it: Option<Figures>| it.and_then(|it| it.wake_p99).map_or_else(none, duration_text);
    for row in view.sites.iter().take(limit) {
        let (a, b) = (row.a, row.b);
        table.row([
            clean(&row.location).to_string(),
            busy(a),
            busy(b),
            polls(a),
            polls(b),
            p99(a),
            p99(b),
            wake(a),
            wake(b),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_typed_behind_the_program() {
        let parse = |text: &str| text.parse::<SideArg>();
        let check = |text: &str, who: &str, range: &str| {
            let side = parse(text).unwrap();
            assert_eq!((side.who.as_str(), side.range), (who, range.parse().unwrap()), "{text}");
        };
        check("orders", "orders", "..");
        check("orders@-20m..-10m", "orders", "-20m..-10m");
        check("7@10:00..", "7", "10:00..");
        let error = parse("orders@-20m").unwrap_err().to_string();
        assert_eq!(error, "\"-20m\" is no range: write FROM..TO, FROM.. or ..TO");
        assert!(parse("orders@soon..").is_err());
    }
}
