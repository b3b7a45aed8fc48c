//! Serves the past to `tokio-console`, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use loopd_console::serve::{Console, ROUTE, ReplayRange};
use loopd_store::Reader;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accept::Acceptor;
use super::guard::{Guard, Token};
use super::{DRAIN_TIME, check_exposure, listen};
use crate::exit::{Exit, OrExit};

/// A replay that is served.
#[derive(Debug)]
pub(crate) struct RunningReplay {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Listens, and serves until [`RunningReplay::shutdown`].
pub(crate) async fn start(
    at: SocketAddr,
    token: Option<Token>,
    reader: Reader,
    range: ReplayRange,
) -> anyhow::Result<RunningReplay> {
    check_exposure(at, token.is_some())?;
    let listener = listen(at).await?;
    let addr = listener.local_addr().context("ask for the port").or_exit(Exit::Connect)?;
    let (stop, stopped) = watch::channel(false);
    let console = Console::replay(reader, range, stopped.clone());
    let router = Router::new().route_service(ROUTE, console.routes());
    let guard = Arc::new(Guard::new(addr, Vec::new(), token));
    let acceptor = Acceptor { listener, router, guard, stopped };
    let accepting = tokio::spawn(acceptor.run(DRAIN_TIME));
    Ok(RunningReplay { addr, stop, accepting })
}

impl RunningReplay {
    /// Takes no more connections, and ends every one.
    pub(crate) async fn shutdown(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.accepting.await.context("the listener crashed")
    }
}
