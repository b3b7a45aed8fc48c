//! Tasks that wait, and nothing is left that could wake them.

use std::collections::{BTreeMap, HashSet};

use loopd_model::{RecordKind, TaskId, TaskKind};

use super::waiting::at;
use crate::findings::{AliveTask, Confidence, Facts, Finding, Level, Link, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "lost_waker", title: "Tasks that nothing can wake", check };

/// Between a poll and its end every task looks like it; agents look once a second.
const GRACE: u64 = 1_000_000_000;
/// So many tasks of one place are named.
const MAX_NAMED: usize = 3;

fn check(facts: &Facts) -> Verdict {
    if facts.runtime == Runtime::Asyncio {
        return Verdict::NotApplicable("asyncio's tasks are woken by futures, which keep them");
    }
    let suspects = facts.alive.iter().any(|task| task.unwakeable_at.is_some());
    if let Some(missing) = facts.missing("tracing").filter(|_| !suspects)
        && facts.missing("wrapped").is_some()
    {
        return Verdict::Needs(missing);
    }
    // A wake, a poll or an end that was lost would prove otherwise.
    let kinds = [RecordKind::Task, RecordKind::Wake, RecordKind::Poll];
    let first = facts.alive.iter().filter_map(|task| task.unwakeable_at).min();
    let since = first.unwrap_or(facts.from);
    if kinds.into_iter().any(|kind| facts.has_lost_since(kind, since)) {
        return Verdict::Ok;
    }
    // What a known resource is to tell has its waker.
    let awaits: HashSet<TaskId> = facts
        .open_waits
        .iter()
        .filter(|wait| wait.resource.is_some())
        .filter_map(|wait| wait.task)
        .collect();
    let mut places: BTreeMap<Option<&str>, Vec<&AliveTask>> = BTreeMap::new();
    for task in facts.alive.iter().filter(|task| is_lost(facts, task, &awaits)) {
        places.entry(task.location.as_deref()).or_default().push(task);
    }
    let findings = places.into_iter().map(|(place, tasks)| finding(facts, place, &tasks));
    Verdict::of(findings.collect())
}

fn is_lost(facts: &Facts, task: &AliveTask, awaits: &HashSet<TaskId>) -> bool {
    let is_old = task.unwakeable_at.is_some_and(|at| facts.since(at) >= GRACE);
    let is_async = matches!(task.kind, Some(TaskKind::Async | TaskKind::Local));
    is_old && is_async && task.polls > 0 && !awaits.contains(&task.task)
}

fn finding(facts: &Facts, place: Option<&str>, tasks: &[&AliveTask]) -> Finding {
    let since = |task: &AliveTask| task.unwakeable_at.unwrap_or(facts.to);
    let lost = |task: &&AliveTask| facts.since(since(task));
    let n = tasks.len() as u64;
    let first = tasks.iter().map(|task| since(task)).min().unwrap_or(facts.to);
    let last = tasks.iter().map(|task| since(task)).max().unwrap_or(facts.to);
    let who = if n == 1 { "a task".to_owned() } else { format!("{} tasks", count_text(n)) };
    let mut finding =
        Finding::new(RULE.id, place.unwrap_or("an unknown place"), Level::Warning)
            .at(place)
            // `std::future::pending()` looks alike, and whoever has an abort handle may end it.
            .confidence(Confidence::Likely)
            .harm(tasks.iter().map(lost).fold(0, u64::saturating_add))
            .seen(n, first, last)
            .title(format!(
                "{who} spawned {} can no longer be woken: no waker is left for {}",
                at(place),
                duration_text(facts.since(first)),
            ))
            .advice(
                "A future returned `Pending` and kept no waker, or dropped the last one without calling \
                 it: the task never goes on, and keeps what it holds.",
                "Look at futures of your own: each `poll` that returns `Pending` must have stored \
                 `context.waker().clone()`, anew each time, where whoever completes it calls it.",
            )
            .snippet(Some(Snippet {
                language: "rust",
                code: "if !self.ready { self.waker = Some(context.waker().clone()); return Poll::Pending; }",
            }));
    for task in tasks.iter().take(MAX_NAMED) {
        let name = if task.name.is_empty() { String::new() } else { format!(" `{}`", task.name) };
        let text = format!(
            "task {}{name}: {} polls, the last of them before it had no waker, {} ago",
            task.task,
            count_text(task.polls),
            duration_text(facts.since(since(task))),
        );
        finding = finding.proof(text, Some(Link::Task(task.task)));
    }
    finding
}

