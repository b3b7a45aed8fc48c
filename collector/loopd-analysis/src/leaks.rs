//! Whether a population only ever grows. A judgement, made of counts over a window and the ages of
//! what is alive now; that capture was complete enough to judge is for the caller to know.

use loopd_model::UnixNanos;

/// How many of one kind (tasks of one spawn location, resources of one open location) were alive
/// over a window of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// How many were alive at evenly spaced instants; the last is the end of the window.
    pub counts: Vec<u64>,
    /// The length of the window, in nanoseconds.
    pub window: u64,
    /// Ages of what is alive at the end of the window, in nanoseconds; any order. May be a sample
    /// of them.
    pub ages: Vec<u64>,
}

/// What the counts of a population say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It grew all through the window and nothing says that it will stop.
    Growing,
    /// It is there, and does not grow.
    Steady,
    /// Nothing is alive, or it shrinks.
    Settled,
}

impl Verdict {
    /// The word for it in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Steady => "steady",
            Self::Settled => "settled",
        }
    }
}

/// A verdict and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Slope of the line of least squares through the counts, per minute.
    pub growth_per_min: f64,
    /// Age of the oldest; `None` when nothing is alive.
    pub oldest_age: Option<u64>,
    /// Age that half of them have reached; `None` when nothing is alive.
    pub median_age: Option<u64>,
}

/// Fewer than this are no leak yet: a handful of long-lived tasks is how programs are built.
const MIN_ALIVE: u64 = 5;
/// A population that ramped up and then stays has no growth in the second half of the window; one
/// that leaks has at least this share of its whole growth there.
const LATE_SHARE: f64 = 0.25;
/// What leaks is old: half of it has lived at least this share of the window. A service under
/// rising load has more of the young.
const OLD_SHARE: u64 = 8;

/// Judges one population.
///
/// It is **growing** if at least 5 are alive; the counts fell in no more than one step of eight; at
/// least a quarter of the growth, and at least two, came in the second half of the window; and half
/// of the living are at least an eighth of the window old. It is **settled** if nothing is alive or
/// there are fewer than at the start, and **steady** otherwise.
pub fn judge(population: &Population) -> Judgement {
    let mut ages = population.ages.clone();
    ages.sort_unstable();
    let median_age = ages.get(ages.len() / 2).copied();
    Judgement {
        verdict: verdict(population, median_age.unwrap_or(0)),
        growth_per_min: slope_per_min(population),
        oldest_age: ages.last().copied(),
        median_age,
    }
}

fn verdict(population: &Population, median_age: u64) -> Verdict {
    let counts = &population.counts;
    let (Some(&first), Some(&last)) = (counts.first(), counts.last()) else {
        return Verdict::Settled;
    };
    if last == 0 || last < first {
        return Verdict::Settled;
    }
    let steps = counts.windows(2);
    let falls = steps.clone().filter(|step| step[1] < step[0]).count();
    let middle = counts[counts.len() / 2];
    let late = last.saturating_sub(middle);
    let is_growing = last >= MIN_ALIVE
        && falls * 8 <= steps.len()
        && late >= 2
        && late as f64 >= LATE_SHARE * (last - first) as f64
        && median_age >= population.window / OLD_SHARE;
    if is_growing { Verdict::Growing } else { Verdict::Steady }
}

/// Least squares over (instant, count).
fn slope_per_min(population: &Population) -> f64 {
    let counts = &population.counts;
    if counts.len() < 2 || population.window == 0 {
        return 0.0;
    }
    let n = counts.len() as f64;
    let step_min = population.window as f64 / 60e9 / (n - 1.0);
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = counts.iter().sum::<u64>() as f64 / n;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (i, &count) in counts.iter().enumerate() {
        let x = i as f64 - mean_x;
        covariance += x * (count as f64 - mean_y);
        variance += x * x;
    }
    covariance / variance / step_min
}

/// When the window of a population began that was counted up to an instant.
pub fn window_start(to: UnixNanos, population: &Population) -> UnixNanos {
    UnixNanos(to.0.saturating_sub_unsigned(population.window))
}

