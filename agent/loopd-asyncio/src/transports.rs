//! uvloop's transports, servers and subprocesses, whose classes are C's: two slots of their types say
//! when one is made and when it is freed, and what is around their `close` when it is closed.
//!
//! One that is being made is not looked at. It is told of once it is found open, as of when and where
//! it was made: after a step or a callback of its own thread, when it is closed, or a second later by
//! the agent's thread. All of it is native and calls nothing that is Python's, since a program's
//! interrupts and alarms arrive between two instructions of Python.

use std::collections::VecDeque;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use foldhash::{HashMap, HashMapExt};
use loopd_agent::embed::{self, ticks};
use loopd_model::{CloseHow, MarkLevel};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::guard::{Locked, safely};
use crate::places;
use crate::py::{self, Object, Ref};
use crate::slots::{self, Slot};
use crate::uvobjects::{
    Kind, Sight, has_ended, is_closed, left_to_write, name_if_open, was_closed,
};

/// Known at once; more are not told of.
const MAX_KNOWN: usize = 64 << 10;
/// Looked at in a turn, and how many are passed over that are known no more; the same for the agent's thread.
const TURN: Most = Most { looks: 16, passed: 256 };
const TICK: Most = Most { looks: 1024, passed: MAX_KNOWN };
/// After one is made, so many turns are taken at once; the others are this far apart.
const FRESH_TURNS: u32 = 4;
const BETWEEN_TURNS_NANOS: u64 = 1_000_000;
/// What waits longer is the agent's own thread to look at.
const PATIENCE_NANOS: u64 = 500_000_000;

/// The types of `uvloop.loop`.
const TYPES: [(&str, Kind); 7] = [
    ("TCPTransport", Kind::Stream),
    ("UnixTransport", Kind::Stream),
    ("UDPTransport", Kind::Datagram),
    ("ReadUnixTransport", Kind::ReadPipe),
    ("WriteUnixTransport", Kind::WritePipe),
    ("UVProcessTransport", Kind::Subprocess),
    ("Server", Kind::Server),
];

type Alloc = unsafe extern "C-unwind" fn(*mut py::PyTypeObject, py::Py_ssize_t) -> Object;
type Dealloc = unsafe extern "C-unwind" fn(Object);

const ALLOCS: [Alloc; 7] =
    [alloc::<0>, alloc::<1>, alloc::<2>, alloc::<3>, alloc::<4>, alloc::<5>, alloc::<6>];
const DEALLOCS: [Dealloc; 7] = [
    dealloc::<0>,
    dealloc::<1>,
    dealloc::<2>,
    dealloc::<3>,
    dealloc::<4>,
    dealloc::<5>,
    dealloc::<6>,
];

static ALLOC_SLOTS: [Slot; 7] = [const { Slot::new() }; 7];
static DEALLOC_SLOTS: [Slot; 7] = [const { Slot::new() }; 7];

/// What was found, once in a process: where the slots of each type are, and what says which loop runs.
struct Found {
    slots: [(usize, usize); 7],
    running_loop: usize,
}

static FOUND: OnceLock<Found> = OnceLock::new();

/// How long it may take to look at what is pending.
struct Most {
    looks: usize,
    passed: usize,
}

/// One that is known.
#[derive(Clone, Copy)]
struct Known {
    kind: Kind,
    state: State,
    /// When, where and by which task it was made, in ticks and nanoseconds.
    at: u64,
    at_nanos: u64,
    place: u64,
    task: u64,
    /// The address of its loop.
    loop_: usize,
    thread: usize,
    /// Nothing was recorded for a while, in which it may have been closed.
    is_unsure: bool,
}

#[derive(Clone, Copy)]
enum State {
    /// Not told of yet.
    New,
    /// Told of by this number.
    Open(u64),
    /// Closed by the program, with something left to write.
    Flushing(u64),
    /// Open when its loop began to close, which leaves it unclosed.
    Left(u64),
}

struct Table {
    /// By address, until they are closed or freed.
    known: HashMap<usize, Known>,
    /// Those to look at again. An address in here may be known no more.
    pending: VecDeque<usize>,
    fresh_turns: u32,
    next_turn_nanos: u64,
}

static TABLE: Locked<Table> = Locked::new();
/// How many are to be looked at again.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Starts over with nothing known.
pub(crate) fn start() {
    PENDING.store(0, Relaxed);
    TABLE.replace(Table {
        known: HashMap::new(),
        pending: VecDeque::new(),
        fresh_turns: 0,
        next_turn_nanos: 0,
    });
}

