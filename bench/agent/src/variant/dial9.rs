//! dial9 with its defaults and task tracking, writing its trace to files.

use std::ops::Deref;
use std::time::Duration;

use dial9::{Dial9HandleTokioExt, DiskBuffer, TokioAttachOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::job::{Job, Records, Result};
use crate::variant::Recorder;

pub(crate) struct Dial9(dial9::Recorder);

impl Recorder for Dial9 {
    fn start(job: &Job) -> Result<Self> {
        // The sizes of its own examples.
        let writer = DiskBuffer::builder()
            .base_path(std::path::Path::new(&job.directory).join("dial9"))
            .max_file_size(64 << 20)
            .max_total_size(256 << 20)
            .build();
        Ok(Self(dial9::recorder(writer?).build()))
    }

    fn build(&self, builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
        let options = TokioAttachOptions::builder().task_tracking_enabled(true).build();
        Ok(Box::new(Box::new(self.0.handle().attach_tokio_runtime(builder, options)?)))
    }

    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        dial9::spawn(future)
    }

    fn finish(self) -> Option<Records> {
        self.0.graceful_shutdown(Duration::from_secs(5));
        None
    }
}
