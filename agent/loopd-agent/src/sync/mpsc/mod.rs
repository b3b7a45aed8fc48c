//! [`tokio::sync::mpsc`]; records who waits for room or for a message, and how many messages there
//! are.
//!
//! What is read without waiting, as `capacity()` or `is_closed()`, is tokio's own, through
//! [`Deref`](std::ops::Deref). `poll_recv` counts what it receives, but records no wait: nobody can
//! tell when its caller gives up.

mod bounded;
mod permit;
mod unbounded;

pub use bounded::{Receiver, Sender, WeakSender, channel};
pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use tokio::sync::mpsc::error;
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

/// Implements what receivers of both sorts do alike.
macro_rules! receiver {
    ($receiver:ident, $inner:ident, $as:literal) => {
        #[doc = concat!("As [`", $as, "`].")]
        #[derive(Debug)]
        pub struct $receiver<T> {
            end: ReceivingEnd,
            inner: tokio::sync::mpsc::$inner<T>,
        }

        impl<T> $receiver<T> {
            #[doc = concat!("As [`", $as, "::recv`].")]
            #[track_caller]
            pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
                let (end, inner) = (&self.end, &mut self.inner);
                let call = end.0.call(Op::Recv);
                call.wait_and(inner.recv(), |_, message| end.received(message))
            }

            #[doc = concat!("As [`", $as, "::recv_many`].")]
            #[track_caller]
            pub fn recv_many(
                &mut self,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> impl Future<Output = usize> {
                let (end, inner) = (&self.end, &mut self.inner);
                let call = end.0.call(Op::Recv);
                call.wait_and(inner.recv_many(buffer, limit), |_, count| end.received_many(count))
            }

            #[doc = concat!("As [`", $as, "::try_recv`].")]
            pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                self.inner.try_recv().inspect(|_| {
                    self.end.received_many(1);
                })
            }

            #[doc = concat!("As [`", $as, "::blocking_recv`].")]
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<T> {
                let (end, inner) = (&self.end, &mut self.inner);
                let must_wait = inner.is_empty();
                end.received(end.0.call(Op::Recv).block(must_wait, || inner.blocking_recv()))
            }

            #[doc = concat!("As [`", $as, "::poll_recv`].")]
            pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
                self.inner.poll_recv(context).map(|message| self.end.received(message))
            }

            #[doc = concat!("As [`", $as, "::poll_recv_many`].")]
            pub fn poll_recv_many(
                &mut self,
                context: &mut Context<'_>,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> Poll<usize> {
                let polled = self.inner.poll_recv_many(context, buffer, limit);
                polled.map(|count| self.end.received_many(count))
            }

            #[doc = concat!("As [`", $as, "::close`].")]
            pub fn close(&mut self) {
                self.inner.close();
            }
        }

        impl<T> std::ops::Deref for $receiver<T> {
            type Target = tokio::sync::mpsc::$inner<T>;

            fn deref(&self) -> &Self::Target {
                &self.inner
            }
        }
    };
}
use receiver;
