//! The program's loops: what each is called, which thread runs it, and what its clock and its idea of
//! slow are.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use foldhash::HashMap;
use loopd_agent::embed::{self, EmbeddedLoop};

use super::{WORLD, World};
use crate::peek;
use crate::py::{self, Object, Ref};

/// A loop of the program's.
pub(crate) struct LoopInfo {
    pub(crate) loop_: EmbeddedLoop,
    /// A weak reference to it, kept for ever.
    reference: usize,
    /// The thread that runs it, as libc numbers it; 0 while none does.
    pub(crate) thread: AtomicU64,
    /// The same as the system numbers it.
    tid: AtomicI32,
    /// Whether its clock is the system's monotonic one, so that lateness can be told.
    pub(crate) is_monotonic: bool,
}

/// Loops that have run, or that have tasks, and are not closed.
#[derive(Default)]
pub(super) struct Loops {
    known: HashMap<usize, Arc<LoopInfo>>,
    /// The last one asked for.
    near: (usize, Option<Arc<LoopInfo>>),
}

impl Loops {
    fn insert(&mut self, loop_: Object, info: Arc<LoopInfo>) {
        self.near = (0, None);
        self.known.insert(loop_ as usize, info);
    }

    fn remove(&mut self, loop_: usize) -> Option<Arc<LoopInfo>> {
        self.near = (0, None);
        self.known.remove(&loop_)
    }

    /// Those that a thread runs now.
    fn running(&self) -> impl Iterator<Item = &Arc<LoopInfo>> {
        self.known.values().filter(|info| info.thread.load(Relaxed) != 0)
    }
}

impl World {
    /// The loop at this address, if it is known.
    #[inline]
    pub(crate) fn known_loop(&mut self, loop_: Object) -> Option<&Arc<LoopInfo>> {
        let (key, loops) = (loop_ as usize, &mut self.loops);
        if loops.near.0 != key || loops.near.1.is_none() {
            loops.near = (key, Some(loops.known.get(&key)?.clone()));
        }
        loops.near.1.as_ref()
    }

    /// The loop is closed, and what stood for its callbacks ends with it. Says what need not be kept
    /// alive any more.
    fn close_loop(&mut self, loop_: usize) -> Vec<usize> {
        let Some(info) = self.loops.remove(loop_) else { return Vec::new() };
        if info.thread.load(Relaxed) != 0 {
            peek::thread_ends(info.tid.load(Relaxed));
        }
        let let_go = self.callbacks.end_all_of(info.loop_.id());
        info.loop_.close();
        let_go
    }
}

/// The loop at this address begins to shut down.
pub(crate) fn begin_closing(loop_: usize) {
    WORLD.with(|world| {
        if let Some(info) = world.loops.known.get(&loop_) {
            info.loop_.begin_closing();
        }
    });
}

/// The loop at this address is closed, and nothing is kept alive for its sake any more.
pub(crate) fn close_loop(loop_: usize) {
    let let_go = WORLD.with(|world| world.close_loop(loop_));
    for kept in let_go.unwrap_or_default() {
        // SAFETY: one reference of ours, or null. This may run code of Python's.
        unsafe { py::Py_XDECREF(kept as Object) };
    }
}

/// The loop at this address, made known if it is not.
pub(super) unsafe fn loop_of(loop_: Object) -> Option<Arc<LoopInfo>> {
    if loop_.is_null() {
        return None;
    }
    if let Some(Some(known)) = WORLD.with(|world| world.known_loop(loop_).cloned()) {
        return Some(known);
    }
    // SAFETY: a live object.
    unsafe { learn_loop(loop_) }
}

#[cold]
#[inline(never)]
unsafe fn learn_loop(loop_: Object) -> Option<Arc<LoopInfo>> {
    // SAFETY: a live object; what is got from it is given back, and errors are cleared.
    let (flavor, reference, is_monotonic, runs) = unsafe {
        let module = py::text_attribute(py::type_of(loop_), c"__module__");
        let name = py::text_attribute(py::type_of(loop_), c"__qualname__");
        let flavor = match module.split('.').next() {
            Some("asyncio") => "asyncio".to_owned(),
            Some("uvloop") => "uvloop".to_owned(),
            _ => format!("{module}.{name}"),
        };
        let reference = py::PyWeakref_NewRef(loop_, null_mut());
        py::PyErr_Clear();
        // It may have begun before anything was recorded.
        (flavor, reference, has_systems_clock(loop_), runs_here(loop_))
    };
    let thread = std::thread::current();
    let name = thread.name().map_or_else(|| "loop".to_owned(), str::to_owned);
    // SAFETY: asks for the current thread's name only.
    let name = unsafe { thread_name() }.unwrap_or(name);
    WORLD.with(|world| {
        let info = Arc::new(LoopInfo {
            loop_: EmbeddedLoop::open(&name, &flavor),
            reference: reference as usize,
            thread: AtomicU64::new(0),
            tid: AtomicI32::new(0),
            is_monotonic,
        });
        world.loops.insert(loop_, info.clone());
        if runs {
            info.run_here();
        }
        info
    })
}

