//! Naming what the watchdog has captured, on a thread of its own, so that no stack waits to be taken
//! while another is looked up in the program's debug information.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use loopd_model::{Frame, RecordKind};

use super::Sample;
use super::detail;
use super::symbols::Symbols;
use super::thread::Doing;
use super::unwind::RawStack;
use crate::lane::RunningPoll;
use crate::recorder::{Control, Recorder};
use crate::status::Status;

/// Stacks waiting to be named: those of three seconds, as the watchdog takes them at most; naming
/// the first takes about one in a large program that was built without optimisation. When it is
/// full the newest is dropped, and counted as a lost sample.
const MAX_WAITING: usize = 64;
/// How long the debug information stays in memory after the last stack.
const KEEP: Duration = Duration::from_secs(30);

/// A stack taken in the middle of a poll.
pub(super) struct Captured {
    /// When, in ticks.
    pub(super) at: u64,
    /// The poll.
    pub(super) poll: RunningPoll,
    pub(super) stack: RawStack,
    pub(super) doing: Doing,
}

impl Captured {
    fn named(self, frames: Arc<[Frame]>) -> Sample {
        let Doing { running, syscall, wchan } = self.doing;
        let addresses = self.stack.addresses;
        Sample { at: self.at, poll: self.poll, addresses, frames, running, syscall, wchan }
    }

    fn unnamed(self) -> Sample {
        let bare = |&address: &u64| Frame { address, ..Frame::default() };
        let frames = self.stack.addresses.iter().map(bare).collect();
        self.named(frames)
    }
}

/// The watchdog's end of the queue. When it is dropped the thread ends, once the queue is empty.
pub(super) struct Naming {
    recorder: &'static Recorder,
    status: &'static Status,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    stacks: VecDeque<Captured>,
    /// Whether somebody names them.
    has_thread: bool,
    /// Whether no more will come.
    is_closed: bool,
}

impl Naming {
    pub(super) fn new(recorder: &'static Recorder, status: &'static Status) -> Self {
        Self { recorder, status, queue: Arc::default() }
    }

    /// Has a stack named and sent.
    pub(super) fn push(&self, captured: Captured) {
        let Ok(mut waiting) = self.queue.waiting.lock() else { return };
        if !waiting.has_thread {
            let (queue, recorder, status) = (self.queue.clone(), self.recorder, self.status);
            let body = move || run(&queue, recorder, status);
            waiting.has_thread = crate::agent::spawn_thread("loopd-symbols", body).is_ok();
        }
        if !waiting.has_thread {
            self.recorder.send(Control::Sample(captured.unnamed()));
        } else if waiting.stacks.len() < MAX_WAITING {
            self.status.samples_underway.fetch_add(1, Release);
            waiting.stacks.push_back(captured);
            self.queue.changed.notify_one();
        } else {
            self.recorder.lose_control(RecordKind::Sample);
        }
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        if let Ok(mut waiting) = self.queue.waiting.lock() {
            waiting.is_closed = true;
        }
        self.queue.changed.notify_one();
    }
}

/// The body of the thread `loopd-symbols`. Its end gives back what the debug information took, which
/// the allocator would keep for a thread that goes on.
fn run(queue: &Queue, recorder: &'static Recorder, status: &'static Status) {
    let mut symbols = Symbols::default();
    while let Some(captured) = queue.next() {
        let frames = symbols.frames(&captured.stack);
        detail::learn(&frames);
        recorder.send(Control::Sample(captured.named(frames)));
        status.samples_underway.fetch_sub(1, Release);
    }
}

impl Queue {
    /// Waits for the next stack. `None` when there has been none for long, or none will come: then
    /// the thread counts as gone.
    fn next(&self) -> Option<Captured> {
        let waiting = self.waiting.lock().ok()?;
        let is_idle = |waiting: &mut Waiting| waiting.stacks.is_empty() && !waiting.is_closed;
        let (mut waiting, _) = self.changed.wait_timeout_while(waiting, KEEP, is_idle).ok()?;
        let next = waiting.stacks.pop_front();
        waiting.has_thread = next.is_some();
        next
    }
}
