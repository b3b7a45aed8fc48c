//! What the wrappers in [`crate::sync`] and beside it have in common: a resource from open to close,
//! who holds it, who waits for it, and how often it was used.
//!
//! An operation that is ready at once records nothing; it updates a few atomics of the resource,
//! which the exporter reads once a second. Only a wait, and a hold that somebody waited for, become
//! records.

mod hold;
pub(crate) mod kind;
mod registry;
mod state;
mod wait;

use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use loopd_model::CloseHow;

use crate::clock::ticks;
use crate::hooks;
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::waits::Op;

pub(crate) use hold::{Hold, OwnedHold, set_slow_ticks, slow_ticks};
pub(crate) use kind::{Kind, READINGS, Reading};
pub(crate) use registry::{Inbox, count_unsampled, renew, unsampled};
pub(crate) use state::State;
pub(crate) use wait::{Call, Target, Wait};

/// The task that runs on this thread; 0 if none does, or none that is known.
#[inline]
pub(crate) fn current_task() -> u64 {
    match recorder::current_task() {
        0 => unseen_task(),
        task => task,
    }
}

/// A task that neither hooks nor wrappers saw begin its poll still has a number.
#[cold]
fn unseen_task() -> u64 {
    tokio::task::try_id().map_or(0, hooks::task_number)
}

/// One handle of a resource, of several where it can be cloned. The last one closes it.
#[derive(Debug)]
pub(crate) struct Handle(Arc<State>);

impl Handle {
    /// Records that a resource was opened, and has the exporter look at it from time to time.
    #[cold]
    fn open(kind: &'static Kind, name: &str, location: &'static Location<'static>) -> Self {
        Self::open_at(kind, name, place::number(location), current_task())
    }

    /// The same at a place that is known by its number, and by this task.
    pub(crate) fn open_at(kind: &'static Kind, name: &str, location: u64, task: u64) -> Self {
        let state = Arc::new(State::new(recorder::next_resource(), kind));
        recorder::write(&Record::Opened {
            at: ticks(),
            resource: state.id,
            location,
            task,
            kind: kind.name.to_owned(),
            name: name.to_owned(),
        });
        registry::register(&state);
        Self(state)
    }

    /// Its state.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.0.add_handle();
        Self(self.0.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.0.remove_handle() && recorder::is_recording() {
            let (resource, how) = (self.0.id, CloseHow::Dropped);
            recorder::write(&Record::Closed { at: ticks(), resource, how });
        }
    }
}

/// The part of a wrapper that knows its resource, for one that is never cloned.
#[derive(Debug)]
pub(crate) struct Watched {
    kind: &'static Kind,
    opened_at: &'static Location<'static>,
    /// Of permits: how many there are. Else 0.
    capacity: AtomicUsize,
    /// Empty if it was made while nothing was recorded; it is then opened by its first use.
    handle: OnceLock<Handle>,
}

impl Watched {
    /// A resource that the caller's caller opens now.
    #[track_caller]
    pub(crate) fn open(kind: &'static Kind, capacity: usize) -> Self {
        let watched = Self::open_later(kind, capacity);
        if recorder::is_recording() {
            watched.open_now();
        }
        watched
    }

    /// One that may be made before anything is recorded, in a `static` for example.
    #[track_caller]
    pub(crate) const fn open_later(kind: &'static Kind, capacity: usize) -> Self {
        let (opened_at, capacity) = (Location::caller(), AtomicUsize::new(capacity));
        Self { kind, opened_at, capacity, handle: OnceLock::new() }
    }

    #[cold]
    fn open_now(&self) -> &State {
        let open = || {
            let handle = Handle::open(self.kind, "", self.opened_at);
            handle.0.set_capacity(self.capacity.load(Relaxed));
            handle
        };
        &self.handle.get_or_init(open).0
    }

    /// Its state, if waits are recorded now.
    #[inline(always)]
    pub(crate) fn state(&self) -> Option<&State> {
        if !recorder::is_recording() || !recorder::records_waits() {
            return None;
        }
        match self.handle.get() {
            Some(handle) => Some(&handle.0),
            None => Some(self.open_now()),
        }
    }

    /// The same, to be kept by what outlives a borrow.
    pub(crate) fn shared_state(&self) -> Option<Arc<State>> {
        self.state()?;
        self.handle.get().map(|handle| handle.0.clone())
    }

    /// Permits were added.
    pub(crate) fn add_capacity(&self, count: usize) {
        self.capacity.fetch_add(count, Relaxed);
        if let Some(handle) = self.handle.get() {
            handle.0.add_capacity(count as u64);
        }
    }

    /// Permits were taken away for good.
    pub(crate) fn take_capacity(&self, count: usize) {
        self.capacity.fetch_sub(count, Relaxed);
        if let Some(handle) = self.handle.get() {
            handle.0.take_capacity(count as u64);
        }
    }

    /// An operation on it, called by the caller's caller.
    #[inline]
    #[track_caller]
    pub(crate) fn call(&self, op: Op, amount: u32) -> Call<'_> {
        let target = self.state().map_or(Target::Off, Target::State);
        Call { target, op, location: Some(Location::caller()), amount }
    }
}

/// The same for one with several handles, as a channel has. Made while nothing is recorded, it
/// never is.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Option<Handle>);

impl Shared {
    /// A resource that the caller's caller opens now.
    #[track_caller]
    pub(crate) fn open(kind: &'static Kind, name: &str, capacity: usize) -> Self {
        let location = Location::caller();
        let handle = recorder::is_recording().then(|| Handle::open(kind, name, location));
        if let Some(handle) = &handle {
            handle.0.set_capacity(capacity);
        }
        Self(handle)
    }

    /// Its state, if waits are recorded now.
    #[inline(always)]
    pub(crate) fn state(&self) -> Option<&State> {
        self.known_state().filter(|_| recorder::is_recording() && recorder::records_waits())
    }

    /// Its state also while waits are not recorded, for what must add up in the end.
    #[inline(always)]
    pub(crate) fn known_state(&self) -> Option<&State> {
        self.0.as_ref().map(|handle| &*handle.0)
    }

    /// An operation on it, called by the caller's caller.
    #[inline]
    #[track_caller]
    pub(crate) fn call(&self, op: Op) -> Call<'_> {
        let target = self.state().map_or(Target::Off, Target::State);
        Call { target, op, location: Some(Location::caller()), amount: 0 }
    }
}
