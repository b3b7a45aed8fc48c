//! The calls that open and close, in front of those of libc: each does what the next library's does,
//! by calling it, and takes a note.
//!
//! The linker binds the program and what is linked into it to these functions, because they are
//! found before libc's. Shared libraries are bound to them by the dynamic loader, because linkers
//! export from a program what a library it is linked with defines too. Not seen: what libc does
//! inside itself (`fopen`, `opendir`, `posix_spawn`), direct system calls, descriptors that arrive
//! over a socket. Those are found by looking.
//!
//! Many of these calls are points where `pthread_cancel` ends a thread, which glibc does by unwinding
//! its stack. So they are `C-unwind`, and have nothing to be dropped while the real call is going on.
#![expect(unsafe_code, reason = "takes the place of functions of libc")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::notes::{closing, opened};

/// The function of this name in the libraries after us.
struct Real {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Null if there is none, which `errno` then says. Looked up once, usually before `main`.
    #[inline]
    fn address(&self) -> *mut c_void {
        let address = self.address.load(Relaxed);
        if address.is_null() { self.find() } else { address }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: the name ends in a zero byte.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if address.is_null() {
            // SAFETY: errno is the calling thread's own.
            unsafe { *libc::__errno_location() = libc::ENOSYS };
        }
        self.address.store(address, Relaxed);
        address
    }
}

/// Defines functions that call the real one and give its result to `note`.
macro_rules! interpose {
    ($($name:ident($($argument:ident: $type:ty),*) $note:expr;)*) => {
        $(
            /// As in libc.
            ///
            /// # Safety
            /// As in libc.
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
                type Function = unsafe extern "C-unwind" fn($($type),*) -> c_int;
                let real = reals::$name.address();
                if real.is_null() {
                    return -1;
                }
                // SAFETY: libc's function of this name takes these arguments and gives this; what
                // the caller promises us is what it must promise libc.
                let result = unsafe { std::mem::transmute::<*mut c_void, Function>(real)($($argument),*) };
                let note: fn(c_int $(, $type)*) = $note;
                note(result $(, $argument)*);
                result
            }
        )*

        #[expect(non_upper_case_globals, reason = "named as the functions they find")]
        mod reals {
            use super::Real;
            $(
                pub(super) static $name: Real = {
                    let name = concat!(stringify!($name), "\0").as_bytes();
                    match std::ffi::CStr::from_bytes_with_nul(name) {
                        Ok(name) => Real::new(name),
                        Err(_) => panic!("a name"),
                    }
                };
            )*
        }

        /// Looks them all up, so that none is looked up in a signal handler or a forked child.
        extern "C" fn find_all() {
            $(reals::$name.address();)*
        }
    };
}

interpose! {
    // The mode is there only with some flags; on this architecture it may be passed on unasked.
    open(path: *const c_char, flags: c_int, mode: c_uint) |fd, _, _, _| one(fd);
    open64(path: *const c_char, flags: c_int, mode: c_uint) |fd, _, _, _| one(fd);
    openat(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) |fd, _, _, _, _| one(fd);
    openat64(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) |fd, _, _, _, _| one(fd);
    creat(path: *const c_char, mode: c_uint) |fd, _, _| one(fd);
    creat64(path: *const c_char, mode: c_uint) |fd, _, _| one(fd);
    socket(domain: c_int, kind: c_int, protocol: c_int) |fd, _, _, _| one(fd);
    accept(fd: c_int, address: *mut c_void, len: *mut c_void) |fd, _, _, _| one(fd);
    accept4(fd: c_int, address: *mut c_void, len: *mut c_void, flags: c_int) |fd, _, _, _, _| one(fd);
    socketpair(domain: c_int, kind: c_int, protocol: c_int, fds: *mut c_int)
        |code, _, _, _, fds| two(code, fds);
    pipe(fds: *mut c_int) |code, fds| two(code, fds);
    pipe2(fds: *mut c_int, flags: c_int) |code, fds, _| two(code, fds);
    dup(fd: c_int) |fd, _| one(fd);
    dup2(fd: c_int, to: c_int) |to, fd, _| if to != fd { one(to) };
    dup3(fd: c_int, to: c_int, flags: c_int) |to, _, _, _| one(to);
    fcntl(fd: c_int, command: c_int, argument: usize)
        |result, _, command, _| if is_dup(command) { one(result) };
    fcntl64(fd: c_int, command: c_int, argument: usize)
        |result, _, command, _| if is_dup(command) { one(result) };
    eventfd(count: c_uint, flags: c_int) |fd, _, _| one(fd);
    epoll_create(size: c_int) |fd, _| one(fd);
    epoll_create1(flags: c_int) |fd, _| one(fd);
    timerfd_create(clock: c_int, flags: c_int) |fd, _, _| one(fd);
    memfd_create(name: *const c_char, flags: c_uint) |fd, _, _| one(fd);
    inotify_init() |fd| one(fd);
    inotify_init1(flags: c_int) |fd, _| one(fd);
}

