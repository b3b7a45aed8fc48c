//! `loopd slow`: what blocked the loops, by the line that did it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use jiff::tz::TimeZone;
use loopd_analysis::capture::Capture;
use loopd_analysis::slow::short_path;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::slow::{Frame, Site, SlowFilter, SlowPoll, SlowView};
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_model::PAGE_FAULT;

use super::read::{ReadArgs, completeness, warn_unseen};
use super::render::{Screen, Style, clean, print, print_lines};
use super::time_arg::{TimeArg, clock_text};
use crate::cli::Global;
use crate::exit::{Exit, OrExit};

/// The flags of `loopd slow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd slow
  loopd slow --app orders --from -5m
  loopd slow --from 14:03 --to 14:04 --limit 3
  loopd slow --json | jq -r '[.location, .total_time] | @tsv'

JSON: one object per site, worst first: location, function, by (stack, spawn_location), polls,
total_time, max, p50, on_cpu, off_cpu, doing (computing, blocked, memory, processor), found_so, syscall, leaf,
advice, stacks, examples. Lengths are nanoseconds.")]
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
const FRAMES: usize = 10;

/// Runs the command.
pub(crate) async fn run(args: SlowArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (source, process) = args.read.open().await?;
    let newest = loopd_model::UnixNanos(process.last_at.0);
    let zone = TimeZone::system();
    let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, &zone)).transpose();
    let (from, to) = (resolve(args.from)?, resolve(args.to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(anyhow!("--from is not before --to")).or_exit(Exit::Usage);
    }
    let filter = SlowFilter { process: Some(process.process), from, to, limit: 1 };
    let view = source.slow(&filter).await?;
    if args.read.json {
        print_lines(view.sites.iter().take(args.limit))?;
    } else {
        let is_part = from.is_some() || to.is_some();
        print(&text(&view, &process, args.limit, is_part, Screen::new(global.color)))?;
    }
    warn_unseen(&process);
    completeness(&source, &process, (from.map(|at| at.0), to.map(|at| at.0))).await
}

fn text(view: &SlowView, process: &Process, limit: usize, is_part: bool, screen: Screen) -> String {
    let app = clean(&process.app);
    let threshold = duration_text(process.slow_threshold);
    if process.capture() == Capture::ConsoleSnapshots {
        return format!(
            "single polls of {app} are not captured by console snapshots, so that none is known to be slow; \
             `loopd task` shows the longest poll of tasks whose histograms were read\n"
        );
    }
    if view.polls == 0 {
        let zone = TimeZone::system();
        let (first, last) =
            (clock_text(process.started_at.0, &zone), clock_text(process.last_at.0, &zone));
        let range = if is_part { " in that range" } else { "" };
        return format!(
            "no poll of {app} that was seen{range} took {threshold} or longer; it was recorded from \
             {first} to {last}\n"
        );
    }
    let mut out = format!(
        "{}{} of {app} ({threshold} or longer), {} in all\n",
        if view.more { "the newest " } else { "" },
        plural(view.polls, "slow poll"),
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

/// `1 poll`, `2 polls`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", count_text(count), if count == 1 { "" } else { "s" })
}

fn one_site(site: &Site, screen: Screen) -> String {
    let location = if site.location.is_empty() { "an unknown place" } else { &site.location };
    let mut out = screen.paint(Style::Place, &clean(location));
    match site.by.as_str() {
        "stack" if !site.function.is_empty() => {
            let _ = write!(out, "  {}", without_parameters(&clean(&site.function)));
        }
        "stack" => {}
        _ => out.push_str("  (where the task was spawned; no stack was taken)"),
    }
    let _ = write!(
        out,
        "\n  {}, {} in all, worst {}, median {}",
        plural(site.polls, "poll"),
        screen.paint(Style::Warn, &duration_text(site.total_time)),
        duration_text(site.max),
        duration_text(site.p50),
    );
    let samples = site.on_cpu + site.off_cpu;
    if samples > 0 {
        let what = match site.doing.as_deref() {
            Some("computing") => "computing",
            Some("blocked") => "blocked in the kernel",
            Some("memory") => "waiting for a page of memory",
            Some("processor") => "ready to run, without a processor,",
            _ => "asleep, in no call that is known,",
        };
        let _ = write!(out, "\n  {what} in {} of {samples} samples", site.found_so);
    }
    if let Some(syscall) = site.syscall.as_ref().filter(|name| *name != PAGE_FAULT) {
        let _ = write!(out, ", in system call {}", clean(syscall));
    }
    if !site.leaf.is_empty() {
        let _ = write!(out, ", mostly in {}", without_parameters(&clean(&site.leaf)));
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
    for frame in &frames[..shown(frames)] {
        let function = match frame.function.as_str() {
            "" => "?".into(),
            function => without_parameters(&clean(function)),
        };
        let line = match frame.file.as_str() {
            "" => function,
            file => format!("{function}  {}:{}", clean(short_path(file)), frame.line),
        };
        let (mark, style) = if frame.own { (">", Style::Title) } else { (" ", Style::Dim) };
        let _ = writeln!(out, "    {mark} {}", screen.paint(style, &line));
    }
    let hidden = frames.len() - shown(frames);
    if hidden > 0 {
        let _ = writeln!(out, "      … {hidden} more frames");
    }
    out
}

/// How many frames to show: up to the last of the program's own among the first few, since what
/// called that is always the same machinery.
fn shown(frames: &[Frame]) -> usize {
    let few = frames.len().min(FRAMES);
    frames[..few].iter().rposition(|frame| frame.own).map_or(few, |last| last + 1)
}

/// The function's name without type parameters, which can be longer than a screen is wide:
/// `poll<Pin<Box<…>>>` is `poll`. A name that begins with `<` keeps its first bracket, as in
/// `<Mutex>::lock`.
fn without_parameters(function: &str) -> String {
    let mut out = String::new();
    let mut depth = 0usize;
    let mut previous = ' ';
    for c in function.chars() {
        match c {
            '<' if depth == 0 && out.is_empty() => out.push(c),
            '<' => depth += 1,
            // The end of an arrow, as in `fn() -> u8`, closes nothing.
            '>' if previous != '-' && depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
        previous = c;
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
    let doing = match (&poll.syscall, poll.running.as_deref()) {
        (Some(syscall), _) if syscall == PAGE_FAULT => "  waiting for memory".into(),
        (Some(syscall), _) => format!("  in {}", clean(syscall)),
        (None, Some("on_cpu")) => "  computing".into(),
        _ => String::new(),
    };
    let mut out = format!("  {at}  {}{doing}\n", screen.paint(Style::Warn, &length));
    if let Some(stack) = &poll.stack {
        out.push_str(&frames(stack, screen));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_parameters_are_left_out() {
        let cases = [
            ("checksum", "checksum"),
            ("poll<Pin<Box<dyn Future<Output=u8>>>>", "poll"),
            ("{async_block#0}<fn(State<Arc<Shop>>) -> Html<u8>, Json<u64>>", "{async_block#0}"),
            ("<std::sys::Mutex>::lock", "<std::sys::Mutex>::lock"),
            ("<Vec<T> as Deref>::deref", "<Vec as Deref>::deref"),
            ("map<u8>::{closure#0}", "map::{closure#0}"),
        ];
        for (function, expected) in cases {
            assert_eq!(without_parameters(function), expected);
        }
    }
}
