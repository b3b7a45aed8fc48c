//! Operations that are not ready at once: recorded from the first time they have to wait until they
//! are ready or given up.
#![expect(unsafe_code, reason = "projects a pin to the operation inside")]

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use loopd_model::WaitHow;

use super::current_task;
use super::hold::{Hold, HoldOf, OwnedHold};
use super::state::State;
use crate::clock::ticks;
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::waits::{Holder, Holders, Op, WaitRecord, next_wait};

/// What an operation is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// Nothing is recorded.
    Off,
    /// A resource with state.
    State(&'a State),
    /// A resource without, by its number.
    Resource(u64),
    /// The handle of a task, by its number, and since when that task is there.
    Task { handle: u64, task: u64, since: u64 },
}

/// An operation, where it was called, and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) op: Op,
    /// Where it was called; `None` if that is not known.
    pub(crate) location: Option<&'static Location<'static>>,
    /// Permits wanted; 0 where nothing is counted.
    pub(crate) amount: u32,
}

impl<'a> Call<'a> {
    /// The state of the resource, if this is recorded and it has one.
    #[inline]
    pub(crate) fn state(&self) -> Option<&'a State> {
        match self.target {
            Target::State(state) => Some(state),
            _ => None,
        }
    }

    /// The operation itself, and the wait for it if there is one.
    #[inline]
    pub(crate) fn wait<F: Future>(self, operation: F) -> impl Future<Output = F::Output> {
        self.wait_and(operation, |_, output| output)
    }

    /// The same, and what is then done with what it gave. No `async` block: this is on the path of
    /// every operation, and costs a third of one.
    #[inline]
    pub(crate) fn wait_and<F, D, O>(self, operation: F, done: D) -> Waiting<'a, F, D>
    where
        F: Future,
        D: Fn(Call<'a>, F::Output) -> O,
    {
        Waiting { wait: Wait::new(self), operation, done }
    }

    /// The same for an operation that blocks its thread; `must_wait` says whether it will, as far as
    /// one can tell.
    pub(crate) fn block<T>(self, must_wait: bool, operation: impl FnOnce() -> T) -> T {
        let mut wait = Wait::new(self);
        if must_wait {
            wait.begin();
        }
        let done = operation();
        wait.settle(&Poll::Ready(()));
        done
    }

    /// What was asked for has been taken, by a guard that borrows.
    #[inline]
    pub(crate) fn hold(self) -> Hold<'a> {
        HoldOf::begin(self.state(), self.location, self.amount)
    }

    /// The same by a guard that owns; `state` is the resource's.
    #[inline]
    pub(crate) fn hold_owned(self, state: Option<Arc<State>>) -> OwnedHold {
        let state = if matches!(self.target, Target::Off) { None } else { state };
        HoldOf::begin(state, self.location, self.amount)
    }
}

/// A wait that may have begun. Dropped in the middle, it was cancelled.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    call: Call<'a>,
    /// 0 until it begins.
    id: u64,
    began: u64,
}

impl<'a> Wait<'a> {
    /// Of an operation that has not been tried yet.
    #[inline]
    pub(crate) fn new(call: Call<'a>) -> Self {
        Self { call, id: 0, began: 0 }
    }

    /// The operation was tried: with this result.
    #[inline]
    pub(crate) fn settle<T>(&mut self, polled: &Poll<T>) {
        match polled {
            Poll::Pending if self.id == 0 => self.begin(),
            Poll::Ready(_) if self.id != 0 => self.end(WaitHow::Ready),
            _ => {}
        }
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self) {
        if matches!(self.call.target, Target::Off) {
            return;
        }
        (self.id, self.began) = (next_wait(), ticks());
        let mut holders = Holders::default();
        let resource = match self.call.target {
            Target::Off => 0,
            Target::State(state) => {
                state.begin_wait(self.call.op == Op::Send);
                holders = state.slots.read();
                state.id
            }
            Target::Resource(resource) => resource,
            Target::Task { handle, task, since } => {
                holders.push(Holder { task, since, ..Holder::default() });
                handle
            }
        };
        self.write(WaitRecord::Began {
            at: self.began,
            wait: self.id,
            task: current_task(),
            resource,
            op: self.call.op,
            location: self.call.location.map_or(0, place::number),
            amount: u64::from(self.call.amount),
            holders,
        });
    }

    #[cold]
    #[inline(never)]
    fn end(&mut self, how: WaitHow) {
        let now = ticks();
        if let Target::State(state) = self.call.target {
            state.end_wait(self.call.op == Op::Send, now.saturating_sub(self.began));
        }
        self.write(WaitRecord::Ended { at: now, wait: self.id, how });
        self.id = 0;
    }

    /// Also after waits were switched off: what began must end.
    fn write(&self, record: WaitRecord) {
        if recorder::is_recording() {
            recorder::write(&Record::Wait(record));
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.id != 0 {
            self.end(WaitHow::Cancelled);
        }
    }
}

/// Made by [`Call::wait_and`].
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Waiting<'a, F, D> {
    wait: Wait<'a>,
    operation: F,
    done: D,
}

impl<'a, F: Future, D: Fn(Call<'a>, F::Output) -> O, O> Future for Waiting<'a, F, D> {
    type Output = O;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        // SAFETY: `operation` is pinned with `self`: it is never moved out, and there is no `Drop`.
        // The other fields are never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut this.operation) }.poll(context);
        this.wait.settle(&polled);
        polled.map(|output| (this.done)(this.wait.call, output))
    }
}
