//! The checks themselves.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use loopd_analysis::runtime::Runtime;
use loopd_dashboard::views::losses::{LedgerLine, LossesView};
use loopd_dashboard::views::process::{Coverage, Process, ProcessState};
use loopd_dashboard::views::status::StatusView;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_store::{StoreError, StoreStatus};

use super::Line;
use crate::commands::client::Client;
use crate::commands::source::{DEFAULT_URL, Source, SourceArgs, usual_db};

/// With less free space than this the store is about to refuse data.
const LITTLE_SPACE: u64 = 64 << 20;
/// With less than this somebody should look.
const SOME_SPACE: u64 = 1 << 30;
/// Clocks of one machine agree; more than this apart, "now" means two things.
const CLOCK_TOLERANCE: u64 = 5_000_000_000;
/// A live program sends every second or so; this long without data it is stuck or cut off.
const SILENCE: u64 = 60_000_000_000;
/// Programs that are looked at: all that are connected, and so many others, the newest.
const MAX_PAST: usize = 3;

/// Every check.
pub(super) async fn all(args: &SourceArgs) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let (source, path) = find(args, &mut lines).await?;
    if let Some(path) = &path {
        lines.extend(database(path).await);
        lines.extend(disk(path));
    }
    if let Some(source) = source {
        match source.processes().await {
            Ok(processes) => programs(&source, &processes, &mut lines).await,
            Err(error) => lines.push(Line::bad("programs", format!("{error:#}"), "see above")),
        }
    }
    Ok(lines)
}

/// What to read from, and the database's file if it is on this machine.
async fn find(
    args: &SourceArgs,
    lines: &mut Vec<Line>,
) -> anyhow::Result<(Option<Source>, Option<PathBuf>)> {
    if let Some(path) = &args.db {
        return Ok((Source::file(path).await.ok(), Some(path.clone())));
    }
    let client = Client::new(args.url().as_deref().unwrap_or(DEFAULT_URL), args.token.clone())?;
    match client.get::<StatusView>("/status", &[]).await {
        Ok(status) => {
            server(&client, &status, lines);
            // A server in a container or behind a tunnel has its file elsewhere.
            let path = Some(PathBuf::from(status.store.path)).filter(|path| path.is_file());
            Ok((Some(Source::Server(client)), path))
        }
        Err(error) => {
            let path = usual_db().ok().filter(|path| args.url().is_none() && path.is_file());
            let fix = "start it with `loopd serve`, or name it with --url";
            lines.push(Line::bad("server", format!("{error:#}"), fix));
            let source = match &path {
                Some(path) => Source::file(path).await.ok(),
                None => None,
            };
            Ok((source, path))
        }
    }
}

fn server(client: &Client, status: &StatusView, lines: &mut Vec<Line>) {
    let now = now();
    let up = now.saturating_sub(status.started_at.0).max(0).cast_unsigned();
    let text =
        format!("{} answers: loopd {}, up {}", client.base(), status.version, duration_text(up));
    lines.push(if status.version == env!("CARGO_PKG_VERSION") {
        Line::ok("server", text)
    } else {
        let own = env!("CARGO_PKG_VERSION");
        Line::warn("server", text, format!("this command is {own}; use the same version"))
    });
    if let Some(reason) = &status.reason {
        let fix = "until that is mended, agents keep what fits in their memory and then drop it";
        lines.push(Line::bad("server", format!("takes no data: {reason}"), fix));
    }
    if now.abs_diff(status.now.0) > CLOCK_TOLERANCE {
        let apart = duration_text(now.abs_diff(status.now.0));
        let text = format!("the server's clock is {apart} away from this machine's");
        lines.push(Line::warn("clock", text, "set both by NTP, or times will not match"));
    } else {
        lines.push(Line::ok("clock", "the server's clock is this machine's"));
    }
    lines.push(match status.sessions {
        0 => Line::warn(
            "agents",
            "no program is connected",
            "add the agent to one (Rust: loopd-agent, Python: pip install ./agent/loopd-asyncio), or try `loopd demo`",
        ),
        1 => Line::ok("agents", "1 program is connected"),
        n => Line::ok("agents", format!("{n} programs are connected")),
    });
}

async fn database(path: &Path) -> Vec<Line> {
    let name = path.display().to_string();
    let reader = match Source::file(path).await {
        Ok(Source::File(reader)) => reader,
        Ok(Source::Server(_)) => return Vec::new(),
        Err(error) => {
            return vec![Line::bad("database", format!("{error:#}"), "see the message")];
        }
    };
    vec![size(&name, reader.status().await), soundness(&name, reader.quick_check().await)]
}

fn size(name: &str, status: Result<StoreStatus, StoreError>) -> Line {
    match status {
        Ok(status) => {
            let (size, polls) = (bytes(status.bytes), count_text(status.polls));
            let text = format!("{name}: {size}, schema {}, {polls} polls stored", status.schema);
            Line::ok("database", text)
        }
        Err(error) => unreadable(name, error),
    }
}

fn soundness(name: &str, problems: Result<Vec<String>, StoreError>) -> Line {
    match problems {
        Ok(problems) if problems.is_empty() => Line::ok("database", "its pages are sound"),
        Ok(problems) => Line::bad("database", format!("damaged: {}", problems.join("; ")), DAMAGED),
        Err(error) => unreadable(name, error),
    }
}

const DAMAGED: &str = "stop `loopd serve`, move the file away to start afresh, and save what can be: sqlite3 FILE .recover";

fn unreadable(name: &str, error: StoreError) -> Line {
    Line::bad("database", format!("{name}: {:#}", anyhow::Error::new(error)), DAMAGED)
}

