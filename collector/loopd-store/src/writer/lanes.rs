//! What one commit adds to the tiles of a lane.

use loopd_analysis::tiles::{BUCKETS, LONG_POLL, Strip, bucket_of, decode, encode, tile_of};

use super::hash::IdMap;

/// New cells of level 0 of one lane, tile by tile.
#[derive(Debug, Default)]
pub(super) struct LaneTiles {
    /// Packed, as most hold little: unpacked each would take 12 KiB.
    tiles: IdMap<i64, Vec<u8>>,
    /// Polls mostly follow one another: the tile of the last one, unpacked and not in the map.
    last: Option<(i64, Strip)>,
}

/// The tiles that show a poll: none if it is so long that the store keeps it as a row instead.
pub(super) fn tiles_of(start: i64, length: i64) -> impl Iterator<Item = i64> {
    let is_short = (length as u64) < LONG_POLL;
    let first = tile_of(bucket_of(0, start));
    let last = tile_of(bucket_of(0, start + (length - 1).max(0)));
    let rest = (last != first).then_some(last);
    [Some(first), rest].into_iter().flatten().filter(move |_| is_short)
}

impl LaneTiles {
    /// Adds a poll.
    pub(super) fn add(&mut self, start: i64, length: i64) {
        for tile in tiles_of(start, length) {
            self.tile(tile).add_poll(start, length as u64);
        }
    }

    fn tile(&mut self, tile: i64) -> &mut Strip {
        if self.last.as_ref().is_some_and(|(at, _)| *at != tile) {
            self.pack();
        }
        let found = || (tile, unpacked(tile, self.tiles.remove(&tile)));
        &mut self.last.get_or_insert_with(found).1
    }

    /// Packs the tile of the last poll, too.
    pub(super) fn pack(&mut self) {
        if let Some((tile, strip)) = self.last.take() {
            let cells = strip.filled().map(|(place, cell)| (place as u8, cell));
            self.tiles.insert(tile, encode(cells));
        }
    }

    /// Every tile that was touched, and its cells.
    pub(super) fn into_rows(mut self) -> impl Iterator<Item = (i64, Vec<u8>)> {
        self.pack();
        self.tiles.into_iter()
    }
}

fn unpacked(tile: i64, cells: Option<Vec<u8>>) -> Strip {
    let first = tile * BUCKETS as i64;
    let mut strip = Strip::new(0, first, BUCKETS);
    // What was packed here can be unpacked.
    for (place, cell) in cells.and_then(|cells| decode(&cells)).unwrap_or_default() {
        strip.add_cell(0, first + i64::from(place), &cell);
    }
    strip
}
