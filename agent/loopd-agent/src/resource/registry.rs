//! How the exporter comes to know the resources that it samples: through a bounded channel, so that
//! opening one never waits for it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::state::State;
use crate::renewable::Renewable;

/// Resources opened between two rounds of the exporter, 50 ms at most. Beyond it they are recorded
/// as any other, but not sampled.
const MAX_NEW: usize = 1024;

type Ends = (SyncSender<Arc<State>>, Mutex<Option<Receiver<Arc<State>>>>);

static CHANNEL: Renewable<Ends> = Renewable::new(|| {
    let (sender, receiver) = sync_channel(MAX_NEW);
    (sender, Mutex::new(Some(receiver)))
});
static UNSAMPLED: AtomicU64 = AtomicU64::new(0);

fn channel() -> &'static Ends {
    CHANNEL.get()
}

/// The next exporter finds only what is opened from now on.
pub(crate) fn renew() {
    CHANNEL.renew();
}

/// Where the exporter finds resources that are new. There is one in a process.
pub(crate) struct Inbox(Option<Receiver<Arc<State>>>);

impl Inbox {
    /// Takes what is opened from now on, and what has been since recording began.
    pub(crate) fn open() -> Self {
        Self(channel().1.lock().ok().and_then(|mut receiver| receiver.take()))
    }

    /// The next new resource.
    pub(crate) fn next(&self) -> Option<Arc<State>> {
        self.0.as_ref()?.try_recv().ok()
    }
}

/// Has a resource sampled, if there is room.
pub(super) fn register(state: &Arc<State>) {
    if channel().0.try_send(state.clone()).is_err() {
        count_unsampled();
    }
}

/// A resource will not be sampled.
#[cold]
pub(crate) fn count_unsampled() {
    UNSAMPLED.fetch_add(1, Relaxed);
}

/// Resources that were not sampled for want of room, since the start.
pub(crate) fn unsampled() -> u64 {
    UNSAMPLED.load(Relaxed)
}