fn disk(path: &Path) -> Option<Line> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let disk = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("{} free where the database is", bytes(free));
    Some(match free {
        ..LITTLE_SPACE => Line::bad("disk", text, "make room, or data will be refused"),
        LITTLE_SPACE..SOME_SPACE => Line::warn("disk", text, "make room, or keep less"),
        _ => Line::ok("disk", text),
    })
}

async fn programs(source: &Source, processes: &[Process], lines: &mut Vec<Line>) {
    let is_live = |process: &&Process| process.state == ProcessState::Live;
    let live = processes.iter().filter(is_live);
    let past = processes.iter().filter(|process| !is_live(process)).take(MAX_PAST);
    for process in live.chain(past) {
        lines.extend(coverage(process));
        lines.extend(silence(process));
        match source.losses(process.process).await {
            Ok(losses) => lines.extend(ledger(process, &losses)),
            Err(error) => lines.push(Line::bad(&title(process), format!("{error:#}"), "see above")),
        }
    }
}

fn title(process: &Process) -> String {
    format!("{} ({})", process.app, process.process)
}

/// What is captured, what is not, and what would change that.
fn coverage(process: &Process) -> Vec<Line> {
    let line = |layer: &Coverage| {
        let about = about(&layer.layer).map_or(String::new(), |about| format!(": {about}"));
        let text = format!("{} is {}{about}", layer.layer, layer.state);
        match (layer.state.as_str(), layer.reason.as_str()) {
            ("on", "") => Line::ok(&title(process), text),
            ("on", limits) => Line::ok(&title(process), format!("{text}; {limits}")),
            (_, "") => Line::warn(&title(process), text, "the agent gives no reason"),
            (_, reason) => Line::warn(&title(process), text, reason),
        }
    };
    process.coverage.iter().map(line).collect()
}

/// What a layer captures, in words.
fn about(layer: &str) -> Option<&'static str> {
    Some(match layer {
        "hooks" => "every task and poll, also those of libraries",
        "wrapped" => "wakes and outcomes of tasks spawned through loopd_agent",
        "schedule_latency" => "how long each task waits for its polls",
        "watchdog" => "sees what blocks while it does, and has its stack taken",
        "tracing" => "waits for tokio's own locks and timers, and wakes of every task",
        "guards" => "waits and holders of locks, permits and channels of loopd_agent",
        "steps" => "every step, spawn, wake and end of asyncio's tasks",
        "callbacks" => "functions that asyncio's loops run between tasks, and the loops' turns",
        "waits" => {
            "who waits for asyncio's locks, semaphores, queues, events, conditions and barriers, and who holds a lock"
        }
        "uvloop" => "uvloop's loops, as far as they call Python",
        "stacks" => "Python stacks of what blocks, taken by faulthandler while it does",
        "fds" => "every open file descriptor",
        "app_events" => "spans and events of the program's own",
        "configuration" => "what the program asked of the agent",
        _ => return None,
    })
}

fn silence(process: &Process) -> Option<Line> {
    let quiet = now().saturating_sub(process.last_at.0).max(0).cast_unsigned();
    let is_stuck = process.state == ProcessState::Live && quiet > SILENCE;
    is_stuck.then(|| {
        let text = format!("is connected, but its newest data is {} old", duration_text(quiet));
        Line::warn(&title(process), text, "is the program stopped, or its clock wrong?")
    })
}

/// What was lost, and whether the books balance.
fn ledger(process: &Process, losses: &LossesView) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(most) = losses.losses.iter().max_by_key(|loss| loss.count) {
        let count = losses.losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
        let text = match count {
            0 => format!("an unknown number of records never arrived ({})", most.cause),
            n => format!(
                "{} records never arrived, mostly {}s ({})",
                count_text(n),
                most.kind,
                most.cause
            ),
        };
        lines.push(Line::warn(&title(process), text, remedy(&most.cause, process.runtime())));
    }
    if process.state == ProcessState::Ended {
        for entry in losses.ledger.iter().filter(|entry| !balances(entry)) {
            let text = format!(
                "{} {}s were recorded, but {} stored and {} lost",
                count_text(entry.produced),
                entry.kind,
                count_text(entry.stored),
                count_text(entry.dropped.saturating_add(entry.lost)),
            );
            let fix = "this is a mistake of loopd's; please report it";
            lines.push(Line::bad(&title(process), text, fix));
        }
    }
    if lines.is_empty() {
        lines.push(Line::ok(&title(process), "nothing was lost"));
    }
    lines
}

fn balances(entry: &LedgerLine) -> bool {
    entry.produced == entry.stored.saturating_add(entry.dropped).saturating_add(entry.lost)
}

/// What to do about a cause of loss.
fn remedy(cause: &str, runtime: Runtime) -> &'static str {
    match cause {
        "ring_full" | "no_ring" | "agent_limit" => {
            "give the agent more memory, or record fewer polls"
        }
        "window_evicted" => "keep `loopd serve` running, or give the agent more memory",
        "shutdown_deadline" => "give the agent more time at shutdown",
        "malformed" => "use the same version of agent and loopd; the server's log has details",
        "storage_full" => "make room on the disk, or keep less",
        "store_rollback" => "nothing to do: the database was replaced while the program ran",
        "unknown_tail" if runtime == Runtime::Asyncio => {
            "let the program end by itself, or call `loopd.uninstall()` before `os._exit` and the like"
        }
        "unknown_tail" => "end the program with the agent's shutdown, where that is possible",
        _ => "see the README",
    }
}

fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        ..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    format!("{:.1} {name}", bytes as f64 / unit)
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
