//! Blocks of memory of callbacks that have run, for the next ones: to allocate and free each would cost more
//! than to schedule and run it.

use std::cell::RefCell;
use std::rc::Rc;

use super::call::CallbackResult;
use super::handle::{Callback, Head};
use super::stored::Stored;

/// Blocks that are kept, some 128 bytes each: more than most programs schedule for one turn. They go when the
/// loop is closed.
const MAX_BLOCKS: usize = 4 << 10;

/// See the module. A block is in here only while nobody else has it, and with nothing in it to call.
#[derive(Default)]
pub(super) struct Pool(RefCell<Vec<Rc<Callback>>>);

impl Pool {
    /// A callback that nobody else has.
    #[inline]
    pub(super) fn callback<F, R>(&self, head: Head, call: F) -> Rc<Callback>
    where
        F: FnOnce() -> R + 'static,
        R: CallbackResult + 'static,
    {
        let block = self.0.borrow_mut().pop();
        if let Some(mut block) = block
            && let Some(callback) = Rc::get_mut(&mut block)
        {
            callback.head = head;
            callback.call.put(call);
            return block;
        }
        Rc::new(Callback { head, call: Stored::new(call) })
    }

    /// The loop is done with it. Whoever has a handle keeps it.
    #[inline]
    pub(super) fn take_back(&self, mut callback: Rc<Callback>) {
        if Rc::get_mut(&mut callback).is_some_and(|callback| callback.call.is_empty()) {
            let mut blocks = self.0.borrow_mut();
            if blocks.len() < MAX_BLOCKS {
                blocks.push(callback);
            }
        }
    }

    /// The loop is closed.
    pub(super) fn clear(&self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::event_loop::handle::{Scheduled, Since};

    fn callback(pool: &Pool) -> Rc<Callback> {
        let since = Since::Scheduled { at: 0, by: 0 };
        pool.callback(Head::new(Location::caller(), || "it", 0, since), || ())
    }

    fn kept(pool: &Pool) -> usize {
        pool.0.borrow().len()
    }

    #[test]
    fn only_what_nobody_has_and_what_is_empty_is_used_again() {
        let pool = Pool::default();
        let (ran, held, pending) = (callback(&pool), callback(&pool), callback(&pool));
        let place = Rc::as_ptr(&ran);
        ran.head.is_cancelled.set(true);
        let handle = held.clone();
        for callback in [&ran, &held] {
            assert!(callback.run().is_ok());
        }
        [ran, held, pending].into_iter().for_each(|callback| pool.take_back(callback));
        assert_eq!(kept(&pool), 1);
        let again = callback(&pool);
        assert_eq!(Rc::as_ptr(&again), place);
        assert!(!again.head.is_cancelled.get() && !again.call.is_empty());
        assert_eq!(kept(&pool), 0);
        drop(handle);
    }

    #[test]
    fn it_keeps_no_more_than_it_may_and_nothing_in_the_end() {
        let pool = Pool::default();
        let callbacks: Vec<_> = (0..MAX_BLOCKS + 10).map(|_| callback(&pool)).collect();
        for callback in callbacks {
            callback.discard();
            pool.take_back(callback);
        }
        assert_eq!(kept(&pool), MAX_BLOCKS);
        pool.clear();
        assert_eq!(kept(&pool), 0);
    }

    /// With its counts and what the allocator adds to it, 128 bytes.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_block_fits_into_two_lines_of_the_cache() {
        assert!(size_of::<Callback>() + 3 * size_of::<usize>() <= 128);
    }
}
