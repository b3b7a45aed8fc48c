//! `loopd awaits`: where every task of a running program waits, and who awaits whom.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use loopd_dashboard::views::dumps::{DumpLine, DumpView, DumpedWait};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::slow::Frame;
use loopd_dashboard::views::text::{count_text, duration_text};

use super::render::{Screen, Style, clean, note, print, print_lines, warn};
use super::source::SourceArgs;
use super::time_arg::clock_text;
use crate::cli::Global;
use crate::exit::Exit;

/// The flags of `loopd awaits`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd awaits                 where the tasks of the newest program wait now
  loopd awaits orders          of the newest run of orders
  loopd awaits 3 --last        what process 3 said when somebody asked last
  loopd awaits --folded > waits.folded      await time by stack, for a flame graph
  loopd awaits --json | jq -r '.lines[] | select(.pointer == \"cycle\") | .task'

At the top are the tasks that nobody awaits; beneath each are its calls, outermost first, then what it
awaits, and the tasks among that. The program is asked through a running `loopd serve`; --last also
reads a database file. Python programs can tell, tokio programs cannot: for them, see `loopd waits`.

A folded line is \"program;outermost call;…;what is awaited MICROSECONDS\", through the tasks that await each
other: for how long those at the end of each chain had waited. Tasks that were polled since then are not in it.

JSON keys: process, dump, began_at, ended_at, tasks, left_out, reason, more, lines {task, depth, parent,
pointer (cycle, above, missing), name, wait {kind, location, age, waited, ended_at, frames, awaits, resource}}.
Frames come innermost first. Lengths are nanoseconds; ids and instants are text.")]
pub(crate) struct AwaitsArgs {
    /// Of this program, by name (its newest run), process number or id [default: the newest].
    #[arg(value_name = "PROCESS")]
    target: Option<String>,
    /// Do not ask the program, but show what it said last.
    #[arg(long)]
    last: bool,
    /// Print one JSON object, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    /// Print folded stacks with the time that tasks had waited.
    #[arg(long, conflicts_with = "json")]
    folded: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Deeper levels of the tree are not indented any further.
const MAX_INDENT: usize = 24;

/// Runs the command.
pub(crate) async fn run(args: AwaitsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let source = args.source.open().await?;
    let process = source.process(args.target.as_deref()).await?;
    let dump = if args.last {
        None
    } else {
        let server = source.server(&args.source);
        let server = server.inspect_err(|_| note("--last shows what a program said last"))?;
        Some(server.dump_tasks(process.process).await?)
    };
    let view = source.dump(process.process, dump).await?;
    if args.json {
        print_lines([&view])?;
    } else if args.folded {
        let folded = Folded::of(&process.app, &view);
        print(&folded.text)?;
        if folded.unknown > 0 {
            let unknown = count_text(folded.unknown);
            note(&format!("of {unknown} waits it is not known how long they lasted: not shown"));
        }
    } else if !view.lines.is_empty() {
        print(&tree(&process, &view, Screen::new(global.color)))?;
    }
    Ok(verdict(&process, &view))
}

/// Says what is missing, and gives the exit code for it.
fn verdict(process: &Process, view: &DumpView) -> ExitCode {
    if let Some(reason) = &view.summary.reason {
        warn(&format!("{}: {reason}", process.app));
    } else if view.lines.is_empty() {
        note(&format!("no task of {} is alive", process.app));
    }
    if view.summary.left_out > 0 {
        let (left_out, tasks) = (count_text(view.summary.left_out), count_text(view.summary.tasks));
        warn(&format!("{left_out} of the {tasks} tasks of {} were left out", process.app));
    }
    if view.more {
        note("not all tasks are shown; `loopd query` reaches all, in the view task_dumps");
    }
    match view.summary.reason {
        Some(_) if view.lines.is_empty() => Exit::Failure.into(),
        None if view.summary.left_out == 0 => ExitCode::SUCCESS,
        _ => Exit::Incomplete.into(),
    }
}

/// Await time by stack.
struct Folded {
    text: String,
    /// Tasks that were left out.
    unknown: u64,
}

impl Folded {
    /// Each task that awaits no other, beneath all who await it.
    fn of(app: &str, view: &DumpView) -> Self {
        let mut path: Vec<String> = Vec::new();
        let mut weights: BTreeMap<String, u64> = BTreeMap::new();
        let mut unknown = 0;
        for (i, line) in view.lines.iter().enumerate() {
            path.truncate(line.depth);
            let Some(wait) = &line.wait else { continue };
            path.push(calls(line, wait));
            let awaits_task = view.lines.get(i + 1).is_some_and(|next| next.depth > line.depth);
            match wait.waited {
                _ if awaits_task => {}
                None => unknown += 1,
                Some(waited) => {
                    let stack = format!("{};{}", part(app), path.join(";"));
                    *weights.entry(stack).or_default() += waited;
                }
            }
        }
        let mut text = String::new();
        for (stack, nanos) in weights {
            let _ = writeln!(text, "{stack} {}", nanos / 1_000);
        }
        Self { text, unknown }
    }
}

/// The calls of a task, outermost first, and what it awaits that is no task.
fn calls(line: &DumpLine, wait: &DumpedWait) -> String {
    let mut parts: Vec<_> = wait.frames.iter().rev().map(|frame| part(&frame.function)).collect();
    if parts.is_empty() {
        parts.push(part(line.name.as_deref().unwrap_or("unknown")));
    }
    if let Some(awaits) = &wait.awaits {
        parts.push(part(&format!("await {awaits}")));
    }
    parts.join(";")
}

/// What stands between two semicolons.
fn part(text: &str) -> String {
    clean(text).replace(';', ":")
}

/// The whole tree, for people.
fn tree(process: &Process, view: &DumpView, screen: Screen) -> String {
    let tasks = if view.summary.tasks == 1 { "task" } else { "tasks" };
    let mut text = format!(
        "{}, process {}, {}: {} {tasks}\n",
        screen.paint(Style::Title, &clean(&process.app)),
        process.process,
        clock_text(view.summary.began_at.0, &jiff::tz::TimeZone::system()),
        count_text(view.summary.tasks),
    );
    for (line, shape) in view.lines.iter().zip(shapes(&view.lines)) {
        if line.depth == 0 {
            text.push('\n');
        }
        let head = screen.paint(Style::Dim, &shape.head);
        let _ = writeln!(text, "{head}{}", title(line, screen));
        let body = line.wait.iter().flat_map(|wait| body(wait, screen));
        for row in body {
            let _ = writeln!(text, "{}{row}", screen.paint(Style::Dim, &shape.body));
        }
    }
    text
}

/// What stands left of a task and of the lines about it.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    head: String,
    body: String,
}

