//! A wait that has lasted for minutes, nothing that would end it in sight, and others depend on it.

use std::collections::HashMap;

use loopd_model::{RecordKind, TaskId};

use super::waiting::{self, Waiting, at, purpose};
use crate::findings::{Confidence, Facts, Finding, Level, Link, OpenWait, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};
use crate::wait_graph::Step;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "await_without_timeout", title: "Waits of minutes that others depend on", check };

/// Whoever asked has given up by then, in most protocols.
const LONG: u64 = 120_000_000_000;
/// So many of those who wait behind are named.
const MAX_NAMED: usize = 4;

/// What is waited for.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    /// An answer, which should come: minutes are wrong.
    Answer,
    /// Work or a signal, which may come or not: idle servers wait for days.
    Work,
    /// A clock: it ends by itself.
    Clock,
}

fn sort(op: &str) -> Sort {
    match op {
        "lock" | "read" | "write" | "acquire" | "send" | "connect" | "open" => Sort::Answer,
        "sleep" | "tick" => Sort::Clock,
        _ => Sort::Work,
    }
}

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts) {
        return Verdict::Needs(missing);
    }
    let waiting = Waiting::of(facts);
    let found = waiting.waits().filter_map(|(index, wait)| finding(facts, &waiting, index, wait));
    Verdict::of(found.collect())
}

fn finding(facts: &Facts, waiting: &Waiting<'_>, index: usize, wait: &OpenWait) -> Option<Finding> {
    let task = wait.task?;
    let length = facts.since(wait.began_at);
    // Whoever is in several waits leaves with the first that ends, such as a timeout.
    let is_alone = waiting.graph.waits_of(task).len() == 1;
    if length < LONG || sort(&wait.op) == Sort::Clock || !is_alone {
        return None;
    }
    // Who waits for somebody that waits is told of with that one; a circle is a deadlock.
    let chain = waiting.certain.chain(index);
    if let Some(&last) = chain.steps.last() {
        let root = waiting.graph.blocker(last);
        let is_held = chain.steps.len() == 1 && waiting.graph.waits_of(root).is_empty();
        return (is_held && is_lock(&wait.op))
            .then(|| held(facts, waiting, chain.steps[0], wait))
            .flatten();
    }
    let behind = dependents(waiting, task, sort(&wait.op) == Sort::Work);
    let level = match (behind.is_empty(), sort(&wait.op)) {
        (false, _) if !facts.has_lost(RecordKind::Wait) => Level::Warning,
        (true, Sort::Work) => return None,
        _ => Level::Info,
    };
    let others = match behind.len() {
        0 => String::new(),
        1 => ", and another task waits for it".to_owned(),
        n => format!(", and {} tasks wait for it", count_text(n as u64)),
    };
    let harm = behind.iter().map(|step| facts.since(waiting.wait(step.wait).began_at));
    let title = format!(
        "{} has waited {} {} for {}{others}",
        waiting.who(task),
        at(wait.location.as_deref()),
        purpose(wait),
        duration_text(length),
    );
    let finding = tell(facts, wait, level, title).harm(harm.fold(0, u64::saturating_add)).proof(
        format!("it waits for nothing else, such as a timer, since {}", duration_text(length)),
        Some(Link::Task(task)),
    );
    Some(name(facts, waiting, finding, &behind))
}

/// Something that has been held for minutes by a task of which no wait is known.
fn held(facts: &Facts, waiting: &Waiting<'_>, step: Step, wait: &OpenWait) -> Option<Finding> {
    let holder = waiting.holder(step)?;
    let root = waiting.graph.blocker(step);
    let behind = waiting.graph.behind(root);
    // Of those who wait for it, the one that has waited longest tells it.
    let first = behind.iter().map(|step| waiting.wait(step.wait)).min_by_key(|it| it.began_at)?;
    if !std::ptr::eq(first, wait) {
        return None;
    }
    let is_lost = facts.has_lost(RecordKind::Wait);
    // Those who would take it at the same line wait for their turn: standbys, or workers in a row.
    let in_turn = dependents(waiting, root, false).is_empty();
    let level = if is_lost || in_turn { Level::Info } else { Level::Warning };
    let title = format!(
        "{} has held {} (taken {}) for {}, and {}",
        waiting.who(root),
        waiting::thing(wait),
        at(holder.location.as_deref()),
        duration_text(facts.since(holder.since_at)),
        match behind.len() {
            1 => "another task waits for it".to_owned(),
            n => format!("{} tasks wait for it", count_text(n as u64)),
        },
    );
    let harm = behind.iter().map(|step| facts.since(waiting.wait(step.wait).began_at));
    let mut finding =
        tell(facts, wait, level, title).harm(harm.fold(0, u64::saturating_add)).proof(
            "where it is itself is not recorded: `loopd tasks` and a dump may tell",
            Some(Link::Task(root)),
        );
    if let Some(place) = &holder.location {
        (finding.subject, finding.location) = (place.clone(), Some(place.clone()));
    }
    if in_turn {
        finding = finding.proof("all who wait would take it at the same line", None);
    }
    Some(name(facts, waiting, finding, &behind))
}

