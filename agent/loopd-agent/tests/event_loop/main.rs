//! The event loop: against CPython's, what is its own, and what of it is recorded.
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

mod callbacks;
#[path = "../it/collector.rs"]
#[expect(dead_code, reason = "most of it is for the tests that it comes from")]
mod collector;
mod own;
mod pairs;
mod recorded;
mod table;
mod unrecorded;
