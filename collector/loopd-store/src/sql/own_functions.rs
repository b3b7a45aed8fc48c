//! For the tests of functions that stand in for SQLite's own.

use rusqlite::types::Value;
use rusqlite::{Connection, Result};

/// Asserts that each query gives the same with the functions registered as it does without.
pub(super) fn assert_same(register: fn(&Connection) -> Result<()>, queries: &[String]) {
    let (own, ours) =
        (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
    register(&ours).unwrap();
    for query in queries {
        let give =
            |db: &Connection| -> Value { db.query_row(query, [], |row| row.get(0)).unwrap() };
        assert_eq!(give(&own), give(&ours), "{query}");
    }
}