#[cfg(test)]
mod tests {
    use loopd_model::{Coverage, CoverageState, DropCause, ResourceId, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::check;
    use crate::findings::{Lost, OpenWait};

    const SECOND: i64 = 1_000_000_000;

    fn task(kind: TaskKind, unwakeable_s: Option<i64>, polls: u64) -> AliveTask {
        AliveTask {
            task: TaskId(4),
            kind: Some(kind),
            location: Some("a.rs:3".into()),
            polls,
            unwakeable_at: unwakeable_s.map(|at| UnixNanos(at * SECOND)),
            ..AliveTask::default()
        }
    }

    fn facts(tasks: Vec<AliveTask>) -> Facts {
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60 * SECOND),
            alive: tasks,
            coverage: vec![Coverage {
                layer: "wrapped".into(),
                state: CoverageState::On,
                reason: String::new(),
            }],
            ..Facts::default()
        }
    }

    #[test]
    fn a_task_without_a_waker_is_found() {
        check(
            &RULE,
            &facts(vec![task(TaskKind::Async, Some(50), 3)]),
            &[
                "warning a.rs:3: a task spawned at `a.rs:3` can no longer be woken: no waker is left for 10.0 s",
            ],
        );
        check(
            &RULE,
            &facts(vec![task(TaskKind::Local, Some(50), 3), task(TaskKind::Async, Some(20), 1)]),
            &[
                "warning a.rs:3: 2 tasks spawned at `a.rs:3` can no longer be woken: no waker is left for 40.0 s",
            ],
        );
    }

    #[test]
    fn whoever_has_one_or_needs_none_is_fine() {
        check(&RULE, &facts(vec![task(TaskKind::Async, None, 3)]), &["ok"]);
        check(&RULE, &facts(vec![task(TaskKind::Async, Some(60), 3)]), &["ok"]);
        check(&RULE, &facts(vec![task(TaskKind::Async, Some(50), 0)]), &["ok"]);
        check(&RULE, &facts(vec![task(TaskKind::BlockOn, Some(50), 3)]), &["ok"]);
        check(&RULE, &facts(vec![task(TaskKind::Blocking, Some(50), 1)]), &["ok"]);
        check(
            &RULE,
            &facts(vec![AliveTask { kind: None, ..task(TaskKind::Async, Some(50), 3) }]),
            &["ok"],
        );
        let mut waits = facts(vec![task(TaskKind::Async, Some(50), 3)]);
        waits.open_waits.push(OpenWait {
            task: Some(TaskId(4)),
            resource: Some(ResourceId(1)),
            ..OpenWait::default()
        });
        check(&RULE, &waits, &["ok"]);
    }

    #[test]
    fn what_may_have_been_lost_proves_nothing() {
        let mut lost = facts(vec![task(TaskKind::Async, Some(50), 3)]);
        lost.losses.push(Lost {
            kind: Some(RecordKind::Wake),
            cause: DropCause::RingFull,
            count: 1,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(&RULE, &lost, &["ok"]);
    }

    #[test]
    fn it_says_where_it_cannot_be_seen() {
        check(
            &RULE,
            &Facts { runtime: Runtime::Tokio, ..Facts::default() },
            &["needs the layer `tracing`, which this process does not record"],
        );
        check(
            &RULE,
            &Facts { runtime: Runtime::Asyncio, ..Facts::default() },
            &["not applicable: asyncio's tasks are woken by futures, which keep them"],
        );
    }
}
