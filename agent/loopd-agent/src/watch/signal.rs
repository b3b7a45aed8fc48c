//! Taking the registers and the upper part of threads' own stacks, by a signal to each thread.
//!
//! A few requests can be open at a time, each in a slot of its own. A thread that is asleep or
//! computing answers at once; one that waits for a processor answers when it gets one, and then
//! still shows what it was doing when it was asked, since it did nothing in between. The life of a
//! request is one atomic, [`Slot::request`], which names the thread it is for: the watchdog makes it
//! `ASKED`, that thread's handler takes it from `ASKED` to `COPYING` to `DONE`, the watchdog takes it
//! back to `IDLE`. Between `COPYING` and `DONE` only the handler touches the slot, otherwise only
//! the watchdog. A request that was withdrawn (`ASKED` to `IDLE`) leaves a handler that comes late
//! nothing to do, and one for another thread likewise.
#![expect(unsafe_code, reason = "installs a signal handler and copies raw stack memory in it")]

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::unwind::{Copied, Registers};
use crate::lane::Lane;

/// Reserved by nobody, ignored by default, and restarts what it interrupts. Go chose it for the
/// same reasons.
const SIGNAL: libc::c_int = libc::SIGURG;
/// The part of the stack that is copied; deeper frames are cut.
const MAX_STACK: usize = 64 << 10;
/// Requests that are open at the same time: on a machine where more threads wait for a processor,
/// the others wait for their turn.
const MAX_OPEN: usize = 8;

/// The low two bits of a request; the thread's id is above them, and 0 while `IDLE`.
const IDLE: u64 = 0;
const ASKED: u64 = 1;
const COPYING: u64 = 2;
const DONE: u64 = 3;

static SLOTS: [Slot; MAX_OPEN] = [const { Slot::new() }; MAX_OPEN];

/// One request and its answer.
struct Slot {
    request: AtomicU64,
    /// The lane that the thread was seen to hold. Written while `IDLE`, read while `COPYING`.
    lane: AtomicPtr<Lane>,
    shot: UnsafeCell<Shot>,
}

// SAFETY: who may touch the shot is handed over by `request`, as the module says.
unsafe impl Sync for Slot {}

/// Registers and stack of a thread at one instant.
pub(super) struct Shot {
    pub(super) ip: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    /// Where the interrupted function returns to, unless it has stored that on its stack.
    #[cfg(target_arch = "aarch64")]
    pub(super) lr: u64,
    /// Words of `stack` that are filled.
    len: usize,
    stack: [u64; MAX_STACK / 8],
}

impl Copied for Shot {
    fn registers(&self) -> Registers {
        Registers {
            ip: self.ip,
            sp: self.sp,
            fp: self.fp,
            #[cfg(target_arch = "aarch64")]
            lr: self.lr,
        }
    }

    fn read(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.sp)?;
        let index = usize::try_from(offset / 8).ok()?;
        (offset % 8 == 0 && index < self.len).then(|| self.stack[index])
    }
}

/// Installs the handler, unless the program uses the signal itself.
pub(super) fn install() -> Result<(), &'static str> {
    // SAFETY: the structures are initialised before they are read; the handler does only what a
    // signal handler may.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(SIGNAL, ptr::null(), &mut current) != 0 {
            return Err("the system does not tell who handles SIGURG");
        }
        if current.sa_sigaction != libc::SIG_DFL && current.sa_sigaction != libc::SIG_IGN {
            return Err("the program handles SIGURG itself");
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            on_signal;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        match libc::sigaction(SIGNAL, &action, ptr::null_mut()) {
            0 => Ok(()),
            _ => Err("the system refused a handler for SIGURG"),
        }
    }
}

/// The request for this thread, in this state.
fn request(tid: i32, state: u64) -> u64 {
    u64::from(tid.unsigned_abs()) << 2 | state
}

