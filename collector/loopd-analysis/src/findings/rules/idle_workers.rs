//! Tasks wait in queues while workers that could take them sleep.

use std::collections::BTreeSet;

use loopd_model::LoopId;

use crate::findings::load::{self, LATE};
use crate::findings::{Confidence, Facts, Finding, Level, Rule, Series, Verdict};
use crate::runtime::Runtime;
use crate::text::duration_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "idle_workers", title: "Workers that idle while tasks wait", check };

/// So many tasks that wait at each reading are no chance: between two polls a few always do.
const MIN_DEPTH: f64 = 16.0;
/// A worker that is busy for less than this share meanwhile had time for them.
const IDLE: f64 = 0.5;

fn check(facts: &Facts) -> Verdict {
    if facts.runtime == Runtime::Asyncio {
        return Verdict::NotApplicable("each loop has one worker");
    }
    if let Some(what) = facts.missing("metrics") {
        return Verdict::Needs(what);
    }
    let loops = load::busy_series(facts);
    let mut found = Vec::new();
    for (&id, workers) in loops.iter().filter(|(_, workers)| workers.len() > 1) {
        found.extend(finding(facts, id, workers));
    }
    let has_none = facts.loops.iter().all(|it| it.workers <= 1) && found.is_empty();
    match has_none && !loops.values().any(|workers| workers.len() > 1) {
        true => Verdict::NotApplicable("no loop has more than one worker"),
        false => Verdict::of(found),
    }
}

fn finding(facts: &Facts, id: LoopId, workers: &[&Series]) -> Option<Finding> {
    let depths = depths(facts, id);
    let (mut time, mut waited, mut stretches, mut idle) = (0u64, 0.0, 0, BTreeSet::new());
    let (mut first, mut last) = (usize::MAX, 0);
    for (from, to) in load::stretches(&depths, |_, depth| depth >= MIN_DEPTH) {
        let asleep = workers.iter().filter(|worker| {
            load::share(facts, worker, from, to).is_some_and(|share| share < IDLE)
        });
        let asleep: BTreeSet<_> = asleep.filter_map(|worker| worker.worker).collect();
        if asleep.is_empty() {
            continue;
        }
        let step = load::step_time(facts);
        let told = depths[from..=to].iter().flatten();
        let mean = told.clone().sum::<f64>() / told.count().max(1) as f64;
        let length = step.saturating_mul((to - from) as u64);
        (time, waited) = (time + length, waited + mean * length as f64);
        (first, last) = (first.min(from), last.max(to));
        stretches += 1;
        idle.extend(asleep);
    }
    if stretches == 0 {
        return None;
    }
    let delay = load::wake_delay(facts);
    let level = match delay {
        Some(delay) if delay < LATE => Level::Info,
        _ => Level::Warning,
    };
    let at =
        |step: usize| facts.from.0.saturating_add_unsigned(load::step_time(facts) * step as u64);
    let name = load::loop_name(facts, id);
    let mean = waited / time.max(1) as f64;
    Some(
        Finding::new(RULE.id, load::loop_subject(facts, id), level)
            .harm(if level == Level::Info { 0 } else { waited as u64 })
            .confidence(Confidence::Likely)
            .title(format!(
                "{} of {} workers of {name} idled for {} while {mean:.0} tasks waited",
                idle.len(),
                workers.len(),
                duration_text(time),
            ))
            .seen(stretches, loopd_model::UnixNanos(at(first)), loopd_model::UnixNanos(at(last)))
            .proof(
                format!("{mean:.0} tasks waited in its queues at each reading of {}", duration_text(time)),
                Some(crate::findings::Link::At(loopd_model::UnixNanos(at(first)))),
            )
            .proof(
                match delay {
                    Some(delay) => format!(
                        "a hundredth of the polls came {} late or later",
                        duration_text(delay)
                    ),
                    None => "how late polls came for it is not known".to_owned(),
                },
                None,
            )
            .advice(
                "What is in the queue of a worker that is in a long poll can be taken by others only if \
                 one of them is awake, and the task that it woke last (its LIFO slot) not at all.",
                "Make polls shorter, so that each worker comes to its own queue; where one task wakes \
                 another and goes on, `disable_lifo_slot` lets others take that one.",
            ),
    )
}

/// How many tasks waited in all queues of a loop, at each step.
fn depths(facts: &Facts, id: LoopId) -> Vec<Option<f64>> {
    let queues = ["global_queue_depth", "worker_queue_depth"];
    let series = queues.iter().flat_map(|name| facts.metric(name)).filter(|it| it.loop_id == id);
    let mut sums = vec![None; Facts::POINTS];
    for series in series {
        for (sum, value) in sums.iter_mut().zip(&series.values) {
            if let Some(value) = value {
                *sum.get_or_insert(0.0) += value;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use loopd_model::{UnixNanos, WorkerId};

    use super::*;
    use crate::findings::rules::tests::{MS, busy, check, covered, gauge, site};

    /// A minute of two workers, so busy, with so many tasks in the queue for a part of it.
    fn facts(shares: [f64; 2], depth: f64, steps: usize, delay: u64) -> Facts {
        let of =
            |(worker, share): (u32, f64)| Series { worker: Some(WorkerId(worker)), ..busy(share) };
        let depths = |step| if step < steps { depth } else { 0.0 };
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            coverage: covered(),
            runtime: Runtime::Tokio,
            metrics: [
                ("worker_busy_nanos".into(), [(0, shares[0]), (1, shares[1])].map(of).into()),
                gauge("global_queue_depth", depths),
            ]
            .into(),
            sites: vec![site("shop/src/serve.rs:8", &[(900, MS)], &[(900, delay)])],
            ..Facts::default()
        }
    }

    #[test]
    fn a_worker_that_sleeps_beside_a_full_queue_is_told() {
        check(
            &RULE,
            &facts([0.99, 0.1], 40.0, 21, 50 * MS),
            &["warning a loop: 1 of 2 workers of loop 1 idled for 20.0 s while 40 tasks waited"],
        );
    }

    #[test]
    fn a_moment_a_short_queue_and_workers_that_are_busy_are_fine() {
        check(&RULE, &facts([0.99, 0.1], 40.0, 2, 50 * MS), &["ok"]);
        check(&RULE, &facts([0.99, 0.1], 4.0, 60, 50 * MS), &["ok"]);
        check(&RULE, &facts([0.99, 0.98], 40.0, 60, 50 * MS), &["ok"]);
    }

    #[test]
    fn what_nobody_noticed_is_worth_knowing_only() {
        check(
            &RULE,
            &facts([0.99, 0.1], 40.0, 21, MS),
            &["info a loop: 1 of 2 workers of loop 1 idled for 20.0 s while 40 tasks waited"],
        );
    }

    #[test]
    fn a_loop_of_one_worker_has_none() {
        let python = Facts { runtime: Runtime::Asyncio, ..Facts::default() };
        check(&RULE, &python, &["not applicable: each loop has one worker"]);
        let alone = Facts { coverage: covered(), ..Facts::default() };
        check(&RULE, &alone, &["not applicable: no loop has more than one worker"]);
    }
}
