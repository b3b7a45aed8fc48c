//! What an [`EventLoop`](loopd_agent::EventLoop) is for, as four small programs to copy from.
//!
//! | program | what it shows |
//! |---|---|
//! | [`web_server`] | many connections on one loop: hyper, a task group, an executor, an end that cuts nobody off |
//! | [`frames`] | a window: frames by `call_at`, input from another thread, timers that are cancelled |
//! | [`fan_out`] | a client that asks many servers at once: `gather`, `wait_for`, `shield`, a task group |
//! | [`many_loops`] | a loop in each of several threads, and calls between them |
//!
//! Each brings its own load, runs until its `stop` resolves, and has one thing wrong with it on purpose,
//! which its first lines tell: the line that loopd names is marked with `<- disease`. All else is as one would write it.
//!
//! Nothing but the first lines of each `run` is about loopd: what runs on an event loop is recorded with no further
//! work.

pub mod fan_out;
pub mod frames;
pub mod many_loops;
pub mod web_server;

use std::time::Duration;

/// How long what was recorded may take to be sent at the end.
const GOODBYE: Duration = Duration::from_secs(2);
