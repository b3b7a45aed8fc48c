//! What guards of locks have in common.
#![expect(unsafe_code, reason = "lends what an Arc owns for as long as the Arc is kept beside it")]

use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

/// A part of what `owner` points to, borrowed without telling the compiler for how long.
///
/// # Safety
/// The caller keeps a clone of `owner` for as long as it uses the part, and gives nobody else the
/// part for longer. Structs that hold both declare the part first, so that it is dropped first.
pub(super) unsafe fn lend<O: ?Sized, P: ?Sized + 'static>(
    owner: &Arc<O>,
    part: impl FnOnce(&O) -> &P,
) -> &'static P {
    let part: *const P = part(owner);
    // SAFETY: what an `Arc` points to neither moves nor goes before its last clone, and the caller
    // keeps one.
    unsafe { &*part }
}

/// Something that borrows from an `Arc` which the struct around it keeps.
///
/// A function that is given a reference promises that it is good until the function returns, also
/// for one inside of a struct: `drop` of the pair would break that when the `Arc` is the last.
/// Nothing is promised of what a `MaybeUninit` holds. This one always holds something.
pub(super) struct Lent<P>(MaybeUninit<P>);

impl<P> Lent<P> {
    pub(super) fn new(borrowing: P) -> Self {
        Self(MaybeUninit::new(borrowing))
    }

    /// What borrows, which must go before the `Arc` does.
    pub(super) fn into_inner(self) -> P {
        // SAFETY: it holds something, which is not dropped here as well.
        unsafe { ManuallyDrop::new(self).0.assume_init_read() }
    }

    /// What borrows, pinned with this.
    pub(super) fn pinned(self: Pin<&mut Self>) -> Pin<&mut P> {
        // SAFETY: it is never moved out of something pinned, and is dropped in place.
        unsafe { self.map_unchecked_mut(|lent| &mut **lent) }
    }
}

impl<P> Deref for Lent<P> {
    type Target = P;

    fn deref(&self) -> &P {
        // SAFETY: it holds something.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<P> DerefMut for Lent<P> {
    fn deref_mut(&mut self) -> &mut P {
        // SAFETY: it holds something.
        unsafe { self.0.assume_init_mut() }
    }
}

impl<P> Drop for Lent<P> {
    fn drop(&mut self) {
        // SAFETY: it holds something, and nobody looks at it any more.
        unsafe { self.0.assume_init_drop() }
    }
}

impl<P: fmt::Debug> fmt::Debug for Lent<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

/// Makes a guard look like what it guards.
macro_rules! guard_traits {
    (@deref [$($generics:tt)*] $guard:ty, $target:ty) => {
        impl<$($generics)*> std::ops::Deref for $guard {
            type Target = $target;

            fn deref(&self) -> &$target {
                &self.inner
            }
        }

        impl<$($generics)*> std::fmt::Debug for $guard
        where
            $target: std::fmt::Debug,
        {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&**self, formatter)
            }
        }

        impl<$($generics)*> std::fmt::Display for $guard
        where
            $target: std::fmt::Display,
        {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&**self, formatter)
            }
        }
    };
    (shared [$($generics:tt)*] $guard:ty, $target:ty) => {
        guard_traits!(@deref [$($generics)*] $guard, $target);
    };
    (exclusive [$($generics:tt)*] $guard:ty, $target:ty) => {
        guard_traits!(@deref [$($generics)*] $guard, $target);

        impl<$($generics)*> std::ops::DerefMut for $guard {
            fn deref_mut(&mut self) -> &mut $target {
                &mut self.inner
            }
        }
    };
}
pub(super) use guard_traits;