fn is_lock(op: &str) -> bool {
    matches!(op, "lock" | "read" | "write")
}

/// Who cannot go on before a task does. Peers that wait for their turn at the same thing are not
/// among them (workers that share one receiver behind a lock), nor is whoever joins a task that waits for
/// work (a main that joins its server), or receives from one (the next stage of an idle pipeline).
fn dependents(waiting: &Waiting<'_>, task: TaskId, waits_for_work: bool) -> Vec<Step> {
    // Who waits only for the sake of one that does not count, does not count either.
    let mut counts: HashMap<TaskId, bool> = HashMap::from([(task, true)]);
    let behind = waiting.graph.behind(task).into_iter();
    behind
        .filter(|&step| {
            let (other, blocker) = (waiting.wait(step.wait), waiting.graph.blocker(step));
            let above = counts.get(&blocker).copied().unwrap_or(false);
            let taken = waiting.holder(step).and_then(|holder| holder.location.as_ref());
            let is_peer = taken.is_some() && taken == other.location.as_ref();
            let is_daemon = other.op == "join" && blocker == task && waits_for_work;
            let is_idle = waits_for_work && waiting::may_get_otherwise(other);
            let does = above && !is_peer && !is_daemon && !is_idle;
            counts.insert(waiting.graph.waiter(step), does);
            does
        })
        .collect()
}

fn tell(facts: &Facts, wait: &OpenWait, level: Level, title: String) -> Finding {
    let place = wait.location.as_deref();
    let subject =
        place.map_or_else(|| format!("{} {}", wait.op, wait.resource_kind), str::to_owned);
    let finding = Finding::new(RULE.id, subject, level)
        .at(place)
        .confidence(if level == Level::Info { Confidence::Possible } else { Confidence::Likely })
        .seen(1, wait.began_at, facts.to)
        .title(title)
        .advice(
            "If what it waits for never comes, it waits for ever, and everybody behind it does too.",
            match facts.words() {
                Runtime::Tokio => {
                    "Put the await in `tokio::time::timeout` and treat its end as an error; hold nothing \
                     meanwhile."
                }
                Runtime::EventLoop => {
                    "Put the await in `wait_for` and treat `Error::TimedOut` as an error; hold nothing \
                     meanwhile."
                }
                Runtime::Asyncio => {
                    "Put the await in `async with asyncio.timeout(…)` and treat `TimeoutError` as an \
                     error; hold nothing meanwhile."
                }
                Runtime::Unknown => "Give it a timeout, and hold nothing meanwhile.",
            },
        );
    finding.snippet(match facts.words() {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "let answer = tokio::time::timeout(Duration::from_secs(5), replies.recv()).await?;",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let answer = wait_for(Duration::from_secs(5), async { Ok(replies.recv().await) }).await?;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "async with asyncio.timeout(5):\n    answer = await replies.get()",
        }),
        Runtime::Unknown => None,
    })
}

