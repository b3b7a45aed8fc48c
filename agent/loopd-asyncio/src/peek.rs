//! The Python stack of another thread without the interpreter's lock, for where C code keeps that.
//!
//! Everything is read by the kernel, which says so where there is nothing to read, and nothing is believed
//! that is not the same when looked at again: frames stand still while C code runs. Where things are is
//! found at start in two frames that are known, and used only if the whole stack then reads as the
//! interpreter's own functions tell it.
//!
//! Lines are found as `Objects/locations.md` of CPython 3.11 and newer and `Objects/lnotab_notes.txt` of
//! 3.10 describe their tables.

use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicI32, AtomicU32, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::time::Duration;

use loopd_model::Frame;
use pyo3::prelude::*;

use crate::frames::{self, Frames, read_words, word_at};
use crate::py::{self, Object, Ref};
use crate::stacks::{self, MAX_DEPTH};

const WORD: usize = size_of::<usize>();
/// Words of a code object's head that are looked through.
const CODE_WORDS: usize = 24;
/// Words of a frame object that are looked through, in CPython 3.10.
const FRAME_WORDS: usize = 16;
/// Where an object's length is, if it has one.
const LENGTH: usize = 16;
/// Longer names of files and functions are no such names.
const MAX_TEXT: usize = 4 << 10;
/// A table of lines that is longer belongs to a function of some ten thousand lines.
const MAX_TABLE: usize = 256 << 10;
/// Code that the interpreter has for itself, between a C function and the Python code that it calls.
const OWN_FILE: &str = "<shim>";
/// So many further looks must see the same, with this between them.
const LOOKS: usize = 2;
const PAUSE: Duration = Duration::from_millis(1);
/// Threads that run loops at a time; of further ones there is no stack while C code keeps the lock.
const MAX_THREADS: usize = 64;

/// A thread that runs loops: its number of the system's, 0 for none, its state's address, and how many of
/// its loops are within each other.
struct Thread {
    tid: AtomicI32,
    state: AtomicUsize,
    runs: AtomicU32,
}

impl Thread {
    const fn none() -> Self {
        Self { tid: AtomicI32::new(0), state: AtomicUsize::new(0), runs: AtomicU32::new(0) }
    }
}

static THREADS: [Thread; MAX_THREADS] = [const { Thread::none() }; MAX_THREADS];

/// Where things are, as offsets in bytes.
struct Layout {
    frames: Frames,
    position: Position,
    file: usize,
    name: usize,
    first_line: usize,
    table: usize,
    is_old_table: bool,
    bytes: usize,
    text: Text,
}

/// How a frame says where in its code it is.
#[derive(Clone, Copy)]
enum Position {
    /// By the address of an instruction; a code object's first one is at this offset.
    Address { start: usize },
    /// By the number of an instruction of two bytes, at this offset.
    Number { at: usize },
}

/// Where the characters of a string are.
struct Text {
    ascii: usize,
    others: usize,
}

static LAYOUT: OnceLock<Layout> = OnceLock::new();

/// Finds everything by the running frame and its caller, once; whether all of it was found.
#[pyfunction]
pub(crate) fn find_stacks(running: &Bound<'_, PyAny>, caller: &Bound<'_, PyAny>) -> bool {
    if LAYOUT.get().is_some() {
        return true;
    }
    frames::heed_sandbox();
    // SAFETY: live frames, and the lock is held.
    let (layout, state, known) = unsafe {
        let layout = find(running.as_ptr(), caller.as_ptr());
        let known = stacks::of_frame(running.as_ptr());
        (layout, py::PyThreadState_Get() as usize, known)
    };
    let Some(layout) = layout else { return false };
    let seen = layout.stack(state).and_then(|stack| layout.named(&stack));
    let is_same = known.len() >= 2 && seen.is_some_and(|seen| seen == known);
    is_same && LAYOUT.set(layout).is_ok()
}

