//! Upkeep in small steps between commits: folding tiles, merging segments, retention.

mod fold;
mod merge;
mod retain;

use loopd_model::UnixNanos;
use sqlx::Connection;

use super::Writer;
use crate::{Retention, StoreError};

/// What one step of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Tile rows folded into a coarser level.
    pub folded_tiles: u64,
    /// Segments merged into fewer.
    pub merged_segments: u64,
    /// Rows that retention removed.
    pub removed_rows: u64,
    /// Whether another call would find more to do now.
    pub more: bool,
}

impl Writer {
    /// One small step of folding tiles, merging segments, or removing what is too old or too much.
    /// Call it between commits, and again at once while there is more.
    pub async fn maintain(
        &mut self,
        now: UnixNanos,
        retention: &Retention,
    ) -> Result<Maintained, StoreError> {
        let done = self.step(now.0, retention).await.map_err(StoreError::sqlite("maintenance"))?;
        if done.removed_rows > 0 {
            // What is gone has to disappear from pages, too.
            self.publish([]);
        }
        Ok(done)
    }

    async fn step(&mut self, now: i64, retention: &Retention) -> Result<Maintained, sqlx::Error> {
        let mut tx = self.db.begin_with("BEGIN IMMEDIATE").await?;
        let (folded_tiles, more_tiles) = fold::step(&mut tx, now).await?;
        let (merged_segments, more_segments) = merge::step(&mut tx, now).await?;
        let (removed_rows, more_rows) = retain::step(&mut tx, now, retention).await?;
        tx.commit().await?;
        let more_pages = retain::shrink(&mut self.db).await?;
        let more = more_tiles || more_segments || more_rows || more_pages;
        Ok(Maintained { folded_tiles, merged_segments, removed_rows, more })
    }
}
