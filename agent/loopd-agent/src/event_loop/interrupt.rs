//! Ctrl-C while [`run`](super::run) waits for its main task: as asyncio's `Runner` takes it.
//!
//! The first one cancels the main task; from then on the signal is the system's again, so that a second one
//! ends the process, whatever the loop is busy with. That holds in the process's main thread, if nobody has said
//! what is to become of the signal. Whoever says so later, while the loop runs, has the signal to himself.
#![cfg_attr(unix, expect(unsafe_code, reason = "asks libc what becomes of a signal"))]

use std::cell::Cell;
use std::rc::Rc;

use super::error::{Error, Result};
use super::tasks::Task;
use super::{EventLoop, promise};

/// While it is there, Ctrl-C cancels a task.
pub(super) struct Interrupt {
    /// Whether the task was cancelled for it.
    is_heard: Rc<Cell<bool>>,
    #[cfg(unix)]
    taken: Option<unix::Taken>,
}

impl Interrupt {
    /// From now on, if `may_listen` and nobody else does.
    pub(super) fn of<T: 'static>(event_loop: &EventLoop, task: &Task<T>, may_listen: bool) -> Self {
        let is_heard = Rc::new(Cell::new(false));
        let (own, main) = (is_heard.clone(), Rc::downgrade(&task.cell));
        let cancel = move || {
            own.set(main.upgrade().is_some_and(|main| promise::cancel(&*main, None)));
        };
        #[cfg(unix)]
        let taken = if may_listen { unix::Taken::take(event_loop, cancel) } else { None };
        #[cfg(not(unix))]
        let _ = (event_loop, may_listen, cancel);
        Self {
            is_heard,
            #[cfg(unix)]
            taken,
        }
    }

    /// What the run gives, where the task gave this.
    pub(super) fn ends<T: 'static>(self, task: &Task<T>, result: Result<T>) -> Result<T> {
        #[cfg(unix)]
        let has_come = self.taken.is_some_and(unix::Taken::give_back);
        #[cfg(not(unix))]
        let has_come = false;
        let is_interrupted = match &result {
            // Unless somebody else cancelled it as well.
            Err(Error::Cancelled(_)) if self.is_heard.get() => task.uncancel() == 0,
            // The task was not cancelled for it: it had ended before tokio had its turn.
            Err(Error::Cancelled(_)) => has_come && task.cancelling() == 0,
            Ok(_) => has_come && !self.is_heard.get(),
            Err(_) => false,
        };
        if is_interrupted { Err(Error::Interrupted) } else { result }
    }
}

#[cfg(unix)]
pub(super) use unix::is_main_thread;

/// Where Ctrl-C is no signal, it stays what it is.
#[cfg(not(unix))]
pub(super) fn is_main_thread() -> bool {
    false
}

