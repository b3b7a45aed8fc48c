//! Sockets, servers and children that are open though every loop is closed: nothing can close them
//! properly any more.

use loopd_model::RecordKind;

use super::kinds::{is_complained_of, is_of_a_loop, subject_at};
use super::waiting::at;
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, Rule, State, ThingPopulation, Verdict,
};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "resource_outlives_loop", title: "Resources that outlive their loop", check };

/// In Rust what main has is dropped just after its runtime, which closes it as well.
const GRACE: u64 = 1_000_000_000;

fn check(facts: &Facts) -> Verdict {
    if facts.loops.is_empty() || !is_found(facts) {
        return Verdict::Ok;
    }
    let sites = facts.resources.iter().filter(|site| {
        let is_told = is_complained_of(facts, &site.kind, site.location.as_deref());
        site.left_open > 0 && is_of_a_loop(&site.kind) && !is_told
    });
    Verdict::of(sites.map(|site| finding(facts, site)).collect())
}

/// Whether what is open now is open without a loop.
pub(super) fn is_found(facts: &Facts) -> bool {
    let has_lost = |kind| facts.has_lost_since(kind, facts.started_at);
    if has_lost(RecordKind::Resource) || has_lost(RecordKind::Loop) {
        return false;
    }
    let closed: Option<Vec<_>> = facts.loops.iter().map(|it| it.closed_at).collect();
    let Some(last) = closed.and_then(|closed| closed.into_iter().max()) else { return false };
    match facts.runtime {
        // Of one that went away without a goodbye nobody knows what it closed at the last.
        Runtime::Asyncio => facts.state != State::Lost,
        // At its end a process has no time left to drop anything.
        _ => facts.state == State::Live && facts.since(last) >= GRACE,
    }
}

fn finding(facts: &Facts, site: &ThingPopulation) -> Finding {
    let place = site.location.as_deref();
    let closed_at = facts.loops.iter().filter_map(|it| it.closed_at).max().unwrap_or(facts.to);
    let n = count_text(site.left_open);
    let (level, confidence) = match facts.runtime {
        Runtime::Asyncio => (Level::Warning, Confidence::Certain),
        // It may be given to a runtime that is yet to come.
        _ => (Level::Info, Confidence::Possible),
    };
    let are = if site.left_open == 1 { "is" } else { "are" };
    let mut finding = Finding::new(RULE.id, subject_at(&site.kind, place), level)
        .at(place)
        .confidence(confidence)
        .at_least(30)
        .seen(site.left_open, closed_at, facts.to)
        .title(format!(
            "{n} of kind `{}` opened {} {are} open though every loop is closed",
            site.kind,
            at(place)
        ))
        .advice(
            "What is on a loop needs it to be closed: buffers are not flushed, and the other side \
             waits until the process ends.",
            match facts.runtime {
                Runtime::Asyncio => {
                    "Close it and await that (`await writer.wait_closed()`, `await \
                     server.wait_closed()`, `await process.wait()`) before `main` returns."
                }
                _ => "Drop it before the runtime, or shut it down in a task that main awaits.",
            },
        )
        .proof("the last loop closed then", Some(Link::At(closed_at)));
    for (resource, name) in site.examples.iter().take(3) {
        let text = format!("{resource} {name} is open").replace("  ", " ");
        finding = finding.proof(text, Some(Link::Resource(*resource)));
    }
    finding
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::Loop;
    use crate::findings::rules::tests::check;

    const SECOND: i64 = 1_000_000_000;

    fn facts(runtime: Runtime, kind: &str, closed: &[Option<i64>]) -> Facts {
        let site = ThingPopulation {
            kind: kind.into(),
            location: Some("app.py:8".into()),
            open: 2,
            left_open: 2,
            ..ThingPopulation::default()
        };
        let of = |at: &Option<i64>| Loop {
            closed_at: at.map(|at| UnixNanos(at * SECOND)),
            ..Loop::default()
        };
        Facts {
            runtime,
            to: UnixNanos(60 * SECOND),
            loops: closed.iter().map(of).collect(),
            resources: vec![site],
            ..Facts::default()
        }
    }

    #[test]
    fn what_is_open_when_all_loops_are_closed_is_found() {
        check(
            &RULE,
            &facts(Runtime::Asyncio, "transport", &[Some(50), Some(60)]),
            &[
                "warning app.py:8 transport: 2 of kind `transport` opened at `app.py:8` are open though every loop is closed",
            ],
        );
        check(
            &RULE,
            &facts(Runtime::Tokio, "tcp", &[Some(50)]),
            &[
                "info app.py:8 tcp: 2 of kind `tcp` opened at `app.py:8` are open though every loop is closed",
            ],
        );
    }

    #[test]
    fn what_may_yet_be_closed_is_none() {
        check(&RULE, &facts(Runtime::Asyncio, "transport", &[Some(50), None]), &["ok"]);
        check(&RULE, &facts(Runtime::Asyncio, "transport", &[]), &["ok"]);
        // It needs no loop.
        check(&RULE, &facts(Runtime::Asyncio, "executor", &[Some(50)]), &["ok"]);
        check(&RULE, &facts(Runtime::Tokio, "tcp", &[Some(60)]), &["ok"]);
        let mut ended = facts(Runtime::Tokio, "tcp", &[Some(50)]);
        ended.state = State::Ended;
        check(&RULE, &ended, &["ok"]);
        let mut lost = facts(Runtime::Asyncio, "transport", &[Some(60)]);
        lost.state = State::Lost;
        check(&RULE, &lost, &["ok"]);
        // The shutdown closed it.
        let mut closed = facts(Runtime::Asyncio, "transport", &[Some(60)]);
        closed.resources[0].left_open = 0;
        check(&RULE, &closed, &["ok"]);
    }
}
