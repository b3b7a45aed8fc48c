//! Writes recordings as files that other programs read.
//!
//! A crate of its own because the formats bring dependencies and vocabularies that neither the
//! store (rows) nor the command line (flags) has use for. Everything here streams: memory does not
//! grow with the range that is written.
#![warn(missing_docs)]

mod error;
mod parquet;

pub use error::ExportError;
pub use loopd_store::Value;
pub use parquet::{ColumnType, ParquetTable};
