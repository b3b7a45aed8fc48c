//! `loopd demo`: a collector, and a program with the agent linked, as a process of its own.
//!
//! The program is one of the catalogue, `loopd-orders` unless another is asked for: ordinary code with
//! ordinary bugs. It is part of this executable, started a second time as `loopd demo-service`, so
//! that one binary is all a demo needs. Nothing here or anywhere in loopd knows what is wrong with
//! it; the summary says what was found.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use loopd_dashboard::views::ViewError;
use loopd_dashboard::views::findings::{Finding, FindingFilter, FindingsView, findings};
use loopd_dashboard::views::leaks::{LeaksView, leaks};
use loopd_dashboard::views::slow::{SlowFilter, SlowView, slow};
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};
use loopd_store::{Durability, ProcessRow, ProcessState, Reader, Retention, StoreError};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::render::{Screen, Style, Table, clean, note, print, warn};
use super::serve::Signals;
use super::slow::plural;
use crate::cli::Global;
use crate::demo_catalogue::Program;
use crate::demo_service::{self, GOODBYE_TIME};
use crate::server::{self, RunningServer, ServerConfig};
use crate::units::{self, Limit};

/// Where the dashboard is when nobody chose a port and it is free.
const USUAL_PORT: u16 = 7411;
/// A leak of a few things a minute is not told from the start-up of a service before this, in
/// nanoseconds.
const LEAKS_SHOW: u64 = 15_000_000_000;
/// So many of the worst are named in the summary.
const MAX_LINES: usize = 6;

/// The flags of `loopd demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd demo
  loopd demo --list                    the programs, and what one sees in each
  loopd demo web-server
  loopd demo --for 30s --no-open
  loopd demo --db demo.db && loopd slow --db demo.db")]
pub(crate) struct DemoArgs {
    /// Which program to show.
    #[arg(value_enum, value_name = "PROGRAM", default_value_t)]
    program: Program,
    /// List the programs instead, with what one sees in each.
    #[arg(long, conflicts_with_all = ["program", "time", "no_open", "db", "port"])]
    list: bool,
    /// End by itself after this long, with a summary: a number and s, m or h.
    #[arg(long = "for", value_name = "TIME", default_value = "off", value_parser = units::age)]
    time: Limit<Duration>,
    /// Do not open the dashboard in a browser.
    #[arg(long)]
    no_open: bool,
    /// Keep the recording in this file; without it, it goes when the demo ends.
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// The port to listen on, 0 for any [default: 7411 if it is free].
    #[arg(long)]
    port: Option<u16>,
}

/// The arguments of `loopd demo-service`.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Which program to run.
    #[arg(value_enum)]
    program: Program,
}

