//! What one commit adds to the tiles of a lane.

use loopd_analysis::tiles::{BUCKETS, LONG_POLL, Strip, bucket_of, encode, tile_of};

use super::hash::IdMap;

/// New cells of level 0 of one lane, tile by tile.
#[derive(Debug, Default)]
pub(super) struct LaneTiles {
    tiles: IdMap<i64, Strip>,
    /// Polls mostly follow one another: the tile of the last one, taken out of the map.
    last: Option<(i64, Strip)>,
}

impl LaneTiles {
    /// Adds a poll, unless it is so long that the store keeps it as a row instead.
    pub(super) fn add(&mut self, start: i64, length: i64) {
        let length = length as u64;
        if length >= LONG_POLL {
            return;
        }
        let end = start + (length as i64 - 1).max(0);
        let first = tile_of(bucket_of(0, start));
        self.tile(first).add_poll(start, length);
        let last = tile_of(bucket_of(0, end));
        if last != first {
            self.tile(last).add_poll(start, length);
        }
    }

    fn tile(&mut self, tile: i64) -> &mut Strip {
        let is_here = self.last.as_ref().is_some_and(|(at, _)| *at == tile);
        if !is_here && let Some((at, strip)) = self.last.take() {
            self.tiles.insert(at, strip);
        }
        let empty = || Strip::new(0, tile * BUCKETS as i64, BUCKETS);
        let found = || (tile, self.tiles.remove(&tile).unwrap_or_else(empty));
        &mut self.last.get_or_insert_with(found).1
    }

    /// Every tile that was touched, and its cells.
    pub(super) fn into_rows(mut self) -> impl Iterator<Item = (i64, Vec<u8>)> {
        self.tiles.extend(self.last.take());
        self.tiles.into_iter().map(|(tile, strip)| {
            (tile, encode(strip.filled().map(|(place, cell)| (place as u8, cell))))
        })
    }
}
