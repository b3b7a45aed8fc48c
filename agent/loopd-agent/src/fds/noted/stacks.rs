//! From copied stacks to functions and lines, on our own thread, and only for what stays open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loopd_model::Frame;

use super::super::table::Note;
use super::notes;
use crate::clock::{Origin, ticks};
use crate::fds::Stack;
use crate::watch::{RawStack, Symbols, Unwind, is_plumbing};

/// How long something must have been open before its stack is walked: most are closed by then.
const SETTLED_AFTER: Duration = Duration::from_millis(250);
/// Walked at a time, twenty times a second: a twentieth of a processor at most.
const MAX_WALKS: usize = 64;
/// Stacks walked and not yet reported, for the second or two that this takes; then the next goes
/// without.
const MAX_PENDING: usize = 4 << 10;
/// Different stacks kept apart, and named ones remembered. What is still wanted when these are
/// forgotten is soon known again.
const MAX_WALKED: usize = 512;
const MAX_NAMED: usize = 128;
/// How long the debug information stays in memory after the last stack was named.
const KEEP: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Stacks {
    origin: Origin,
    unwind: Unwind,
    symbols: Symbols,
    walked: HashMap<Vec<u64>, Arc<RawStack>>,
    /// By number, with the generation that it is of.
    pending: HashMap<i32, (u32, Arc<RawStack>)>,
    named: HashMap<Vec<u64>, Arc<Stack>>,
    named_at: Option<Instant>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            origin: Origin::now(),
            unwind: Unwind::default(),
            symbols: Symbols::default(),
            walked: HashMap::new(),
            pending: HashMap::new(),
            named: HashMap::new(),
            named_at: None,
        }
    }
}

impl Stacks {
    /// Walks the stacks of what has been open for a while, or of everything at the end.
    pub(crate) fn take_settled(&mut self, is_last: bool) {
        let settled = self.origin.calibrate().ticks_in(SETTLED_AFTER.as_nanos() as u64);
        let until = if is_last { u64::MAX } else { ticks().saturating_sub(settled) };
        let limit = if is_last { usize::MAX } else { MAX_WALKS };
        let Self { unwind, walked, pending, .. } = self;
        notes::each_stack(until, limit, |fd, generation, shot| {
            if pending.len() >= MAX_PENDING {
                return notes::count_without_stack();
            }
            let stack = unwind.stack(shot);
            if walked.len() >= MAX_WALKED {
                walked.clear();
            }
            let known = walked.entry(stack.addresses.clone());
            let stack = known.or_insert_with(|| Arc::new(stack)).clone();
            pending.insert(fd, (generation, stack));
        });
        if self.named_at.is_some_and(|at| at.elapsed() >= KEEP) {
            self.named_at = None;
            self.symbols.forget();
        }
    }

    /// The stack of this opening, named.
    pub(crate) fn take(&mut self, fd: i32, note: Note) -> Option<Arc<Stack>> {
        let (generation, raw) = self.pending.remove(&fd)?;
        if generation != note.generation {
            return None;
        }
        if let Some(known) = self.named.get(&raw.addresses) {
            return Some(known.clone());
        }
        let frames = without_ours(self.symbols.frames(&raw).to_vec());
        let place = own_code(&frames).map(|frame| (frame.file.clone(), frame.line));
        let addresses = raw.addresses.clone();
        let stack = Arc::new(Stack { addresses: addresses.clone(), frames, place });
        if self.named.len() >= MAX_NAMED {
            self.named.clear();
        }
        self.named.insert(addresses, stack.clone());
        self.named_at = Some(Instant::now());
        Some(stack)
    }

    /// Lets go of what was closed before it was reported.
    pub(crate) fn forget_closed(&mut self) {
        self.pending.retain(|&fd, (generation, _)| notes::is_open(fd, *generation));
    }

    /// Roughly what is kept, notes included.
    pub(crate) fn bytes(&self) -> usize {
        const FRAME: usize = 160;
        let addresses = self.walked.keys().map(|addresses| 2 * 8 * addresses.len());
        let frames = self.named.values().map(|stack| FRAME * stack.frames.len());
        let pending = self.pending.capacity() * size_of::<(i32, (u32, Arc<RawStack>))>();
        notes::bytes() + pending + addresses.sum::<usize>() + frames.sum::<usize>()
    }
}

/// Without the frames that took the note.
fn without_ours(mut frames: Vec<Frame>) -> Vec<Frame> {
    let is_ours = |frame: &Frame| {
        frame.function.contains("loopd_agent::fds::")
            || frame.file.contains(file!().trim_end_matches("noted/stacks.rs"))
    };
    // In front of the first that is not ours there may be parts of the standard library, inlined.
    let last = frames.iter().take(12).rposition(is_ours);
    frames.drain(..last.map_or(0, |last| last + 1));
    frames
}

/// The first frame in the program's own code: of no library, and with a known line.
fn own_code(frames: &[Frame]) -> Option<&Frame> {
    const LIBRARIES: [&str; 3] = ["/registry/src/", "/git/checkouts/", "/vendor/"];
    let is_library = |frame: &Frame| {
        is_plumbing(frame) || LIBRARIES.iter().any(|path| frame.file.contains(path))
    };
    frames.iter().find(|frame| frame.line > 0 && !frame.file.is_empty() && !is_library(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame { function: function.into(), file: file.into(), line, address: 0 }
    }

    #[test]
    fn the_place_is_in_the_programs_own_code() {
        let frames = [
            frame("core::ptr::read_volatile", "/rustc/x/library/core/src/ptr/mod.rs", 3),
            frame("loopd_agent::fds::notes::capture", file!(), 1),
            frame("open64", &file!().replace("stacks", "interpose"), 1),
            frame("std::fs::File::open", "/rustc/x/library/std/src/fs.rs", 10),
            frame("tokio::fs::file::File::open::{{closure}}", "", 0),
            frame("reqwest::get", "/home/x/.cargo/registry/src/index/reqwest-0.13/src/lib.rs", 9),
            frame("app::load", "src/load.rs", 7),
            frame("app::main", "src/main.rs", 3),
        ];
        let frames = without_ours(frames.to_vec());
        assert_eq!(frames[0].function, "std::fs::File::open");
        assert_eq!(own_code(&frames).map(|frame| frame.line), Some(7));
    }
}
