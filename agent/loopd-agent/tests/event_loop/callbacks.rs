//! What becomes of a callback and what it has captured, whatever its size: small ones are kept in memory
//! that was another's before, larger ones in their own.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use loopd_agent::event_loop::{EventLoop, Handle};

/// What one callback is to do and has done.
#[derive(Default)]
struct Fate {
    panics_when_called: bool,
    panics_when_dropped: bool,
    /// It cancels itself by this.
    own_handle: RefCell<Option<Handle>>,
    calls: Cell<u32>,
    drops: Cell<u32>,
}

impl Fate {
    fn assert(&self, size: &str, calls: u32, drops: u32) {
        assert_eq!((self.calls.get(), self.drops.get()), (calls, drops), "{size}");
    }
}

struct Guard(Rc<Fate>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.drops.set(self.0.drops.get() + 1);
        assert!(!self.0.panics_when_dropped, "dropped");
    }
}

/// What is captured beside the guard, which is one word.
trait Cargo: 'static {
    fn new() -> Self;
    fn is_whole(&self) -> bool;
}

impl<const WORDS: usize> Cargo for [u64; WORDS] {
    fn new() -> Self {
        std::array::from_fn(|i| !(i as u64))
    }

    fn is_whole(&self) -> bool {
        *self == Self::new()
    }
}

#[repr(align(16))]
struct Aligned<C>(C);

impl<C: Cargo> Cargo for Aligned<C> {
    fn new() -> Self {
        Self(C::new())
    }

    fn is_whole(&self) -> bool {
        std::hint::black_box(std::ptr::from_ref(self).addr()).is_multiple_of(16)
            && self.0.is_whole()
    }
}

fn call<C: Cargo>(fate: Rc<Fate>) -> impl FnOnce() {
    let (guard, cargo) = (Guard(fate), C::new());
    move || {
        let (guard, cargo) = (guard, cargo);
        let fate = &guard.0;
        assert!(cargo.is_whole());
        fate.calls.set(fate.calls.get() + 1);
        if let Some(handle) = fate.own_handle.take() {
            handle.cancel();
            assert!(handle.cancelled());
            assert_eq!(fate.drops.get(), 0, "what it has is its own while it runs");
        }
        assert!(!fate.panics_when_called, "called");
    }
}

fn schedule<C: Cargo>(it: &EventLoop, fate: &Rc<Fate>) -> Handle {
    it.call_soon(call::<C>(fate.clone())).unwrap()
}

type Schedule = fn(&EventLoop, &Rc<Fate>) -> Handle;

const SIZES: [(&str, Schedule); 7] = [
    ("a word", schedule::<[u64; 0]>),
    ("two words", schedule::<[u64; 1]>),
    ("five words", schedule::<[u64; 4]>),
    ("six words", schedule::<[u64; 5]>),
    ("many words", schedule::<[u64; 200]>),
    ("aligned to 16 bytes", schedule::<Aligned<[u64; 2]>>),
    ("aligned to 16 bytes, and many", schedule::<Aligned<[u64; 200]>>),
];

/// Each size twice in one loop, so that the second is where one was before.
fn for_all(check: impl Fn(&EventLoop, &str, Schedule)) {
    let it = EventLoop::new().unwrap();
    it.set_exception_handler(|_, _| {});
    for (size, schedule) in SIZES.into_iter().chain(SIZES) {
        check(&it, size, schedule);
    }
    it.close().unwrap();
}

fn run(it: &EventLoop) {
    it.stop();
    it.run_forever().unwrap();
}

#[test]
fn what_was_called_is_dropped_once_and_its_handle_still_tells_of_it() {
    for_all(|it, size, schedule| {
        let (fate, other) = (Rc::<Fate>::default(), Rc::<Fate>::default());
        let handle = schedule(it, &fate);
        schedule(it, &other);
        fate.assert(size, 0, 0);
        run(it);
        fate.assert(size, 1, 1);
        other.assert(size, 1, 1);
        let (text, next) = (handle.to_string(), Rc::<Fate>::default());
        (0..10).for_each(|_| drop(schedule(it, &next)));
        handle.cancel();
        assert!(handle.cancelled());
        assert_eq!(handle.to_string().replace(" cancelled", ""), text, "{size}");
        run(it);
        fate.assert(size, 1, 1);
        next.assert(size, 10, 10);
    });
}

#[test]
fn what_is_cancelled_is_dropped_at_once_and_takes_no_other_with_it() {
    for_all(|it, size, schedule| {
        let (fate, next) = (Rc::<Fate>::default(), Rc::<Fate>::default());
        let handle = schedule(it, &fate);
        handle.cancel();
        fate.assert(size, 0, 1);
        drop(handle);
        run(it);
        let handle = schedule(it, &next);
        assert!(!handle.cancelled(), "{size}");
        run(it);
        fate.assert(size, 0, 1);
        next.assert(size, 1, 1);
    });
}

