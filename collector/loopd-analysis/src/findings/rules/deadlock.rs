//! Tasks that wait for each other in a circle: none of them ever goes on.
//!
//! That is said of what is held, of ends of tasks and of full channels. That a task waits to receive from
//! whom alone sends is weaker, as it may go on with something beside it that is not recorded, a socket in
//! a `select!`; how many waits of it are known does not tell. So a circle that needs such a step only looks
//! like a deadlock, whatever its other steps are, and one of nothing else is idleness: actors that have
//! channels to each other and nothing to do.

use loopd_model::RecordKind;

use super::waiting::{self, Waiting, at, purpose};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};
use crate::wait_graph::{Cycle, GoesOn, Step};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "deadlock", title: "Tasks that wait for each other in a circle", check };

/// A younger wait may be over already: its end is told with the next batch, which comes several times a
/// second.
const GRACE: u64 = 500_000_000;
/// So many steps of a circle are told, each in a line.
const MAX_STEPS: usize = 12;
/// Why what looks like a deadlock may be none.
const LOST: &str = "records of waits were lost, so one of these may be over";
const GOES_ON: &str = "one of them waits for something else too, and may go on with that";
const RECEIVES: &str =
    "who receives may also wait for what is not recorded, as in a `select!`, and go on with that";

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts) {
        return Verdict::Needs(missing);
    }
    let waiting = Waiting::of(facts);
    let may_be_over = facts.has_lost(RecordKind::Wait);
    let is_old = |cycle: &Cycle| {
        cycle.steps.iter().all(|step| facts.since(waiting.wait(step.wait).began_at) >= GRACE)
    };
    let mut cycles: Vec<(Cycle, Option<&str>)> = Vec::new();
    for (graph, goes_on, doubt) in [
        (&waiting.certain, GoesOn::WithAny, None),
        (&waiting.certain, GoesOn::WithAll, Some(GOES_ON)),
        (&waiting.graph, GoesOn::WithAny, Some(RECEIVES)),
        (&waiting.graph, GoesOn::WithAll, Some(GOES_ON)),
    ] {
        let mut found = graph.cycles(goes_on);
        found.retain(|cycle| !cycles.iter().any(|(it, _)| overlap(it, cycle)));
        let doubt = if may_be_over { Some(LOST) } else { doubt };
        cycles.extend(found.into_iter().map(|cycle| (cycle, doubt)));
    }
    let is_idle = |cycle: &Cycle| {
        cycle.steps.iter().all(|step| waiting::may_get_otherwise(waiting.wait(step.wait)))
    };
    cycles.retain(|(cycle, _)| is_old(cycle) && !is_idle(cycle));
    // The same lines of code may have caught many tasks.
    Verdict::of(cycles.iter().map(|(cycle, it)| finding(facts, &waiting, cycle, *it)).collect())
}

fn overlap(a: &Cycle, b: &Cycle) -> bool {
    b.tasks.iter().any(|task| a.tasks.binary_search(task).is_ok())
}

