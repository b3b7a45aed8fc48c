//! The timeline, pre-computed: per lane and zoom level, how busy each stretch of time was.
//!
//! Time is cut into buckets, each level four times as long as the one below, and 256 buckets make
//! a tile. A lane's cells are sums and maxima, so any split of its polls, in any order, merges to
//! the same cells. A poll is stored at the finest level at which it is shorter than a tile
//! ([`level_of`]), and so touches two at most; coarser levels have it by folding. In what is read at a
//! finer level [`Strip::add_poll`] lays it over: no range has many polls longer than a tile, and the
//! store keeps each of those as a row.

use loopd_model::segment::{put_varint, take_varint};

/// How many zoom levels there are.
pub const LEVELS: u8 = 10;
/// Buckets in one tile.
pub const BUCKETS: usize = 256;
/// The exclusive upper ends of the duration classes, in nanoseconds; the last class has none.
pub const CLASS_ENDS: [u64; 3] = [100_000, 1_000_000, 10_000_000];
/// Polls at least this long are not in tiles of level 0: it is the length of one.
pub const LONG_POLL: u64 = long_poll(0);

const BUCKETS_LOG2: u32 = BUCKETS.trailing_zeros();

/// How long a bucket of this level is, in nanoseconds.
pub const fn bucket_width(level: u8) -> u64 {
    1 << width_log2(level)
}

/// The bucket of this level that holds an instant.
pub const fn bucket_of(level: u8, at: i64) -> i64 {
    at >> width_log2(level)
}

/// The tile that holds a bucket, both of the same level.
pub const fn tile_of(bucket: i64) -> i64 {
    bucket >> BUCKETS_LOG2
}

/// The bucket of the next level that holds this one.
pub const fn parent_of(bucket: i64) -> i64 {
    bucket >> 2
}

/// Polls at least this long are not in tiles of this level, nor of any finer one: the length of a tile.
pub const fn long_poll(level: u8) -> u64 {
    bucket_width(level) << BUCKETS_LOG2
}

/// The finest level whose tiles have a poll of this length; `None` if no level has.
pub fn level_of(length: u64) -> Option<u8> {
    (0..LEVELS).find(|&level| length < long_poll(level))
}

/// The finest level at which a range of this length fits into `max_buckets`.
pub fn level_for(range: u64, max_buckets: u64) -> u8 {
    let fits = |&level: &u8| range / bucket_width(level) < max_buckets.max(1);
    (0..LEVELS).find(fits).unwrap_or(LEVELS - 1)
}

const fn width_log2(level: u8) -> u32 {
    let level = if level < LEVELS { level } else { LEVELS - 1 };
    20 + 2 * level as u32
}

/// One stretch of time of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Nanoseconds of it spent in polls, by the duration class of the poll (see [`CLASS_ENDS`]).
    pub busy: [u64; 4],
    /// The length of the longest poll that overlaps it.
    pub max: u64,
    /// How many polls start in it.
    pub polls: u64,
}

impl Cell {
    /// Whether nothing happened in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Nanoseconds of it spent in polls.
    pub fn busy_time(&self) -> u64 {
        self.busy.iter().fold(0, |sum, &busy| sum.saturating_add(busy))
    }

    /// Adds what another cell of the same stretch, or of a part of it, counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.busy.iter_mut().zip(other.busy) {
            *mine = mine.saturating_add(theirs);
        }
        self.max = self.max.max(other.max);
        self.polls = self.polls.saturating_add(other.polls);
    }

    /// Makes it no busier than its stretch is long. Polls of one lane overlap only where a worker
    /// was handed on in the middle of a poll; the longer ones say more, so they stay.
    pub fn clamp(&mut self, width: u64) {
        let mut left = width;
        for busy in self.busy.iter_mut().rev() {
            *busy = (*busy).min(left);
            left -= *busy;
        }
    }
}

/// The duration class of a poll, as an index into [`Cell::busy`].
pub const fn class_of(length: u64) -> usize {
    (length >= CLASS_ENDS[0]) as usize
        + (length >= CLASS_ENDS[1]) as usize
        + (length >= CLASS_ENDS[2]) as usize
}

/// A stretch of buckets of one lane and level, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    level: u8,
    first: i64,
    cells: Vec<Cell>,
}

impl Strip {
    /// Empty buckets from `first` on.
    pub fn new(level: u8, first: i64, buckets: usize) -> Self {
        Self { level, first, cells: vec![Cell::default(); buckets] }
    }