#[test]
fn what_cancels_itself_runs_to_its_end() {
    for_all(|it, size, schedule| {
        let fate = Rc::<Fate>::default();
        *fate.own_handle.borrow_mut() = Some(schedule(it, &fate));
        run(it);
        fate.assert(size, 1, 1);
    });
}

#[test]
fn what_panics_is_dropped_once() {
    for_all(|it, size, schedule| {
        let fate = Rc::new(Fate { panics_when_called: true, ..Fate::default() });
        schedule(it, &fate);
        run(it);
        fate.assert(size, 1, 1);

        let fate = Rc::new(Fate { panics_when_dropped: true, ..Fate::default() });
        schedule(it, &fate);
        run(it);
        fate.assert(size, 1, 1);

        let fate = Rc::new(Fate { panics_when_dropped: true, ..Fate::default() });
        schedule(it, &fate).cancel();
        fate.assert(size, 0, 1);
        run(it);
        fate.assert(size, 0, 1);
    });
}

#[test]
fn what_never_runs_is_dropped_with_the_loop_though_there_are_handles() {
    for panics_when_dropped in [false, true] {
        for is_closed in [true, false] {
            for (size, schedule) in SIZES {
                let it = EventLoop::new().unwrap();
                it.set_exception_handler(|_, _| {});
                let ran = Rc::<Fate>::default();
                schedule(&it, &ran);
                run(&it);
                let fate = Rc::new(Fate { panics_when_dropped, ..Fate::default() });
                let (handle, before) = (schedule(&it, &fate), schedule(&it, &ran));
                let text = handle.to_string();
                drop(before);
                if is_closed {
                    it.close().unwrap();
                }
                drop(it);
                fate.assert(size, 0, 1);
                ran.assert(size, 1, 2);
                assert_eq!(handle.to_string(), text);
                handle.cancel();
                fate.assert(size, 0, 1);
            }
        }
    }
}

#[test]
fn timers_use_the_same_memory() {
    let it = EventLoop::new().unwrap();
    let (soon, late, never) = (Rc::<Fate>::default(), Rc::<Fate>::default(), Rc::default());
    for round in 1..=3 {
        it.call_soon(call::<[u64; 2]>(soon.clone())).unwrap();
        let stop = it.clone();
        let late_call = call::<[u64; 1]>(late.clone());
        let cancelled = it.call_later(Duration::ZERO, call::<[u64; 2]>(Rc::clone(&never))).unwrap();
        let handle = it.call_later(Duration::ZERO, move || {
            late_call();
            stop.stop();
        });
        let handle = handle.unwrap();
        cancelled.cancel();
        never.assert("a timer", 0, round);
        it.run_forever().unwrap();
        soon.assert("no timer", round, round);
        late.assert("a timer", round, round);
        assert!(!handle.cancelled() && cancelled.cancelled());
        assert!(handle.when() <= it.time());
    }
    it.close().unwrap();
}

thread_local! {
    static NOTHINGS: Cell<u32> = const { Cell::new(0) };
}

/// Takes no memory, and yet there is one.
struct Nothing;

impl Drop for Nothing {
    fn drop(&mut self) {
        NOTHINGS.set(NOTHINGS.get() + 1);
    }
}

#[test]
fn what_takes_no_memory_is_dropped_once() {
    fn check<F: FnOnce() + 'static>(make: fn() -> F) {
        assert_eq!(size_of::<F>(), 0);
        NOTHINGS.set(0);
        let it = EventLoop::new().unwrap();
        let _called = it.call_soon(make()).unwrap();
        assert_eq!(NOTHINGS.get(), 0);
        run(&it);
        assert_eq!(NOTHINGS.get(), 1);
        it.call_soon(make()).unwrap().cancel();
        assert_eq!(NOTHINGS.get(), 2);
        let _pending = it.call_soon(make()).unwrap();
        it.close().unwrap();
        assert_eq!(NOTHINGS.get(), 3);
    }
    check(|| {
        let nothing = Nothing;
        move || drop(nothing)
    });
    check(|| {
        let nothing = Aligned(Nothing);
        move || drop(nothing)
    });
}

#[test]
fn a_refused_callback_is_dropped() {
    let it = EventLoop::new().unwrap();
    it.close().unwrap();
    let fate = Rc::<Fate>::default();
    assert!(it.call_soon(call::<[u64; 2]>(fate.clone())).is_err());
    fate.assert("refused", 0, 1);
    let fate = Rc::new(Fate { panics_when_dropped: true, ..Fate::default() });
    let refused = catch_unwind(AssertUnwindSafe(|| it.call_soon(call::<[u64; 2]>(fate.clone()))));
    assert!(refused.is_err(), "the caller's own drop panics in the caller");
}
