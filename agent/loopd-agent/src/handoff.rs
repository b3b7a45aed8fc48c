//! Which lane works as which worker of a loop. `block_in_place` gives a worker to another thread in
//! the middle of a poll; the thread that had it learns here that it no longer has, and since when.
#![expect(unsafe_code, reason = "keeps references to lanes in atomic pointers")]

use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel};

use tokio::runtime::Handle;

use crate::lane::Lane;

/// Workers that are followed; the poll of one beyond may seem to overlap that of the thread which
/// took over. No machine of today has as many.
const MAX_WORKERS: usize = 4096;

/// The owners of one loop's workers.
#[derive(Default)]
pub(crate) struct Owners {
    slots: OnceLock<Box<[AtomicPtr<Lane>]>>,
}

impl Owners {
    /// From now on this lane is the worker. Gives the lane that was it before, if another was.
    /// Called by a thread that runs the loop.
    pub(crate) fn claim(&self, worker: u32, lane: &'static Lane) -> Option<&'static Lane> {
        let slots = match self.slots.get() {
            Some(slots) => slots,
            None => {
                let workers = Handle::try_current().ok()?.metrics().num_workers();
                self.slots.get_or_init(|| slots(workers))
            }
        };
        let slot = slots.get(worker as usize)?;
        let before = slot.swap(std::ptr::from_ref(lane).cast_mut(), AcqRel);
        if std::ptr::eq(before, lane) {
            return None;
        }
        // SAFETY: null, or stored by the line above from a reference that is valid for ever.
        unsafe { before.as_ref() }
    }
}

fn slots(workers: usize) -> Box<[AtomicPtr<Lane>]> {
    (0..workers.min(MAX_WORKERS)).map(|_| AtomicPtr::new(null_mut())).collect()
}
