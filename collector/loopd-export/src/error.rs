//! Why a file could not be written.

/// An export that failed. What was written of the file so far is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A row does not fit the columns it was written for.
    #[error("row {row} has {found} in the column {column}, which is {expected}")]
    Mismatch {
        /// The column's name.
        column: String,
        /// Which row, counted from 0.
        row: u64,
        /// What the column holds.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
    /// A row has more or fewer values than there are columns.
    #[error("row {row} has {found} values for {expected} columns")]
    Width {
        /// Which row, counted from 0.
        row: u64,
        /// How many columns there are.
        expected: usize,
        /// How many values it has.
        found: usize,
    },
    /// There is no such table.
    #[error("there is no table {table}; there are {}", crate::table_names().collect::<Vec<_>>().join(", "))]
    NoTable {
        /// What was asked for.
        table: String,
    },
    /// The store could not be read.
    #[error("read the recording")]
    Store(#[from] loopd_store::StoreError),
    /// What a page shows could not be found out.
    #[error("sum up the recording")]
    View(#[from] loopd_dashboard::views::ViewError),
    /// A question that took too long.
    #[error("sum up the recording")]
    Query(#[source] loopd_store::QueryError),
    /// The file could not be written.
    #[error("write the file")]
    Io(#[from] std::io::Error),
    /// The Parquet library refuses.
    #[error("write Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
}
