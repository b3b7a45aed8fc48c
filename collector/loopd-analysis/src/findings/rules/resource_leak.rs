//! Resources of one kind and place only ever become more.

use loopd_model::RecordKind;

use super::trend;
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, Rule, Snippet, ThingPopulation, Verdict,
};
use crate::leaks::{self, Judgement};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "resource_leak", title: "Resources that are not closed and become more", check };

fn check(facts: &Facts) -> Verdict {
    let judged = facts.resources.iter().map(|site| (site, leaks::judge(&site.population)));
    let growing = judged.filter(|(_, judgement)| judgement.verdict == leaks::Verdict::Growing);
    Verdict::of(growing.map(|(site, judgement)| finding(facts, site, &judgement)).collect())
}

fn finding(facts: &Facts, site: &ThingPopulation, judgement: &Judgement) -> Finding {
    let place = site.location.as_deref();
    let grew_from = leaks::window_start(facts.to, &site.population);
    let may_be_closed = facts.has_lost_since(RecordKind::Resource, grew_from);
    let is_churn = trend::is_churn(site.opened, site.closed);
    let too_short = trend::too_short(site.population.window);
    let (level, confidence, fate) = match (may_be_closed, is_churn, &too_short) {
        (true, ..) => (Level::Info, Confidence::Possible, "have not been seen to close"),
        (false, true, _) => (Level::Info, Confidence::Possible, "are open, more than ever"),
        (false, false, Some(_)) => (Level::Info, Confidence::Possible, "have not been closed"),
        (false, false, None) => (Level::Warning, Confidence::Likely, "were never closed"),
    };
    let held: u64 = site.population.ages.iter().fold(0, |sum, age| sum.saturating_add(*age));
    let mut finding = Finding::new(RULE.id, super::kinds::subject_at(&site.kind, place), level)
        .at(place)
        .confidence(confidence)
        .harm(held)
        .title(format!(
            "{} of kind `{}` opened {} {fate} ({:+.1} per minute)",
            count_text(site.open),
            site.kind,
            super::waiting::at(place),
            judgement.growth_per_min,
        ))
        .seen(site.open, facts.from, facts.to)
        .advice(
            "Each keeps its memory, and its file descriptor or connection if it has one, until there \
             are no more to have.",
            fix(facts.runtime),
        )
        .snippet(snippet(facts.runtime))
        .proof(
            format!(
                "{} opened and {} closed within {}",
                count_text(site.opened),
                count_text(site.closed),
                duration_text(site.population.window),
            ),
            Some(Link::Page("leaks")),
        );
    if let (Some(oldest), Some(median)) = (judgement.oldest_age, judgement.median_age) {
        let text = format!(
            "half of them are at least {} old, the oldest {}",
            duration_text(median),
            duration_text(oldest)
        );
        finding = finding.proof(text, None);
    }
    if may_be_closed {
        finding = finding.proof("records of resources were lost, so some may be closed", None);
    } else if is_churn {
        finding = finding.proof("many are closed, so it may be load that grows", None);
    }
    if let Some(text) = too_short {
        finding = finding.proof(text, None);
    }
    for (resource, name) in site.examples.iter().take(2) {
        let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
        let text = format!("{resource}{name} is one of the oldest");
        finding = finding.proof(text, Some(Link::Resource(*resource)));
    }
    finding
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "See who still holds them (a map without removal, an `Arc` in a circle, a task that never \
             ends), and drop them there."
        }
        Runtime::Asyncio => {
            "Open each in `async with` (or `contextlib.aclosing(…)`), or close it in a `finally`; what is \
             kept in a dict or a list, take out of it when it is done."
        }
        Runtime::Unknown => "Close each where its use ends.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "reader, writer = await asyncio.open_connection(host, port)\n\
                   try:\n    ...\n\
                   finally:\n    writer.close()\n    await writer.wait_closed()",
        }),
        Runtime::Tokio | Runtime::EventLoop | Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, ResourceId, UnixNanos};

    use super::*;
    use crate::findings::Lost;
    use crate::findings::rules::tests::check;
    use crate::leaks::Population;

    const MINUTE: u64 = 60_000_000_000;

    fn facts(counts: [u64; 9], closed: u64) -> Facts {
        let ages = vec![4 * MINUTE; counts[8].min(50) as usize];
        let site = ThingPopulation {
            kind: "tcp".into(),
            location: Some("net.rs:7".into()),
            open: counts[8],
            opened: counts[8] - counts[0] + closed,
            closed,
            population: Population { counts: counts.to_vec(), window: 8 * MINUTE, ages },
            examples: vec![(ResourceId(5), "db:5432".into())],
            ..ThingPopulation::default()
        };
        Facts { resources: vec![site], to: UnixNanos(9), ..Facts::default() }
    }

    const GROWS: [u64; 9] = [0, 10, 20, 30, 40, 50, 60, 70, 80];

    #[test]
    fn what_is_opened_and_never_closed_is_a_leak() {
        check(
            &RULE,
            &facts(GROWS, 0),
            &[
                "warning net.rs:7 tcp: 80 of kind `tcp` opened at `net.rs:7` were never closed (+10.0 per minute)",
            ],
        );
    }

    #[test]
    fn pools_caches_and_servers_are_none() {
        check(&RULE, &facts([0, 20, 40, 50, 50, 50, 50, 50, 50], 0), &["ok"]);
        check(&RULE, &facts([1; 9], 0), &["ok"]);
        check(&RULE, &facts([5, 40, 10, 60, 5, 50, 20, 70, 30], 200), &["ok"]);
    }

    #[test]
    fn load_that_grows_is_only_worth_knowing() {
        check(
            &RULE,
            &facts(GROWS, 400),
            &[
                "info net.rs:7 tcp: 80 of kind `tcp` opened at `net.rs:7` are open, more than ever (+10.0 per minute)",
            ],
        );
    }

    #[test]
    fn what_was_seen_for_seconds_only_may_be_filling_up() {
        let mut facts = facts(GROWS, 0);
        facts.resources[0].population.window = trend::MIN_WINDOW - 1_000_000_000;
        check(
            &RULE,
            &facts,
            &[
                "info net.rs:7 tcp: 80 of kind `tcp` opened at `net.rs:7` have not been closed (+600.0 per minute)",
            ],
        );
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert!(found[0].evidence.iter().any(|it| it.text == "seen for 8.00 s only"), "{found:?}");
    }

    #[test]
    fn where_closes_may_be_missing_nothing_is_said_to_be_never_closed() {
        let mut facts = facts(GROWS, 0);
        facts.losses.push(Lost {
            kind: None,
            cause: DropCause::WindowEvicted,
            count: 3,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(
            &RULE,
            &facts,
            &[
                "info net.rs:7 tcp: 80 of kind `tcp` opened at `net.rs:7` have not been seen to close (+10.0 per minute)",
            ],
        );
    }
}
