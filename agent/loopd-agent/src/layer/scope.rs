//! The spans that a thread is inside of.

use std::cell::Cell;

use crate::layer::slab::{Role, SlotRef};

/// Spans inside spans on one thread; deeper ones are not seen from within. Tokio's own nest five
/// deep in a task.
const MAX_DEPTH: usize = 48;
/// From here on it is looked for spans that are gone before another is entered.
const TIDY_DEPTH: usize = 16;

/// One span that was entered.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) slot: SlotRef,
    /// The span's key. The slot may be another's in the meantime, if the span is left on another
    /// thread or never.
    key: u64,
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
        let key = slot.key();
        Self { slot, key, at, is_ready: None, has_acquired: false, is_ours: false }
    }

    /// Whether the span is still there.
    fn is_current(&self) -> bool {
        self.slot.key() == self.key && self.slot.role().is_some()
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

/// Whether one more span can be entered. Without room its entering and leaving go unseen, both.
pub(crate) fn has_room() -> bool {
    SCOPE.with(|scope| {
        if scope.depth.get() >= TIDY_DEPTH {
            tidy(scope);
        }
        scope.depth.get() < MAX_DEPTH
    })
}

/// Takes out what is gone.
fn tidy(scope: &Scope) {
    let depth = scope.depth.get();
    let mut kept = 0;
    for entry in scope.entries[..depth].iter().map(Cell::take) {
        if entry.is_some_and(|entry| entry.is_current()) {
            scope.entries[kept].set(entry);
            kept += 1;
        }
    }
    scope.depth.set(kept);
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

/// The thread leaves a span, most often the last that it entered; `None` if that was not seen, or
/// the span is gone.
pub(crate) fn pop(key: u64) -> Option<Entry> {
    SCOPE.with(|scope| {
        let depth = scope.depth.get();
        let is_it = |&index: &usize| any_at(scope, index).is_some_and(|entry| entry.key == key);
        let index = (0..depth).rev().find(is_it)?;
        let entry = scope.entries[index].take();
        for above in index + 1..depth {
            scope.entries[above - 1].set(scope.entries[above].take());
        }
        scope.depth.set(depth - 1);
        entry.filter(Entry::is_current)
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

/// What is there, if its span still is.
fn at(scope: &Scope, index: usize) -> Option<Entry> {
    any_at(scope, index).filter(Entry::is_current)
}

fn any_at(scope: &Scope, index: usize) -> Option<Entry> {
    scope.entries.get(index)?.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::slab::SPANS;

    #[test]
    fn a_span_that_is_gone_is_passed_over_even_if_its_slot_is_not() {
        let slot = SPANS.open(Role::Op).unwrap();
        let key = slot.key();
        push(Entry::now(slot, 0));
        assert!(innermost(&[Role::Op]).is_some());
        assert!(SPANS.let_go(slot));
        SPANS.free(slot);
        let again = SPANS.open(Role::Op).unwrap();
        assert!(std::ptr::eq(slot, again), "the same slot");
        set_ready(true);
        assert!(innermost(&[Role::Op]).is_none() && count(|_| true) == 0);
        push(Entry::now(again, 0));
        set_ready(false);
        assert_eq!(pop(again.key()).unwrap().is_ready, Some(false));
        assert!(pop(key).is_none());
    }

    #[test]
    fn spans_that_are_gone_take_no_room_and_others_do() {
        for _ in 0..2 * MAX_DEPTH {
            let slot = SPANS.open(Role::App).unwrap();
            assert!(has_room());
            push(Entry::now(slot, 0));
            assert!(SPANS.let_go(slot));
            SPANS.free(slot);
        }
        let open: Vec<_> = (0..2 * MAX_DEPTH).map(|_| SPANS.open(Role::App).unwrap()).collect();
        let entered = open.iter().filter(|slot| {
            let has_room = has_room();
            has_room.then(|| push(Entry::now(slot, 0)));
            has_room
        });
        assert_eq!(entered.count(), MAX_DEPTH);
        let left = open.iter().filter_map(|slot| pop(slot.key()));
        assert_eq!(left.count(), MAX_DEPTH);
    }
}
