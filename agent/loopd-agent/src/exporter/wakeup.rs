//! How a recording thread calls the exporter before its next round: one write to an `eventfd`, no
//! lock, and only when the exporter is really waiting.
#![expect(unsafe_code, reason = "creates, reads and writes an eventfd")]

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release};

#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicI32;

#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Shared by the exporter and everybody who may call it.
pub(crate) struct Wakeup {
    is_waiting: AtomicBool,
    #[cfg(target_os = "linux")]
    event: Option<OwnedFd>,
    /// The exporter's number for it; -1 while it has none.
    #[cfg(target_os = "linux")]
    watched: AtomicI32,
}

impl Wakeup {
    /// Without a free file descriptor it still works, only later: the exporter comes by itself.
    pub(crate) fn new() -> Self {
        #[cfg(target_os = "linux")]
        let event = {
            // SAFETY: takes plain numbers.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            // SAFETY: a non-negative result is a new descriptor that nobody else owns.
            (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
        };
        Self {
            is_waiting: AtomicBool::new(false),
            #[cfg(target_os = "linux")]
            event,
            #[cfg(target_os = "linux")]
            watched: AtomicI32::new(-1),
        }
    }

    /// Calls the exporter.
    pub(crate) fn wake(&self) {
        self.is_waiting.store(false, Relaxed);
        #[cfg(target_os = "linux")]
        if let Some(event) = &self.event {
            let one = 1u64;
            // SAFETY: eight readable bytes, and a descriptor that lives as long as `self`. A full
            // counter means that a call is already waiting.
            unsafe { libc::write(event.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) };
        }
    }

    /// Calls the exporter if it waits and nobody has called it yet.
    pub(crate) fn wake_if_waiting(&self) {
        if self.is_waiting.load(Relaxed) && self.is_waiting.swap(false, AcqRel) {
            self.wake();
        }
    }

    /// Exporter only: waits for a call, without end if calls cannot be made here.
    pub(crate) async fn called(&self, fd: Option<&EventFd>) {
        self.is_waiting.store(true, Release);
        #[cfg(target_os = "linux")]
        if let Some(fd) = fd
            && let Ok(mut ready) = fd.readable().await
        {
            let mut count = 0u64;
            // SAFETY: eight writable bytes; the descriptor is open.
            unsafe {
                libc::read(fd.as_raw_fd(), std::ptr::from_mut(&mut count).cast(), 8);
            }
            ready.clear_ready();
            self.is_waiting.store(false, Relaxed);
            return;
        }
        let _ = fd;
        std::future::pending::<()>().await;
    }

    /// The file descriptors taken: ours, and the one that the exporter's runtime watches.
    #[cfg(target_os = "linux")]
    pub(crate) fn numbers(&self) -> (Option<i32>, Option<i32>) {
        let ours = self.event.as_ref().map(AsRawFd::as_raw_fd);
        (ours, Some(self.watched.load(Relaxed)).filter(|&fd| fd >= 0))
    }

    /// Registers with the exporter's own runtime.
    pub(crate) fn event_fd(&self) -> Option<EventFd> {
        #[cfg(target_os = "linux")]
        {
            let fd = self.event.as_ref()?.try_clone().ok()?;
            self.watched.store(fd.as_raw_fd(), Relaxed);
            let interest = tokio::io::Interest::READABLE;
            // SAFETY: an `OwnedFd` names one open descriptor all its life, and is dropped only
            // after it has been deregistered.
            unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, interest) }.ok()
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

/// The exporter's end.
#[cfg(target_os = "linux")]
pub(crate) type EventFd = tokio::io::unix::AsyncFd<OwnedFd>;
#[cfg(not(target_os = "linux"))]
pub(crate) type EventFd = std::convert::Infallible;
