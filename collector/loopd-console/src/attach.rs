//! Records programs that carry `console-subscriber`.
//!
//! A [`Bridge`] is a client of the program and an agent of loopd: it follows what the program tells every
//! viewer of `tokio-console`, and sends it over loopd's own ingest, with the same sessions, acks and
//! window. What the protocol does not carry is not made up: single polls and wakes, workers, who woke whom
//! and how tasks ended stay unknown, and the coverage of the process says so.
//!
//! ```text
//! program ── updates ──► feed ──► run (a table of what is open) ──► recording (batches, window) ──► loopd
//! ```
//!
//! A run holds what is known and what was told of each task, resource and operation; a batch is made of the
//! difference when there is room for one. So a loopd that is away costs no memory beyond the table, and
//! updates that nobody could send become one. The program is only ever listened to: nothing here pauses it.

mod bridge;
mod feed;
mod histogram;
mod recording;
mod run;
mod session;
mod target;
mod values;
mod words;

pub use bridge::Bridge;
pub use session::{Collector, CollectorError};
pub use target::{Target, TargetError};
