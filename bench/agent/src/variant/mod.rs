//! The recorders under comparison, each as its documentation says to use it.

use std::ops::Deref;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::job::{Job, Records, Result};

pub(crate) mod bare;
#[cfg(feature = "tracing")]
pub(crate) mod console;
#[cfg(feature = "hooks")]
pub(crate) mod dial9;
#[cfg(feature = "hooks")]
pub(crate) mod floor;
#[cfg(feature = "loopd")]
pub(crate) mod loopd;
#[cfg(feature = "hooks")]
pub(crate) mod metrics;

/// A recorder. The work is generic over it, so that nothing is called through a table.
pub(crate) trait Recorder: Sized + 'static {
    /// Starts it; where records go to someone, that someone is there when this returns.
    fn start(job: &Job) -> Result<Self>;

    /// A runtime under watch.
    fn build(&self, builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
        let mut builder = builder;
        Ok(Box::new(Box::new(builder.build()?)))
    }

    /// Spawns a task as programs that use this recorder do.
    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(future)
    }

    /// Ends it and says what became of the records.
    fn finish(self) -> Option<Records> {
        None
    }
}
