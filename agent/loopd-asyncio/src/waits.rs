//! Who waits for asyncio's locks, semaphores, queues, events, conditions and barriers, and who holds a
//! lock.
//!
//! All of them ask `_LoopBoundMixin._get_loop` for their loop exactly when a task begins to wait, and
//! at no other time: what is never contended is not told of. Who holds a lock or a permit is noted by
//! methods of the package.

use std::ptr::null_mut;
use std::sync::{Arc, OnceLock};

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed::{self, Guarded, GuardedKind, Held, Op, Waiting, ticks};
use loopd_model::WaitHow;
use pyo3::prelude::*;

use crate::guard::{Locked, safely};
use crate::places;
use crate::py::{self, Object, Ref};
use crate::world::{self, WORLD};

/// Contended ones known at once; waits for others are not told.
const MAX_GUARDED: usize = 16 << 10;
/// Locks and semaphores held at once whose holders are known.
const MAX_HOLDS: usize = 64 << 10;
/// Of these, as many keep their place in the table when nobody holds them: most are soon held again.
const KEPT_HOLDS: usize = 256;
/// Holders of one semaphore that are known at once.
const MAX_HOLDERS_KNOWN: usize = 64;

/// What a task waits for.
pub(crate) struct Underway {
    guarded: Arc<Guarded>,
    waiting: Waiting,
}

impl Underway {
    pub(crate) fn end(self, how: WaitHow) {
        self.guarded.waited(self.waiting, how);
    }

    /// Tells of it, since it goes on.
    pub(crate) fn tell(&mut self) {
        self.guarded.tell(&mut self.waiting);
    }

    /// The number of what is waited for.
    pub(crate) fn resource(&self) -> u64 {
        self.guarded.id()
    }
}

/// What is waited for, by its address, and who holds locks.
#[derive(Default)]
struct Table {
    guarded: HashMap<usize, Entry>,
    /// By address: who took it.
    holds: HashMap<usize, Vec<Hold>>,
}

struct Entry {
    guarded: Arc<Guarded>,
    /// A weak reference whose callback removes this.
    reference: usize,
}

/// A lock, or a permit, that a task has.
struct Hold {
    task: u64,
    since: u64,
    place: u64,
    /// Once it is one that somebody waited for.
    held: Option<Held>,
}

impl Hold {
    fn tell(&self, guarded: &Guarded) -> Held {
        guarded.hold(self.task, self.since, self.place)
    }
}

static TABLE: Locked<Table> = Locked::new();
static TYPES: OnceLock<Vec<(usize, GuardedKind)>> = OnceLock::new();

/// What the hook needs of asyncio.
struct Names {
    original: usize,
    running_loop: usize,
    loop_: usize,
    /// The code of `Queue.put`.
    put: usize,
}

static NAMES: OnceLock<Names> = OnceLock::new();

/// Starts over with nothing known.
pub(crate) fn start_over() {
    drop(TABLE.replace(Table { guarded: HashMap::new(), holds: HashMap::new() }));
}

/// Said once in a process: asyncio's own types, the method that was there before us, and what tells the
/// running loop.
pub(crate) unsafe fn set(
    types: Vec<(usize, GuardedKind)>,
    original: Object,
    running: Object,
    put: usize,
) {
    let _ = TYPES.set(types);
    // SAFETY: both are functions of modules that are never unloaded, kept for ever.
    unsafe {
        py::Py_IncRef(original);
        py::Py_IncRef(running);
        let _ = NAMES.set(Names {
            original: original as usize,
            running_loop: running as usize,
            loop_: py::interned(c"_loop") as usize,
            put,
        });
    }
}

/// `_LoopBoundMixin._get_loop`.
pub(crate) unsafe extern "C-unwind" fn get_loop(slf: Object, _: Object) -> Object {
    let Some(names) = NAMES.get() else { return null_mut() };
    // SAFETY: called by the interpreter with a live object; what is got is given back or returned.
    unsafe {
        let running = Ref(py::call0(names.running_loop as Object));
        let own = Ref(py::PyObject_GetAttr(slf, names.loop_ as Object));
        let loop_ = if !own.is_null() && own.0 == running.0 && own.0 != py::Py_None() {
            running
        } else {
            py::PyErr_Clear();
            Ref(py::call1(names.original as Object, slf))
        };
        if !loop_.is_null() && embed::is_recording() && embed::records_waits() {
            safely(|| note_wait(slf));
        }
        loop_.leak()
    }
}

/// The task that runs begins to wait.
unsafe fn note_wait(object: Object) {
    let task = world::current();
    let id = embed::current_task();
    if task == 0 || id == 0 {
        return;
    }
    // SAFETY: a live object.
    unsafe {
        let Some((kind, op)) = kind_of(object) else { return };
        let place = places::caller();
        let Some(guarded) = guarded(object, kind, place, id) else { return };
        let waiting = guarded.wait(op, id, place);
        let before = WORLD.with(|world| {
            let known = world.task(task)?;
            known.wait.replace(Underway { guarded, waiting })
        });
        if let Some(Some(before)) = before {
            before.end(WaitHow::Ready);
        }
    }
}

