//! Tasks that wait for each other.

use std::future::Future;

use tokio::sync;
use tokio::sync::BarrierWaitResult;

use crate::resource::Watched;
use crate::resource::kind::BARRIER;
use crate::waits::Op;

/// As [`tokio::sync::Barrier`]; records who waits at it.
#[derive(Debug)]
pub struct Barrier {
    watched: Watched,
    inner: sync::Barrier,
}

impl Barrier {
    /// As [`tokio::sync::Barrier::new`].
    #[track_caller]
    pub fn new(tasks: usize) -> Self {
        Self { watched: Watched::open(&BARRIER, 0), inner: sync::Barrier::new(tasks) }
    }

    /// As [`tokio::sync::Barrier::wait`].
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = BarrierWaitResult> {
        let call = self.watched.call(Op::Wait, 0);
        call.wait(self.inner.wait())
    }
}