impl Slot {
    const fn new() -> Self {
        let shot = Shot {
            ip: 0,
            sp: 0,
            fp: 0,
            #[cfg(target_arch = "aarch64")]
            lr: 0,
            len: 0,
            stack: [0; MAX_STACK / 8],
        };
        Self {
            request: AtomicU64::new(IDLE),
            lane: AtomicPtr::new(ptr::null_mut()),
            shot: UnsafeCell::new(shot),
        }
    }

    /// Whether it can be used for a request.
    fn is_free(&self) -> bool {
        match self.request.load(Acquire) & 3 {
            IDLE => true,
            // The answer to an earlier request that was given up.
            DONE => {
                self.request.store(IDLE, Relaxed);
                true
            }
            // A handler is still copying for one.
            _ => false,
        }
    }

    /// Asks the thread that holds a lane. The slot is free.
    fn ask(&self, lane: &'static Lane, tid: i32) {
        self.lane.store(ptr::from_ref(lane).cast_mut(), Relaxed);
        self.request.store(request(tid, ASKED), Release);
        // SAFETY: takes plain numbers; a thread that is gone is an error, not undefined. Such a
        // request is withdrawn in time, like any that nobody answers.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, SIGNAL) };
    }

    fn is_answered(&self, tid: i32) -> bool {
        self.request.load(Acquire) == request(tid, DONE)
    }

    /// Ends a request: gives `use_shot` the answer if there is one, else takes the request back.
    fn finish(&self, tid: i32, use_shot: impl FnOnce(&Shot)) {
        if self.is_answered(tid) {
            // SAFETY: the state is DONE, so the handler has finished and no other can start.
            use_shot(unsafe { &*self.shot.get() });
            self.request.store(IDLE, Release);
        } else {
            let _ = self.request.compare_exchange(request(tid, ASKED), IDLE, AcqRel, Relaxed);
        }
    }
}

/// The requests that are open, and what the watchdog wants to remember of each. There is one of
/// these, the watchdog's.
pub(super) struct Requests<T> {
    open: Vec<Open<T>>,
}

struct Open<T> {
    slot: &'static Slot,
    tid: i32,
    what: T,
}

impl<T> Requests<T> {
    pub(super) fn new() -> Self {
        Self { open: Vec::new() }
    }

    /// What is open.
    pub(super) fn open(&self) -> impl Iterator<Item = &T> {
        self.open.iter().map(|open| &open.what)
    }

    /// How many more fit.
    pub(super) fn room(&self) -> usize {
        MAX_OPEN - self.open.len()
    }

    /// Asks the thread that holds a lane for its registers and stack, if there is room.
    pub(super) fn ask(&mut self, lane: &'static Lane, tid: i32, what: T) {
        let is_open = |slot: &Slot| self.open.iter().any(|open| ptr::eq(open.slot, slot));
        if let Some(slot) = SLOTS.iter().find(|slot| !is_open(slot) && slot.is_free()) {
            slot.ask(lane, tid);
            self.open.push(Open { slot, tid, what });
        }
    }

    /// Takes the answers there are.
    pub(super) fn take_answers(&mut self, mut use_shot: impl FnMut(T, &Shot)) {
        let answered = self.open.extract_if(.., |open| open.slot.is_answered(open.tid));
        for Open { slot, tid, what } in answered {
            slot.finish(tid, |shot| use_shot(what, shot));
        }
    }

    /// Withdraws what is no longer wanted.
    pub(super) fn withdraw(&mut self, mut is_over: impl FnMut(&T) -> bool) {
        let over = self.open.extract_if(.., |open| is_over(&open.what));
        over.for_each(|open| open.slot.finish(open.tid, |_| ()));
    }
}

/// Runs on the interrupted thread. Async-signal-safe: atomics, one system call, plain copying.
extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is this thread's own; it is put back as it was found. `context` is what the
    // kernel passes to an SA_SIGINFO handler. Lanes are never freed.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let tid = libc::syscall(libc::SYS_gettid) as i32;
        let (asked, copying) = (request(tid, ASKED), request(tid, COPYING));
        let take =
            |slot: &&Slot| slot.request.compare_exchange(asked, copying, AcqRel, Relaxed).is_ok();
        if let Some(slot) = SLOTS.iter().find(take) {
            // A thread that no longer holds the lane may have another's id: then it has no stack.
            let lane = slot.lane.load(Relaxed).as_ref();
            let stack = lane.and_then(|lane| lane.own_stack(tid)).unwrap_or(0..0);
            copy(&mut *slot.shot.get(), context.cast_const().cast(), &stack);
            slot.request.store(request(tid, DONE), Release);
        }
        *errno = saved;
    }
}