unsafe fn find(running: Object, caller: Object) -> Option<Layout> {
    // SAFETY: live frames, whose code objects are kept alive meanwhile; so is what is asked of them.
    unsafe {
        let both = [running, caller];
        let codes = both.map(|frame| Ref(py::PyFrame_GetCode(frame.cast()).cast()));
        let heads = [read_words(codes[0].0 as usize)?, read_words(codes[1].0 as usize)?];
        let object = |name: &CStr| offset_of_object(&codes, &heads, name);
        let number = |frame: Object| py::number_attribute(frame, c"f_lasti") as usize;
        let places = both.map(number);
        let (frames, position) = match (frames::found(), frames::innermost()) {
            (Some(frames), Some(frame)) => {
                let start = frame.instruction.checked_sub(codes[0].0 as usize + places[0])?;
                (frames, Position::Address { start })
            }
            _ => find_old(both, &codes, places)?,
        };
        let table = object(c"co_linetable")?;
        let bytes = word_at(codes[0].0 as usize + table)?;
        Some(Layout {
            frames,
            position,
            file: object(c"co_filename")?,
            name: object(c"co_qualname").or_else(|| object(c"co_name"))?,
            first_line: {
                let lines = [&codes[0], &codes[1]]
                    .map(|code| py::number_attribute(code.0, c"co_firstlineno"));
                offset_of_number(&heads, lines)?
            },
            table,
            is_old_table: matches!(position, Position::Number { .. }),
            bytes: (py::PyBytes_AsString(bytes as Object) as usize).checked_sub(bytes)?,
            text: find_text()?,
        })
    }
}

/// The offset of an attribute's value in both code objects.
unsafe fn offset_of_object(
    codes: &[Ref; 2],
    heads: &[[usize; CODE_WORDS]; 2],
    name: &CStr,
) -> Option<usize> {
    // SAFETY: live code objects; their attributes are theirs, and compared by address only.
    let values = unsafe { [py::attribute(codes[0].0, name)?, py::attribute(codes[1].0, name)?] };
    let is_there = |&at: &usize| (0..2).all(|of| heads[of][at] == values[of].0 as usize);
    (0..CODE_WORDS).find(is_there).map(|at| at * WORD)
}

/// The offset of 32 bits that are these numbers.
fn offset_of_number<const N: usize>(words: &[[usize; N]; 2], numbers: [u32; 2]) -> Option<usize> {
    let half = |of: usize, at: usize| (words[of][at / 2] >> (at % 2 * 32)) as u32;
    let is_there = |&at: &usize| (0..2).all(|of| half(of, at) == numbers[of]);
    (LENGTH / 4..N * 2).find(is_there).map(|at| at * 4)
}

/// In CPython 3.10 frames are objects, and a thread's state has the running one.
unsafe fn find_old(
    both: [Object; 2],
    codes: &[Ref; 2],
    places: [usize; 2],
) -> Option<(Frames, Position)> {
    let words: [[usize; FRAME_WORDS]; 2] =
        [read_words(both[0] as usize)?, read_words(both[1] as usize)?];
    let is_code = |&at: &usize| (0..2).all(|of| words[of][at] == codes[of].0 as usize);
    let code = (0..FRAME_WORDS).find(is_code)? * WORD;
    let previous = (0..FRAME_WORDS).find(|&at| words[0][at] == both[1] as usize)? * WORD;
    let at = offset_of_number(&words, places.map(|place| (place / 2) as u32))?;
    let (current, within) = frames::find_current(both[0] as usize)?;
    let frames = Frames { current, within, previous, code, instruction: at };
    Some((frames, Position::Number { at }))
}

unsafe fn find_text() -> Option<Text> {
    // SAFETY: strings of ours, given back.
    unsafe {
        let ascii = Ref(py::PyUnicode_FromString(c"a sample".as_ptr()));
        let other = Ref(py::PyUnicode_FromString(c"\xe2\x82\xac".as_ptr()));
        if ascii.is_null() || other.is_null() {
            return None;
        }
        let mut len = 0;
        let data = py::PyUnicode_AsUTF8AndSize(ascii.0, &mut len);
        // One character and the end, of two bytes each.
        let size = frames::size_of_object(other.0)?.checked_sub(4)?;
        let text = Text { ascii: (data as usize).checked_sub(ascii.0 as usize)?, others: size };
        let read = (text.read(ascii.0 as usize), text.read(other.0 as usize));
        (read.0.as_deref() == Some("a sample") && read.1.as_deref() == Some("€")).then_some(text)
    }
}

