//! What the agent itself costs the program: the processor time of its threads, the bytes it sends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::renewable::Renewable;
use crate::sys;

/// Threads of ours whose time is counted at once: the exporter, the watchdog, the one that looks at
/// file descriptors, and those that look up host names. The time of any beyond is not counted.
const MAX_THREADS: usize = 16;

/// The threads that run now, by id.
static THREADS: Renewable<Mutex<Vec<u64>>> = Renewable::new(Mutex::default);
/// Processor time of the threads that have ended.
static ENDED_NANOS: AtomicU64 = AtomicU64::new(0);
static SENT_BYTES: AtomicU64 = AtomicU64::new(0);

/// In a forked child, which has none of these threads.
pub(crate) fn renew() {
    THREADS.renew();
    ALIVE.store(0, Relaxed);
    ENDED_NANOS.store(0, Relaxed);
    SENT_BYTES.store(0, Relaxed);
}

/// The calling thread is one of ours; it says so when it begins.
pub(crate) fn thread_began() {
    crate::fds::exclude_this_thread();
    if let Ok(mut threads) = THREADS.lock()
        && threads.len() < MAX_THREADS
    {
        threads.push(sys::thread_id());
    }
}

/// The calling thread, one of ours, is about to end.
pub(crate) fn thread_ended() {
    let id = sys::thread_id();
    if let Ok(mut threads) = THREADS.lock()
        && let Some(index) = threads.iter().position(|&known| known == id)
    {
        threads.swap_remove(index);
        ENDED_NANOS.fetch_add(sys::thread_cpu_nanos(id).unwrap_or(0), Relaxed);
    }
}

/// Processor time of all our threads since the start.
pub(crate) fn cpu_nanos() -> u64 {
    let Ok(threads) = THREADS.lock() else { return 0 };
    let running: u64 = threads.iter().filter_map(|&id| sys::thread_cpu_nanos(id)).sum();
    ENDED_NANOS.load(Relaxed) + running
}

/// Threads of ours that were asked for and have not ended.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// A thread of ours is about to be made.
pub(crate) fn thread_is_asked_for() {
    ALIVE.fetch_add(1, Relaxed);
}

/// One that was asked for is not there, or no more.
pub(crate) fn thread_is_gone() {
    ALIVE.fetch_sub(1, Relaxed);
}

/// How many of our threads there are, with those that are only about to be.
pub(crate) fn threads() -> usize {
    ALIVE.load(Relaxed)
}

/// Counts bytes handed to the transport.
pub(crate) fn sent(bytes: usize) {
    SENT_BYTES.fetch_add(bytes as u64, Relaxed);
}

/// Bytes of messages handed to the transport since the start, without its own framing.
pub(crate) fn sent_bytes() -> u64 {
    SENT_BYTES.load(Relaxed)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_threads_time_counts_while_it_runs_and_after_it_ended() {
        let worker = std::thread::spawn(|| {
            thread_began();
            let since = Instant::now();
            while cpu_nanos() < 5_000_000 {
                black_box(since.elapsed());
                assert!(since.elapsed() < Duration::from_secs(60));
            }
            let running = cpu_nanos();
            thread_ended();
            running
        });
        let running = worker.join().unwrap();
        assert!(cpu_nanos() >= running, "{} after {running}", cpu_nanos());
    }
}