/// Whether a branch goes on is known from what comes after it, so the lines are gone through backwards.
fn shapes(lines: &[DumpLine]) -> Vec<Shape> {
    let mut shapes = Vec::with_capacity(lines.len());
    // By depth: whether a task of that depth follows that has the same one above it.
    let mut later: Vec<bool> = Vec::new();
    let mut depth_after = 0;
    for line in lines.iter().rev() {
        let depth = line.depth;
        let has_children = depth_after > depth;
        later.resize(later.len().max(depth + 1), false);
        let first = depth.saturating_sub(MAX_INDENT) + 1;
        let bars = |to: usize| -> String {
            let bar = |&goes_on: &bool| if goes_on { "│  " } else { "   " };
            later.get(first..to).unwrap_or_default().iter().map(bar).collect()
        };
        let branch = match depth {
            0 => "",
            _ if later[depth] => "├─ ",
            _ => "└─ ",
        };
        let head = format!("{}{branch}", bars(depth));
        let body = format!("{}{}", bars(depth + 1), if has_children { "│ " } else { "  " });
        shapes.push(Shape { head, body });
        later.truncate(depth + 1);
        later[depth] = true;
        depth_after = depth;
    }
    shapes.reverse();
    shapes
}

/// The task, and how old it is or why nothing more is said.
fn title(line: &DumpLine, screen: Screen) -> String {
    let id = format!("task {}", line.task);
    let (name, id) = match &line.name {
        Some(name) => (clean(name), format!("  {id}")),
        None => (id, String::new()),
    };
    let name = screen.paint(Style::Title, &name);
    let rest = match (line.pointer.as_deref(), &line.wait) {
        (Some("cycle"), _) => {
            let text = format!("{id}  is above: it awaits itself in the end");
            return format!("{name}{}", screen.paint(Style::Bad, &text));
        }
        (Some("above"), _) => format!("{id}  see above"),
        (Some(_), _) | (None, None) => format!("{id}  nothing more is known of it"),
        (None, Some(wait)) => format!("{id}{}", facts(wait)),
    };
    format!("{name}{}", screen.paint(Style::Dim, &rest))
}

fn facts(wait: &DumpedWait) -> String {
    let age = wait.age.map(|age| format!("  {} old", duration_text(age)));
    let place = wait.location.as_ref().map(|place| format!("  from {}", clean(&place.to_string())));
    let ended = wait.ended_at.map(|_| "  ended since".to_owned());
    [age, place, ended].into_iter().flatten().collect()
}

