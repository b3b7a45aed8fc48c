//! The agent's locks, semaphores and channels by themselves, so that Miri can run them: guards that
//! own their lock borrow from it without the compiler's knowledge. Tokio's part is the real one;
//! there is no runtime, and what is recorded goes to a ring that nobody reads.
#![cfg(test)]
#![expect(dead_code, unused_imports, reason = "only a part of what the agent uses is tried here")]

#[path = "../../loopd-agent/src/notes.rs"]
mod notes;
#[path = "../../loopd-agent/src/place.rs"]
mod place;
#[path = "../../loopd-agent/src/record.rs"]
mod record;
#[path = "../../loopd-agent/src/renewable.rs"]
mod renewable;
#[path = "../../loopd-agent/src/resource/mod.rs"]
mod resource;
#[path = "../../loopd-agent/src/ring.rs"]
mod ring;
#[path = "../../loopd-agent/src/sync/mod.rs"]
pub mod sync;
#[path = "../../loopd-agent/src/tracked.rs"]
mod tracked;
#[path = "../../loopd-agent/src/waits.rs"]
mod waits;

mod guards;
mod stand_ins;
use stand_ins::{clock, hooks, recorder};