/// Something may have been closed while nothing was recorded.
pub(crate) fn resume() {
    TABLE.with(|table| table.known.values_mut().for_each(|known| known.is_unsure = true));
}

/// Looks for the slots of uvloop's types, given by name; `running_loop` says which loop runs.
#[pyfunction]
pub(crate) fn find_transports(
    types: &Bound<'_, PyDict>,
    running_loop: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut slots = [(0, 0); 7];
    for ((name, _), found) in TYPES.iter().zip(&mut slots) {
        let missing = || PyRuntimeError::new_err(format!("no slots of {name}"));
        let kind = types.get_item(name)?.ok_or_else(missing)?;
        // SAFETY: a live type, looked through within its size.
        let [alloc, dealloc] = [py::Py_tp_alloc, py::Py_tp_dealloc]
            .map(|slot| unsafe { slots::find_slot(kind.as_ptr(), slot) });
        let (Some(alloc), Some(dealloc)) = (alloc, dealloc) else { return Err(missing()) };
        *found = (alloc as usize, dealloc as usize);
        // Static types live for ever; this is for those that would not.
        std::mem::forget(kind.unbind());
    }
    let running_loop = running_loop.clone().unbind().into_ptr() as usize;
    let _ = FOUND.set(Found { slots, running_loop });
    Ok(())
}

/// Puts the hooks into the slots that were found.
#[pyfunction]
pub(crate) fn install_transports() {
    let Some(found) = FOUND.get() else { return };
    for (index, &(alloc, dealloc)) in found.slots.iter().enumerate() {
        // The end is seen of all whose beginning is.
        DEALLOC_SLOTS[index].put(dealloc as *mut usize, DEALLOCS[index] as *const () as usize);
        ALLOC_SLOTS[index].put(alloc as *mut usize, ALLOCS[index] as *const () as usize);
    }
}

/// Takes them away.
#[pyfunction]
pub(crate) fn uninstall_transports() {
    for index in 0..TYPES.len() {
        ALLOC_SLOTS[index].restore(ALLOCS[index] as *const () as usize);
        DEALLOC_SLOTS[index].restore(DEALLOCS[index] as *const () as usize);
    }
    safely(start);
}

unsafe extern "C-unwind" fn alloc<const TYPE: usize>(
    kind: *mut py::PyTypeObject,
    items: py::Py_ssize_t,
) -> Object {
    // SAFETY: the function that was in this slot, called as we are.
    unsafe {
        let original: Alloc = std::mem::transmute(ALLOC_SLOTS[TYPE].original());
        let object = original(kind, items);
        if !object.is_null() && embed::is_recording() {
            safely(|| made(object, TYPES[TYPE].1));
        }
        object
    }
}

unsafe extern "C-unwind" fn dealloc<const TYPE: usize>(object: Object) {
    // SAFETY: the function that was in this slot, called as we are.
    unsafe {
        let original: Dealloc = std::mem::transmute(DEALLOC_SLOTS[TYPE].original());
        safely(|| freed(object));
        original(object);
    }
}

/// Memory for one was taken. What is in it is not there yet.
fn made(object: Object, kind: Kind) {
    let has_room = |table: &mut Table| table.known.len().max(table.pending.len()) < MAX_KNOWN;
    if TABLE.with(has_room) != Some(true) {
        return;
    }
    let Some(found) = FOUND.get() else { return };
    // SAFETY: the lock is held; the function lives for ever, and runs no code of Python's.
    let (place, loop_) = unsafe {
        let running = py::vectorcall(found.running_loop as Object, null_mut(), 0, null_mut());
        if running.is_null() {
            return py::PyErr_Clear();
        }
        (places::caller(), Ref(running).0 as usize)
    };
    let known = Known {
        kind,
        state: State::New,
        at: ticks(),
        at_nanos: nanos(),
        place,
        task: embed::current_task(),
        loop_,
        thread: this_thread(),
        is_unsure: false,
    };
    TABLE.with(|table| {
        table.known.insert(object as usize, known);
        table.pending.push_front(object as usize);
        table.fresh_turns = FRESH_TURNS;
        PENDING.store(table.pending.len(), Relaxed);
    });
}

fn this_thread() -> usize {
    // SAFETY: always answers.
    unsafe { libc::pthread_self() as usize }
}

/// A step or a callback has ended: those that were made are told of if they are open now.
#[inline(always)]
pub(crate) fn after_step() {
    if PENDING.load(Relaxed) != 0 {
        safely(take_turn);
    }
}

