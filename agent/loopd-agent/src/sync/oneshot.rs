//! [`tokio::sync::oneshot`]; records who waits for the message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use loopd_model::CloseHow;
use tokio::sync::oneshot;
pub use tokio::sync::oneshot::error;

use crate::resource::{Call, Target, Wait};
use crate::tracked::Opened;
use crate::waits::Op;

/// As [`tokio::sync::oneshot::channel`].
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let opened = Opened::new("oneshot", "", CloseHow::Dropped).map(Arc::new);
    let target = opened.as_ref().map_or(Target::Off, |opened| opened.target());
    let call = Call { target, op: Op::Recv, location: None, amount: 0 };
    let wait = Wait::new(call);
    (
        Sender { _opened: opened.clone(), inner: sender },
        Receiver { wait, _opened: opened, inner: receiver },
    )
}

/// As [`tokio::sync::oneshot::Sender`].
#[derive(Debug)]
pub struct Sender<T> {
    inner: oneshot::Sender<T>,
    _opened: Option<Arc<Opened>>,
}

impl<T> Sender<T> {
    /// As [`tokio::sync::oneshot::Sender::send`].
    pub fn send(self, message: T) -> Result<(), T> {
        self.inner.send(message)
    }

    /// As [`tokio::sync::oneshot::Sender::closed`].
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        self.inner.closed()
    }

    /// As [`tokio::sync::oneshot::Sender::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// As [`tokio::sync::oneshot::Sender::poll_closed`].
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_closed(context)
    }
}

/// As [`tokio::sync::oneshot::Receiver`]. Where it is awaited is not known.
#[derive(Debug)]
pub struct Receiver<T> {
    // Before the resource it is on.
    wait: Wait<'static>,
    inner: oneshot::Receiver<T>,
    _opened: Option<Arc<Opened>>,
}

impl<T> Receiver<T> {
    /// As [`tokio::sync::oneshot::Receiver::close`].
    pub fn close(&mut self) {
        self.inner.close();
    }

    /// As [`tokio::sync::oneshot::Receiver::is_terminated`].
    pub fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }

    /// As [`tokio::sync::oneshot::Receiver::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// As [`tokio::sync::oneshot::Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        self.inner.try_recv()
    }

    /// As [`tokio::sync::oneshot::Receiver::blocking_recv`].
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, error::RecvError> {
        let Self { mut wait, inner, _opened } = self;
        if inner.is_empty() {
            wait.settle::<()>(&Poll::Pending);
        }
        let received = inner.blocking_recv();
        wait.settle(&Poll::Ready(()));
        received
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.inner).poll(context);
        self.wait.settle(&polled);
        polled
    }
}