/// A loop runs on this thread from now on.
pub(crate) fn thread_runs(tid: i32) {
    // SAFETY: the lock is held, so that there is a state.
    let state = unsafe { py::PyThreadState_Get() } as usize;
    // The lock protects all of this but for readers, who check what they read.
    let known = known(tid).filter(|thread| thread.state.load(Relaxed) == state);
    if let Some(thread) = known {
        thread.runs.fetch_add(1, Relaxed);
        return;
    }
    thread_ends(tid);
    let Some(thread) = THREADS.iter().find(|thread| thread.tid.load(Relaxed) == 0) else { return };
    thread.state.store(state, Relaxed);
    thread.runs.store(1, Relaxed);
    thread.tid.store(tid, Release);
}

/// It runs one loop less.
pub(crate) fn thread_rests(tid: i32) {
    if let Some(thread) = known(tid)
        && thread.runs.fetch_sub(1, Relaxed) == 1
    {
        thread.tid.store(0, Release);
    }
}

/// It runs none.
pub(crate) fn thread_ends(tid: i32) {
    if let Some(thread) = known(tid) {
        thread.tid.store(0, Release);
    }
}

fn known(tid: i32) -> Option<&'static Thread> {
    THREADS.iter().find(|thread| thread.tid.load(Acquire) == tid)
}

/// In a forked child none of the threads is there.
pub(crate) fn forget() {
    for thread in &THREADS {
        thread.tid.store(0, Relaxed);
    }
}

/// The stack of the thread with this number of the system's, leaf first; `None` if its frames do not
/// stand still, or cannot be read.
pub(crate) fn stack_of(tid: i32) -> Option<Vec<Frame>> {
    let (layout, state) = (LAYOUT.get()?, known(tid)?.state.load(Relaxed));
    frames::heed_sandbox();
    let stack = layout.stack(state)?;
    let named = layout.named(&stack)?;
    let is_same = (0..LOOKS).all(|_| {
        std::thread::sleep(PAUSE);
        layout.stack(state).as_ref() == Some(&stack)
    });
    (is_same && !named.is_empty()).then_some(named)
}

/// The same where the lock is held, so that all frames but one's own stand still.
pub(crate) fn stack_with_lock(tid: i32) -> Option<Vec<Frame>> {
    let (layout, state) = (LAYOUT.get()?, known(tid)?.state.load(Relaxed));
    frames::heed_sandbox();
    let named = layout.named(&layout.stack(state)?)?;
    (!named.is_empty()).then_some(named)
}

/// The stack of a thread by its number, read without the lock: function, file and line of each frame. For
/// tests.
#[pyfunction]
pub(crate) fn stack_without_lock(py: Python<'_>, tid: i32) -> Option<Vec<(String, String, u32)>> {
    let stack = py.detach(|| stack_of(tid))?;
    Some(stack.into_iter().map(|frame| (frame.function, frame.file, frame.line)).collect())
}

/// A frame as it was found: addresses of itself and its code, and where in there it is, in bytes.
#[derive(PartialEq)]
struct Seen {
    frame: usize,
    code: usize,
    place: usize,
}

impl Layout {
    fn stack(&self, state: usize) -> Option<Vec<Seen>> {
        let mut frame = word_at(state + self.frames.current)?;
        if let Some(within) = self.frames.within {
            frame = word_at(frame + within)?;
        }
        let mut stack = Vec::new();
        // Between any two frames may be one of the interpreter's own, with code or without.
        for _ in 0..3 * MAX_DEPTH {
            if frame == 0 || stack.len() == 2 * MAX_DEPTH {
                break;
            }
            let code = word_at(frame + self.frames.code)?;
            if type_at(code) == Some(&raw const py::code_type as usize) {
                let place = match self.position {
                    Position::Address { start } => {
                        word_at(frame + self.frames.instruction)?.checked_sub(code + start)?
                    }
                    Position::Number { at } => 2 * number_at(frame + at)? as usize,
                };
                stack.push(Seen { frame, code, place });
            }
            frame = word_at(frame + self.frames.previous)?;
        }
        Some(stack)
    }

