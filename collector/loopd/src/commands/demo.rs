//! `loopd demo`: a collector, and an example service with the agent linked, as a process of its own.
//!
//! The service is `loopd-orders`: ordinary code with ordinary bugs. It is part of this executable,
//! started a second time as `loopd demo-service`, so that one binary is all a demo needs. Nothing
//! here or anywhere in loopd knows what is wrong with it; the summary says what was found.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use loopd_dashboard::views::leaks::leaks;
use loopd_dashboard::views::slow::{SlowFilter, slow};
use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};
use loopd_store::{Durability, ProcessState, Reader, Retention};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::render::{Screen, Style, clean, note, print};
use super::serve::Signals;
use super::slow::plural;
use crate::cli::Global;
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
  loopd demo --for 30s --no-open
  loopd demo --db demo.db && loopd slow --db demo.db")]
pub(crate) struct DemoArgs {
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

/// Runs the command.
pub(crate) async fn run(args: DemoArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("listen for signals")?;
    let folder = TempDir::with_prefix("loopd-demo-").context("make a folder for the recording")?;
    let db = args.db.clone().unwrap_or_else(|| folder.path().join("demo.db"));
    let mut server = start_server(args.port, db).await?;
    let url = format!("http://{}", server.addr);
    let (mut service, lifeline) = demo_service::start(&url, None)?;
    let screen = Screen::new(global.color);
    print(&greeting(&url, args.time.0, screen))?;
    if !args.no_open && webbrowser::open(&url).is_err() {
        note("no browser could be opened: follow the address");
    }

    let end = async {
        match args.time.0 {
            Some(time) => sleep_until(Instant::now() + time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = end => {}
        () = signals.next() => {}
        status = service.wait() => bail!("the example service ended by itself: {}", status?),
        error = server.failed() => return Err(error),
    }
    drop(lifeline);
    demo_service::goodbye(service).await?;
    print(&summary(&server.reader, screen).await?)?;
    server.shutdown().await?;
    Ok(ExitCode::SUCCESS)
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

/// The example service itself, until standard input ends.
pub(crate) async fn run_service() -> anyhow::Result<ExitCode> {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Only its end matters; an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = stop.send(());
    });
    // It brings its own runtimes, and so needs a thread that is in none.
    let service = std::thread::spawn(|| {
        loopd_orders::run(async {
            let _ = stopped.await;
        })
    });
    let join = move || service.join();
    match tokio::task::spawn_blocking(join).await.context("wait for the service")? {
        Ok(result) => result.map(|()| ExitCode::SUCCESS),
        Err(_) => bail!("the example service panicked"),
    }
}

fn greeting(url: &str, time: Option<Duration>, screen: Screen) -> String {
    let mut out = String::new();
    let until = match time {
        Some(time) => format!("ends by itself after {time:?}"),
        None => "press ctrl-c to end it".to_owned(),
    };
    let _ = writeln!(
        out,
        "An order service runs as a process of its own, with the loopd agent linked; {until}.

  dashboard   {}

What to look for there:
  Overview    one sentence on how the service is doing
  Findings    what is wrong with it, with the proof and the fix
  Slow        which line blocks the workers, with the stack taken while it blocked
  Leaks       whose tasks never end, and what is opened and never closed
  Timeline    every poll of every worker; n jumps to the next slow one

or in another terminal: loopd slow --url {url}
",
        screen.paint(Style::Place, url)
    );
    out
}

/// What was found, from the same views that the dashboard shows.
async fn summary(reader: &Reader, screen: Screen) -> anyhow::Result<String> {
    let Some(process) = settled(reader).await? else {
        bail!("nothing of the example service arrived");
    };
    let key = process.process.0;
    let slow = slow(reader, &SlowFilter { process: Some(key), ..SlowFilter::default() }).await?;
    let leaks = leaks(reader, Some(key)).await?;
    let totals = process.totals;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Recorded {} polls of {} tasks; {} records were lost.\n",
        count_text(totals.polls),
        count_text(totals.tasks_spawned),
        count_text(totals.lost),
    );
    let _ = writeln!(out, "{}", screen.paint(Style::Title, "What blocked the workers"));
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
    let _ = writeln!(out, "\n{}", screen.paint(Style::Title, "What only grew"));
    if leaks.window < LEAKS_SHOW {
        let _ = writeln!(out, "  slow leaks take half a minute to show; this was shorter");
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
    Ok(out)
}

/// The service as it was recorded, once its goodbye has arrived.
async fn settled(reader: &Reader) -> anyhow::Result<Option<loopd_store::ProcessRow>> {
    let deadline = Instant::now() + GOODBYE_TIME;
    loop {
        let latest = reader.latest_process().await?;
        let is_settled =
            latest.as_ref().is_some_and(|process| process.state == ProcessState::Ended);
        if is_settled || Instant::now() >= deadline {
            return Ok(latest);
        }
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}
