//! Processor time, of programs and of the kernel for them.

use std::time::Duration;

/// What Linux counts in, for programs, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Of all threads of a process so far.
pub(crate) fn of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in the second field may hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u32>().unwrap());
    TICK * (ticks.next().unwrap() + ticks.next().unwrap())
}

/// Of this thread so far.
pub(crate) fn own() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