fn name(facts: &Facts, waiting: &Waiting<'_>, mut finding: Finding, behind: &[Step]) -> Finding {
    for &step in behind.iter().take(MAX_NAMED) {
        let wait = waiting.wait(step.wait);
        let task = waiting.graph.waiter(step);
        let text = format!(
            "{} waits {} since {} {}, behind {}",
            waiting.who(task),
            at(wait.location.as_deref()),
            duration_text(facts.since(wait.began_at)),
            purpose(wait),
            waiting.who(waiting.graph.blocker(step)),
        );
        finding = finding.proof(text, Some(Link::Task(task)));
    }
    finding
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::deadlock::tests::waits;
    use crate::findings::rules::tests::check;

    /// As there, but ten minutes later.
    fn later(script: &[&str]) -> Facts {
        Facts { to: UnixNanos(660_000_000_000), ..waits(script) }
    }

    #[test]
    fn a_long_wait_of_who_holds_what_others_need_is_found() {
        check(
            &RULE,
            &later(&["recv q: 1 @a.rs:9 >", "lock a: 2 @b.rs:9 > 1", "join j: 3 @m.rs:1 > 2"]),
            &[
                "warning a.rs:9: task 1 has waited at `a.rs:9` to receive from mpsc `q` for 10 min 50 s, and 2 tasks wait for it",
            ],
        );
        check(
            &RULE,
            &later(&["connect c: 1 @a.rs:9 >", "join j: 3 @m.rs:1 > 1"]),
            &[
                "warning a.rs:9: task 1 has waited at `a.rs:9` for `connect` of notify `c` for 10 min 50 s, and another task waits for it",
            ],
        );
    }

    #[test]
    fn a_lock_held_for_minutes_by_who_waits_for_nothing_known_is_found() {
        check(
            &RULE,
            &later(&["lock a: 1 @a.rs:9 > 7", "lock a: 2 @a.rs:9 > 7"]),
            &[
                "warning take.rs:7: task 7 has held mutex `a` (taken at `take.rs:7`) for 10 min 55 s, and 2 tasks wait for it",
            ],
        );
    }

    #[test]
    fn who_stands_by_for_a_leader_is_only_worth_knowing() {
        let line = "info take.rs:7: task 7 has held mutex `a` (taken at `take.rs:7`) for 10 min 55 s, and 3 tasks wait for it";
        let standbys =
            ["lock a: 1 @take.rs:7 > 7", "lock a: 2 @take.rs:7 > 7", "join j: 3 @m.rs:1 > 1"];
        check(&RULE, &later(&standbys), &[line]);
        let [first, second, _] = standbys;
        let line = line.replacen("info", "warning", 1);
        check(&RULE, &later(&[first, second, "read a: 3 @use.rs:1 > 7"]), &[&line]);
    }

    #[test]
    fn an_answer_that_nobody_depends_on_is_only_worth_knowing() {
        check(
            &RULE,
            &later(&["connect c: 1 @a.rs:9 >"]),
            &[
                "info a.rs:9: task 1 has waited at `a.rs:9` for `connect` of notify `c` for 10 min 50 s",
            ],
        );
    }

    #[test]
    fn idle_servers_and_daemons_are_fine() {
        check(&RULE, &later(&["accept l: 1 @a.rs:9 >", "join j: 2 @main.rs:1 > 1"]), &["ok"]);
        check(&RULE, &later(&["recv q: 1 @a.rs:9 >", "notified n: 2 @b.rs:9 >"]), &["ok"]);
        check(&RULE, &later(&["sleep t: 1 @a.rs:9 >", "lock a: 2 @b.rs:9 > 1"]), &["ok"]);
        check(&RULE, &later(&["join j: 1 @main.rs:1 > 5"]), &["ok"]);
        // Workers that share a receiver: who has it waits for work, the others for it.
        check(
            &RULE,
            &later(&[
                "recv q: 1 @w.rs:9 >",
                "lock a: 2 @take.rs:1 > 1",
                "lock a: 3 @take.rs:1 > 1",
            ]),
            &["ok"],
        );
    }

    #[test]
    fn idle_pipelines_and_actors_are_fine() {
        check(&RULE, &later(&["recv p: 1 @a.rs:9 >", "recv q: 2 @b.rs:9 > !1"]), &["ok"]);
        let actors = ["recv p: 1 @a.rs:9 > !2", "recv q: 2 @b.rs:9 > !1"];
        check(&RULE, &later(&actors), &["ok"]);
        // But not what one of them keeps meanwhile.
        let [first, second] = actors;
        check(
            &RULE,
            &later(&[first, second, "lock a: 3 @c.rs:1 > 1"]),
            &[
                "warning a.rs:9: task 1 has waited at `a.rs:9` to receive from mpsc `p` for 10 min 50 s, and another task waits for it",
            ],
        );
    }

    #[test]
    fn whoever_has_a_timer_or_has_just_begun_is_fine() {
        check(
            &RULE,
            &later(&["recv q: 1 @a.rs:9 >", "sleep t: 1 @a.rs:9 >", "lock a: 2 @b.rs:9 > 1"]),
            &["ok"],
        );
        check(&RULE, &waits(&["recv q: 1 @a.rs:9 >", "lock a: 2 @b.rs:9 > 1"]), &["ok"]);
        // That is a deadlock.
        check(&RULE, &later(&["lock b: 1 @a.rs:9 > 2", "lock a: 2 @b.rs:9 > 1"]), &["ok"]);
    }
}
