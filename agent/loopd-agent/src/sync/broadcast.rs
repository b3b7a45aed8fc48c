//! [`tokio::sync::broadcast`]; records who waits for a message, how many there are, and how many
//! were missed by receivers that lagged behind.
//!
//! What is read without waiting, as `len()` or `receiver_count()`, is tokio's own, through
//! [`Deref`].

use std::future::Future;
use std::ops::Deref;

use tokio::sync::broadcast;
pub use tokio::sync::broadcast::error;

use super::ends::{ReceivingEnd, SendingEnd, ends};
use crate::resource::Shared;
use crate::resource::kind::BROADCAST_CHANNEL;
use crate::waits::Op;

/// As [`tokio::sync::broadcast::channel`].
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = broadcast::channel(capacity);
    let (sending, receiving) = ends(Shared::open(&BROADCAST_CHANNEL, "", capacity));
    (Sender { end: sending, inner: sender }, Receiver { end: receiving, inner: receiver })
}

/// As [`tokio::sync::broadcast::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    end: SendingEnd,
    inner: broadcast::Sender<T>,
}

impl<T> Sender<T> {
    /// As [`tokio::sync::broadcast::Sender::new`].
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        let inner = broadcast::Sender::new(capacity);
        let (end, _) = ends(Shared::open(&BROADCAST_CHANNEL, "", capacity));
        Self { end, inner }
    }

    /// As [`tokio::sync::broadcast::Sender::send`].
    pub fn send(&self, message: T) -> Result<usize, error::SendError<T>> {
        let sent = self.inner.send(message);
        if sent.is_ok()
            && let Some(state) = self.end.0.known_state()
        {
            state.send(1);
            state.tell_depth(|| self.inner.len());
        }
        sent
    }

    /// As [`tokio::sync::broadcast::Sender::subscribe`].
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.inner.subscribe(), end: self.end.receiver() }
    }

    /// As [`tokio::sync::broadcast::Sender::closed`].
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.end.0.call(Op::Closed).wait(self.inner.closed())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.clone() }
    }
}

impl<T> Deref for Sender<T> {
    type Target = broadcast::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// As [`tokio::sync::broadcast::Receiver`].
#[derive(Debug)]
pub struct Receiver<T> {
    end: ReceivingEnd,
    inner: broadcast::Receiver<T>,
}

impl<T: Clone> Receiver<T> {
    /// As [`tokio::sync::broadcast::Receiver::resubscribe`].
    pub fn resubscribe(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.resubscribe() }
    }

    /// As [`tokio::sync::broadcast::Receiver::recv`].
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, error::RecvError>> {
        let (end, inner) = (&self.end, &mut self.inner);
        let call = end.0.call(Op::Recv);
        call.wait_and(inner.recv(), |_, received| count(end, received))
    }

    /// As [`tokio::sync::broadcast::Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        let received = self.inner.try_recv();
        match &received {
            Ok(_) => count_one(&self.end),
            Err(error::TryRecvError::Lagged(missed)) => count_missed(&self.end, *missed),
            Err(_) => {}
        }
        received
    }

    /// As [`tokio::sync::broadcast::Receiver::blocking_recv`].
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, error::RecvError> {
        let (end, inner) = (&self.end, &mut self.inner);
        let must_wait = inner.is_empty();
        count(end, end.0.call(Op::Recv).block(must_wait, || inner.blocking_recv()))
    }
}

impl<T> Deref for Receiver<T> {
    type Target = broadcast::Receiver<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

fn count<T>(
    end: &ReceivingEnd,
    received: Result<T, error::RecvError>,
) -> Result<T, error::RecvError> {
    match &received {
        Ok(_) => count_one(end),
        Err(error::RecvError::Lagged(missed)) => count_missed(end, *missed),
        Err(error::RecvError::Closed) => {}
    }
    received
}

fn count_one(end: &ReceivingEnd) {
    if let Some(state) = end.0.known_state() {
        state.receive_shared();
    }
}

fn count_missed(end: &ReceivingEnd, missed: u64) {
    if let Some(state) = end.0.known_state() {
        state.lag(missed);
    }
}
