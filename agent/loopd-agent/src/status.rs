//! What the program, the exporter and the watchdog share about the agent itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use loopd_model::{Coverage, DropCause, RecordKind};

/// What the agent knows about itself, for tests and doctors. All counts are since the start.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether anything is recorded now.
    pub is_recording: bool,
    /// Whether a collector has welcomed this process and the connection stands.
    pub connected: bool,
    /// Every batch up to this number is on the collector's disk.
    pub durable_seq: u64,
    /// Records produced, by kind; kinds with none are left out. Lags behind by one drain interval.
    pub produced: Vec<(RecordKind, u64)>,
    /// Records lost inside the agent, by kind and cause.
    pub dropped: Vec<(RecordKind, DropCause, u64)>,
    /// Records in batches that the collector has not acknowledged, by kind.
    pub in_flight: Vec<(RecordKind, u64)>,
    /// Records taken out of unacknowledged batches because the window was full.
    pub evicted: u64,
    /// Resources that were opened and are recorded, but whose state is not sampled, because too many
    /// were open at once. Since the start.
    pub unsampled_resources: u64,
    /// Bytes the agent holds: rings, unacknowledged batches, tables.
    pub memory: usize,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
    /// Why the last connection ended or could not be made; empty if none has.
    pub last_error: String,
    /// Why the agent could not start; empty if it did or was never asked to.
    pub start_error: String,
}

/// What became of a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Everything recorded is on the collector's disk, or was counted as lost there.
    pub complete: bool,
    /// Records that the collector has not acknowledged.
    pub unsent: u64,
}

/// See the module.
pub(crate) struct Status {
    /// From which length in nanoseconds a poll is slow.
    pub(crate) slow_threshold: AtomicU64,
    /// Whether stacks of long polls are taken.
    pub(crate) sample_stacks: AtomicBool,
    /// Stacks that the watchdog is taking or naming, so that a shutdown can wait for them.
    pub(crate) samples_underway: AtomicU64,
    stats: Mutex<Stats>,
    shutdown: Mutex<Shutdown>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Shutdown {
    deadline: Option<Instant>,
    flushed: Option<Flushed>,
}

impl Status {
    pub(crate) const fn new() -> Self {
        Self {
            slow_threshold: AtomicU64::new(100_000_000),
            sample_stacks: AtomicBool::new(false),
            samples_underway: AtomicU64::new(0),
            stats: Mutex::new(Stats {
                is_recording: false,
                connected: false,
                durable_seq: 0,
                produced: Vec::new(),
                dropped: Vec::new(),
                in_flight: Vec::new(),
                evicted: 0,
                unsampled_resources: 0,
                memory: 0,
                coverage: Vec::new(),
                last_error: String::new(),
                start_error: String::new(),
            }),
            shutdown: Mutex::new(Shutdown { deadline: None, flushed: None }),
            changed: Condvar::new(),
        }
    }

    /// The slow threshold.
    pub(crate) fn slow_threshold(&self) -> u64 {
        self.slow_threshold.load(Relaxed)
    }

    /// Whether stacks of long polls are taken.
    pub(crate) fn samples_stacks(&self) -> bool {
        self.sample_stacks.load(Relaxed)
    }

    /// A copy of the figures.
    pub(crate) fn stats(&self) -> Stats {
        let stats = self.stats.lock().map(|stats| stats.clone()).unwrap_or_default();
        Stats { unsampled_resources: crate::resource::unsampled(), ..stats }
    }

    /// Changes the figures.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Stats)) {
        if let Ok(mut stats) = self.stats.lock() {
            change(&mut stats);
        }
    }

    /// Asks the exporter and the watchdog to end; the first deadline counts.
    pub(crate) fn ask_shutdown(&self, deadline: Instant) {
        if let Ok(mut shutdown) = self.shutdown.lock() {
            shutdown.deadline.get_or_insert(deadline);
        }
        self.changed.notify_all();
    }

    /// Until when a shutdown must be over, if one was asked for.
    pub(crate) fn shutdown_deadline(&self) -> Option<Instant> {
        self.shutdown.lock().ok()?.deadline
    }

    /// The exporter is done.
    pub(crate) fn finish(&self, flushed: Flushed) {
        if let Ok(mut shutdown) = self.shutdown.lock() {
            shutdown.flushed = Some(flushed);
        }
        self.changed.notify_all();
    }

    /// Waits for the exporter to be done, at most until `deadline`.
    pub(crate) fn wait_finished(&self, deadline: Instant) -> Option<Flushed> {
        let mut shutdown = self.shutdown.lock().ok()?;
        loop {
            if shutdown.flushed.is_some() {
                return shutdown.flushed;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            shutdown = self.changed.wait_timeout(shutdown, left).ok()?.0;
        }
    }

    /// Sleeps, but no longer than until a shutdown is asked for; says whether it was.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let Ok(shutdown) = self.shutdown.lock() else { return true };
        if shutdown.deadline.is_some() {
            return true;
        }
        let waited = self.changed.wait_timeout(shutdown, time);
        waited.map_or(true, |(shutdown, _)| shutdown.deadline.is_some())
    }
}
