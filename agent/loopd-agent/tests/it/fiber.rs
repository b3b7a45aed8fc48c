//! A call on a stack that is not the thread's own, as coroutine libraries make it.
#![expect(unsafe_code, reason = "switches stacks by hand")]

use std::cell::Cell;
use std::ptr;

const PAGE: usize = 4096;
const STACK: usize = 64 * PAGE;

thread_local! {
    static BODY: Cell<Option<fn()>> = const { Cell::new(None) };
}

extern "C" fn entry() {
    if let Some(body) = BODY.take() {
        body();
    }
}

/// Runs `body` on a fresh stack that has an unmapped page right above and below it.
pub(crate) fn call(body: fn()) {
    BODY.set(Some(body));
    // SAFETY: the contexts outlive the switch; the stack is mapped for its length, stays so until
    // `entry` has returned to `back`, and nothing keeps a pointer into it.
    unsafe {
        let whole = libc::mmap(
            ptr::null_mut(),
            STACK + 2 * PAGE,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(whole, libc::MAP_FAILED);
        let stack = whole.byte_add(PAGE);
        assert_eq!(libc::mprotect(stack, STACK, libc::PROT_READ | libc::PROT_WRITE), 0);
        let mut back: libc::ucontext_t = std::mem::zeroed();
        let mut fiber: libc::ucontext_t = std::mem::zeroed();
        assert_eq!(libc::getcontext(&mut fiber), 0);
        fiber.uc_stack.ss_sp = stack;
        fiber.uc_stack.ss_size = STACK;
        fiber.uc_link = &mut back;
        libc::makecontext(&mut fiber, entry, 0);
        assert_eq!(libc::swapcontext(&mut back, &fiber), 0);
        assert_eq!(libc::munmap(whole, STACK + 2 * PAGE), 0);
    }
}