/// The calls, outermost first as one reads what happens, and what the last of them awaits.
fn body(wait: &DumpedWait, screen: Screen) -> Vec<String> {
    let mut rows: Vec<_> = wait.frames.iter().rev().map(|frame| call(frame, screen)).collect();
    let resource = wait.resource.as_ref().map(|resource| {
        let kind = if resource.kind.is_empty() { "resource" } else { &resource.kind };
        let name = if resource.name.is_empty() { "" } else { " " };
        format!("{kind}{name}{} (resource {})", resource.name, resource.resource)
    });
    let awaited = match (&wait.awaits, resource) {
        (Some(what), Some(resource)) => Some(format!("{what}, {resource}")),
        (Some(what), None) => Some(what.clone()),
        (None, resource) => resource,
    };
    if let Some(awaited) = awaited {
        rows.push(format!("awaits {}", screen.paint(Style::Warn, &clean(&awaited))));
    } else if rows.is_empty() {
        rows.push(screen.paint(Style::Dim, "where it waits is not known"));
    }
    rows
}

fn call(frame: &Frame, screen: Screen) -> String {
    let function = clean(&frame.function);
    let function = if frame.own { function } else { screen.paint(Style::Dim, &function) };
    let place = match (frame.file.as_str(), frame.line) {
        ("", _) => return function,
        (file, 0) => clean(file),
        (file, line) => clean(&format!("{file}:{line}")),
    };
    format!("{function}  {}", screen.paint(Style::Place, &place))
}

#[cfg(test)]
mod tests {
    use loopd_dashboard::views::text::IdText;

    use super::*;

    #[track_caller]
    fn check(depths: &[usize], expected: &[(&str, &str)]) {
        let line = |&depth: &usize| DumpLine {
            task: IdText(1),
            depth,
            parent: None,
            pointer: None,
            name: None,
            wait: None,
        };
        let lines: Vec<_> = depths.iter().map(line).collect();
        let shape = |&(head, body): &(&str, &str)| Shape { head: head.into(), body: body.into() };
        assert_eq!(shapes(&lines), expected.iter().map(shape).collect::<Vec<_>>(), "{depths:?}");
    }

    #[test]
    fn await_time_is_of_those_at_the_end_of_a_chain() {
        let line = |depth, functions: &[&str], awaits: &str, waited| {
            let frame =
                |function: &&str| Frame { function: (*function).into(), ..Frame::default() };
            let wait = DumpedWait {
                frames: functions.iter().map(frame).collect(),
                awaits: (!awaits.is_empty()).then(|| awaits.into()),
                waited,
                ..DumpedWait::default()
            };
            DumpLine { depth, wait: Some(wait), ..DumpLine::default() }
        };
        let pointer = DumpLine { depth: 1, pointer: Some("above".into()), ..DumpLine::default() };
        let view = DumpView {
            lines: vec![
                line(0, &["fetch", "main"], "", Some(9_000_000)),
                line(1, &["get;it"], "sleep", Some(2_000_000)),
                line(1, &["get;it"], "sleep", Some(3_000_000)),
                pointer,
                line(0, &[], "Lock", Some(7_000_000)),
                line(0, &["gone"], "", None),
            ],
            ..DumpView::default()
        };
        let folded = Folded::of("shop", &view);
        let expected = "shop;main;fetch;get:it;await sleep 5000\nshop;unknown;await Lock 7000\n";
        assert_eq!((folded.text.as_str(), folded.unknown), (expected, 1));
    }

    #[test]
    fn branches_go_on_for_as_long_as_something_follows() {
        check(&[], &[]);
        check(&[0, 0], &[("", "  "), ("", "  ")]);
        check(
            &[0, 1, 2, 1, 2, 0],
            &[
                ("", "│ "),
                ("├─ ", "│  │ "),
                ("│  └─ ", "│       "),
                ("└─ ", "   │ "),
                ("   └─ ", "        "),
                ("", "  "),
            ],
        );
    }

    #[test]
    fn what_is_very_deep_is_not_indented_without_end() {
        let depths: Vec<usize> = (0..100).collect();
        let line = |&depth: &usize| DumpLine {
            task: IdText(1),
            depth,
            parent: None,
            pointer: None,
            name: None,
            wait: None,
        };
        let lines: Vec<_> = depths.iter().map(line).collect();
        let widest = shapes(&lines).iter().map(|shape| shape.head.chars().count()).max();
        assert_eq!(widest, Some(3 * MAX_INDENT));
    }
}
