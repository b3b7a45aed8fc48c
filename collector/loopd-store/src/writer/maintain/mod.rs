//! Upkeep in small steps between commits: folding tiles and roll-ups, merging segments, retention.

mod budget;
mod fold;
mod fold_rollups;
mod logs;
mod merge;
mod orphans;
mod retain;

use loopd_model::UnixNanos;
use tracing::warn;

pub(super) use orphans::Orphans;

use super::Writer;
use crate::{Retention, StoreError};

/// What one step of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Tile rows folded into a coarser level.
    pub folded_tiles: u64,
    /// Rows of roll-ups folded into longer steps, or removed because they were.
    pub folded_rollups: u64,
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
        let (removed_rows, more_rows) = match self.retain(now, retention).await {
            Err(error) if error.is_full() && self.reserve.release() => {
                warn!("the disk is full, retention uses the reserve");
                self.retain(now, retention).await?
            }
            done => done?,
        };
        let done = Maintained { removed_rows, more: more_rows, ..Maintained::default() };
        match self.tidy(now, done).await {
            Err(error) if error.is_full() => {
                warn!("the disk is full, only retention was done");
                Ok(done)
            }
            Ok(done) => {
                self.reserve.hold();
                Ok(done)
            }
            failed => failed,
        }
    }

    async fn retain(&mut self, now: i64, keep: &Retention) -> Result<(u64, bool), StoreError> {
        let mut orphans = self.orphans;
        let work = async |db: &mut _| retain::step(db, now, keep, &mut orphans).await;
        let done = self.transact("retention", work).await?;
        self.orphans = orphans;
        Ok(done)
    }

    /// Gives pages back, folds, and merges; adds what it did to `done`.
    async fn tidy(&mut self, now: i64, done: Maintained) -> Result<Maintained, StoreError> {
        let shrunk = retain::shrink(self.db().await?).await;
        let more_pages = shrunk.map_err(StoreError::sqlite("shrinking the file"))?;
        let (folded_tiles, more_tiles) =
            self.transact("folding tiles", async |db| fold::step(db, now).await).await?;
        let (folded_rollups, more_rollups) =
            self.transact("folding roll-ups", async |db| fold_rollups::step(db, now).await).await?;
        let (merged_segments, more_segments) =
            self.transact("merging segments", async |db| merge::step(db, now).await).await?;
        let more = done.more || more_tiles || more_rollups || more_segments || more_pages;
        Ok(Maintained { folded_tiles, folded_rollups, merged_segments, more, ..done })
    }
}
