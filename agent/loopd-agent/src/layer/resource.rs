//! Tokio's locks, semaphores, barriers, oneshot channels and timers: opened, closed, and who has
//! them.
//!
//! Tokio says that a lock was taken or given back, not by whom: that is inferred to be the task
//! being polled then. What is given back by a task that has nothing was handed to it by the one
//! that has held it longest. Permits got by `try_acquire` are not told of, so that those of a
//! semaphore used in that way are a guess; permits that are forgotten stay held.
//!
//! A resource's holds are behind a lock that is only tried: a thread that finds it in use leaves
//! the change out, which is counted, and the holds known so far are forgotten.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::Event;
use tracing::span::Attributes;

use crate::clock::ticks;
use crate::layer::scope;
use crate::layer::slab::{Role, SPANS, Slot};
use crate::layer::values::{Arithmetic, Change, Origin};
use crate::recorder;
use crate::resource::kind::{self, Kind};
use crate::resource::{Handle, OwnedHold, current_task};
use crate::waits::{Holder, Holders};

/// Holds of one resource that are told apart; more are only counted.
const MAX_HOLDS: usize = 32;
/// Those who wait for one resource and are known in their order.
const MAX_WAITING: usize = 64;
/// Tries to get at a resource that another thread looks at, a few instructions each.
const TRIES: usize = 128;

/// Changes left out because another thread was at the resource.
static MISSED: AtomicU64 = AtomicU64::new(0);
/// How often holds were forgotten.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// What is kept of an open resource beside its slot.
pub(crate) struct Body {
    pub(crate) handle: Handle,
    holds: Vec<Held>,
    /// What is held by those who found no room in `holds`.
    others: u64,
    /// [`EPOCH`] when a hold was last noted.
    epoch: u64,
    /// Those who wait, the first one first: tokio serves them in that order.
    waiting: VecDeque<(u64, u64)>,
    /// Those whose place among them is not known: they found no room, or a change was missed.
    unplaced: usize,
    /// When the lock was last given back, in ticks.
    given_back: u64,
}

struct Held {
    task: u64,
    amount: u64,
    hold: OwnedHold,
}

/// By tokio's name, with whether it is opened only when somebody waits for it: most timers are
/// never waited for, as those of a timeout around what is ready at once.
const KINDS: [(&str, &Kind, bool); 7] = [
    ("Mutex", &kind::TOKIO_MUTEX, false),
    ("RwLock", &kind::TOKIO_RW_LOCK, false),
    ("Semaphore", &kind::TOKIO_SEMAPHORE, false),
    ("Barrier", &kind::TOKIO_BARRIER, false),
    ("Sender|Receiver", &kind::TOKIO_ONESHOT, false),
    ("Sleep", &kind::TOKIO_SLEEP, true),
    ("Interval", &kind::TOKIO_INTERVAL, true),
];
/// The one whose inner semaphore is looked at: where in the list, from 1.
const SEMAPHORE: u64 = 3;

/// Forgets all holds: some of their ends were not seen, or will not be.
pub(crate) fn forget_holds() {
    EPOCH.fetch_add(1, Relaxed);
}

/// Changes left out since the start.
pub(crate) fn missed() -> u64 {
    MISSED.load(Relaxed)
}

/// A resource was made. `number` is where its kind is in the list; it has one of its own when it
/// has a body.
pub(crate) fn open(slot: &Slot, attributes: &Attributes<'_>) {
    let origin = Origin::of(|visitor| attributes.record(visitor));
    let is_it = |(name, _, _): &(&str, &Kind, bool)| *name == origin.what.as_str();
    let Some(index) = KINDS.iter().position(is_it) else { return };
    slot.number.store(index as u64 + 1, Relaxed);
    slot.place.store(origin.place, Relaxed);
    slot.task.store(current_task(), Relaxed);
    if !KINDS[index].2 {
        with_body(slot, |_| ());
    }
}

