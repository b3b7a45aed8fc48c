//! Writes recordings as files that other programs read.
//!
//! A crate of its own because the formats bring dependencies and vocabularies that neither the
//! store (rows) nor the command line (flags) has use for. Everything here streams: memory does not
//! grow with the range that is written.
#![warn(missing_docs)]

mod csv;
mod error;
mod folded;
mod html;
mod names;
mod parquet;
mod range;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod trace;

#[cfg(test)]
#[path = "../../../dashboard/loopd-dashboard/tests/support/recording.rs"]
#[expect(dead_code, reason = "the dashboard's own tests use all of it")]
mod recording;

pub use csv::CsvTable;
pub use error::ExportError;
pub use folded::folded;
pub use html::{html, report};
pub use loopd_store::Value;
pub use parquet::{ColumnType, ParquetTable};
pub use range::Selection;
pub use source::{Counts, Source};
pub use tables::{csv_table, parquet_table, table_names};
pub use trace::{chrome, perfetto};
