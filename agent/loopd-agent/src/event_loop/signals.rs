//! Signals of the process as callbacks of a loop.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::task::JoinHandle;

/// By number: what listens.
#[derive(Default)]
pub(super) struct Signals(RefCell<HashMap<i32, JoinHandle<()>>>);

impl Signals {
    #[cfg(unix)]
    pub(super) fn insert(&self, signal: i32, listener: JoinHandle<()>) {
        if let Some(before) = self.0.borrow_mut().insert(signal, listener) {
            before.abort();
        }
    }

    #[cfg(unix)]
    pub(super) fn remove(&self, signal: i32) -> bool {
        self.0.borrow_mut().remove(&signal).map(|listener| listener.abort()).is_some()
    }

    pub(super) fn clear(&self) {
        self.0.take().into_values().for_each(|listener| listener.abort());
    }
}
