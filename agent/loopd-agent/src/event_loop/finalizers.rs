//! What is still to be done before a loop closes: in the place of asyncio's asynchronous generators, which
//! a loop closes by `shutdown_asyncgens`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use super::error::{Place, Result};
use super::handle::drop_quietly;

type Finalizer = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<()>>>>>;

#[derive(Default)]
pub(super) struct Finalizers(RefCell<Vec<(Place, Finalizer)>>);

impl Finalizers {
    pub(super) fn add<F>(&self, place: Place, finalizer: impl FnOnce() -> F + 'static)
    where
        F: Future<Output = Result<()>> + 'static,
    {
        self.0.borrow_mut().push((place, Box::new(move || Box::pin(finalizer()))));
    }

    /// What was registered last comes first; with where that was.
    pub(super) fn take_last(&self) -> Option<(Place, Finalizer)> {
        self.0.borrow_mut().pop()
    }

    pub(super) fn clear(&self) {
        drop_quietly(self.0.take());
    }
}
