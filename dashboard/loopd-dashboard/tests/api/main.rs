//! The routes over a real store: what they answer, and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../support/contract.rs"]
mod contract;
#[path = "../support/recording.rs"]
mod recording;

mod compare;
mod compress;
mod csv;
mod demo;
mod disk;
mod dumps;
mod findings;
mod front;
mod json;
mod lanes;
mod limits;
mod live;
mod mutes;
mod notes;
mod openapi;
mod query;
mod refusals;
mod region;
mod server;
mod settings;
mod stacks;
mod survivors;
mod task_life;
mod tiles;
mod waits;
