//! Two ranges side by side, of one process or of two: what the places of the program did in each, and what
//! was found in one and not in the other.
//!
//! Places are known again by file and line. A line that moved between two versions is a place that went and
//! one that came: nothing is guessed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::capture::Capture;
use crate::findings::{Facts, Finding, SpawnSite, analyse};

/// What the tasks of one spawn location did in a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Tasks spawned a minute.
    pub spawned_per_min: f64,
    /// Polls a second; `None` where single polls are not captured.
    pub polls_per_sec: Option<f64>,
    /// Time inside polls, as a share of the range: 1 keeps one worker busy.
    pub busy_share: f64,
    /// Length that half of the polls do not exceed, in nanoseconds; `None` without polls.
    pub poll_p50: Option<u64>,
    /// Length that 99 of 100 polls do not exceed.
    pub poll_p99: Option<u64>,
    /// The longest poll; `None` where single polls are not captured.
    pub poll_max: Option<u64>,
    /// Time from wake to poll that 99 of 100 do not exceed; `None` where no wakes were seen.
    pub wake_p99: Option<u64>,
    /// Tasks that panicked or raised; `None` where it is not captured how tasks end.
    pub failed: Option<u64>,
}

/// One spawn location in both ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteRow {
    /// `file:line`.
    pub location: String,
    /// Whether it is where a callback is defined.
    pub is_callback: bool,
    /// In the first range; `None` if nothing of it ran there.
    pub a: Option<Figures>,
    /// In the second.
    pub b: Option<Figures>,
}

/// What is different between two ranges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Places that became slower, fail more often, or run far more or less often: findings of the second
    /// range against the first.
    pub changes: Vec<Finding>,
    /// Found in the second range only.
    pub new: Vec<Finding>,
    /// Found in the first range only.
    pub gone: Vec<Finding>,
    /// Found in both: as in the first, and as in the second.
    pub lasting: Vec<(Finding, Finding)>,
    /// Every place: those whose share of busy time differs most come first.
    pub sites: Vec<SiteRow>,
}

/// The rule that tells changes.
const REGRESSION: &str = "regression";

/// Compares what is known of two ranges, of which the first counts as before.
pub fn compare(a: &Facts, b: &Facts, name_of_a: &str) -> Comparison {
    let against_a = Facts {
        before: a.sites.clone(),
        before_length: a.length(),
        before_name: name_of_a.to_owned(),
        ..b.clone()
    };
    let alone = Facts { before: Vec::new(), ..a.clone() };
    let key = |it: &Finding| (it.rule, it.subject.clone());
    let mut before: BTreeMap<_, Finding> =
        analyse(&alone).findings.into_iter().map(|it| (key(&it), it)).collect();
    let mut comparison = Comparison { sites: sites(a, b), ..Comparison::default() };
    for it in analyse(&against_a).findings {
        match before.remove(&key(&it)) {
            _ if it.rule == REGRESSION => comparison.changes.push(it),
            Some(was) => comparison.lasting.push((was, it)),
            None => comparison.new.push(it),
        }
    }
    comparison.gone = before.into_values().collect();
    comparison.gone.sort_by_key(|it| Reverse((it.level, it.score, it.harm)));
    comparison
}

