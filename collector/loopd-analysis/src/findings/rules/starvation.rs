//! Tasks that are quick themselves wait long to be polled, and who keeps them waiting.

use std::cmp::Reverse;

use crate::findings::blocked::{Blocked, blocked};
use crate::findings::load::{self, LATE, MIN_WAKES};
use crate::findings::{Facts, Finding, Level, Link, Rule, SpawnSite, Verdict};
use crate::text::duration_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "starvation", title: "Tasks that wait long for a poll", check };

/// A task whose own polls are not this much shorter than its delays may have waited for its like.
const QUICK: u64 = 4;
/// Of the time of all polls, what those of one place must take to be who keeps the others waiting.
const MAJORITY: f64 = 0.5;
/// Of the time that tasks waited, what slow polls must have caused to be why.
const EXPLAINED: f64 = 0.5;
/// Where nobody knows who waited for slow polls: of the range, what they must take to be why. The
/// hundredth part makes a 99th percentile.
const NOTABLE: f64 = 0.01;

fn check(facts: &Facts) -> Verdict {
    if let Some(what) = facts.missing_all(&["schedule_latency", "wrapped", "steps", "tracing"]) {
        return Verdict::Needs(what);
    }
    let mut starved: Vec<_> = facts.sites.iter().filter(|site| is_starved(site)).collect();
    starved.sort_by_key(|site| Reverse(site.cell.scheduled_time));
    let slow = blocked(facts);
    let finding = match slow.first() {
        Some(worst) if explain(facts, &slow, &starved) => behind_slow_polls(facts, &starved, worst),
        _ => behind_busy_tasks(facts, &starved),
    };
    Verdict::of(finding.into_iter().collect())
}

/// How late the hundredth part of its polls comes.
fn delay(site: &SpawnSite) -> u64 {
    site.cell.delays.quantile(0.99).unwrap_or(0)
}

fn is_starved(site: &SpawnSite) -> bool {
    let own = site.cell.polls.quantile(0.99).unwrap_or(0);
    !site.is_callback
        && site.cell.delays.count() >= MIN_WAKES
        && delay(site) >= LATE
        && own.saturating_mul(QUICK) <= delay(site)
}

fn waited(starved: &[&SpawnSite]) -> u64 {
    starved.iter().fold(0, |sum, site| sum.saturating_add(site.cell.scheduled_time))
}

