//! Process-wide state that a fresh start replaces: after a fork the child must not touch what the
//! parent's threads may have left locked, and the next agent of a process owes nothing to the last.
#![expect(unsafe_code, reason = "keeps a leaked box in an atomic pointer")]

use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Acquire};

/// A value made at its first use, and made anew on request. Values that were replaced are never
/// freed, since somebody may still use them: there is one for each start of an agent.
pub(crate) struct Renewable<T> {
    value: AtomicPtr<T>,
    make: fn() -> T,
}

impl<T: Send + Sync + 'static> Renewable<T> {
    /// Makes nothing yet.
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { value: AtomicPtr::new(null_mut()), make }
    }

    /// The value of now.
    pub(crate) fn get(&self) -> &'static T {
        // SAFETY: null, or a leaked box, which is never freed.
        if let Some(value) = unsafe { self.value.load(Acquire).as_ref() } {
            return value;
        }
        let fresh = Box::into_raw(Box::new((self.make)()));
        match self.value.compare_exchange(null_mut(), fresh, AcqRel, Acquire) {
            // SAFETY: leaked above.
            Ok(_) => unsafe { &*fresh },
            Err(first) => {
                // SAFETY: nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: another thread leaked it.
                unsafe { &*first }
            }
        }
    }

    /// From now on there is a fresh one.
    pub(crate) fn renew(&self) {
        self.value
            .store(Box::into_raw(Box::new((self.make)())), std::sync::atomic::Ordering::Release);
    }
}

impl<T: Send + Sync + 'static> Deref for Renewable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    #[cfg_attr(
        miri,
        ignore = "leaks what it renews, which is the point, and Miri counts as a fault"
    )]
    fn a_renewed_value_is_as_new_and_the_old_one_stays() {
        static COUNT: Renewable<AtomicU32> = Renewable::new(AtomicU32::default);
        let first = COUNT.get();
        first.store(7, Relaxed);
        assert_eq!(COUNT.load(Relaxed), 7);
        COUNT.renew();
        assert_eq!((COUNT.load(Relaxed), first.load(Relaxed)), (0, 7));
    }
}