/// The name that Python knows the current thread by.
unsafe fn thread_name() -> Option<String> {
    // SAFETY: what is got is given back, and errors are cleared.
    unsafe {
        let current_thread = py::imported(c"threading", c"current_thread")?;
        let thread = Ref(py::call0(current_thread.0));
        if thread.is_null() {
            py::PyErr_Clear();
            return None;
        }
        let name = py::text_attribute(thread.0, c"name");
        (!name.is_empty()).then_some(name)
    }
}

/// Whether `time` of a loop is that of `BaseEventLoop`.
unsafe fn has_systems_clock(loop_: Object) -> bool {
    // SAFETY: a live object; what is got is given back.
    unsafe {
        let base = py::imported(c"asyncio.base_events", c"BaseEventLoop");
        let own = base.and_then(|base| py::attribute(base.0, c"time"));
        let theirs = py::attribute(py::type_of(loop_), c"time");
        matches!((own, theirs), (Some(own), Some(theirs)) if own.0 == theirs.0)
    }
}

/// How a loop stood when it was told to run: it may run already, and refuse.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    is_noted: bool,
    /// The thread that ran it, as libc numbers it; 0 if none did.
    thread: u64,
}

/// A loop begins to run on this thread. One that was freed without being closed may have had the same
/// address.
pub(crate) unsafe fn loop_runs(loop_: Object) -> Run {
    // SAFETY: a live object; the weak reference is kept for ever.
    unsafe {
        let reference = WORLD.with(|world| world.known_loop(loop_).map(|info| info.reference));
        if let Some(Some(reference)) = reference
            && reference != 0
            && py::PyWeakref_GetObject(reference as Object) != loop_
        {
            close_loop(loop_ as usize);
        }
        if let Some(name) = thread_name() {
            embed::name_thread(&name);
        }
        heed_slow_duration(loop_);
        let Some(info) = loop_of(loop_) else { return Run::default() };
        let run = Run { is_noted: true, thread: info.thread.load(Relaxed) };
        info.run_here();
        run
    }
}

impl LoopInfo {
    fn run_here(&self) {
        // SAFETY: asks for the calling thread's numbers.
        let (thread, tid) = unsafe { (libc::pthread_self() as u64, gettid()) };
        self.thread.store(thread, Relaxed);
        self.tid.store(tid, Relaxed);
        peek::thread_runs(tid);
    }
}

unsafe fn gettid() -> i32 {
    // SAFETY: asks for the calling thread's number.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Whether this loop runs on the calling thread now, as asyncio knows it.
unsafe fn runs_here(loop_: Object) -> bool {
    // SAFETY: a live object; what is got is given back, and errors are cleared.
    unsafe {
        let get = py::imported(c"asyncio.events", c"_get_running_loop");
        let running = get.map(|get| Ref(py::call0(get.0)));
        py::PyErr_Clear();
        running.is_some_and(|running| running.0 == loop_)
    }
}

/// What a loop calls slow counts where it was set, and is less than what was configured.
pub(crate) unsafe fn heed_slow_duration(loop_: Object) {
    /// As asyncio has it where nobody set it.
    const DEFAULT: f64 = 0.1;
    // SAFETY: a live loop; what is got is given back, and errors are cleared.
    let seconds = unsafe {
        let value = py::attribute(loop_, c"slow_callback_duration");
        let seconds = value.map_or(DEFAULT, |value| py::PyFloat_AsDouble(value.0));
        let is_number = py::PyErr_Occurred().is_null();
        py::PyErr_Clear();
        if is_number { seconds } else { DEFAULT }
    };
    let nanos = (seconds.max(0.0) * 1e9) as u64;
    let configured = crate::agent::SLOW_NANOS.load(Relaxed);
    if (seconds - DEFAULT).abs() > f64::EPSILON && nanos < configured.min(embed::slow_threshold()) {
        embed::set_slow_threshold(nanos);
    }
}

/// The same of all loops that run.
pub(crate) fn heed_slow_durations() {
    let references =
        WORLD.with(|world| world.loops.running().map(|info| info.reference).collect::<Vec<_>>());
    for reference in references.unwrap_or_default().into_iter().filter(|&known| known != 0) {
        // SAFETY: weak references are kept for ever; what they refer to is kept alive meanwhile.
        unsafe {
            let loop_ = Ref::to(py::PyWeakref_GetObject(reference as Object));
            if loop_.0 != py::Py_None() {
                heed_slow_duration(loop_.0);
            }
        }
    }
}

/// What Python calls the thread with this number of the system's, if it runs a loop.
pub(crate) fn ident_of(tid: i32) -> Option<u64> {
    WORLD.with(|world| {
        let own = world.loops.running().find(|info| info.tid.load(Relaxed) == tid);
        own.map(|info| info.thread.load(Relaxed))
    })?
}

/// It does not run any more, or did not run at all.
pub(crate) fn loop_rests(loop_: Object, run: Run) {
    WORLD.with(|world| {
        if let Some(info) = world.known_loop(loop_) {
            info.thread.store(run.thread, Relaxed);
        }
    });
    // SAFETY: asks for the calling thread's number.
    let tid = unsafe { gettid() };
    match run.is_noted {
        true => peek::thread_rests(tid),
        false => peek::thread_ends(tid),
    }
}