fn explain(facts: &Facts, slow: &[Blocked<'_>], starved: &[&SpawnSite]) -> bool {
    let caused: u64 = slow.iter().fold(0, |sum, it| sum.saturating_add(it.victims.delay));
    let total: u64 = slow.iter().fold(0, |sum, it| sum.saturating_add(it.site.total_time));
    let is_unwitnessed = slow.iter().any(|it| it.unwitnessed_time.is_some());
    caused as f64 >= EXPLAINED * waited(starved) as f64
        || (is_unwitnessed && total as f64 >= NOTABLE * facts.length() as f64)
}

fn behind_slow_polls(
    facts: &Facts,
    starved: &[&SpawnSite],
    worst: &Blocked<'_>,
) -> Option<Finding> {
    let place = worst.place();
    let first = starved.first()?;
    let finding = Finding::new(RULE.id, place, Level::Info)
        .title(format!(
            "tasks spawned at {} wait up to {} for a poll, mostly for the slow polls of `{place}`",
            location(first),
            duration_text(delay(first)),
        ))
        .advice(
            "They are quick themselves: what they wait for is that others let go of the worker.",
            worst.advice(),
        );
    let link = Some(Link::Page("slow"));
    Some(told(facts, finding, starved).proof(worst.who_waited(), link))
}

fn behind_busy_tasks(facts: &Facts, starved: &[&SpawnSite]) -> Option<Finding> {
    let is_saturated = load::loads(facts).values().flatten().any(load::Load::is_saturated);
    let total: u64 =
        facts.sites.iter().fold(0, |sum, site| sum.saturating_add(site.cell.busy_time));
    let busiest = facts.sites.iter().max_by_key(|site| site.cell.busy_time)?;
    let share = busiest.cell.busy_time as f64 / total.max(1) as f64;
    // One that waits for itself is not starved by others: the loop has too much to do, which is another
    // rule's.
    let others: Vec<_> = starved.iter().copied().filter(|&site| !is_same(site, busiest)).collect();
    let first = others.first()?;
    let is_quick = busiest.cell.polls.quantile(0.99).unwrap_or(0) < facts.slow_threshold.max(1);
    if !is_saturated || share < MAJORITY || !is_quick {
        return None;
    }
    let place = busiest.location.as_deref().unwrap_or("an unknown place");
    let finding = Finding::new(RULE.id, place, Level::Warning)
        .at(busiest.location.as_deref())
        .title(format!(
            "tasks spawned at {} wait up to {} for a poll, while those spawned at `{place}` take {:.0} % \
             of the busy time",
            location(first),
            duration_text(delay(first)),
            share * 100.0,
        ))
        .advice(
            "Hardly any of its polls is slow, but there are so many of them that the workers have no time left: \
             whoever is woken waits until all that were woken before have had their turn.",
            "Let these tasks wait for something rather than come back at once, make them fewer (a \
             semaphore, larger batches), or give them a runtime or a process of their own.",
        );
    let polls = busiest.cell.polls.count();
    let text = format!(
        "{} polls of tasks spawned at `{place}`, {} at the longest",
        crate::text::count_text(polls),
        duration_text(busiest.cell.max_poll_time)
    );
    let example = busiest.examples.first().map(|&task| Link::Task(task));
    Some(told(facts, finding, &others).proof(text, example))
}

fn is_same(site: &SpawnSite, other: &SpawnSite) -> bool {
    site.location == other.location && site.is_callback == other.is_callback
}

fn location(site: &SpawnSite) -> String {
    site.location.as_ref().map_or_else(|| "an unknown place".to_owned(), |at| format!("`{at}`"))
}

/// More of those who wait than these say the same.
const MAX_EVIDENCE: usize = 3;

fn told(facts: &Facts, finding: Finding, starved: &[&SpawnSite]) -> Finding {
    let polls: u64 = starved.iter().map(|site| site.cell.delays.count()).sum();
    let finding = finding.harm(waited(starved)).seen(polls, facts.from, facts.to);
    starved.iter().take(MAX_EVIDENCE).fold(finding, |finding, site| {
        let own = site.cell.polls.quantile(0.99).unwrap_or(0);
        let text = format!(
            "of tasks spawned at {} a hundredth of the polls came {} late or later, and took {}",
            location(site),
            duration_text(delay(site)),
            duration_text(own),
        );
        finding.proof(text, site.examples.first().map(|&task| Link::Task(task)))
    })
}

#[cfg(test)]
mod tests {
    use loopd_model::{Running, UnixNanos};

    use super::*;
    use crate::findings::Victims;
    use crate::findings::rules::tests::{MS, busy, check, covered, site, slow_poll};

    /// A minute in which handlers wait `delay` for their polls.
    fn facts(delay: u64) -> Facts {
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            coverage: covered(),
            slow_threshold: 100 * MS,
            sites: vec![
                site("shop/src/spin.rs:4", &[(50_000, MS)], &[(50_000, MS)]),
                site("shop/src/serve.rs:8", &[(1_000, MS / 10)], &[(1_000, delay)]),
            ],
            ..Facts::default()
        }
    }

    #[test]
    fn those_who_take_all_the_time_are_named() {
        let facts = Facts { busy: vec![busy(0.97)], ..facts(60 * MS) };
        check(
            &RULE,
            &facts,
            &[
                "warning shop/src/spin.rs:4: tasks spawned at `shop/src/serve.rs:8` wait up to 60.3 ms for a poll, while those spawned at `shop/src/spin.rs:4` take 100 % of the busy time",
            ],
        );
    }

    #[test]
    fn behind_slow_polls_it_is_another_rules() {
        let victims = Some(Victims { polls: 900, delay: 50_000 * MS });
        let slow_polls = vec![slow_poll(300 * MS, &[Running::OffCpu], victims)];
        check(
            &RULE,
            &Facts { slow_polls, ..facts(60 * MS) },
            &[
                "info shop/src/pay.rs:7: tasks spawned at `shop/src/serve.rs:8` wait up to 60.3 ms for a poll, mostly for the slow polls of `shop/src/pay.rs:7`",
            ],
        );
    }

    #[test]
    fn a_burst_in_an_idle_loop_and_a_busy_loop_that_keeps_up_are_fine() {
        check(&RULE, &Facts { busy: vec![busy(0.1)], ..facts(60 * MS) }, &["ok"]);
        check(&RULE, &Facts { busy: vec![busy(0.97)], ..facts(MS) }, &["ok"]);
    }

    #[test]
    fn those_who_wait_for_their_like_are_not_starved_by_others() {
        let only = site("shop/src/serve.rs:8", &[(50_000, MS)], &[(50_000, 60 * MS)]);
        let facts = Facts { busy: vec![busy(0.97)], sites: vec![only], ..facts(MS) };
        check(&RULE, &facts, &["ok"]);
    }

    #[test]
    fn without_wakes_it_cannot_be_known() {
        let facts = Facts { coverage: Vec::new(), ..facts(60 * MS) };
        let needs = "needs the layer `schedule_latency`, which this process does not record";
        check(&RULE, &facts, &[needs]);
    }
}
