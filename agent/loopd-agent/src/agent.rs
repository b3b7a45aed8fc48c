//! Starting and stopping.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loopd_model::{Process, ProcessId};
use tokio::runtime::Builder;

use crate::clock::{self, Origin};
use crate::config::{Config, StartError};
use crate::exporter::wakeup::Wakeup;
use crate::exporter::{self, Setup, Target};
use crate::recorder::{self, Recorder, RingSizes};
use crate::renewable::Renewable;
use crate::runtime::RuntimeBuilder;
use crate::status::{Flushed, Stats, Status};
use crate::{cost, coverage, fds, fork, layer, resource, settings, sys, watch};

/// As good as none, and yet an instant that every clock can tell.
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Texts about the process are cut here.
const MAX_TEXT: usize = loopd_wire::MAX_TEXT_BYTES;

pub(crate) static STATUS: Renewable<Status> = Renewable::new(Status::new);
static IS_STARTED: AtomicBool = AtomicBool::new(false);
/// The process that started the agent: a forked child must not wait for threads it does not have.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// The running agent. Dropping it sends what is left, for at most [`Config::exit_timeout`], half a second by
/// default; then nothing is recorded any more.
#[derive(Debug)]
#[must_use = "dropping the agent ends the recording"]
pub struct Agent {
    is_running: bool,
    exit_timeout: Duration,
}

/// How the agent is doing.
pub fn stats() -> Stats {
    STATUS.stats()
}

impl Agent {
    /// An agent that does nothing.
    pub(crate) fn disabled() -> Self {
        Self { is_running: false, exit_timeout: Duration::ZERO }
    }

    /// As long as dropping it may take.
    pub fn exit_timeout(&self) -> Duration {
        self.exit_timeout
    }

    /// Puts a runtime under watch: give the builder here before building. `name` is what people
    /// call this runtime.
    pub fn attach(&self, name: &str, builder: Builder) -> RuntimeBuilder {
        RuntimeBuilder::new(name, builder, self.is_running)
    }

    /// Stops recording and sends what is left. Returns at the deadline at the latest, whatever
    /// state the collector is in. Blocks the calling thread.
    pub fn shutdown(mut self, deadline: Duration) -> Flushed {
        self.stop(deadline)
    }

