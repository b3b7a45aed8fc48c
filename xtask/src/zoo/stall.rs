//! Whether the machine let a thread run when it wanted to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread sleeps each time.
const NAP: Duration = Duration::from_millis(10);

/// A thread that wants to run every few milliseconds, and notes how late it was at most.
pub(super) struct Meter {
    longest: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    pub(super) fn start() -> Self {
        let (longest, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (noted, ends) = (longest.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let began_at = Instant::now();
                std::thread::sleep(NAP);
                let late = began_at.elapsed().saturating_sub(NAP).as_nanos();
                noted.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { longest, is_over, thread: Some(thread) }
    }

    /// The longest that it had to wait.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Relaxed))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and has nothing to say.
            let _ = thread.join();
        }
    }
}
