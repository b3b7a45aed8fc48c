//! Processor time, by thread. Threads that run tasks are told by their name.

use std::time::Instant;

use crate::job::Cost;

/// The name of every thread that a runtime makes in here.
pub(crate) const TASK_THREAD: &str = "bench-tasks";

/// As of `nice`.
const PRIORITY: i32 = -10;

/// Processor time and the wall clock at one instant.
pub(crate) struct Reading {
    tasks: f64,
    process: f64,
    at: Instant,
}

impl Reading {
    /// Now.
    pub(crate) fn now() -> Self {
        let tasks = task_threads().map(clock_of).map(nanos).sum();
        Self { tasks, process: nanos(libc::CLOCK_PROCESS_CPUTIME_ID), at: Instant::now() }
    }

    /// What has been used since.
    pub(crate) fn cost(&self, operations: u64) -> Cost {
        let now = Self::now();
        let (tasks, process) = (now.tasks - self.tasks, now.process - self.process);
        Cost {
            operations,
            task_nanos: tasks,
            agent_nanos: (process - tasks).max(0.0),
            wall_nanos: (now.at - self.at).as_nanos() as f64,
            ..Cost::default()
        }
    }
}

/// The main thread, which is the one of a current-thread runtime, and the workers.
fn task_threads() -> impl Iterator<Item = i32> {
    let main = std::process::id() as i32;
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.filter_map(move |thread| {
        let id = thread.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        (id == main || name.trim() == TASK_THREAD).then_some(id)
    })
}

/// How Linux names the clock of a thread: its id inverted, shifted, and two flags.
fn clock_of(thread: i32) -> libc::clockid_t {
    (!thread << 3) | 6
}

fn nanos(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; a thread that is gone is an error.
    let code = unsafe { libc::clock_gettime(clock, &mut time) };
    if code == 0 { time.tv_sec as f64 * 1e9 + time.tv_nsec as f64 } else { 0.0 }
}

/// Keeps the calling thread, and those it makes later, to one processor; ignored if it is not there.
pub(crate) fn pin(processor: usize) {
    // SAFETY: all bits zero is an empty set; the set is valid for the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Goes before other programs where that is allowed: what they do is noise. Ends with its parent,
/// since a session of its own no longer hears of an interrupt at the terminal.
pub(crate) fn hurry() {
    // SAFETY: all of them take numbers only; without the right they are refused.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY);
    }
    // Linux may weigh whole sessions against each other before it looks at processes.
    _ = std::fs::write("/proc/self/autogroup", PRIORITY.to_string());
}