    fn stop(&mut self, time: Duration) -> Flushed {
        if !std::mem::take(&mut self.is_running) {
            return Flushed { complete: true, unsent: 0 };
        }
        recorder::set_recording(false);
        if OWNER.load(Relaxed) != std::process::id() {
            return Flushed::default();
        }
        let deadline = Instant::now() + time.min(LONGEST_DEADLINE);
        STATUS.ask_shutdown(deadline);
        if let Some(recorder) = recorder::get() {
            recorder.wakeup().wake();
        }
        let flushed = STATUS.wait_finished(deadline);
        STATUS.update(|stats| {
            stats.is_recording = false;
            stats.connected = false;
        });
        flushed.unwrap_or_else(|| {
            let unsent = STATUS.stats().in_flight.iter().map(|(_, count)| count).sum();
            Flushed { complete: false, unsent }
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop(self.exit_timeout);
    }
}

/// Starts the agent; an error is also kept for [`stats`].
pub(crate) fn start(config: Config) -> Result<Agent, StartError> {
    let started = try_start(config);
    if let Err(error) = &started {
        STATUS.update(|stats| stats.start_error = error.to_string());
    }
    started
}

fn try_start(config: Config) -> Result<Agent, StartError> {
    if !config.is_enabled {
        return Ok(Agent::disabled());
    }
    let checked = config.check()?;
    if IS_STARTED.swap(true, Relaxed) {
        return Err(StartError::AlreadyStarted);
    }
    clock::init();
    let origin = Origin::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let sizes = match &config.embedded {
        Some(_) => RingSizes::of_few_loops(config.memory_limit),
        None => RingSizes::within(config.memory_limit, workers),
    };
    // An embedded agent that has been stopped left its rings behind.
    let recorder = match recorder::get() {
        Some(recorder) if config.embedded.is_some() => recorder,
        _ => Recorder::install(sizes, Wakeup::new()).ok_or(StartError::AlreadyStarted)?,
    };
    recorder.start_over();
    STATUS.slow_threshold.store(config.slow_threshold.as_nanos() as u64, Relaxed);
    STATUS.sample_stacks.store(config.sample_stacks, Relaxed);
    OWNER.store(std::process::id(), Relaxed);
    recorder::set_record_polls(config.record_polls);
    recorder::set_record_wakes(config.record_wakes);
    recorder::set_record_waits(config.record_waits);
    fork::prepare();
    fds::set_memory_limit(config.memory_limit);
    fds::set_tracking(config.track_fds);

    match (config.tracing, config.may_trace) {
        (true, true) => layer::install(),
        (true, false) => layer::forbid(),
        (false, _) => {}
    }
    layer::configure(config.memory_limit, config.tracing_filter.as_deref());
    let sampler = config.embedded.as_ref().and_then(|embedded| embedded.sampler);
    coverage::set_embedded(config.embedded.is_some());
    for layer in config.coverage(watch::start(recorder, STATUS.get(), origin, sampler)) {
        coverage::set(layer);
    }
    let configured = settings::in_force(STATUS.get());
    let coverage = coverage::now(&configured);
    STATUS.update(|stats| stats.coverage.clone_from(&coverage));
    let setup = Setup {
        recorder,
        status: STATUS.get(),
        process: describe(&config, &origin, coverage),
        configured,
        origin,
        target: Target::new(checked.endpoint, checked.token),
        memory_limit: config.memory_limit,
    };
    recorder::set_recording(true);
    STATUS.update(|stats| stats.is_recording = true);
    spawn_thread("loopd-export", move || exporter::run(setup)).inspect_err(|_| {
        recorder::set_recording(false);
        STATUS.ask_shutdown(Instant::now());
    })?;
    Ok(Agent { is_running: true, exit_timeout: config.exit_timeout })
}

/// Whether an agent that was started has since been stopped, so that another may start; one that is being
/// stopped is waited for so long.
pub(crate) fn has_ended(patience: Duration) -> bool {
    let status = STATUS.get();
    status.shutdown_deadline().is_some()
        && status.wait_finished(Instant::now() + patience).is_some()
}

/// Lets another agent start, as if there had been none.
pub(crate) fn start_over() {
    STATUS.renew();
    coverage::renew();
    fds::renew();
    resource::renew();
    IS_STARTED.store(false, Relaxed);
}

/// A thread of our own, deaf to the program's signals.
pub(crate) fn spawn_thread(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), StartError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    cost::thread_is_asked_for();
    let thread = sys::with_signals_blocked(|| {
        builder.spawn(move || {
            // By construction nothing here panics; should it, the program must not notice more
            // than that its recording ends.
            cost::thread_began();
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            cost::thread_ended();
            cost::thread_is_gone();
            if ended.is_err() {
                recorder::set_recording(false);
                STATUS.update(|stats| stats.last_error = format!("thread {name} panicked"));
                STATUS.finish(Flushed::default());
            }
        })
    });
    thread.map(drop).map_err(|error| {
        cost::thread_is_gone();
        StartError::Thread { name, reason: error.to_string() }
    })
}

fn describe(config: &Config, origin: &Origin, coverage: Vec<loopd_model::Coverage>) -> Process {
    let cut = |text: &str| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
    let mut labels: Vec<_> =
        config.labels.iter().map(|(key, value)| (cut(key), cut(value))).collect();
    labels.sort();
    Process {
        id: ProcessId(*uuid::Uuid::new_v4().as_bytes()),
        app: cut(&config.app.clone().unwrap_or_else(executable_name)),
        app_version: cut(&config.app_version),
        host: cut(&sys::host_name()),
        pid: std::process::id(),
        labels,
        agent: config.embedded.as_ref().map_or("loopd-agent", |embedded| embedded.agent).to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        anchor: origin.anchor(),
        coverage,
        slow_threshold: config.slow_threshold.as_nanos() as u64,
    }
}

fn executable_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_stem()
        .map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}
