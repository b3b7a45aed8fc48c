//! Loops of a process that has ended which were never closed.

use loopd_model::RecordKind;

use crate::checks::FIELD;
use crate::findings::{Confidence, Facts, Finding, Level, Link, Loop, Rule, State, Verdict};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "unclosed_loop", title: "Loops that were never closed", check };

/// So many loops are named.
const MAX_NAMED: usize = 5;

fn check(facts: &Facts) -> Verdict {
    if facts.runtime == Runtime::Tokio {
        return Verdict::NotApplicable("a runtime of tokio is closed by dropping it");
    }
    // While it runs, and where it was killed, a loop is open because it is in use.
    if facts.state != State::Ended || facts.has_lost_since(RecordKind::Loop, facts.started_at) {
        return Verdict::Ok;
    }
    let open: Vec<&Loop> = facts.loops.iter().filter(|it| it.closed_at.is_none()).collect();
    let is_complaint = |fields: &[(String, String)]| {
        fields.iter().any(|(key, value)| key == FIELD && value == "unclosed_loop")
    };
    // Of those that were freed asyncio complains itself.
    let told = facts.complaints.iter().filter(|it| is_complaint(&it.fields)).count();
    if open.len() <= told {
        return Verdict::Ok;
    }
    Verdict::of(vec![finding(facts, &open)])
}

fn finding(facts: &Facts, open: &[&Loop]) -> Finding {
    // A program that ends with its one loop loses nothing much; one that makes them anew loses each time.
    let level = if open.len() > 1 { Level::Warning } else { Level::Info };
    let n = count_text(open.len() as u64);
    let loops = if open.len() == 1 { "loop was" } else { "loops were" };
    let first = open.iter().filter_map(|it| it.opened_at).min().unwrap_or(facts.from);
    let mut finding = Finding::new(RULE.id, "loops", level)
        .confidence(Confidence::Likely)
        .seen(open.len() as u64, first, facts.to)
        .title(format!("{n} {loops} never closed before the process ended"))
        .advice(
            "Its pending tasks were not cancelled, its asynchronous generators not finished, and its \
             selector and sockets left to the operating system.",
            "Use `asyncio.run(…)` or `asyncio.Runner`, which close it, or call `loop.close()` in a \
             `finally`.",
        );
    for it in open.iter().take(MAX_NAMED) {
        let text = format!("loop {} `{}` ({}) is open", it.id, it.name, it.flavor);
        finding = finding.proof(text, it.opened_at.map(Link::At));
    }
    finding
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, LoopId, MarkLevel, UnixNanos};

    use super::*;
    use crate::checks::Complaint;
    use crate::findings::Lost;
    use crate::findings::rules::tests::check;

    fn facts(state: State, closed: &[Option<i64>]) -> Facts {
        let of = |at: &Option<i64>| Loop {
            id: LoopId(3),
            closed_at: at.map(UnixNanos),
            ..Loop::default()
        };
        let loops = closed.iter().map(of).collect();
        Facts { runtime: Runtime::Asyncio, state, loops, ..Facts::default() }
    }

    #[test]
    fn loops_left_open_at_the_end_are_found() {
        check(
            &RULE,
            &facts(State::Ended, &[Some(5), None, None]),
            &["warning loops: 2 loops were never closed before the process ended"],
        );
        check(
            &RULE,
            &facts(State::Ended, &[None]),
            &["info loops: 1 loop was never closed before the process ended"],
        );
    }

    #[test]
    fn loops_in_use_and_what_asyncio_complains_of_are_none() {
        check(&RULE, &facts(State::Live, &[None]), &["ok"]);
        check(&RULE, &facts(State::Lost, &[None]), &["ok"]);
        check(&RULE, &facts(State::Ended, &[Some(5)]), &["ok"]);
        let mut told = facts(State::Ended, &[None]);
        told.complaints.push(Complaint {
            at: UnixNanos(1),
            level: MarkLevel::Warn,
            message: "unclosed event loop".into(),
            fields: vec![(FIELD.into(), "unclosed_loop".into())],
            location: None,
        });
        check(&RULE, &told, &["ok"]);
        let mut lost = facts(State::Ended, &[None]);
        lost.losses.push(Lost {
            kind: Some(RecordKind::Loop),
            cause: DropCause::RingFull,
            count: 1,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(&RULE, &lost, &["ok"]);
        let tokio = Facts { runtime: Runtime::Tokio, ..facts(State::Ended, &[None]) };
        check(&RULE, &tokio, &["not applicable: a runtime of tokio is closed by dropping it"]);
    }
}
