//! The parts of the agent that two threads share without a lock, and those that keep values in plain
//! words, by themselves: Miri runs their own tests, and loom runs the models below through every order
//! in which the threads can take turns.
#![cfg(test)]
#![expect(dead_code, reason = "only a part of what the agent uses is tried here")]

#[cfg(not(loom))]
mod event_loop;
#[path = "../../loopd-agent/src/place.rs"]
#[cfg(not(loom))]
mod place;
#[path = "../../loopd-agent/src/renewable.rs"]
#[cfg(not(loom))]
mod renewable;
#[path = "../../loopd-agent/src/ring.rs"]
mod ring;
#[path = "../../loopd-agent/src/tenancy.rs"]
mod tenancy;

#[cfg(loom)]
mod models;
