//! Room in a channel, kept for a message.

use tokio::sync::mpsc;

use super::bounded::Sender;
use crate::sync::ends::SendingEnd;

/// As [`tokio::sync::mpsc::Permit`].
#[derive(Debug)]
#[must_use = "if unused the room is given back at once"]
pub struct Permit<'a, T> {
    pub(super) inner: mpsc::Permit<'a, T>,
    pub(super) end: &'a SendingEnd,
}

impl<T> Permit<'_, T> {
    /// As [`tokio::sync::mpsc::Permit::send`].
    pub fn send(self, message: T) {
        self.inner.send(message);
        self.end.sent(1);
    }
}

/// As [`tokio::sync::mpsc::PermitIterator`].
#[derive(Debug)]
#[must_use = "if unused the room is given back at once"]
pub struct PermitIterator<'a, T> {
    pub(super) inner: mpsc::PermitIterator<'a, T>,
    pub(super) end: &'a SendingEnd,
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        Some(Permit { inner: self.inner.next()?, end: self.end })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}

/// As [`tokio::sync::mpsc::OwnedPermit`].
#[derive(Debug)]
#[must_use = "if unused the room is given back at once"]
pub struct OwnedPermit<T> {
    pub(super) inner: mpsc::OwnedPermit<T>,
    pub(super) end: SendingEnd,
}

impl<T> OwnedPermit<T> {
    /// As [`tokio::sync::mpsc::OwnedPermit::send`].
    pub fn send(self, message: T) -> Sender<T> {
        let inner = self.inner.send(message);
        self.end.sent(1);
        Sender { end: self.end, inner }
    }

    /// As [`tokio::sync::mpsc::OwnedPermit::release`].
    pub fn release(self) -> Sender<T> {
        Sender { end: self.end, inner: self.inner.release() }
    }
}
