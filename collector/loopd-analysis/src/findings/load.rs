//! How busy workers were, how long those who were woken waited for them, and when a reading was high for
//! long.
//!
//! Readings have no instants but their step, and an agent reads about once a second. So what is computed
//! from two of them is taken over several steps: over few it would be wrong by half.

use std::collections::BTreeMap;

use loopd_model::LoopId;

use crate::findings::{Facts, Series};
use crate::histogram::Histogram;

/// A worker that is busy for more of a stretch than this has no time left for a burst.
const SATURATED: f64 = 0.9;
/// Stretches over which shares are taken: a sixth of the range.
const WINDOW: usize = Facts::POINTS / 6;
/// Over fewer steps than these a share is too inexact.
const MIN_WINDOW: usize = WINDOW / 2;
/// Whoever is polled later than this after its wake may be noticed by who waits for an answer.
pub(super) const LATE: u64 = 10_000_000;
/// Of fewer wakes a 99th percentile says nothing.
pub(super) const MIN_WAKES: u64 = 100;

/// One worker over the range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// For how long its readings tell, in nanoseconds.
    pub(super) told_time: u64,
    /// Of that, in polls.
    pub(super) busy_time: u64,
    /// How long the stretches were in which it was saturated, in all.
    pub(super) saturated_time: u64,
}

impl Load {
    /// Busy for a long part of what is known: a quarter, and seconds rather than a burst.
    pub(super) const fn is_saturated(&self) -> bool {
        const MIN_TIME: u64 = 3_000_000_000;
        self.saturated_time >= MIN_TIME && self.saturated_time >= self.told_time / 4
    }
}

/// The readings of each worker's busy time, by loop: a counter in nanoseconds.
pub(super) fn busy_series(facts: &Facts) -> BTreeMap<LoopId, Vec<&Series>> {
    let mut loops: BTreeMap<LoopId, Vec<&Series>> = BTreeMap::new();
    for series in facts.metric("worker_busy_nanos") {
        loops.entry(series.loop_id).or_default().push(series);
    }
    let mut recorded: BTreeMap<LoopId, Vec<&Series>> = BTreeMap::new();
    for series in facts.busy.iter().filter(|series| !loops.contains_key(&series.loop_id)) {
        recorded.entry(series.loop_id).or_default().push(series);
    }
    loops.append(&mut recorded);
    loops
}

/// The load of each worker, by loop.
pub(super) fn loads(facts: &Facts) -> BTreeMap<LoopId, Vec<Load>> {
    let of = |series: Vec<&Series>| series.into_iter().map(|it| load(facts, it)).collect();
    busy_series(facts).into_iter().map(|(id, series)| (id, of(series))).collect()
}

/// How long a step is, in nanoseconds.
pub(super) fn step_time(facts: &Facts) -> u64 {
    facts.length() / Facts::POINTS as u64
}

/// Which share of the time between two told steps a worker was busy; `None` if they are not told.
pub(super) fn share(facts: &Facts, busy: &Series, from: usize, to: usize) -> Option<f64> {
    let told = |step: usize| busy.values.get(step).copied().flatten();
    let time = step_time(facts).saturating_mul(to.saturating_sub(from) as u64);
    Some((told(to)? - told(from)?).max(0.0) / time.max(1) as f64)
}

fn load(facts: &Facts, busy: &Series) -> Load {
    let told: Vec<usize> = (0..busy.values.len()).filter(|&i| busy.values[i].is_some()).collect();
    let mut load = Load { told_time: 0, busy_time: 0, saturated_time: 0 };
    let Some((&(mut from), &last)) = told.first().zip(told.last()) else { return load };
    for &to in &told {
        let steps = to - from;
        let is_rest = to == last && steps >= MIN_WINDOW;
        if steps < WINDOW && !is_rest {
            continue;
        }
        let Some(share) = share(facts, busy, from, to) else { continue };
        let time = step_time(facts).saturating_mul(steps as u64);
        load.told_time += time;
        load.busy_time += (share.min(1.0) * time as f64) as u64;
        load.saturated_time += if share > SATURATED { time } else { 0 };
        from = to;
    }
    load
}