fn sites(a: &Facts, b: &Facts) -> Vec<SiteRow> {
    let mut rows: BTreeMap<(String, bool), SiteRow> = BTreeMap::new();
    for (facts, is_first) in [(a, true), (b, false)] {
        for site in &facts.sites {
            let Some(location) = &site.location else { continue };
            let row = rows.entry((location.clone(), site.is_callback)).or_insert_with(|| SiteRow {
                location: location.clone(),
                is_callback: site.is_callback,
                a: None,
                b: None,
            });
            let figures = Some(Figures::of(site, facts));
            if is_first { row.a = figures } else { row.b = figures }
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by(|x, y| y.difference().total_cmp(&x.difference()));
    rows
}

impl SiteRow {
    /// By how much the shares of busy time differ.
    fn difference(&self) -> f64 {
        let share = |figures: Option<Figures>| figures.map_or(0.0, |it| it.busy_share);
        (share(self.a) - share(self.b)).abs()
    }
}

impl Figures {
    fn of(site: &SpawnSite, facts: &Facts) -> Self {
        let length = facts.length();
        let (cell, seconds) = (&site.cell, length as f64 / 1e9);
        let is_captured = facts.capture == Capture::Records;
        Self {
            spawned_per_min: cell.spawned as f64 * 60.0 / seconds,
            polls_per_sec: is_captured.then(|| cell.polls.count() as f64 / seconds),
            busy_share: cell.busy_time as f64 / length as f64,
            poll_p50: cell.polls.quantile(0.5),
            poll_p99: cell.polls.quantile(0.99),
            poll_max: is_captured.then_some(cell.max_poll_time),
            wake_p99: cell.delays.quantile(0.99),
            failed: is_captured.then_some(cell.panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, UnixNanos};

    use super::*;
    use crate::findings::Lost;

    const MINUTE: i64 = 60_000_000_000;

    fn facts(polls: u64, length: u64) -> Facts {
        let mut site =
            SpawnSite { location: Some("shop/src/serve.rs:8".into()), ..SpawnSite::default() };
        site.cell.spawned = polls;
        (0..polls).for_each(|_| site.cell.add_poll(length));
        Facts { to: UnixNanos(MINUTE), sites: vec![site], ..Facts::default() }
    }

    #[test]
    fn a_place_that_became_slower_is_a_change_and_its_figures_stand_side_by_side() {
        let (a, b) = (facts(9_000, 2_000_000), facts(9_000, 4_000_000));
        let comparison = compare(&a, &b, "version 1");
        let titles: Vec<_> = comparison.changes.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "tasks spawned at `shop/src/serve.rs:8`: polls take up to 4.03 ms (p99), not 2.02 ms as \
              in version 1"
            ]
        );
        let [row] = &comparison.sites[..] else { panic!("{comparison:?}") };
        let (a, b) = (row.a.unwrap(), row.b.unwrap());
        assert_eq!((a.busy_share, b.busy_share), (0.3, 0.6));
        assert_eq!((a.spawned_per_min, a.polls_per_sec), (9_000.0, Some(150.0)));
        assert_eq!((a.poll_max, b.poll_max), (Some(2_000_000), Some(4_000_000)));
        assert_eq!(a.wake_p99, None);
        let nothing = compare(&facts(9_000, 2_000_000), &facts(9_000, 2_000_000), "before");
        assert_eq!(nothing.changes, []);
    }

    #[test]
    fn what_snapshots_do_not_carry_is_not_zero() {
        let mut b = facts(0, 0);
        b.capture = Capture::ConsoleSnapshots;
        b.sites[0].cell.busy_time = 6_000_000_000;
        let comparison = compare(&facts(10, 1_000), &b, "before");
        let row = &comparison.sites[0];
        let (a, b) = (row.a.unwrap(), row.b.unwrap());
        assert_eq!((b.polls_per_sec, b.poll_max, b.failed, b.busy_share), (None, None, None, 0.1));
        assert_eq!((a.poll_max, a.failed), (Some(1_000), Some(0)));
    }

    #[test]
    fn what_was_found_in_one_range_only_is_new_or_gone() {
        let (quiet, mut lossy) = (facts(10, 1_000), facts(10, 1_000));
        lossy.losses.push(Lost {
            kind: None,
            cause: DropCause::RingFull,
            count: 3,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        let rules = |findings: &[Finding]| findings.iter().map(|it| it.rule).collect::<Vec<_>>();
        let worse = compare(&quiet, &lossy, "before");
        assert_eq!((rules(&worse.new), rules(&worse.gone)), (vec!["capture_incomplete"], vec![]));
        let better = compare(&lossy, &quiet, "before");
        assert_eq!((rules(&better.new), rules(&better.gone)), (vec![], vec!["capture_incomplete"]));
        let same = compare(&lossy, &lossy, "before");
        assert_eq!((same.new.len(), same.gone.len(), same.lasting.len()), (0, 0, 1));
    }

    #[test]
    fn a_place_of_one_range_only_has_no_figures_in_the_other() {
        let mut other = facts(10, 1_000_000);
        other.sites[0].location = Some("shop/src/serve.rs:9".into());
        let rows = compare(&facts(10, 1_000), &other, "before").sites;
        let seen: Vec<_> =
            rows.iter().map(|it| (it.location.as_str(), it.a.is_some(), it.b.is_some())).collect();
        assert_eq!(
            seen,
            [("shop/src/serve.rs:9", false, true), ("shop/src/serve.rs:8", true, false)]
        );
    }
}
