//! What one commit adds to the roll-ups of a process.

use loopd_analysis::rollup::{Cell, STEPS, encode, step_of};

use super::crowd::Crowd;
use super::hash::IdMap;
use super::lane_spans::LaneSpans;
use super::roster::Roster;
use super::tasks::{ENDED_AT, SPAWNED_AT};
use crate::instant::{count, length, wall};
use loopd_model::{Nanos, TaskCounts};

/// One commit of a process adds no more cells than this, so that an agent that invents instants or
/// places costs no more memory: a thousand places for 40 s.
const MAX_CELLS: usize = 1 << 12;

/// What counters tell of a longer stretch than these steps take is rolled up of its end only: an hour.
const MAX_STEPS: i64 = 360;

/// Cells of level 0, by step and spawn location.
#[derive(Debug)]
pub(super) struct Rollups<'l> {
    /// By number in the crowd.
    locations: &'l [i64],
    near: Near,
    cells: Vec<Cell>,
    places: IdMap<(i64, i64), u32>,
    first: Option<i64>,
}

/// A row of the table of roll-ups.
#[derive(Debug)]
pub(super) struct RollupRow {
    pub(super) process: i64,
    pub(super) level: usize,
    pub(super) step: i64,
    pub(super) is_folded: bool,
    pub(super) cells: Vec<u8>,
}

impl<'l> Rollups<'l> {
    /// For a crowd whose numbers have these locations.
    pub(super) fn new(locations: &'l [i64]) -> Self {
        let near = Near::new(locations.len());
        Self { locations, near, cells: Vec::new(), places: IdMap::default(), first: None }
    }

    fn place(&mut self, step: i64, location: i64) -> usize {
        if let Some(&place) = self.places.get(&(step, location)) {
            return place as usize;
        }
        // What does not fit any more counts for no place in particular, in the first step.
        let first = *self.first.get_or_insert(step);
        let key = if self.cells.len() < MAX_CELLS { (step, location) } else { (first, 0) };
        let cells = &mut self.cells;
        let place = self.places.entry(key).or_insert_with(|| {
            cells.push(Cell::default());
            (cells.len() - 1) as u32
        });
        *place as usize
    }

    /// The cell of the task with this number at an instant.
    #[inline]
    fn near(&mut self, at: i64, slot: u32) -> usize {
        if !(self.near.step.0..self.near.step.1).contains(&at) {
            let length = STEPS[0];
            let from = step_of(0, at) * length;
            self.near.step = (from, from + length);
            self.near.stamp += 1;
        }
        let slot = slot as usize;
        let (stamp, place) = self.near.places[slot];
        if stamp == self.near.stamp {
            return place as usize;
        }
        let place = self.place(step_of(0, at), self.locations[slot]);
        self.near.places[slot] = (self.near.stamp, place as u32);
        place
    }

    /// Adds the spawns and ends of the crowd, but for callbacks: they only come and go with their loop.
    pub(super) fn add_lives(&mut self, crowd: &Crowd, roster: &Roster) {
        for (delta, &location) in crowd.deltas().iter().zip(self.locations) {
            if delta.is_callback() || roster.is_callback(delta.task()) {
                continue;
            }
            if delta.is_spawned() {
                let place = self.place(step_of(0, delta.get(SPAWNED_AT)), location);
                self.cells[place].spawned += 1;
            }
            if delta.is_ended() {
                let place = self.place(step_of(0, delta.get(ENDED_AT)), location);
                let cell = &mut self.cells[place];
                cell.ended += 1;
                cell.panicked += u64::from(delta.has_failed());
                cell.cancelled += u64::from(delta.was_cancelled());
            }
        }
    }

    /// Adds what counters tell of a stretch of time, evenly over it: which is no single poll and no single
    /// delay, so that the histograms stay as they are. A task is busy at most all of the time.
    ///
    /// After what has single instants: where no cell is left, this is left out.
    pub(super) fn add_counts(&mut self, slot: u32, (since, at): (i64, i64), counts: &TaskCounts) {
        let time = at.saturating_sub(since).max(1).unsigned_abs();
        let since = since.min(at.saturating_sub(1));
        let busy_time = (length(counts.busy_time) as u64).min(time);
        let sums = [busy_time, count(counts.wakes) as u64, length(counts.scheduled_time) as u64];
        // What was added up to an instant of the stretch.
        let by = |then: i64| {
            let part = u128::from(then.saturating_sub(since).max(0).unsigned_abs());
            sums.map(|sum| (u128::from(sum) * part / u128::from(time)) as u64)
        };
        let last = step_of(0, at - 1);
        for step in step_of(0, since).max(last - MAX_STEPS + 1)..=last {
            let (from, to) = ((step * STEPS[0]).max(since), ((step + 1) * STEPS[0]).min(at));
            let Some(place) = self.free_place(step, self.locations[slot as usize]) else { return };
            let (before, after) = (by(from), by(to));
            let [busy_time, wakes, scheduled_time] =
                std::array::from_fn(|i| after[i].saturating_sub(before[i]));
            let cell = &mut self.cells[place];
            cell.busy_time = cell.busy_time.saturating_add(busy_time);
            cell.wakes = cell.wakes.saturating_add(wakes);
            cell.scheduled_time = cell.scheduled_time.saturating_add(scheduled_time);
        }
    }

    /// The cell of a step and location, if there is one or there may be another.
    fn free_place(&mut self, step: i64, location: i64) -> Option<usize> {
        let is_here = self.places.contains_key(&(step, location));
        (is_here || self.cells.len() < MAX_CELLS).then(|| self.place(step, location))
    }

    pub(super) fn add_polls(&mut self, spans: &LaneSpans, origin: i64) {
        for ((&start, &nanos), &slot) in spans.start.iter().zip(&spans.length).zip(&spans.slot) {
            let place = self.near(wall(origin, Nanos(start)), slot);
            self.cells[place].add_poll(length(nanos) as u64);
        }
    }

    pub(super) fn add_wakes(&mut self, spans: &LaneSpans, origin: i64) {
        for (i, (&start, &slot)) in spans.start.iter().zip(&spans.slot).enumerate() {
            let place = self.near(wall(origin, Nanos(start)), slot);
            let wakes = spans.count.get(i).map_or(1, |&n| count(n) as u64);
            self.cells[place].add_wake(length(spans.length[i]) as u64, wakes);
        }
    }

    /// A row for each step.
    pub(super) fn into_rows(self, process: i64) -> Vec<RollupRow> {
        let Self { cells, places, .. } = self;
        let mut order: Vec<(i64, i64, u32)> =
            places.into_iter().map(|((step, location), place)| (step, location, place)).collect();
        order.sort_unstable();
        let steps = order.chunk_by(|a, b| a.0 == b.0);
        let row = |step: &[(i64, i64, u32)]| RollupRow {
            process,
            level: 0,
            step: step[0].0,
            is_folded: false,
            cells: encode(step.iter().map(|&(_, at, place)| (at, &cells[place as usize]))),
        };
        steps.map(row).collect()
    }
}

/// The places of cells that were looked up in the step of the last span.
#[derive(Debug)]
struct Near {
    /// The instants of the step, from and to.
    step: (i64, i64),
    /// Rises with every step.
    stamp: u32,
    /// By number in the crowd: the place, if the stamp is that of the step.
    places: Vec<(u32, u32)>,
}

impl Near {
    fn new(slots: usize) -> Self {
        Self { step: (0, 0), stamp: 0, places: vec![(0, 0); slots] }
    }
}
