//! The atomics of one resource. What different tasks write often is kept on lines of its own.

use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

use super::hold::Slots;
use super::kind::Kind;
use crate::waits::Holders;

/// Keeps what is written often apart from the rest.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart<T>(T);

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: u64,
    pub(crate) kind: &'static Kind,
    /// What keeps it open.
    handles: AtomicU32,
    is_closed: AtomicBool,
    capacity: AtomicU64,
    senders: AtomicU64,
    receivers: AtomicU64,
    pub(super) slots: Slots,
    uses: Apart<Uses>,
    receives: Apart<Receives>,
    waits: Apart<Waits>,
}

/// Written by whoever acquires or sends.
#[derive(Debug, Default)]
struct Uses {
    /// Holds begun, or messages sent.
    begun: AtomicU64,
    /// Holds ended.
    ended: AtomicU64,
    held_ticks: AtomicU64,
    /// Permits in all holds together.
    amount: AtomicU64,
    /// Messages in a channel that knows it better than [`State::depth`] could; see there.
    depth: AtomicU64,
}

/// Written by whoever receives.
#[derive(Debug, Default)]
struct Receives {
    received: AtomicU64,
    lagged: AtomicU64,
    /// The exporter has read `depth`: whoever sends next may say it anew.
    is_depth_stale: AtomicBool,
}

/// Written only by those who wait.
#[derive(Debug, Default)]
struct Waits {
    begun: AtomicU64,
    now: AtomicU64,
    senders: AtomicU64,
    ticks: AtomicU64,
}

impl State {
    /// Of a resource just opened, with one handle.
    pub(super) fn new(id: u64, kind: &'static Kind) -> Self {
        Self {
            id,
            kind,
            handles: AtomicU32::new(1),
            is_closed: AtomicBool::new(false),
            capacity: AtomicU64::new(0),
            senders: AtomicU64::new(1),
            receivers: AtomicU64::new(1),
            slots: Slots::new(kind.slots),
            uses: Apart::default(),
            receives: Apart::default(),
            waits: Apart::default(),
        }
    }

    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// Says whether it was the last.
    pub(super) fn remove_handle(&self) -> bool {
        let is_last = self.handles.fetch_sub(1, AcqRel) == 1;
        if is_last {
            self.is_closed.store(true, Release);
        }
        is_last
    }

    /// Whether the last handle is gone: nothing changes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// A lock has one holder at most, who may write without regard to others.
    #[inline(always)]
    fn add(&self, to: &AtomicU64, count: u64) {
        if self.kind.slots == 1 {
            to.store(to.load(Relaxed).wrapping_add(count), Relaxed);
        } else {
            to.fetch_add(count, Relaxed);
        }
    }

    /// A hold begins.
    #[inline]
    pub(super) fn acquire(&self, amount: u64) {
        self.add(&self.uses.0.begun, 1);
        if amount != 0 {
            self.uses.0.amount.fetch_add(amount, Relaxed);
        }
    }

    /// A hold ends.
    #[inline]
    pub(super) fn release(&self, amount: u64, ticks: u64) {
        self.add(&self.uses.0.ended, 1);
        self.add(&self.uses.0.held_ticks, ticks);
        if amount != 0 {
            self.uses.0.amount.fetch_sub(amount, Relaxed);
        }
    }

    /// Who holds it now, as far as they are told apart.
    pub(crate) fn holders(&self) -> Holders {
        self.slots.read()
    }

    /// A hold has more permits, or fewer, than before.
    pub(super) fn change_amount(&self, from: u64, to: u64) {
        self.uses.0.amount.fetch_add(to.wrapping_sub(from), Relaxed);
    }

    /// Messages were sent.
    #[inline]
    pub(crate) fn send(&self, count: u64) {
        self.uses.0.begun.fetch_add(count, Relaxed);
    }

