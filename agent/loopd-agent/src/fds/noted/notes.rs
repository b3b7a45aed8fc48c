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
    Ordering::Relaxed, Ordering::Release, fence,
};

use super::super::table::Note;
use super::shots::{self, Shot};
use crate::clock::ticks;
use crate::recorder;

/// Numbers that are noted; higher ones are only found. Three megabytes of address space, of which
/// only what is used becomes memory.
const MAX_FD: usize = 64 << 10;
/// How often a note that is being written is looked at before it counts as none: writing takes some
/// nanoseconds, unless the thread loses its processor meanwhile.
const MAX_TRIES: u32 = 100;

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
    /// Counts openings by two. Odd while one is being written: `opened_at` and `task` belong together
    /// if this is even, and the same before and after they are read.
    generation: AtomicU32,
    /// The opening that does not count any more: its file is gone in a way that was not noted, or
    /// may be, since nothing was noted for a while.
    gone: AtomicU32,
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
            gone: AtomicU32::new(0),
            shot: AtomicU32::new(0),
            opened_at: AtomicU64::new(0),
            closed_at: AtomicU64::new(0),
            task: AtomicU64::new(0),
        }
    }

    /// Notes an opening; says which one it is. `None` while another thread notes one of this number.
    fn open(&self, at: u64, task: u64) -> Option<u32> {
        let before = self.generation.load(Relaxed);
        let writing = before | 1;
        let is_ours = before != writing
            && self.generation.compare_exchange(before, writing, Acquire, Relaxed).is_ok();
        if !is_ours {
            return None;
        }
        // Whoever sees any of the following also sees that it is being written.
        fence(Release);
        if self.opened_at.load(Relaxed) != 0 {
            // Closed by a way that is not noted.
            self.close(at);
        }
        self.task.store(task, Relaxed);
        self.opened_at.store(at, Relaxed);
        let generation = writing.wrapping_add(1).max(2);
        self.generation.store(generation, Release);
        Some(generation)
    }

    /// What is noted of the opening; nothing if that is being written, or does not count.
    fn opening(&self) -> Note {
        for _ in 0..MAX_TRIES {
            let generation = self.generation.load(Acquire);
            let (opened_at, task) = (self.opened_at.load(Relaxed), self.task.load(Relaxed));
            fence(Acquire);
            let is_whole =
                generation.is_multiple_of(2) && self.generation.load(Relaxed) == generation;
            if is_whole && generation == self.gone.load(Relaxed) {
                break;
            }
            if is_whole {
                return Note { generation, opened_at, closed_at: 0, task };
            }
            std::hint::spin_loop();
        }
        Note::default()
    }

    /// What is noted of the opening up to now counts no more, also if it is still being written.
    fn expire(&self) {
        let generation = self.generation.load(Acquire);
        self.gone.store(generation.wrapping_add(generation % 2), Relaxed);
    }

    /// Notes a close, unless one is noted that nobody has read yet: the first one counts.
    fn close(&self, at: u64) {
        self.opened_at.store(0, Relaxed);
        let _ = self.closed_at.compare_exchange(0, at, Relaxed, Relaxed);
        shots::give_back(self.shot.swap(0, AcqRel));
    }
}

/// Switches the taking of notes. Those from before a pause do not count: what they are of may have
/// been closed in it, and its number used again.
pub(crate) fn set_active(is_on: bool) {
    if is_on && !IS_ACTIVE.load(Relaxed) {
        SLOTS[..SLOTS_USED.load(Relaxed)].iter().for_each(Slot::expire);
    }
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
        let generation = slot.open(ticks(), recorder::current_task());
        let Some(generation) = generation else { return count_without_stack() };
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
    let note = slot.opening();
    Note { closed_at: slot.closed_at.swap(0, Relaxed), ..note }
}

/// When a number that is not open any more was first closed; 0 if that is not noted. What was noted
/// of this opening of it counts no more, should the number be opened without a note.
pub(crate) fn take_closed_at(fd: i32, generation: u32) -> u64 {
    let Some(slot) = slot(fd) else { return 0 };
    if slot.generation.load(Acquire) == generation {
        slot.gone.store(generation, Relaxed);
    }
    slot.closed_at.swap(0, Relaxed)
}

/// Whether the number still stands for what this generation opened, as far as was noted.
pub(crate) fn is_open(fd: i32, generation: u32) -> bool {
    let opening = slot(fd).map(Slot::opening).unwrap_or_default();
    opening.generation == generation && opening.opened_at != 0
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that nothing else in this process has.
    const FD: i32 = MAX_FD as i32 - 1;

    #[test]
    fn a_note_is_read_whole_or_not_at_all() {
        static SLOT: Slot = Slot::new();
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        let write = || {
            for number in 1..=300_000 {
                SLOT.open(number, number);
            }
            IS_OVER.store(true, Relaxed);
        };
        std::thread::scope(|scope| {
            scope.spawn(write);
            scope.spawn(write);
            let mut last = 0;
            while !IS_OVER.load(Relaxed) {
                let note = SLOT.opening();
                assert_eq!(note.opened_at, note.task);
                assert!(note.generation == 0 || note.generation >= last, "{note:?} after {last}");
                last = last.max(note.generation);
            }
        });
    }

    #[test]
    fn what_is_gone_without_a_note_or_was_noted_before_a_pause_counts_no_more() {
        let slot = &SLOTS[FD as usize];
        SLOTS_USED.fetch_max(MAX_FD, Relaxed);
        set_active(true);
        let first = slot.open(10, 7).unwrap();
        let note = Note { generation: first, opened_at: 10, closed_at: 0, task: 7 };
        assert_eq!(read(FD), note);
        assert!(is_open(FD, first));
        set_active(true);
        assert_eq!(read(FD), note, "it was on already");
        set_active(false);
        set_active(true);
        assert_eq!(read(FD), Note::default());
        assert!(!is_open(FD, first));
        let second = slot.open(20, 8).unwrap();
        assert_eq!(take_closed_at(FD, first), 20, "found out by the second");
        assert_eq!(read(FD).opened_at, 20, "which is not what is gone");
        assert_eq!(take_closed_at(FD, second), 0);
        assert_eq!(read(FD), Note::default());
        set_active(false);
    }

    #[test]
    fn the_count_of_openings_never_means_none() {
        let slot = Slot::new();
        slot.generation.store(u32::MAX - 1, Relaxed);
        assert_eq!(slot.open(1, 1), Some(2));
        assert_eq!(slot.open(1, 1), Some(4));
        slot.generation.store(5, Relaxed);
        assert_eq!(slot.open(1, 1), None, "another thread is at it");
        assert_eq!(slot.opening(), Note::default());
        slot.expire();
        slot.generation.store(6, Relaxed);
        assert_eq!(slot.opening(), Note::default(), "written at the time of the pause");
    }
}
