//! Task dumps: where every task of a runtime waits, on demand. Tokio polls each task once more, in
//! a mode in which its leaves tell where they are instead of doing anything.
//!
//! Only on a runtime of one thread. On one of several, tokio 1.54 has the workers wait for each other
//! at a barrier that does not forget those who gave up waiting: while one worker is blocked, another
//! that comes back counts twice, and then waits for the others without any limit. Nothing that we
//! could do would set it free.
//!
//! A dump has a limit of its own, kept by a thread: the program's runtime may have no timer. The same
//! thread names what was found.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use loopd_model::MarkLevel;
use tokio::runtime::{Dump, Handle, RuntimeFlavor};

use crate::agent::spawn_thread;
use crate::clock::ticks;
use crate::hooks::task_number;
use crate::notes::Note;
use crate::record::Record;
use crate::watch::while_listed;
use crate::{marks, recorder};

/// Why there is no dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Nothing is recorded now.
    #[error("nothing is recorded")]
    NotRecording,
    /// Called outside any runtime.
    #[error("not in a tokio runtime")]
    NoRuntime,
    /// The runtime has several threads. There tokio's dump can stop the workers for ever: if one of
    /// them is blocked while it is asked for, the others may wait for it without a limit.
    #[error(
        "tokio can dump the tasks of a runtime of several threads only at the risk that it hangs"
    )]
    ManyThreads,
    /// The tasks did not all tell in time.
    #[error("the dump was not ready in time")]
    TimedOut,
    /// The system refused the thread that keeps the time.
    #[error("no thread for the dump")]
    NoThread,
}

/// Records where each task of the current runtime waits: a mark `task dump` in each, whose message
/// is the tree of its pending calls, cut at 1024 bytes. Says how many tasks there were; the marks
/// follow soon after. Of more than a thousand the rest is counted as lost.
///
/// Every task is polled once more, and the runtime runs nothing else meanwhile: this is for a person
/// who asks, not for a timer. To be called on the runtime's own thread: elsewhere no task is found. A
/// runtime of several threads is refused ([`DumpError::ManyThreads`]). A wrapped task may be reported as one that nothing can wake, until its
/// next poll, which follows at once.
///
/// With the feature `taskdump`, `--cfg tokio_unstable`, and on Linux only.
pub async fn dump_tasks(limit: Duration) -> Result<usize, DumpError> {
    if !recorder::is_recording() {
        return Err(DumpError::NotRecording);
    }
    let handle = Handle::try_current().map_err(|_| DumpError::NoRuntime)?;
    if handle.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return Err(DumpError::ManyThreads);
    }
    let (found, dumps) = sync_channel(1);
    let timer = Arc::new(Mutex::new(Timer::default()));
    let body = {
        let timer = timer.clone();
        move || wait(&dumps, limit, &timer)
    };
    spawn_thread("loopd-dump", body).map_err(|_| DumpError::NoThread)?;
    let mut dump = pin!(handle.dump());
    poll_fn(|context| {
        let is_over =
            timer.lock().map_or(true, |mut timer| timer.is_over_or_wakes(context.waker()));
        if is_over {
            return Poll::Ready(Err(DumpError::TimedOut));
        }
        let Poll::Ready(dump) = dump.as_mut().poll(context) else { return Poll::Pending };
        let tasks = dump.tasks().iter().count();
        let is_sent = found.try_send(dump).is_ok();
        Poll::Ready(if is_sent { Ok(tasks) } else { Err(DumpError::TimedOut) })
    })
    .await
}

#[derive(Default)]
struct Timer {
    is_over: bool,
    waker: Option<Waker>,
}

impl Timer {
    fn is_over_or_wakes(&mut self, waker: &Waker) -> bool {
        self.waker = Some(waker.clone());
        self.is_over
    }
}

/// The body of the thread `loopd-dump`: waits for the dump, and records it.
fn wait(dumps: &Receiver<Dump>, limit: Duration, timer: &Mutex<Timer>) {
    match dumps.recv_timeout(limit) {
        // Naming reads tens of megabytes of debug information.
        Ok(dump) => while_listed(|| record(&dump)),
        // Nobody waits for it any more.
        Err(RecvTimeoutError::Disconnected) => {}
        Err(RecvTimeoutError::Timeout) => {
            let waker = timer.lock().ok().and_then(|mut timer| {
                timer.is_over = true;
                timer.waker.take()
            });
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

fn record(dump: &Dump) {
    let at = ticks();
    for task in dump.tasks().iter() {
        if marks::is_within_budget() {
            recorder::write(&Record::Note(Note::Mark {
                at,
                task: task_number(task.id()),
                location: 0,
                level: MarkLevel::None,
                target: "task dump".to_owned(),
                // Tokio indents with spaces of two bytes each.
                message: task.trace().to_string().replace('\u{a0}', " "),
                fields: Vec::new(),
            }));
        }
    }
}
