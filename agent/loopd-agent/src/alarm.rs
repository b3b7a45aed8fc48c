//! The waker that a wrapped task's future is given instead of its own: notes who wakes it and when,
//! and knows how many of its kind are left.
#![expect(unsafe_code, reason = "a waker that counts its clones is made of raw parts")]

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::SeqCst,
};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::clock::ticks;
use crate::notes::Note;
use crate::record::Record;
use crate::recorder;

/// Wakers while nobody but the task itself has one.
const OWN: usize = 1;

/// Where the task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// In a poll, or not polled yet.
    Polling = 0,
    /// Waiting to be woken.
    Pending = 1,
    /// Ended, or its wakers cannot all be known.
    Beyond = 2,
}

/// See the module.
pub(crate) struct Alarm {
    /// The task's own.
    waker: Waker,
    task: u64,
    /// When the first wake since the last poll came; 0 when none has.
    woken: AtomicU64,
    by: AtomicU64,
    wakes: AtomicU64,
    /// Wakers that there are, with the one that the task keeps.
    wakers: AtomicUsize,
    stage: AtomicU8,
}

/// What led to a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Woken {
    /// When the first wake came, in ticks.
    pub(crate) at: u64,
    /// The task that did it; 0 outside any.
    pub(crate) by: u64,
    /// Wakes until the poll.
    pub(crate) count: u64,
}

/// What the task keeps: the alarm and a waker of it. Dropping it says that the task is over.
pub(crate) struct Kept {
    alarm: Arc<Alarm>,
    waker: Waker,
}

impl Kept {
    /// An alarm for `task` in front of its own waker. With `is_first`, no other waker of the task
    /// was ever given to the future: when none is left, nothing can wake it.
    pub(crate) fn new(waker: &Waker, task: u64, is_first: bool) -> Self {
        let stage = if is_first { Stage::Polling } else { Stage::Beyond };
        let alarm = Arc::new(Alarm {
            waker: waker.clone(),
            task,
            woken: AtomicU64::new(0),
            by: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            wakers: AtomicUsize::new(OWN),
            stage: AtomicU8::new(stage as u8),
        });
        let waker = Waker::from(raw(alarm.clone()));
        Self { alarm, waker }
    }

    /// Whether it stands in for this waker.
    pub(crate) fn is_for(&self, waker: &Waker) -> bool {
        self.alarm.waker.will_wake(waker)
    }

    /// What the future is given.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// A poll begins: says what led to it.
    pub(crate) fn poll_begins(&self) -> Option<Woken> {
        let alarm = &self.alarm;
        if alarm.stage.load(Relaxed) == Stage::Pending as u8 {
            // Before `woken` is taken: see `Alarm::look_for_wakers`.
            alarm.stage.store(Stage::Polling as u8, Relaxed);
        }
        let at = alarm.woken.swap(0, AcqRel);
        let count = alarm.wakes.swap(0, Relaxed).max(1);
        (at != 0).then(|| Woken { at, by: alarm.by.load(Relaxed), count })
    }

    /// The poll ends and the task waits.
    pub(crate) fn is_pending(&self) {
        if self.alarm.stage.load(Relaxed) == Stage::Polling as u8 {
            // Of this thread and one that drops the last waker now, at least one sees both.
            self.alarm.stage.store(Stage::Pending as u8, SeqCst);
            if self.alarm.wakers.load(SeqCst) == OWN {
                self.alarm.look_for_wakers();
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.alarm.stage.store(Stage::Beyond as u8, SeqCst);
    }
}

impl Alarm {
    fn note(&self) {
        if recorder::is_recording() {
            if self.woken.compare_exchange(0, ticks(), AcqRel, Relaxed).is_ok() {
                self.by.store(recorder::current_task(), Relaxed);
            }
            self.wakes.fetch_add(1, Relaxed);
        }
    }

    /// Nobody else has a waker any more. Says so if the task waits for one.
    ///
    /// `woken` is read first: who sees it taken by a poll also sees that the poll has begun. The
    /// wakers are counted last: the task may have been polled and have given out another one since.
    #[cold]
    #[inline(never)]
    fn look_for_wakers(&self) {
        let is_woken = self.woken.load(Acquire) != 0;
        let is_pending = self.stage.load(SeqCst) == Stage::Pending as u8;
        let has_others = self.wakers.load(SeqCst) != OWN;
        if !is_woken && is_pending && !has_others && recorder::is_recording() {
            recorder::write(&Record::Note(Note::Unwakeable { at: ticks(), task: self.task }));
        }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn raw(alarm: Arc<Alarm>) -> RawWakerOf {
    RawWakerOf(RawWaker::new(Arc::into_raw(alarm).cast(), &VTABLE))
}

/// A raw waker whose data is an `Arc<Alarm>` and whose table is [`VTABLE`].
struct RawWakerOf(RawWaker);

impl From<RawWakerOf> for Waker {
    fn from(raw: RawWakerOf) -> Self {
        // SAFETY: the functions of `VTABLE` keep the contract of `RawWakerVTable`: `Alarm` is
        // `Send` and `Sync`, `clone` takes a reference of its own, `wake` and `drop` give up one.
        unsafe { Self::from_raw(raw.0) }
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: `data` comes from `Arc::into_raw`, and the waker being cloned holds a reference.
    let alarm = unsafe { ManuallyDrop::new(Arc::from_raw(data.cast::<Alarm>())) };
    alarm.wakers.fetch_add(1, Relaxed);
    raw(Arc::clone(&alarm)).0
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as below; the waker is given up here.
    unsafe {
        wake_by_ref(data);
        drop_waker(data);
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    let alarm = unsafe { ManuallyDrop::new(Arc::from_raw(data.cast::<Alarm>())) };
    alarm.note();
    alarm.waker.wake_by_ref();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: `data` comes from `Arc::into_raw`, and the waker being dropped held this reference.
    let alarm = unsafe { Arc::from_raw(data.cast::<Alarm>()) };
    if alarm.wakers.fetch_sub(1, SeqCst) == OWN + 1 {
        alarm.look_for_wakers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakers_are_counted_and_nothing_leaks() {
        let own = std::task::Waker::noop();
        let kept = Kept::new(own, 7, true);
        assert_eq!(kept.poll_begins(), None);
        let (one, two) = (kept.waker().clone(), kept.waker().clone());
        kept.is_pending();
        assert_eq!(kept.alarm.wakers.load(Relaxed), 3);
        one.wake();
        assert_eq!(kept.alarm.wakers.load(Relaxed), 2);
        drop(two);
        assert_eq!(kept.alarm.wakers.load(Relaxed), OWN);
        assert_eq!(Arc::strong_count(&kept.alarm), 2);
        assert!(kept.waker().will_wake(&kept.waker().clone()));
        let (alarm, late) = (kept.alarm.clone(), kept.waker().clone());
        drop(kept);
        late.wake();
        assert_eq!(Arc::strong_count(&alarm), 1);
    }
}
