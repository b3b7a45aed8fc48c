//! Where the program is: code objects as places, told once each, and the nearest frame that is not
//! asyncio's own.

use std::ffi::c_int;
use std::ptr::null_mut;

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed;

use crate::frames;
use crate::guard::Locked;
use crate::nearby::Nearby;
use crate::py::{self, Object, Ref};

/// Code objects known at once; they are kept alive, so that their addresses are not used again.
/// Places in others are not known.
const MAX_CODES: usize = 8 << 10;
/// Lines known at once, of those code objects.
const MAX_LINES: usize = 32 << 10;
/// Frames of asyncio's own that are passed over.
const MAX_PLUMBING: usize = 12;

/// What is known of code.
pub(crate) struct Places {
    codes: HashMap<usize, Code>,
    /// By code and instruction: what finds a line looks through all of the code's.
    lines: HashMap<(usize, c_int), u64>,
    /// By instruction, where frames are told without objects.
    instructions: HashMap<usize, u64>,
    /// Labels by the address of a string that is kept alive.
    labels: HashMap<usize, u32>,
    /// Folders whose code is not the program's.
    plumbing: Vec<String>,
    near_codes: Nearby<bool, 256>,
    near_instructions: Nearby<u64, 1024>,
    near_labels: Nearby<u32, 256>,
}

#[derive(Clone, Copy)]
struct Code {
    /// 0 if the file could not be told.
    first_line: u64,
    is_plumbing: bool,
}

static PLACES: Locked<Places> = Locked::new();

/// Which instruction a frame is at; missing in CPython 3.10.
type GetLasti = unsafe extern "C" fn(*mut py::PyFrameObject) -> c_int;
static LASTI: std::sync::OnceLock<Option<GetLasti>> = std::sync::OnceLock::new();

fn lasti() -> Option<GetLasti> {
    *LASTI.get_or_init(|| {
        // SAFETY: looks a name up among what is loaded; the type is that of CPython's declaration.
        unsafe {
            let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"PyFrame_GetLasti".as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, GetLasti>(symbol))
        }
    })
}

/// Starts over. `plumbing` are folders whose frames are passed over. What was kept alive before stays
/// so: it is as little as before.
pub(crate) fn start(plumbing: Vec<String>) {
    lasti();
    let places = Places {
        codes: HashMap::new(),
        lines: HashMap::new(),
        instructions: HashMap::new(),
        labels: HashMap::new(),
        plumbing,
        near_codes: Nearby::new(false),
        near_instructions: Nearby::new(0),
        near_labels: Nearby::new(0),
    };
    std::mem::forget(PLACES.replace(places));
}

/// From now on the frames of these folders are passed over, also of code that is known.
pub(crate) fn set_plumbing(plumbing: Vec<String>) {
    PLACES.with(|places| {
        places.codes.clear();
        places.near_codes = Nearby::new(false);
        places.plumbing = plumbing;
    });
}

/// The place of the innermost frame of the program's own; 0 if there is none.
pub(crate) unsafe fn caller() -> u64 {
    let instruction = match own_instruction() {
        Some(Ok(place)) => return place,
        Some(Err(instruction)) => instruction,
        None => 0,
    };
    // SAFETY: the lock is held.
    let place = unsafe { caller_by_objects() };
    if instruction != 0 {
        PLACES.with(|places| {
            if places.instructions.len() < MAX_LINES {
                places.instructions.insert(instruction, place);
            }
        });
    }
    place
}

/// The place of that frame, or the instruction that it is at if that is met for the first time; `None`
/// if there is no telling without objects, or code that is not known yet.
#[inline]
fn own_instruction() -> Option<Result<u64, usize>> {
    PLACES.with(|places| {
        let mut frame = frames::innermost()?;
        for _ in 0..MAX_PLUMBING {
            if !places.is_plumbing(frame.code)? {
                return Some(places.place_of(frame.instruction).ok_or(frame.instruction));
            }
            frame = frames::outer(frame)?;
        }
        None
    })?
}

impl Places {
    /// Whether known code is not the program's own.
    #[inline]
    fn is_plumbing(&mut self, code: Object) -> Option<bool> {
        let key = code as usize;
        if let Some(known) = self.near_codes.get(key) {
            return Some(known);
        }
        let is_plumbing = self.codes.get(&key)?.is_plumbing;
        self.near_codes.put(key, is_plumbing);
        Some(is_plumbing)
    }

