//! Reads of any length, row by row, for a thread that may block.
//!
//! The other reads give whole answers, which is right for a page and wrong for a table of a hundred
//! million rows. Here one row is in memory at a time, on a connection of its own.

use rusqlite::types::{Value as Bind, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::{Reader, StoreError, Value, connect};

/// A connection of its own on which tables are read row by row. It can only read.
#[derive(Debug)]
pub struct RowStream {
    db: Connection,
}

impl Reader {
    /// Opens a connection for long reads. Every statement sees the store as it was when the
    /// statement began; while one runs, the log of a store that is written to cannot be cut, so
    /// keep them short.
    pub fn row_stream(&self) -> Result<RowStream, StoreError> {
        let failed = || StoreError::rusqlite("open a connection for reading");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags).map_err(failed())?;
        db.busy_timeout(connect::BUSY_TIMEOUT).map_err(failed())?;
        // What outgrows the cache while it is sorted goes to a file, not to memory.
        let pragmas = "PRAGMA query_only = 1; PRAGMA cache_size = -16384; PRAGMA temp_store = file";
        db.execute_batch(pragmas).map_err(failed())?;
        crate::sql::equip(&db).map_err(failed())?;
        Ok(RowStream { db })
    }
}

impl RowStream {
    /// Hands every row of a statement over the documented views to `each`, until that fails.
    pub fn each<E: From<StoreError>>(
        &self,
        sql: &str,
        binds: &[Value],
        mut each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = || StoreError::rusqlite("read rows");
        let mut statement = self.db.prepare(sql).map_err(failed())?;
        let mut row = vec![Value::Null; statement.column_count()];
        let binds = params_from_iter(binds.iter().map(bind));
        let mut rows = statement.query(binds).map_err(failed())?;
        while let Some(found) = rows.next().map_err(failed())? {
            for (i, value) in row.iter_mut().enumerate() {
                set(value, found.get_ref(i).map_err(failed())?);
            }
            each(&row)?;
        }
        Ok(())
    }
}

fn bind(value: &Value) -> Bind {
    match value {
        Value::Null => Bind::Null,
        Value::Integer(value) => Bind::Integer(*value),
        Value::Real(value) => Bind::Real(*value),
        Value::Text(text) => Bind::Text(text.clone()),
        Value::Blob(bytes) => Bind::Blob(bytes.clone()),
    }
}

/// Takes over a value, in the memory of the one before it where that fits.
fn set(value: &mut Value, found: ValueRef<'_>) {
    match (found, value) {
        (ValueRef::Text(bytes), Value::Text(text)) => {
            text.clear();
            text.push_str(&String::from_utf8_lossy(bytes));
        }
        (found, value) => {
            *value = match found {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Integer(value),
                ValueRef::Real(value) => Value::Real(value),
                ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
                ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            }
        }
    }
}
