//! A task wakes itself again and again, to do nothing.

use std::collections::BTreeMap;

use crate::findings::{AliveTask, Confidence, Facts, Finding, Level, Link, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "busy_poll", title: "Tasks that wake themselves all the time", check };

/// Of the wakes of a task, those by itself. Below, something else drives it.
const MOST: f64 = 0.5;
/// A few self-wakes are how tasks start, and how tokio's budget makes them give way.
const MIN_SELF_WAKES: u64 = 1_000;
/// Self-wakes a second, over the task's life: what waits for something has far fewer.
const MIN_RATE: f64 = 500.0;
/// Of the task's life, the time in its polls from which others feel it.
const FELT: f64 = 0.1;

fn check(facts: &Facts) -> Verdict {
    let mut sites: BTreeMap<&str, Vec<&AliveTask>> = BTreeMap::new();
    for task in facts.alive.iter().filter(|task| spins(facts, task)) {
        sites.entry(place(task)).or_default().push(task);
    }
    match facts.missing_all(&["wrapped", "steps", "tracing"]) {
        Some(what) if sites.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(sites.values().map(|tasks| finding(facts, tasks)).collect()),
    }
}

fn place(task: &AliveTask) -> &str {
    task.location.as_deref().unwrap_or("an unknown place")
}

/// A poll shorter than this did no work; longer ones give way in the middle of some, as they should: in tokio
/// every 10 to 100 µs. A step of Python takes some microseconds to do nothing.
const fn idle_poll(runtime: Runtime) -> u64 {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop | Runtime::Unknown => 5_000,
        Runtime::Asyncio => 50_000,
    }
}

/// Since its spawn, or since the process is recorded.
fn age(facts: &Facts, task: &AliveTask) -> u64 {
    facts.since(task.spawned_at.unwrap_or(facts.started_at)).max(1)
}

fn self_wake_rate(facts: &Facts, task: &AliveTask) -> f64 {
    task.self_wakes.unwrap_or(0) as f64 * 1e9 / age(facts, task) as f64
}

fn spins(facts: &Facts, task: &AliveTask) -> bool {
    let (Some(wakes), Some(self_wakes)) = (task.wakes, task.self_wakes) else { return false };
    self_wakes >= MIN_SELF_WAKES
        && self_wakes as f64 > MOST * wakes as f64
        && self_wake_rate(facts, task) >= MIN_RATE
        && task.polls > 0
        && task.busy_time / task.polls < idle_poll(facts.runtime)
}

fn finding(facts: &Facts, tasks: &[&AliveTask]) -> Finding {
    let harm = tasks.iter().fold(0u64, |sum, it| sum.saturating_add(wasted(facts, it)));
    let rate: f64 = tasks.iter().map(|task| self_wake_rate(facts, task)).sum();
    let share = |it: &&AliveTask| it.busy_time as f64 / age(facts, it) as f64;
    let felt: f64 = tasks.iter().map(share).sum();
    let place = tasks.first().map_or("an unknown place", |task| place(task));
    let first = tasks.iter().filter_map(|task| task.spawned_at).min().unwrap_or(facts.started_at);
    let level = if felt >= FELT { Level::Warning } else { Level::Info };
    let who = match tasks.len() {
        1 => format!("a task spawned at `{place}` wakes itself"),
        n => format!("{} tasks spawned at `{place}` wake themselves", count_text(n as u64)),
    };
    let finding = Finding::new(RULE.id, place, level)
        .at(tasks.first().and_then(|task| task.location.as_deref()))
        .harm(harm)
        .confidence(Confidence::Likely)
        .title(format!(
            "{who} {} times a second, which takes {:.0} % of a worker",
            count_text(rate as u64),
            felt * 100.0,
        ))
        .seen(
            tasks.iter().filter_map(|task| task.self_wakes).sum(),
            first.max(facts.from),
            facts.to,
        )
        .advice(
            "It asks again and again whether something is ready, rather than being told: that keeps a \
             worker from sleeping, and delays those who have something to do.",
            fix(facts.runtime),
        )
        .snippet(snippet(facts.runtime));
    tasks.iter().take(2).fold(finding, |finding, task| {
        let text = format!(
            "task {}: {} of {} wakes by itself, {} a poll",
            task.task,
            count_text(task.self_wakes.unwrap_or(0)),
            count_text(task.wakes.unwrap_or(0)),
            duration_text(task.busy_time / task.polls.max(1)),
        );
        finding.proof(text, Some(Link::Task(task.task)))
    })
}

