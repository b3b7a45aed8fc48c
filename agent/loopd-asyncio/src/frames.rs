//! Running frames without making frame objects of them, which is most of what finding the caller costs.
//!
//! From CPython 3.11 on the interpreter's own frames are a chain of structures whose layout is not
//! public. It is found at start by looking from two frames that are known, with reads that cannot
//! fault, and used only where all of it was found; elsewhere frames are asked for by the interface.

use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::prelude::*;

use crate::py::{self, Object};

const WORD: usize = size_of::<usize>();
/// Words of a structure that are looked through.
const FRAME_WORDS: usize = 12;
const OBJECT_WORDS: usize = 8;
const THREAD_WORDS: usize = 40;

/// Where things are, as offsets in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    /// In the thread's state: the running frame, or what holds it at the second offset.
    pub(crate) current: usize,
    pub(crate) within: Option<usize>,
    pub(crate) previous: usize,
    pub(crate) code: usize,
    pub(crate) instruction: usize,
}

static FRAMES: OnceLock<Frames> = OnceLock::new();

/// What was found, if everything was.
pub(crate) fn found() -> Option<Frames> {
    FRAMES.get().copied()
}

/// Looks from the running frame and its caller; whether everything was found.
#[pyfunction]
pub(crate) fn find_frames(running: &Bound<'_, PyAny>, caller: &Bound<'_, PyAny>) -> bool {
    heed_sandbox();
    // SAFETY: live frames; whatever is not known to be readable is read by the kernel.
    let found = unsafe { find(running.as_ptr(), caller.as_ptr()) };
    found.is_some_and(|frames| FRAMES.set(frames).is_ok())
}

/// Reads words by the kernel, which says so where there are none.
pub(crate) fn read_words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut bytes = [[0u8; WORD]; N];
    if !address.is_multiple_of(WORD) {
        return None;
    }
    let is_read = read_into(address, bytes.as_flattened_mut());
    is_read.then(|| bytes.map(usize::from_ne_bytes))
}

/// One of them.
pub(crate) fn word_at(address: usize) -> Option<usize> {
    read_words::<1>(address).map(|[word]| word)
}

/// Whether this process is in a sandbox that may end it for a system call which is seldom used.
static IS_SANDBOXED: AtomicBool = AtomicBool::new(false);

/// Looks whether the calling thread is in one: from then on memory is read as a file.
pub(crate) fn heed_sandbox() {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    IS_SANDBOXED.store(seccomp.is_some_and(|mode| mode.trim() != "0"), Relaxed);
}

/// Fills a buffer by the kernel; whether there was as much to read.
pub(crate) fn read_into(address: usize, buffer: &mut [u8]) -> bool {
    if address == 0 {
        return false;
    }
    if IS_SANDBOXED.load(Relaxed) {
        let memory = std::fs::File::open("/proc/self/mem");
        return memory.is_ok_and(|memory| memory.read_exact_at(buffer, address as u64).is_ok());
    }
    let len = buffer.len();
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: len };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: len };
    // SAFETY: the buffer is as long as it says; addresses that cannot be read are an error.
    let count = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    count == len as isize
}

unsafe fn find(running: Object, caller: Object) -> Option<Frames> {
    // SAFETY: live frames, whose code objects they keep alive.
    let (codes, sizes) = unsafe {
        let code = |frame: Object| {
            let code = py::Ref(py::PyFrame_GetCode(frame.cast()).cast());
            (code.0 as usize, size_of_object(code.0))
        };
        let (running, caller) = (code(running), code(caller));
        ([running.0, caller.0], [running.1?, caller.1?])
    };
    let objects: [[usize; OBJECT_WORDS]; 2] =
        [read_words(running as usize)?, read_words(caller as usize)?];
    for (first, second) in objects[0].into_iter().zip(objects[1]).skip(2) {
        let inner = [first, second];
        let (Some(first), Some(second)) =
            (read_words::<FRAME_WORDS>(inner[0]), read_words::<FRAME_WORDS>(inner[1]))
        else {
            continue;
        };
        let both = |test: &dyn Fn(usize, usize) -> bool| {
            (0..FRAME_WORDS).find(|&at| test(0, first[at]) && test(1, second[at]))
        };
        let is_in_code = |index: usize, value: usize| {
            value > codes[index] && value < codes[index] + sizes[index]
        };
        let code = both(&|index, value| value == codes[index]);
        let instruction = both(&is_in_code);
        let previous = (0..FRAME_WORDS).find(|&at| first[at] == inner[1]);
        if let (Some(code), Some(instruction), Some(previous)) = (code, instruction, previous) {
            let (current, within) = find_current(inner[0])?;
            let (code, instruction) = (code * WORD, instruction * WORD);
            return Some(Frames { current, within, previous: previous * WORD, code, instruction });
        }
    }
    None
}

/// Where a thread's state has this frame as the running one.
pub(crate) fn find_current(frame: usize) -> Option<(usize, Option<usize>)> {
    // SAFETY: the lock is held, so that there is a state.
    let thread = unsafe { py::PyThreadState_Get() } as usize;
    let words: [usize; THREAD_WORDS] = read_words(thread)?;
    if let Some(at) = words.iter().position(|&word| word == frame) {
        return Some((at * WORD, None));
    }
    words.iter().enumerate().find_map(|(at, &word)| {
        let inner = read_words::<2>(word)?;
        let within = inner.iter().position(|&word| word == frame)?;
        Some((at * WORD, Some(within * WORD)))
    })
}

pub(crate) unsafe fn size_of_object(object: Object) -> Option<usize> {
    // SAFETY: a live object; what is got is given back, and errors are cleared.
    unsafe {
        let size = py::Ref(py::call_method0(object, py::interned(c"__sizeof__")));
        if size.is_null() {
            py::PyErr_Clear();
            return None;
        }
        Some(py::PyLong_AsSize_t(size.0))
    }
}

/// A running frame: its code, and where in there it is, as an address.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    address: usize,
    pub(crate) code: Object,
    pub(crate) instruction: usize,
}

#[inline(always)]
unsafe fn word(address: usize, offset: usize) -> usize {
    // SAFETY: the caller has both from what was found at start.
    unsafe { *((address + offset) as *const usize) }
}

/// The innermost frame; `None` if it cannot be told this way.
#[inline]
pub(crate) fn innermost() -> Option<Running> {
    let frames = FRAMES.get()?;
    // SAFETY: the lock is held, so that there is a state; offsets are those found at start.
    unsafe {
        let mut address = word(py::PyThreadState_Get() as usize, frames.current);
        if let Some(within) = frames.within {
            address = word(address, within);
        }
        frame_from(frames, address)
    }
}

/// The frame that called this one.
#[inline]
pub(crate) fn outer(frame: Running) -> Option<Running> {
    let frames = FRAMES.get()?;
    // SAFETY: a running frame, and its callers run as long as it does.
    unsafe { frame_from(frames, word(frame.address, frames.previous)) }
}

/// This frame, or the next outer one that is of Python code: the interpreter has some of its own.
#[inline]
unsafe fn frame_from(frames: &Frames, mut address: usize) -> Option<Running> {
    const MAX_OWN: usize = 8;
    for _ in 0..MAX_OWN {
        if address == 0 {
            return None;
        }
        // SAFETY: a running frame.
        unsafe {
            let code = word(address, frames.code) as Object;
            if !code.is_null() && py::type_of(code) == (&raw mut py::code_type).cast() {
                return Some(Running {
                    address,
                    code,
                    instruction: word(address, frames.instruction),
                });
            }
            address = word(address, frames.previous);
        }
    }
    None
}
