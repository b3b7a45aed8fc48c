//! With room for so many messages.

use std::future::Future;
use std::ops::Deref;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use super::permit::{OwnedPermit, Permit, PermitIterator};
use super::{error, receiver};
use crate::resource::Shared;
use crate::resource::kind::MPSC;
use crate::sync::ends::{ReceivingEnd, SendingEnd, ends};
use crate::waits::Op;

/// As [`tokio::sync::mpsc::channel`].
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(buffer);
    let (sending, receiving) = ends(Shared::open(&MPSC, "", buffer));
    (Sender { end: sending, inner: sender }, Receiver { end: receiving, inner: receiver })
}

/// As [`tokio::sync::mpsc::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    pub(super) end: SendingEnd,
    pub(super) inner: mpsc::Sender<T>,
}

impl<T> Sender<T> {
    /// As [`tokio::sync::mpsc::Sender::send`].
    #[track_caller]
    pub fn send(&self, message: T) -> impl Future<Output = Result<(), error::SendError<T>>> {
        let call = self.end.0.call(Op::Send);
        call.wait_and(self.inner.send(message), |_, sent| sent.inspect(|()| self.end.sent(1)))
    }

    /// As [`tokio::sync::mpsc::Sender::send_timeout`].
    #[track_caller]
    pub fn send_timeout(
        &self,
        message: T,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), error::SendTimeoutError<T>>> {
        let call = self.end.0.call(Op::Send);
        let sending = self.inner.send_timeout(message, timeout);
        call.wait_and(sending, |_, sent| sent.inspect(|()| self.end.sent(1)))
    }

    /// As [`tokio::sync::mpsc::Sender::try_send`].
    pub fn try_send(&self, message: T) -> Result<(), error::TrySendError<T>> {
        self.inner.try_send(message).inspect(|()| self.end.sent(1))
    }

    /// As [`tokio::sync::mpsc::Sender::blocking_send`].
    #[track_caller]
    pub fn blocking_send(&self, message: T) -> Result<(), error::SendError<T>> {
        let call = self.end.0.call(Op::Send);
        let must_wait = self.inner.capacity() == 0;
        call.block(must_wait, || self.inner.blocking_send(message)).inspect(|()| self.end.sent(1))
    }

    /// As [`tokio::sync::mpsc::Sender::reserve`].
    #[track_caller]
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<'_, T>, error::SendError<()>>> {
        let call = self.end.0.call(Op::Send);
        call.wait_and(self.inner.reserve(), |_, inner| Ok(Permit { inner: inner?, end: &self.end }))
    }

    /// As [`tokio::sync::mpsc::Sender::reserve_many`].
    #[track_caller]
    pub fn reserve_many(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<PermitIterator<'_, T>, error::SendError<()>>> {
        let call = self.end.0.call(Op::Send);
        async move {
            let inner = call.wait(self.inner.reserve_many(count)).await?;
            Ok(PermitIterator { inner, end: &self.end })
        }
    }

    /// As [`tokio::sync::mpsc::Sender::reserve_owned`].
    #[track_caller]
    pub fn reserve_owned(
        self,
    ) -> impl Future<Output = Result<OwnedPermit<T>, error::SendError<()>>> {
        let location = Some(std::panic::Location::caller());
        async move {
            let Self { end, inner } = self;
            let call = crate::resource::Call { location, ..end.0.call(Op::Send) };
            let inner = call.wait(inner.reserve_owned()).await?;
            Ok(OwnedPermit { inner, end })
        }
    }

    /// As [`tokio::sync::mpsc::Sender::try_reserve`].
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, error::TrySendError<()>> {
        Ok(Permit { inner: self.inner.try_reserve()?, end: &self.end })
    }

    /// As [`tokio::sync::mpsc::Sender::try_reserve_many`].
    pub fn try_reserve_many(
        &self,
        count: usize,
    ) -> Result<PermitIterator<'_, T>, error::TrySendError<()>> {
        Ok(PermitIterator { inner: self.inner.try_reserve_many(count)?, end: &self.end })
    }

    /// As [`tokio::sync::mpsc::Sender::try_reserve_owned`].
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, error::TrySendError<Self>> {
        use error::TrySendError::{Closed, Full};
        let Self { end, inner } = self;
        match inner.try_reserve_owned() {
            Ok(inner) => Ok(OwnedPermit { inner, end }),
            Err(Closed(inner)) => Err(Closed(Self { end, inner })),
            Err(Full(inner)) => Err(Full(Self { end, inner })),
        }
    }

    /// As [`tokio::sync::mpsc::Sender::closed`].
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.end.0.call(Op::Closed).wait(self.inner.closed())
    }

    /// As [`tokio::sync::mpsc::Sender::downgrade`].
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: self.end.0.clone(), inner: self.inner.downgrade() }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), inner: self.inner.clone() }
    }
}

impl<T> Deref for Sender<T> {
    type Target = mpsc::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// As [`tokio::sync::mpsc::WeakSender`]. The channel counts as open while there is one.
#[derive(Debug)]
pub struct WeakSender<T> {
    shared: Shared,
    inner: mpsc::WeakSender<T>,
}

impl<T> WeakSender<T> {
    /// As [`tokio::sync::mpsc::WeakSender::upgrade`].
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let inner = self.inner.upgrade()?;
        Some(Sender { end: SendingEnd::again(&self.shared), inner })
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), inner: self.inner.clone() }
    }
}

impl<T> Deref for WeakSender<T> {
    type Target = mpsc::WeakSender<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

receiver!(Receiver, Receiver, "tokio::sync::mpsc::Receiver");