    #[inline]
    fn place_of(&mut self, instruction: usize) -> Option<u64> {
        // Instructions lie two bytes apart.
        let key = instruction << 3;
        if let Some(known) = self.near_instructions.get(key) {
            return Some(known);
        }
        let place = *self.instructions.get(&instruction)?;
        self.near_instructions.put(key, place);
        Some(place)
    }
}

/// The same where it costs next to nothing; else 0.
pub(crate) fn caller_if_cheap() -> u64 {
    match own_instruction() {
        Some(Ok(place)) => place,
        // SAFETY: the lock is held. Once for each place.
        Some(Err(_)) => unsafe { caller() },
        None => 0,
    }
}

unsafe fn caller_by_objects() -> u64 {
    // SAFETY: frames are kept alive by their callees, and by `held` on the way up.
    unsafe {
        let mut frame = py::PyEval_GetFrame();
        let mut held = Ref(null_mut());
        for _ in 0..MAX_PLUMBING {
            if frame.is_null() {
                return 0;
            }
            let code = Ref(py::PyFrame_GetCode(frame).cast());
            match code_at(code.0) {
                Some(known) if known.is_plumbing => {}
                Some(known) => return line_of(frame, code.0, known),
                None => return 0,
            }
            let back = py::PyFrame_GetBack(frame);
            held = Ref(back.cast());
            frame = back;
        }
        drop(held);
        0
    }
}

/// The line that a frame of known code is at.
unsafe fn line_of(frame: *mut py::PyFrameObject, code: Object, known: Code) -> u64 {
    if known.first_line == 0 {
        return 0;
    }
    // SAFETY: a live frame.
    let at = unsafe { lasti().map(|lasti| lasti(frame)) };
    if let Some(at) = at
        && let Some(Some(place)) =
            PLACES.with(|places| places.lines.get(&(code as usize, at)).copied())
    {
        return place;
    }
    // SAFETY: a live frame; the file's name is copied.
    let (line, file) =
        unsafe { (py::PyFrame_GetLineNumber(frame), py::text_attribute(code, c"co_filename")) };
    let place = embed::place_of(&file, u32::try_from(line).unwrap_or(0));
    if let Some(at) = at {
        PLACES.with(|places| {
            if places.lines.len() < MAX_LINES {
                places.lines.insert((code as usize, at), place);
            }
        });
    }
    place
}

unsafe fn code_at(code: Object) -> Option<Code> {
    if let Some(Some(known)) = PLACES.with(|places| places.codes.get(&(code as usize)).copied()) {
        return Some(known);
    }
    // SAFETY: a live code object.
    unsafe { learn(code) }
}

#[cold]
#[inline(never)]
unsafe fn learn(code: Object) -> Option<Code> {
    // SAFETY: a live code object; texts are copied.
    let (file, line) = unsafe {
        let file = py::text_attribute(code, c"co_filename");
        (file, py::number_attribute(code, c"co_firstlineno"))
    };
    let first_line = embed::place_of(&file, line);
    PLACES.with(|places| {
        if places.codes.len() >= MAX_CODES {
            return None;
        }
        let is_plumbing = places.plumbing.iter().any(|folder| file.starts_with(folder.as_str()));
        let learnt = Code { first_line, is_plumbing };
        places.codes.insert(code as usize, learnt);
        // SAFETY: from now on it stays, so that no other code has its address.
        unsafe { py::Py_IncRef(code) };
        Some(learnt)
    })?
}

/// Where a code object's function is defined; 0 if that is not known.
pub(crate) unsafe fn definition(code: Object) -> u64 {
    // SAFETY: a live code object.
    unsafe { code_at(code) }.map_or(0, |code| code.first_line)
}

/// The label of a string that is used again and again, such as a function's name.
pub(crate) unsafe fn label_of(name: Object) -> u32 {
    let known = PLACES.with(|places| {
        if let Some(label) = places.near_labels.get(name as usize) {
            return Some(label);
        }
        let label = *places.labels.get(&(name as usize))?;
        places.near_labels.put(name as usize, label);
        Some(label)
    });
    if let Some(Some(label)) = known {
        return label;
    }
    // SAFETY: a live object.
    let text = unsafe { py::text(name) };
    let label = embed::label(&text);
    PLACES.with(|places| {
        if places.labels.len() < MAX_CODES {
            places.labels.insert(name as usize, label);
            // SAFETY: from now on it stays, so that no other string has its address.
            unsafe { py::Py_IncRef(name) };
        }
    });
    label
}
