//! The routes over a real store: what they answer, and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../support/recording.rs"]
mod recording;

mod csv;
mod json;
mod live;
mod refusals;
mod server;
mod settings;
mod waits;
