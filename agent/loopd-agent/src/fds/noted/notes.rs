//! Notes taken at the very moment when a file descriptor is opened or closed.
//!
//! This runs inside calls of the program such as `open`: on any thread, before `main`, in signal
//! handlers, while a thread is torn down. So it takes no lock, allocates nothing and keeps `errno`:
//! fixed tables of atomics, and a pool of copies of stacks ([`shots`]). What finds no room goes
//! without a stack, and is counted.
#![expect(unsafe_code, reason = "keeps errno, and reads shots that it owns")]

use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release,
};

use super::super::table::Note;
use super::shots::{self, Shot};
use crate::clock::ticks;
use crate::recorder;

/// Numbers that are noted; higher ones are only found. Two megabytes of address space, of which only
/// what is used becomes memory.
const MAX_FD: usize = 64 << 10;

static IS_ACTIVE: AtomicBool = AtomicBool::new(false);
static SLOTS: [Slot; MAX_FD] = [const { Slot::new() }; MAX_FD];
static WITHOUT_STACK: AtomicU64 = AtomicU64::new(0);
/// One past the highest number noted: what became memory.
static SLOTS_USED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set while a note is taken, so that a signal handler that opens a file in the middle of one
    /// takes none; and for ever on the agent's own threads.
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// What is noted of a number.
struct Slot {
    /// Counts openings.
    generation: AtomicU32,
    /// The shot of its stack, plus one; 0 for none. Whoever takes it out owns the shot.
    shot: AtomicU32,
    opened_at: AtomicU64,
    closed_at: AtomicU64,
    task: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            generation: AtomicU32::new(0),
            shot: AtomicU32::new(0),
            opened_at: AtomicU64::new(0),
            closed_at: AtomicU64::new(0),
            task: AtomicU64::new(0),
        }
    }

    /// Notes a close, unless one is noted that nobody has read yet: the first one counts.
    fn close(&self, at: u64) {
        self.opened_at.store(0, Relaxed);
        let _ = self.closed_at.compare_exchange(0, at, Relaxed, Relaxed);
        shots::give_back(self.shot.swap(0, AcqRel));
    }
}

/// Switches the taking of notes.
pub(crate) fn set_active(is_on: bool) {
    IS_ACTIVE.store(is_on, Relaxed);
}

/// The calling thread is the agent's own: what it opens is not noted.
pub(crate) fn exclude_this_thread() {
    IS_BUSY.set(true);
}

/// Notes that the calling thread has just opened this number. Keeps `errno`.
#[inline]
pub(crate) fn opened(fd: i32) {
    note(fd, |slot, number| {
        let at = ticks();
        if slot.opened_at.load(Relaxed) != 0 {
            // Closed by a way that is not noted.
            slot.close(at);
        }
        let generation = slot.generation.load(Relaxed).wrapping_add(1).max(1);
        slot.task.store(recorder::current_task(), Relaxed);
        slot.opened_at.store(at, Relaxed);
        slot.generation.store(generation, Release);
        match shots::take(number as u32, generation) {
            Some(index) => shots::give_back(slot.shot.swap(index as u32 + 1, AcqRel)),
            None => count_without_stack(),
        }
    });
}

/// Notes that the calling thread is about to close this number: afterwards it may already stand for
/// something else. Keeps `errno`.
#[inline]
pub(crate) fn closing(fd: i32) {
    note(fd, |slot, _| slot.close(ticks()));
}

#[inline]
fn note(fd: i32, take: impl FnOnce(&Slot, usize)) {
    if !IS_ACTIVE.load(Relaxed) || !recorder::is_recording() || IS_BUSY.get() {
        return;
    }
    let Ok(number) = usize::try_from(fd) else { return };
    let Some(slot) = SLOTS.get(number) else { return };
    IS_BUSY.set(true);
    // SAFETY: errno is the calling thread's own; it is put back as it was found.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    SLOTS_USED.fetch_max(number + 1, Relaxed);
    take(slot, number);
    // SAFETY: as above.
    unsafe { *errno = before };
    IS_BUSY.set(false);
}

/// What is noted of a number; a close is taken out.
pub(crate) fn read(fd: i32) -> Note {
    let Some(slot) = slot(fd) else { return Note::default() };
    loop {
        let generation = slot.generation.load(Acquire);
        let (opened_at, task) = (slot.opened_at.load(Relaxed), slot.task.load(Relaxed));
        std::sync::atomic::fence(Acquire);
        if slot.generation.load(Relaxed) == generation {
            let closed_at = slot.closed_at.swap(0, Relaxed);
            return Note { generation, opened_at, closed_at, task };
        }
    }
}

/// When a number that is not open any more was first closed; 0 if that is not noted.
pub(crate) fn take_closed_at(fd: i32) -> u64 {
    slot(fd).map_or(0, |slot| slot.closed_at.swap(0, Relaxed))
}

/// Whether the number still stands for what this generation opened, as far as was noted.
pub(crate) fn is_open(fd: i32, generation: u32) -> bool {
    let is_it = |slot: &Slot| {
        slot.generation.load(Acquire) == generation && slot.opened_at.load(Relaxed) != 0
    };
    slot(fd).is_some_and(is_it)
}

fn slot(fd: i32) -> Option<&'static Slot> {
    usize::try_from(fd).ok().and_then(|number| SLOTS.get(number))
}

/// Openings whose stack found no room, since the start.
pub(crate) fn without_stack() -> u64 {
    WITHOUT_STACK.load(Relaxed)
}

/// Counts one more.
pub(crate) fn count_without_stack() {
    WITHOUT_STACK.fetch_add(1, Relaxed);
}

/// Memory that notes take.
pub(crate) fn bytes() -> usize {
    SLOTS_USED.load(Relaxed) * size_of::<Slot>() + shots::bytes()
}

/// Shows `walk` the stacks of what was opened before `until` ticks, or any when the pool is half
/// full, at most `limit`; with their numbers and generations.
pub(crate) fn each_stack(until: u64, limit: usize, mut walk: impl FnMut(i32, u32, &Shot)) {
    let taken = shots::taken();
    let is_crowded = taken.len() >= shots::MAX_SHOTS / 2;
    let mut left = limit;
    for index in taken {
        let (fd, _) = shots::made_for(index);
        let Some(slot) = slot(fd).filter(|_| left > 0) else { continue };
        let is_settled = is_crowded || slot.opened_at.load(Relaxed) < until;
        let in_slot = index as u32 + 1;
        if is_settled && slot.shot.compare_exchange(in_slot, 0, AcqRel, Relaxed).is_ok() {
            let (_, generation) = shots::made_for(index);
            // SAFETY: just taken out of its slot.
            walk(fd, generation, unsafe { shots::shot(index) });
            shots::give_back(in_slot);
            left -= 1;
        }
    }
}
