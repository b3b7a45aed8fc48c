//! What the package's Python code tells: resources, executor jobs, marks, pauses of the collector of
//! garbage. Each function does nothing while nothing is recorded, and never raises.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use loopd_agent::embed::{self, Spawn, ticks};
use loopd_model::{CloseHow, MarkLevel, Outcome, TaskKind};
use pyo3::prelude::*;

use crate::guard::safely;
use crate::places;
use crate::world::{self, WORLD};

/// Collections that took less are only counted.
const LEAST_PAUSE_NANOS: u64 = 1_000_000;

/// A resource was opened, by the nearest code of the program's own; its number, 0 if it is not told.
#[pyfunction]
pub(crate) fn opened(kind: &str, name: &str) -> u64 {
    if !embed::is_recording() {
        return 0;
    }
    safely(|| {
        // SAFETY: called from Python code.
        let place = unsafe { places::caller() };
        embed::opened(kind, name, place, embed::current_task())
    })
}

/// It was closed: `closed`, `dropped`, or `unclosed` where it should have been.
#[pyfunction]
pub(crate) fn closed(resource: u64, how: &str) {
    if resource == 0 || !embed::is_recording() {
        return;
    }
    let how = match how {
        "unclosed" => CloseHow::Unclosed,
        "dropped" => CloseHow::Dropped,
        _ => CloseHow::Closed,
    };
    safely(|| embed::closed(resource, how));
}

/// Marks this instant, in the running task, at the nearest code of the program's own or at a given file
/// and line.
#[pyfunction]
#[pyo3(signature = (level, target, message, fields, file=None, line=0))]
pub(crate) fn mark(
    level: &str,
    target: &str,
    message: &str,
    fields: Vec<(String, String)>,
    file: Option<&str>,
    line: u32,
) {
    if !embed::is_recording() {
        return;
    }
    let level = level_of(level);
    safely(|| {
        let place = match file {
            Some(file) => embed::place_of(file, line),
            // SAFETY: called from Python code.
            None => unsafe { places::caller() },
        };
        embed::mark(level, target, message, (embed::current_task(), place), fields);
    });
}

fn level_of(level: &str) -> MarkLevel {
    match level {
        "error" => MarkLevel::Error,
        "warn" => MarkLevel::Warn,
        "info" => MarkLevel::Info,
        _ => MarkLevel::None,
    }
}

/// A job was given to an executor; its number, 0 if it is not told.
#[pyfunction]
pub(crate) fn job_queued(name: &str) -> u64 {
    if !embed::is_recording() {
        return 0;
    }
    safely(|| {
        // SAFETY: called from Python code.
        let place = unsafe { places::caller() };
        let task = WORLD.with(|world| world.next_task()).unwrap_or(0);
        if task != 0 {
            let (at, label) = (ticks(), embed::label(name));
            let (parent, kind) = (embed::current_task(), TaskKind::Blocking);
            let loop_id = WORLD.with(|world| world.running_loop()).flatten().unwrap_or(0);
            embed::spawned(Spawn { at, task, loop_id, place, parent, kind, label });
        }
        task
    })
}

/// It began to run.
#[pyfunction]
pub(crate) fn job_started(task: u64) {
    if task != 0 && embed::is_recording() {
        safely(|| embed::blocking_started(task));
    }
}

/// It ended: `completed`, `raised` or `cancelled`.
#[pyfunction]
pub(crate) fn job_ended(task: u64, outcome: &str) {
    if task != 0 && embed::is_recording() {
        let outcome = match outcome {
            "raised" => Outcome::Raised,
            "cancelled" => Outcome::Cancelled,
            _ => Outcome::Completed,
        };
        safely(|| embed::ended(task, outcome));
    }
}

/// What there is to say about a task.
#[pyfunction]
pub(crate) fn task_fields(task: &Bound<'_, PyAny>, fields: Vec<(String, String)>) {
    if embed::is_recording() {
        safely(|| {
            if let Some(id) = world::number_of(task.as_ptr()) {
                embed::task_fields(id, fields);
            }
        });
    }
}

/// The number of a task; `None` if it is not known.
#[pyfunction]
pub(crate) fn task_number(task: &Bound<'_, PyAny>) -> Option<u64> {
    world::number_of(task.as_ptr())
}

/// A loop begins to shut down: what is alive now is what the program left alive.
#[pyfunction]
pub(crate) fn loop_closing(loop_: &Bound<'_, PyAny>) {
    let loop_ = loop_.as_ptr() as usize;
    safely(|| world::begin_closing(loop_));
}

/// A loop was closed.
#[pyfunction]
pub(crate) fn loop_closed(loop_: &Bound<'_, PyAny>) {
    let loop_ = loop_.as_ptr() as usize;
    safely(|| world::close_loop(loop_));
}

thread_local! {
    /// When the running collection began, in ticks and by the system's clock.
    static COLLECTION: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

/// For `gc.callbacks`.
#[pyfunction]
pub(crate) fn on_collection(phase: &str, info: &Bound<'_, PyAny>) {
    if !embed::is_recording() {
        return;
    }
    safely(|| {
        if phase == "start" {
            COLLECTION.set(Some((ticks(), Instant::now())));
            return;
        }
        let Some((since, began)) = COLLECTION.take() else { return };
        let length = began.elapsed().as_nanos() as u64;
        embed::GAUGES.gc_pause_nanos.fetch_add(length, Relaxed);
        embed::GAUGES.gc_collections.fetch_add(1, Relaxed);
        if length >= LEAST_PAUSE_NANOS {
            let text = |key: &str| info.get_item(key).map(|value| value.to_string());
            let field = |key: &str| Some((key.to_owned(), text(key).ok()?));
            let fields = ["generation", "collected", "uncollectable"].into_iter();
            embed::span(
                "garbage collection",
                "python.gc",
                (since, ticks()),
                fields.filter_map(field).collect(),
            );
        }
    });
}

/// Something of the package's Python code failed, and the program was not told.
#[pyfunction]
pub(crate) fn count_fault() {
    embed::GAUGES.agent_faults.fetch_add(1, Relaxed);
}
