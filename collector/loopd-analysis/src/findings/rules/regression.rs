//! What a spawn location does has changed for the worse since before.

use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, SpawnSite, Verdict};
use crate::histogram::Histogram;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "regression", title: "Places that became slower or fail more often", check };

/// Of fewer lengths a 99th percentile is made by a handful of them, and chance moves it.
const MIN_LENGTHS: u64 = 500;
/// So many times as long is no change of load or of the machine's mood.
const MUCH: u64 = 2;
/// Polls that became longer by less than this are not felt.
const POLL_FELT: u64 = 1_000_000;
/// Polls that come later by less than this are not felt.
const DELAY_FELT: u64 = 5_000_000;
/// A second, or an hundredth of it in each of a hundred polls, is more than worth knowing.
const HARMFUL: u64 = 1_000_000_000;
/// So many times as many wakes are another load.
const LOAD_MUCH: f64 = 2.0;
/// So few panics come by chance.
const MIN_PANICS: f64 = 3.0;
/// Of fewer tasks a rate says nothing.
const MIN_SPAWNED: f64 = 100.0;
/// Load goes up and down; by so much it may be a loop that runs away, or one that is not reached.
const RATE_MUCH: f64 = 5.0;

fn check(facts: &Facts) -> Verdict {
    if facts.before.is_empty() {
        return Verdict::NotApplicable("there is nothing before to compare with");
    }
    let pairs = facts.sites.iter().filter_map(|now| Some((now, counterpart(facts, now)?)));
    Verdict::of(pairs.filter_map(|(now, before)| finding(facts, now, before)).collect())
}

fn counterpart<'f>(facts: &'f Facts, now: &SpawnSite) -> Option<&'f SpawnSite> {
    let is_same =
        |it: &&SpawnSite| it.location == now.location && it.is_callback == now.is_callback;
    facts.before.iter().find(is_same).filter(|it| it.location.is_some())
}

/// One thing that changed.
struct Change {
    level: Level,
    harm: u64,
    score: u8,
    /// What now is, and what was: `polls take up to 40 ms (p99), not 2 ms`.
    text: String,
}

fn finding(facts: &Facts, now: &SpawnSite, before: &SpawnSite) -> Option<Finding> {
    let mut changes: Vec<Change> = [
        longer(&now.cell.polls, &before.cell.polls, POLL_FELT, "polls take up to"),
        later(facts, now, before),
        panics(now, before),
        rate(facts, now, before),
    ]
    .into_iter()
    .flatten()
    .collect();
    changes.sort_by_key(|change| std::cmp::Reverse((change.level, change.score, change.harm)));
    let place = now.location.as_deref()?;
    let worst = changes.first()?;
    let than = match facts.before_name.as_str() {
        "" => "before",
        name => name,
    };
    let finding = Finding::new(RULE.id, place, worst.level)
        .at(Some(place))
        .harm(worst.harm)
        .at_least(worst.score)
        .confidence(Confidence::Likely)
        .title(format!("tasks spawned at `{place}`: {} in {than}", worst.text))
        .seen(now.cell.polls.count().max(1), facts.from, facts.to)
        .advice(
            "The same place did better before, so something changed: the code, the input, the load, or \
             what it shares with others.",
            "Compare the two on the timeline, and see what else was found in this range: what slows others \
             is told by its own line.",
        );
    let finding = changes.iter().fold(finding, |finding, it| finding.proof(it.text.clone(), None));
    let example = now.examples.first().map_or(Link::Page("tasks"), |&task| Link::Task(task));
    let text = format!(
        "{} polls now, {} then",
        count_text(now.cell.polls.count()),
        count_text(before.cell.polls.count()),
    );
    Some(finding.proof(text, Some(example)))
}

fn longer(now: &Histogram, before: &Histogram, felt: u64, what: &str) -> Option<Change> {
    if now.count().min(before.count()) < MIN_LENGTHS {
        return None;
    }
    let (long, was) = (now.quantile(0.99)?, before.quantile(0.99)?);
    let more = long.saturating_sub(was);
    if more < felt || long < was.saturating_mul(MUCH) {
        return None;
    }
    // At least the hundredth part of them is longer by that.
    let harm = more.saturating_mul(now.count() / 100);
    let level = if harm >= HARMFUL { Level::Warning } else { Level::Info };
    let text = format!("{what} {} (p99), not {} as", duration_text(long), duration_text(was));
    Some(Change { level, harm, score: 0, text })
}

/// More at once come later without anything being wrong: that is how a burst is served.
fn later(facts: &Facts, now: &SpawnSite, before: &SpawnSite) -> Option<Change> {
    let (delays, were) = (&now.cell.delays, &before.cell.delays);
    let change = longer(delays, were, DELAY_FELT, "polls come late by up to")?;
    let lengths = facts.length() as f64 / facts.before_length.max(1) as f64;
    let scale = if facts.before_length == 0 { 1.0 } else { lengths };
    let is_load = delays.count() as f64 > LOAD_MUCH * scale * were.count() as f64;
    Some(if is_load { Change { level: Level::Info, ..change } } else { change })
}

