//! Numbers the threads that poll for a loop without being one of its workers, as the caller of
//! `block_on` is. Each has a lane of its own after the workers' lanes, and gives it back when it
//! ends, so that there are few more of them than there were such threads at one time.
//!
//! What a thread does as an outsider may have begun long before it asks for its number: that it lost
//! its worker it learns at the end of the poll. So a number is only taken from when it was given back.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use crate::clock::ticks;

/// Loops for which one thread remembers its number. One that takes turns with more gets another
/// number each time, which costs nothing but a lock. More than polls that a lane keeps inside one another.
const MAX_SEATS: usize = 8;

/// The numbers of one loop.
#[derive(Default)]
pub(crate) struct Outside {
    numbers: Mutex<Vec<Use>>,
}

/// Who has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Taken,
    /// Nobody since then, in ticks.
    FreeSince(u64),
}

impl Use {
    /// Whether nobody has had it since.
    fn is_free(self, since: u64) -> bool {
        matches!(self, Self::FreeSince(freed) if freed <= since)
    }
}

thread_local! {
    /// The latest seat is the first.
    static SEATS: RefCell<[Option<Seat>; MAX_SEATS]> = const { RefCell::new([const { None }; MAX_SEATS]) };
}

/// A number that the calling thread has.
struct Seat {
    outside: Arc<Outside>,
    number: u32,
    /// The loop, and as which of its workers this thread is recorded.
    place: (u64, u32),
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Ok(mut numbers) = self.outside.numbers.lock()
            && let Some(number) = numbers.get_mut(self.number as usize)
        {
            *number = Use::FreeSince(ticks());
        }
    }
}

impl Outside {
    /// As which worker of its loop the calling thread is recorded for what it does since then, in ticks, where
    /// the first outsider of that loop is `first`: the same until the thread ends. If it has too many numbers it
    /// gives one back of a place where no poll of its own `is_open`: another thread there must not have it yet.
    pub(crate) fn worker(
        self: &Arc<Self>,
        since: u64,
        first: (u64, u32),
        is_open: impl Fn((u64, u32)) -> bool,
    ) -> u32 {
        let (loop_id, base) = first;
        let seated = SEATS.try_with(|seats| {
            let mut seats = seats.try_borrow_mut().ok()?;
            let is_it = |seat: &Option<Seat>| {
                seat.as_ref().is_some_and(|seat| Arc::ptr_eq(&seat.outside, self))
            };
            if let Some(seat) = seats.iter().find(|seat| is_it(seat)) {
                return seat.as_ref().map(|seat| seat.number);
            }
            let may_go =
                |seat: &Option<Seat>| seat.as_ref().is_none_or(|seat| !is_open(seat.place));
            let last = seats.iter().rposition(may_go).unwrap_or(MAX_SEATS - 1);
            seats[..=last].rotate_right(1);
            let number = self.take(since);
            seats[0] =
                Some(Seat { outside: self.clone(), number, place: (loop_id, base + number) });
            Some(number)
        });
        // A thread that is being torn down cannot give a number back, so it gets none of its own.
        base + seated.ok().flatten().unwrap_or(0)
    }

    /// The lowest number that nobody has had since.
    fn take(&self, since: u64) -> u32 {
        let Ok(mut numbers) = self.numbers.lock() else { return 0 };
        let free = numbers.iter().position(|number| number.is_free(since));
        let number = free.unwrap_or(numbers.len());
        match numbers.get_mut(number) {
            Some(free) => *free = Use::Taken,
            None => numbers.push(Use::Taken),
        }
        number as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(outside: &Arc<Outside>, since: u64) -> u32 {
        outside.worker(since, (0, 0), |_| false)
    }

    #[test]
    fn a_thread_keeps_its_number_while_it_takes_turns_with_loops() {
        let (one, two) = (Arc::<Outside>::default(), Arc::<Outside>::default());
        let other = one.clone();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                assert_eq!((number(&one, ticks()), number(&two, ticks())), (0, 0));
            }
            // While this thread has the first, another gets the second, and then gives it back.
            for _ in 0..3 {
                let number = scope.spawn(|| number(&other, ticks())).join().unwrap();
                assert_eq!(number, 1);
            }
        });
    }

    #[test]
    fn what_began_before_a_number_was_given_back_gets_another() {
        let outside = Arc::<Outside>::default();
        let on_a_thread = |since| {
            let outside = outside.clone();
            std::thread::spawn(move || number(&outside, since)).join().unwrap()
        };
        let before = ticks();
        assert_eq!(on_a_thread(before), 0);
        let between = ticks();
        assert_eq!(on_a_thread(before), 1);
        assert_eq!(on_a_thread(between), 0, "nobody has had it since");
        assert_eq!(on_a_thread(between), 2);
        assert_eq!(on_a_thread(ticks()), 0);
    }

    #[test]
    fn a_thread_of_very_many_loops_keeps_none_of_them() {
        let loops: Vec<_> = (0..100).map(|_| Arc::<Outside>::default()).collect();
        for outside in &loops {
            assert_eq!(number(outside, ticks()), 0);
        }
        let held = loops.iter().filter(|outside| Arc::strong_count(outside) > 1).count();
        assert_eq!(held, MAX_SEATS);
        assert_eq!(number(&loops[0], ticks()), 0);
    }

    #[test]
    fn where_a_thread_still_polls_it_keeps_its_number() {
        let open = Arc::<Outside>::default();
        let is_open = |place| place == (7, 5);
        assert_eq!(open.worker(ticks(), (7, 5), is_open), 5);
        let loops: Vec<_> = (0..3 * MAX_SEATS).map(|_| Arc::<Outside>::default()).collect();
        for (loop_id, outside) in (10..).zip(&loops) {
            outside.worker(ticks(), (loop_id, 5), is_open);
        }
        let other = open.clone();
        let of_another =
            std::thread::spawn(move || other.worker(ticks(), (7, 5), |_| false)).join().unwrap();
        assert_eq!((open.worker(ticks(), (7, 5), is_open), of_another), (5, 6));
    }
}
