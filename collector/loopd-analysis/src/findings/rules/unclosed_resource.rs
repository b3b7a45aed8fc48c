//! What was dropped without the close that it requires, and what was still open when the process ended.

use std::collections::BTreeSet;

use loopd_model::RecordKind;

use super::kinds::{is_complained_of, is_of_the_system, subject_at};
use super::waiting::at;
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, Rule, State, ThingPopulation, Verdict,
};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "unclosed_resource", title: "Resources left without being closed", check };

/// So many kinds and places are named of what was open at the end.
const MAX_LEFT: usize = 8;

fn check(facts: &Facts) -> Verdict {
    let sites = facts.resources.iter();
    let unclosed = sites.clone().filter(|site| {
        site.unclosed > 0 && !is_complained_of(facts, &site.kind, site.location.as_deref())
    });
    let mut findings: Vec<_> = unclosed.map(|site| dropped(facts, site)).collect();
    let may_be_closed = facts.has_lost_since(RecordKind::Resource, facts.started_at);
    if facts.state == State::Ended && !may_be_closed {
        // A kind of which some were unclosed is one that requires it.
        let required: BTreeSet<&str> =
            sites.clone().filter(|it| it.unclosed > 0).map(|it| it.kind.as_str()).collect();
        let (must, may): (Vec<_>, Vec<_>) = sites
            .filter(|site| site.left_open > 0)
            .partition(|site| required.contains(site.kind.as_str()));
        findings.extend(must.into_iter().map(|site| left_open(facts, site)));
        // Sockets of a loop that has closed are the business of another rule.
        let may = may.into_iter().filter(|site| is_of_the_system(&site.kind));
        let outlives = super::resource_outlives_loop::is_found(facts);
        let left: Vec<_> =
            may.filter(|site| !(outlives && super::kinds::is_of_a_loop(&site.kind))).collect();
        findings.extend(at_the_end(facts, &left));
    }
    Verdict::of(findings)
}

fn dropped(facts: &Facts, site: &ThingPopulation) -> Finding {
    let place = site.location.as_deref();
    let n = count_text(site.unclosed);
    let were = if site.unclosed == 1 { "was" } else { "were" };
    let mut finding = Finding::new(RULE.id, subject_at(&site.kind, place), Level::Warning)
        .at(place)
        .at_least(40)
        .seen(site.unclosed, facts.from, facts.to)
        .title(format!("{n} of kind `{}` opened {} {were} dropped unclosed", site.kind, at(place)))
        .advice(
            "What its close was to do was not done: flush, say goodbye, give back; the other side may \
             wait for it.",
            fix(facts.runtime),
        )
        .proof(format!("{n} {were} dropped without a close"), Some(Link::Page("leaks")));
    for (resource, name) in site.examples.iter().take(2) {
        let text = format!("{resource} {name} of the same place is open");
        finding = finding.proof(text, Some(Link::Resource(*resource)));
    }
    finding
}

fn left_open(facts: &Facts, site: &ThingPopulation) -> Finding {
    let place = site.location.as_deref();
    let n = count_text(site.left_open);
    let subject = format!("{} at the end", subject_at(&site.kind, place));
    let were = if site.left_open == 1 { "was" } else { "were" };
    Finding::new(RULE.id, subject, Level::Warning)
        .at(place)
        .at_least(30)
        .confidence(Confidence::Likely)
        .seen(site.left_open, facts.to, facts.to)
        .title(format!(
            "{n} of kind `{}` opened {} {were} never closed before the process ended",
            site.kind,
            at(place)
        ))
        .advice("What its close was to do was not done.", fix(facts.runtime))
        .proof(
            format!("{n} {were} open at the end; others of the kind were dropped unclosed"),
            Some(Link::Page("leaks")),
        )
}

