//! Notifications.
#![expect(unsafe_code, reason = "projects a pin to the future inside")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync;

use super::guard::{Lent, lend};
use crate::resource::kind::NOTIFY;
use crate::resource::{Wait, Watched};
use crate::waits::Op;

/// As [`tokio::sync::Notify`]; records who waits to be notified.
#[derive(Debug)]
pub struct Notify {
    watched: Watched,
    inner: sync::Notify,
}

impl Default for Notify {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl Notify {
    /// As [`tokio::sync::Notify::new`].
    #[track_caller]
    pub fn new() -> Self {
        Self { watched: Watched::open(&NOTIFY, 0), inner: sync::Notify::new() }
    }

    /// As [`tokio::sync::Notify::const_new`]. It counts as opened from its first use on.
    #[track_caller]
    pub const fn const_new() -> Self {
        Self { watched: Watched::open_later(&NOTIFY, 0), inner: sync::Notify::const_new() }
    }

    /// As [`tokio::sync::Notify::notified`].
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        let wait = Wait::new(self.watched.call(Op::Notified, 0));
        Notified { wait, inner: self.inner.notified() }
    }

    /// As [`tokio::sync::Notify::notified_owned`].
    #[track_caller]
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        // SAFETY: `notified` is dropped before `_notify`, and nobody else is given what it borrows.
        let notify = unsafe { lend(&self, |notify| notify) };
        OwnedNotified { notified: Lent::new(notify.notified()), _notify: self }
    }

    /// As [`tokio::sync::Notify::notify_one`].
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// As [`tokio::sync::Notify::notify_last`].
    pub fn notify_last(&self) {
        self.inner.notify_last();
    }

    /// As [`tokio::sync::Notify::notify_waiters`].
    pub fn notify_waiters(&self) {
        self.inner.notify_waiters();
    }
}

/// As [`tokio::sync::futures::Notified`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Notified<'a> {
    wait: Wait<'a>,
    inner: sync::futures::Notified<'a>,
}

impl<'a> Notified<'a> {
    /// As [`tokio::sync::futures::Notified::enable`].
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.parts().1.enable()
    }

    fn parts<'b>(
        self: Pin<&'b mut Self>,
    ) -> (&'b mut Wait<'a>, Pin<&'b mut sync::futures::Notified<'a>>) {
        // SAFETY: `inner` is pinned with `self`: it is never moved out, and there is no `Drop`. The
        // other field is never pinned.
        unsafe {
            let this = self.get_unchecked_mut();
            (&mut this.wait, Pin::new_unchecked(&mut this.inner))
        }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (wait, inner) = self.parts();
        let polled = inner.poll(context);
        wait.settle(&polled);
        polled
    }
}

/// As [`tokio::sync::futures::OwnedNotified`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct OwnedNotified {
    // Before the owner of what it borrows.
    notified: Lent<Notified<'static>>,
    _notify: Arc<Notify>,
}

impl OwnedNotified {
    /// As [`tokio::sync::futures::OwnedNotified::enable`].
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.notified().enable()
    }

    fn notified(self: Pin<&mut Self>) -> Pin<&mut Notified<'static>> {
        // SAFETY: `notified` is pinned with `self`: it is never moved out, and there is no `Drop`.
        unsafe { self.map_unchecked_mut(|this| &mut this.notified) }.pinned()
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.notified().poll(context)
    }
}
