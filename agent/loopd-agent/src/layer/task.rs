//! Tasks: their wakes and wakers, and the lives of those that no hook and no wrapper sees. These
//! are tasks of a `LocalSet`, roots of `block_on`, blocking jobs, and tasks of runtimes that are not
//! attached.
//!
//! Dropping a task's future counts as a poll of such a task: tokio's span does not tell them apart.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Relaxed};

use loopd_model::{EventKind, Outcome, TaskId, TaskKind};
use tracing::Event;
use tracing::span::Attributes;

use crate::clock::ticks;
use crate::hooks;
use crate::lane::{Lane, worker_index};
use crate::layer::scope::Entry;
use crate::layer::slab::{Role, SPANS, Slot, SlotRef};
use crate::layer::values::{Origin, Traits, WakerEvent, WakerOp};
use crate::notes::Note;
use crate::record::Record;
use crate::recorder::{self, Loop};
use crate::tasks;

/// Tokio's hooks record its life.
const HOOKED: u8 = 1;
/// We have told of its spawn.
const TOLD: u8 = 2;
/// A panic came out of it.
const PANICKED: u8 = 4;
const KIND_SHIFT: u8 = 4;
/// A suspicion that has been told.
const ACCUSED: u32 = u32::MAX;

const KINDS: [TaskKind; 4] =
    [TaskKind::Async, TaskKind::Local, TaskKind::BlockOn, TaskKind::Blocking];

/// Wakers of tasks older than this, in ticks, have not all been counted.
static WAKERS_COUNT_SINCE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The last task spawned on this thread that a hook may be about to tell of, and its key.
    static SPAWNED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// From now on wakers are counted again.
pub(crate) fn wakers_count_from_now() {
    WAKERS_COUNT_SINCE.store(ticks(), Relaxed);
}

/// A hook tells of this task's spawn.
#[cfg(tokio_unstable)]
pub(crate) fn is_hooked(task: u64) {
    let (spawned, key) = SPAWNED.replace((0, 0));
    if spawned == task
        && let Some(slot) = SPANS.pin(key)
    {
        slot.flags.fetch_or(HOOKED, Relaxed);
        super::let_go(slot);
    }
}

/// A task, job or root was spawned. It keeps no number if it is none of our business.
pub(crate) fn open(slot: &Slot, attributes: &Attributes<'_>, is_blocking: bool) {
    let is_wrapped = hooks::take_wrapping();
    if !recorder::is_recording() {
        return;
    }
    let mut traits = Traits::default();
    attributes.record(&mut traits);
    if is_wrapped && !is_large(&traits) {
        return;
    }
    let origin = Origin::of(|visitor| attributes.record(visitor));
    if is_wrapped {
        return tell_traits(origin.task, &traits);
    }
    let kind = match origin.what.as_str() {
        _ if is_blocking => TaskKind::Blocking,
        "local" => TaskKind::Local,
        "block_on" => TaskKind::BlockOn,
        _ => TaskKind::Async,
    };
    // A runtime's workers are blocking jobs to tokio.
    if is_blocking && origin.function.as_str().starts_with("tokio::runtime::scheduler") {
        return;
    }
    tell_traits(origin.task, &traits);
    slot.flags.store((kind as u8) << KIND_SHIFT, Relaxed);
    slot.number.store(origin.task, Relaxed);
    slot.place.store(origin.place, Relaxed);
    slot.began.store(ticks(), Relaxed);
    slot.task.store(recorder::current_task(), Relaxed);
    match kind {
        TaskKind::Async => SPAWNED.set((origin.task, slot.key())),
        TaskKind::Local | TaskKind::Blocking => {
            tell(slot);
        }
        // It enters its runtime only now; and tokio has no callbacks.
        TaskKind::BlockOn | TaskKind::Callback => {}
    }
}

fn is_large(traits: &Traits) -> bool {
    traits.size >= tasks::LARGE_FUTURE as u64 || traits.original_size != 0
}