/// All that the operating system closed, in one: most programs leave something to it.
fn at_the_end(facts: &Facts, left: &[&ThingPopulation]) -> Option<Finding> {
    let open = left.iter().fold(0u64, |sum, site| sum.saturating_add(site.left_open));
    if open == 0 {
        return None;
    }
    let were = match open {
        1 => "A file, socket or child was".to_owned(),
        _ => format!("{} files, sockets or children were", count_text(open)),
    };
    let mut finding = Finding::new(RULE.id, "open at the end", Level::Info)
        .confidence(Confidence::Likely)
        .seen(open, facts.to, facts.to)
        .title(format!("{were} open when the process ended"))
        .advice(
            "The operating system closes what is left, but not in the program's order: what was not \
             written is gone, and peers see a reset.",
            fix(facts.runtime),
        );
    for site in left.iter().take(MAX_LEFT) {
        let place = at(site.location.as_deref());
        let text = format!("{} of kind `{}` opened {place}", count_text(site.left_open), site.kind);
        finding = finding.proof(text, Some(Link::Page("leaks")));
    }
    Some(finding)
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "Call its `close` (or `shutdown().await`, or `wait().await` for a child) on every way out, \
             errors included."
        }
        Runtime::Asyncio => {
            "Use it in `async with`, or call `close()` (and await `wait_closed()`) in a `finally`."
        }
        Runtime::Unknown => "Close it on every way out, errors included.",
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, MarkLevel, UnixNanos};

    use super::*;
    use crate::checks::{Complaint, FIELD};
    use crate::findings::Lost;
    use crate::findings::rules::tests::check;

    /// `kind place open unclosed`.
    fn facts(state: State, script: &[&str]) -> Facts {
        let site = |line: &&str| {
            let words: Vec<_> = line.split(' ').collect();
            ThingPopulation {
                kind: words[0].into(),
                location: Some(words[1].into()),
                // The shutdown swept up as many again.
                open: 2 * words[2].parse::<u64>().unwrap(),
                left_open: words[2].parse().unwrap(),
                unclosed: words[3].parse().unwrap(),
                ..ThingPopulation::default()
            }
        };
        Facts { state, resources: script.iter().map(site).collect(), ..Facts::default() }
    }

    #[test]
    fn what_was_dropped_unclosed_is_found_at_any_time() {
        check(
            &RULE,
            &facts(State::Live, &["session a.rs:3 2 4", "session b.rs:3 2 0"]),
            &[
                "warning a.rs:3 session: 4 of kind `session` opened at `a.rs:3` were dropped unclosed",
            ],
        );
    }

    #[test]
    fn at_the_end_what_must_be_closed_should_be() {
        check(
            &RULE,
            &facts(State::Ended, &["session a.rs:3 0 1", "session b.rs:3 2 0"]),
            &[
                "warning a.rs:3 session: 1 of kind `session` opened at `a.rs:3` was dropped unclosed",
                "warning b.rs:3 session at the end: 2 of kind `session` opened at `b.rs:3` were never closed before the process ended",
            ],
        );
        check(
            &RULE,
            &facts(State::Ended, &["tcp a.rs:3 2 0", "file b.rs:3 1 0"]),
            &[
                "info open at the end: 3 files, sockets or children were open when the process ended",
            ],
        );
    }

    #[test]
    fn what_a_program_may_keep_is_none() {
        check(&RULE, &facts(State::Live, &["tcp a.rs:3 200 0", "file b.rs:3 1 0"]), &["ok"]);
        check(&RULE, &facts(State::Ended, &["mutex a.rs:3 20 0", "mpsc b.rs:3 1 0"]), &["ok"]);
        // Killed: it had no chance.
        check(&RULE, &facts(State::Lost, &["tcp a.rs:3 2 0"]), &["ok"]);
    }

    #[test]
    fn what_asyncio_complains_of_is_told_there() {
        let mut facts = facts(State::Live, &["transport a.py:3 0 4"]);
        facts.complaints.push(Complaint {
            at: UnixNanos(1),
            level: MarkLevel::Warn,
            message: "unclosed transport".into(),
            fields: vec![(FIELD.into(), "unclosed_transport".into())],
            location: None,
        });
        check(&RULE, &facts, &["ok"]);
    }

    #[test]
    fn where_closes_may_be_missing_nothing_is_said_to_be_never_closed() {
        let mut facts = facts(State::Ended, &["session a.rs:3 0 1", "session b.rs:3 2 0"]);
        facts.losses.push(Lost {
            kind: Some(RecordKind::Resource),
            cause: DropCause::RingFull,
            count: 3,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(
            &RULE,
            &facts,
            &[
                "warning a.rs:3 session: 1 of kind `session` opened at `a.rs:3` was dropped unclosed",
            ],
        );
    }
}
