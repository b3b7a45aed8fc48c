//! Starts the example service when a page asks for it, once at a time, and ends it again.
//!
//! One task has the child for as long as it lives and always waits for its end. It stops after
//! [`LENGTH`], when asked to, or with the server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use loopd_dashboard::{Demo, DemoState};
use loopd_model::UnixNanos;
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::demo_catalogue::Program;
use crate::demo_service::{self, Lifeline};
use crate::server::guard::Token;
use crate::server::now;

/// Long enough for slow leaks to show, short enough to be forgotten.
const LENGTH: Duration = Duration::from_secs(180);

/// The demo of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ServerDemo {
    url: String,
    token: Option<Token>,
    shutdown: watch::Receiver<bool>,
    slot: Arc<Mutex<Slot>>,
}

/// What there is of the service.
#[derive(Debug, Default)]
struct Slot {
    running: Option<Running>,
    /// Watches over the latest service; finished once its end was seen.
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Running {
    ends_at: UnixNanos,
    stop: Arc<Notify>,
    is_stopping: bool,
}

impl ServerDemo {
    /// `shutdown` becomes true when the server stops.
    pub(super) fn new(
        addr: SocketAddr,
        token: Option<Token>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self { url: format!("http://{addr}"), token, shutdown, slot: Arc::default() }
    }

    /// Waits until no service is left. Call it once `shutdown` is true.
    pub(super) async fn ended(&self) {
        let keeper = self.slot().keeper.take();
        if let Some(keeper) = keeper {
            // It panics only if a test does.
            let _ = keeper.await;
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_of(slot: &Slot) -> DemoState {
        match &slot.running {
            None => DemoState::Off,
            Some(Running { is_stopping: true, .. }) => DemoState::Stopping,
            Some(Running { ends_at, .. }) => DemoState::Running { ends_at: *ends_at },
        }
    }
}

impl Demo for ServerDemo {
    fn length(&self) -> Duration {
        LENGTH
    }

    fn state(&self) -> DemoState {
        Self::state_of(&self.slot())
    }

    fn start(&self) -> Result<DemoState, String> {
        let mut slot = self.slot();
        // Under the lock that starting takes, so that none is left behind when the server stops.
        if *self.shutdown.borrow() {
            return Err("loopd is stopping, nothing was started".to_owned());
        }
        if slot.running.is_none() {
            let (service, lifeline) =
                demo_service::start(Program::default(), &self.url, self.token.as_ref())
                    .map_err(|error| format!("{error:#}"))?;
            let length = i64::try_from(LENGTH.as_nanos()).unwrap_or(i64::MAX);
            let ends_at = UnixNanos(now().0.saturating_add(length));
            let stop = Arc::new(Notify::new());
            slot.running = Some(Running { ends_at, stop: Arc::clone(&stop), is_stopping: false });
            tracing::info!(pid = service.id(), "demo started");
            slot.keeper = Some(tokio::spawn(self.clone().keep(service, lifeline, stop)));
        }
        Ok(Self::state_of(&slot))
    }

    fn stop(&self) -> DemoState {
        let mut slot = self.slot();
        if let Some(running) = &mut slot.running {
            running.is_stopping = true;
            running.stop.notify_one();
        }
        Self::state_of(&slot)
    }
}

impl ServerDemo {
    /// Has the service until it is no more.
    async fn keep(mut self, mut service: Child, lifeline: Lifeline, stop: Arc<Notify>) {
        let is_over = tokio::select! {
            () = tokio::time::sleep(LENGTH) => false,
            () = stop.notified() => false,
            _ = self.shutdown.wait_for(|is_down| *is_down) => false,
            _ = service.wait() => true,
        };
        if let Some(running) = &mut self.slot().running {
            running.is_stopping = true;
        }
        drop(lifeline);
        let ended = demo_service::goodbye(service).await.context("end the demo");
        match ended {
            Ok(status) if is_over => tracing::warn!(%status, "demo ended by itself"),
            Ok(_) => tracing::info!("demo ended"),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "demo was killed"),
        }
        self.slot().running = None;
    }
}
