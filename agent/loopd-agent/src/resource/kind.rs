//! Kinds of resource, and what can be read of each.

use super::state::State;
use crate::clock::Calibration;

/// A kind of resource.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As in `ResourceOpened`.
    pub(crate) name: &'static str,
    /// Holders known one by one at once; more are only counted.
    pub(crate) slots: usize,
    /// What is sampled.
    pub(crate) readings: &'static [Reading],
}

/// One thing to be read of a resource. Totals run since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reading {
    /// Permits that are free.
    Permits,
    /// Permits, or messages that fit.
    Capacity,
    /// Messages sent and not received.
    Depth,
    /// Operations that wait now.
    Waiters,
    /// Of those, the ones that wait for room in a channel.
    WaitingSenders,
    /// Handles that can send.
    Senders,
    /// Handles that can receive.
    Receivers,
    /// Holds going on.
    Locked,
    /// Holds that have begun.
    Acquired,
    /// Operations that were not ready at once.
    Contended,
    /// Time that waits have taken which are over.
    WaitedNanos,
    /// Time that holds have taken which are over.
    HeldNanos,
    /// Messages sent.
    Sent,
    /// Messages received.
    Received,
    /// Messages that a receiver missed.
    Lagged,
}

/// How many there are.
pub(crate) const READINGS: usize = Reading::Lagged as usize + 1;

impl Reading {
    /// Its name as a metric.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Permits => "permits",
            Self::Capacity => "capacity",
            Self::Depth => "depth",
            Self::Waiters => "waiters",
            Self::WaitingSenders => "waiting_senders",
            Self::Senders => "senders",
            Self::Receivers => "receivers",
            Self::Locked => "locked",
            Self::Acquired => "acquired",
            Self::Contended => "contended",
            Self::WaitedNanos => "waited_nanos",
            Self::HeldNanos => "held_nanos",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Lagged => "lagged",
        }
    }

    /// Its value now.
    pub(crate) fn of(self, state: &State, clock: &Calibration) -> u64 {
        match self {
            Self::Permits => state.free_permits(),
            Self::Capacity => state.capacity(),
            Self::Depth => state.depth(),
            Self::Waiters => state.waiters(),
            Self::WaitingSenders => state.waiting_senders(),
            Self::Senders => state.senders(),
            Self::Receivers => state.receivers(),
            Self::Locked => state.holds(),
            Self::Acquired => state.acquired(),
            Self::Contended => state.contended(),
            Self::WaitedNanos => clock.length(state.waited_ticks()),
            Self::HeldNanos => clock.length(state.held_ticks()),
            Self::Sent => state.sent(),
            Self::Received => state.received(),
            Self::Lagged => state.lagged(),
        }
    }
}

use Reading::*;

const LOCK: &[Reading] = &[Locked, Waiters, Acquired, Contended, WaitedNanos, HeldNanos];
const PERMITS: &[Reading] =
    &[Permits, Capacity, Locked, Waiters, Acquired, Contended, WaitedNanos, HeldNanos];
const BOUNDED: &[Reading] = &[
    Depth,
    Capacity,
    Senders,
    Receivers,
    Waiters,
    WaitingSenders,
    Sent,
    Received,
    Contended,
    WaitedNanos,
];
const UNBOUNDED: &[Reading] =
    &[Depth, Senders, Receivers, Waiters, Sent, Received, Contended, WaitedNanos];
const BROADCAST: &[Reading] =
    &[Depth, Capacity, Senders, Receivers, Waiters, Sent, Received, Lagged, Contended, WaitedNanos];
const WATCH: &[Reading] = &[Senders, Receivers, Waiters, Sent, Contended, WaitedNanos];
const PARTIES: &[Reading] = &[Capacity, Waiters, Contended, WaitedNanos];
const QUEUE: &[Reading] = &[Capacity, Waiters, WaitingSenders, Contended, WaitedNanos];
const WAITED_FOR: &[Reading] = &[Waiters, Contended, WaitedNanos];

const fn kind(name: &'static str, slots: usize, readings: &'static [Reading]) -> Kind {
    Kind { name, slots, readings }
}

pub(crate) static MUTEX: Kind = kind("mutex", 1, LOCK);
pub(crate) static RW_LOCK: Kind = kind("rwlock", 8, LOCK);
pub(crate) static SEMAPHORE: Kind = kind("semaphore", 8, PERMITS);
pub(crate) static MPSC: Kind = kind("mpsc", 0, BOUNDED);
pub(crate) static UNBOUNDED_MPSC: Kind = kind("unbounded_mpsc", 0, UNBOUNDED);
pub(crate) static BROADCAST_CHANNEL: Kind = kind("broadcast", 0, BROADCAST);
pub(crate) static WATCH_CHANNEL: Kind = kind("watch", 0, WATCH);
pub(crate) static NOTIFY: Kind = kind("notify", 0, WAITED_FOR);
pub(crate) static BARRIER: Kind = kind("barrier", 0, WAITED_FOR);

/// Tokio's own, as its instrumentation tells of them. The next holder of a mutex may be told of
/// before the end of the last, so there are slots for several.
pub(crate) static TOKIO_MUTEX: Kind = kind("tokio::sync::Mutex", 8, LOCK);
pub(crate) static TOKIO_RW_LOCK: Kind = kind("tokio::sync::RwLock", 8, LOCK);
pub(crate) static TOKIO_SEMAPHORE: Kind = kind("tokio::sync::Semaphore", 8, PERMITS);
pub(crate) static TOKIO_BARRIER: Kind = kind("tokio::sync::Barrier", 0, PARTIES);
pub(crate) static TOKIO_ONESHOT: Kind = kind("tokio::sync::oneshot", 0, &[]);
pub(crate) static TOKIO_SLEEP: Kind = kind("tokio::time::Sleep", 0, &[]);
/// Those of asyncio, whose embedded agent sees who waits, but not each use.
pub(crate) static ASYNCIO_LOCK: Kind = kind("asyncio.Lock", 8, LOCK);
pub(crate) static ASYNCIO_SEMAPHORE: Kind = kind("asyncio.Semaphore", 8, WAITED_FOR);
pub(crate) static ASYNCIO_QUEUE: Kind = kind("asyncio.Queue", 0, QUEUE);
pub(crate) static ASYNCIO_EVENT: Kind = kind("asyncio.Event", 0, WAITED_FOR);
pub(crate) static ASYNCIO_CONDITION: Kind = kind("asyncio.Condition", 0, WAITED_FOR);
pub(crate) static ASYNCIO_BARRIER: Kind = kind("asyncio.Barrier", 0, PARTIES);
pub(crate) static TOKIO_INTERVAL: Kind = kind("tokio::time::Interval", 0, &[]);
