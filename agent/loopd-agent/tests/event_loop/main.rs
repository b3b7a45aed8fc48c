//! The event loop: against CPython's, and what is its own.
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

mod own;
mod pairs;
