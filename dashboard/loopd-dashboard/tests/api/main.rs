//! The routes over a real store: what they answer, and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../support/recording.rs"]
mod recording;

mod compare;
mod csv;
mod dumps;
mod findings;
mod json;
mod live;
mod mutes;
mod refusals;
mod server;
mod settings;
mod stacks;
mod survivors;
mod task_life;
mod waits;
