//! Who woke whom: from the poll that woke to the poll that was woken.

use std::collections::HashMap;

use super::lanes::LaneKey;
use super::sink::Track;

/// Wakes whose polls have not come yet. Beyond it, those that are overdue are forgotten.
const MAX_PENDING: usize = 1 << 16;

/// Connects wakes with polls, all of which come in order of time.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// The latest polls of each worker, innermost last: a poll may poll other tasks inside of it.
    running: HashMap<Track, Vec<Running>>,
    pending: HashMap<(LaneKey, i64), Pending>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    task: i64,
    end_at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    flow: Option<u64>,
    delay: i64,
    due_at: i64,
}

/// What led to a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// The flow that ends in it, if the poll that woke it was seen.
    pub(super) flow: Option<u64>,
    /// How long it had waited, in ns, if its wake was seen.
    pub(super) delay: Option<i64>,
}

impl Flows {
    /// A poll begins on a worker.
    pub(super) fn poll(
        &mut self,
        (track, lane): (Track, LaneKey),
        (start_at, length): (i64, i64),
        task: i64,
    ) -> Woken {
        let running = self.running.entry(track).or_default();
        running.retain(|poll| poll.end_at > start_at);
        running.push(Running { task, end_at: start_at.saturating_add(length) });
        let Some(pending) = self.pending.get(&(lane, task)) else { return Woken::default() };
        // An earlier poll of the task, which this wake did not lead to.
        if pending.due_at > start_at {
            return Woken::default();
        }
        let woken = Woken { flow: pending.flow, delay: Some(pending.delay) };
        self.pending.remove(&(lane, task));
        woken
    }

    /// A task is woken; its poll will come on `lane`. Gives the track on which it was woken and the
    /// flow that begins there, if the waker runs on one.
    pub(super) fn wake(
        &mut self,
        lane: LaneKey,
        (woken_at, delay): (i64, i64),
        task: i64,
        by_task: Option<i64>,
    ) -> Option<(Track, u64)> {
        let waker = by_task.and_then(|by_task| {
            let is_it = |poll: &Running| poll.task == by_task && poll.end_at >= woken_at;
            self.running.iter().find(|(_, polls)| polls.iter().any(is_it)).map(|(track, _)| *track)
        });
        let flow = waker.map(|track| {
            self.next += 1;
            (track, self.next)
        });
        let due_at = woken_at.saturating_add(delay);
        if self.pending.len() >= MAX_PENDING {
            self.pending.retain(|_, pending| pending.due_at > woken_at);
        }
        if self.pending.len() < MAX_PENDING {
            let pending = Pending { flow: flow.map(|(_, flow)| flow), delay, due_at };
            self.pending.insert((lane, task), pending);
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneKey = (1, 0);

    #[test]
    fn a_wake_leads_from_the_poll_it_came_from_to_the_poll_it_led_to() {
        let mut flows = Flows::default();
        assert_eq!(flows.poll((7, LANE), (0, 100), 1), Woken::default());
        assert_eq!(flows.wake(LANE, (50, 60), 2, Some(1)), Some((7, 1)));
        // Another task in between.
        assert_eq!(flows.poll((7, LANE), (100, 5), 3), Woken::default());
        assert_eq!(flows.poll((7, LANE), (110, 5), 2), Woken { flow: Some(1), delay: Some(60) });
        // Once.
        assert_eq!(flows.poll((7, LANE), (120, 5), 2), Woken::default());
    }

    #[test]
    fn a_wake_from_outside_has_a_delay_and_no_flow() {
        let mut flows = Flows::default();
        assert_eq!(flows.wake(LANE, (0, 10), 2, None), None);
        assert_eq!(flows.wake(LANE, (0, 10), 3, Some(9)), None);
        assert_eq!(flows.poll((7, LANE), (10, 5), 2), Woken { flow: None, delay: Some(10) });
        assert_eq!(flows.poll((7, LANE), (15, 5), 3), Woken { flow: None, delay: Some(10) });
    }

    #[test]
    fn a_poll_around_another_one_still_runs() {
        let mut flows = Flows::default();
        flows.poll((7, LANE), (0, 100), 1);
        flows.poll((7, LANE), (10, 5), 2);
        assert_eq!(flows.wake(LANE, (50, 60), 3, Some(1)), Some((7, 1)));
    }
}
