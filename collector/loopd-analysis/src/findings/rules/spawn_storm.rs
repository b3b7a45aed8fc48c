//! Tasks are spawned by the thousand for work that is not worth a task.

use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, Snippet, SpawnSite, Verdict};
use crate::findings::{Series, load};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "spawn_storm", title: "Tasks too small to be tasks", check };

/// Fewer a second cost nothing to speak of.
const MIN_RATE: f64 = 1_000.0;
/// Of a worker's time, what spawning may take before it is wrong rather than worth knowing.
const FELT: f64 = 0.05;
/// Of what is told of the range, how long tasks must be spawned at that rate: bursts are fine.
const LASTING: f64 = 0.5;

fn check(facts: &Facts) -> Verdict {
    if let Some(what) = facts.missing_all(&["hooks", "wrapped", "steps"]) {
        return Verdict::Needs(what);
    }
    let tiny = facts.sites.iter().filter(|site| !site.is_callback && is_storm(facts, site));
    let lasts = lasts(facts);
    if lasts == Some(false) {
        return Verdict::Ok;
    }
    Verdict::of(tiny.map(|site| finding(facts, site, lasts.is_some())).collect())
}

/// About what it takes to make a task, queue it, wake a worker for it and free it, in nanoseconds.
const fn spawn_cost(runtime: Runtime) -> u64 {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop | Runtime::Unknown => 2_000,
        Runtime::Asyncio => 20_000,
    }
}

fn rate(facts: &Facts, site: &SpawnSite) -> f64 {
    site.cell.spawned as f64 * 1e9 / facts.length() as f64
}

/// What one task does in all its polls.
fn work(site: &SpawnSite) -> u64 {
    site.cell.busy_time / site.cell.spawned.max(1)
}

fn is_storm(facts: &Facts, site: &SpawnSite) -> bool {
    // Without polls nobody knows what they do, and one that waits for something is not tiny: it is worth a
    // task if it is polled again.
    let polls = site.cell.polls.count();
    rate(facts, site) >= MIN_RATE
        && polls > 0
        && polls <= site.cell.spawned.saturating_mul(3) / 2
        && work(site) < spawn_cost(facts.runtime)
}

/// Whether tasks are spawned all the time rather than in bursts; `None` if loops do not tell.
fn lasts(facts: &Facts) -> Option<bool> {
    let lasts = |series: &Series| {
        let told: Vec<(usize, f64)> =
            series.values.iter().enumerate().filter_map(|(i, it)| Some((i, (*it)?))).collect();
        let step = load::step_time(facts) as f64 / 1e9;
        let (mut high, mut all) = (0, 0);
        for pair in told.windows(2) {
            let steps = pair[1].0 - pair[0].0;
            all += steps;
            if pair[1].1 - pair[0].1 >= MIN_RATE * step * steps as f64 {
                high += steps;
            }
        }
        (all > 0).then_some(high as f64 >= LASTING * all as f64)
    };
    facts.metric("spawned_tasks").iter().filter_map(lasts).reduce(|one, other| one || other)
}

fn finding(facts: &Facts, site: &SpawnSite, is_lasting: bool) -> Finding {
    let place = site.location.as_deref().unwrap_or("an unknown place");
    let cost = site.cell.spawned.saturating_mul(spawn_cost(facts.runtime));
    let is_felt = cost as f64 >= FELT * facts.length() as f64;
    let level = if is_felt && is_lasting { Level::Warning } else { Level::Info };
    let confidence = if is_lasting { Confidence::Likely } else { Confidence::Possible };
    Finding::new(RULE.id, place, level)
        .at(site.location.as_deref())
        .harm(if level == Level::Warning { cost } else { 0 })
        .confidence(confidence)
        .title(format!(
            "{} tasks a second are spawned at `{place}` for {} of work each",
            count_text(rate(facts, site) as u64),
            duration_text(work(site)),
        ))
        .seen(site.cell.spawned, facts.from, facts.to)
        .proof(
            format!(
                "{} tasks were spawned in {}, and busy for {} in all",
                count_text(site.cell.spawned),
                duration_text(facts.length()),
                duration_text(site.cell.busy_time),
            ),
            site.examples.first().map(|&task| Link::Task(task)),
        )
        .proof(
            format!(
                "to make and end a task takes about {}: {} for these",
                duration_text(spawn_cost(facts.runtime)),
                duration_text(cost),
            ),
            None,
        )
        .advice(
            "To make, queue and free a task takes longer than what it does.",
            "Do the work where it is spawned, or give one task a batch of it; for work that waits in \
             between, keep a few tasks that take it from a channel or queue.",
        )
        .snippet(snippet(facts.words()))
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "for batch in orders.chunks(256) {\n    \
                   tasks.spawn(count_all(batch.to_vec())); // rather than one for each order\n}",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "for batch in orders.chunks(256) {\n    \
                   group.create_task(count_all(batch.to_vec()))?; // rather than one for each order\n}",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "for batch in itertools.batched(orders, 256):\n    \
                   group.create_task(count_all(batch))  # rather than one for each order",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::{MS, check, counter, covered, gauge, site};

    /// A minute in which so many tasks are spawned, of one poll of this length.
    fn facts(spawned: u64, poll: u64) -> Facts {
        let mut site = site("shop/src/count.rs:5", &[(1, poll)], &[]);
        (site.cell.spawned, site.cell.busy_time) = (spawned, spawned * poll);
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            runtime: Runtime::Tokio,
            coverage: covered(),
            metrics: [counter("spawned_tasks", spawned as f64)].into(),
            sites: vec![site],
            ..Facts::default()
        }
    }

    #[test]
    fn tasks_that_cost_more_than_they_do_are_told() {
        let place = "shop/src/count.rs:5";
        let title = format!("tasks a second are spawned at `{place}` for 300 ns of work each");
        let many = format!("warning {place}: 100,000 {title}");
        check(&RULE, &facts(6_000_000, 300), &[&many]);
        let some = format!("info {place}: 2,000 {title}");
        check(&RULE, &facts(120_000, 300), &[&some]);
    }

    #[test]
    fn a_burst_few_tasks_and_tasks_with_something_to_do_are_fine() {
        let burst = gauge("spawned_tasks", |step| if step < 9 { 0.0 } else { 6e6 });
        check(&RULE, &Facts { metrics: [burst].into(), ..facts(6_000_000, 300) }, &["ok"]);
        check(&RULE, &facts(6_000, 300), &["ok"]);
        check(&RULE, &facts(600_000, 30_000), &["ok"]);
    }

    #[test]
    fn where_bursts_cannot_be_told_it_is_possible() {
        let blind = Facts { metrics: Default::default(), ..facts(6_000_000, 300) };
        let place = "shop/src/count.rs:5";
        let title =
            format!("100,000 tasks a second are spawned at `{place}` for 300 ns of work each");
        check(&RULE, &blind, &[&format!("info {place}: {title}")]);
    }
}