/// How late polls came after their wakes, of all tasks together.
pub(super) fn wake_delays(facts: &Facts) -> Histogram {
    let mut delays = Histogram::default();
    facts.sites.iter().for_each(|site| delays.merge(&site.cell.delays));
    delays
}

/// The 99th percentile of these; `None` where too few wakes were seen to tell.
pub(super) fn wake_delay(facts: &Facts) -> Option<u64> {
    let delays = wake_delays(facts);
    (delays.count() >= MIN_WAKES).then(|| delays.quantile(0.99)).flatten()
}

/// So many readings one after the other are no moment: an agent reads about once a second.
const MIN_READINGS: usize = 3;

/// Stretches of steps, first and last, in which every reading told is so.
pub(super) fn stretches(
    values: &[Option<f64>],
    is_so: impl Fn(usize, f64) -> bool,
) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut stretch: Option<(usize, usize, usize)> = None;
    let told = values.iter().enumerate().filter_map(|(step, value)| Some((step, (*value)?)));
    for (step, value) in told {
        if is_so(step, value) {
            let (first, _, readings) = stretch.unwrap_or((step, step, 0));
            stretch = Some((first, step, readings + 1));
        } else {
            found.extend(stretch.take());
        }
    }
    found.extend(stretch);
    found.retain(|&(.., readings)| readings >= MIN_READINGS);
    found.into_iter().map(|(first, last, _)| (first, last)).collect()
}

/// What a loop is called in a sentence.
pub(super) fn loop_name(facts: &Facts, id: LoopId) -> String {
    let found = facts.loops.iter().find(|it| it.id == id);
    match found.map(|it| (it.name.as_str(), it.flavor.as_str())) {
        Some((name, _)) if !name.is_empty() => format!("loop `{name}`"),
        Some((_, flavor)) if !flavor.is_empty() => format!("the {flavor} loop"),
        _ => format!("loop {id}"),
    }
}

/// What a finding about a loop is about: its id would be another in the next run.
pub(super) fn loop_subject(facts: &Facts, id: LoopId) -> String {
    match facts.loops.iter().find(|it| it.id == id) {
        Some(it) if !it.name.is_empty() || !it.flavor.is_empty() => loop_name(facts, id),
        _ => "a loop".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;

    /// What readings at these steps, in seconds of busy time, say of a minute.
    fn of(readings: &[(usize, f64)]) -> Load {
        let mut values = vec![None; Facts::POINTS];
        readings.iter().for_each(|&(step, seconds)| values[step] = Some(seconds * 1e9));
        let facts = Facts { to: UnixNanos(60_000_000_000), ..Facts::default() };
        load(&facts, &Series { values, ..Series::default() })
    }

    #[test]
    fn a_worker_is_saturated_by_long_stretches_and_not_by_a_burst() {
        let steady: Vec<_> = (0..60).map(|step| (step, step as f64)).collect();
        assert!(of(&steady).is_saturated());
        let burst: Vec<_> = (0..60).map(|step| (step, step.min(8) as f64)).collect();
        assert!(!of(&burst).is_saturated());
        let half: Vec<_> = (0..60).map(|step| (step, step as f64 / 2.0)).collect();
        assert!(!of(&half).is_saturated());
        assert_eq!(of(&half).busy_time, 29_500_000_000);
    }

    #[test]
    fn of_a_few_readings_side_by_side_nothing_is_concluded() {
        assert_eq!(of(&[(3, 0.0), (4, 9.0)]).told_time, 0);
        assert_eq!(of(&[]).told_time, 0);
    }

    #[test]
    fn stretches_are_of_readings_one_after_the_other_whatever_is_not_told() {
        let values = [Some(1.0), None, Some(1.0), Some(1.0), Some(0.0), Some(1.0)];
        assert_eq!(stretches(&values, |_, value| value > 0.0), [(0, 3)]);
    }
}