/// Its name, and sizes under the names that tokio gives them.
fn tell_traits(task: u64, traits: &Traits) {
    let name = traits.name.as_str();
    if !name.is_empty() {
        recorder::write(&Record::Named { at: ticks(), task, name: name.to_owned() });
    }
    if is_large(traits) {
        let both = [("size.bytes", traits.size), ("original_size.bytes", traits.original_size)];
        let known = both.into_iter().filter(|(_, size)| *size != 0);
        let fields = known.map(|(name, size)| (name.to_owned(), size.to_string())).collect();
        recorder::write(&Record::Note(Note::Fields { at: ticks(), task, fields }));
    }
}

/// Tells of its spawn, once its loop is known; says whether it is.
fn tell(slot: &Slot) -> bool {
    let Ok(mut known) = slot.loop_.try_lock() else { return false };
    if known.is_none() {
        *known = recorder::current_loop();
    }
    let Some(loop_) = &*known else { return false };
    if slot.flags.fetch_or(TOLD, AcqRel) & TOLD == 0 {
        recorder::write(&Record::Spawned {
            at: slot.began.load(Relaxed),
            task: slot.number.load(Relaxed),
            loop_id: loop_.id.0,
            location: slot.place.load(Relaxed),
            parent: slot.task.load(Relaxed),
            kind: kind(slot),
            label: 0,
        });
    }
    true
}

/// Does something with the loop of a task that was told of. Its lock is for form's sake: only the
/// thread that polls the task comes here.
fn with_loop(slot: &Slot, f: impl FnOnce(&Loop)) {
    if let Ok(known) = slot.loop_.try_lock()
        && let Some(loop_) = &*known
    {
        f(loop_);
    }
}

fn kind(slot: &Slot) -> TaskKind {
    KINDS[usize::from(slot.flags.load(Relaxed) >> KIND_SHIFT) % KINDS.len()]
}

/// A poll of it begins, or the drop of its future.
pub(crate) fn enter(slot: SlotRef) -> Entry {
    let mut entry = Entry::now(slot, u64::from(std::thread::panicking()));
    let task = slot.number.load(Relaxed);
    if task == 0 || !recorder::is_recording() {
        return entry;
    }
    let polls = slot.entries.fetch_add(1, Relaxed);
    slot.inside.fetch_add(1, Relaxed);
    if slot.flags.load(Relaxed) & HOOKED == 0 {
        if kind(slot) == TaskKind::Blocking {
            if polls == 0 && tell(slot) {
                recorder::write(&Record::BlockingStarted { at: ticks(), task });
            }
            return entry;
        }
        entry.is_ours = enter_ours(slot, task);
    }
    if polls == 0
        && let Some(lane) = recorder::existing_lane().filter(is_polled(task))
    {
        // What led to it is the spawn.
        lane.explain();
    }
    write_wake(slot, task);
    entry
}

/// Whether a lane's thread polls this task.
fn is_polled(task: u64) -> impl Fn(&&'static Lane) -> bool {
    move |lane| lane.current_task() == task
}

/// Says whether the poll is recorded by us.
fn enter_ours(slot: &Slot, task: u64) -> bool {
    if recorder::existing_lane().filter(is_polled(task)).is_some() {
        return false;
    }
    let Some(lane) = recorder::poll_lane().filter(|_| tell(slot)) else { return false };
    with_loop(slot, |loop_| {
        lane.enter(loop_, worker_index(), task);
    });
    true
}

/// What led to the poll that begins now; not so if it came later, as for the drop of a future that
/// is inside its last poll.
fn write_wake(slot: &Slot, task: u64) {
    let woken = slot.woken.load(Relaxed);
    if woken == 0 {
        return;
    }
    let is_poll = |lane: &&Lane| lane.current_task() == task && woken <= lane.poll_started();
    let Some(lane) = recorder::existing_lane().filter(is_poll) else { return };
    let woken = slot.woken.swap(0, AcqRel);
    let wakes = slot.wakes.swap(0, Relaxed).max(1);
    if woken != 0 && recorder::records_wakes() {
        let by = slot.by.load(Relaxed);
        lane.write_wake(woken, lane.poll_started(), task, by, wakes.into());
    }
}