    fn named(&self, stack: &[Seen]) -> Option<Vec<Frame>> {
        let mut frames = Vec::with_capacity(stack.len());
        for seen in stack {
            if frames.len() == MAX_DEPTH {
                break;
            }
            let (file, name) = (word_at(seen.code + self.file)?, word_at(seen.code + self.name)?);
            // What 3.13 puts below a constructor that it calls directly has one word for both.
            if file == name {
                continue;
            }
            let file = self.text.read(file)?;
            if file == OWN_FILE {
                continue;
            }
            let function = self.text.read(name)?;
            let line = self.line(seen)?;
            frames.push(Frame { function, file, line, address: 0 });
        }
        Some(frames)
    }

    /// The line that a frame is at; 0 where there is none.
    fn line(&self, seen: &Seen) -> Option<u32> {
        let table = word_at(seen.code + self.table)?;
        if type_at(table) != Some(&raw const py::PyBytes_Type as usize) {
            return None;
        }
        let len = word_at(table + LENGTH).filter(|&len| len <= MAX_TABLE)?;
        let table = read_bytes(table + self.bytes, len)?;
        let first = number_at(seen.code + self.first_line)? as i32;
        let line = if self.is_old_table {
            line_in_pairs(&table, first, seen.place)
        } else {
            line_in_locations(&table, first, seen.place)
        };
        Some(line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0))
    }
}

/// Pairs of how many bytes of code there are, and by how much their line is further; -128 for no line.
fn line_in_pairs(table: &[u8], first: i32, place: usize) -> Option<i32> {
    const NO_LINE: i8 = -128;
    let (mut line, mut end) = (first, 0);
    for pair in table.chunks_exact(2) {
        let further = pair[1] as i8;
        end += usize::from(pair[0]);
        if further != NO_LINE {
            line = line.checked_add(further.into())?;
        }
        if place < end {
            return (further != NO_LINE).then_some(line);
        }
    }
    None
}

/// Entries whose first byte, the only one with its highest bit set, says how the line is told and for how
/// many instructions it holds.
fn line_in_locations(table: &[u8], first: i32, place: usize) -> Option<i32> {
    let (mut line, mut end, mut at) = (first, 0, 0);
    while let Some(&head) = table.get(at) {
        let code = (head >> 3) & 15;
        end += 2 * (usize::from(head & 7) + 1);
        let further = match code {
            10..=12 => i32::from(code) - 10,
            13 | 14 => signed_number(table.get(at + 1..)?)?,
            _ => 0,
        };
        line = line.checked_add(further)?;
        if place < end {
            return (code != 15).then_some(line);
        }
        at += 1 + table[at + 1..].iter().take_while(|&&byte| byte < 128).count();
    }
    None
}

/// Six bits a byte, the lowest first, with the seventh for that more follow; the lowest of all is the sign.
fn signed_number(bytes: &[u8]) -> Option<i32> {
    let (mut number, mut shift) = (0u32, 0);
    for byte in bytes {
        number |= u32::from(byte & 63).checked_shl(shift)?;
        shift += 6;
        if byte & 64 == 0 {
            let magnitude = (number >> 1) as i32;
            return Some(if number & 1 == 1 { -magnitude } else { magnitude });
        }
    }
    None
}

impl Text {
    /// The string at an address; what is no character becomes `U+FFFD`.
    fn read(&self, address: usize) -> Option<String> {
        const STATE: usize = 32;
        if type_at(address) != Some(&raw const py::PyUnicode_Type as usize) {
            return None;
        }
        let len = word_at(address + LENGTH).filter(|&len| len <= MAX_TEXT)?;
        let state = number_at(address + STATE)?;
        let (width, is_compact, is_ascii) =
            (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
        if !is_compact || !matches!(width, 1 | 2 | 4) {
            return None;
        }
        let width = width as usize;
        let start = if is_ascii { self.ascii } else { self.others };
        let bytes = read_bytes(address + start, len * width)?;
        let character = |bytes: &[u8]| {
            let number = bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        Some(bytes.chunks_exact(width).map(character).collect())
    }
}

/// The address of the type of an object, if there is one.
fn type_at(object: usize) -> Option<usize> {
    read_words::<2>(object).map(|[_, kind]| kind)
}

fn number_at(address: usize) -> Option<u32> {
    let bytes = read_bytes(address, 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn read_bytes(address: usize, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    frames::read_into(address, &mut bytes).then_some(bytes)
}
