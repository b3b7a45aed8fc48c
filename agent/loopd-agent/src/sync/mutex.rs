//! The lock.
#![expect(unsafe_code, reason = "guards that own their lock borrow it from themselves")]

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync;
use tokio::sync::TryLockError;

use super::guard::{Lent, guard_traits, lend};
use crate::resource::kind::MUTEX;
use crate::resource::{Call, Hold, OwnedHold, Watched};
use crate::waits::Op;

/// As [`tokio::sync::Mutex`]; records who holds it and who waits for it.
pub struct Mutex<T: ?Sized> {
    watched: Watched,
    inner: sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// As [`tokio::sync::Mutex::new`].
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self { watched: Watched::open(&MUTEX, 0), inner: sync::Mutex::new(value) }
    }

    /// As [`tokio::sync::Mutex::const_new`]. It counts as opened from its first use on.
    #[track_caller]
    pub const fn const_new(value: T) -> Self {
        Self { watched: Watched::open_later(&MUTEX, 0), inner: sync::Mutex::const_new(value) }
    }

    /// As [`tokio::sync::Mutex::into_inner`].
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// As [`tokio::sync::Mutex::lock`].
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        let call = self.watched.call(Op::Lock, 0);
        call.wait_and(self.inner.lock(), |call, inner| self.guard(call, inner))
    }

    /// As [`tokio::sync::Mutex::try_lock`].
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let inner = self.inner.try_lock()?;
        Ok(self.guard(self.watched.call(Op::Lock, 0), inner))
    }

    /// As [`tokio::sync::Mutex::blocking_lock`].
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        let call = self.watched.call(Op::Lock, 0);
        // A statement of its own: the guard that was tried for must be gone before the call.
        let must_wait = self.inner.try_lock().is_err();
        self.guard(call, call.block(must_wait, || self.inner.blocking_lock()))
    }

    /// As [`tokio::sync::Mutex::get_mut`].
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    #[inline]
    fn guard<'a>(&'a self, call: Call<'a>, inner: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { hold: call.hold(), inner, lock: self }
    }
}

impl<T: ?Sized + 'static> Mutex<T> {
    /// As [`tokio::sync::Mutex::lock_owned`].
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        let location = Some(std::panic::Location::caller());
        async move {
            // SAFETY: `self` is kept until the future is done, and then by the guard.
            let lock = unsafe { lend(&self, |lock| &lock.inner) };
            let call = Call { location, ..self.watched.call(Op::Lock, 0) };
            let inner = call.wait(lock.lock()).await;
            OwnedMutexGuard::new(call.hold_owned(self.watched.shared_state()), inner, &self)
        }
    }

    /// As [`tokio::sync::Mutex::try_lock_owned`].
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        // SAFETY: `self` is kept until here, and then by the guard.
        let inner = unsafe { lend(&self, |lock| &lock.inner) }.try_lock()?;
        let call = self.watched.call(Op::Lock, 0);
        Ok(OwnedMutexGuard::new(call.hold_owned(self.watched.shared_state()), inner, &self))
    }

    /// As [`tokio::sync::Mutex::blocking_lock_owned`].
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        // SAFETY: `self` is kept until here, and then by the guard.
        let lock = unsafe { lend(&self, |lock| &lock.inner) };
        let call = self.watched.call(Op::Lock, 0);
        let must_wait = lock.try_lock().is_err();
        let inner = call.block(must_wait, || lock.blocking_lock());
        OwnedMutexGuard::new(call.hold_owned(self.watched.shared_state()), inner, &self)
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

/// As [`tokio::sync::MutexGuard`].
#[must_use = "if unused the mutex is unlocked at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    // Before the lock itself, so that the next holder is not noted before this one is gone.
    hold: Hold<'a>,
    inner: sync::MutexGuard<'a, T>,
    lock: &'a Mutex<T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// As [`tokio::sync::MutexGuard::map`].
    pub fn map<U: ?Sized, F>(this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        MappedMutexGuard { _hold: this.hold, inner: sync::MutexGuard::map(this.inner, f) }
    }

    /// As [`tokio::sync::MutexGuard::try_map`].
    pub fn try_map<U: ?Sized, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Self { hold, inner, lock } = this;
        match sync::MutexGuard::try_map(inner, f) {
            Ok(inner) => Ok(MappedMutexGuard { _hold: hold, inner }),
            Err(inner) => Err(Self { hold, inner, lock }),
        }
    }

    /// As [`tokio::sync::MutexGuard::mutex`].
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.lock
    }
}

/// As [`tokio::sync::MappedMutexGuard`].
#[must_use = "if unused the mutex is unlocked at once"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    _hold: Hold<'a>,
    inner: sync::MappedMutexGuard<'a, T>,
}

/// As [`tokio::sync::OwnedMutexGuard`].
#[must_use = "if unused the mutex is unlocked at once"]
pub struct OwnedMutexGuard<T: ?Sized + 'static> {
    hold: OwnedHold,
    // Before the owner of what it borrows.
    inner: Lent<sync::MutexGuard<'static, T>>,
    lock: Arc<Mutex<T>>,
}

impl<T: ?Sized + 'static> OwnedMutexGuard<T> {
    fn new(hold: OwnedHold, inner: sync::MutexGuard<'static, T>, lock: &Arc<Mutex<T>>) -> Self {
        Self { hold, inner: Lent::new(inner), lock: lock.clone() }
    }

    /// As [`tokio::sync::OwnedMutexGuard::map`].
    pub fn map<U: ?Sized, F>(this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let Self { hold, inner, lock } = this;
        let inner = Lent::new(sync::MutexGuard::map(inner.into_inner(), f));
        OwnedMappedMutexGuard { _hold: hold, inner, _lock: lock }
    }

    /// As [`tokio::sync::OwnedMutexGuard::mutex`].
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.lock
    }
}

/// As [`tokio::sync::OwnedMappedMutexGuard`].
#[must_use = "if unused the mutex is unlocked at once"]
pub struct OwnedMappedMutexGuard<T: ?Sized + 'static, U: ?Sized + 'static = T> {
    _hold: OwnedHold,
    // Before the owner of what it borrows.
    inner: Lent<sync::MappedMutexGuard<'static, U>>,
    _lock: Arc<Mutex<T>>,
}

guard_traits!(exclusive [T: ?Sized] MutexGuard<'_, T>, T);
guard_traits!(exclusive [T: ?Sized] MappedMutexGuard<'_, T>, T);
guard_traits!(exclusive [T: ?Sized + 'static] OwnedMutexGuard<T>, T);
guard_traits!(exclusive [T: ?Sized + 'static, U: ?Sized + 'static] OwnedMappedMutexGuard<T, U>, U);
