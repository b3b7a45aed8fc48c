//! Notes taken at the very moment when a file descriptor is opened or closed.
//!
//! This runs inside calls of the program such as `open`: on any thread, before `main`, in signal
//! handlers, while a thread is torn down. So it takes no lock, allocates nothing and keeps `errno`:
//! fixed tables of atomics, and a pool of buffers for copies of stacks, each owned by whoever took
//! its number out of a slot. What finds no room goes without a stack, and is counted.
#![expect(unsafe_code, reason = "copies raw stack memory of the calling thread")]

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release,
};

use super::super::table::Note;
use crate::clock::ticks;
use crate::recorder;
use crate::watch::Copied;

/// Numbers that are noted; higher ones are only found. Two megabytes of address space, of which only
/// what is used becomes memory.
const MAX_FD: usize = 64 << 10;
/// Copies of stacks that wait to be walked: as many as a program opens in the quarter of a second
/// for which they wait, unless it opens a thousand in a second that stay open.
const MAX_SHOTS: usize = 256;
/// The part of a stack that is copied. Unoptimised code needs about half of it from the call to the
/// task's own.
const SHOT_WORDS: usize = (8 << 10) / 8;
/// A stack that is not to be read directly is asked of the system in pieces that cannot cross into
/// unmapped memory.
const PAGE: usize = 4 << 10;
const WORDS: usize = MAX_SHOTS / 64;

static IS_ACTIVE: AtomicBool = AtomicBool::new(false);
static SLOTS: [Slot; MAX_FD] = [const { Slot::new() }; MAX_FD];
static SHOTS: [Shared; MAX_SHOTS] = [const { Shared::new() }; MAX_SHOTS];
/// A bit for each shot that is taken.
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
static WITHOUT_STACK: AtomicU64 = AtomicU64::new(0);
/// One past the highest number noted, and the highest shot taken: what became memory.
static SLOTS_USED: AtomicUsize = AtomicUsize::new(0);
static SHOTS_USED: AtomicUsize = AtomicUsize::new(0);

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

/// Registers and stack of an opening.
pub(crate) struct Shot {
    ip: u64,
    sp: u64,
    fp: u64,
    len: usize,
    stack: [u64; SHOT_WORDS],
}

struct Shared {
    /// Number and generation that it was taken for; set before it is put into a slot.
    of: AtomicU64,
    shot: UnsafeCell<Shot>,
}

// SAFETY: a shot is touched only by whoever set its bit in TAKEN, until its number is in a slot, and
// then by whoever takes it out of there.
unsafe impl Sync for Shared {}

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
        give_back(self.shot.swap(0, AcqRel));
    }
}

impl Shared {
    const fn new() -> Self {
        let shot = Shot { ip: 0, sp: 0, fp: 0, len: 0, stack: [0; SHOT_WORDS] };
        Self { of: AtomicU64::new(0), shot: UnsafeCell::new(shot) }
    }
}

impl Copied for Shot {
    fn registers(&self) -> crate::watch::Registers {
        crate::watch::Registers { ip: self.ip, sp: self.sp, fp: self.fp }
    }

