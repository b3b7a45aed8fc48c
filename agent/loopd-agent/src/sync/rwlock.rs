//! The lock with many readers or one writer.
#![expect(unsafe_code, reason = "guards that own their lock borrow it from themselves")]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync;
use tokio::sync::TryLockError;

use super::guard::{Lent, guard_traits, lend};
use crate::resource::kind::RW_LOCK;
use crate::resource::{Call, Hold, OwnedHold, Watched};
use crate::waits::Op;

/// As [`tokio::sync::RwLock`]; records who holds it and who waits for it.
pub struct RwLock<T: ?Sized> {
    watched: Watched,
    inner: sync::RwLock<T>,
}

impl<T> RwLock<T> {
    /// As [`tokio::sync::RwLock::new`].
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self { watched: Watched::open(&RW_LOCK, 0), inner: sync::RwLock::new(value) }
    }

    /// As [`tokio::sync::RwLock::with_max_readers`].
    #[track_caller]
    pub fn with_max_readers(value: T, max_readers: u32) -> Self {
        let inner = sync::RwLock::with_max_readers(value, max_readers);
        Self { watched: Watched::open(&RW_LOCK, 0), inner }
    }

    /// As [`tokio::sync::RwLock::const_new`]. It counts as opened from its first use on.
    #[track_caller]
    pub const fn const_new(value: T) -> Self {
        Self { watched: Watched::open_later(&RW_LOCK, 0), inner: sync::RwLock::const_new(value) }
    }

    /// As [`tokio::sync::RwLock::into_inner`].
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// As [`tokio::sync::RwLock::read`].
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        let call = self.watched.call(Op::Read, 0);
        call.wait_and(self.inner.read(), |call, inner| RwLockReadGuard { hold: call.hold(), inner })
    }

    /// As [`tokio::sync::RwLock::write`].
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        let call = self.watched.call(Op::Write, 0);
        call.wait_and(self.inner.write(), |call, inner| RwLockWriteGuard {
            hold: call.hold(),
            inner,
        })
    }

    /// As [`tokio::sync::RwLock::try_read`].
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        let inner = self.inner.try_read()?;
        Ok(RwLockReadGuard { hold: self.watched.call(Op::Read, 0).hold(), inner })
    }

    /// As [`tokio::sync::RwLock::try_write`].
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        let inner = self.inner.try_write()?;
        Ok(RwLockWriteGuard { hold: self.watched.call(Op::Write, 0).hold(), inner })
    }

    /// As [`tokio::sync::RwLock::blocking_read`].
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        let call = self.watched.call(Op::Read, 0);
        // A statement of its own: the guard that was tried for must be gone before the call.
        let must_wait = self.inner.try_read().is_err();
        let inner = call.block(must_wait, || self.inner.blocking_read());
        RwLockReadGuard { hold: call.hold(), inner }
    }

    /// As [`tokio::sync::RwLock::blocking_write`].
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        let call = self.watched.call(Op::Write, 0);
        let must_wait = self.inner.try_write().is_err();
        let inner = call.block(must_wait, || self.inner.blocking_write());
        RwLockWriteGuard { hold: call.hold(), inner }
    }

    /// As [`tokio::sync::RwLock::get_mut`].
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: ?Sized + 'static> RwLock<T> {
    /// As [`tokio::sync::RwLock::read_owned`].
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        let location = Some(Location::caller());
        async move {
            // SAFETY: `self` is kept until the future is done, and then by the guard.
            let lock = unsafe { lend(&self, |lock| &lock.inner) };
            let call = Call { location, ..self.watched.call(Op::Read, 0) };
            let inner = Lent::new(call.wait(lock.read()).await);
            let hold = call.hold_owned(self.watched.shared_state());
            OwnedRwLockReadGuard { hold, inner, lock: self.clone() }
        }
    }

    /// As [`tokio::sync::RwLock::write_owned`].
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        let location = Some(Location::caller());
        async move {
            // SAFETY: `self` is kept until the future is done, and then by the guard.
            let lock = unsafe { lend(&self, |lock| &lock.inner) };
            let call = Call { location, ..self.watched.call(Op::Write, 0) };
            let inner = Lent::new(call.wait(lock.write()).await);
            let hold = call.hold_owned(self.watched.shared_state());
            OwnedRwLockWriteGuard { hold, inner, lock: self.clone() }
        }
    }

    /// As [`tokio::sync::RwLock::try_read_owned`].
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        // SAFETY: `self` is kept until here, and then by the guard.
        let inner = Lent::new(unsafe { lend(&self, |lock| &lock.inner) }.try_read()?);
        let hold = self.watched.call(Op::Read, 0).hold_owned(self.watched.shared_state());
        Ok(OwnedRwLockReadGuard { hold, inner, lock: self })
    }

    /// As [`tokio::sync::RwLock::try_write_owned`].
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        // SAFETY: `self` is kept until here, and then by the guard.
        let inner = Lent::new(unsafe { lend(&self, |lock| &lock.inner) }.try_write()?);
        let hold = self.watched.call(Op::Write, 0).hold_owned(self.watched.shared_state());
        Ok(OwnedRwLockWriteGuard { hold, inner, lock: self })
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