/// The poll ends.
pub(crate) fn exit(entry: Entry) {
    let slot = entry.slot;
    if slot.number.load(Relaxed) == 0 {
        return;
    }
    let was_panicking = entry.at != 0;
    if !was_panicking && std::thread::panicking() {
        slot.flags.fetch_or(PANICKED, Relaxed);
    }
    if entry.is_ours
        && let Some(lane) = recorder::existing_lane()
    {
        with_loop(slot, |loop_| lane.exit(loop_));
    }
    let fewer = |inside: u8| Some(inside.saturating_sub(1));
    let _ = slot.inside.fetch_update(Relaxed, Relaxed, fewer);
}

/// It is over.
pub(crate) fn close(slot: &Slot) {
    if let Ok(mut known) = slot.loop_.try_lock() {
        *known = None;
    }
    let flags = slot.flags.load(Relaxed);
    if flags & TOLD == 0 || !recorder::is_recording() {
        return;
    }
    let outcome = match kind(slot) {
        _ if flags & PANICKED != 0 => Outcome::Panicked,
        // Entered once for the job and once for its drop.
        TaskKind::Blocking if slot.entries.load(Relaxed) < 2 => Outcome::Cancelled,
        TaskKind::Blocking => Outcome::Completed,
        _ => Outcome::Unknown,
    };
    let task = slot.number.load(Relaxed);
    recorder::write(&Record::Ended { at: ticks(), task, outcome });
}

/// Something happened to a waker. `key_of` finds a span of tokio's by its id.
pub(crate) fn waker(event: &Event<'_>, key_of: impl Fn(u64) -> u64) {
    let mut waker = WakerEvent::default();
    event.record(&mut waker);
    let Some(op) = waker.op else { return };
    // A waker may outlive its task.
    let Some(slot) = SPANS.pin(key_of(waker.span)) else { return };
    if slot.role() == Some(Role::Task) && slot.number.load(Relaxed) != 0 {
        slot.waker(op);
    }
    super::let_go(slot);
}

impl Slot {
    fn waker(&self, op: WakerOp) {
        let fewer = |wakers: u32| Some(wakers.saturating_sub(1));
        match op {
            WakerOp::Clone => drop(self.wakers.fetch_add(1, Relaxed)),
            WakerOp::Drop => drop(self.wakers.fetch_update(Relaxed, Relaxed, fewer)),
            WakerOp::WakeByRef => self.note_wake(),
            WakerOp::Wake => {
                self.note_wake();
                let _ = self.wakers.fetch_update(AcqRel, Relaxed, fewer);
            }
        }
    }

    fn note_wake(&self) {
        if self.woken.compare_exchange(0, ticks(), AcqRel, Relaxed).is_ok() {
            self.by.store(recorder::current_task(), Relaxed);
        }
        self.wakes.fetch_add(1, Relaxed);
    }

    /// Whether nothing can wake this task, as far as one look tells.
    fn is_forgotten(&self) -> bool {
        self.role() == Some(Role::Task)
            && self.number.load(Relaxed) != 0
            && matches!(kind(self), TaskKind::Async | TaskKind::Local)
            && self.began.load(Relaxed) >= WAKERS_COUNT_SINCE.load(Relaxed)
            && self.inside.load(Relaxed) == 0
            && self.wakers.load(Relaxed) == 0
            && self.woken.load(Relaxed) == 0
    }
}

/// Tells of tasks that nothing can wake. Between its last poll and its end every task looks like
/// one for an instant; so only those are told of that look so twice with no poll between. Called
/// once a second, by one thread.
pub(crate) fn look_for_forgotten(mut tell: impl FnMut(EventKind)) {
    SPANS.each(|slot| {
        if !slot.is_forgotten() {
            return slot.suspected.store(0, Relaxed);
        }
        let (polls, suspected) = (slot.entries.load(Relaxed), slot.suspected.load(Relaxed));
        if polls > 0 && suspected == polls {
            slot.suspected.store(ACCUSED, Relaxed);
            tell(EventKind::TaskUnwakeable { task: TaskId(slot.number.load(Relaxed)) });
        } else if suspected != ACCUSED {
            slot.suspected.store(polls, Relaxed);
        }
    });
}
