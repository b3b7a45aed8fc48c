//! What takes the room in the file, as far as it can be told without reading it.

use loopd_model::UnixNanos;
use rusqlite::Connection;

use super::{Reader, unsigned};
use crate::writer::wal_path;
use crate::{DiskUse, ProcessKey, ProcessUse, StoreError};

/// So many segments are looked at to see how fast they come, the latest.
const MAX_SEGMENTS: i64 = 512;

impl Reader {
    /// What takes the room in the file. `since` is from when on single polls, parks and wakes are added up to say
    /// how fast they come.
    pub async fn disk_use(&self, since: UnixNanos) -> Result<DiskUse, StoreError> {
        let read = move |db: &Connection| measure(db, since);
        let asked = self.raw.ask(read).await;
        let mut measured = asked.map_err(StoreError::sqlite("measure the database"))?;
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        measured.file_bytes = size(&self.path);
        measured.wal_bytes = size(&wal_path(&self.path));
        Ok(measured)
    }
}

fn measure(db: &Connection, since: UnixNanos) -> rusqlite::Result<DiskUse> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(unsigned);
    let (page, pages) = (number("PRAGMA page_size")?, number("PRAGMA page_count")?);
    let free = number("PRAGMA freelist_count")?;
    let sql = "SELECT u.process, p.app, ifnull(sum(u.bytes) FILTER (WHERE u.class = 1), 0),
            ifnull(sum(u.bytes) FILTER (WHERE u.class = 2), 0),
            ifnull(sum(u.bytes) FILTER (WHERE u.class = 3), 0),
            ifnull(sum(u.bytes) FILTER (WHERE u.class = 4), 0)
        FROM usage u JOIN process p ON p.id = u.process GROUP BY u.process ORDER BY sum(u.bytes) DESC";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(ProcessUse {
            process: ProcessKey(row.get(0)?),
            app: row.get(1)?,
            span_bytes: unsigned(row.get(2)?),
            task_bytes: unsigned(row.get(3)?),
            tile_bytes: unsigned(row.get(4)?),
            rollup_bytes: unsigned(row.get(5)?),
        })
    })?;
    let processes = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    // The length of a blob is in its row's first page.
    let sql = "SELECT ifnull(sum(bytes), 0), min(start_at), max(end_at) FROM (
            SELECT length(data) + 64 AS bytes, start_at, end_at
            FROM segment INDEXED BY segment_by_age
            WHERE kind < 4 AND end_at >= ?1 ORDER BY end_at DESC LIMIT ?2)";
    let row = |row: &rusqlite::Row<'_>| {
        let at = |i| row.get::<_, Option<i64>>(i);
        Ok((row.get::<_, i64>(0)?, at(1)?, at(2)?))
    };
    let (recent, from, to) = db.query_row(sql, [since.0, MAX_SEGMENTS], row)?;
    // The rate is that of the time they are of: a program may have begun since.
    let time = from.zip(to).map(|(from, to)| unsigned(to.saturating_sub(from.max(since.0))));
    let recent_time = time.unwrap_or(0);
    Ok(DiskUse {
        used_bytes: page.saturating_mul(pages.saturating_sub(free)),
        free_bytes: page.saturating_mul(free),
        processes,
        recent_span_bytes: unsigned(recent),
        recent_time,
        ..DiskUse::default()
    })
}