/// Against what as many tasks as ended would have had before.
fn panics(now: &SpawnSite, before: &SpawnSite) -> Option<Change> {
    let (failed, ended) = (now.cell.panicked as f64, now.cell.ended as f64);
    let expected = before.cell.panicked as f64 * ended / before.cell.ended.max(1) as f64;
    // Three standard deviations of a count that comes by chance.
    let is_more = failed >= expected + (3.0 * expected.sqrt()).max(MIN_PANICS);
    (is_more && failed >= MUCH as f64 * expected && before.cell.ended > 0).then(|| Change {
        level: Level::Warning,
        harm: 0,
        score: 40,
        text: format!(
            "{} of {} panicked or raised, not {} of {} as",
            count_text(now.cell.panicked),
            count_text(now.cell.ended),
            count_text(before.cell.panicked),
            count_text(before.cell.ended),
        ),
    })
}

fn rate(facts: &Facts, now: &SpawnSite, before: &SpawnSite) -> Option<Change> {
    let per_second = |count: u64, length: u64| count as f64 * 1e9 / length as f64;
    let (spawned, was) = (now.cell.spawned, before.cell.spawned);
    if facts.before_length == 0 || spawned.max(was) < MIN_SPAWNED as u64 {
        return None;
    }
    let rate = per_second(spawned, facts.length());
    let old = per_second(was, facts.before_length);
    // Where nothing was there is nothing to have become more.
    let is_other = was > 0 && (rate >= RATE_MUCH * old || rate * RATE_MUCH <= old);
    is_other.then(|| Change {
        level: Level::Info,
        harm: 0,
        score: 0,
        text: format!("{rate:.1} are spawned a second, not {old:.1} as"),
    })
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::{MS, check, site};

    const PLACE: &str = "shop/src/serve.rs:8";

    /// A minute after a minute.
    fn facts(now: SpawnSite, before: SpawnSite) -> Facts {
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            before_length: 60_000 * MS,
            before_name: "the minute before".into(),
            sites: vec![now],
            before: vec![before],
            ..Facts::default()
        }
    }

    fn polls(count: u64, length: u64) -> SpawnSite {
        site(PLACE, &[(count, length)], &[])
    }

    #[test]
    fn polls_that_became_longer_are_told() {
        let title = "polls take up to 40.4 ms (p99), not 2.02 ms as in the minute before";
        check(
            &RULE,
            &facts(polls(9_000, 40 * MS), polls(9_000, 2 * MS)),
            &[&format!("warning {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
        check(
            &RULE,
            &facts(polls(900, 40 * MS), polls(900, 2 * MS)),
            &[&format!("info {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
    }

    #[test]
    fn polls_that_come_later_are_told() {
        let delays = |delay| site(PLACE, &[], &[(9_000, delay)]);
        let title = "polls come late by up to 30.1 ms (p99), not 1.01 ms as in the minute before";
        check(
            &RULE,
            &facts(delays(30 * MS), delays(MS)),
            &[&format!("warning {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
        let fewer = site(PLACE, &[], &[(600, MS)]);
        check(
            &RULE,
            &facts(delays(30 * MS), fewer),
            &[&format!("info {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
    }

    #[test]
    fn too_few_to_tell_and_what_nobody_feels_are_fine() {
        check(&RULE, &facts(polls(90, 40 * MS), polls(9_000, 2 * MS)), &["ok"]);
        check(&RULE, &facts(polls(9_000, 9_000), polls(9_000, 1_000)), &["ok"]);
        check(&RULE, &facts(polls(9_000, 3 * MS), polls(9_000, 2 * MS)), &["ok"]);
        check(&RULE, &facts(polls(9_000, 2 * MS), polls(9_000, 40 * MS)), &["ok"]);
    }

    /// Of so many tasks so many panicked.
    fn ended(spawned: u64, panicked: u64) -> SpawnSite {
        let mut site = polls(0, 0);
        (site.cell.spawned, site.cell.ended, site.cell.panicked) = (spawned, spawned, panicked);
        site
    }

    #[test]
    fn more_panics_than_by_chance_are_told() {
        let title = "60 of 1,000 panicked or raised, not 4 of 1,000 as in the minute before";
        check(
            &RULE,
            &facts(ended(1_000, 60), ended(1_000, 4)),
            &[&format!("warning {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
        check(&RULE, &facts(ended(1_000, 9), ended(1_000, 5)), &["ok"]);
        check(&RULE, &facts(ended(1_000, 2), ended(1_000, 0)), &["ok"]);
    }

    #[test]
    fn another_rate_is_worth_knowing() {
        let title = "100.0 are spawned a second, not 10.0 as in the minute before";
        check(
            &RULE,
            &facts(ended(6_000, 0), ended(600, 0)),
            &[&format!("info {PLACE}: tasks spawned at `{PLACE}`: {title}")],
        );
        check(&RULE, &facts(ended(6_000, 0), ended(3_000, 0)), &["ok"]);
        check(&RULE, &facts(ended(60, 0), ended(6, 0)), &["ok"]);
    }

    #[test]
    fn without_a_before_there_is_nothing_to_compare_with() {
        let first = "not applicable: there is nothing before to compare with";
        check(&RULE, &Facts::default(), &[first]);
    }
}
