//! The store against real files. One binary: linking SQLite once is enough.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod add_up;
mod at_once;
mod callbacks;
mod commit;
mod dumps;
mod facts;
mod files;
mod findings;
mod functions;
mod hints;
mod losses;
mod memory;
mod notes;
mod open;
mod reading;
mod retention;
mod sandbox;
mod settings;
mod support;
mod survivors;
mod task_records;
mod told;
mod waits;
