//! Taking the registers and the upper part of a thread's own stack, by a signal to that thread.
//!
//! One request is open at a time. Its life is one atomic, [`STATE`]: the watchdog makes it `ASKED`,
//! the handler takes it from `ASKED` to `COPYING` to `DONE`, the watchdog takes it back to `IDLE`.
//! Between `COPYING` and `DONE` only the handler touches the buffer, otherwise only the watchdog. A
//! request that was withdrawn (`ASKED` to `IDLE`) leaves a handler that comes late nothing to do.
#![expect(unsafe_code, reason = "installs a signal handler and copies raw stack memory in it")]

use std::cell::UnsafeCell;
use std::sync::atomic::{
    AtomicI32, AtomicU32, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};
use std::time::{Duration, Instant};

/// Reserved by nobody, ignored by default, and restarts what it interrupts. Go chose it for the
/// same reasons.
const SIGNAL: libc::c_int = libc::SIGURG;
/// The part of the stack that is copied; deeper frames are cut.
const MAX_STACK: usize = 64 << 10;
/// A thread that does not run its handler within this is left alone.
const PATIENCE: Duration = Duration::from_millis(50);

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const COPYING: u32 = 2;
const DONE: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(IDLE);
/// Which thread the request is for; another thread's handler, called by somebody else's signal,
/// must not answer.
static WANTED: AtomicI32 = AtomicI32::new(0);
static STACK_END: AtomicUsize = AtomicUsize::new(0);
static SHOT: Shared =
    Shared(UnsafeCell::new(Shot { ip: 0, sp: 0, fp: 0, len: 0, stack: [0; MAX_STACK / 8] }));

/// What the handler leaves behind.
struct Shared(UnsafeCell<Shot>);

// SAFETY: who may touch the shot is handed over by STATE, as the module says.
unsafe impl Sync for Shared {}

/// Registers and stack of a thread at one instant.
pub(super) struct Shot {
    pub(super) ip: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    /// Words of `stack` that are filled.
    len: usize,
    stack: [u64; MAX_STACK / 8],
}

impl Shot {
    /// The word at this address, if it was copied.
    pub(super) fn read(&self, address: u64) -> Option<u64> {
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
        if libc::sigaction(SIGNAL, std::ptr::null(), &mut current) != 0 {
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
        match libc::sigaction(SIGNAL, &action, std::ptr::null_mut()) {
            0 => Ok(()),
            _ => Err("the system refused a handler for SIGURG"),
        }
    }
}

/// Asks a thread for its registers and stack, and runs `use_shot` on them. Watchdog only.
pub(super) fn take<T>(tid: i32, stack_end: usize, use_shot: impl FnOnce(&Shot) -> T) -> Option<T> {
    // A handler still copying for an earlier request that was given up.
    if STATE.load(Acquire) == DONE {
        STATE.store(IDLE, Relaxed);
    }
    WANTED.store(tid, Relaxed);
    STACK_END.store(stack_end, Relaxed);
    STATE.compare_exchange(IDLE, ASKED, AcqRel, Relaxed).ok()?;
    // SAFETY: takes plain numbers; a thread that is gone is an error, not undefined.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, SIGNAL) } == 0;
    let since = Instant::now();
    while sent && STATE.load(Acquire) != DONE && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_micros(20));
    }
    if STATE.compare_exchange(ASKED, IDLE, AcqRel, Relaxed).is_ok() {
        return None;
    }
    if STATE.load(Acquire) != DONE {
        return None;
    }
    // SAFETY: the state is DONE, so the handler has finished and no other can start.
    let result = use_shot(unsafe { &*SHOT.0.get() });
    STATE.store(IDLE, Release);
    Some(result)
}

/// Runs on the interrupted thread. Async-signal-safe: atomics, one system call, plain copying.
extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is this thread's own; it is put back as it was found. `context` is what the
    // kernel passes to an SA_SIGINFO handler.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let tid = libc::syscall(libc::SYS_gettid) as i32;
        if tid == WANTED.load(Relaxed)
            && STATE.compare_exchange(ASKED, COPYING, AcqRel, Relaxed).is_ok()
        {
            copy(&mut *SHOT.0.get(), context.cast_const().cast());
            STATE.store(DONE, Release);
        }
        *errno = saved;
    }
}

/// Copies the registers, and the stack from the stack pointer upwards.
///
/// # Safety
/// `context` is the interrupted thread's, and this is that thread.
unsafe fn copy(shot: &mut Shot, context: *const libc::ucontext_t) {
    // SAFETY: promised by the caller.
    let machine = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    {
        shot.ip = machine.gregs[libc::REG_RIP as usize] as u64;
        shot.sp = machine.gregs[libc::REG_RSP as usize] as u64 & !7;
        shot.fp = machine.gregs[libc::REG_RBP as usize] as u64;
    }
    shot.len = 0;
    let (sp, end) = (shot.sp as usize, STACK_END.load(Relaxed));
    // A stack pointer elsewhere is a coroutine's or an alternate stack, of which we know no end.
    const MOST_PLAUSIBLE: usize = 1 << 30;
    if sp == 0 || sp >= end || end - sp > MOST_PLAUSIBLE {
        return;
    }
    let words = ((end - sp) / 8).min(shot.stack.len());
    for index in 0..words {
        // SAFETY: between the stack pointer and the end of the thread's own stack everything is
        // mapped. Other code owns these words, but runs on this very thread, which is in here.
        shot.stack[index] = unsafe { std::ptr::read_volatile((sp as *const u64).add(index)) };
    }
    shot.len = words;
}