/// As [`tokio::sync::RwLockReadGuard`].
#[must_use = "if unused the lock is released at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Before the lock itself, so that the next holder is not noted before this one is gone.
    hold: Hold<'a>,
    inner: sync::RwLockReadGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// As [`tokio::sync::RwLockReadGuard::map`].
    pub fn map<U: ?Sized, F>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        RwLockReadGuard { hold: this.hold, inner: sync::RwLockReadGuard::map(this.inner, f) }
    }

    /// As [`tokio::sync::RwLockReadGuard::try_map`].
    pub fn try_map<U: ?Sized, F>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Self { hold, inner } = this;
        match sync::RwLockReadGuard::try_map(inner, f) {
            Ok(inner) => Ok(RwLockReadGuard { hold, inner }),
            Err(inner) => Err(Self { hold, inner }),
        }
    }
}

/// As [`tokio::sync::RwLockWriteGuard`].
#[must_use = "if unused the lock is released at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    hold: Hold<'a>,
    inner: sync::RwLockWriteGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// As [`tokio::sync::RwLockWriteGuard::map`].
    pub fn map<U: ?Sized, F>(this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let inner = sync::RwLockWriteGuard::map(this.inner, f);
        RwLockMappedWriteGuard { _hold: this.hold, inner }
    }

    /// As [`tokio::sync::RwLockWriteGuard::downgrade`]. The hold goes on.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { hold: self.hold, inner: self.inner.downgrade() }
    }
}

/// As [`tokio::sync::RwLockMappedWriteGuard`].
#[must_use = "if unused the lock is released at once"]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    _hold: Hold<'a>,
    inner: sync::RwLockMappedWriteGuard<'a, T>,
}

/// As [`tokio::sync::OwnedRwLockReadGuard`].
#[must_use = "if unused the lock is released at once"]
pub struct OwnedRwLockReadGuard<T: ?Sized + 'static, U: ?Sized + 'static = T> {
    hold: OwnedHold,
    // Before the owner of what it borrows.
    inner: Lent<sync::RwLockReadGuard<'static, U>>,
    lock: Arc<RwLock<T>>,
}

impl<T: ?Sized + 'static, U: ?Sized + 'static> OwnedRwLockReadGuard<T, U> {
    /// As [`tokio::sync::OwnedRwLockReadGuard::map`].
    pub fn map<V: ?Sized, F>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        let Self { hold, inner, lock } = this;
        let inner = Lent::new(sync::RwLockReadGuard::map(inner.into_inner(), f));
        OwnedRwLockReadGuard { hold, inner, lock }
    }

    /// As [`tokio::sync::OwnedRwLockReadGuard::rwlock`].
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.lock
    }
}

/// As [`tokio::sync::OwnedRwLockWriteGuard`].
#[must_use = "if unused the lock is released at once"]
pub struct OwnedRwLockWriteGuard<T: ?Sized + 'static> {
    hold: OwnedHold,
    // Before the owner of what it borrows.
    inner: Lent<sync::RwLockWriteGuard<'static, T>>,
    lock: Arc<RwLock<T>>,
}

impl<T: ?Sized + 'static> OwnedRwLockWriteGuard<T> {
    /// As [`tokio::sync::OwnedRwLockWriteGuard::downgrade`]. The hold goes on.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        let Self { hold, inner, lock } = self;
        let inner = Lent::new(inner.into_inner().downgrade());
        OwnedRwLockReadGuard { hold, inner, lock }
    }

    /// As [`tokio::sync::OwnedRwLockWriteGuard::rwlock`].
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.lock
    }
}

guard_traits!(shared [T: ?Sized] RwLockReadGuard<'_, T>, T);
guard_traits!(exclusive [T: ?Sized] RwLockWriteGuard<'_, T>, T);
guard_traits!(exclusive [T: ?Sized] RwLockMappedWriteGuard<'_, T>, T);
guard_traits!(shared [T: ?Sized + 'static, U: ?Sized + 'static] OwnedRwLockReadGuard<T, U>, U);
guard_traits!(exclusive [T: ?Sized + 'static] OwnedRwLockWriteGuard<T>, T);
