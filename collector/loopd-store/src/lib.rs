//! Everything loopd knows, in one SQLite file.
//!
//! [`open`] gives exactly one [`Writer`], which stores batches exactly once, and a [`Reader`],
//! which any number of tasks may share. In here every instant is [`UnixNanos`]; SQL and sqlx stay
//! behind this crate's door, and the views that users may query are described by [`schema`].
#![warn(missing_docs)]

mod connect;
mod error;
mod file;
mod instant;
mod open;
mod options;
mod reader;
mod rows;
mod schema;
mod segments;
mod settings;
mod sql;
mod task_table;
mod writer;

pub use error::StoreError;
pub use file::{
    Compacted, Exported, FileCheck, FileStats, Finding, Imported, ImportedProcess, ProcessStats,
    TableStats, check_file, compact_file, damaged_segments, export_file, file_stats, import_file,
};
pub use open::open;
pub use options::{Durability, Retention, StoreOptions};
pub use reader::{Reader, RowStream, WaitsOf};
pub use rows::*;
pub use schema::{Schema, SchemaColumn, SchemaFunction, SchemaView, schema};
pub use settings::{
    InvalidSetting, ProcessSettings, ReportedSettings, SLOW_THRESHOLDS, SettingKey, SettingValue,
    SettingsChange, SettingsScope,
};
pub use sql::{QueryError, QueryLimits, QueryResult, Value};
pub use writer::{
    Committed, Head, HeadProcess, How, Maintained, Outcome as CommitOutcome, Session, Writer,
};

pub use loopd_model::UnixNanos;
