//! Which of our keys belongs to which id of the program's subscriber: a table of fixed size that
//! takes no lock. An id lies in one of a few places next to each other, or is not known.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Twice the spans that there can be: 2 MiB, of which only touched pages take memory.
const LEN: usize = 1 << 17;
/// Places where an id may lie: when all are taken the span is not recorded.
const PLACES: usize = 16;

const FREE: u64 = 0;
/// No subscriber of which we know has such an id.
const BEING_WRITTEN: u64 = u64::MAX;

#[derive(Default)]
struct Pair {
    id: AtomicU64,
    key: AtomicU64,
}

static TABLE: OnceLock<Box<[Pair]>> = OnceLock::new();

fn places(id: u64) -> &'static [Pair] {
    let table = TABLE.get_or_init(|| (0..LEN + PLACES).map(|_| Pair::default()).collect());
    let first = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 47) as usize % LEN;
    &table[first..first + PLACES]
}

/// Keeps a pair; says whether there was room. No key may come twice.
pub(crate) fn insert(id: u64, key: u64) -> bool {
    let take =
        |pair: &&Pair| pair.id.compare_exchange(FREE, BEING_WRITTEN, Acquire, Relaxed).is_ok();
    let Some(pair) = places(id).iter().find(take) else { return false };
    // Whoever reads this key also finds that the pair is no longer what it was.
    pair.key.store(key, Release);
    pair.id.store(id, Release);
    true
}

/// The key to an id; 0 if there is none.
pub(crate) fn get(id: u64) -> u64 {
    let Some(pair) = places(id).iter().find(|pair| pair.id.load(Acquire) == id) else { return 0 };
    let key = pair.key.load(Acquire);
    // It may have been taken out and the place used again in the meantime, perhaps even for the same
    // id. No key is ever used twice, so one that is still there has been all the time.
    let is_it = pair.id.load(Acquire) == id && pair.key.load(Relaxed) == key;
    if is_it { key } else { 0 }
}

/// Takes a pair out; gives the key, or 0. Only one thread does so with the same id.
pub(crate) fn remove(id: u64) -> u64 {
    let Some(pair) = places(id).iter().find(|pair| pair.id.load(Acquire) == id) else { return 0 };
    let key = pair.key.load(Relaxed);
    pair.id.store(FREE, Release);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_until_it_is_taken_out() {
        for id in 1..10_000 {
            assert!(insert(id, id + 7));
        }
        for id in 1..10_000 {
            assert_eq!((get(id), remove(id), get(id)), (id + 7, id + 7, 0));
        }
    }

    #[test]
    fn an_id_never_gives_the_key_of_another_that_takes_its_place() {
        use std::time::{Duration, Instant};
        let place = |id| places(id).as_ptr();
        let (one, other) = (1, (2..).find(|id| place(*id) == place(1)).unwrap());
        let since = Instant::now();
        let is_over = || since.elapsed() > Duration::from_secs(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // The keys of one are odd, those of the other even.
                let mut key = 1;
                while !is_over() {
                    for id in [one, other] {
                        assert!(insert(id, key));
                        assert_eq!(remove(id), key);
                        key += 1;
                    }
                }
            });
            while !is_over() {
                let key = get(one);
                assert!(key == 0 || key % 2 == 1, "{key}");
            }
        });
    }
}
