//! Without a limit but memory.

use std::future::Future;
use std::ops::Deref;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::{error, receiver};
use crate::resource::Shared;
use crate::resource::kind::UNBOUNDED_MPSC;
use crate::sync::ends::{ReceivingEnd, SendingEnd, ends};
use crate::waits::Op;

/// As [`tokio::sync::mpsc::unbounded_channel`].
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (sending, receiving) = ends(Shared::open(&UNBOUNDED_MPSC, "", 0));
    (
        UnboundedSender { end: sending, inner: sender },
        UnboundedReceiver { end: receiving, inner: receiver },
    )
}

/// As [`tokio::sync::mpsc::UnboundedSender`].
#[derive(Debug)]
pub struct UnboundedSender<T> {
    end: SendingEnd,
    inner: mpsc::UnboundedSender<T>,
}

impl<T> UnboundedSender<T> {
    /// As [`tokio::sync::mpsc::UnboundedSender::send`].
    pub fn send(&self, message: T) -> Result<(), error::SendError<T>> {
        self.inner.send(message).inspect(|()| self.end.sent(1))
    }

    /// As [`tokio::sync::mpsc::UnboundedSender::closed`].
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.end.0.call(Op::Closed).wait(self.inner.closed())
    }

    /// As [`tokio::sync::mpsc::UnboundedSender::downgrade`].
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender { shared: self.end.0.clone(), inner: self.inner.downgrade() }
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.clone() }
    }
}

impl<T> Deref for UnboundedSender<T> {
    type Target = mpsc::UnboundedSender<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// As [`tokio::sync::mpsc::WeakUnboundedSender`]. The channel counts as open while there is one.
#[derive(Debug)]
pub struct WeakUnboundedSender<T> {
    shared: Shared,
    inner: mpsc::WeakUnboundedSender<T>,
}

impl<T> WeakUnboundedSender<T> {
    /// As [`tokio::sync::mpsc::WeakUnboundedSender::upgrade`].
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        let inner = self.inner.upgrade()?;
        Some(UnboundedSender { end: SendingEnd::again(&self.shared), inner })
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), inner: self.inner.clone() }
    }
}

receiver!(UnboundedReceiver, UnboundedReceiver, "tokio::sync::mpsc::UnboundedReceiver");
