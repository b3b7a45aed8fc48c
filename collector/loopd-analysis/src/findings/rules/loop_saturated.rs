//! Workers have no time left.

use loopd_model::LoopId;

use crate::findings::blocked::blocked;
use crate::findings::load::{self, LATE, Load};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, Verdict};
use crate::runtime::Runtime;
use crate::text::duration_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "loop_saturated", title: "Loops without time left", check };

/// So many tasks in queues, for each worker and on average, mean that more come than can be served.
const LONG_QUEUE: f64 = 10.0;

fn check(facts: &Facts) -> Verdict {
    let loads = load::loads(facts);
    if loads.is_empty() {
        return Verdict::Needs(facts.missing("metrics").unwrap_or_else(|| {
            "the busy time of workers, which this process does not tell".to_owned()
        }));
    }
    Verdict::of(loads.iter().filter_map(|(&id, workers)| finding(facts, id, workers)).collect())
}

fn finding(facts: &Facts, id: LoopId, workers: &[Load]) -> Option<Finding> {
    let saturated: Vec<_> = workers.iter().filter(|worker| worker.is_saturated()).collect();
    let time = saturated.iter().map(|worker| worker.saturated_time).max()?;
    let share = |worker: &Load| worker.busy_time as f64 / worker.told_time.max(1) as f64;
    let busiest = saturated.iter().copied().map(share).fold(0.0, f64::max);
    let (delay, queue) = (load::wake_delay(facts), queue(facts, id, workers.len()));
    // Others take over from one busy worker of many.
    let is_most = 2 * saturated.len() > workers.len();
    let is_noticed = match delay {
        Some(delay) => delay >= LATE,
        None => queue.is_some_and(|queue| queue >= LONG_QUEUE),
    };
    let slow = blocked(facts);
    let slow_time: u64 = slow.iter().fold(0, |sum, it| sum.saturating_add(it.site.total_time));
    let busy_time: u64 = workers.iter().map(|worker| worker.busy_time).sum();
    // Where most of the time goes into slow polls those are what is wrong, and told by their own rules.
    let is_slow = slow_time.saturating_mul(2) >= busy_time;
    let is_wrong = is_most && is_noticed && !is_slow;
    let name = load::loop_name(facts, id);
    let who = match workers.len() {
        1 => format!("{name} was"),
        n => format!("{} of {n} workers of {name} were", saturated.len()),
    };
    let mut finding = Finding::new(
        RULE.id,
        load::loop_subject(facts, id),
        if is_wrong { Level::Warning } else { Level::Info },
    )
    .harm(if is_wrong { waited(facts) } else { 0 })
    .confidence(if delay.is_some() { Confidence::Certain } else { Confidence::Possible })
    .title(format!("{who} saturated for {}", duration_text(time)))
    .seen(saturated.len() as u64, facts.from, facts.to)
    .proof(
        format!("busy for {:.0} % of the time, as far as known", busiest * 100.0),
        Some(Link::At(facts.from)),
    )
    .proof(noticed(delay), None)
    .advice(
        "A worker that is always in a poll has nothing to spare for a burst: what comes faster \
                 than it is served waits ever longer.",
        match slow.first().filter(|_| is_slow) {
            Some(worst) => format!("Most of it is slow polls, first of `{}`.", worst.place()),
            None => fix(facts.words()).to_owned(),
        },
    );
    if let Some(queue) = queue {
        let text = format!("{queue:.1} tasks for each worker waited in queues, on average");
        finding = finding.proof(text, None);
    }
    // Of which loop the tasks of a place are is not known.
    if load::loads(facts).len() == 1
        && let Some(site) = facts.sites.iter().max_by_key(|site| site.cell.busy_time)
        && let Some(place) = &site.location
    {
        finding = finding.at(Some(place.as_str()));
        let text = format!(
            "most busy: tasks spawned at `{place}`, for {}",
            duration_text(site.cell.busy_time)
        );
        finding = finding.proof(text, site.examples.first().map(|&task| Link::Task(task)));
    }
    Some(finding)
}

