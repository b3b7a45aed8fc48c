//! What loom tries in every order. Rings have eight words here, so that they fill up.

use loom::sync::Arc;
use loom::thread;

use crate::ring::{Class, Pushed, Ring};
use crate::tenancy::{State, Tenancy};

/// Reads what is there, gives the room back, and says what the records were.
fn drain(ring: &Ring) -> Vec<u64> {
    let (mut position, head) = ring.readable();
    let mut values = Vec::new();
    while position < head {
        let value = ring.word(position, 0);
        assert_eq!(ring.word(position, 1), !value, "half a record");
        values.push(value);
        position += 2;
    }
    ring.release(position);
    values
}

#[test]
fn what_was_pushed_is_drained_in_order_and_the_rest_was_refused() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(8));
        let producer = thread::spawn({
            let ring = ring.clone();
            move || {
                let taken = |value: &u64| ring.push([*value, !value], Class::Flood) != Pushed::No;
                (1..=5).filter(taken).collect::<Vec<u64>>()
            }
        });
        let mut drained = drain(&ring);
        drained.extend(drain(&ring));
        let taken = producer.join().unwrap();
        drained.extend(drain(&ring));
        assert_eq!(drained, taken);
        assert!(taken.len() >= 3, "three fit before anything is drained");
    });
}

#[test]
fn room_that_is_given_back_is_used_again() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(8));
        for value in 1..=3 {
            assert_ne!(ring.push([value, !value], Class::Flood), Pushed::No);
        }
        let consumer = thread::spawn({
            let ring = ring.clone();
            move || drain(&ring)
        });
        // Over the end, into the spare words, while the consumer may be reading the beginning.
        let is_taken = ring.push([4, 5, 6, 7], Class::Lifecycle) != Pushed::No;
        assert_eq!(consumer.join().unwrap(), [1, 2, 3]);
        let (tail, head) = ring.readable();
        assert_eq!(head - tail, if is_taken { 4 } else { 0 });
        if is_taken {
            assert_eq!([0, 1, 2, 3].map(|offset| ring.word(tail, offset)), [4, 5, 6, 7]);
        }
    });
}

#[test]
fn a_lane_goes_from_thread_to_thread_without_losing_a_record() {
    loom::model(|| {
        let lane = Arc::new((Ring::new(8), Tenancy::default()));
        lane.1.hold();
        let first = thread::spawn({
            let lane = lane.clone();
            move || {
                lane.0.push([1, !1], Class::Flood);
                lane.1.retire();
            }
        });
        let second = thread::spawn({
            let lane = lane.clone();
            move || {
                // As the pool does, which asks again later if it is not free.
                let is_free = lane.1.state() == State::Free;
                if is_free {
                    lane.1.hold();
                    lane.0.push([2, !2], Class::Flood);
                    lane.1.retire();
                }
                is_free
            }
        });
        let mut drained = Vec::new();
        for _ in 0..2 {
            let state = lane.1.state();
            drained.extend(drain(&lane.0));
            if state == State::Retired {
                assert!(!drained.is_empty(), "what it wrote before it retired is seen");
                lane.1.set_free();
            }
        }
        first.join().unwrap();
        let was_reused = second.join().unwrap();
        drained.extend(drain(&lane.0));
        assert_eq!(drained, if was_reused { vec![1, 2] } else { vec![1] });
    });
}