/// Runs the command.
pub(crate) async fn run(args: DemoArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let screen = Screen::new(global.color);
    if args.list {
        print(&list(screen))?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = args.program;
    let mut signals = Signals::new().context("listen for signals")?;
    let folder = TempDir::with_prefix("loopd-demo-").context("make a folder for the recording")?;
    let db = args.db.clone().unwrap_or_else(|| folder.path().join("demo.db"));
    let mut server = start_server(args.port, db).await?;
    let url = format!("http://{}", server.addr);
    let (mut service, lifeline) = demo_service::start(program, &url, None)?;
    print(&greeting(program, &url, args.time.0, screen))?;
    if !args.no_open && webbrowser::open(&url).is_err() {
        note("no browser could be opened: follow the address");
    }

    let end = async {
        match args.time.0 {
            Some(time) => sleep_until(Instant::now() + time).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        () = end => None,
        () = signals.next() => None,
        status = service.wait() => Some(status?),
        error = server.failed() => return Err(error),
    };
    drop(lifeline);
    let is_polite = match ended {
        Some(_) => false,
        None => match demo_service::goodbye(service).await {
            Ok(_) => true,
            // What it had sent by then is there all the same.
            Err(error) => {
                warn(&format!("{error:#}, so what it did at the last is not in the summary"));
                false
            }
        },
    };
    print(&summary(program, &server.reader, is_polite, screen).await)?;
    server.shutdown().await?;
    match ended {
        Some(status) => bail!("the program of the demo ended by itself: {status}"),
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn start_server(port: Option<u16>, db: PathBuf) -> anyhow::Result<RunningServer> {
    let config = |port| ServerConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        db: db.clone(),
        durability: Durability::Full,
        retention: Retention { max_age: None, max_bytes: Some(1 << 30), max_process_bytes: None },
        token: None,
        allow_hosts: Vec::new(),
        // It has one already.
        attach: Vec::new(),
        has_demo: false,
    };
    if let Some(port) = port {
        let started = server::start(config(port)).await;
        return started.context("another --port, or --port 0 for any, may be free");
    }
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, USUAL_PORT));
    let is_free = std::net::TcpListener::bind(usual).is_ok();
    server::start(config(if is_free { USUAL_PORT } else { 0 })).await
}

/// The program itself, until standard input ends.
pub(crate) async fn run_service(args: ServiceArgs) -> anyhow::Result<ExitCode> {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Only its end matters; an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = stop.send(());
    });
    // It brings its own runtimes, and so needs a thread that is in none. Loops are called as their
    // thread is.
    let run = move || {
        args.program.run(async {
            let _ = stopped.await;
        })
    };
    let service = std::thread::Builder::new().name("main".to_owned()).spawn(run);
    let service = service.context("start a thread for the program of the demo")?;
    let join = move || service.join();
    match tokio::task::spawn_blocking(join).await.context("wait for the program of the demo")? {
        Ok(result) => result.map(|()| ExitCode::SUCCESS),
        Err(_) => bail!("the program of the demo panicked"),
    }
}

/// The catalogue, a line each.
fn list(screen: Screen) -> String {
    let mut table = Table::default().text("PROGRAM").text("WHAT ONE SEES");
    for program in Program::value_variants() {
        table.row([program.name(), program.about()]);
    }
    screen.unlimited().table(&table)
}

fn greeting(program: Program, url: &str, time: Option<Duration>, screen: Screen) -> String {
    let mut out = String::new();
    let until = match time {
        Some(time) => format!("ends by itself after {time:?}"),
        None => "press ctrl-c to end it".to_owned(),
    };
    let what = program.what();
    let _ = writeln!(
        out,
        "{what} as a process of its own, with the loopd agent linked; {until}.

  dashboard   {}

What to look for there:",
        screen.paint(Style::Place, url)
    );
    for (page, sight) in program.sights() {
        let _ = writeln!(out, "  {page:<10}  {sight}");
    }
    let _ = writeln!(out, "\nor in another terminal: loopd slow --url {url}\n");
    out
}

/// What was found, from the same views that the dashboard shows. On a machine that is busy with other things
/// some of it may not be had: then it says so, and tells the rest.
async fn summary(program: Program, reader: &Reader, is_polite: bool, screen: Screen) -> String {
    let process = match settled(reader, is_polite).await {
        Ok(Some(process)) => process,
        Ok(None) => return "Nothing of the program arrived.\n".to_owned(),
        Err(error) => return format!("What was recorded could not be read: {}\n", chain(&error)),
    };
    let key = process.process.0;
    let mut out = recorded(&process);
    if program != Program::default() {
        let view = findings(reader, key, &FindingFilter::default()).await;
        out.push_str(&part(view, |view| what_is_wrong(&view, screen)));
        return out;
    }
    let slow = slow(reader, &SlowFilter { process: Some(key), ..SlowFilter::default() }).await;
    out.push_str(&part(slow, |view| what_blocked(&view, screen)));
    let leaks = leaks(reader, Some(key)).await;
    out.push_str(&part(leaks, |view| what_grew(&view, screen)));
    out
}