#[cold]
#[inline(never)]
fn take_turn() {
    // SAFETY: the lock is held.
    if !embed::is_recording() || !unsafe { py::PyErr_Occurred() }.is_null() {
        return;
    }
    let now = nanos();
    let is_due = TABLE.with(|table| {
        if table.fresh_turns == 0 && now < table.next_turn_nanos {
            return false;
        }
        table.fresh_turns = table.fresh_turns.saturating_sub(1);
        table.next_turn_nanos = now + BETWEEN_TURNS_NANOS;
        true
    });
    if is_due == Some(true) {
        let thread = this_thread();
        look_at_pending(TURN, Sight::Reading, |known| known.thread == thread);
    }
}

/// Once a second, on the agent's own thread: those that nobody has looked at.
pub(crate) fn tick() {
    if PENDING.load(Relaxed) == 0 || !embed::is_recording() {
        return;
    }
    safely(|| {
        let now = nanos();
        let is_old = |known: &Known| now.saturating_sub(known.at_nanos) > PATIENCE_NANOS;
        look_at_pending(TICK, Sight::Connected, is_old);
    });
}

/// Looks at some of those that wait for it, each once; the others, and those that are to be looked at
/// again, go to the end.
fn look_at_pending(most: Most, sight: Sight, is_ours: impl Fn(&Known) -> bool) {
    let mut looks = 0;
    for _ in 0..most.passed.min(PENDING.load(Relaxed)) {
        if looks == most.looks {
            return;
        }
        let next = TABLE.with(|table| {
            let address = table.pending.pop_front()?;
            PENDING.store(table.pending.len(), Relaxed);
            let Some(known) = table.known.get(&address).copied() else { return Some(None) };
            looks += 1;
            if !is_ours(&known) {
                table.put_back(address);
                return Some(None);
            }
            // SAFETY: it is alive, or it would not be known.
            Some(Some((unsafe { Ref::to(address as Object) }, known)))
        });
        match next.flatten() {
            None => return,
            Some(None) => (),
            Some(Some((object, known))) => {
                // SAFETY: a live object.
                if unsafe { look_at(object.0, known, sight) } {
                    TABLE.with(|table| table.put_back(object.0 as usize));
                }
            }
        }
    }
}

impl Table {
    fn put_back(&mut self, address: usize) {
        if self.known.contains_key(&address) {
            self.pending.push_back(address);
            PENDING.store(self.pending.len(), Relaxed);
        }
    }
}

/// Tells what has become of one; whether it is to be looked at again.
unsafe fn look_at(object: Object, known: Known, sight: Sight) -> bool {
    // SAFETY: a live object of uvloop's.
    unsafe {
        match known.state {
            State::New => tell_if_open(object, known, sight).is_none() || is_watched(known.kind),
            State::Open(resource) if known.kind == Kind::Subprocess => {
                let is_over = has_ended(object);
                if is_over {
                    end(object, resource, CloseHow::Closed);
                }
                !is_over
            }
            State::Flushing(resource) => {
                let is_over = left_to_write(object) == 0;
                if is_over {
                    end(object, resource, CloseHow::Closed);
                }
                !is_over
            }
            State::Open(_) | State::Left(_) => false,
        }
    }
}

/// Whether nothing but looking says that one has ended.
fn is_watched(kind: Kind) -> bool {
    kind == Kind::Subprocess
}

/// Tells of one as opened, if it is; the number that it has now.
unsafe fn tell_if_open(object: Object, known: Known, sight: Sight) -> Option<u64> {
    // SAFETY: a live object of uvloop's.
    let name = unsafe { name_if_open(object, known.kind, sight) }?;
    let kind = match known.kind {
        Kind::Stream => "transport",
        Kind::Datagram => "datagram transport",
        Kind::ReadPipe => "read pipe",
        Kind::WritePipe => "write pipe",
        Kind::Subprocess => "subprocess",
        Kind::Server => "server",
    };
    let resource = embed::opened_at(known.at, kind, &name, (known.place, known.task));
    set_state(object, State::Open(resource));
    Some(resource)
}

fn set_state(object: Object, state: State) {
    TABLE.with(|table| {
        if let Some(known) = table.known.get_mut(&(object as usize)) {
            known.state = state;
        }
    });
}

fn get(object: Object) -> Option<Known> {
    TABLE.with(|table| table.known.get(&(object as usize)).copied())?
}

fn forget(object: Object) -> Option<Known> {
    TABLE.with(|table| table.known.remove(&(object as usize)))?
}

fn end(object: Object, resource: u64, how: CloseHow) {
    forget(object);
    embed::closed(resource, how);
}

