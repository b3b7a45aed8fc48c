//! Whose stack is due: a plain decision over what was seen, without a clock.
//!
//! A poll's stack is due at half the slow threshold, at the threshold, and then at ever doubled
//! ages: a poll that only just becomes slow has one, and one that hangs does not flood.

use std::collections::HashMap;

use crate::lane::RunningPoll;

/// Stacks asked for in one second, over all workers: what a program that blocks everywhere pays at
/// most.
const MAX_PER_SECOND: u32 = 20;
/// Of these for polls that already have one, so that the next worker to block finds some left.
const MAX_REPEATS_PER_SECOND: u32 = 10;

/// A poll that was running at a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Running {
    /// Which lane it runs on, by its place in the list of lanes.
    pub(super) lane: usize,
    /// On which thread.
    pub(super) tid: i32,
    /// The poll.
    pub(super) poll: RunningPoll,
    /// The part of a processor that the thread used since the last look, if known.
    pub(super) cpu_share: Option<f64>,
}

/// Who is watched, and how much may still be asked for.
#[derive(Default)]
pub(super) struct Due {
    /// The age at which the first stack of a poll is due, in ticks.
    first: u64,
    /// By lane, so there are no more than lanes.
    watched: HashMap<usize, Watched>,
    budget: Budget,
}

#[derive(Clone, Copy)]
struct Watched {
    /// Which poll, by when it began.
    started: u64,
    /// At which age its next stack is due, in ticks.
    due: u64,
    /// Stacks taken of it.
    stacks: u32,
}

impl Due {
    /// `first` is the age of the first stack, `second` the length of a second, in ticks.
    pub(super) fn set_pace(&mut self, first: u64, second: u64) {
        self.first = first;
        self.budget.second = second;
    }

    /// Whose stacks to take at this instant, in ticks, `room` at most: of those with the fewest so
    /// far first, and of these the one that has been running for the longest.
    pub(super) fn plan(&mut self, now: u64, running: &[Running], room: usize) -> Vec<Running> {
        let mut late: Vec<_> = running
            .iter()
            .map(|one| (self.watched(one), one))
            .filter(|(watched, one)| watched.due <= one.age(now))
            .collect();
        late.sort_by_key(|(watched, _)| (watched.stacks, watched.started));
        late.truncate(room);
        let budget = &mut self.budget;
        late.retain(|(watched, _)| budget.may_ask(now, watched.stacks > 0));
        late.into_iter().map(|(_, one)| *one).collect()
    }

    /// Ticks until the next stack is due; `None` if none is, other than those that are late.
    pub(super) fn next(&self, now: u64, running: &[Running]) -> Option<u64> {
        let left = running.iter().map(|one| self.watched(one).due.saturating_sub(one.age(now)));
        left.filter(|left| *left > 0).min()
    }

    /// The stack was taken, or could not be, at this instant: the next is due at a later age.
    pub(super) fn taken(&mut self, now: u64, one: &Running) {
        let mut watched = self.watched(one);
        watched.stacks += 1;
        while watched.due <= one.age(now) {
            watched.due = watched.due.saturating_mul(2).max(1);
        }
        self.watched.insert(one.lane, watched);
    }

    /// What is known of this poll.
    fn watched(&self, one: &Running) -> Watched {
        let known = self.watched.get(&one.lane).copied();
        known.filter(|watched| watched.started == one.poll.started).unwrap_or(Watched {
            started: one.poll.started,
            due: self.first,
            stacks: 0,
        })
    }
}

impl Running {
    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.poll.started)
    }
}

/// Stacks asked for, counted by the second.
#[derive(Default)]
struct Budget {
    /// Its length in ticks.
    second: u64,
    since: u64,
    asked: u32,
    repeated: u32,
}

impl Budget {
    fn may_ask(&mut self, now: u64, is_repeat: bool) -> bool {
        if now.saturating_sub(self.since) >= self.second {
            (self.since, self.asked, self.repeated) = (now, 0, 0);
        }
        let may =
            self.asked < MAX_PER_SECOND && !(is_repeat && self.repeated >= MAX_REPEATS_PER_SECOND);
        self.asked += u32::from(may);
        self.repeated += u32::from(may && is_repeat);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 50;
    const SECOND: u64 = 1_000;

    fn running(lane: usize, started: u64) -> Running {
        let poll = RunningPoll { started, task: lane as u64, loop_id: 1, worker: lane as u32 };
        Running { lane, tid: 1, poll, cpu_share: None }
    }

    /// Looks at each tick until `end`; when and of which lane stacks were taken.
    fn taken(running: &[Running], end: u64) -> Vec<(u64, usize)> {
        let mut due = Due::default();
        due.set_pace(FIRST, SECOND);
        let look = |now| {
            let plan = due.plan(now, running, 10);
            plan.iter().for_each(|one| due.taken(now, one));
            plan.into_iter().map(move |one| (now, one.lane))
        };
        (1_000..end).flat_map(look).collect()
    }

    #[test]
    fn stacks_are_due_at_half_the_threshold_and_at_doubled_ages() {
        let at: Vec<_> = taken(&[running(0, 1_000)], 2_000).into_iter().map(|(at, _)| at).collect();
        assert_eq!(at, [1_050, 1_100, 1_200, 1_400, 1_800]);
    }

    #[test]
    fn many_that_block_at_once_have_a_stack_each_before_one_has_two() {
        let all: Vec<_> = (0..50).map(|lane| running(lane, 1_000)).collect();
        let mut lanes: Vec<_> = taken(&all, 3_999).into_iter().map(|(_, lane)| lane).collect();
        assert_eq!(lanes.len(), 60);
        lanes.truncate(50);
        lanes.sort_unstable();
        assert_eq!(lanes, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_blocks_late_finds_room_among_many_that_hang() {
        let mut all: Vec<_> = (0..20).map(|lane| running(lane, 1_000)).collect();
        all.push(running(20, 2_900));
        assert!(taken(&all, 3_200).contains(&(2_950, 20)));
    }

    #[test]
    fn the_next_look_is_when_a_stack_is_due() {
        let mut due = Due::default();
        due.set_pace(FIRST, SECOND);
        let (old, young) = (running(0, 1_000), running(1, 1_040));
        assert_eq!(due.plan(1_045, &[old, young], 10), []);
        assert_eq!(due.next(1_045, &[old, young]), Some(5));
        assert_eq!(due.plan(1_050, &[old, young], 10), [old]);
        // What was not taken is still due; another poll on that lane is not.
        assert_eq!(due.next(1_050, &[old, young]), Some(40));
        assert_eq!(due.plan(1_060, &[old], 10), [old]);
        assert_eq!(due.plan(1_060, &[old], 0), []);
        assert_eq!(due.plan(1_060, &[running(0, 1_055)], 10), []);
        due.taken(1_060, &old);
        assert_eq!(due.next(1_060, &[old]), Some(40));
        assert_eq!(due.next(1_060, &[]), None);
    }
}