/// Up to when a process lived normally: to its last instant, or until it began to shut down, which drops every
/// task and hides what had leaked. `loops` are when each opened and closed. A process has shut down if it has
/// ended, or if all its loops are closed; it began to with the first that closed after the last had opened,
/// since one that ran loops in turn lived on.
pub fn end_of_life(
    last_at: UnixNanos,
    has_ended: bool,
    loops: &[(Option<UnixNanos>, Option<UnixNanos>)],
) -> UnixNanos {
    let are_closed = !loops.is_empty() && loops.iter().all(|(_, closed)| closed.is_some());
    if !has_ended && !are_closed {
        return last_at;
    }
    let last_opened = loops.iter().filter_map(|(opened, _)| *opened).max();
    let closed = loops.iter().filter_map(|(_, closed)| *closed);
    let first = closed.filter(|&closed| last_opened.is_none_or(|opened| closed >= opened)).min();
    first.unwrap_or(last_at).min(last_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_ends_with_the_first_loop_that_closes_for_good() {
        let at = UnixNanos;
        let check = |has_ended, loops: &[(i64, Option<i64>)], expected| {
            let loops: Vec<_> =
                loops.iter().map(|&(opened, closed)| (Some(at(opened)), closed.map(at))).collect();
            assert_eq!(end_of_life(at(100), has_ended, &loops), at(expected), "{loops:?}");
        };
        check(false, &[], 100);
        check(true, &[], 100);
        check(false, &[(0, None)], 100);
        check(true, &[(0, None)], 100);
        check(true, &[(0, Some(80)), (5, Some(90))], 80);
        // Before its goodbye came.
        check(false, &[(0, Some(80)), (5, Some(90))], 80);
        check(false, &[(0, Some(80)), (5, None)], 100);
        // One loop after the other.
        check(true, &[(0, Some(10)), (20, Some(30)), (40, Some(50))], 50);
    }

    const MINUTE: u64 = 60_000_000_000;

    /// A window of eight minutes, and everything alive as old as `age_min` minutes.
    #[track_caller]
    fn check(counts: [u64; 9], age_min: u64, expected: Verdict) {
        let ages = vec![age_min * MINUTE; counts[8].min(50) as usize];
        let judgement = judge(&Population { counts: counts.to_vec(), window: 8 * MINUTE, ages });
        assert_eq!(judgement.verdict, expected, "{counts:?}: {judgement:?}");
    }

    #[test]
    fn what_grows_all_the_time_is_growing() {
        check([0, 10, 20, 30, 40, 50, 60, 70, 80], 4, Verdict::Growing);
        check([100, 101, 101, 102, 103, 103, 104, 104, 105], 6, Verdict::Growing);
    }

    #[test]
    fn one_step_back_does_not_hide_a_leak() {
        check([0, 10, 20, 30, 28, 50, 60, 70, 80], 4, Verdict::Growing);
    }

    #[test]
    fn a_pool_that_filled_up_and_stays_is_steady() {
        check([0, 20, 40, 50, 50, 50, 50, 50, 50], 7, Verdict::Steady);
        check([0, 30, 45, 48, 49, 50, 50, 50, 50], 7, Verdict::Steady);
    }

    #[test]
    fn rising_load_of_short_tasks_is_steady() {
        check([0, 10, 20, 30, 40, 50, 60, 70, 80], 0, Verdict::Steady);
    }

    #[test]
    fn a_handful_of_long_lived_tasks_is_steady() {
        check([0, 1, 1, 2, 2, 3, 3, 4, 4], 5, Verdict::Steady);
    }

    #[test]
    fn what_goes_up_and_down_is_steady() {
        check([5, 40, 10, 60, 5, 50, 20, 70, 30], 3, Verdict::Steady);
    }

    #[test]
    fn what_is_gone_or_shrinks_is_settled() {
        check([9, 8, 7, 6, 5, 4, 3, 2, 0], 5, Verdict::Settled);
        check([90, 80, 70, 60, 50, 40, 30, 20, 10], 5, Verdict::Settled);
    }

    #[test]
    fn growth_is_per_minute() {
        let counts = vec![0, 10, 20, 30, 40];
        let judgement = judge(&Population { counts, window: 4 * MINUTE, ages: vec![1, 9, 5] });
        assert!((judgement.growth_per_min - 10.0).abs() < 1e-9);
        assert_eq!((judgement.oldest_age, judgement.median_age), (Some(9), Some(5)));
    }

    #[test]
    fn nothing_known_is_settled() {
        assert_eq!(judge(&Population::default()).verdict, Verdict::Settled);
    }
}