/// The inner semaphore of a resource was made.
pub(crate) fn open_inner(slot: &Slot) {
    if let Some(outer) = scope::innermost(&[Role::Resource]) {
        slot.owner.store(outer.slot.key(), Relaxed);
    }
}

/// A resource is gone.
pub(crate) fn close(slot: &Slot) {
    // Nobody else can be at it any more.
    if let Ok(mut body) = slot.body.try_lock() {
        *body = None;
    }
}

/// Whether what this thread says of a semaphore is about one whose permits are looked at.
pub(crate) fn is_in_semaphore(roles: &[Role]) -> bool {
    let is_it =
        |slot: &Slot| slot.role() != Some(Role::Resource) || slot.number.load(Relaxed) == SEMAPHORE;
    scope::innermost(roles).is_some_and(|entry| is_it(entry.slot))
}

/// Looks at an open resource; opens it if nobody has before. Not while nothing is recorded: what is
/// made before the start is opened when it is next used.
pub(crate) fn with_body<T>(slot: &Slot, f: impl FnOnce(&mut Body) -> T) -> Option<T> {
    if !recorder::is_recording() {
        return None;
    }
    let mut tries = (0..TRIES).map(|_| {
        std::hint::spin_loop();
        slot.body.try_lock()
    });
    let Some(mut body) = tries.find_map(Result::ok) else {
        MISSED.fetch_add(1, Relaxed);
        forget_holds();
        return None;
    };
    if body.is_none() {
        let index = (slot.number.load(Relaxed) as usize).checked_sub(1)?;
        let (_, kind, _) = KINDS.get(index)?;
        let (place, task) = (slot.place.load(Relaxed), slot.task.load(Relaxed));
        let handle = Handle::open_at(kind, "", place, task);
        let epoch = EPOCH.load(Relaxed);
        *body = Some(Box::new(Body {
            handle,
            holds: Vec::new(),
            others: 0,
            epoch,
            waiting: VecDeque::new(),
            unplaced: 0,
            given_back: 0,
        }));
    }
    body.as_mut().map(|body| f(body))
}

/// The resource that the innermost span of this thread is, said to have changed.
pub(crate) fn change(event: &Event<'_>) {
    let Some(entry) = scope::innermost(&[Role::Resource]) else { return };
    let mut change = Change::default();
    event.record(&mut change);
    let task = current_task();
    with_body(entry.slot, |body| match (change.is_locked, change.readers, change.size) {
        (Some(true), ..) => body.hold(task, 0),
        (Some(false), ..) => body.release(task, 0),
        (_, Some(_), _) if change.arithmetic == Arithmetic::Add => body.hold(task, 0),
        (_, Some(_), _) if change.arithmetic == Arithmetic::Sub => body.release(task, 0),
        (.., Some(size)) => body.handle.state().set_capacity(size as usize),
        _ => {}
    });
}

/// The same for the permits of an inner semaphore.
pub(crate) fn change_permits(event: &Event<'_>) {
    let Some(entry) = scope::innermost(&[Role::Inner]) else { return };
    let mut change = Change::default();
    event.record(&mut change);
    match (change.permits, change.arithmetic) {
        (Some(permits), Arithmetic::Override) => set_capacity(entry.slot, permits),
        // In the middle of an acquisition it is what that one got too much.
        (Some(permits), Arithmetic::Add) if !is_acquiring(1) => give_back(entry.slot, permits),
        (Some(_), Arithmetic::Sub) => scope::set_acquired(),
        _ => {}
    }
}

/// The same for what an operation on an inner semaphore wants and has got.
pub(crate) fn change_request(event: &Event<'_>) {
    let mut change = Change::default();
    event.record(&mut change);
    if let Some(requested) = change.permits_requested
        && let Some(outer) = scope::innermost(&[Role::Op])
    {
        outer.slot.by.store(requested, Relaxed);
    }
    // Handed over by whoever gives permits back while others wait.
    if let Some(obtained) = change.permits_obtained
        && change.arithmetic == Arithmetic::Add
        && let Some(entry) = scope::innermost(&[Role::InnerOp, Role::Inner])
        && entry.slot.role() == Some(Role::InnerOp)
        && !is_acquiring(2)
        && let Some(inner) = SPANS.get(entry.slot.owner.load(Relaxed))
    {
        give_back(inner, obtained);
    }
}

