//! The server: one listener for agents (gRPC) and people (HTTP), over one store.
//!
//! `loopd serve` and `loopd demo` run this; so do tests, on port 0.

mod accept;
mod demo;
mod first_bytes;
pub(crate) mod guard;
mod presence;
pub(crate) mod replay;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use loopd_collector::{Collector, CollectorConfig, CollectorHandle};
use loopd_console::serve::Console;
use loopd_dashboard::views::clock::ClockReading;
use loopd_dashboard::{
    AppState, ChangeError, DumpError, Mute, MuteError, ServerInfo, ServerStatus,
};
use loopd_model::UnixNanos;
use loopd_store::{Durability, ProcessRow, Reader, Retention, StoreError, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::commands::attach::Attachment;
use crate::exit::{Exit, OrExit};
use accept::Acceptor;
use demo::ServerDemo;
use guard::{Guard, HostName, Token};

/// How long connections may take to end once the store is closed.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What to serve, and where.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// Where to listen; port 0 takes any that is free.
    pub(crate) listen: SocketAddr,
    /// The database file.
    pub(crate) db: PathBuf,
    /// When a commit counts as stored.
    pub(crate) durability: Durability,
    /// How much to keep.
    pub(crate) retention: Retention,
    /// Who may talk to the server; anybody on this machine if absent.
    pub(crate) token: Option<Token>,
    /// Names that the server goes by, besides those of this machine's loopback.
    pub(crate) allow_hosts: Vec<HostName>,
    /// Programs to attach to.
    pub(crate) attach: Vec<Attachment>,
    /// Whether pages may start the example service, as a child of this process.
    pub(crate) has_demo: bool,
}

/// A server that runs. Dropping it leaves its tasks running: call [`Self::shutdown`].
#[derive(Debug)]
pub(crate) struct RunningServer {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// The same data that it shows.
    pub(crate) reader: Reader,
    collector: CollectorHandle,
    /// The collector, until it was seen to end.
    keeper: JoinHandle<Result<(), StoreError>>,
    judging: JoinHandle<()>,
    accepting: JoinHandle<()>,
    attached: JoinSet<()>,
    demo: Option<ServerDemo>,
    stop_demo: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

/// Listens, opens the store, and serves until [`RunningServer::shutdown`].
pub(crate) async fn start(config: ServerConfig) -> anyhow::Result<RunningServer> {
    check_exposure(config.listen, config.token.is_some())?;
    // Before the store: a second server should say that the port is taken, and touch nothing.
    let listener = listen(config.listen).await?;
    let addr = listener.local_addr().context("ask for the port").or_exit(Exit::Connect)?;
    let options = StoreOptions { path: config.db, durability: config.durability };
    let (writer, reader) = loopd_store::open(options).await.or_exit(Exit::Storage)?;

    let (stop, stopped) = watch::channel(false);
    let (stop_demo, demo_stopped) = watch::channel(false);
    let head = writer.head();
    let before = live_before(&reader).await.or_exit(Exit::Storage)?;
    let keys = |rows: &mut dyn Iterator<Item = &ProcessRow>| rows.map(|row| row.process).collect();
    let (collector, handle) = Collector::new(
        writer,
        CollectorConfig {
            retention: config.retention,
            live_before: keys(&mut before.iter()),
            gone_before: keys(
                &mut before.iter().filter(|row| presence::is_gone(&row.host, row.pid)),
            ),
            is_gone: presence::is_gone,
            ..CollectorConfig::default()
        },
    );
    let status = {
        let handle = handle.clone();
        move || server_status(&handle)
    };
    let info = ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now(),
        retention: config.retention,
    };
    let change = {
        let handle = handle.clone();
        move |scope, change| {
            let handle = handle.clone();
            async move { handle.change_settings(scope, change).await.map_err(change_error) }
        }
    };
    let dump = {
        let handle = handle.clone();
        move |process| {
            let handle = handle.clone();
            async move { handle.dump_tasks(process).await.map_err(dump_error) }
        }
    };
    let judging = {
        let (handle, reader, head) = (handle.clone(), reader.clone(), head.clone());
        tokio::spawn(async move { handle.judge(reader, head).await })
    };
    let mute = {
        let handle = handle.clone();
        move |app, mute: Mute| {
            let handle = handle.clone();
            async move {
                let Mute { rule, subject, reason } = mute;
                handle.mute_finding(app, rule, subject, reason).await.map_err(mute_error)
            }
        }
    };
    let note = {
        let handle = handle.clone();
        move |change| {
            let handle = handle.clone();
            async move { handle.change_note(change).await.map_err(change_error) }
        }
    };
    let console = Console::live(reader.clone(), head.clone(), stopped.clone());
    let state = AppState::new(reader.clone(), head, info, status, stopped.clone())
        .with_changes(change)
        .with_dumps(dump)
        .with_mutes(mute)
        .with_notes(note)
        .with_clocks({
            let handle = handle.clone();
            move |process| handle.clocks(process).into_iter().map(clock_reading).collect()
        });
    let demo =
        config.has_demo.then(|| ServerDemo::new(addr, config.token.clone(), demo_stopped.clone()));
    let state = match &demo {
        Some(demo) => state.with_demo(demo.clone()),
        None => state,
    };
    let router = loopd_dashboard::router(state)
        .route_service("/loopd.v1.Ingest/{*method}", handle.routes())
        .route_service(loopd_console::serve::ROUTE, console.routes());
    let guard = Guard::new(addr, config.allow_hosts, config.token);
    let acceptor = Acceptor { listener, router, guard: Arc::new(guard), stopped };
    let mut attached = JoinSet::new();
    for Attachment { target, name } in config.attach {
        let here = loopd_console::attach::Collector::here(handle.routes());
        let bridge = loopd_console::attach::Bridge::new(target, name, here);
        let mut stopped = demo_stopped.clone();
        attached.spawn(bridge.run(async move {
            // An error means that the server is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
    }
    Ok(RunningServer {
        addr,
        reader,
        collector: handle,
        keeper: tokio::spawn(collector.run()),
        judging,
        accepting: tokio::spawn(acceptor.run(DRAIN_TIME)),
        attached,
        demo,
        stop_demo,
        stop,
    })
}

impl RunningServer {
    /// Waits until the server can do no more by itself, which it should never come to.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let kept = loop {
            tokio::select! {
                kept = &mut self.keeper => break kept,
                Some(ended) = self.attached.join_next() => note_bridge(ended),
            }
        };
        match kept {
            Ok(Err(error)) => anyhow!(error).context("the collector ended"),
            Ok(Ok(())) => anyhow!("the collector ended"),
            Err(error) => anyhow!(error).context("the collector crashed"),
        }
    }

    /// Takes no more connections, commits and acks what was received, closes the store, and ends
    /// every connection.
    pub(crate) async fn shutdown(mut self) -> anyhow::Result<()> {
        // Before the collector, so that its goodbye is heard.
        self.stop_demo.send_replace(true);
        if let Some(demo) = &self.demo {
            demo.ended().await;
        }
        while let Some(ended) = self.attached.join_next().await {
            note_bridge(ended);
        }
        self.collector.stop();
        self.stop.send_replace(true);
        let stored = self.keeper.await.context("the collector crashed")?;
        self.judging.await.context("the judge of findings crashed")?;
        self.accepting.await.context("the listener crashed")?;
        stored.context("close the database").or_exit(Exit::Storage)
    }
}

/// One that crashed takes nothing else with it.
fn note_bridge(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a bridge to a program crashed, the program is recorded no more");
    }
}

