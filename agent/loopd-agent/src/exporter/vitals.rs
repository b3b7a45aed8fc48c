//! What the operating system says about the process, once a second.
//!
//! The files under `/proc` are opened anew each time, which costs a few microseconds: kept open they
//! would be numbers that the program may close, as a daemon does, and then use for files of its own.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use loopd_model::Metric;

use crate::exporter::metrics::whole;
use crate::{cost, fds, sys};

/// Threads whose waits for a processor are added up; of a process with more there is no such
/// reading. One thread costs about six microseconds.
const MAX_THREADS: usize = 256;

/// What the agent knows of itself and the system does not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    /// Bytes it holds.
    pub(crate) memory: usize,
    /// Records since the start, also those that were lost.
    pub(crate) produced: u64,
    /// Of these, lost inside the agent.
    pub(crate) dropped: u64,
}

/// Reads the process's vitals; keeps what the next reading needs.
#[derive(Default)]
pub(crate) struct Vitals {
    run_queue: RunQueue,
    cgroup: Option<Cgroup>,
}

impl Vitals {
    /// The readings now.
    pub(crate) fn read(&mut self, own: Own) -> Vec<Metric> {
        let mut readings = vec![
            whole("agent_memory_bytes", own.memory as f64),
            whole("agent_cpu_nanos", cost::cpu_nanos() as f64),
            whole("agent_sent_bytes", cost::sent_bytes() as f64),
            whole("agent_produced_records", own.produced as f64),
            whole("agent_dropped_records", own.dropped as f64),
        ];
        let mut add = |name, value: Option<u64>| {
            readings.extend(value.map(|value| whole(name, value as f64)));
        };
        add("rss_bytes", rss_bytes());
        add("open_fds", open_fds());
        add("max_fds", sys::max_fds());
        add("cpu_nanos", sys::cpu_nanos());
        if let Some(usage) = sys::usage() {
            add("voluntary_switches", Some(usage.voluntary_switches));
            add("involuntary_switches", Some(usage.involuntary_switches));
            add("major_faults", Some(usage.major_faults));
        }
        let threads = threads();
        add("threads", threads.as_ref().map(|threads| threads.len() as u64));
        add("run_queue_wait_nanos", threads.and_then(|threads| self.run_queue.add_up(&threads)));
        let shortcomings = fds::shortcomings();
        add("untracked_fds", shortcomings.map(|(untracked, _)| untracked));
        add("fds_without_stack", shortcomings.map(|(_, without_stack)| without_stack));
        let throttled = self.cgroup.get_or_insert_with(Cgroup::find).throttled();
        add("cgroup_throttled_nanos", throttled.map(|(nanos, _)| nanos));
        add("cgroup_throttled_periods", throttled.map(|(_, periods)| periods));
        readings.extend(crate::embed::vitals());
        readings
    }
}

/// Adds up over threads that come and go. What a thread waited after the last reading before its
/// end is not seen.
#[derive(Default)]
struct RunQueue {
    by_thread: HashMap<u64, u64>,
    total: u64,
}

impl RunQueue {
    /// `None` with too many threads, or where the kernel does not tell.
    fn add_up(&mut self, threads: &[u64]) -> Option<u64> {
        if threads.len() > MAX_THREADS {
            return None;
        }
        let mut now = HashMap::with_capacity(threads.len());
        for &thread in threads {
            let path = format!("/proc/self/task/{thread}/schedstat");
            if let Ok(text) = fs::read_to_string(path)
                && let Some(nanos) = number(text.split_whitespace().nth(1))
            {
                now.insert(thread, nanos);
            }
        }
        let is_told = !now.is_empty();
        self.update(now);
        is_told.then_some(self.total)
    }

    fn update(&mut self, now: HashMap<u64, u64>) {
        for (thread, nanos) in &now {
            let before = self.by_thread.get(thread).copied().unwrap_or(0);
            // Fewer than before: another thread has been given the id.
            self.total += if *nanos >= before { nanos - before } else { *nanos };
        }
        self.by_thread = now;
    }
}

/// Where the process's control group (version 2) says how often it was held back.
struct Cgroup(Option<PathBuf>);

impl Cgroup {
    fn find() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        // In a container the group's path may be the one outside, and its files at the root.
        let paths = [format!("/sys/fs/cgroup/{own}/cpu.stat"), "/sys/fs/cgroup/cpu.stat".into()];
        let tells = |path: &PathBuf| Self(Some(path.clone())).throttled().is_some();
        Self(paths.into_iter().map(PathBuf::from).find(tells))
    }

    /// For how long, and in how many periods.
    fn throttled(&self) -> Option<(u64, u64)> {
        throttled(&fs::read_to_string(self.0.as_ref()?).ok()?)
    }
}

fn throttled(cpu_stat: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let mut lines = cpu_stat.lines().filter_map(|line| line.split_once(' '));
        number(lines.find(|(known, _)| *known == name).map(|(_, value)| value))
    };
    Some((value("throttled_usec")? * 1000, value("nr_throttled")?))
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.trim().parse().ok()
}

fn rss_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(number(statm.split_whitespace().nth(1))? * sys::page_size())
}

fn open_fds() -> Option<u64> {
    let path = "/proc/self/fd";
    // Since Linux 6.2 its size is their number; before it was 0.
    match fs::metadata(path).ok()?.len() {
        // The listing itself holds one.
        0 => Some(fs::read_dir(path).ok()?.count().saturating_sub(1) as u64),
        count => Some(count),
    }
}

fn threads() -> Option<Vec<u64>> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.filter_map(|task| number(task.ok()?.file_name().to_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_add_up_over_threads_that_come_and_go() {
        let mut run_queue = RunQueue::default();
        let mut total_after = |threads: &[(u64, u64)]| {
            run_queue.update(threads.iter().copied().collect());
            run_queue.total
        };
        assert_eq!(total_after(&[(1, 10), (2, 5)]), 15);
        assert_eq!(total_after(&[(1, 12)]), 17, "a thread ended");
        assert_eq!(total_after(&[(1, 12), (2, 3)]), 20, "its id was given to another");
        assert_eq!(total_after(&[(1, 2), (2, 3)]), 22, "likewise between two readings");
    }

    #[test]
    fn being_held_back_is_read_from_the_control_group() {
        let text = "usage_usec 7\nnr_periods 9\nnr_throttled 3\nthrottled_usec 21\n";
        assert_eq!(throttled(text), Some((21_000, 3)));
        assert_eq!(throttled("usage_usec 7\n"), None, "no limit was ever set");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_vitals() {
        // Whoever goes to sleep gives the processor away by himself.
        std::thread::sleep(std::time::Duration::from_millis(1));
        let readings = Vitals::default().read(Own { memory: 1, produced: 7, dropped: 2 });
        let value = |name: &str| readings.iter().find(|metric| metric.name == name).unwrap().value;
        for name in ["rss_bytes", "open_fds", "max_fds", "cpu_nanos", "voluntary_switches"] {
            assert!(value(name) > 0.0, "{name}");
        }
        assert!(value("threads") >= 2.0 && value("open_fds") < value("max_fds"));
        assert_eq!((value("agent_produced_records"), value("agent_dropped_records")), (7.0, 2.0));
    }
}
