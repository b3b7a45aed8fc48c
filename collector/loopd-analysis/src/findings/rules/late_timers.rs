//! Timers fire, but what they call runs late.

use std::cmp::Reverse;

use loopd_model::RecordKind;

use crate::findings::blocked::blocked;
use crate::findings::load::{self, LATE, MIN_WAKES};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Loop, Rule, SpawnSite, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "late_timers", title: "Timers and callbacks that run late", check };

fn check(facts: &Facts) -> Verdict {
    let has_event_loop = facts.loops.iter().any(Loop::is_event_loop);
    if facts.runtime != Runtime::Asyncio && !has_event_loop {
        let what = "when each timer was due, which this agent does not tell";
        return Verdict::Needs(what.into());
    }
    let mut late: Vec<_> = facts.sites.iter().filter(|site| is_late(site)).collect();
    late.sort_by_key(|site| Reverse(site.cell.scheduled_time));
    match finding(facts, &late) {
        Some(found) => Verdict::Found(vec![found]),
        None => unmeasured(facts, has_event_loop).map_or(Verdict::Ok, Verdict::Needs),
    }
}

/// Why some may have been late unseen. An `EventLoop` tells how late they are with what woke each step.
fn unmeasured(facts: &Facts, has_event_loop: bool) -> Option<String> {
    let of_asyncio = (facts.runtime == Runtime::Asyncio).then(|| facts.missing("callbacks"));
    let of_event_loop = || {
        let is_lost = facts.has_lost(RecordKind::Wake);
        let lost = || is_lost.then(|| "how late each timer was, of which records were lost".into());
        facts.missing("wrapped").or_else(lost)
    };
    of_asyncio.flatten().or_else(|| has_event_loop.then(of_event_loop).flatten())
}

fn delay(site: &SpawnSite) -> u64 {
    site.cell.delays.quantile(0.99).unwrap_or(0)
}

fn is_late(site: &SpawnSite) -> bool {
    site.is_callback && site.cell.delays.count() >= MIN_WAKES && delay(site) >= LATE
}

/// More callbacks than these say the same.
const MAX_EVIDENCE: usize = 3;

