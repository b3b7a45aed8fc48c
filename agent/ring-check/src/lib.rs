//! The parts of the agent that two threads share without a lock, by themselves: Miri runs their own
//! tests, and loom runs the models below through every order in which the threads can take turns.
#![cfg(test)]
#![cfg_attr(loom, expect(dead_code, reason = "models are of the parts that threads share"))]

#[path = "../../loopd-agent/src/place.rs"]
#[cfg(not(loom))]
mod place;
#[path = "../../loopd-agent/src/ring.rs"]
mod ring;
#[path = "../../loopd-agent/src/tenancy.rs"]
mod tenancy;

#[cfg(loom)]
mod models;

#[cfg(not(loom))]
mod tests {
    use std::panic::Location;

    use crate::place;
    use crate::ring::{Class, Ring};

    #[test]
    fn a_place_is_found_again_behind_its_number_in_a_ring() {
        let here = Location::caller();
        let ring = Ring::new(64);
        ring.push([place::number(here)], Class::Lifecycle);
        let found = place::location(ring.word(0, 0));
        assert!(found.is_some_and(|found| std::ptr::eq(found, here)));
        assert_eq!(place::location(0), None);
    }
}
