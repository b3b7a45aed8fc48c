//! [`tokio::sync::watch`]; records who waits for a change.
//!
//! What is read without waiting, as `borrow()` or `has_changed()`, is tokio's own, through
//! [`Deref`].

use std::future::Future;
use std::ops::Deref;

use tokio::sync::watch;
pub use tokio::sync::watch::{Ref, error};

use super::ends::{ReceivingEnd, SendingEnd, ends};
use crate::resource::Shared;
use crate::resource::kind::WATCH_CHANNEL;
use crate::waits::Op;

/// As [`tokio::sync::watch::channel`].
#[track_caller]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = watch::channel(value);
    let (sending, receiving) = ends(Shared::open(&WATCH_CHANNEL, "", 0));
    (Sender { end: sending, inner: sender }, Receiver { end: receiving, inner: receiver })
}

/// As [`tokio::sync::watch::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    end: SendingEnd,
    inner: watch::Sender<T>,
}

impl<T> Sender<T> {
    /// As [`tokio::sync::watch::Sender::new`].
    #[track_caller]
    pub fn new(value: T) -> Self {
        let (end, _) = ends(Shared::open(&WATCH_CHANNEL, "", 0));
        Self { end, inner: watch::Sender::new(value) }
    }

    /// As [`tokio::sync::watch::Sender::send`].
    pub fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        self.inner.send(value).inspect(|()| self.end.sent(1))
    }

    /// As [`tokio::sync::watch::Sender::send_modify`].
    pub fn send_modify<F: FnOnce(&mut T)>(&self, modify: F) {
        self.inner.send_modify(modify);
        self.end.sent(1);
    }

    /// As [`tokio::sync::watch::Sender::send_if_modified`].
    pub fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let is_sent = self.inner.send_if_modified(modify);
        self.end.sent(usize::from(is_sent));
        is_sent
    }

    /// As [`tokio::sync::watch::Sender::send_replace`].
    pub fn send_replace(&self, value: T) -> T {
        let before = self.inner.send_replace(value);
        self.end.sent(1);
        before
    }

    /// As [`tokio::sync::watch::Sender::closed`].
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.end.0.call(Op::Closed).wait(self.inner.closed())
    }

    /// As [`tokio::sync::watch::Sender::subscribe`].
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.inner.subscribe(), end: self.end.receiver() }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for Sender<T> {
    type Target = watch::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// As [`tokio::sync::watch::Receiver`].
#[derive(Debug)]
pub struct Receiver<T> {
    end: ReceivingEnd,
    inner: watch::Receiver<T>,
}

impl<T> Receiver<T> {
    /// As [`tokio::sync::watch::Receiver::changed`].
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), error::RecvError>> {
        self.end.0.call(Op::Changed).wait(self.inner.changed())
    }

    /// As [`tokio::sync::watch::Receiver::wait_for`].
    #[track_caller]
    pub fn wait_for(
        &mut self,
        is_it: impl FnMut(&T) -> bool,
    ) -> impl Future<Output = Result<Ref<'_, T>, error::RecvError>> {
        self.end.0.call(Op::Changed).wait(self.inner.wait_for(is_it))
    }

    /// As [`tokio::sync::watch::Receiver::borrow_and_update`].
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.inner.borrow_and_update()
    }

    /// As [`tokio::sync::watch::Receiver::mark_changed`].
    pub fn mark_changed(&mut self) {
        self.inner.mark_changed();
    }

    /// As [`tokio::sync::watch::Receiver::mark_unchanged`].
    pub fn mark_unchanged(&mut self) {
        self.inner.mark_unchanged();
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.clone() }
    }
}

impl<T> Deref for Receiver<T> {
    type Target = watch::Receiver<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}