/// A part of the summary, or why it is not there.
fn part<T>(view: Result<T, ViewError>, text: impl FnOnce(T) -> String) -> String {
    view.map_or_else(|error| format!("Not known: {}\n", chain(&error)), text)
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    clean(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn what_blocked(slow: &SlowView, screen: Screen) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", screen.paint(Style::Title, "What blocked the workers"));
    if slow.sites.is_empty() {
        let _ = writeln!(out, "  nothing did, as far as was seen");
    }
    for site in slow.sites.iter().take(MAX_LINES) {
        let _ = writeln!(
            out,
            "  {}  {}, {} in all, {} at worst\n      {}",
            screen.paint(Style::Place, &clean(&site.location)),
            plural(site.polls, "poll"),
            duration_text(site.total_time),
            duration_text(site.max),
            clean(&site.advice),
        );
    }
    out
}

fn what_grew(leaks: &LeaksView, screen: Screen) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "What only grew"));
    let grows = |verdict: &str| verdict == "growing";
    if leaks.window < LEAKS_SHOW {
        let _ = writeln!(out, "  slow leaks take half a minute to show; this was shorter");
    } else if !leaks.tasks.iter().any(|leak| grows(&leak.verdict))
        && !leaks.resources.iter().any(|leak| grows(&leak.verdict))
    {
        let _ = writeln!(out, "  nothing did");
    }
    let place = |location: Option<String>| location.unwrap_or_else(|| "not known".to_owned());
    for leak in leaks.tasks.iter().filter(|leak| leak.verdict == "growing").take(MAX_LINES) {
        let location = place(leak.location.as_ref().map(ToString::to_string));
        let _ = writeln!(
            out,
            "  {}  {} tasks spawned here are alive, {:+.0} a minute",
            screen.paint(Style::Place, &clean(&location)),
            at_least_text(leak.alive, leak.more),
            leak.growth_per_min,
        );
    }
    for leak in leaks.resources.iter().filter(|leak| leak.verdict == "growing").take(MAX_LINES) {
        let location = place(leak.location.as_ref().map(ToString::to_string));
        let _ = writeln!(
            out,
            "  {}  {} of kind {} opened here are open, {:+.0} a minute",
            screen.paint(Style::Place, &clean(&location)),
            at_least_text(leak.open, leak.more),
            clean(&leak.kind),
            leak.growth_per_min,
        );
    }
    out
}

fn recorded(process: &ProcessRow) -> String {
    let totals = process.totals;
    format!(
        "Recorded {} polls of {} tasks; {} records were lost.\n\n",
        count_text(totals.polls),
        count_text(totals.tasks_spawned),
        count_text(totals.lost),
    )
}

/// What matters of what was found, with the line and what to do about it.
fn what_is_wrong(view: &FindingsView, screen: Screen) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", screen.paint(Style::Title, "What is wrong"));
    let important: Vec<&Finding> = view.important().collect();
    if important.is_empty() {
        let _ = writeln!(out, "  nothing yet: some things take ten seconds to show");
    }
    for finding in important.iter().take(MAX_LINES) {
        let place = finding.location.as_deref().unwrap_or("no line of code");
        let _ = writeln!(
            out,
            "  {}  {}\n      {}",
            screen.paint(Style::Place, &clean(place)),
            clean(&finding.title),
            clean(&finding.fix),
        );
    }
    out
}

/// The program as it was recorded, once its goodbye has arrived; if it said none, once that is known.
async fn settled(reader: &Reader, is_polite: bool) -> Result<Option<ProcessRow>, StoreError> {
    let deadline = Instant::now() + GOODBYE_TIME;
    loop {
        let latest = reader.latest_process().await?;
        let is_settled = latest.as_ref().is_some_and(|process| match is_polite {
            true => process.state == ProcessState::Ended,
            false => process.state != ProcessState::Live,
        });
        if is_settled || Instant::now() >= deadline {
            return Ok(latest);
        }
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}
