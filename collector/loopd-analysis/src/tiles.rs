//! The timeline, pre-computed: per lane and zoom level, how busy each stretch of time was.

/// How many zoom levels there are.
pub const LEVELS: u8 = 10;
/// Buckets in one tile.
pub const BUCKETS: u64 = 256;
/// The exclusive upper ends of the duration classes, in nanoseconds; the last class has none.
pub const CLASS_ENDS: [u64; 3] = [100_000, 1_000_000, 10_000_000];

/// How long a bucket of this level is, in nanoseconds.
pub const fn bucket_width(level: u8) -> u64 {
    1 << (20 + 2 * level as u32)
}

/// One stretch of time of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Nanoseconds of it spent in polls, by the duration class of the poll (see [`CLASS_ENDS`]).
    /// The sum never exceeds the bucket's width, as polls of one worker do not overlap.
    pub busy: [u64; 4],
    /// The length of the longest poll that overlaps it.
    pub max: u64,
    /// How many polls start in it.
    pub polls: u64,
}
