//! `loopd slow`: what blocked the loops, by the line that did it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::slow::{Frame, Site, SlowFilter, SlowPoll, SlowView};
use loopd_dashboard::views::text::{count_text, duration_text};

use super::read::{ReadArgs, completeness};
use super::render::{Screen, Style, clean, print, print_lines};
use super::time_arg::{TimeArg, clock_text};
use crate::cli::Global;

/// The flags of `loopd slow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd slow
  loopd slow --app orders --from -5m
  loopd slow --from 14:03 --to 14:04 --limit 3
  loopd slow --json | jq -r '[.location, .total_time] | @tsv'

JSON: one object per site, worst first: location, function, by (stack, spawn_location), polls,
total_time, max, p50, on_cpu, off_cpu, leaf, advice, stacks, examples. Lengths are nanoseconds.")]
pub(crate) struct SlowArgs {
    /// Only polls that end at or after this: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Only polls that begin before this.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeArg>,
    /// How many sites to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    read: ReadArgs,
}

/// Frames of a stack that the text shows; JSON has them all.
const FRAMES: usize = 8;

/// Runs the command.
pub(crate) async fn run(args: SlowArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let newest = loopd_model::UnixNanos(process.last_at.0);
    let zone = TimeZone::system();
    let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, &zone)).transpose();
    let (from, to) = (resolve(args.from)?, resolve(args.to)?);
    let filter = SlowFilter { process: Some(process.process), from, to, limit: 1 };
    let view = source.slow(&filter).await?;
    if args.read.json {
        print_lines(view.sites.iter().take(args.limit))?;
    } else {
        print(&text(&view, &process, args.limit, Screen::new(global.color)))?;
    }
    completeness(&source, &process, (from.map(|at| at.0), to.map(|at| at.0))).await
}

fn text(view: &SlowView, process: &Process, limit: usize, screen: Screen) -> String {
    let app = clean(&process.app);
    let threshold = duration_text(process.slow_threshold);
    if view.polls == 0 {
        return format!("no poll of {app} took {threshold} or longer\n");
    }
    let mut out = format!(
        "{} slow polls of {app} ({threshold} or longer), {} in all\n",
        count_text(view.polls),
        duration_text(view.total_time),
    );
    if view.grouped < view.polls {
        let _ = writeln!(out, "sites are those of the newest {}", count_text(view.grouped));
    }
    for site in view.sites.iter().take(limit) {
        out.push('\n');
        out.push_str(&one_site(site, screen));
    }
    if view.sites.len() > limit {
        let _ = writeln!(out, "\n{} more sites; --limit shows them", view.sites.len() - limit);
    }
    out
}

fn one_site(site: &Site, screen: Screen) -> String {
    let location = if site.location.is_empty() { "an unknown place" } else { &site.location };
    let mut out = screen.paint(Style::Place, &clean(location));
    match site.by.as_str() {
        "stack" if !site.function.is_empty() => {
            let _ = write!(out, "  {}", clean(&site.function));
        }
        "stack" => {}
        _ => out.push_str("  (where the task was spawned; no stack was taken)"),
    }
    let _ = write!(
        out,
        "\n  {} polls, {} in all, worst {}, median {}",
        count_text(site.polls),
        screen.paint(Style::Warn, &duration_text(site.total_time)),
        duration_text(site.max),
        duration_text(site.p50),
    );
    let samples = site.on_cpu + site.off_cpu;
    if samples > 0 {
        let _ = write!(out, "\n  computing in {} of {samples} samples", site.on_cpu);
    }
    if !site.leaf.is_empty() {
        let _ = write!(out, ", mostly in {}", clean(&site.leaf));
    }
    if !site.advice.is_empty() {
        let _ = write!(out, "\n  {}", clean(&site.advice));
    }
    out.push('\n');
    if let Some(stack) = site.stacks.first() {
        out.push_str(&frames(&stack.frames, screen));
    }
    out
}

/// The frames near the leaf; those of the program itself stand out.
fn frames(frames: &[Frame], screen: Screen) -> String {
    let mut out = String::new();
    for frame in frames.iter().take(FRAMES) {
        let function = if frame.function.is_empty() { "?" } else { &frame.function };
        let line = match frame.file.as_str() {
            "" => clean(function),
            file => format!("{}  {}:{}", clean(function), clean(file), frame.line),
        };
        let (mark, style) = if frame.own { (">", Style::Title) } else { (" ", Style::Dim) };
        let _ = writeln!(out, "    {mark} {}", screen.paint(style, &line));
    }
    if frames.len() > FRAMES {
        let _ = writeln!(out, "      … {} more frames", frames.len() - FRAMES);
    }
    out
}

/// One slow poll with its last stack.
pub(crate) fn one_poll(poll: &SlowPoll, screen: Screen) -> String {
    let length = match poll.length {
        Some(length) => duration_text(length),
        None => format!("{} so far", duration_text(poll.length_so_far)),
    };
    let at = clock_text(poll.start_at.0, &TimeZone::system());
    let mut out = format!("  {at}  {}\n", screen.paint(Style::Warn, &length));
    if let Some(stack) = &poll.stack {
        out.push_str(&frames(stack, screen));
    }
    out
}
