//! Numbers the threads that poll for a loop without being one of its workers, as the caller of
//! `block_on` is. Each has a lane of its own after the workers' lanes, and gives it back when it
//! ends, so that there are never more of them than there were such threads at one time.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// Loops for which one thread remembers its number. One that takes turns with more gets another
/// number each time, which costs nothing but a lock.
const MAX_SEATS: usize = 8;

/// The numbers of one loop.
#[derive(Default)]
pub(crate) struct Outside {
    /// Whether the number is in use.
    taken: Mutex<Vec<bool>>,
}

thread_local! {
    /// The latest seat is the first.
    static SEATS: RefCell<[Option<Seat>; MAX_SEATS]> = const { RefCell::new([const { None }; MAX_SEATS]) };
}

/// A number that the calling thread has.
struct Seat {
    outside: Arc<Outside>,
    number: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Ok(mut taken) = self.outside.taken.lock()
            && let Some(is_taken) = taken.get_mut(self.number as usize)
        {
            *is_taken = false;
        }
    }
}

impl Outside {
    /// The calling thread's number, from 0; the same until it ends.
    pub(crate) fn number(self: &Arc<Self>) -> u32 {
        let seated = SEATS.try_with(|seats| {
            let mut seats = seats.try_borrow_mut().ok()?;
            let is_it = |seat: &Option<Seat>| {
                seat.as_ref().is_some_and(|seat| Arc::ptr_eq(&seat.outside, self))
            };
            if let Some(seat) = seats.iter().find(|seat| is_it(seat)) {
                return seat.as_ref().map(|seat| seat.number);
            }
            seats.rotate_right(1);
            let number = self.take();
            seats[0] = Some(Seat { outside: self.clone(), number });
            Some(number)
        });
        // A thread that is being torn down cannot give a number back, so it gets none of its own.
        seated.ok().flatten().unwrap_or(0)
    }

    /// The lowest free number.
    fn take(&self) -> u32 {
        let Ok(mut taken) = self.taken.lock() else { return 0 };
        let number = taken.iter().position(|is_taken| !is_taken).unwrap_or(taken.len());
        match taken.get_mut(number) {
            Some(is_taken) => *is_taken = true,
            None => taken.push(true),
        }
        number as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_while_it_takes_turns_with_loops() {
        let (one, two) = (Arc::<Outside>::default(), Arc::<Outside>::default());
        let other = one.clone();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                assert_eq!((one.number(), two.number()), (0, 0));
            }
            // While this thread has the first, another gets the second, and then gives it back.
            for _ in 0..3 {
                let number = scope.spawn(|| other.number()).join().unwrap();
                assert_eq!(number, 1);
            }
        });
    }

    #[test]
    fn a_thread_of_very_many_loops_keeps_none_of_them() {
        let loops: Vec<_> = (0..100).map(|_| Arc::<Outside>::default()).collect();
        for outside in &loops {
            assert_eq!(outside.number(), 0);
        }
        let held = loops.iter().filter(|outside| Arc::strong_count(outside) > 1).count();
        assert_eq!(held, MAX_SEATS);
        assert_eq!(loops[0].number(), 0);
    }
}
