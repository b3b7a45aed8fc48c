//! The pool of copies of stacks. A shot is owned by whoever claimed it, until its number is put into
//! a slot of [`notes`](super::notes), and then by whoever takes it out of there. Async-signal-safe.
#![expect(unsafe_code, reason = "copies raw stack memory of the calling thread")]

use std::cell::UnsafeCell;
use std::sync::atomic::{
    AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use crate::recorder;
use crate::watch::{Copied, Registers};

/// Copies of stacks that wait to be walked: as many as a program opens in the quarter of a second
/// for which they wait, unless it opens a thousand in a second that stay open.
pub(crate) const MAX_SHOTS: usize = 256;
/// The part of a stack that is copied. Unoptimised code needs about half of it from the call to the
/// task's own.
const SHOT_WORDS: usize = (8 << 10) / 8;
const MAX_BYTES: usize = 8 * SHOT_WORDS;
/// What is mapped and protected as one.
const PAGE: usize = 4 << 10;
const WORDS: usize = MAX_SHOTS / 64;

static SHOTS: [Shared; MAX_SHOTS] = [const { Shared::new() }; MAX_SHOTS];
/// A bit for each shot that is taken.
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
/// One past the highest shot taken: what became memory.
static SHOTS_USED: AtomicUsize = AtomicUsize::new(0);

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

// SAFETY: a shot is touched by its owner only, as the module says.
unsafe impl Sync for Shared {}

impl Shared {
    const fn new() -> Self {
        let shot = Shot { ip: 0, sp: 0, fp: 0, len: 0, stack: [0; SHOT_WORDS] };
        Self { of: AtomicU64::new(0), shot: UnsafeCell::new(shot) }
    }
}

impl Copied for Shot {
    fn registers(&self) -> Registers {
        Registers { ip: self.ip, sp: self.sp, fp: self.fp }
    }

    fn read(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.sp)?;
        let index = usize::try_from(offset / 8).ok()?;
        (offset % 8 == 0 && index < self.len).then(|| self.stack[index])
    }
}

/// Takes a shot of the calling thread, for this number and generation; `None` when all are taken.
pub(crate) fn take(number: u32, generation: u32) -> Option<usize> {
    let index = claim()?;
    let shared = &SHOTS[index];
    shared.of.store(u64::from(generation) << 32 | u64::from(number), Relaxed);
    // SAFETY: just claimed, and in no slot yet.
    capture(unsafe { &mut *shared.shot.get() });
    Some(index)
}

/// The shots that are taken now.
pub(crate) fn taken() -> Vec<usize> {
    let bits: Vec<u64> = TAKEN.iter().map(|taken| taken.load(Acquire)).collect();
    (0..MAX_SHOTS).filter(|index| bits[index / 64] & 1 << (index % 64) != 0).collect()
}

/// The number and generation that a shot was last taken for.
pub(crate) fn made_for(index: usize) -> (i32, u32) {
    let of = SHOTS[index].of.load(Relaxed);
    (of as u32 as i32, (of >> 32) as u32)
}

/// What is in a shot.
///
/// # Safety
/// The caller owns it: it has taken its number out of a slot, and not given it back.
pub(crate) unsafe fn shot(index: usize) -> &'static Shot {
    // SAFETY: promised by the caller.
    unsafe { &*SHOTS[index].shot.get() }
}

/// Memory that shots take.
pub(crate) fn bytes() -> usize {
    SHOTS_USED.load(Relaxed) * size_of::<Shared>()
}

/// A shot that nobody has.
fn claim() -> Option<usize> {
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
pub(crate) fn give_back(in_slot: u32) {
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
    let len = if own.contains(&sp) { own.end - sp } else { readable(sp, MAX_BYTES) };
    shot.len = len.min(MAX_BYTES) / 8;
    // SAFETY: between the stack pointer and the end of the thread's own stack everything is mapped;
    // of a stack that is not known the system has said so. Other code owns these words, but runs on
    // this very thread, which is in here; so the copy is not made in terms of the language. It stays
    // within the shot's stack.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") shot.len => _,
            inout("rsi") sp => _,
            inout("rdi") shot.stack.as_mut_ptr() => _,
            options(nostack, preserves_flags),
        );
    }
}

/// How many bytes, `limit` at most, can be read from `from` on: of a stack that may end anywhere, as
/// that of a thread that is not known, or of a coroutine.
fn readable(from: usize, limit: usize) -> usize {
    let mut end = from;
    while end < from + limit && is_readable(end) {
        end = (end / PAGE + 1) * PAGE;
    }
    end.min(from + limit) - from
}

/// Whether the page of this address, a multiple of eight, can be read. Asks with a request to change
/// the signal mask in a way that does not exist: the system reads the new mask before it refuses.
/// Starting a thread makes this call too, so filters of system calls know it; `process_vm_readv` is
/// one that they end programs for. Changes `errno`.
fn is_readable(address: usize) -> bool {
    const NO_SUCH_WAY: libc::c_int = -1;
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: what cannot be read is an error; nothing is changed or written.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_WAY, address, none, size_of::<u64>());
        *libc::__errno_location() == libc::EINVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mapped_or_not_readable_ends_a_stack() {
        // SAFETY: fresh memory, of which only the protection of the last page is changed.
        let start = unsafe {
            let (all, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
            let how = how | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), 3 * PAGE, all, how, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.byte_add(2 * PAGE), PAGE, libc::PROT_NONE), 0);
            start as usize
        };
        assert_eq!(readable(start + 16, MAX_BYTES), 2 * PAGE - 16);
        assert_eq!(readable(start + 2 * PAGE - 8, MAX_BYTES), 8);
        assert_eq!(readable(start + 2 * PAGE, MAX_BYTES), 0);
        assert_eq!(readable(start, 64), 64);
        assert_eq!(readable(8, MAX_BYTES), 0);
    }

    #[test]
    fn asking_does_not_change_the_signal_mask() {
        let mask = || {
            let mut mask = 0u64;
            let none = std::ptr::null_mut::<u64>();
            // SAFETY: `mask` is valid for writes of this size.
            unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, none, &mut mask, 8) };
            mask
        };
        let (before, wanted) = (mask(), u64::MAX);
        assert!(is_readable(&raw const wanted as usize));
        assert_eq!(mask(), before);
    }
}
