//! What happens when the program forks: the child records nothing, and no fork comes while the
//! watchdog holds the dynamic loader's lock, which the child would then never see released.
#![expect(unsafe_code, reason = "registers handlers with libc, which is stated sound below")]

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant};

use crate::{recorder, sys};

/// The longest that a fork waits for the watchdog, which needs about a millisecond. Whoever holds
/// it up then may be waiting for a lock of the forking thread's, as of an allocator that prepared
/// for the fork before us: going on is the lesser risk.
const PATIENCE: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_micros(50);

/// Who keeps forks and the loader's lock apart: 0 for nobody, else a thread's id, doubled, and one
/// more if that thread is forking. A plain lock would not do: it is taken in one libc callback and
/// released in another, perhaps in another process.
static HOLDER: AtomicU64 = AtomicU64::new(0);

/// From now on forked children do not record: they have neither exporter nor watchdog, and the
/// connection is the parent's.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handlers sleep at most, and store to atomics, which is allowed between fork
        // and exec; none unwinds.
        unsafe {
            libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
        }
    });
}

/// Runs `f` at a time when no thread forks; forks wait until it is done. Not from within itself.
pub(crate) fn without_forks<T>(f: impl FnOnce() -> T) -> T {
    /// Also when `f` panics.
    struct Held(u64);
    impl Drop for Held {
        fn drop(&mut self) {
            release(self.0);
        }
    }
    let me = sys::thread_id() << 1;
    while !acquire(me) {
        std::thread::sleep(PAUSE);
    }
    let _release = Held(me);
    f()
}

extern "C" fn before() {
    let me = sys::thread_id() << 1;
    let since = Instant::now();
    // The holder itself, forking from within, must not wait for itself.
    while HOLDER.load(Relaxed) != me && !acquire(me | 1) && since.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}

extern "C" fn in_parent() {
    release(sys::thread_id() << 1 | 1);
}

extern "C" fn in_child() {
    recorder::set_recording(false);
    // Whoever held it is not in this process.
    HOLDER.store(0, Release);
}

fn acquire(holder: u64) -> bool {
    HOLDER.compare_exchange(0, holder, Acquire, Relaxed).is_ok()
}

/// Releases it if `holder` has it.
fn release(holder: u64) {
    let _ = HOLDER.compare_exchange(holder, 0, Release, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Forks a child that leaves at once; says how long that took.
    fn fork() -> Duration {
        let since = Instant::now();
        // SAFETY: the child only leaves; `status` is valid for writes.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(HOLDER.load(Relaxed) != 0));
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            assert_eq!(status, 0, "in the child nobody holds it");
        }
        since.elapsed()
    }

    #[test]
    fn a_fork_waits_for_the_holder_but_not_for_ever() {
        prepare();
        let (held, is_held) = mpsc::channel();
        let (let_go, may_go) = mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            without_forks(|| {
                held.send(()).unwrap();
                may_go.recv()
            })
        });
        is_held.recv().unwrap();
        assert!(fork() >= PATIENCE);
        let_go.send(()).unwrap();
        holder.join().unwrap().unwrap();
        assert_eq!(HOLDER.load(Relaxed), 0);
        fork();
        assert_eq!(HOLDER.load(Relaxed), 0, "released in the parent");
    }

    #[test]
    fn the_holder_itself_may_fork() {
        prepare();
        without_forks(|| {
            fork();
            assert_ne!(HOLDER.load(Relaxed), 0, "still held");
        });
        assert_eq!(HOLDER.load(Relaxed), 0);
    }

    #[test]
    fn a_panic_releases_it() {
        let panicked = std::panic::catch_unwind(|| without_forks(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(HOLDER.load(Relaxed), 0);
    }
}