/// The time that it may have kept from others in the range: counts are of its whole life.
fn wasted(facts: &Facts, task: &AliveTask) -> u64 {
    let own = task.self_wakes.unwrap_or(0) as f64 / task.wakes.unwrap_or(1).max(1) as f64;
    let in_range = facts.length() as f64 / age(facts, task) as f64;
    (task.busy_time as f64 * own.min(1.0) * in_range.min(1.0)) as u64
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "Await what it waits for: a `Notify`, a channel, `watch::Receiver::changed`; in a `poll` of \
             your own, keep the waker and call it when there is something, not at once."
        }
        Runtime::Asyncio => {
            "Await what it waits for: an `asyncio.Event`, a `Queue` or a future, instead of `while not \
             done: await asyncio.sleep(0)`."
        }
        Runtime::Unknown => "Let it be woken by what it waits for.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "ready.notified().await; // rather than: while !is_ready() { yield_now().await }",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "await ready.wait()  # rather than: while not ready: await asyncio.sleep(0)",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{TaskId, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::{MS, check, covered};

    /// A task of a minute with so many wakes, of these by itself, and polls of this length.
    fn facts(wakes: u64, self_wakes: u64, poll: u64) -> Facts {
        let task = AliveTask {
            task: TaskId(5),
            location: Some("shop/src/wait.rs:3".into()),
            spawned_at: Some(UnixNanos(0)),
            polls: wakes,
            busy_time: wakes * poll,
            wakes: Some(wakes),
            self_wakes: Some(self_wakes),
            ..AliveTask::default()
        };
        let to = UnixNanos(60_000 * MS as i64);
        Facts { to, coverage: covered(), alive: vec![task], ..Facts::default() }
    }

    #[test]
    fn a_task_that_asks_again_and_again_is_told() {
        check(
            &RULE,
            &facts(30_000_000, 30_000_000, 800),
            &[
                "warning shop/src/wait.rs:3: a task spawned at `shop/src/wait.rs:3` wakes itself 500,000 times a second, which takes 40 % of a worker",
            ],
        );
        check(
            &RULE,
            &facts(60_000, 60_000, 2_000),
            &[
                "info shop/src/wait.rs:3: a task spawned at `shop/src/wait.rs:3` wakes itself 1,000 times a second, which takes 0 % of a worker",
            ],
        );
    }

    #[test]
    fn what_gives_way_in_the_middle_of_long_work_is_fine() {
        check(&RULE, &facts(60_000, 60_000, MS), &["ok"]);
        check(&RULE, &facts(2_000_000, 2_000_000, 20_000), &["ok"]);
    }

    #[test]
    fn a_few_self_wakes_and_those_of_a_task_that_others_drive_are_fine() {
        check(&RULE, &facts(3, 3, 800), &["ok"]);
        check(&RULE, &facts(2_000, 2_000, 800), &["ok"]);
        check(&RULE, &facts(30_000_000, 10_000_000, 800), &["ok"]);
    }

    #[test]
    fn without_wakes_it_cannot_be_known() {
        let mut facts = facts(0, 0, 0);
        facts.alive[0].wakes = None;
        check(&RULE, &facts, &["ok"]);
        facts.coverage.clear();
        check(&RULE, &facts, &["needs the layer `wrapped`, which this process does not record"]);
    }
}
