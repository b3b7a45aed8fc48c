//! Readings over a range.

use loopd_analysis::findings::{Facts, Series};
use rusqlite::Connection;

use super::Range;
use crate::reader::{Reader, metrics};
use crate::{MetricSeries, StoreError};

/// What agents read and rules may ask for; the list in `event.proto` says what each is.
const NAMES: [&str; 42] = [
    // Of a loop.
    "alive_tasks",
    "spawned_tasks",
    "global_queue_depth",
    "blocking_threads",
    "idle_blocking_threads",
    "blocking_queue_depth",
    "remote_schedules",
    "budget_forced_yields",
    "io_ready_events",
    "turns",
    "ready_callbacks",
    // Of a worker.
    "worker_busy_nanos",
    "worker_parks",
    "worker_polls",
    "worker_queue_depth",
    "worker_steals",
    "worker_overflows",
    "worker_local_schedules",
    "worker_mean_poll_nanos",
    // Of the process.
    "rss_bytes",
    "open_fds",
    "max_fds",
    "cpu_nanos",
    "threads",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
    "run_queue_wait_nanos",
    "cgroup_throttled_nanos",
    "cgroup_throttled_periods",
    "gil_probes",
    "gil_wait_nanos",
    "gc_collections",
    "gc_pause_nanos",
    // Of the agent.
    "agent_faults",
    "agent_memory_bytes",
    "agent_cpu_nanos",
    "agent_sent_bytes",
    "agent_produced_records",
    "agent_dropped_records",
    "untracked_fds",
    "fds_without_stack",
];

impl Reader {
    pub(super) async fn add_metrics(
        &self,
        range: Range,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let read = move |db: &Connection| {
            let steps = metrics::Steps::new(range.from, range.end(), Facts::POINTS);
            let read = |name: &&str| {
                let found = metrics::read(db, range.process.0, name, steps)?;
                Ok(((*name).to_owned(), found.into_iter().map(series).collect::<Vec<_>>()))
            };
            NAMES.iter().map(read).collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = self.raw.ask(read).await.map_err(StoreError::sqlite("read metrics"))?;
        facts.metrics = found.into_iter().filter(|(_, series)| !series.is_empty()).collect();
        Ok(())
    }
}

fn series(series: MetricSeries) -> Series {
    Series { loop_id: series.loop_id, worker: series.worker, values: series.values }
}
