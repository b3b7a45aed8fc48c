//! Stacks of threads that block, taken while they do.
//!
//! The frames of a thread that sleeps, or that runs C code, stand still, and are read as they are. Those of
//! a thread that runs Python code do not; but it gives the interpreter's lock away every few milliseconds, and
//! whoever has the lock can look at them. Only then does the thread notice anything.

use std::time::Duration;

use loopd_model::Frame;

use crate::{peek, side};

/// Python code gives the lock away every five milliseconds; on a busy machine whoever wants it may be
/// late to take it.
const LOCK_PATIENCE: Duration = Duration::from_millis(60);
/// Where neither way leads to a stack, the machine is busy.
const ATTEMPTS: usize = 2;

/// The stack of a thread of ours, leaf first; empty if there was no looking at it.
pub(crate) fn stack_of(tid: i32) -> Vec<Frame> {
    let look = || peek::stack_of(tid).or_else(|| side::stack_of(tid, LOCK_PATIENCE));
    (0..ATTEMPTS).find_map(|_| look()).unwrap_or_default()
}
