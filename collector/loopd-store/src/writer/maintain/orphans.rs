//! States of resources that nobody knows.

use sqlx::sqlite::SqliteConnection;

use super::retain::{MAX_ROWS, remove_keys};

/// A state may come before its resource: threads are not in step, but an hour is far behind.
const AGE: i64 = 3_600_000_000_000;

/// Finds states of resources that never were, or that are gone: a few rows at a time, round and
/// round, since hardly ever there is one.
#[derive(Clone, Copy, Debug)]
pub(in crate::writer) struct Orphans {
    /// The process and resource looked at last.
    last: (i64, i64),
}

impl Default for Orphans {
    fn default() -> Self {
        Self { last: (i64::MIN, i64::MIN) }
    }
}

impl Orphans {
    /// Removes those among the next few.
    pub(super) async fn remove(
        &mut self,
        db: &mut SqliteConnection,
        now: i64,
    ) -> Result<u64, sqlx::Error> {
        const NEXT: &str = "SELECT s.process, s.resource, s.at < ?4 AND NOT EXISTS
                (SELECT 1 FROM resource r WHERE r.process = s.process AND r.resource = s.resource)
            FROM resource_state s WHERE (s.process, s.resource) > (?1, ?2)
            ORDER BY s.process, s.resource LIMIT ?3";
        let query = sqlx::query_as(NEXT).bind(self.last.0).bind(self.last.1);
        let rows: Vec<(i64, i64, bool)> =
            query.bind(MAX_ROWS).bind(now.saturating_sub(AGE)).fetch_all(&mut *db).await?;
        let is_end = (rows.len() as i64) < MAX_ROWS;
        let last = rows.last().map(|&(process, resource, _)| (process, resource));
        self.last = last.filter(|_| !is_end).unwrap_or(Self::default().last);
        let doomed = rows.into_iter().filter(|row| row.2).map(|row| (row.0, row.1)).collect();
        remove_keys(db, &["resource_state"], "resource", doomed).await
    }
}