    /// Adds one poll: to each bucket the part of the poll that lies in it. What lies outside of
    /// the strip is left out.
    pub fn add_poll(&mut self, start: i64, length: u64) {
        let end = start.saturating_add_unsigned(length);
        let width = bucket_width(self.level);
        let last = self.first.saturating_add_unsigned(self.cells.len() as u64);
        let started = bucket_of(self.level, start);
        // A poll of no length, or one that ends where a bucket begins, does not reach into it.
        let ended = if end > start { bucket_of(self.level, end - 1) } else { started };
        let class = class_of(length);
        for bucket in started.max(self.first)..ended.saturating_add(1).min(last) {
            let cell = &mut self.cells[(bucket - self.first) as usize];
            let opens = bucket << width_log2(self.level);
            let overlap = end.min(opens.saturating_add_unsigned(width)).abs_diff(start.max(opens));
            cell.busy[class] = cell.busy[class].saturating_add(overlap);
            cell.max = cell.max.max(length);
            cell.polls = cell.polls.saturating_add(u64::from(bucket == started));
        }
    }

    /// Adds a cell of this or a finer level; one outside of the strip is left out.
    pub fn add_cell(&mut self, level: u8, bucket: i64, cell: &Cell) {
        let bucket = bucket >> (2 * u32::from(self.level.saturating_sub(level)));
        let place = usize::try_from(bucket.saturating_sub(self.first));
        if let Some(mine) = place.ok().and_then(|place| self.cells.get_mut(place)) {
            mine.merge(cell);
        }
    }

    /// Its level.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The buckets that hold something, by place in the strip, none busier than it is long.
    pub fn filled(&self) -> impl Iterator<Item = (usize, Cell)> + '_ {
        let width = bucket_width(self.level);
        let filled = self.cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty());
        filled.map(move |(place, cell)| {
            let mut cell = *cell;
            cell.clamp(width);
            (place, cell)
        })
    }
}

/// Packs the cells of one tile, by place from 0 to 255 in rising order.
///
/// Per cell: a byte with the classes that are not zero (bits 0 to 3), whether it is one poll and all
/// of it (bit 4), and the distance to the place before, less one (bits 5 to 7; 7: a varint with the
/// rest follows); then as varints each such class, and unless it is one whole poll, the longest
/// poll and the number of polls.
pub fn encode(cells: impl IntoIterator<Item = (u8, Cell)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = 0;
    for (place, cell) in cells {
        let gap = u64::from(place).saturating_sub(next);
        next = u64::from(place) + 1;
        let classes = (0..4).fold(0, |bits, i| bits | u8::from(cell.busy[i] > 0) << i);
        let is_single = is_single(&cell);
        out.push(classes | u8::from(is_single) << 4 | (gap.min(FAR) as u8) << 5);
        if gap >= FAR {
            put_varint(&mut out, gap - FAR);
        }
        for busy in cell.busy.into_iter().filter(|&busy| busy > 0) {
            put_varint(&mut out, busy);
        }
        if !is_single {
            put_varint(&mut out, cell.max);
            put_varint(&mut out, cell.polls);
        }
    }
    out
}

/// Distances from here on do not fit into a cell's first byte.
const FAR: u64 = 7;

/// Whether the cell is exactly what one poll that lies in it makes; most are, where little happens.
fn is_single(cell: &Cell) -> bool {
    cell.polls == 1 && cell.busy_time() == cell.max && cell.busy[class_of(cell.max)] == cell.max
}

/// Unpacks the cells of one tile. `None` if the bytes are no tile.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<(u8, Cell)>> {
    let mut cells = Vec::new();
    let mut next = 0u64;
    while let Some((&head, rest)) = bytes.split_first() {
        bytes = rest;
        let mut gap = u64::from(head >> 5);
        if gap == FAR {
            gap = gap.checked_add(take_varint(&mut bytes).ok()?)?;
        }
        let place = u8::try_from(next.checked_add(gap)?).ok()?;
        next = u64::from(place) + 1;
        let mut cell = Cell::default();
        for (i, busy) in cell.busy.iter_mut().enumerate() {
            if head & 1 << i != 0 {
                *busy = take_varint(&mut bytes).ok()?;
            }
        }
        if head & 1 << 4 == 0 {
            cell.max = take_varint(&mut bytes).ok()?;
            cell.polls = take_varint(&mut bytes).ok()?;
        } else {
            (cell.max, cell.polls) = (cell.busy_time(), 1);
        }
        cells.push((place, cell));
    }
    Some(cells)
}

#[cfg(test)]
mod tests;
