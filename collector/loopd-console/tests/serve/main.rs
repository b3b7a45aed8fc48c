//! The service, over a real store and a real connection, as its own client sees it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod past;
mod screen;
#[path = "../../../loopd-store/tests/it/support.rs"]
#[expect(dead_code, reason = "the store's own tests use all of it")]
mod support;
mod watching;
