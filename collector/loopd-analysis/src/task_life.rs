//! Where a task's life went: running, ready to run, waiting for this or that, or nobody knows.
//!
//! Pure sets of time. What is told twice counts once: a task that runs is not waiting, one that was
//! woken is no longer waiting, and one that waits for several things at once waits for none of them alone.

/// A stretch of time, from one instant up to another.
pub type Stretch = (i64, i64);

/// Stretches in order that do not touch each other, and how much time lies before each.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    list: Vec<Stretch>,
    /// Time in those before; one more than there are stretches.
    before: Vec<i64>,
}

impl Stretches {
    /// Puts stretches in order and together, and cuts off what is not within `bounds`.
    pub fn new(stretches: impl IntoIterator<Item = Stretch>, bounds: Stretch) -> Self {
        let clip = |(from, to): Stretch| (from.max(bounds.0), to.min(bounds.1));
        let mut list: Vec<Stretch> =
            stretches.into_iter().map(clip).filter(|(from, to)| from < to).collect();
        list.sort_unstable();
        list.dedup_by(|next, last| {
            let is_one = next.0 <= last.1;
            if is_one {
                last.1 = last.1.max(next.1);
            }
            is_one
        });
        Self::in_order(list)
    }

    fn in_order(list: Vec<Stretch>) -> Self {
        let mut before = Vec::with_capacity(list.len() + 1);
        let mut sum = 0i64;
        before.push(sum);
        for (from, to) in &list {
            sum = sum.saturating_add(to - from);
            before.push(sum);
        }
        Self { list, before }
    }

    /// What of these is not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut cuts = other.list.iter().peekable();
        for &(mut from, to) in &self.list {
            while cuts.next_if(|cut| cut.1 <= from).is_some() {}
            let mut next = cuts.clone();
            while let Some(cut) = next.next_if(|cut| cut.0 < to) {
                if cut.0 > from {
                    left.push((from, cut.0));
                }
                from = from.max(cut.1);
            }
            if from < to {
                left.push((from, to));
            }
        }
        Self::in_order(left)
    }

    /// How much of this time lies in a stretch.
    pub fn time_in(&self, (from, to): Stretch) -> u64 {
        if from >= to {
            return 0;
        }
        u64::try_from(self.until(to) - self.until(from)).unwrap_or(0)
    }

    /// All of it.
    pub fn time(&self) -> u64 {
        self.before.last().map_or(0, |&sum| u64::try_from(sum).unwrap_or(0))
    }

    /// How much of it lies before an instant.
    fn until(&self, at: i64) -> i64 {
        let begun = self.list.partition_point(|&(from, _)| from < at);
        let Some(last) = begun.checked_sub(1) else { return 0 };
        let (from, to) = self.list[last];
        self.before[last] + (at.min(to) - from)
    }
}

/// What is known of a stretch of a task's life.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The stretch.
    pub bounds: Stretch,
    /// When it was being polled.
    pub polls: Vec<Stretch>,
    /// From each wake to the poll that it led to; a wake may come within a poll.
    pub wakes: Vec<Stretch>,
    /// From the spawn to the first poll, if that is in the stretch.
    pub queued: Option<Stretch>,
    /// Each wait, with the number of what it waited for.
    pub waits: Vec<(Stretch, usize)>,
    /// How many numbers there are.
    pub kinds: usize,
    /// When records of it may have been lost.
    pub lost: Vec<Stretch>,
}

/// A stretch of a life by what the task did. All of it adds up to the length of the stretch.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// Being polled.
    pub running: Stretches,
    /// Woken, and not polled yet.
    pub ready: Stretches,
    /// Spawned, and not polled yet, without a wake that says so.
    pub queued: Stretches,
    /// Waiting for what is recorded.
    pub waiting: Stretches,
    /// Of that, for how long for one thing alone, by its number.
    pub for_one: Vec<u64>,
    /// And for several things at once.
    pub for_several: u64,
    /// Not known: records of that time were lost.
    pub lost: Stretches,
    /// Not running, as far as known; why is not recorded.
    pub unknown: Stretches,
    /// Neither running, ready nor queued: the time in which it can have waited.
    pub idle: Stretches,
}

