//! Receives agents' batches over gRPC and hands them to the store.
//!
//! One task per stream reads and checks ([`decode_batch`](loopd_wire::decode_batch)); one task owns
//! the store's only writer, groups the batches of all sessions into one commit, and acks after it.
//! An acked batch is on disk, is there once, and whatever one session sends, the others go on.
//!
//! ```text
//! stream ── session ──┐  commands (bounded)         ┌─ commit, then ack
//! stream ── session ──┼──────────────────► keeper ──┼─ sessions that end, get lost, are superseded
//! stream ── session ──┘                             └─ maintenance, in small steps
//! ```
//!
//! Beside them one task judges what has come (`judge`), and hands the keeper what it found.
#![warn(missing_docs)]

mod clocks;
mod collector;
mod config;
mod group;
mod ingest;
mod judge;
mod keeper;
mod outbound;
mod session;
mod status;

pub use clocks::{CLOCK_STEP, ClockReading};
pub use collector::{ChangeError, Collector, CollectorHandle, DumpError, MuteError};
pub use config::CollectorConfig;
pub use status::{CollectorStatus, WriteFailure};