fn waited(facts: &Facts) -> u64 {
    facts.sites.iter().fold(0, |sum, site| sum.saturating_add(site.cell.scheduled_time))
}

fn noticed(delay: Option<u64>) -> String {
    match delay {
        Some(delay) if delay < LATE => {
            format!("nobody waits long: of a hundred polls 99 come within {}", duration_text(delay))
        }
        Some(delay) => {
            format!("a hundredth of the polls came {} late or later", duration_text(delay))
        }
        None => "how late polls came for it is not recorded".to_owned(),
    }
}

/// How many tasks waited for each worker, on average; `None` if not told.
fn queue(facts: &Facts, id: LoopId, workers: usize) -> Option<f64> {
    let names = ["global_queue_depth", "worker_queue_depth", "ready_callbacks"];
    let series = names.iter().flat_map(|name| facts.metric(name)).filter(|it| it.loop_id == id);
    let means = series.filter_map(|it| {
        let told: Vec<f64> = it.values.iter().flatten().copied().collect();
        (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
    });
    means.reduce(|sum, mean| sum + mean).map(|sum| sum / workers.max(1) as f64)
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "Give the runtime more `worker_threads` if there are processors for them, move what computes \
             to `spawn_blocking` or another runtime, or take in less work at once (a `Semaphore`)."
        }
        Runtime::EventLoop => {
            "Run more loops, each in a thread of its own, with `run_coroutine_threadsafe` between them; give \
             what computes to `run_in_executor`, or take in less work at once (a `Semaphore`)."
        }
        Runtime::Asyncio => {
            "Run more processes, move what computes to a `ProcessPoolExecutor`, take in less work at once \
             (an `asyncio.Semaphore`); `uvloop` makes the loop itself cheaper."
        }
        Runtime::Unknown => "Give it more threads or processes, or take in less work at once.",
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{Running, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::{MS, busy, check, gauge, site, slow_poll};

    /// A minute of one worker.
    fn facts(share: f64, delay: u64) -> Facts {
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            busy: vec![busy(share)],
            sites: vec![site("shop/src/serve.rs:8", &[(900, MS)], &[(900, delay)])],
            ..Facts::default()
        }
    }

    #[test]
    fn a_loop_without_time_left_in_which_polls_come_late_is_told() {
        check(&RULE, &facts(0.98, 40 * MS), &["warning a loop: loop 1 was saturated for 59.0 s"]);
    }

    #[test]
    fn a_loop_that_computes_and_keeps_nobody_waiting_is_fine() {
        check(&RULE, &facts(0.98, MS), &["info a loop: loop 1 was saturated for 59.0 s"]);
        check(&RULE, &facts(0.6, 40 * MS), &["ok"]);
    }

    #[test]
    fn one_busy_worker_of_two_is_helped_by_the_other() {
        let mut facts = facts(0.98, 40 * MS);
        facts.busy.push(busy(0.2));
        check(&RULE, &facts, &["info a loop: 1 of 2 workers of loop 1 were saturated for 59.0 s"]);
    }

    #[test]
    fn slow_polls_are_another_rules() {
        let slow = slow_poll(40_000 * MS, &[Running::OnCpu], None);
        let facts = Facts { slow_polls: vec![slow], ..facts(0.98, 40 * MS) };
        check(&RULE, &facts, &["info a loop: loop 1 was saturated for 59.0 s"]);
    }

    #[test]
    fn without_wakes_its_queue_tells() {
        let blind = Facts { sites: Vec::new(), ..facts(0.98, 0) };
        check(&RULE, &blind, &["info a loop: loop 1 was saturated for 59.0 s"]);
        let metrics = [gauge("ready_callbacks", |_| 300.0)].into();
        let full = Facts { metrics, ..blind };
        check(&RULE, &full, &["warning a loop: loop 1 was saturated for 59.0 s"]);
    }

    #[test]
    fn readings_are_needed() {
        check(
            &RULE,
            &Facts::default(),
            &["needs the layer `metrics`, which this process does not record"],
        );
    }
}
