//! Roll-ups: what all tasks of one spawn location did in one step of time, taken together.
//!
//! Cells are sums, maxima and histograms, so any split of the events, in any order, merges to the
//! same. Steps come in three levels: 10 seconds, a minute, an hour. A poll, a wake, a spawn and an
//! end belong to the step in which they begin.

use std::collections::BTreeMap;

use loopd_model::segment::{put_varint, take_varint};

use crate::histogram::Histogram;

/// How long a step of each level is, in nanoseconds.
pub const STEPS: [i64; 3] = [10_000_000_000, 60_000_000_000, 3_600_000_000_000];

/// The step of this level that holds an instant; its beginning is this times the step's length.
pub const fn step_of(level: usize, at: i64) -> i64 {
    at.div_euclid(STEPS[level])
}

/// One spawn location in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Tasks spawned there.
    pub spawned: u64,
    /// Its tasks that ended.
    pub ended: u64,
    /// Of these, those that panicked or raised.
    pub panicked: u64,
    /// Of those that ended, the ones that were cancelled.
    pub cancelled: u64,
    /// Time inside its polls, in nanoseconds.
    pub busy_time: u64,
    /// Length of the longest poll.
    pub max_poll_time: u64,
    /// Its polls, by length.
    pub polls: Histogram,
    /// Wakes, coalesced ones counted singly.
    pub wakes: u64,
    /// Time between wakes and the polls they led to, in nanoseconds.
    pub scheduled_time: u64,
    /// The same, wake by wake; coalesced ones count once.
    pub delays: Histogram,
}

impl Cell {
    /// Adds one poll.
    pub fn add_poll(&mut self, length: u64) {
        self.busy_time = self.busy_time.saturating_add(length);
        self.max_poll_time = self.max_poll_time.max(length);
        self.polls.add(length);
    }

    /// Adds `count` wakes that led to one poll.
    pub fn add_wake(&mut self, delay: u64, count: u64) {
        self.wakes = self.wakes.saturating_add(count);
        self.scheduled_time = self.scheduled_time.saturating_add(delay);
        self.delays.add(delay);
    }

    /// Adds what another cell counted.
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.sums(), other.sums());
        self.set_sums(std::array::from_fn(|i| mine[i].saturating_add(theirs[i])));
        self.max_poll_time = self.max_poll_time.max(other.max_poll_time);
        self.polls.merge(&other.polls);
        self.delays.merge(&other.delays);
    }

    /// What adds up, in the order in which it is packed.
    const fn sums(&self) -> [u64; 7] {
        [
            self.spawned,
            self.ended,
            self.panicked,
            self.cancelled,
            self.busy_time,
            self.wakes,
            self.scheduled_time,
        ]
    }

    const fn set_sums(&mut self, sums: [u64; 7]) {
        [
            self.spawned,
            self.ended,
            self.panicked,
            self.cancelled,
            self.busy_time,
            self.wakes,
            self.scheduled_time,
        ] = sums;
    }
}

/// Packs the cells of one step, by location.
///
/// Per cell, as varints: the location, and the number of bytes that follow; then the seven sums in
/// the order of [`Cell`]'s fields, the longest poll, the number of bytes of the packed histogram of
/// polls and that, and the packed histogram of delays to the end.
pub fn encode<'c>(cells: impl IntoIterator<Item = (i64, &'c Cell)>) -> Vec<u8> {
    let (mut out, mut body, mut polls) = (Vec::new(), Vec::new(), Vec::new());
    for (location, cell) in cells {
        body.clear();
        polls.clear();
        cell.sums().into_iter().for_each(|sum| put_varint(&mut body, sum));
        put_varint(&mut body, cell.max_poll_time);
        cell.polls.encode(&mut polls);
        put_varint(&mut body, polls.len() as u64);
        body.extend_from_slice(&polls);
        cell.delays.encode(&mut body);
        put_varint(&mut out, location.cast_unsigned());
        put_varint(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
    }
    out
}

/// One step has no more locations: a program with thousands of places that spawn is already one whose
/// list nobody reads. Those beyond count for no place in particular, which is location 0.
pub const MAX_LOCATIONS: usize = 4_096;

/// Adds the packed cells of one step to those in `into`, of `only` this location or of all; no more
/// than [`MAX_LOCATIONS`]. `None` if the bytes are no such cells; then some may have been added.
#[must_use]
pub fn merge_packed(
    mut bytes: &[u8],
    only: Option<i64>,
    into: &mut BTreeMap<i64, Cell>,
) -> Option<()> {
    while !bytes.is_empty() {
        let location = take_varint(&mut bytes).ok()?.cast_signed();
        let length = usize::try_from(take_varint(&mut bytes).ok()?).ok()?;
        let (body, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        if only.is_none_or(|only| only == location) {
            let has_room = into.len() < MAX_LOCATIONS || into.contains_key(&location);
            let location = if has_room { location } else { 0 };
            merge_cell(body, into.entry(location).or_default())?;
        }
    }
    Some(())
}

fn merge_cell(mut bytes: &[u8], into: &mut Cell) -> Option<()> {
    let mut theirs = [0; 7];
    for sum in &mut theirs {
        *sum = take_varint(&mut bytes).ok()?;
    }
    let mine = into.sums();
    into.set_sums(std::array::from_fn(|i| mine[i].saturating_add(theirs[i])));
    into.max_poll_time = into.max_poll_time.max(take_varint(&mut bytes).ok()?);
    let length = usize::try_from(take_varint(&mut bytes).ok()?).ok()?;
    let (polls, delays) = bytes.split_at_checked(length)?;
    into.polls.merge_packed(polls)?;
    into.delays.merge_packed(delays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Cell> {
        let lengths = || proptest::collection::vec(0..1u64 << 36, 0..20);
        (lengths(), lengths(), any::<[u16; 4]>()).prop_map(|(polls, delays, ends)| {
            let [spawned, ended, panicked, cancelled] = ends.map(u64::from);
            let mut cell = Cell { spawned, ended, panicked, cancelled, ..Cell::default() };
            polls.into_iter().for_each(|length| cell.add_poll(length));
            delays.into_iter().for_each(|delay| cell.add_wake(delay, 2));
            cell
        })
    }

    fn cells() -> impl Strategy<Value = BTreeMap<i64, Cell>> {
        proptest::collection::btree_map(prop_oneof![0..5i64, any::<i64>()], cell(), 0..8)
    }

    fn packed(cells: &BTreeMap<i64, Cell>) -> Vec<u8> {
        encode(cells.iter().map(|(&location, cell)| (location, cell)))
    }

    proptest! {
        #[test]
        fn packed_cells_add_up_as_cells_do(one in cells(), other in cells()) {
            let mut merged = BTreeMap::new();
            for cells in [&one, &other] {
                prop_assert_eq!(merge_packed(&packed(cells), None, &mut merged), Some(()));
            }
            let mut expected = one;
            for (location, cell) in &other {
                expected.entry(*location).or_default().merge(cell);
            }
            prop_assert_eq!(merged, expected);
        }

        #[test]
        fn one_location_can_be_read_alone(cells in cells(), only in 0..5i64) {
            let mut found = BTreeMap::new();
            prop_assert_eq!(merge_packed(&packed(&cells), Some(only), &mut found), Some(()));
            prop_assert_eq!(found.get(&only), cells.get(&only));
            prop_assert!(found.len() <= 1);
        }

        #[test]
        fn bytes_that_are_no_cells_do_not_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = merge_packed(&bytes, None, &mut BTreeMap::new());
        }
    }
}
