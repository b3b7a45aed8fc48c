//! What is asked of the operating system about the calling thread and the process.
#![expect(unsafe_code, reason = "calls into libc; each call states why it is sound")]

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

/// What people call the calling thread: never empty.
pub(crate) fn thread_name() -> String {
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
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    (code == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
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