/// Splits a stretch of a life.
pub fn split(known: Known) -> Split {
    let bounds = known.bounds;
    let all = Stretches::new([bounds], bounds);
    let running = Stretches::new(known.polls, bounds);
    let ready = Stretches::new(known.wakes, bounds).without(&running);
    let rest = all.without(&running).without(&ready);
    let not_queued = rest.without(&Stretches::new(known.queued, bounds));
    let queued = rest.without(&not_queued);
    let idle = not_queued;
    let (of_one, of_several) = pieces(known.waits, known.kinds);
    let time = |pieces: &[Stretch]| pieces.iter().map(|&piece| idle.time_in(piece)).sum();
    let for_one = of_one.iter().map(|pieces| time(pieces)).collect();
    let for_several = time(&of_several);
    let told = of_one.into_iter().flatten().chain(of_several);
    let untold = idle.without(&Stretches::new(told, bounds));
    let waiting = idle.without(&untold);
    let unknown = untold.without(&Stretches::new(known.lost, bounds));
    let lost = untold.without(&unknown);
    Split { running, ready, queued, waiting, for_one, for_several, lost, unknown, idle }
}

/// When each number alone was waited for, and when several were. No two pieces overlap.
fn pieces(waits: Vec<(Stretch, usize)>, kinds: usize) -> (Vec<Vec<Stretch>>, Vec<Stretch>) {
    let mut of_one = vec![Vec::new(); kinds];
    let mut of_several = Vec::new();
    let mut turns: Vec<(i64, usize, i32)> = Vec::with_capacity(2 * waits.len());
    for ((from, to), kind) in waits {
        if from < to && kind < kinds {
            turns.extend([(from, kind, 1), (to, kind, -1)]);
        }
    }
    turns.sort_unstable();
    let mut open = vec![0i32; kinds];
    let mut kinds_open = 0usize;
    for pair in turns.windows(2) {
        let (at, kind, turn) = pair[0];
        let was_open = open[kind] > 0;
        open[kind] += turn;
        match (was_open, open[kind] > 0) {
            (false, true) => kinds_open += 1,
            (true, false) => kinds_open -= 1,
            _ => {}
        }
        let piece = (at, pair[1].0);
        match kinds_open {
            _ if piece.0 >= piece.1 => {}
            0 => {}
            1 => {
                // The one that is open is most often the one that was just told of.
                let one =
                    if open[kind] > 0 { Some(kind) } else { open.iter().position(|&n| n > 0) };
                of_one[one.unwrap_or(kind)].push(piece);
            }
            _ => of_several.push(piece),
        }
    }
    (of_one, of_several)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `"poll 1-3, wake 5-8, wait0 0-9, queue 0-1, lost 4-9"` of a life from 0 to 10.
    fn known(script: &str) -> Known {
        let mut known = Known { bounds: (0, 10), kinds: 3, ..Known::default() };
        for part in script.split(", ") {
            let (what, range) = part.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let stretch = (from.parse().unwrap(), to.parse().unwrap());
            match what {
                "poll" => known.polls.push(stretch),
                "wake" => known.wakes.push(stretch),
                "queue" => known.queued = Some(stretch),
                "lost" => known.lost.push(stretch),
                wait => known.waits.push((stretch, wait[4..].parse().unwrap())),
            }
        }
        known
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let split = split(known(script));
        let mut parts = vec![
            ("running".to_owned(), split.running.time()),
            ("ready".to_owned(), split.ready.time()),
            ("queued".to_owned(), split.queued.time()),
        ];
        let waiting = split.for_one.iter().enumerate();
        parts.extend(waiting.map(|(kind, &time)| (format!("wait{kind}"), time)));
        parts.extend([
            ("several".to_owned(), split.for_several),
            ("lost".to_owned(), split.lost.time()),
            ("unknown".to_owned(), split.unknown.time()),
        ]);
        assert_eq!(parts.iter().map(|(_, time)| time).sum::<u64>(), 10, "{script}");
        let shown = parts.iter().filter(|(_, time)| *time > 0);
        let shown: Vec<_> = shown.map(|(name, time)| format!("{name} {time}")).collect();
        assert_eq!(shown.join(", "), expected, "{script}");
    }

    #[test]
    fn a_life_adds_up() {
        check("poll 1-3", "running 2, unknown 8");
        check("poll 1-3, poll 7-9, wake 5-7", "running 4, ready 2, unknown 4");
        check("poll 1-3, wait0 3-8", "running 2, wait0 5, unknown 3");
        check("queue 0-4, poll 4-5, wake 3-4", "running 1, ready 1, queued 3, unknown 5");
    }

    #[test]
    fn a_wake_within_a_poll_is_ready_only_after_it() {
        check("poll 1-4, wake 2-6, poll 6-7", "running 4, ready 2, unknown 4");
    }

    #[test]
    fn a_wait_that_is_polled_on_counts_only_while_nothing_runs() {
        check("wait1 0-10, poll 2-3, wake 5-6, poll 6-7", "running 2, ready 1, wait1 7");
    }

    #[test]
    fn what_is_waited_for_at_once_is_of_none_alone() {
        check("wait0 0-6, wait2 4-9", "wait0 4, wait2 3, several 2, unknown 1");
        check("wait0 0-6, wait0 4-9", "wait0 9, unknown 1");
        check("wait0 0-9, wait1 2-4, wait2 3-5", "wait0 6, several 3, unknown 1");
    }

    #[test]
    fn where_records_were_lost_nothing_else_is_said() {
        check("poll 1-2, wait0 2-5, lost 0-7", "running 1, wait0 3, lost 3, unknown 3");
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        check("poll 8-30, wait0 0-4", "running 2, wait0 4, unknown 4");
    }

    proptest! {
        #[test]
        fn sets_of_time_are_what_counting_instants_gives(
            a in proptest::collection::vec((0i64..60, 0i64..20), 0..12),
            b in proptest::collection::vec((0i64..60, 0i64..20), 0..12),
            range in (0i64..70, 0i64..70),
        ) {
            let bounds = (0, 64);
            let list = |of: &[(i64, i64)]| {
                of.iter().map(|&(from, length)| (from, from + length)).collect::<Vec<_>>()
            };
            let is_in = |of: &[Stretch], at: i64| of.iter().any(|&(from, to)| (from..to).contains(&at));
            let (a, b) = (list(&a), list(&b));
            let left = Stretches::new(a.clone(), bounds).without(&Stretches::new(b.clone(), bounds));
            let expected = (range.0..range.1.min(64)).filter(|&at| is_in(&a, at) && !is_in(&b, at));
            prop_assert_eq!(left.time_in(range), expected.count() as u64);
        }

        #[test]
        fn every_split_adds_up(
            polls in proptest::collection::vec((0i64..100, 1i64..10), 0..10),
            wakes in proptest::collection::vec((0i64..100, 1i64..10), 0..10),
            waits in proptest::collection::vec(((0i64..100, 1i64..40), 0usize..3), 0..10),
            lost in proptest::collection::vec((0i64..100, 1i64..10), 0..3),
        ) {
            let list = |of: &[(i64, i64)]| of.iter().map(|&(from, n)| (from, from + n)).collect();
            let split = split(Known {
                bounds: (0, 100),
                polls: list(&polls),
                wakes: list(&wakes),
                queued: Some((0, 5)),
                waits: waits.iter().map(|&((from, n), kind)| ((from, from + n), kind)).collect(),
                kinds: 3,
                lost: list(&lost),
            });
            let waiting = split.for_one.iter().sum::<u64>() + split.for_several;
            prop_assert_eq!(waiting, split.waiting.time());
            let rest = [&split.running, &split.ready, &split.queued, &split.lost, &split.unknown];
            prop_assert_eq!(waiting + rest.iter().map(|it| it.time()).sum::<u64>(), 100);
        }
    }
}