    fn read(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.sp)?;
        let index = usize::try_from(offset / 8).ok()?;
        (offset % 8 == 0 && index < self.len).then(|| self.stack[index])
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
        match take_shot() {
            Some(index) => {
                let shared = &SHOTS[index];
                shared.of.store(u64::from(generation) << 32 | number as u64, Relaxed);
                // SAFETY: just taken, and in no slot yet.
                capture(unsafe { &mut *shared.shot.get() });
                give_back(slot.shot.swap(index as u32 + 1, AcqRel));
            }
            None => {
                WITHOUT_STACK.fetch_add(1, Relaxed);
            }
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

/// A shot that nobody has.
fn take_shot() -> Option<usize> {
    for (word, taken) in TAKEN.iter().enumerate() {
        let mut bits = taken.load(Relaxed);
        while bits != u64::MAX {
            let bit = bits.trailing_ones();
            bits = taken.fetch_or(1 << bit, Acquire);
            if bits & 1 << bit == 0 {
                let index = word * 64 + bit as usize;
                SHOTS_USED.fetch_max(index + 1, Relaxed);
                return Some(index);
            }
        }
    }
    None
}

/// Gives back what was taken out of a slot.
fn give_back(in_slot: u32) {
    if let Some(index) = in_slot.checked_sub(1) {
        TAKEN[index as usize / 64].fetch_and(!(1 << (index % 64)), Release);
    }
}

/// Copies the calling thread's registers and the top of its stack.
#[inline(never)]
fn capture(shot: &mut Shot) {
    // SAFETY: reads registers only.
    unsafe {
        std::arch::asm!(
            "lea {ip}, [rip]",
            "mov {sp}, rsp",
            "mov {fp}, rbp",
            ip = out(reg) shot.ip,
            sp = out(reg) shot.sp,
            fp = out(reg) shot.fp,
            options(nomem, nostack, preserves_flags),
        );
    }
    let sp = shot.sp as usize;
    let own = recorder::existing_lane().map_or(0..0, |lane| lane.stack_of_holder());
    shot.len = if own.contains(&sp) {
        let len = ((own.end - sp) / 8).min(SHOT_WORDS);
        // SAFETY: between the stack pointer and the end of the thread's own stack everything is
        // mapped. Other code owns these words, but runs on this very thread, which is in here; so
        // the copy is not made in terms of the language. It stays within the shot's stack.
        unsafe {
            std::arch::asm!(
                "rep movsq",
                inout("rcx") len => _,
                inout("rsi") sp => _,
                inout("rdi") shot.stack.as_mut_ptr() => _,
                options(nostack, preserves_flags),
            );
        }
        len
    } else {
        ask_for(sp, &mut shot.stack)
    };
}

/// Has the system copy memory that may end anywhere: a thread's that is not known, a coroutine's.
/// Gives how many words there were.
fn ask_for(sp: usize, words: &mut [u64; SHOT_WORDS]) -> usize {
    const PIECES: usize = size_of::<[u64; SHOT_WORDS]>() / PAGE + 1;
    let mut left = size_of_val(words);
    let mut from = sp;
    let pieces: [libc::iovec; PIECES] = std::array::from_fn(|_| {
        let len = left.min(PAGE - from % PAGE);
        let piece = libc::iovec { iov_base: from as *mut _, iov_len: len };
        (from, left) = (from + len, left - len);
        piece
    });
    let to = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(words) };
    // SAFETY: `to` is valid for writes; what cannot be read is an error, or ends the copy.
    let len =
        unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, pieces.as_ptr(), PIECES as _, 0) };
    usize::try_from(len).unwrap_or(0) / 8
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
    SLOTS_USED.load(Relaxed) * size_of::<Slot>() + SHOTS_USED.load(Relaxed) * size_of::<Shared>()
}

/// Shows `walk` the stacks of what was opened before `until` ticks, or any when the pool is half
/// full, at most `limit`; with their numbers and generations.
pub(crate) fn each_stack(until: u64, limit: usize, mut walk: impl FnMut(i32, u32, &Shot)) {
    let bits: Vec<u64> = TAKEN.iter().map(|taken| taken.load(Acquire)).collect();
    let count: u32 = bits.iter().map(|bits| bits.count_ones()).sum();
    let is_crowded = count as usize >= MAX_SHOTS / 2;
    let taken = (0..MAX_SHOTS).filter(|index| bits[index / 64] & 1 << (index % 64) != 0);
    let mut left = limit;
    for index in taken {
        let of = SHOTS[index].of.load(Relaxed);
        let (fd, generation) = (of as u32 as i32, (of >> 32) as u32);
        let Some(slot) = slot(fd) else { continue };
        let is_settled = is_crowded || slot.opened_at.load(Relaxed) < until;
        let in_slot = index as u32 + 1;
        if left > 0 && is_settled && slot.shot.compare_exchange(in_slot, 0, AcqRel, Relaxed).is_ok()
        {
            // SAFETY: just taken out of its slot.
            walk(fd, generation, unsafe { &*SHOTS[index].shot.get() });
            give_back(in_slot);
            left -= 1;
        }
    }
}