fn finding(facts: &Facts, waiting: &Waiting<'_>, cycle: &Cycle, doubt: Option<&str>) -> Finding {
    let waits = || cycle.steps.iter().map(|step| waiting.wait(step.wait));
    let length = |at| facts.since(at);
    let harm = waits().fold(0u64, |sum, wait| sum.saturating_add(length(wait.began_at)));
    let since = waits().map(|wait| wait.began_at).max().unwrap_or(facts.to);
    let is_inferred = cycle.steps.iter().any(|&step| is_inferred(facts, waiting, step));
    let (level, confidence, word) = match doubt {
        Some(_) => (Level::Info, Confidence::Possible, "looks like a deadlock"),
        None if is_inferred => (Level::Error, Confidence::Likely, "deadlock"),
        None => (Level::Error, Confidence::Certain, "deadlock"),
    };
    let first = cycle.steps.first().map(|step| waiting.wait(step.wait));
    let place = waits().find_map(|wait| wait.location.as_deref());
    let mut finding = Finding::new(RULE.id, subject(facts, waiting, cycle), level)
        .at(place)
        .confidence(confidence)
        .harm(harm)
        .seen(1, since, facts.to)
        .title(format!("{word}: {}", what(waiting, cycle)))
        .advice(
            why(waiting, cycle),
            fix(facts.words(), is_upgrade(waiting, cycle), cycle.tasks.len()),
        )
        .snippet(first.and_then(|wait| snippet(facts.words(), &wait.op, cycle.tasks.len())));
    if level == Level::Error {
        finding = finding.at_least(100);
    } else {
        // What it would harm is not what it is known to.
        (finding.harm, finding.score) = (0, 0);
    }
    for (i, &step) in cycle.steps.iter().take(MAX_STEPS).enumerate() {
        let before = cycle.steps[(i + cycle.steps.len() - 1) % cycle.steps.len()];
        let link = Some(Link::Task(waiting.graph.waiter(step)));
        finding = finding.proof(line(facts, waiting, before, step), link);
    }
    let left_out = cycle.steps.len().saturating_sub(MAX_STEPS);
    if left_out > 0 {
        let text = format!("and {} more in the circle", count_text(left_out as u64));
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    let beside = cycle.tasks.len() - cycle.steps.len();
    if beside > 0 {
        let text = format!("{} more wait in the same knot", count_text(beside as u64));
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    let behind = waiting.graph.behind(cycle.tasks[0]);
    let outside = behind
        .iter()
        .filter(|&&step| cycle.tasks.binary_search(&waiting.graph.waiter(step)).is_err())
        .count();
    if outside > 0 {
        let text = match outside {
            1 => "another task waits for these".to_owned(),
            n => format!("{} other tasks wait for these", count_text(n as u64)),
        };
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    if let Some(doubt) = doubt {
        finding = finding.proof(doubt, None);
    }
    finding
}

/// The places of the waits, from the smallest on; where one is not known, what its task is: where that was
/// spawned, its name, or else what it waits for.
fn subject(facts: &Facts, waiting: &Waiting<'_>, cycle: &Cycle) -> String {
    let place = |step: &Step| {
        let wait = waiting.wait(step.wait);
        let alive = facts.alive.iter().find(|task| Some(task.task) == wait.task);
        let spawned = alive.and_then(|task| task.location.as_ref());
        let name = Some(wait.task_name.as_str()).filter(|name| !name.is_empty());
        match (wait.location.as_ref().or(spawned), name) {
            (Some(place), _) => place.clone(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => format!("{} {}", wait.op, wait.resource_kind),
        }
    };
    let mut places: Vec<String> = cycle.steps.iter().map(place).collect();
    let n = places.len();
    // Of all places to begin at, that which gives the smallest: a place may occur several times.
    let from = |start: usize| (0..n).map(move |i| (start + i) % n);
    let start = (0..n.min(MAX_STEPS))
        .min_by(|&a, &b| from(a).map(|i| &places[i]).cmp(from(b).map(|i| &places[i])))
        .unwrap_or(0);
    places.rotate_left(start);
    places.truncate(MAX_STEPS);
    places.join(" → ")
}

fn what(waiting: &Waiting<'_>, cycle: &Cycle) -> String {
    let first = cycle.steps[0];
    let wait = waiting.wait(first.wait);
    let place = at(wait.location.as_deref());
    let task = waiting.who(waiting.graph.waiter(first));
    if is_upgrade(waiting, cycle) && cycle.tasks.len() > 1 {
        let n = count_text(cycle.tasks.len() as u64);
        let thing = waiting::thing(wait);
        return format!("{n} tasks wait {place} to write to {thing}, which each of them reads");
    }
    match cycle.steps.len() {
        1 if wait.op == "join" => format!("{task} waits {place} for its own end"),
        1 => format!("{task} waits {place} {}, which it holds itself", purpose(wait)),
        2 => {
            let second = cycle.steps[1];
            format!(
                "{task} ({place}) and {} ({}) wait for each other",
                waiting.who(waiting.graph.waiter(second)),
                at(waiting.wait(second.wait).location.as_deref()),
            )
        }
        n => format!("{n} tasks wait for each other in a circle, {}", places(waiting, cycle)),
    }
}

/// Where they wait, each place once: `at a.rs:1, b.rs:2 and 3 more places`.
fn places(waiting: &Waiting<'_>, cycle: &Cycle) -> String {
    const MOST: usize = 3;
    let mut all: Vec<&str> = Vec::new();
    for step in &cycle.steps {
        let place = waiting.wait(step.wait).location.as_deref().unwrap_or("an unknown place");
        if !all.contains(&place) {
            all.push(place);
        }
    }
    let shown: Vec<_> = all.iter().take(MOST).map(|place| format!("`{place}`")).collect();
    let text = format!("at {}", shown.join(", "));
    match all.len().saturating_sub(MOST) {
        0 => text,
        1 => format!("{text} and one more place"),
        more => format!("{text} and {} more places", count_text(more as u64)),
    }
}

/// What one of them has that the one before waits for, and what it waits for itself.
fn line(facts: &Facts, waiting: &Waiting<'_>, before: Step, step: Step) -> String {
    let wait = waiting.wait(step.wait);
    let wanted = waiting.wait(before.wait);
    let has = match waiting.holder(before) {
        Some(_) if wanted.op == "join" => String::new(),
        Some(holder) => format!(
            " holds {} (taken {}{}, {} ago) and",
            waiting::thing(wanted),
            at(holder.location.as_deref()),
            if holder.is_later { " as it seems" } else { "" },
            duration_text(facts.since(holder.since_at)),
        ),
        None => match wanted.op.as_str() {
            "send" => format!(" alone receives from {} and", waiting::thing(wanted)),
            "recv" => format!(" alone sends to {} and", waiting::thing(wanted)),
            _ => String::new(),
        },
    };
    let whom = waiting.who(waiting.graph.blocker(step));
    let what = match wait.op.as_str() {
        "join" => format!("for {whom} to end"),
        _ => format!("{}, for which {whom} stands in the way", purpose(wait)),
    };
    format!(
        "{}{has} waits {} since {} {what}",
        waiting.who(waiting.graph.waiter(step)),
        at(wait.location.as_deref()),
        duration_text(facts.since(wait.began_at)),
    )
}

/// Whether a step rests on what is not known for certain.
fn is_inferred(facts: &Facts, waiting: &Waiting<'_>, step: Step) -> bool {
    let wait = waiting.wait(step.wait);
    match waiting.holder(step) {
        None => wait.op != "join",
        Some(holder) if holder.is_later => true,
        // Of how many permits these are is not known.
        Some(_) => {
            let is_counted = |resource| {
                facts.uses.iter().any(|it| it.resource == resource && it.capacity.is_some())
            };
            wait.op == "acquire" && !wait.resource.is_some_and(is_counted)
        }
    }
}

/// Whether whoever waits to write reads the same.
fn is_upgrade(waiting: &Waiting<'_>, cycle: &Cycle) -> bool {
    let wait = waiting.wait(cycle.steps[0].wait);
    cycle.steps.len() == 1 && wait.op == "write"
}

fn why(waiting: &Waiting<'_>, cycle: &Cycle) -> String {
    if is_upgrade(waiting, cycle) {
        return "Who writes must wait until nobody reads, and who waits here still reads.".into();
    }
    match cycle.steps.len() {
        1 => "What it waits for comes only after it has gone on, so it never does.".into(),
        _ => {
            "Each waits for what another of them gives only after it has gone on, so none of them \
              ever does; whoever needs one of them waits for ever as well."
                .into()
        }
    }
}

fn fix(runtime: Runtime, is_upgrade: bool, tasks: usize) -> String {
    let timeout = match runtime {
        Runtime::Tokio => "`tokio::time::timeout`",
        Runtime::EventLoop => "`wait_for`",
        Runtime::Asyncio => "`asyncio.timeout(…)`",
        Runtime::Unknown => "a timeout",
    };
    if is_upgrade {
        return "Drop the read guard before you ask to write and look again after, or take the lock \
                for writing from the start."
            .into();
    }
    match tasks {
        1 => "Give it back before you take it again (end its block, or `drop` the guard), or pass what \
              is locked on to what you call."
            .into(),
        _ => format!(
            "Take them in the same order everywhere, or give the first back before you wait for the \
             second; {timeout} around the wait turns standing still into an error."
        ),
    }
}

fn snippet(runtime: Runtime, op: &str, tasks: usize) -> Option<Snippet> {
    match (runtime, op) {
        (Runtime::Tokio | Runtime::EventLoop, "lock") if tasks > 1 => Some(Snippet {
            language: "rust",
            code: "let from = accounts.lock().await; // everywhere: accounts first, then audit\n\
                   let to = audit.lock().await;",
        }),
        (Runtime::Asyncio, "lock") if tasks > 1 => Some(Snippet {
            language: "python",
            code: "async with accounts:  # everywhere: accounts first, then audit\n    \
                   async with audit:\n        ...",
        }),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use loopd_model::{Coverage, CoverageState, DropCause, ResourceId, TaskId, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::check;
    use crate::findings::{AliveTask, Lost, OpenWait, ResourceUse, WaitHolder};

    const SECOND: i64 = 1_000_000_000;

    /// `lock a: 1 @a.rs:9 > 2 3~`: task 1 waits at `a.rs:9` to lock mutex `a`, which tasks 2 and 3 hold,
    /// task 3 as it seems. `!5`: only task 5 can end it. All began at second 10 of 60, those with a `*`
    /// just before the end.
    pub(in crate::findings::rules) fn waits(script: &[&str]) -> Facts {
        let waits = script.iter().map(|line| {
            let (head, rest) = line.split_once(": ").unwrap();
            let (op, name) = head.split_once(' ').unwrap();
            let (who, holders) = rest.split_once(" >").unwrap();
            let (task, place) = who.split_once(" @").unwrap();
            let id = |text: &str| TaskId(text.parse().unwrap());
            let holder = |text: &str| WaitHolder {
                task: Some(id(text.trim_end_matches('~'))),
                since_at: UnixNanos(5 * SECOND),
                location: Some(format!("take.rs:{}", text.trim_end_matches('~'))),
                amount: 0,
                is_later: text.ends_with('~'),
                ..WaitHolder::default()
            };
            let kind = match op {
                "lock" => "mutex",
                "read" | "write" => "rwlock",
                "acquire" => "semaphore",
                "send" | "recv" => "mpsc",
                "join" => "join_handle",
                _ => "notify",
            };
            let words = || holders.split_whitespace();
            OpenWait {
                task: Some(id(task.trim_end_matches('*'))),
                resource: Some(ResourceId(u64::from(name.as_bytes()[0]))),
                resource_kind: kind.into(),
                resource_name: name.into(),
                op: op.into(),
                location: (place != "-").then(|| place.to_owned()),
                began_at: UnixNanos(if task.ends_with('*') {
                    60 * SECOND - 9
                } else {
                    10 * SECOND
                }),
                holders: words().filter(|word| !word.starts_with('!')).map(holder).collect(),
                awaits_task: words().find_map(|word| word.strip_prefix('!')).map(id),
                ..OpenWait::default()
            }
        });
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60 * SECOND),
            open_waits: waits.collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn two_locks_taken_in_two_orders_are_one() {
        check(
            &RULE,
            &waits(&["lock b: 1 @a.rs:9 > 2", "lock a: 2 @b.rs:9 > 1", "lock a: 3 @c.rs:1 > 1"]),
            &[
                "error a.rs:9 → b.rs:9: deadlock: task 1 (at `a.rs:9`) and task 2 (at `b.rs:9`) wait for each other",
            ],
        );
    }

    #[test]
    fn each_is_told_with_what_it_holds_and_waits_for() {
        let facts =
            waits(&["lock b: 1 @a.rs:9 > 2", "join j: 2 @b.rs:9 > 1", "lock b: 7 @c.rs:1 > 2"]);
        let Verdict::Found(found) = super::check(&facts) else { panic!() };
        let told: Vec<_> = found[0].evidence.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            told,
            [
                "task 1 waits at `a.rs:9` since 50.0 s to lock mutex `b`, for which task 2 stands in the way",
                "task 2 holds mutex `b` (taken at `take.rs:2`, 55.0 s ago) and waits at `b.rs:9` since 50.0 s for task 1 to end",
                "another task waits for these",
            ]
        );
        assert_eq!((found[0].score, found[0].confidence), (100, Confidence::Certain));
    }

    #[test]
    fn a_circle_of_any_length_is_told_from_the_smallest_place_on() {
        check(
            &RULE,
            &waits(&["lock c: 5 @z.rs:1 > 6", "lock b: 6 @a.rs:1 > 9", "lock a: 9 @m.rs:1 > 5"]),
            &[
                "error a.rs:1 → m.rs:1 → z.rs:1: deadlock: 3 tasks wait for each other in a circle, at `z.rs:1`, `a.rs:1`, `m.rs:1`",
            ],
        );
        check(
            &RULE,
            &waits(&["lock c: 5 @- > 6", "lock b: 6 @a.rs:1 > 5"]),
            &[
                "error a.rs:1 → lock mutex: deadlock: task 5 (at an unknown place) and task 6 (at `a.rs:1`) wait for each other",
            ],
        );
    }

    #[test]
    fn where_no_line_is_known_it_is_the_same_in_the_next_run() {
        let subject = |facts: &Facts| match super::check(facts) {
            Verdict::Found(found) => found[0].subject.clone(),
            verdict => panic!("{verdict:?}"),
        };
        let mut facts = waits(&["lock c: 5 @- > 6", "lock b: 6 @- > 5"]);
        assert_eq!(subject(&facts), "lock mutex → lock mutex");
        facts.open_waits[0].task_name = "biller".into();
        assert_eq!(subject(&facts), "biller → lock mutex");
        let location = Some("m.rs:3".to_owned());
        facts.alive = vec![AliveTask { task: TaskId(6), location, ..AliveTask::default() }];
        assert_eq!(subject(&facts), "biller → m.rs:3");
    }

    #[test]
    fn a_task_can_wait_for_itself() {
        check(
            &RULE,
            &waits(&["lock a: 4 @a.rs:9 > 4"]),
            &[
                "error a.rs:9: deadlock: task 4 waits at `a.rs:9` to lock mutex `a`, which it holds itself",
            ],
        );
        check(
            &RULE,
            &waits(&["write a: 1 @a.rs:9 > 1 2", "write a: 2 @a.rs:9 > 1 2"]),
            &[
                "error a.rs:9: deadlock: 2 tasks wait at `a.rs:9` to write to rwlock `a`, which each of them reads",
            ],
        );
    }

    #[test]
    fn the_same_lines_are_one_finding_however_many_tasks_they_caught() {
        let facts = waits(&[
            "lock b: 1 @a.rs:9 > 2",
            "lock a: 2 @b.rs:9 > 1",
            "lock d: 3 @b.rs:9 > 4",
            "lock c: 4 @a.rs:9 > 3",
        ]);
        let Verdict::Found(found) = super::check(&facts) else { panic!() };
        assert_eq!((found.len(), found[0].occurrences), (1, 2));
    }

    #[test]
    fn joins_and_channels_with_one_other_end_close_a_circle() {
        check(
            &RULE,
            &waits(&["send p: 1 @a.rs:9 > !2", "send q: 2 @b.rs:9 > !1"]),
            &[
                "error a.rs:9 → b.rs:9: deadlock: task 1 (at `a.rs:9`) and task 2 (at `b.rs:9`) wait for each other",
            ],
        );
        check(&RULE, &waits(&["join j: 1 @a.rs:9 > 2", "recv q: 2 @b.rs:9 >"]), &["ok"]);
    }

    #[test]
    fn who_waits_to_receive_may_go_on_with_what_is_not_recorded() {
        let line = "info a.rs:9 → b.rs:9: looks like a deadlock: task 1 (at `a.rs:9`) and task 2 (at `b.rs:9`) wait for each other";
        for script in [
            ["join j: 1 @a.rs:9 > 2", "recv q: 2 @b.rs:9 > !1"],
            ["lock a: 1 @a.rs:9 > 2", "recv q: 2 @b.rs:9 > !1"],
            ["send p: 1 @a.rs:9 > !2", "recv q: 2 @b.rs:9 > !1"],
        ] {
            check(&RULE, &waits(&script), &[line]);
        }
    }

    #[test]
    fn actors_with_nothing_to_do_are_none() {
        check(&RULE, &waits(&["recv p: 1 @a.rs:9 > !2", "recv q: 2 @b.rs:9 > !1"]), &["ok"]);
        check(
            &RULE,
            &waits(&[
                "recv p: 1 @a.rs:9 > !2",
                "recv q: 2 @b.rs:9 > !3",
                "recv r: 3 @c.rs:9 > !1",
                "join j: 4 @main.rs:1 > 1",
            ]),
            &["ok"],
        );
    }

    /// The way over the receiver comes first by its number, and is no shorter.
    #[test]
    fn a_circle_of_what_is_held_is_not_hidden_by_who_receives() {
        check(
            &RULE,
            &waits(&[
                "recv q: 1 @q.rs:1 > !2",
                "write a: 2 @a.rs:9 > 1 3",
                "lock b: 3 @b.rs:9 > 2",
            ]),
            &[
                "error a.rs:9 → b.rs:9: deadlock: task 2 (at `a.rs:9`) and task 3 (at `b.rs:9`) wait for each other",
            ],
        );
    }

    #[test]
    fn of_a_semaphore_all_permits_must_be_stuck() {
        let mut facts = waits(&["acquire s: 1 @a.rs:9 > 2", "lock a: 2 @b.rs:9 > 1"]);
        let capacity = |capacity| ResourceUse {
            resource: ResourceId(u64::from(b's')),
            capacity: Some(capacity),
            ..ResourceUse::default()
        };
        let line = "error a.rs:9 → b.rs:9: deadlock: task 1 (at `a.rs:9`) and task 2 (at `b.rs:9`) wait for each other";
        check(&RULE, &facts, &[line]);
        facts.uses = vec![capacity(1)];
        check(&RULE, &facts, &[line]);
        // Somebody has the other one, and may give it back.
        facts.uses = vec![capacity(2)];
        check(&RULE, &facts, &["ok"]);
        check(&RULE, &waits(&["acquire s: 1 @a.rs:9 > 2 3", "lock a: 2 @b.rs:9 > 1"]), &["ok"]);
    }

    #[test]
    fn waits_for_who_is_at_work_are_none() {
        check(
            &RULE,
            &waits(&["lock a: 1 @a.rs:9 > 3", "lock a: 2 @a.rs:9 > 3", "recv q: 5 @q.rs:1 >"]),
            &["ok"],
        );
    }

    #[test]
    fn who_may_go_on_with_something_else_only_looks_like_it() {
        let line = "info a.rs:9 → b.rs:9: looks like a deadlock: task 1 (at `a.rs:9`) and task 2 (at `b.rs:9`) wait for each other";
        let script = ["lock b: 1 @a.rs:9 > 2", "lock a: 2 @b.rs:9 > 1", "sleep t: 2 @b.rs:9 >"];
        check(&RULE, &waits(&script), &[line]);
        let mut facts = waits(&script[..2]);
        facts.losses.push(Lost {
            kind: Some(RecordKind::Wait),
            cause: DropCause::RingFull,
            count: 1,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(&RULE, &facts, &[line]);
    }

    #[test]
    fn a_wait_that_has_just_begun_may_be_over() {
        check(&RULE, &waits(&["lock b: 1* @a.rs:9 > 2", "lock a: 2 @b.rs:9 > 1"]), &["ok"]);
    }

    #[test]
    fn without_waits_nothing_is_known() {
        check(
            &RULE,
            &Facts::default(),
            &["needs the layer `guards`, which this process does not record"],
        );
        let coverage = |reason: &str| Coverage {
            layer: "waits".into(),
            state: CoverageState::On,
            reason: reason.into(),
        };
        let mut facts = Facts { runtime: Runtime::Asyncio, ..Facts::default() };
        facts.coverage = vec![coverage("")];
        check(&RULE, &facts, &["ok"]);
        facts.coverage = vec![coverage("waits are switched off")];
        check(
            &RULE,
            &facts,
            &["needs waits, which are switched off; `loopd capture --waits on` switches them on"],
        );
    }
}