fn finding(facts: &Facts, late: &[&SpawnSite]) -> Option<Finding> {
    let worst = late.first()?;
    let place = worst.location.as_deref().unwrap_or("an unknown place");
    let waited = late.iter().fold(0u64, |sum, it| sum.saturating_add(it.cell.scheduled_time));
    let slow = blocked(facts);
    let is_saturated = load::loads(facts).values().flatten().any(load::Load::is_saturated);
    // Many callbacks that are due at once are late by each other, and that is how a burst is served. Slow
    // polls are told by their own rules.
    let (level, confidence) = match (slow.is_empty(), is_saturated) {
        (true, true) => (Level::Warning, Confidence::Certain),
        (true, false) => (Level::Info, Confidence::Possible),
        (false, _) => (Level::Info, Confidence::Likely),
    };
    let runs: u64 = late.iter().map(|site| site.cell.delays.count()).sum();
    let mut finding = Finding::new(RULE.id, place, level)
        .at(worst.location.as_deref())
        .harm(if level == Level::Warning { waited } else { 0 })
        .confidence(confidence)
        .title(format!("callbacks at `{place}` run up to {} late (p99)", duration_text(delay(worst))))
        .seen(runs, facts.from, facts.to)
        .advice(
            "A timer only puts its callback into the queue of the loop: it runs when all that came before \
             has run, so that timeouts come late, and periods drift.",
            match slow.first() {
                Some(cause) => format!("Mend the slow polls first, above all of `{}`.", cause.place()),
                None => "Give the loop less to do at once, spread timers that are due at the same time \
                         (add a random part to their delay), and compute the next instant of a period from \
                         the last that was meant rather than from now."
                    .to_owned(),
            },
        );
    for site in late.iter().take(MAX_EVIDENCE) {
        let text = format!(
            "`{}`: of {} runs half came {} late or later, a hundredth {}",
            site.location.as_deref().unwrap_or("an unknown place"),
            count_text(site.cell.delays.count()),
            duration_text(site.cell.delays.quantile(0.5).unwrap_or(0)),
            duration_text(delay(site)),
        );
        finding = finding.proof(text, site.examples.first().map(|&task| Link::Task(task)));
    }
    if let Some(cause) = slow.first() {
        let text = format!("slow polls of `{}`: {}", cause.place(), cause.who_waited());
        finding = finding.proof(text, Some(Link::Page("slow")));
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, EVENT_LOOP_FLAVOR, Running, UnixNanos};

    use super::*;
    use crate::findings::Lost;
    use crate::findings::rules::tests::{MS, busy, check, covered, site, slow_poll};

    /// A minute of a loop that is so busy, with timers so late.
    fn facts(share: f64, delay: u64) -> Facts {
        let timers = site("shop/app.py:8", &[(900, MS)], &[(900, delay)]);
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            runtime: Runtime::Asyncio,
            coverage: covered(),
            busy: vec![busy(share)],
            sites: vec![SpawnSite { is_callback: true, ..timers }],
            ..Facts::default()
        }
    }

    const LATE_BY: &str =
        "shop/app.py:8: callbacks at `shop/app.py:8` run up to 80.7 ms late (p99)";

    #[test]
    fn timers_that_a_busy_loop_runs_late_are_told() {
        check(&RULE, &facts(0.98, 80 * MS), &[&format!("warning {LATE_BY}")]);
    }

    #[test]
    fn behind_slow_polls_or_in_a_burst_it_is_worth_knowing_only() {
        let slow_polls = vec![slow_poll(300 * MS, &[Running::OffCpu], None)];
        let behind = Facts { slow_polls, ..facts(0.98, 80 * MS) };
        check(&RULE, &behind, &[&format!("info {LATE_BY}")]);
        check(&RULE, &facts(0.2, 80 * MS), &[&format!("info {LATE_BY}")]);
    }

    #[test]
    fn timers_in_time_are_fine() {
        check(&RULE, &facts(0.98, 2 * MS), &["ok"]);
        let mut tasks = facts(0.98, 80 * MS);
        tasks.sites[0].is_callback = false;
        check(&RULE, &tasks, &["ok"]);
    }

    #[test]
    fn instants_that_were_meant_are_needed() {
        let rust = Facts { runtime: Runtime::Tokio, ..facts(0.98, 80 * MS) };
        let needs = "needs when each timer was due, which this agent does not tell";
        check(&RULE, &rust, &[needs]);
    }

    #[test]
    fn an_event_loop_in_rust_tells_them() {
        let event_loop = Loop { flavor: EVENT_LOOP_FLAVOR.into(), ..Loop::default() };
        let rust = Facts {
            runtime: Runtime::Tokio,
            coverage: Vec::new(),
            loops: vec![event_loop],
            ..facts(0.98, 80 * MS)
        };
        check(&RULE, &rust, &[&format!("warning {LATE_BY}")]);
    }

    #[test]
    fn where_nothing_was_measured_it_does_not_say_that_all_is_well() {
        let event_loop = Loop { flavor: EVENT_LOOP_FLAVOR.into(), ..Loop::default() };
        let mut rust =
            Facts { runtime: Runtime::Tokio, loops: vec![event_loop], ..facts(0.98, 2 * MS) };
        check(&RULE, &rust, &["ok"]);
        rust.losses = vec![Lost {
            kind: Some(RecordKind::Wake),
            cause: DropCause::RingFull,
            count: 3,
            from: UnixNanos(0),
            to: UnixNanos(1),
        }];
        check(&RULE, &rust, &["needs how late each timer was, of which records were lost"]);
        rust.coverage.retain(|it| it.layer != "wrapped");
        let needs = "which this process does not record";
        check(&RULE, &rust, &[&format!("needs the layer `wrapped`, {needs}")]);
        // An asyncio loop beside it is asked for its own.
        rust.runtime = Runtime::Asyncio;
        rust.coverage.retain(|it| it.layer != "callbacks");
        check(&RULE, &rust, &[&format!("needs the layer `callbacks`, {needs}")]);
    }
}
