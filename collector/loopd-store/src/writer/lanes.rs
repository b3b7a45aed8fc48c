//! What one commit adds to the tiles of a lane.

use loopd_analysis::tiles::{BUCKETS, Strip, bucket_of, decode, encode, level_of, tile_of};

use super::hash::IdMap;

/// Level and number of a tile.
pub(super) type TilePlace = (i64, i64);

/// New cells of one lane, tile by tile.
#[derive(Debug, Default)]
pub(super) struct LaneTiles {
    /// Packed, as most hold little: unpacked each would take 12 KiB.
    tiles: IdMap<TilePlace, Vec<u8>>,
    /// Polls mostly follow one another: the tile of the last one, unpacked and not in the map.
    last: Option<(TilePlace, Strip)>,
}

/// The tiles that get a poll: none if it is too long for any.
#[inline]
pub(super) fn tiles_of(start: i64, length: i64) -> impl Iterator<Item = TilePlace> {
    let level = level_of(length as u64);
    let at = level.unwrap_or(0);
    let first = tile_of(bucket_of(at, start));
    let last = tile_of(bucket_of(at, start + (length - 1).max(0)));
    let rest = (last != first).then_some(last);
    let tiles = [Some(first), rest].into_iter().flatten().filter(move |_| level.is_some());
    tiles.map(move |tile| (i64::from(at), tile))
}

impl LaneTiles {
    /// Adds a poll.
    #[inline]
    pub(super) fn add(&mut self, start: i64, length: i64) {
        for place in tiles_of(start, length) {
            self.tile(place).add_poll(start, length as u64);
        }
    }

    #[inline]
    fn tile(&mut self, place: TilePlace) -> &mut Strip {
        if self.last.as_ref().is_some_and(|(at, _)| *at != place) {
            self.pack();
        }
        let found = || (place, unpacked(place, self.tiles.remove(&place)));
        &mut self.last.get_or_insert_with(found).1
    }

    /// Packs the tile of the last poll, too.
    pub(super) fn pack(&mut self) {
        if let Some((place, strip)) = self.last.take() {
            let cells = strip.filled().map(|(place, cell)| (place as u8, cell));
            self.tiles.insert(place, encode(cells));
        }
    }

    /// Every tile that was touched, and its cells.
    pub(super) fn into_rows(mut self) -> impl Iterator<Item = (TilePlace, Vec<u8>)> {
        self.pack();
        self.tiles.into_iter()
    }
}

fn unpacked((level, tile): TilePlace, cells: Option<Vec<u8>>) -> Strip {
    let (level, first) = (level as u8, tile * BUCKETS as i64);
    let mut strip = Strip::new(level, first, BUCKETS);
    // What was packed here can be unpacked.
    for (place, cell) in cells.and_then(|cells| decode(&cells)).unwrap_or_default() {
        strip.add_cell(level, first + i64::from(place), &cell);
    }
    strip
}
