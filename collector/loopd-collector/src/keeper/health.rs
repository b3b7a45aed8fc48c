//! Whether the store takes writes, and when to try again if it does not.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::config::RETRY_TIMES;
use crate::status::{Counters, WriteFailure};

/// The store's health, as far as writes have shown. Only a write that works makes it well again.
#[derive(Debug)]
pub(super) struct Health {
    counters: Arc<Counters>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    failure: WriteFailure,
    retry_at: Instant,
    wait: Duration,
}

impl Health {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, trouble: None }
    }

    pub(super) fn worked(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the store takes writes again");
            self.counters.set_failure(None);
        }
    }

    /// Notes a failure, and gives what to tell agents.
    pub(super) fn failed(&mut self, error: &(dyn Error + 'static)) -> Status {
        let reason = chain(error);
        let (since, wait) = match &self.trouble {
            Some(trouble) => (trouble.failure.since, (trouble.wait * 2).min(RETRY_TIMES.1)),
            None => (super::now(), RETRY_TIMES.0),
        };
        tracing::error!(
            reason,
            retry_ms = wait.as_millis() as u64,
            "a write failed, nothing was acked"
        );
        let status = Self::status(&reason);
        let failure = WriteFailure { reason, since };
        self.counters.set_failure(Some(failure.clone()));
        self.trouble = Some(Trouble { failure, retry_at: Instant::now() + wait, wait });
        status
    }

    /// What to tell a new session, while it is too early to try the store again.
    pub(super) fn refusal(&self) -> Option<Status> {
        let trouble = self.trouble.as_ref().filter(|t| t.retry_at > Instant::now())?;
        Some(Self::status(&trouble.failure.reason))
    }

    fn status(reason: &str) -> Status {
        Status::unavailable(format!("loopd cannot write: {reason}"))
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
