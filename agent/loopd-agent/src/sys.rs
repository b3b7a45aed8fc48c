//! What is asked of the operating system about the calling thread and the process.
#![expect(unsafe_code, reason = "calls into libc; each call states why it is sound")]

use std::cell::RefCell;
use std::ops::Range;

/// The calling thread's id, as signals and `/proc` know it; 0 if there is none.
pub(crate) fn thread_id() -> u64 {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes nothing, always succeeds.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        u64::try_from(tid).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    0
}

thread_local! {
    /// What the calling thread is called by a language that does not tell the system.
    static NAME: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Says what people call the calling thread.
pub(crate) fn name_thread(name: &str) {
    let _ = NAME.try_with(|known| known.replace(name.to_owned()));
}

/// What people call the calling thread: never empty.
pub(crate) fn thread_name() -> String {
    if let Ok(name) = NAME.try_with(|name| name.borrow().clone())
        && !name.is_empty()
    {
        return name;
    }
    let thread = std::thread::current();
    match (thread.name(), thread_id()) {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        // Of a program whose `main` is not Rust's.
        (_, id) if id == u64::from(std::process::id()) => "main".to_owned(),
        (_, id) => format!("thread {id}"),
    }
}

/// The addresses of the calling thread's own stack; empty if unknown.
pub(crate) fn stack() -> Range<usize> {
    #[cfg(target_os = "linux")]
    // SAFETY: `attributes` is initialised by pthread_getattr_np before it is read, and destroyed
    // once; the out-pointers are valid for writes.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return 0..0;
        }
        let mut lowest = std::ptr::null_mut();
        let mut size = 0;
        let is_known = libc::pthread_attr_getstack(&attributes, &mut lowest, &mut size) == 0;
        libc::pthread_attr_destroy(&mut attributes);
        if is_known { lowest as usize..lowest as usize + size } else { 0..0 }
    }
    #[cfg(not(target_os = "linux"))]
    {
        0..0
    }
}

/// The machine's name; empty if it cannot be read.
pub(crate) fn host_name() -> String {
    let mut bytes = [0u8; 256];
    // SAFETY: the buffer is valid for writes of its length; the last byte stays zero.
    let code = unsafe { libc::gethostname(bytes.as_mut_ptr().cast(), bytes.len() - 1) };
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
    if code == 0 { String::from_utf8_lossy(&bytes[..len]).into_owned() } else { String::new() }
}

/// Processor time used by the whole process so far.
pub(crate) fn cpu_nanos() -> Option<u64> {
    clock_nanos(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time used so far by the thread of this process with this id; `None` when it is gone.
pub(crate) fn thread_cpu_nanos(thread_id: u64) -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // How the kernel and `pthread_getcpuclockid` write it: a thread's clock, of time scheduled.
        const PER_THREAD_SCHEDULED: libc::clockid_t = 4 | 2;
        let id = libc::clockid_t::try_from(thread_id).ok().filter(|&id| id > 0)?;
        clock_nanos(!id << 3 | PER_THREAD_SCHEDULED)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = thread_id;
        None
    }
}

fn clock_nanos(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; a clock that does not exist is an error.
    let code = unsafe { libc::clock_gettime(clock, &mut time) };
    (code == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// What the whole process used so far, threads that have ended included.
pub(crate) struct Usage {
    /// Times that a thread gave up the processor to wait for something.
    pub(crate) voluntary_switches: u64,
    /// Times that one was taken off it.
    pub(crate) involuntary_switches: u64,
    /// Pages that had to be read from disk.
    pub(crate) major_faults: u64,
}

/// What the process used so far.
pub(crate) fn usage() -> Option<Usage> {
    // SAFETY: `usage` is valid for writes, and zeroes are a valid value of it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_SELF, &mut usage) == 0).then_some(usage)
    }?;
    Some(Usage {
        voluntary_switches: u64::try_from(usage.ru_nvcsw).ok()?,
        involuntary_switches: u64::try_from(usage.ru_nivcsw).ok()?,
        major_faults: u64::try_from(usage.ru_majflt).ok()?,
    })
}

/// How many file descriptors the process may have open; `None` when there is no limit.
pub(crate) fn max_fds() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    (code == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Bytes in a page of memory.
pub(crate) fn page_size() -> u64 {
    // SAFETY: takes a plain number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Runs `f` with every signal blocked on this thread, so that a thread it makes starts that way:
/// the program's signals are then never delivered to it.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are initialised before they are read; the old mask is put back.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        let is_changed = libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) == 0;
        let result = f();
        if is_changed {
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        }
        result
    }
}