/// Whether this thread is in the middle of an acquisition: inside so many operations.
fn is_acquiring(count: usize) -> bool {
    scope::count(|entry| entry.slot.role() == Some(Role::InnerOp)) >= count
}

fn set_capacity(inner: &Slot, permits: u64) {
    if let Some(outer) = SPANS.get(inner.owner.load(Relaxed)) {
        with_body(outer, |body| body.handle.state().set_capacity(permits as usize));
    }
}

fn give_back(inner: &Slot, permits: u64) {
    if let Some(outer) = SPANS.get(inner.owner.load(Relaxed)) {
        let task = current_task();
        with_body(outer, |body| body.release(task, permits));
    }
}

impl Body {
    /// A task has taken this; nothing is counted of a lock.
    pub(crate) fn hold(&mut self, task: u64, amount: u64) {
        self.forget_if_stale();
        if self.holds.len() == MAX_HOLDS {
            self.others += amount.max(1);
            return;
        }
        let holder = Holder { task, since: ticks(), location: 0, amount };
        let hold = OwnedHold::begin_by(self.handle.state().clone(), holder);
        self.holds.push(Held { task, amount, hold });
    }

    /// A task begins to wait; gives who is in its way. A lock that nobody has belongs to the first
    /// one in the queue, who has not run since it was given back.
    pub(crate) fn begin_wait(&mut self, wait: u64, task: u64) -> Holders {
        self.forget_if_stale();
        self.handle.state().begin_wait(false);
        let mut holders = self.handle.state().holders();
        if let Some(&(_, next)) = self.waiting.front()
            && self.holds.is_empty()
            && self.unplaced == 0
            && self.given_back != 0
        {
            holders.push(Holder { task: next, since: self.given_back, location: 0, amount: 0 });
        }
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((wait, task));
        } else {
            self.unplaced += 1;
        }
        holders
    }

    /// It is over, after so many ticks.
    pub(crate) fn end_wait(&mut self, wait: u64, length: u64) {
        self.handle.state().end_wait(false, length);
        let before = self.waiting.len();
        self.waiting.retain(|(known, _)| *known != wait);
        if self.waiting.len() == before {
            self.unplaced = self.unplaced.saturating_sub(1);
        }
    }

    /// A task gives this back.
    fn release(&mut self, task: u64, amount: u64) {
        self.forget_if_stale();
        // Not so of permits: those that are left may be enough for who asks.
        self.given_back = if amount == 0 { ticks() } else { 0 };
        let mut left = amount;
        loop {
            let own = self.holds.iter().position(|held| held.task == task);
            if own.is_none() && self.others > 0 {
                self.others = self.others.saturating_sub(left.max(1));
                return;
            }
            let Some(index) = own.or((!self.holds.is_empty()).then_some(0)) else { return };
            let held = &mut self.holds[index];
            if held.amount > left {
                held.amount -= left;
                return held.hold.change_amount(held.amount);
            }
            left -= held.amount;
            // Its end is recorded when it is dropped.
            drop(self.holds.remove(index));
            if left == 0 {
                return;
            }
        }
    }

    fn forget_if_stale(&mut self) {
        let epoch = EPOCH.load(Relaxed);
        if self.epoch != epoch {
            self.epoch = epoch;
            // Their holders will give them back, and must not be taken for others.
            self.others = self.holds.iter().map(|held| held.amount.max(1)).sum();
            self.holds.drain(..).for_each(|held| held.hold.forget());
            // One of them may have stopped waiting, and be in nobody's way.
            self.unplaced += self.waiting.len();
            self.waiting.clear();
        }
    }
}
