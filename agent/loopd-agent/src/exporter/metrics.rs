//! Readings of runtimes. All names of readings are listed in `event.proto`, message `Metric`.

use loopd_model::{Metric, WorkerId};
use tokio::runtime::RuntimeMetrics;

/// Workers listed one by one; a runtime with more is summed up only.
const MAX_WORKERS: usize = 256;

/// What a runtime says about itself now.
pub(crate) fn of_runtime(metrics: &RuntimeMetrics) -> Vec<Metric> {
    let mut readings = vec![
        whole("alive_tasks", metrics.num_alive_tasks() as f64),
        whole("global_queue_depth", metrics.global_queue_depth() as f64),
    ];
    #[cfg(tokio_unstable)]
    readings.extend([
        whole("spawned_tasks", metrics.spawned_tasks_count() as f64),
        whole("blocking_threads", metrics.num_blocking_threads() as f64),
        whole("idle_blocking_threads", metrics.num_idle_blocking_threads() as f64),
        whole("blocking_queue_depth", metrics.blocking_queue_depth() as f64),
    ]);
    #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
    readings.extend([
        whole("remote_schedules", metrics.remote_schedule_count() as f64),
        whole("budget_forced_yields", metrics.budget_forced_yield_count() as f64),
        whole("io_ready_events", metrics.io_driver_ready_count() as f64),
    ]);
    for worker in 0..metrics.num_workers().min(MAX_WORKERS) {
        #[cfg(target_has_atomic = "64")]
        readings.extend([
            of(
                worker,
                "worker_busy_nanos",
                metrics.worker_total_busy_duration(worker).as_nanos() as f64,
            ),
            of(worker, "worker_parks", metrics.worker_park_count(worker) as f64),
        ]);
        #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
        readings.extend([
            of(worker, "worker_polls", metrics.worker_poll_count(worker) as f64),
            of(worker, "worker_steals", metrics.worker_steal_count(worker) as f64),
            of(worker, "worker_overflows", metrics.worker_overflow_count(worker) as f64),
            of(
                worker,
                "worker_local_schedules",
                metrics.worker_local_schedule_count(worker) as f64,
            ),
            of(
                worker,
                "worker_mean_poll_nanos",
                metrics.worker_mean_poll_time(worker).as_nanos() as f64,
            ),
        ]);
        #[cfg(tokio_unstable)]
        readings.push(of(
            worker,
            "worker_queue_depth",
            metrics.worker_local_queue_depth(worker) as f64,
        ));
    }
    readings
}

/// A reading that belongs to no worker.
pub(crate) fn whole(name: &str, value: f64) -> Metric {
    Metric { name: name.to_owned(), worker: None, value }
}

fn of(worker: usize, name: &str, value: f64) -> Metric {
    Metric { name: name.to_owned(), worker: u32::try_from(worker).ok().map(WorkerId), value }
}