unsafe fn kind_of(object: Object) -> Option<(GuardedKind, Op)> {
    let types = TYPES.get()?;
    let find = |kind: usize| types.iter().find(|(known, _)| *known == kind).map(|known| known.1);
    // SAFETY: a live object, and live types.
    let kind = unsafe {
        let own = py::type_of(object);
        find(own as usize).or_else(|| {
            let is_base = |&&(base, _): &&(usize, GuardedKind)| {
                py::PyType_IsSubtype(own.cast(), (base as Object).cast()) != 0
            };
            types.iter().find(is_base).map(|known| known.1)
        })?
    };
    let op = match kind {
        GuardedKind::Lock => Op::Lock,
        GuardedKind::Semaphore => Op::Acquire,
        // SAFETY: looks at the frame that called us.
        GuardedKind::Queue => unsafe { if is_put() { Op::Send } else { Op::Recv } },
        GuardedKind::Event | GuardedKind::Barrier => Op::Wait,
        GuardedKind::Condition => Op::Notified,
    };
    Some((kind, op))
}

/// Whether the method of a queue that called us is `put`.
unsafe fn is_put() -> bool {
    let Some(names) = NAMES.get() else { return false };
    if let Some(frame) = crate::frames::innermost() {
        return frame.code as usize == names.put;
    }
    // SAFETY: a running method has a frame; what is got is given back.
    unsafe {
        let frame = py::PyEval_GetFrame();
        if frame.is_null() {
            return false;
        }
        let code = Ref(py::PyFrame_GetCode(frame).cast());
        code.0 as usize == names.put
    }
}

unsafe fn guarded(
    object: Object,
    kind: GuardedKind,
    place: u64,
    task: u64,
) -> Option<Arc<Guarded>> {
    let key = object as usize;
    let known = TABLE.with(|table| {
        let known = table.guarded.get(&key).map(|entry| entry.guarded.clone());
        (known, table.guarded.len() >= MAX_GUARDED)
    })?;
    if known.0.is_some() || known.1 {
        return known.0;
    }
    // SAFETY: a live object; the weak reference is given back by its callback.
    unsafe {
        let capacity = match kind {
            GuardedKind::Queue => py::number_attribute(object, c"_maxsize") as usize,
            _ => 0,
        };
        let reference = py::weak_reference(object, &raw mut GONE, key)?;
        let guarded = Arc::new(Guarded::open(kind, place, task, capacity));
        TABLE.with(|table| {
            for hold in table.holds.get_mut(&key).into_iter().flatten() {
                hold.held = Some(hold.tell(&guarded));
            }
            let entry = Entry { guarded: guarded.clone(), reference: reference as usize };
            table.guarded.insert(key, entry);
        });
        Some(guarded)
    }
}

static mut GONE: py::PyMethodDef = py::method_of_one(c"gone", gone);

unsafe extern "C-unwind" fn gone(key: Object, _reference: Object) -> Object {
    // SAFETY: called by the interpreter with the key we gave it.
    unsafe {
        let key = py::PyLong_AsSize_t(key);
        let gone =
            safely(|| TABLE.with(|table| (table.holds.remove(&key), table.guarded.remove(&key))));
        if let Some((holds, Some(entry))) = gone {
            drop(holds);
            py::Py_DecRef(entry.reference as Object);
        }
        py::none()
    }
}

/// A permit was taken by the running task.
#[pyfunction]
pub(crate) fn held(object: &Bound<'_, PyAny>) {
    note_hold(object, false);
}

/// A lock was taken by the running task, which nobody else has then: what is at its address is of one
/// that was freed without being released.
#[pyfunction]
pub(crate) fn held_alone(object: &Bound<'_, PyAny>) {
    note_hold(object, true);
}

fn note_hold(object: &Bound<'_, PyAny>, is_alone: bool) {
    if !embed::is_recording() || !embed::records_waits() {
        return;
    }
    safely(|| {
        let key = object.as_ptr() as usize;
        let hold = Hold {
            task: embed::current_task(),
            since: ticks(),
            place: places::caller_if_cheap(),
            held: None,
        };
        TABLE.with(|table| table.take(key, hold, is_alone));
    });
}

/// One was given back: the running task's, or else the one that was taken first.
#[pyfunction]
pub(crate) fn given(object: &Bound<'_, PyAny>) {
    safely(|| {
        let (key, task) = (object.as_ptr() as usize, embed::current_task());
        let hold = TABLE.with(|table| table.give(key, task));
        drop(hold);
    });
}

/// What is at this address was just made.
#[pyfunction]
pub(crate) fn never_held(object: &Bound<'_, PyAny>) {
    safely(|| {
        let key = object.as_ptr() as usize;
        let holds = TABLE.with(|table| table.holds.remove(&key));
        drop(holds);
    });
}

impl Table {
    fn take(&mut self, key: usize, mut hold: Hold, is_alone: bool) {
        let entry = self.guarded.get(&key);
        hold.held = entry.map(|entry| hold.tell(&entry.guarded));
        if self.holds.len() >= MAX_HOLDS && !self.holds.contains_key(&key) {
            return;
        }
        let holds = self.holds.entry(key).or_default();
        if is_alone || holds.len() >= MAX_HOLDERS_KNOWN {
            holds.clear();
        }
        holds.push(hold);
    }

    fn give(&mut self, key: usize, task: u64) -> Option<Hold> {
        let holds = self.holds.get_mut(&key)?;
        let own = holds.iter().rposition(|hold| hold.task == task).unwrap_or(0);
        let hold = (own < holds.len()).then(|| holds.remove(own));
        if holds.is_empty() && self.holds.len() > KEPT_HOLDS {
            self.holds.remove(&key);
        }
        hold
    }
}