/// Copies the registers, and the stack from the stack pointer upwards.
///
/// # Safety
/// `context` is the interrupted thread's, this is that thread, and `stack` its own stack.
unsafe fn copy(shot: &mut Shot, context: *const libc::ucontext_t, stack: &Range<usize>) {
    // SAFETY: promised by the caller.
    let machine = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    {
        shot.ip = machine.gregs[libc::REG_RIP as usize] as u64;
        shot.sp = machine.gregs[libc::REG_RSP as usize] as u64 & !7;
        shot.fp = machine.gregs[libc::REG_RBP as usize] as u64;
    }
    #[cfg(target_arch = "aarch64")]
    {
        shot.ip = machine.pc;
        shot.sp = machine.sp & !7;
        shot.fp = machine.regs[29];
        shot.lr = machine.regs[30];
    }
    let sp = shot.sp as usize;
    shot.len = readable_words(sp, stack).min(shot.stack.len());
    for index in 0..shot.len {
        // SAFETY: between the stack pointer and the end of the thread's own stack everything is
        // mapped. Other code owns these words, but runs on this very thread, which is in here.
        shot.stack[index] = unsafe { ptr::read_volatile((sp as *const u64).add(index)) };
    }
}

/// How many words may be read from the stack pointer upwards: none unless it is in the thread's own
/// stack. Elsewhere it is a coroutine's, which may end anywhere, before unmapped memory.
fn readable_words(sp: usize, stack: &Range<usize>) -> usize {
    // Without a limit on its size the main thread's stack is told to reach down to whatever was
    // mapped below it at that time; what is mapped there later is not stack.
    const MOST_PLAUSIBLE: usize = 1 << 30;
    if stack.contains(&sp) && stack.end - sp <= MOST_PLAUSIBLE { (stack.end - sp) / 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::ThreadInfo;

    const STACK: Range<usize> = 0x7000_0000_0000..0x7000_0020_0000;

    #[test]
    fn only_the_threads_own_stack_is_read_and_only_to_its_end() {
        for (sp, words) in [
            (STACK.start, (2 << 20) / 8),
            (STACK.end - 8, 1),
            (STACK.end - 7, 0),
            (STACK.end, 0),
            (STACK.start - 8, 0),
            // A coroutine's stack, mapped below the worker's.
            (STACK.start - (1 << 20), 0),
            (STACK.end + (1 << 20), 0),
            (0, 0),
        ] {
            assert_eq!(readable_words(sp, &STACK), words, "{sp:x}");
        }
        assert_eq!(readable_words(STACK.start, &(0..0)), 0, "an unknown stack");
        assert_eq!(readable_words(STACK.start, &(4096..STACK.end)), (2 << 20) / 8);
        assert_eq!(readable_words(1 << 40, &(4096..STACK.end)), 0, "far below the stack's end");
    }

    #[test]
    fn a_lane_tells_its_stack_to_its_holder_only() {
        let lane = Lane::new(1024, false);
        assert_eq!(lane.own_stack(0), None);
        lane.hold(ThreadInfo { name: String::new(), id: 7 }, STACK);
        assert_eq!((lane.own_stack(7), lane.own_stack(8)), (Some(STACK), None));
        lane.retire();
        assert_eq!((lane.own_stack(7), lane.own_stack(0)), (None, None));
    }

    #[test]
    fn a_request_is_for_one_thread() {
        assert_ne!(request(7, ASKED), request(8, ASKED));
        assert_eq!(request(i32::MAX, DONE) & 3, DONE);
        assert_eq!(request(i32::MAX, DONE) >> 2, i32::MAX as u64);
    }
}
