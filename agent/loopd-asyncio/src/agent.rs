//! Starting, stopping and asking the agent, from Python.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use loopd_agent::embed::{self, Embedded};
use loopd_agent::{Agent, Config, StartError};
use loopd_model::{Coverage, CoverageState};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{peek, places, side, watch, world};

static AGENT: Mutex<Option<Agent>> = Mutex::new(None);
/// Whether this process was forked from one with an agent, and has run no loop of its own yet.
static IS_FORKED: AtomicBool = AtomicBool::new(false);
/// The slow threshold that was configured.
pub(crate) static SLOW_NANOS: AtomicU64 = AtomicU64::new(0);
static RESTART: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// A loop is about to run: in a forked child the agent starts now.
#[inline(always)]
pub(crate) fn loop_is_about_to_run() {
    if IS_FORKED.load(Relaxed) {
        restart();
    }
}

#[cold]
fn restart() {
    if !IS_FORKED.swap(false, Relaxed) {
        return;
    }
    Python::attach(|py| {
        let restart = match RESTART.try_lock() {
            Ok(restart) => restart.as_ref().map(|restart| restart.clone_ref(py)),
            Err(_) => None,
        };
        // The package counts its own failures and raises none.
        drop(restart.map(|restart| restart.call0(py)));
    });
}

/// Called in a child that was just forked: nothing of the parent's agent works here.
#[pyfunction]
pub(crate) fn after_fork(plumbing: Vec<String>) {
    embed::renew_in_child();
    peek::forget();
    side::forget_parent();
    world::start();
    crate::waits::start_over();
    crate::sockets::start();
    crate::transports::start();
    places::start(plumbing);
    if let Ok(mut agent) = AGENT.try_lock() {
        // Its threads are the parent's: there is nothing to stop.
        std::mem::forget(agent.take());
    }
    IS_FORKED.store(true, Relaxed);
}

/// What is called when a forked child runs a loop.
#[pyfunction]
pub(crate) fn on_restart(restart: Py<PyAny>) {
    if let Ok(mut known) = RESTART.try_lock() {
        *known = Some(restart);
    }
}

fn coverage_of((layer, is_on, reason): (String, bool, String)) -> Coverage {
    let state = if is_on { CoverageState::On } else { CoverageState::Unavailable };
    Coverage { layer, state, reason }
}

/// Starts recording. Settings that are absent come from the environment, else they have their
/// defaults. Each layer of coverage is a name, whether it works, and why not.
#[pyfunction]
pub(crate) fn start(
    settings: &Bound<'_, PyDict>,
    coverage: Vec<(String, bool, String)>,
    plumbing: Vec<String>,
    answer: Py<PyAny>,
) -> PyResult<()> {
    let config = config(settings)?;
    let embedded = Embedded {
        agent: "loopd",
        sampler: Some(watch::stack_of),
        coverage: coverage.into_iter().map(coverage_of).collect(),
    };
    places::start(plumbing);
    world::start();
    crate::waits::start_over();
    crate::sockets::start();
    crate::transports::start();
    let agent = embed::start(config, embedded).map_err(to_value_error)?;
    if let Ok(mut running) = AGENT.try_lock() {
        *running = Some(agent);
    }
    IS_FORKED.store(false, Relaxed);
    SLOW_NANOS.store(embed::slow_threshold(), Relaxed);
    if embed::is_recording() {
        side::start(answer);
    }
    Ok(())
}