/// Before `close` of a transport, which writes first what is left.
#[pyfunction]
#[pyo3(signature = (transport, *_arguments))]
pub(crate) fn transport_closes(transport: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    // SAFETY: a live object.
    safely(|| unsafe { closes(transport.as_ptr(), true) });
}

/// Before what ends a transport or a server at once.
#[pyfunction]
#[pyo3(signature = (transport, *_arguments))]
pub(crate) fn transport_ends(transport: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    // SAFETY: a live object.
    safely(|| unsafe { closes(transport.as_ptr(), false) });
}

unsafe fn closes(object: Object, writes_first: bool) {
    let Some(known) = get(object) else { return };
    // SAFETY: a live object of uvloop's.
    unsafe {
        let resource = match known.state {
            State::New => tell_if_open(object, known, Sight::Given),
            State::Open(resource) | State::Flushing(resource) | State::Left(resource) => {
                Some(resource)
            }
        };
        let Some(resource) = resource else {
            forget(object);
            return;
        };
        if !writes_first || left_to_write(object) == 0 {
            end(object, resource, CloseHow::Closed);
        } else if !matches!(known.state, State::Flushing(_)) {
            set_state(object, State::Flushing(resource));
            TABLE.with(|table| table.put_back(object as usize));
        }
    }
}

/// Before a loop is closed, which closes what the program has left open.
#[pyfunction]
#[pyo3(signature = (loop_, *_arguments))]
pub(crate) fn uvloop_closes(loop_: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    safely(|| {
        for object in of_loop(loop_) {
            let Some(mut known) = get(object.0) else { continue };
            // SAFETY: a live object of uvloop's.
            unsafe {
                if let State::New = known.state {
                    tell_if_open(object.0, known, Sight::Connected);
                } else {
                    look_at(object.0, known, Sight::Connected);
                }
                match get(object.0) {
                    Some(after) => known = after,
                    None => continue,
                }
                let (State::Open(resource) | State::Flushing(resource)) = known.state else {
                    continue;
                };
                if known.kind == Kind::Server || !is_closed(object.0) {
                    set_state(object.0, State::Left(resource));
                } else {
                    end(object.0, resource, CloseHow::Closed);
                }
            }
        }
    });
}

/// A loop was closed.
#[pyfunction]
#[pyo3(signature = (loop_, *_arguments))]
pub(crate) fn uvloop_closed(loop_: &Bound<'_, PyAny>, _arguments: &Bound<'_, PyTuple>) {
    safely(|| {
        for object in of_loop(loop_) {
            if let Some(known) = forget(object.0)
                && let State::Left(resource) = known.state
            {
                tell_unclosed(&known, resource, "left open when its loop was closed");
            }
        }
    });
}

/// What is known of a loop.
fn of_loop(loop_: &Bound<'_, PyAny>) -> Vec<Ref> {
    let loop_ = loop_.as_ptr() as usize;
    let found = TABLE.with(|table| {
        let of_loop = table.known.iter().filter(|(_, known)| known.loop_ == loop_);
        // SAFETY: they are alive, or they would not be known.
        of_loop.map(|(&address, _)| unsafe { Ref::to(address as Object) }).collect()
    });
    found.unwrap_or_default()
}

/// One is about to be freed.
unsafe fn freed(object: Object) {
    let Some(known) = forget(object) else { return };
    if !embed::is_recording() {
        return;
    }
    match known.state {
        State::New => (),
        State::Left(resource) => {
            tell_unclosed(&known, resource, "left open when its loop was closed");
        }
        State::Flushing(resource) => embed::closed(resource, CloseHow::Closed),
        State::Open(resource) if known.is_unsure => embed::closed(resource, CloseHow::Dropped),
        State::Open(resource) => {
            // SAFETY: still whole.
            if known.kind == Kind::Server || !unsafe { was_closed(object) } {
                tell_unclosed(&known, resource, "freed without close()");
            } else {
                // As one is whose connection was cancelled in the making.
                embed::closed(resource, CloseHow::Closed);
            }
        }
    }
}

fn tell_unclosed(known: &Known, resource: u64, how: &str) {
    embed::closed(resource, CloseHow::Unclosed);
    let (check, what) = match known.kind {
        Kind::Server => ("unclosed_server", "a server"),
        Kind::Subprocess => ("unclosed_transport", "a subprocess"),
        _ => ("unclosed_transport", "a transport"),
    };
    let fields = vec![("check".to_owned(), check.to_owned())];
    let message = format!("{what} of uvloop was {how}");
    embed::mark(MarkLevel::Warn, "asyncio", &message, (known.task, known.place), fields);
}

/// Now, on a clock that only goes on.
fn nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
