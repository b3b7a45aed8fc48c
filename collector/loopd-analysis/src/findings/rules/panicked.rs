//! Tasks that panicked or raised, and whether anybody looks.

use std::collections::BTreeMap;

use loopd_model::{RecordKind, UnixNanos};

use crate::checks;
use crate::findings::{
    Confidence, End, Facts, Finding, Level, Link, Lived, Loop, Rule, Snippet, Verdict,
};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "panicked", title: "Tasks that panicked or raised", check };

/// A task that failed has harm that is no time: more than a delay of some tenths of a second.
const SCORE: u8 = 40;
/// A `JoinHandle` of tokio's own, a `JoinSet` of many, and a handle that is awaited only after the end leave
/// no wait.
const NOT_RECORDED: &str = "whether somebody looked at that is not recorded";
/// Who awaits a task begins to, as a rule, no longer before its end.
const AWAITED_FOR: u64 = 600_000_000_000;

fn check(facts: &Facts) -> Verdict {
    let mut sites: BTreeMap<&str, Vec<&Lived>> = BTreeMap::new();
    for lived in facts.ended.iter().filter(|lived| lived.end != End::Destroyed) {
        let place = lived.location.as_deref().unwrap_or("an unknown place");
        sites.entry(place).or_default().push(lived);
    }
    let mut found: Vec<_> =
        sites.iter().map(|(place, failed)| finding(facts, place, failed)).collect();
    for site in facts.sites.iter().filter(|site| site.cell.panicked > 0) {
        let place = site.location.as_deref().unwrap_or("an unknown place");
        if !sites.contains_key(place) {
            found.push(counted(facts, place, site.cell.panicked));
        }
    }
    match facts.missing_all(&["hooks", "wrapped", "steps"]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

/// Whether asyncio says that nobody looked at an exception. It says so when the task is freed: where it says
/// nothing, a callback or a group may have looked without awaiting the task.
fn complains(facts: &Facts) -> bool {
    let is_check = |(key, value): &(String, String)| {
        key == checks::FIELD && value == "exception_never_retrieved"
    };
    facts.complaints.iter().any(|complaint| complaint.fields.iter().any(is_check))
}

/// Whether it may be lost that somebody awaited what failed from then on. What asyncio complains of, nobody
/// looked at.
fn may_be_awaited(facts: &Facts, first: UnixNanos) -> bool {
    let since = UnixNanos(first.0.saturating_sub_unsigned(AWAITED_FOR));
    facts.has_lost_since(RecordKind::Wait, since) && !complains(facts)
}

/// How tasks failed, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Panicked,
    /// By an exception; of tasks of an `EventLoop`, by an error that they returned. Of those that nobody looked
    /// at the loop complains of itself.
    Raised,
    /// Tasks of a process with an `EventLoop`, not all of which are known one by one: their number is one of
    /// panics and errors.
    Either,
}

impl How {
    /// Of so many, of which these are known.
    fn of(facts: &Facts, failed: &[&Lived], count: u64) -> Self {
        let are_known = failed.len() as u64 == count;
        let all = |end| are_known && failed.iter().all(|lived| lived.end == end);
        let any = |end| failed.iter().any(|lived| lived.end == end);
        let may_be_errors = || any(End::Raised) || facts.loops.iter().any(Loop::is_event_loop);
        match facts.runtime {
            Runtime::Tokio if all(End::Raised) => Self::Raised,
            Runtime::Tokio if !all(End::Panicked) && may_be_errors() => Self::Either,
            Runtime::Tokio => Self::Panicked,
            _ if any(End::Panicked) => Self::Panicked,
            _ => Self::Raised,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::Raised => "raised",
            Self::Either => "panicked or returned an error",
        }
    }
}

fn level(facts: &Facts, was_joined: bool, failed: &[&Lived], how: How) -> Level {
    let is_told = facts.runtime == Runtime::Asyncio && !complains(facts);
    let is_panic = |lived: &&Lived| lived.end == End::Panicked;
    let are_errors =
        facts.runtime == Runtime::Tokio && how != How::Panicked && !failed.iter().any(is_panic);
    if was_joined || is_told || are_errors { Level::Info } else { Level::Warning }
}

fn finding(facts: &Facts, place: &str, failed: &[&Lived]) -> Finding {
    let unjoined = failed.iter().filter(|lived| !lived.was_joined).count();
    let ends = failed.iter().map(|lived| lived.ended_at);
    let first = ends.clone().min().unwrap_or(facts.from);
    let is_unknown = unjoined > 0 && may_be_awaited(facts, first);
    // The list is bounded, and the roll-up is not.
    let is_here = |it: &&crate::findings::SpawnSite| it.location.as_deref() == Some(place);
    let counted = facts.sites.iter().find(is_here).map_or(0, |site| site.cell.panicked);
    let count = counted.max(failed.len() as u64);
    let how = How::of(facts, failed, count);
    let level = level(facts, unjoined == 0 || is_unknown, failed, how);
    let looks = match (unjoined, level) {
        (0, _) => ", which others awaited",
        _ if !complains(facts) || level == Level::Info => "",
        _ if count == 1 => ", and nobody awaited it",
        _ => ", and nobody awaited them",
    };
    // Who awaits a task is a wait, which may not be recorded.
    let sees_joins = facts.missing_all(&["guards", "waits", "tracing"]).is_none();
    let confidence = match (sees_joins, unjoined) {
        (_, 0) => Confidence::Certain,
        (true, _) if !is_unknown => Confidence::Likely,
        _ => Confidence::Possible,
    };
    let finding = start(facts, place, level, count, how)
        .confidence(confidence)
        .title(format!("{} spawned at `{place}` {}{looks}", tasks(count), how.verb()))
        .seen(count, first, ends.max().unwrap_or(facts.to));
    let latest = failed.iter().rev().take(3);
    let finding = latest.fold(finding, |finding, lived| {
        let joined = if lived.was_joined { " and was awaited" } else { "" };
        let verb = How::of(facts, &[lived], 1).verb();
        let text = format!("task {} {verb}{joined}", lived.task);
        finding.proof(text, Some(Link::Task(lived.task)))
    });
    match unjoined {
        0 => finding,
        _ if is_unknown => {
            finding.proof("records of waits were lost, so all may have been awaited", None)
        }
        _ if complains(facts) => {
            finding.proof("asyncio says of exceptions that nobody retrieved them", None)
        }
        _ => finding.proof(NOT_RECORDED, None),
    }
}

/// Where only their number is known.
fn counted(facts: &Facts, place: &str, count: u64) -> Finding {
    let how = How::of(facts, &[], count);
    let level = level(facts, may_be_awaited(facts, facts.from), &[], how);
    start(facts, place, level, count, how)
        .confidence(Confidence::Possible)
        .title(format!("{} spawned at `{place}` {}", tasks(count), how.verb()))
        .seen(count, facts.from, facts.to)
        .proof("counted by spawn location; who awaited them is no longer known", None)
}

fn start(facts: &Facts, place: &str, level: Level, count: u64, how: How) -> Finding {
    debug_assert!(count > 0, "nobody failed");
    let score = if level == Level::Warning { SCORE } else { 0 };
    let known = (place != "an unknown place").then_some(place);
    let finding = Finding::new(RULE.id, place, level).at(known).at_least(score).seen(
        count,
        UnixNanos::default(),
        UnixNanos::default(),
    );
    if facts.runtime == Runtime::Tokio && how == How::Either {
        return finding.advice(
            "A panic ends only its own task, and so does an error that a task of an `EventLoop` returns: it is \
             kept for whoever awaits the task. Of one that nobody looked at the loop complains, which is told \
             as `error_never_retrieved`.",
            "Look at what whoever awaits the task is given: an error may be one that happens, a panic is a \
             mistake of the program.",
        );
    }
    if facts.runtime == Runtime::Tokio && how == How::Raised {
        return finding.advice(
            "An error that a task returns is kept in it, for whoever awaits the task. Of one that nobody \
             looked at the loop complains, which is told as `error_never_retrieved`.",
            "Where it is one that happens, nothing: whoever awaits the task deals with it.",
        );
    }
    let finding = finding.snippet(snippet(facts.words()));
    match facts.words() {
        Runtime::Asyncio => finding.advice(
            "An exception that leaves a task is kept in it: who never awaits the task, nor looks at its \
             result, goes on as if it had done its work.",
            "Await the task, start it in an `asyncio.TaskGroup`, or look at `task.exception()` in a done \
             callback.",
        ),
        Runtime::Tokio => finding.advice(
            "A panic ends only its own task: who dropped the `JoinHandle` goes on as if it had done its \
             work, and locks may be poisoned or state half changed.",
            "Await the `JoinHandle` or use a `JoinSet`, and look at the `JoinError`; return a `Result` for \
             what can go wrong.",
        ),
        Runtime::EventLoop => finding.advice(
            "A panic ends only its own task, whose error it is then: who dropped the `Task` goes on as if it \
             had done its work, and locks may be poisoned or state half changed.",
            "Await the `Task`, start it in a `TaskGroup`, or look at its `exception()` in a done callback; \
             return an error for what can go wrong.",
        ),
        Runtime::Unknown => finding.advice(
            "Who does not look at the end of a task goes on as if it had done its work.",
            "Await the task, and look at its result.",
        ),
    }
}

fn tasks(count: u64) -> String {
    if count == 1 { "a task".to_owned() } else { format!("{} tasks", count_text(count)) }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "while let Some(done) = tasks.join_next().await { // a JoinSet\n    \
                   if let Err(error) = done { tracing::error!(%error, \"a task failed\"); }\n}",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "async with asyncio.TaskGroup() as group:  # raises what they raise\n    \
                   group.create_task(import_orders())",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "TaskGroup::scope(async |group| { // ends with their errors\n    \
                   group.create_task(import_orders())?;\n    Ok(())\n}).await?;",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{EVENT_LOOP_FLAVOR, MarkLevel, TaskId};

    use super::*;
    use crate::checks::Complaint;
    use crate::findings::rules::tests::{check, covered, site};

    fn facts(runtime: Runtime, end: End, was_joined: bool) -> Facts {
        let lived = Lived {
            task: TaskId(5),
            location: Some("shop/src/pay.rs:3".into()),
            ended_at: UnixNanos(7),
            end,
            was_joined,
        };
        Facts { runtime, coverage: covered(), ended: vec![lived], ..Facts::default() }
    }

    #[test]
    fn of_a_panic_it_is_not_said_that_nobody_looked_at_it() {
        let facts = facts(Runtime::Tokio, End::Panicked, false);
        check(
            &RULE,
            &facts,
            &["warning shop/src/pay.rs:3: a task spawned at `shop/src/pay.rs:3` panicked"],
        );
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        let told: Vec<_> = found[0].evidence.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(told, ["task 5 panicked", "whether somebody looked at that is not recorded"]);
    }

    #[test]
    fn where_waits_were_lost_nobody_knows_who_awaited_it() {
        let mut facts = facts(Runtime::Tokio, End::Panicked, false);
        facts.lost_before = vec![(Some(RecordKind::Wait), UnixNanos(3))];
        let title = "shop/src/pay.rs:3: a task spawned at `shop/src/pay.rs:3` panicked";
        check(&RULE, &facts, &[&format!("info {title}")]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].confidence, Confidence::Possible);
        facts.lost_before[0].0 = Some(RecordKind::Poll);
        check(&RULE, &facts, &[&format!("warning {title}")]);
    }

    #[test]
    fn one_that_others_awaited_is_worth_knowing() {
        check(
            &RULE,
            &facts(Runtime::Tokio, End::Panicked, true),
            &[
                "info shop/src/pay.rs:3: a task spawned at `shop/src/pay.rs:3` panicked, which others awaited",
            ],
        );
    }

    #[test]
    fn an_error_of_an_event_loop_in_rust_is_no_panic() {
        let title = "shop/src/pay.rs:3: a task spawned at `shop/src/pay.rs:3` raised";
        let facts = facts(Runtime::Tokio, End::Raised, false);
        check(&RULE, &facts, &[&format!("info {title}")]);
    }

    #[test]
    fn of_exceptions_asyncio_itself_knows_whether_nobody_looked() {
        let mut facts = facts(Runtime::Asyncio, End::Raised, false);
        let title = "shop/src/pay.rs:3: a task spawned at `shop/src/pay.rs:3` raised";
        check(&RULE, &facts, &[&format!("info {title}")]);
        facts.complaints.push(Complaint {
            at: UnixNanos(8),
            level: MarkLevel::Error,
            message: "Task exception was never retrieved".into(),
            fields: vec![(checks::FIELD.into(), "exception_never_retrieved".into())],
            location: None,
        });
        check(&RULE, &facts, &[&format!("warning {title}, and nobody awaited it")]);
    }

    #[test]
    fn where_only_their_number_is_known_it_is_possible() {
        let mut site = site("shop/src/pay.rs:3", &[], &[]);
        site.cell.panicked = 3;
        let facts = Facts { sites: vec![site], runtime: Runtime::Tokio, ..Facts::default() };
        let title = "3 tasks spawned at `shop/src/pay.rs:3` panicked";
        check(&RULE, &facts, &[&format!("warning shop/src/pay.rs:3: {title}")]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].confidence, Confidence::Possible);
    }

    #[test]
    fn where_an_event_loop_is_a_number_alone_may_be_one_of_errors() {
        let event_loop = Loop { flavor: EVENT_LOOP_FLAVOR.into(), ..Loop::default() };
        let mut site = site("shop/src/pay.rs:3", &[], &[]);
        site.cell.panicked = 3;
        let counted = Facts {
            sites: vec![site.clone()],
            runtime: Runtime::Tokio,
            loops: vec![event_loop.clone()],
            ..Facts::default()
        };
        let title = "3 tasks spawned at `shop/src/pay.rs:3` panicked or returned an error";
        check(&RULE, &counted, &[&format!("info shop/src/pay.rs:3: {title}")]);
        // One of them is known to be an error, or a panic.
        for (end, level, verb) in
            [(End::Raised, "info", "raised"), (End::Panicked, "warning", "panicked")]
        {
            let mut mixed = facts(Runtime::Tokio, end, false);
            mixed.loops = vec![event_loop.clone()];
            mixed.sites = vec![site.clone()];
            check(&RULE, &mixed, &[&format!("{level} shop/src/pay.rs:3: {title}")]);
            let Verdict::Found(found) = (RULE.check)(&mixed) else { panic!() };
            assert_eq!(found[0].evidence[0].text, format!("task 5 {verb}"));
            // All of them are.
            mixed.sites[0].cell.panicked = 1;
            let title = format!("a task spawned at `shop/src/pay.rs:3` {verb}");
            check(&RULE, &mixed, &[&format!("{level} shop/src/pay.rs:3: {title}")]);
        }
    }

    #[test]
    fn tasks_that_end_well_and_those_that_were_destroyed_are_not_its_business() {
        check(&RULE, &Facts { coverage: covered(), ..Facts::default() }, &["ok"]);
        check(&RULE, &facts(Runtime::Asyncio, End::Destroyed, false), &["ok"]);
    }
}
