//! What guards of locks have in common.
#![expect(unsafe_code, reason = "lends what an Arc owns for as long as the Arc is kept beside it")]

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
