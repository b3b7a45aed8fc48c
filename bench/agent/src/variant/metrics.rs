//! tokio-metrics: counts and times per monitor, kept in the process.

use std::sync::LazyLock;

use tokio::task::JoinHandle;
use tokio_metrics::TaskMonitor;

use crate::job::{Job, Result};
use crate::variant::Recorder;

static MONITOR: LazyLock<TaskMonitor> = LazyLock::new(TaskMonitor::new);

pub(crate) struct Metrics;

impl Recorder for Metrics {
    fn start(_: &Job) -> Result<Self> {
        Ok(Self)
    }

    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(MONITOR.instrument(future))
    }
}