fn check_exposure(listen: SocketAddr, has_token: bool) -> anyhow::Result<()> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    if !has_token {
        return Err(anyhow!(
            "--listen {listen} is reachable from other machines, and anybody there could read everything; \
             set a token with --token-file or LOOPD_TOKEN, or listen on 127.0.0.1"
        ))
        .or_exit(Exit::Usage);
    }
    tracing::warn!(%listen, "traffic is not encrypted, put a TLS proxy in front");
    Ok(())
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let result = match TcpListener::bind(addr).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(anyhow!(
            "cannot listen on {addr}: another program does, perhaps another `loopd serve`; \
             stop that one or choose another --listen"
        )),
        other => other.with_context(|| format!("cannot listen on {addr}")),
    };
    result.or_exit(Exit::Connect)
}

/// The processes that were live when the store was last closed. They may still be.
async fn live_before(reader: &Reader) -> Result<Vec<ProcessRow>, StoreError> {
    reader.live_processes().await
}

fn server_status(collector: &CollectorHandle) -> ServerStatus {
    let status = collector.status();
    ServerStatus {
        sessions: status.sessions,
        disconnected: status.ended_sessions.saturating_sub(status.goodbyes),
        refused: status.refused,
        unwritable_since: status.failure.as_ref().map(|failure| failure.since),
        unwritable: status.failure.map(|failure| failure.reason),
        commits: status.commits,
        queued_bytes: status.queued_bytes,
    }
}

const _: () = assert!(
    loopd_collector::CLOCK_STEP == loopd_dashboard::views::clock::CLOCK_STEP,
    "pages are told of another step"
);

fn clock_reading(reading: loopd_collector::ClockReading) -> ClockReading {
    ClockReading {
        at: reading.at.into(),
        least_delay: reading.least_delay,
        drift: reading.drift,
        batches: reading.batches,
    }
}

fn change_error(error: loopd_collector::ChangeError) -> ChangeError {
    match error {
        loopd_collector::ChangeError::Stopping => ChangeError::Stopping,
        loopd_collector::ChangeError::Store(error) => ChangeError::Store(error),
    }
}

fn dump_error(error: loopd_collector::DumpError) -> DumpError {
    match error {
        loopd_collector::DumpError::Stopping => DumpError::Stopping,
        loopd_collector::DumpError::NotConnected { process } => DumpError::NotConnected { process },
        loopd_collector::DumpError::Store(error) => DumpError::Store(error),
    }
}

fn mute_error(error: loopd_collector::MuteError) -> MuteError {
    match error {
        loopd_collector::MuteError::Stopping => MuteError::Stopping,
        loopd_collector::MuteError::TooMany { limit } => MuteError::TooMany { limit },
        loopd_collector::MuteError::Store(error) => MuteError::Store(error),
    }
}

fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
