//! Readings of runtimes and of the process. Names are listed in `event.proto`, message `Metric`.

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
        whole("blocking_queue_depth", metrics.blocking_queue_depth() as f64),
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
        #[cfg(tokio_unstable)]
        readings.extend([
            of(worker, "worker_polls", metrics.worker_poll_count(worker) as f64),
            of(worker, "worker_queue_depth", metrics.worker_local_queue_depth(worker) as f64),
        ]);
    }
    readings
}

/// What the operating system says about the process now, and what the agent holds.
pub(crate) fn of_process(agent_memory: usize) -> Vec<Metric> {
    let mut readings = vec![whole("agent_memory_bytes", agent_memory as f64)];
    if let Some(rss) = rss_bytes() {
        readings.push(whole("rss_bytes", rss));
    }
    if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
        // The listing itself holds one.
        readings.push(whole("open_fds", fds.count().saturating_sub(1) as f64));
    }
    if let Some(nanos) = crate::sys::cpu_nanos() {
        readings.push(whole("cpu_nanos", nanos as f64));
    }
    readings
}

fn rss_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some((pages * crate::sys::page_size()) as f64)
}

fn whole(name: &str, value: f64) -> Metric {
    Metric { name: name.to_owned(), worker: None, value }
}

fn of(worker: usize, name: &str, value: f64) -> Metric {
    Metric { name: name.to_owned(), worker: u32::try_from(worker).ok().map(WorkerId), value }
}
