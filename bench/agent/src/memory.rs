//! What memory has become after very many tasks that have all ended.

use std::time::Duration;

use crate::cases::{TASKS_IN_GROUP, builder, spawn_groups};
use crate::cpu::Reading;
use crate::job::{Cost, Job, Memory, Result};
use crate::variant::Recorder;

/// Groups between two pauses.
const GROUPS: usize = 40;

pub(crate) fn run<R: Recorder>(recorder: &R, job: &Job) -> Result<Cost> {
    let runtime = recorder.build(builder(job.workers))?;
    let burst = || {
        // From inside a task, as programs do.
        _ = runtime.block_on(async { R::spawn(spawn_groups::<R>(GROUPS)).await });
        std::thread::sleep(Duration::from_millis(job.pause));
    };
    burst();
    let rss_before = status("VmRSS:");
    let before = Reading::now();
    let bursts = job.bursts.div_ceil(GROUPS * TASKS_IN_GROUP);
    (0..bursts).for_each(|_| burst());
    let mut cost = before.cost((bursts * GROUPS * TASKS_IN_GROUP) as u64);
    let (rss_after, rss_peak) = (status("VmRSS:"), status("VmHWM:"));
    cost.memory = Some(Memory { rss_before, rss_after, rss_peak });
    Ok(cost)
}

/// A figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}
