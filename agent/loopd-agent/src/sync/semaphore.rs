//! Permits.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync;
use tokio::sync::{AcquireError, TryAcquireError};

use crate::resource::kind::SEMAPHORE;
use crate::resource::{Call, Hold, OwnedHold, Watched};
use crate::waits::Op;

/// As [`tokio::sync::Semaphore`]; records who holds permits and who waits for some.
#[derive(Debug)]
pub struct Semaphore {
    watched: Watched,
    inner: sync::Semaphore,
}

impl Semaphore {
    /// As [`tokio::sync::Semaphore::MAX_PERMITS`].
    pub const MAX_PERMITS: usize = sync::Semaphore::MAX_PERMITS;

    /// As [`tokio::sync::Semaphore::new`].
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        let inner = sync::Semaphore::new(permits);
        Self { watched: Watched::open(&SEMAPHORE, permits), inner }
    }

    /// As [`tokio::sync::Semaphore::const_new`]. It counts as opened from its first use on.
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        let inner = sync::Semaphore::const_new(permits);
        Self { watched: Watched::open_later(&SEMAPHORE, permits), inner }
    }

    /// As [`tokio::sync::Semaphore::available_permits`].
    pub fn available_permits(&self) -> usize {
        self.inner.available_permits()
    }

    /// As [`tokio::sync::Semaphore::add_permits`].
    pub fn add_permits(&self, count: usize) {
        self.inner.add_permits(count);
        self.watched.add_capacity(count);
    }

    /// As [`tokio::sync::Semaphore::forget_permits`].
    pub fn forget_permits(&self, count: usize) -> usize {
        let forgotten = self.inner.forget_permits(count);
        self.watched.take_capacity(forgotten);
        forgotten
    }

    /// As [`tokio::sync::Semaphore::close`]: nothing can be acquired any more.
    pub fn close(&self) {
        self.inner.close();
    }

    /// As [`tokio::sync::Semaphore::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// As [`tokio::sync::Semaphore::acquire`].
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let call = self.watched.call(Op::Acquire, 1);
        call.wait_and(self.inner.acquire(), |call, inner| Ok(self.permit(call, inner?)))
    }

    /// As [`tokio::sync::Semaphore::acquire_many`].
    #[track_caller]
    pub fn acquire_many(
        &self,
        count: u32,
    ) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let call = self.watched.call(Op::Acquire, count);
        let acquire = self.inner.acquire_many(count);
        call.wait_and(acquire, |call, inner| Ok(self.permit(call, inner?)))
    }

    /// As [`tokio::sync::Semaphore::try_acquire`].
    #[track_caller]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// As [`tokio::sync::Semaphore::try_acquire_many`].
    #[track_caller]
    pub fn try_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let inner = self.inner.try_acquire_many(count)?;
        Ok(self.permit(self.watched.call(Op::Acquire, count), inner))
    }

    /// As [`tokio::sync::Semaphore::acquire_owned`].
    #[track_caller]
    pub fn acquire_owned(
        self: Arc<Self>,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.acquire_many_owned(1)
    }

    /// As [`tokio::sync::Semaphore::acquire_many_owned`].
    #[track_caller]
    pub fn acquire_many_owned(
        self: Arc<Self>,
        count: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        let location = Some(Location::caller());
        async move {
            let call = Call { location, ..self.watched.call(Op::Acquire, count) };
            call.wait(self.inner.acquire_many(count)).await?.forget();
            let hold = call.hold_owned(self.watched.shared_state());
            Ok(OwnedSemaphorePermit { hold, count: count as usize, semaphore: self.clone() })
        }
    }

    /// As [`tokio::sync::Semaphore::try_acquire_owned`].
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`tokio::sync::Semaphore::try_acquire_many_owned`].
    #[track_caller]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.inner.try_acquire_many(count)?.forget();
        let call = self.watched.call(Op::Acquire, count);
        let hold = call.hold_owned(self.watched.shared_state());
        Ok(OwnedSemaphorePermit { hold, count: count as usize, semaphore: self })
    }

    #[inline]
    fn permit<'a>(
        &'a self,
        call: Call<'a>,
        inner: sync::SemaphorePermit<'a>,
    ) -> SemaphorePermit<'a> {
        SemaphorePermit { hold: call.hold(), inner, semaphore: self }
    }
}

/// As [`tokio::sync::SemaphorePermit`].
#[must_use = "if unused the permit is given back at once"]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    // Before the permit itself, so that the next holder is not noted before this one is gone.
    hold: Hold<'a>,
    inner: sync::SemaphorePermit<'a>,
    semaphore: &'a Semaphore,
}

impl SemaphorePermit<'_> {
    /// As [`tokio::sync::SemaphorePermit::forget`]: the semaphore has so many permits less for good,
    /// and nobody holds them.
    pub fn forget(self) {
        self.semaphore.watched.take_capacity(self.inner.num_permits());
        self.inner.forget();
    }

    /// As [`tokio::sync::SemaphorePermit::merge`]. This permit's task holds them all.
    ///
    /// # Panics
    /// If the two are not of one semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.inner.merge(other.inner);
        drop(other.hold);
        self.hold.change_amount(self.inner.num_permits() as u64);
    }

    /// As [`tokio::sync::SemaphorePermit::split`]. The task that calls this holds what is split off.
    #[track_caller]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        let inner = self.inner.split(count)?;
        self.hold.change_amount(self.inner.num_permits() as u64);
        let call = self.semaphore.watched.call(Op::Acquire, u32::try_from(count).unwrap_or(0));
        Some(Self { hold: call.hold(), inner, semaphore: self.semaphore })
    }

    /// As [`tokio::sync::SemaphorePermit::num_permits`].
    pub fn num_permits(&self) -> usize {
        self.inner.num_permits()
    }
}

/// As [`tokio::sync::OwnedSemaphorePermit`].
#[must_use = "if unused the permit is given back at once"]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    hold: OwnedHold,
    count: usize,
    semaphore: Arc<Semaphore>,
}

impl OwnedSemaphorePermit {
    /// As [`tokio::sync::OwnedSemaphorePermit::forget`]; see [`SemaphorePermit::forget`].
    pub fn forget(mut self) {
        self.semaphore.watched.take_capacity(self.count);
        self.count = 0;
    }

    /// As [`tokio::sync::OwnedSemaphorePermit::merge`]. This permit's task holds them all.
    ///
    /// # Panics
    /// If the two are not of one semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.count += std::mem::take(&mut other.count);
        drop(other);
        self.hold.change_amount(self.count as u64);
    }

    /// As [`tokio::sync::OwnedSemaphorePermit::split`]. The task that calls this holds what is split
    /// off.
    #[track_caller]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        self.hold.change_amount(self.count as u64);
        let watched = &self.semaphore.watched;
        let call = watched.call(Op::Acquire, u32::try_from(count).unwrap_or(0));
        let hold = call.hold_owned(watched.shared_state());
        Some(Self { hold, count, semaphore: self.semaphore.clone() })
    }

    /// As [`tokio::sync::OwnedSemaphorePermit::num_permits`].
    pub fn num_permits(&self) -> usize {
        self.count
    }

    /// As [`tokio::sync::OwnedSemaphorePermit::semaphore`].
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.hold.end();
        self.semaphore.inner.add_permits(self.count);
    }
}