    /// Messages were received, by the only receiver there is.
    #[inline]
    pub(crate) fn receive(&self, count: u64) {
        let received = &self.receives.0.received;
        received.store(received.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// A message was received by one of several.
    #[inline]
    pub(crate) fn receive_shared(&self) {
        self.receives.0.received.fetch_add(1, Relaxed);
    }

    /// A receiver missed some.
    pub(crate) fn lag(&self, missed: u64) {
        self.receives.0.lagged.fetch_add(missed, Relaxed);
    }

    /// A wait begins.
    pub(crate) fn begin_wait(&self, is_sender: bool) {
        self.waits.0.begun.fetch_add(1, Relaxed);
        self.waits.0.now.fetch_add(1, Relaxed);
        self.waits.0.senders.fetch_add(u64::from(is_sender), Relaxed);
    }

    /// It is over.
    pub(crate) fn end_wait(&self, is_sender: bool, ticks: u64) {
        self.waits.0.ticks.fetch_add(ticks, Relaxed);
        self.waits.0.now.fetch_sub(1, Relaxed);
        self.waits.0.senders.fetch_sub(u64::from(is_sender), Relaxed);
    }

    /// How many it has room for, or permits in all.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity as u64, Relaxed);
    }

    /// Permits were added.
    pub(crate) fn add_capacity(&self, count: u64) {
        self.capacity.fetch_add(count, Relaxed);
    }

    /// Permits were taken away for good.
    pub(crate) fn take_capacity(&self, count: u64) {
        let fewer = |capacity: u64| Some(capacity.saturating_sub(count));
        let _ = self.capacity.fetch_update(Relaxed, Relaxed, fewer);
    }

    /// A handle that can send is there.
    pub(crate) fn add_sender(&self) {
        self.senders.fetch_add(1, Relaxed);
    }

    /// One is gone.
    pub(crate) fn remove_sender(&self) {
        self.senders.fetch_sub(1, Relaxed);
    }

    /// A handle that can receive is there.
    pub(crate) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Relaxed);
    }

    /// One is gone.
    pub(crate) fn remove_receiver(&self) {
        self.receivers.fetch_sub(1, Relaxed);
    }

    /// Says how many messages there are, where that is not what was sent and not received. Asks
    /// only if the exporter has read the last answer: at most once a second.
    #[inline]
    pub(crate) fn tell_depth(&self, depth: impl FnOnce() -> usize) {
        if self.receives.0.is_depth_stale.load(Relaxed) {
            self.receives.0.is_depth_stale.store(false, Relaxed);
            self.uses.0.depth.store(depth() as u64, Relaxed);
        }
    }
}

/// What the exporter reads.
impl State {
    pub(super) fn capacity(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    pub(super) fn free_permits(&self) -> u64 {
        self.capacity().saturating_sub(self.uses.0.amount.load(Relaxed))
    }

    pub(super) fn senders(&self) -> u64 {
        self.senders.load(Relaxed)
    }

    pub(super) fn receivers(&self) -> u64 {
        self.receivers.load(Relaxed)
    }

    /// Messages sent and not received. What is left when the last receiver goes, goes with it.
    pub(super) fn depth(&self) -> u64 {
        if self.receivers() == 0 {
            return 0;
        }
        if std::ptr::eq(self.kind, &super::kind::BROADCAST_CHANNEL) {
            self.receives.0.is_depth_stale.store(true, Relaxed);
            return self.uses.0.depth.load(Relaxed);
        }
        self.sent().saturating_sub(self.received())
    }

    pub(super) fn waiters(&self) -> u64 {
        self.waits.0.now.load(Relaxed)
    }

    pub(super) fn waiting_senders(&self) -> u64 {
        self.waits.0.senders.load(Relaxed)
    }

    pub(super) fn holds(&self) -> u64 {
        // The ends first: a hold that comes and goes meanwhile must not make less than none.
        let ended = self.uses.0.ended.load(Acquire);
        self.acquired().saturating_sub(ended)
    }

    pub(super) fn acquired(&self) -> u64 {
        self.uses.0.begun.load(Relaxed)
    }

    pub(super) fn contended(&self) -> u64 {
        self.waits.0.begun.load(Relaxed)
    }

    pub(super) fn waited_ticks(&self) -> u64 {
        self.waits.0.ticks.load(Relaxed)
    }

    pub(super) fn held_ticks(&self) -> u64 {
        self.uses.0.held_ticks.load(Relaxed)
    }

    pub(super) fn sent(&self) -> u64 {
        self.uses.0.begun.load(Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.receives.0.received.load(Relaxed)
    }

    pub(super) fn lagged(&self) -> u64 {
        self.receives.0.lagged.load(Relaxed)
    }
}
