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
pub(crate) use retain::FINE_LEVELS;

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

    /// Gives pages back, and folds or merges, one of them in turn, so that no commit waits for all of
    /// them; adds what it did to `done`.
    async fn tidy(&mut self, now: i64, done: Maintained) -> Result<Maintained, StoreError> {
        let mut done = done;
        let shrunk = retain::shrink(self.db().await?).await;
        done.more |= shrunk.map_err(StoreError::sqlite("shrinking the file"))?;
        let has_more = match self.turns.current {
            Turn::Tiles => {
                let work = async |db: &mut _| fold::step(db, now).await;
                let (folded, more) = self.transact("folding tiles", work).await?;
                done.folded_tiles = folded;
                more || folded > 0
            }
            Turn::Rollups => {
                let work = async |db: &mut _| fold_rollups::step(db, now).await;
                let (folded, more) = self.transact("folding roll-ups", work).await?;
                done.folded_rollups = folded;
                more || folded > 0
            }
            Turn::Segments => {
                let work = async |db: &mut _| merge::step(db, now).await;
                let (merged, more) = self.transact("merging segments", work).await?;
                done.merged_segments = merged;
                more || merged > 0
            }
        };
        done.more |= self.turns.go_on(has_more);
        Ok(done)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    current: Turn,
    /// Whether somebody had something to do since the first had its turn.
    had_work: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Tiles,
    Rollups,
    Segments,
}

impl Turns {
    /// The next one's turn; returns whether it should come at once.
    fn go_on(&mut self, had_work: bool) -> bool {
        self.had_work |= had_work;
        self.current = match self.current {
            Turn::Tiles => Turn::Rollups,
            Turn::Rollups => Turn::Segments,
            Turn::Segments => Turn::Tiles,
        };
        // A round in which nobody had anything to do is the last for a while.
        self.current != Turn::Tiles || std::mem::take(&mut self.had_work)
    }
}
