//! Naming what the watchdog has captured, on a thread of its own, so that no stack waits to be taken
//! while another is looked up in the program's debug information.

use std::sync::atomic::Ordering::Release;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use loopd_model::{Frame, RecordKind};

use super::Sample;
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
    fn named(self, frames: Vec<Frame>) -> Sample {
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

/// The watchdog's end of the queue. Dropping it ends the thread, once the queue is empty.
pub(super) struct Naming {
    recorder: &'static Recorder,
    status: &'static Status,
    /// None until there is something to name.
    queue: Option<SyncSender<Captured>>,
}

impl Naming {
    pub(super) fn new(recorder: &'static Recorder, status: &'static Status) -> Self {
        Self { recorder, status, queue: None }
    }

    /// Has a stack named and sent.
    pub(super) fn push(&mut self, captured: Captured) {
        let Self { recorder, status, queue } = self;
        let queue = queue.get_or_insert_with(|| start(recorder, status));
        status.samples_underway.fetch_add(1, Release);
        let Err(refused) = queue.try_send(captured) else { return };
        match refused {
            TrySendError::Full(_) => recorder.lose_control(RecordKind::Sample),
            // There is no thread: its names will never be known.
            TrySendError::Disconnected(captured) => {
                recorder.send(Control::Sample(captured.unnamed()));
            }
        }
        status.samples_underway.fetch_sub(1, Release);
    }
}

fn start(recorder: &'static Recorder, status: &'static Status) -> SyncSender<Captured> {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    // Without the thread nobody has the receiver, which the sender notices.
    let _ = crate::agent::spawn_thread("loopd-symbols", move || run(&receiver, recorder, status));
    sender
}

/// The body of the thread `loopd-symbols`.
fn run(queue: &Receiver<Captured>, recorder: &'static Recorder, status: &'static Status) {
    let mut symbols = Symbols::default();
    while let Some(captured) = next(queue, &mut symbols) {
        let frames = symbols.frames(&captured.stack);
        recorder.send(Control::Sample(captured.named(frames)));
        status.samples_underway.fetch_sub(1, Release);
    }
}

/// Waits for the next stack, without the debug information if that takes long. `None` at the end.
fn next(queue: &Receiver<Captured>, symbols: &mut Symbols) -> Option<Captured> {
    match queue.recv_timeout(KEEP) {
        Ok(captured) => Some(captured),
        Err(RecvTimeoutError::Timeout) => {
            symbols.forget();
            queue.recv().ok()
        }
        Err(RecvTimeoutError::Disconnected) => None,
    }
}
