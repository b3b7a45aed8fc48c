//! A function to be called once, whose type is not known any more: a small one in place, another in a box.
#![expect(unsafe_code, reason = "keeps values of any type in plain words")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::rc::Rc;

use super::call::{CallbackResult, caught};
use super::error::Result;

/// What is kept in place, in words: a clone of the loop, a promise or task, and some more. A block of memory
/// has room for no more without being one of the next size.
const WORDS: usize = 5;

type Words = MaybeUninit<[usize; WORDS]>;

/// See the module. It has one function, or none.
pub(super) struct Stored {
    /// What can be done with the words. They hold a function of that type if there is one here, and only then.
    kind: Cell<Option<&'static Kind>>,
    words: Cell<Words>,
    /// The function may be one that has to stay in its thread.
    _stays: PhantomData<Rc<()>>,
}

/// What can be done with words that hold a function of one type. Both move it out first of all, so that
/// nothing it does can meet it there.
struct Kind {
    call: unsafe fn(*const Words) -> Result<()>,
    drop: unsafe fn(*const Words),
}

impl Stored {
    #[inline]
    pub(super) fn new<F, R>(call: F) -> Self
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        let words = Cell::new(Words::uninit());
        let mut stored = Self { kind: Cell::new(None), words, _stays: PhantomData };
        stored.put(call);
        stored
    }

    /// Has this function from now on, and no other.
    #[inline]
    pub(super) fn put<F, R>(&mut self, call: F)
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        if fits::<F>() {
            self.put_in_place(call);
        } else {
            self.put_in_place(Box::new(call));
        }
    }

    #[inline]
    fn put_in_place<F, R>(&mut self, call: F)
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        // The compiler knows.
        assert!(fits::<F>());
        self.discard();
        // SAFETY: an `F` may be there, as was just made sure, and nothing is there that would have to be dropped.
        unsafe { self.words.get_mut().as_mut_ptr().cast::<F>().write(call) };
        self.kind.set(Some(Of::<F>::KIND));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kind.get().is_none()
    }

    /// Calls the function, if there is one. A panic is an error.
    #[inline]
    pub(super) fn run(&self) -> Result<()> {
        let Some(kind) = self.kind.take() else { return Ok(()) };
        // SAFETY: the words hold a function of this kind, and from here on nobody is told of it.
        unsafe { (kind.call)(self.words.as_ptr()) }
    }

    /// Drops the function, if there is one.
    #[inline]
    pub(super) fn discard(&self) {
        if let Some(kind) = self.kind.take() {
            // SAFETY: as in `run`.
            unsafe { (kind.drop)(self.words.as_ptr()) }
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.discard();
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>()
}

/// Functions of one type.
struct Of<F>(PhantomData<F>);

impl<F, R> Of<F>
where
    F: FnOnce() -> R + 'static,
    R: CallbackResult + 'static,
{
    const KIND: &'static Kind = &Kind { call: Self::call, drop: Self::drop };

    /// # Safety
    ///
    /// The words hold an `F`, and nobody else moves it out.
    unsafe fn call(words: *const Words) -> Result<()> {
        // SAFETY: as the caller says.
        caught(unsafe { words.cast::<F>().read() })
    }

    /// # Safety
    ///
    /// As of `call`.
    unsafe fn drop(words: *const Words) {
        // SAFETY: as the caller says.
        drop(unsafe { words.cast::<F>().read() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_loop::error::Error;

    #[repr(align(16))]
    struct Aligned<T>(T);

    struct Counted(Rc<Cell<u32>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    /// A function that has this is called, dropped, replaced, or dropped with its place, and each time gone
    /// after that.
    fn check<T: 'static>(value: fn() -> T, is_in_place: bool) {
        let drops = Rc::new(Cell::new(0));
        let call = || {
            let (counted, value, drops) = (Counted(drops.clone()), value(), drops.clone());
            move || {
                let at = std::ptr::from_ref(&value).addr();
                assert!(std::hint::black_box(at).is_multiple_of(align_of::<T>()));
                assert_eq!(drops.get(), 0, "it has its own while it runs");
                drop((counted, value));
                Err::<(), _>(Error::new("called"))
            }
        };
        fn fits_of<F>(_: &F) -> bool {
            fits::<F>()
        }
        assert_eq!(fits_of(&call()), is_in_place);
        drops.set(0);
        let mut stored = Stored::new(call());
        assert!(!stored.is_empty() && stored.run().is_err_and(|error| error.text() == "called"));
        assert!(stored.is_empty() && drops.get() == 1);
        assert!(stored.run().is_ok());
        stored.put(call());
        stored.discard();
        stored.discard();
        assert!(stored.is_empty() && drops.get() == 2);
        stored.put(call());
        stored.put(call());
        assert_eq!(drops.get(), 3);
        drop(stored);
        assert_eq!(drops.get(), 4);
        drop((Stored::new(|| ()), Stored::new(call())));
        assert_eq!(drops.get(), 5);
    }

    #[test]
    fn every_size_is_called_and_dropped_once() {
        check(|| (), true);
        check(|| 7u8, true);
        check(|| [7usize; 3], true);
        check(|| [7usize; 4], false);
        check(|| vec![7usize; 4], true);
        check(|| Aligned(7u8), false);
        check(|| Aligned([7usize; 9]), false);
    }

    #[test]
    fn what_panics_is_gone() {
        let drops = Rc::new(Cell::new(0));
        let counted = Counted(drops.clone());
        let stored = Stored::new(move || {
            let _counted = counted;
            if true {
                panic!("on purpose");
            }
        });
        assert!(matches!(stored.run(), Err(Error::Panicked(_))));
        assert!(stored.is_empty() && stored.run().is_ok());
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn what_runs_may_discard_its_own_place() {
        let (drops, own_place) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None::<Rc<Stored>>)));
        let (counted, own) = (Counted(drops.clone()), own_place.clone());
        let stored = Rc::new(Stored::new(move || {
            if let Some(stored) = own.take() {
                stored.discard();
            }
            assert_eq!(counted.0.get(), 0);
        }));
        own_place.set(Some(stored.clone()));
        assert!(stored.run().is_ok());
        assert_eq!(drops.get(), 1);
    }
}
