//! The two ends of a channel, counted for as long as they are there.

use crate::resource::Shared;

/// What can send.
#[derive(Debug)]
pub(super) struct SendingEnd(pub(super) Shared);

impl SendingEnd {
    /// So many messages were sent. Also counted while waits are not recorded: what is in the channel
    /// must be right when they are again.
    #[inline]
    pub(super) fn sent(&self, count: usize) {
        if let Some(state) = self.0.known_state() {
            state.send(count as u64);
        }
    }

    /// One more, of a channel that still has one.
    pub(super) fn again(shared: &Shared) -> Self {
        if let Some(state) = shared.known_state() {
            state.add_sender();
        }
        Self(shared.clone())
    }

    /// One more receiver.
    pub(super) fn receiver(&self) -> ReceivingEnd {
        if let Some(state) = self.0.known_state() {
            state.add_receiver();
        }
        ReceivingEnd(self.0.clone())
    }
}

impl Clone for SendingEnd {
    fn clone(&self) -> Self {
        Self::again(&self.0)
    }
}

impl Drop for SendingEnd {
    fn drop(&mut self) {
        if let Some(state) = self.0.known_state() {
            state.remove_sender();
        }
    }
}

/// What can receive.
#[derive(Debug)]
pub(super) struct ReceivingEnd(pub(super) Shared);

impl ReceivingEnd {
    /// A message was received, by the only receiver there is.
    #[inline]
    pub(super) fn received<T>(&self, message: Option<T>) -> Option<T> {
        self.received_many(usize::from(message.is_some()));
        message
    }

    /// So many were.
    #[inline]
    pub(super) fn received_many(&self, count: usize) -> usize {
        if let Some(state) = self.0.known_state() {
            state.receive(count as u64);
        }
        count
    }
}

impl Clone for ReceivingEnd {
    fn clone(&self) -> Self {
        if let Some(state) = self.0.known_state() {
            state.add_receiver();
        }
        Self(self.0.clone())
    }
}

impl Drop for ReceivingEnd {
    fn drop(&mut self) {
        if let Some(state) = self.0.known_state() {
            state.remove_receiver();
        }
    }
}

/// The two ends of a channel just opened, which was counted with one of each.
pub(super) fn ends(shared: Shared) -> (SendingEnd, ReceivingEnd) {
    (SendingEnd(shared.clone()), ReceivingEnd(shared))
}
