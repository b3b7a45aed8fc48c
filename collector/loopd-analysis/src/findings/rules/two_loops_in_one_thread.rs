//! Two loops that one thread runs in turn: while one runs, all tasks of the other stand still.

use loopd_model::UnixNanos;

use crate::findings::load;
use crate::findings::{Confidence, Facts, Finding, Level, Link, Loop, Rule, Verdict};
use crate::runtime::Runtime;
use crate::text::duration_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "two_loops_in_one_thread", title: "Loops that share a thread", check };

/// A shorter overlap is one loop taking over from the other.
const MIN_OVERLAP: u64 = 1_000_000_000;
/// More loops than these are compared no further: pairs become many.
const MAX_LOOPS: usize = 200;

fn check(facts: &Facts) -> Verdict {
    // A runtime with workers of its own goes on whoever blocks on it.
    let loops: Vec<&Loop> =
        facts.loops.iter().filter(|it| it.workers <= 1).take(MAX_LOOPS).collect();
    let pairs = loops.iter().enumerate().flat_map(|(i, &a)| {
        loops[i + 1..].iter().filter_map(move |&b| {
            let thread = a.threads.iter().find(|thread| b.threads.contains(thread))?;
            Some((a, b, *thread))
        })
    });
    Verdict::of(pairs.filter_map(|(a, b, thread)| finding(facts, a, b, thread)).collect())
}

fn finding(facts: &Facts, a: &Loop, b: &Loop, thread: u64) -> Option<Finding> {
    // Only polls tell that both were at work: a loop may just lie there, never run or never closed.
    let ((a_from, a_to), (b_from, b_to)) = (a.active?, b.active?);
    let (from, to) = (a_from.max(b_from), a_to.min(b_to));
    let overlap = to.0.saturating_sub(from.0).max(0).cast_unsigned();
    if overlap < MIN_OVERLAP {
        return None;
    }
    let level = match facts.runtime {
        Runtime::Asyncio => Level::Warning,
        // Several runtimes blocked on in turn are meant so.
        _ => Level::Info,
    };
    let named = |it: &Loop| match it.name.as_str() {
        "" => format!("loop {}", it.id),
        name => format!("loop {} `{name}`", it.id),
    };
    let active = |it: &Loop, (from, to): (UnixNanos, UnixNanos)| {
        let time = to.0.saturating_sub(from.0).max(0).cast_unsigned();
        format!("{} ran polls over {}", named(it), duration_text(time))
    };
    let mut subjects = [a, b].map(|it| load::loop_subject(facts, it.id));
    subjects.sort_unstable();
    Some(
        Finding::new(RULE.id, subjects.join(" and "), level)
            .confidence(Confidence::Likely)
            .harm(overlap)
            .seen(1, from, to)
            .title(format!(
                "{} and {} were both at work in thread {thread} for {}",
                named(a),
                named(b),
                duration_text(overlap)
            ))
            .advice(
                "A thread runs one loop at a time: while it is in one, timers, sockets and tasks of the \
                 other stand still.",
                match facts.runtime {
                    Runtime::Asyncio => {
                        "Run all of it in one loop and await instead of nesting \
                         `run_until_complete`; what must have a loop of its own, give a thread and call \
                         with `asyncio.run_coroutine_threadsafe(…)`."
                    }
                    _ => "Use one runtime, or give the second a thread of its own.",
                },
            )
            .proof(active(a, (a_from, a_to)), Some(Link::At(a_from)))
            .proof(active(b, (b_from, b_to)), Some(Link::At(b_from))),
    )
}

#[cfg(test)]
mod tests {
    use loopd_model::LoopId;

    use super::*;
    use crate::findings::rules::tests::check;

    /// `thread from to`, in seconds.
    fn facts(script: &[(u64, i64, i64)]) -> Facts {
        let of = |(i, &(thread, from, to)): (usize, &(u64, i64, i64))| Loop {
            id: LoopId(i as u64 + 1),
            workers: 1,
            threads: vec![thread],
            active: (to > 0)
                .then_some((UnixNanos(from * 1_000_000_000), UnixNanos(to * 1_000_000_000))),
            ..Loop::default()
        };
        let loops = script.iter().enumerate().map(of).collect();
        Facts { runtime: Runtime::Asyncio, loops, ..Facts::default() }
    }

    #[test]
    fn nested_loops_are_found() {
        check(
            &RULE,
            &facts(&[(7, 1, 60), (7, 10, 20), (8, 1, 60)]),
            &[
                "warning a loop and a loop: loop 1 and loop 2 were both at work in thread 7 for 10.0 s",
            ],
        );
        let tokio = Facts { runtime: Runtime::Tokio, ..facts(&[(7, 1, 60), (7, 10, 20)]) };
        check(
            &RULE,
            &tokio,
            &["info a loop and a loop: loop 1 and loop 2 were both at work in thread 7 for 10.0 s"],
        );
    }

    #[test]
    fn one_after_the_other_or_in_threads_of_their_own_are_fine() {
        check(&RULE, &facts(&[(7, 1, 20), (7, 20, 40), (8, 1, 60)]), &["ok"]);
        check(&RULE, &facts(&[(7, 1, 60), (7, 0, 0)]), &["ok"]);
        let mut several = facts(&[(7, 1, 60), (7, 10, 20)]);
        several.loops[0].workers = 8;
        check(&RULE, &several, &["ok"]);
    }
}