fn to_value_error(error: StartError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn config(settings: &Bound<'_, PyDict>) -> PyResult<Config> {
    fn get<'py, T: for<'a> FromPyObject<'a, 'py>>(
        settings: &Bound<'py, PyDict>,
        name: &str,
    ) -> PyResult<Option<T>> {
        match settings.get_item(name)? {
            Some(value) if !value.is_none() => {
                let extracted = value.extract::<T>();
                let error = |_| PyValueError::new_err(format!("{name} cannot be {value}"));
                extracted.map(Some).map_err(error)
            }
            _ => Ok(None),
        }
    }
    let mut config = Config::from_env();
    if let Some(endpoint) = get::<String>(settings, "endpoint")? {
        config = config.endpoint(endpoint);
    }
    if let Some(app) = get::<String>(settings, "app")? {
        config = config.app(app);
    }
    if let Some(version) = get::<String>(settings, "app_version")? {
        config = config.app_version(version);
    }
    if let Some(token) = get::<String>(settings, "token")? {
        config = config.token(token);
    }
    if let Some(labels) = get::<std::collections::BTreeMap<String, String>>(settings, "labels")? {
        for (key, value) in labels {
            config = config.label(key, value);
        }
    }
    if let Some(seconds) = get::<f64>(settings, "slow_threshold")? {
        let threshold = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("slow_threshold cannot be {seconds}")))?;
        config = config.slow_threshold(threshold);
    }
    if let Some(bytes) = get::<usize>(settings, "memory_limit")? {
        config = config.memory_limit(bytes);
    }
    if let Some(is_on) = get::<bool>(settings, "record_polls")? {
        config = config.record_polls(is_on);
    }
    if let Some(is_on) = get::<bool>(settings, "record_wakes")? {
        config = config.record_wakes(is_on);
    }
    if let Some(is_on) = get::<bool>(settings, "record_waits")? {
        config = config.record_waits(is_on);
    }
    if let Some(is_on) = get::<bool>(settings, "sample_stacks")? {
        config = config.sample_stacks(is_on);
    }
    if let Some(seconds) = get::<f64>(settings, "exit_timeout")? {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("exit_timeout cannot be {seconds}")))?;
        config = config.exit_timeout(time);
    }
    if let Some(is_on) = get::<bool>(settings, "enabled")? {
        config = config.enabled(is_on);
    }
    Ok(config)
}

/// Stops recording and sends what is left, for at most so many seconds, or as many as were configured;
/// whether all of it arrived, and how many records did not.
#[pyfunction]
pub(crate) fn stop(py: Python<'_>, seconds: Option<f64>) -> (bool, u64) {
    let agent = AGENT.lock().ok().and_then(|mut agent| agent.take());
    let deadline = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    side::stop(py);
    // Others may run Python code meanwhile.
    let flushed = py.detach(|| {
        agent.map(|agent| {
            let deadline = deadline.unwrap_or(agent.exit_timeout());
            agent.shutdown(deadline)
        })
    });
    flushed.map_or((true, 0), |flushed| (flushed.complete, flushed.unsent))
}

/// Records nothing until [`resume`].
#[pyfunction]
pub(crate) fn pause() {
    embed::pause();
}

/// Records again.
#[pyfunction]
pub(crate) fn resume() {
    if embed::is_recording() {
        return;
    }
    embed::resume();
    if embed::is_recording() {
        world::forget();
        crate::waits::start_over();
        crate::transports::resume();
    }
}

/// Whether anything is recorded now.
#[pyfunction]
pub(crate) fn is_recording() -> bool {
    embed::is_recording()
}

/// From now on the frames of these folders are passed over.
#[pyfunction]
pub(crate) fn set_plumbing(plumbing: Vec<String>) {
    places::set_plumbing(plumbing);
}

/// What is to be said of a layer from now on.
#[pyfunction]
pub(crate) fn set_coverage(layer: String, is_on: bool, reason: String) {
    embed::set_coverage(coverage_of((layer, is_on, reason)));
}

/// Threads of the agent's own that run now.
#[pyfunction]
pub(crate) fn own_threads() -> usize {
    embed::own_threads()
}

/// How the agent is doing.
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = loopd_agent::stats();
    let dict = PyDict::new(py);
    let counts = |counts: &[(loopd_model::RecordKind, u64)]| -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        for (kind, count) in counts {
            dict.set_item(kind.as_str(), count)?;
        }
        Ok(dict)
    };
    dict.set_item("is_recording", stats.is_recording)?;
    dict.set_item("connected", stats.connected)?;
    dict.set_item("durable_seq", stats.durable_seq)?;
    dict.set_item("produced", counts(&stats.produced)?)?;
    dict.set_item("in_flight", counts(&stats.in_flight)?)?;
    let dropped: Vec<_> = stats
        .dropped
        .iter()
        .map(|(kind, cause, count)| (kind.as_str(), cause.as_str(), *count))
        .collect();
    dict.set_item("dropped", dropped)?;
    dict.set_item("evicted", stats.evicted)?;
    dict.set_item("memory_bytes", stats.memory)?;
    let coverage: Vec<_> = stats
        .coverage
        .iter()
        .map(|layer| {
            let is_on = layer.state == CoverageState::On;
            (layer.layer.as_str(), is_on, layer.reason.as_str())
        })
        .collect();
    dict.set_item("coverage", coverage)?;
    dict.set_item("faults", embed::GAUGES.agent_faults.load(Relaxed))?;
    dict.set_item("last_error", stats.last_error)?;
    dict.set_item("start_error", stats.start_error)?;
    Ok(dict)
}
