//! Who watches: connections, each of which may be paused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

/// A connection with something open on it.
#[derive(Debug)]
pub(super) struct Viewer {
    is_paused: watch::Sender<bool>,
}

impl Viewer {
    pub(super) fn follow(&self) -> watch::Receiver<bool> {
        self.is_paused.subscribe()
    }
}

/// The connections that watch, by the far end's address.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    // Those that are gone are forgotten when the next one comes.
    open: Mutex<HashMap<Option<SocketAddr>, Weak<Viewer>>>,
}

impl Viewers {
    /// The viewer of a connection, which is one for as long as anybody has it.
    pub(super) fn of(&self, peer: Option<SocketAddr>) -> Arc<Viewer> {
        let mut open = self.open();
        if let Some(viewer) = open.get(&peer).and_then(Weak::upgrade) {
            return viewer;
        }
        open.retain(|_, viewer| viewer.strong_count() > 0);
        let viewer = Arc::new(Viewer { is_paused: watch::Sender::new(false) });
        open.insert(peer, Arc::downgrade(&viewer));
        viewer
    }

    /// Pauses a connection, or lets it go on. Nothing happens to one that watches nothing.
    pub(super) fn pause(&self, peer: Option<SocketAddr>, is_paused: bool) {
        if let Some(viewer) = self.open().get(&peer).and_then(Weak::upgrade) {
            viewer.is_paused.send_replace(is_paused);
        }
    }

    /// Whether somebody watches, and everybody who does has paused.
    pub(super) fn are_all_paused(&self) -> bool {
        let open = self.open();
        let mut viewers = open.values().filter_map(Weak::upgrade).peekable();
        viewers.peek().is_some() && viewers.all(|viewer| *viewer.is_paused.borrow())
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Option<SocketAddr>, Weak<Viewer>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_paused_if_somebody_watches_and_nobody_has_not() {
        let viewers = Viewers::default();
        let peer = |port: u16| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(!viewers.are_all_paused(), "nobody watches");
        let (one, other) = (viewers.of(peer(1)), viewers.of(peer(2)));
        viewers.pause(peer(1), true);
        assert!(!viewers.are_all_paused(), "one of two");
        viewers.pause(peer(2), true);
        assert!(viewers.are_all_paused());
        viewers.pause(peer(2), false);
        assert!(!viewers.are_all_paused());
        drop(other);
        assert!(viewers.are_all_paused(), "those that are gone do not count");
        drop(one);
        assert!(!viewers.are_all_paused());
    }
}
