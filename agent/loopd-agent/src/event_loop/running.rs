//! Which loop runs in a thread, which is set there, and which live there.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::core::Core;
use super::remote::Remote;
use super::tasks::TaskCore;

thread_local! {
    static RUNNING: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    static LOOPS: RefCell<Vec<Weak<Core>>> = const { RefCell::new(Vec::new()) };
}

/// The loop that this thread runs.
pub(super) fn running() -> Option<Rc<Core>> {
    RUNNING.try_with(|running| running.borrow().clone()).ok()?
}

/// The task whose step this thread's running loop makes.
#[inline]
pub(super) fn current_task() -> Option<Rc<TaskCore>> {
    with_running(|core| core.current_task.borrow().clone())?
}

/// Does something with the loop that this thread runs.
#[inline]
pub(super) fn with_running<R>(f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    RUNNING.try_with(|running| running.borrow().as_ref().map(f)).ok()?
}

/// The loop that was set in this thread.
pub(super) fn current() -> Option<Rc<Core>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok()?
}

pub(super) fn set_current(core: Option<Rc<Core>>) {
    // Dropped outside the borrow: it may be the last reference to a loop.
    let before = CURRENT.try_with(|current| current.replace(core));
    drop(before);
}

/// A loop was made in this thread.
pub(super) fn add(core: &Rc<Core>) {
    let _ = LOOPS.try_with(|loops| {
        let mut loops = loops.borrow_mut();
        loops.retain(|known| known.strong_count() > 0);
        loops.push(Rc::downgrade(core));
    });
}

/// The loop with this remote part, if it is one of this thread's.
#[inline]
pub(super) fn with_own<R>(remote: &Arc<Remote>, f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    let is_it = |core: &Rc<Core>| Arc::ptr_eq(&core.remote, remote);
    let mut f = Some(f);
    let done = with_running(|core| if is_it(core) { f.take().map(|f| f(core)) } else { None });
    let Some(f) = f else { return done.flatten() };
    let find = |loops: &RefCell<Vec<Weak<Core>>>| {
        loops.borrow().iter().filter_map(Weak::upgrade).find(is_it)
    };
    let core = LOOPS.try_with(find).ok().flatten()?;
    Some(f(&core))
}

/// While it is there, a loop runs in this thread.
pub(super) struct Running;

impl Running {
    pub(super) fn enter(core: &Rc<Core>) -> Self {
        let _ = RUNNING.try_with(|running| running.replace(Some(core.clone())));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let before = RUNNING.try_with(RefCell::take);
        drop(before);
    }
}
