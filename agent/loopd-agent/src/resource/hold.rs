//! Who holds a lock or permits: noted when they are taken, read by those who have to wait.

use std::borrow::Borrow;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
    fence,
};

use super::current_task;
use super::state::State;
use crate::clock::ticks;
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::waits::{Holder, Holders, WaitRecord};

/// From which length in ticks a hold is slow; never before the clock is calibrated.
static SLOW_TICKS: AtomicU64 = AtomicU64::new(u64::MAX);

/// Changes from which length in ticks a hold is recorded whether anybody waited for it or not.
pub(crate) fn set_slow_ticks(ticks: u64) {
    SLOW_TICKS.store(ticks, Relaxed);
}

/// From which length in ticks something is slow.
pub(crate) fn slow_ticks() -> u64 {
    SLOW_TICKS.load(Relaxed)
}

/// A hold that found no free slot: only counted.
const NO_SLOT: u8 = u8::MAX;

/// The holders of one resource.
#[derive(Debug)]
pub(super) struct Slots {
    /// One bit for each slot that has an owner. Not used for a single slot, whose owner is whoever
    /// has the lock.
    taken: AtomicU8,
    slots: Box<[Slot]>,
}

/// One holder; only its owner writes it.
#[derive(Debug, Default)]
struct Slot {
    /// 0 while there is no holder.
    since: AtomicU64,
    task: AtomicU64,
    location: AtomicU64,
    amount: AtomicU64,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self {
            taken: AtomicU8::new(0),
            slots: (0..count.min(8)).map(|_| Slot::default()).collect(),
        }
    }

    #[inline]
    fn take(&self, holder: Holder) -> u8 {
        let index = if self.slots.len() == 1 { 0 } else { self.find_free() };
        if let Some(slot) = self.slots.get(usize::from(index)) {
            slot.task.store(holder.task, Relaxed);
            slot.location.store(holder.location, Relaxed);
            slot.amount.store(holder.amount, Relaxed);
            slot.since.store(holder.since, Release);
        }
        index
    }

    fn find_free(&self) -> u8 {
        let mut taken = self.taken.load(Relaxed);
        loop {
            let index = taken.trailing_ones();
            if index as usize >= self.slots.len() {
                return NO_SLOT;
            }
            match self.taken.compare_exchange_weak(taken, taken | 1 << index, AcqRel, Relaxed) {
                Ok(_) => return index as u8,
                Err(now) => taken = now,
            }
        }
    }

    #[inline]
    fn give_back(&self, index: u8) {
        let Some(slot) = self.slots.get(usize::from(index)) else { return };
        slot.since.store(0, Relaxed);
        if self.slots.len() > 1 {
            self.taken.fetch_and(!(1 << index), AcqRel);
        }
    }

    fn set_amount(&self, index: u8, amount: u64) {
        if let Some(slot) = self.slots.get(usize::from(index)) {
            slot.amount.store(amount, Relaxed);
        }
    }

    /// Everybody who holds the resource now. One who comes or goes meanwhile may be missing.
    pub(super) fn read(&self) -> Holders {
        let mut holders = Holders::default();
        for slot in &self.slots {
            if let Some(holder) = slot.read() {
                holders.push(holder);
            }
        }
        holders
    }
}

impl Slot {
    /// The holder, if there is one and the reading is of one piece.
    fn read(&self) -> Option<Holder> {
        let since = self.since.load(Acquire);
        let holder = Holder {
            since,
            task: self.task.load(Relaxed),
            location: self.location.load(Relaxed),
            amount: self.amount.load(Relaxed),
        };
        fence(Acquire);
        (since != 0 && self.since.load(Relaxed) == since).then_some(holder)
    }
}

/// A lock or permits being held, from when they are taken until it is dropped. Forgotten together
/// with its guard it stays, as the lock does.
#[derive(Debug)]
pub(crate) struct HoldOf<S: Borrow<State>> {
    /// Nothing if the taking was not recorded.
    of: Option<S>,
    holder: Holder,
    /// Waits that had begun before.
    waits_before: u64,
    slot: u8,
}

/// Held by a guard that borrows its lock.
pub(crate) type Hold<'a> = HoldOf<&'a State>;
/// Held by a guard that shares in the ownership of its lock.
pub(crate) type OwnedHold = HoldOf<Arc<State>>;

impl<S: Borrow<State>> HoldOf<S> {
    /// Notes that the running task has taken this.
    #[inline]
    pub(crate) fn begin(
        of: Option<S>,
        location: Option<&'static Location<'static>>,
        amount: u32,
    ) -> Self {
        let Some(of) = of else { return Self::none() };
        let location = location.map_or(0, place::number);
        let (task, since, amount) = (current_task(), ticks(), u64::from(amount));
        Self::begin_by(of, Holder { task, since, location, amount })
    }

    /// The same of somebody who is known.
    #[inline]
    pub(crate) fn begin_by(of: S, holder: Holder) -> Self {
        let state: &State = of.borrow();
        state.acquire(holder.amount);
        let (slot, waits_before) = (state.slots.take(holder), state.contended());
        Self { of: Some(of), holder, waits_before, slot }
    }

    /// Of something taken while nothing was recorded.
    fn none() -> Self {
        Self { of: None, holder: Holder::default(), waits_before: 0, slot: NO_SLOT }
    }

    /// Nobody knows any more whether it is held.
    pub(crate) fn forget(mut self) {
        if let Some(of) = self.of.take() {
            let state: &State = of.borrow();
            state.slots.give_back(self.slot);
            state.release(self.holder.amount, 0);
        }
    }

    /// The holder has more, or less, than before.
    pub(crate) fn change_amount(&mut self, amount: u64) {
        if let Some(of) = &self.of {
            of.borrow().change_amount(self.holder.amount, amount);
            of.borrow().slots.set_amount(self.slot, amount);
        }
        self.holder.amount = amount;
    }

    #[cold]
    #[inline(never)]
    fn record(&self, resource: u64, at: u64, waits: u64) {
        if recorder::is_recording() && recorder::records_waits() {
            let hold = self.holder;
            recorder::write(&Record::Wait(WaitRecord::HoldEnded { at, resource, hold, waits }));
        }
    }
}

impl<S: Borrow<State>> HoldOf<S> {
    /// It is over. Says so at most once.
    #[inline]
    pub(crate) fn end(&mut self) {
        let Some(of) = self.of.take() else { return };
        let state: &State = of.borrow();
        let now = ticks();
        let length = now.saturating_sub(self.holder.since);
        let waits = state.contended().wrapping_sub(self.waits_before);
        state.slots.give_back(self.slot);
        state.release(self.holder.amount, length);
        if waits > 0 || state.waiters() > 0 || length >= SLOW_TICKS.load(Relaxed) {
            self.record(state.id, now, waits);
        }
    }
}

impl<S: Borrow<State>> Drop for HoldOf<S> {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}
