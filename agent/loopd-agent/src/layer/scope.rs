//! The spans that a thread is inside of.

use std::cell::Cell;

use crate::layer::slab::{Role, SlotRef};

/// Spans inside spans on one thread; deeper ones are not seen from within. Tokio's own nest five
/// deep in a task.
const MAX_DEPTH: usize = 48;

/// One span that was entered.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) slot: SlotRef,
    /// When, in ticks.
    pub(crate) at: u64,
    /// Of an operation: whether it said that it is ready, the last time it said anything.
    pub(crate) is_ready: Option<bool>,
    /// Of an operation: whether it got permits while the thread was inside.
    pub(crate) has_acquired: bool,
    /// Of a task: whether this poll is recorded by us.
    pub(crate) is_ours: bool,
}

impl Entry {
    /// A span that is entered now.
    pub(crate) fn now(slot: SlotRef, at: u64) -> Self {
        Self { slot, at, is_ready: None, has_acquired: false, is_ours: false }
    }
}

struct Scope {
    entries: [Cell<Option<Entry>>; MAX_DEPTH],
    depth: Cell<usize>,
}

thread_local! {
    static SCOPE: Scope = const {
        Scope { entries: [const { Cell::new(None) }; MAX_DEPTH], depth: Cell::new(0) }
    };
}

/// The thread enters a span.
pub(crate) fn push(entry: Entry) {
    SCOPE.with(|scope| {
        let depth = scope.depth.get();
        if let Some(place) = scope.entries.get(depth) {
            place.set(Some(entry));
            scope.depth.set(depth + 1);
        }
    });
}

/// The thread leaves a span, most often the last that it entered.
pub(crate) fn pop(key: u64) -> Option<Entry> {
    SCOPE.with(|scope| {
        let depth = scope.depth.get();
        let is_it = |&index: &usize| at(scope, index).is_some_and(|entry| entry.slot.key() == key);
        let index = (0..depth).rev().find(is_it)?;
        let entry = scope.entries[index].take();
        for above in index + 1..depth {
            scope.entries[above - 1].set(scope.entries[above].take());
        }
        scope.depth.set(depth - 1);
        entry
    })
}

/// The innermost span with one of these roles.
pub(crate) fn innermost(roles: &[Role]) -> Option<Entry> {
    let is_one = |entry: &Entry| entry.slot.role().is_some_and(|role| roles.contains(&role));
    SCOPE.with(|scope| (0..scope.depth.get()).rev().filter_map(|i| at(scope, i)).find(is_one))
}

/// How often the thread is inside spans that are like this.
pub(crate) fn count(is_one: impl Fn(&Entry) -> bool) -> usize {
    let of =
        |scope: &Scope| (0..scope.depth.get()).filter_map(|i| at(scope, i)).filter(&is_one).count();
    SCOPE.with(of)
}

/// The innermost operation says whether it is ready.
pub(crate) fn set_ready(is_ready: bool) {
    change_op(|entry| Entry { is_ready: Some(is_ready), ..entry });
}

/// The innermost operation got permits.
pub(crate) fn set_acquired() {
    change_op(|entry| Entry { has_acquired: true, ..entry });
}

fn change_op(change: impl FnOnce(Entry) -> Entry) {
    SCOPE.with(|scope| {
        let is_op = |&i: &usize| at(scope, i).is_some_and(|e| e.slot.role() == Some(Role::Op));
        let index = (0..scope.depth.get()).rev().find(is_op);
        if let Some((index, entry)) = index.and_then(|index| Some((index, at(scope, index)?))) {
            scope.entries[index].set(Some(change(entry)));
        }
    });
}

fn at(scope: &Scope, index: usize) -> Option<Entry> {
    scope.entries.get(index)?.get()
}
