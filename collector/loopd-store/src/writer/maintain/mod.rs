//! Upkeep in small steps between commits: folding tiles, merging segments, retention.

mod fold;
mod merge;
mod retain;

use loopd_model::UnixNanos;

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
        let done = self.step(now.0, retention).await?;
        if done.removed_rows > 0 {
            // What is gone has to disappear from pages, too.
            self.publish([]);
        }
        Ok(done)
    }

    async fn step(&mut self, now: i64, retention: &Retention) -> Result<Maintained, StoreError> {
        // Each for itself, and what makes room first: the others need some.
        let (removed_rows, more_rows) =
            self.transact("retention", async |db| retain::step(db, now, retention).await).await?;
        let (folded_tiles, more_tiles) =
            self.transact("folding tiles", async |db| fold::step(db, now).await).await?;
        let (merged_segments, more_segments) =
            self.transact("merging segments", async |db| merge::step(db, now).await).await?;
        let shrunk = retain::shrink(self.db().await?).await;
        let more_pages = shrunk.map_err(StoreError::sqlite("shrinking the file"))?;
        let more = more_tiles || more_segments || more_rows || more_pages;
        Ok(Maintained { folded_tiles, merged_segments, removed_rows, more })
    }
}
