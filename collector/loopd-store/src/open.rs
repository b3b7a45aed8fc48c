//! Opens the one writer and its readers.

use crate::{Reader, StoreError, StoreOptions, Writer};

/// Opens the database, making or migrating it as needed. While the writer lives no other process
/// gets one.
pub async fn open(options: StoreOptions) -> Result<(Writer, Reader), StoreError> {
    let writer = Writer::open(&options).await?;
    let reader = Reader::open(&options.path).await?;
    Ok((writer, reader))
}
