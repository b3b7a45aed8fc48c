//! The store against real files. One binary: linking SQLite once is enough.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod add_up;
mod at_once;
mod commit;
mod files;
mod functions;
mod hints;
mod memory;
mod open;
mod reading;
mod retention;
mod sandbox;
mod settings;
mod support;
mod task_records;
mod told;
mod waits;