/// As in libc. Noted before it happens: afterwards the number may be another thread's.
///
/// # Safety
/// As in libc.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    type Function = unsafe extern "C-unwind" fn(c_int) -> c_int;
    static REAL: Real = Real::new(c"close");
    let real = REAL.address();
    if real.is_null() {
        return -1;
    }
    closing(fd);
    // SAFETY: libc's function of this name takes this argument and gives this; what the caller
    // promises us is what it must promise libc.
    unsafe { std::mem::transmute::<*mut c_void, Function>(real)(fd) }
}

/// Runs before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static FIND_ALL: extern "C" fn() = find_all;

#[inline]
fn one(fd: c_int) {
    if fd >= 0 {
        opened(fd);
    }
}

#[inline]
fn two(code: c_int, fds: *mut c_int) {
    if code == 0 {
        // SAFETY: the call succeeded, so it has written two numbers there.
        let [first, second] = unsafe { *fds.cast::<[c_int; 2]>() };
        opened(first);
        opened(second);
    }
}

fn is_dup(command: c_int) -> bool {
    command == libc::F_DUPFD || command == libc::F_DUPFD_CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    extern "C-unwind" fn waits_for_ever(listener: *mut c_void) -> *mut c_void {
        // SAFETY: null pointers mean that the peer's address is of no interest.
        unsafe { accept(listener as usize as c_int, ptr::null_mut(), ptr::null_mut()) };
        ptr::null_mut()
    }

    #[test]
    fn a_thread_may_be_cancelled_in_a_call_that_goes_through_us() {
        type Unwinds = extern "C-unwind" fn(*mut c_void) -> *mut c_void;
        type Body = extern "C" fn(*mut c_void) -> *mut c_void;
        const CANCELED: usize = usize::MAX;
        let (mut thread, mut result) = (0, ptr::null_mut());
        // SAFETY: a socket of its own, a thread that is joined once, and a body that differs from
        // what libc's binding asks for only in that it may unwind, which glibc provides for.
        unsafe {
            let listener = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            // Only the family: the system chooses a name.
            let address = libc::sockaddr { sa_family: libc::AF_UNIX as _, sa_data: [0; 14] };
            assert_eq!(libc::bind(listener, &address, size_of::<libc::sa_family_t>() as _), 0);
            assert_eq!(libc::listen(listener, 1), 0);
            let body = std::mem::transmute::<Unwinds, Body>(waits_for_ever);
            let argument = listener as usize as *mut c_void;
            assert_eq!(libc::pthread_create(&mut thread, ptr::null(), body, argument), 0);
            // Cancelled within the call or on the way to it: nothing tells which. It is likely in it.
            std::thread::park_timeout(Duration::from_millis(20));
            assert_eq!(libc::pthread_cancel(thread), 0);
            assert_eq!(libc::pthread_join(thread, &mut result), 0);
            close(listener);
        }
        assert_eq!(result as usize, CANCELED);
    }
}
