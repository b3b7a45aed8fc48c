//! What one commit adds to the tiles of a lane.

use std::collections::BTreeMap;

use loopd_analysis::tiles::{
    BUCKETS, LONG_POLL, Strip, bucket_of, decode, encode, level_of, tile_of,
};

use sqlx::sqlite::SqliteConnection;

use super::apply::insert_tiles;
use super::digest::TileRow;
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

/// Adds the polls that older loopds kept out of all tiles to those that have them now.
pub(crate) async fn tile_long_polls(db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let sql = "SELECT process, loop, worker, start_at, length FROM slow_poll WHERE length >= ?";
    let polls: Vec<(i64, i64, i64, i64, i64)> =
        sqlx::query_as(sql).bind(LONG_POLL as i64).fetch_all(&mut *db).await?;
    let mut lanes = BTreeMap::<_, LaneTiles>::new();
    for (process, loop_id, worker, start, length) in polls {
        lanes.entry((process, loop_id, worker)).or_default().add(start, length);
    }
    let rows = lanes.into_iter().flat_map(|((process, loop_id, worker), lane)| {
        lane.into_rows().map(move |((level, tile), cells)| TileRow {
            process,
            level,
            tile,
            loop_id,
            worker,
            is_folded: false,
            cells,
        })
    });
    insert_tiles(db, rows.collect()).await
}