#[cfg(unix)]
mod unix {
    use std::io::{self, Read};
    use std::mem::zeroed;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::ptr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};

    use tokio::task::JoinHandle;

    use crate::event_loop::EventLoop;

    const SIGNAL: libc::c_int = libc::SIGINT;

    /// Where the handler writes.
    static WRITER: AtomicI32 = AtomicI32::new(-1);
    /// Whose handler it is: a forked child inherits it, but has no loop to cancel.
    static OWNER: AtomicU32 = AtomicU32::new(0);
    /// Whether the signal has come since it was taken: the loop hears of it only when tokio has its turn.
    static HAS_COME: AtomicBool = AtomicBool::new(false);

    /// The signal is ours until this is dropped, or it has come.
    pub(super) struct Taken(JoinHandle<()>);

    impl Taken {
        /// Takes it, if it is nobody's; calls `heard` in the loop when it has come.
        pub(super) fn take(event_loop: &EventLoop, heard: impl FnOnce() + 'static) -> Option<Self> {
            if handler()? != libc::SIG_DFL {
                return None;
            }
            let reader = reader().ok()?;
            let reader = {
                let _inside = event_loop.0.runtime_handle().enter();
                tokio::net::UnixStream::from_std(reader).ok()?
            };
            let local = event_loop.0.local()?;
            HAS_COME.store(false, Relaxed);
            if !exchange(libc::SIG_DFL, ours()) {
                return None;
            }
            Some(Self(local.spawn_local(async move {
                // It is also said to be readable when it is not.
                while reader.readable().await.is_ok() {
                    match reader.try_read(&mut [0; 16]) {
                        Ok(1..) => return heard(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        _ => return,
                    }
                }
            })))
        }
    }

    impl Taken {
        /// Leaves it to the system again; says whether it has come.
        pub(super) fn give_back(self) -> bool {
            drop(self);
            HAS_COME.load(Relaxed)
        }
    }

    impl Drop for Taken {
        fn drop(&mut self) {
            self.0.abort();
            // Of a handler that somebody has put in its place it may be a part, and then does nothing.
            if handler() == Some(ours()) {
                exchange(ours(), libc::SIG_DFL);
            }
            // Who puts it back later, having found it there, has put back the system's.
            OWNER.store(0, Relaxed);
        }
    }

    /// By which the handler tells the loop.
    struct Pair {
        process: u32,
        reader: UnixStream,
        writer: UnixStream,
    }

    /// The end that is read, without what is left of an earlier run. The pair is made once in a process and
    /// never closed: a handler that runs in another thread may be about to write. A forked child inherits its
    /// parent's, through which each would cancel the other's task, and makes one of its own.
    fn reader() -> io::Result<UnixStream> {
        static PAIR: Mutex<Option<&'static Pair>> = Mutex::new(None);
        let process = std::process::id();
        // Held by another thread at a fork, it is never free in the child, which then leaves the signal alone.
        let Ok(mut pair) = PAIR.try_lock() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let pair = match *pair {
            Some(own) if own.process == process => own,
            _ => {
                let (reader, writer) = UnixStream::pair()?;
                reader.set_nonblocking(true)?;
                writer.set_nonblocking(true)?;
                *pair.insert(Box::leak(Box::new(Pair { process, reader, writer })))
            }
        };
        let mut bytes = [0; 16];
        while matches!((&pair.reader).read(&mut bytes), Ok(count) if count > 0) {}
        WRITER.store(pair.writer.as_raw_fd(), Relaxed);
        OWNER.store(process, Relaxed);
        pair.reader.try_clone()
    }

    /// What becomes of the signal.
    fn handler() -> Option<libc::sighandler_t> {
        // SAFETY: asks only; zeroes are a valid value of what is written.
        unsafe {
            let mut now: libc::sigaction = zeroed();
            (libc::sigaction(SIGNAL, ptr::null(), &mut now) == 0).then_some(now.sa_sigaction)
        }
    }

    /// Says what becomes of the signal, once: then it is the system's again. Gives what was to become of it.
    fn set(handler: libc::sighandler_t) -> Option<libc::sigaction> {
        // SAFETY: the handler is the system's default, or ours, which does what a handler may.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            libc::sigemptyset(&mut action.sa_mask);
            action.sa_sigaction = handler;
            action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
            let mut before: libc::sigaction = zeroed();
            (libc::sigaction(SIGNAL, &action, &mut before) == 0).then_some(before)
        }
    }

    /// Puts a handler in the place of another; not of one that has come meanwhile.
    fn exchange(from: libc::sighandler_t, to: libc::sighandler_t) -> bool {
        let Some(before) = set(to) else { return false };
        if before.sa_sigaction == from {
            return true;
        }
        // SAFETY: it was there a moment ago.
        unsafe { libc::sigaction(SIGNAL, &before, ptr::null_mut()) };
        false
    }

    fn ours() -> libc::sighandler_t {
        on_signal as *const () as usize
    }

    extern "C" fn on_signal(signal: libc::c_int) {
        // The system has taken it back before it called this, unless somebody has put it back to stay; if there
        // is another, it is somebody's who has come after us, and calls those that were there before.
        match handler() {
            Some(libc::SIG_DFL) => {}
            Some(now) if now == ours() => _ = set(libc::SIG_DFL),
            _ => return,
        }
        // SAFETY: all of it may be called in a handler; `errno` is this thread's, and put back.
        unsafe {
            if OWNER.load(Relaxed) != libc::getpid().cast_unsigned() {
                libc::raise(signal);
                return;
            }
            HAS_COME.store(true, Relaxed);
            let errno = errno();
            let saved = *errno;
            libc::write(WRITER.load(Relaxed), b"!".as_ptr().cast(), 1);
            *errno = saved;
        }
    }

    fn errno() -> *mut libc::c_int {
        // SAFETY: takes nothing, and gives what is this thread's.
        unsafe {
            #[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
            let errno = libc::__errno_location();
            #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
            let errno = libc::__error();
            errno
        }
    }

    /// Whether the process began with this thread; `false` where the system does not say.
    pub(in crate::event_loop) fn is_main_thread() -> bool {
        #[cfg(target_os = "linux")]
        let is_main = crate::sys::thread_id() == u64::from(std::process::id());
        #[cfg(any(
            target_vendor = "apple",
            target_os = "freebsd",
            target_os = "dragonfly",
            target_os = "openbsd",
        ))]
        // SAFETY: takes nothing; less than 0 would be an error.
        let is_main = unsafe { libc::pthread_main_np() } > 0;
        #[cfg(not(any(
            target_os = "linux",
            target_vendor = "apple",
            target_os = "freebsd",
            target_os = "dragonfly",
            target_os = "openbsd",
        )))]
        let is_main = false;
        is_main
    }
}
