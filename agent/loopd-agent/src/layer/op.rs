//! Operations on resources: who waits for what, from the first poll that is not ready.
//!
//! Operations inside others, as the timer's in an interval's, are part of them.

use std::sync::atomic::Ordering::Relaxed;

use loopd_model::WaitHow;
use tracing::span::Attributes;

use crate::clock::ticks;
use crate::layer::resource::with_body;
use crate::layer::scope::{self, Entry};
use crate::layer::slab::{Role, SPANS, Slot};
use crate::layer::values::Origin;
use crate::record::Record;
use crate::recorder;
use crate::resource::current_task;
use crate::waits::{Op, WaitRecord, next_wait};

/// By how tokio calls them; what is not listed is a `wait`.
const OPS: [(&str, Op); 8] = [
    ("Mutex::", Op::Lock),
    ("RwLock::read", Op::Read),
    ("RwLock::write", Op::Write),
    ("Semaphore::", Op::Acquire),
    ("Receiver::", Op::Recv),
    ("Sender::closed", Op::Closed),
    ("Sleep::", Op::Sleep),
    ("Interval::", Op::Tick),
];

/// An operation was begun, on the resource that the thread is inside of or on `parent`.
pub(crate) fn open(slot: &Slot, attributes: &Attributes<'_>, parent: Option<u64>) {
    let origin = Origin::of(|visitor| attributes.record(visitor));
    let known = OPS.iter().position(|(name, _)| origin.what.as_str().starts_with(name));
    slot.flags.store(known.unwrap_or(OPS.len()) as u8, Relaxed);
    let inside = || scope::innermost(&[Role::Resource]).map(|entry| entry.slot.key());
    slot.owner.store(parent.or_else(inside).unwrap_or(0), Relaxed);
}

/// An operation on an inner semaphore was begun.
pub(crate) fn open_inner(slot: &Slot) {
    if let Some(inner) = scope::innermost(&[Role::Inner]) {
        slot.owner.store(inner.slot.key(), Relaxed);
    }
}

/// A poll of it is over.
pub(crate) fn exit(entry: Entry) {
    let is_part = scope::count(|outer| outer.slot.role() == Some(Role::Op)) > 0;
    let has_begun = entry.slot.number.load(Relaxed) != 0;
    match entry.is_ready {
        _ if is_part => {}
        Some(false) if !has_begun => begin(entry.slot),
        Some(true) => {
            if has_begun {
                end(entry.slot, WaitHow::Ready);
            }
            if entry.has_acquired {
                acquired(entry.slot);
            }
        }
        _ => {}
    }
}

/// It is gone: given up, if it was still being waited for.
pub(crate) fn close(slot: &Slot) {
    if slot.number.load(Relaxed) != 0 {
        end(slot, WaitHow::Cancelled);
    }
}

fn begin(slot: &Slot) {
    if !recorder::records_waits() || !recorder::is_recording() {
        return;
    }
    let Some(resource) = SPANS.get(slot.owner.load(Relaxed)) else { return };
    let (at, wait) = (ticks(), next_wait());
    let op = OPS.get(usize::from(slot.flags.load(Relaxed))).map_or(Op::Wait, |(_, op)| *op);
    let task = current_task();
    let seen = with_body(resource, |body| (body.handle.state().id, body.begin_wait(wait, task)));
    let Some((resource, holders)) = seen else { return };
    slot.number.store(wait, Relaxed);
    slot.began.store(at, Relaxed);
    recorder::write(&Record::Wait(WaitRecord::Began {
        at,
        wait,
        task,
        resource,
        op,
        location: 0,
        amount: slot.by.load(Relaxed),
        holders,
    }));
}

/// Also after waits were switched off: what began must end.
fn end(slot: &Slot, how: WaitHow) {
    let (at, wait) = (ticks(), slot.number.swap(0, Relaxed));
    let length = at.saturating_sub(slot.began.load(Relaxed));
    if let Some(resource) = SPANS.get(slot.owner.load(Relaxed)) {
        with_body(resource, |body| body.end_wait(wait, length));
    }
    if recorder::is_recording() {
        recorder::write(&Record::Wait(WaitRecord::Ended { at, wait, how }));
    }
}

/// It has got its permits.
fn acquired(slot: &Slot) {
    if let Some(resource) = SPANS.get(slot.owner.load(Relaxed)) {
        let (task, amount) = (current_task(), slot.by.load(Relaxed));
        with_body(resource, |body| body.hold(task, amount));
    }
}
