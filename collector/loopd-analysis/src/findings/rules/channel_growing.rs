//! A channel without a bound that only ever becomes fuller.

use super::channel_full::flow;
use super::kinds::{is_channel, name_of, subject_of};
use super::{trend, waiting};
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, ResourceUse, Rule, Snippet, Verdict,
};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "channel_growing", title: "Channels without bound that grow", check };

/// A backlog that grew by less is what such a channel is for.
const MIN_GROWTH: f64 = 100.0;

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts).filter(|_| facts.uses.is_empty()) {
        return Verdict::Needs(missing);
    }
    let found = facts.uses.iter().filter(|it| is_channel(&it.kind) && it.capacity.is_none());
    Verdict::of(found.filter_map(|it| finding(facts, it)).collect())
}

fn finding(facts: &Facts, channel: &ResourceUse) -> Option<Finding> {
    let growth = trend::rise(&channel.depths).filter(|growth| *growth >= MIN_GROWTH)?;
    let depth = channel.depths.iter().rev().find_map(|depth| *depth)?;
    let per_second = growth / (facts.length() as f64 / 1e9);
    let name = name_of(&channel.kind, &channel.name, channel.location.as_deref());
    let too_short = trend::too_short(facts.length());
    let (level, confidence, score) = match too_short {
        Some(_) => (Level::Info, Confidence::Possible, 0),
        None => (Level::Warning, Confidence::Likely, 50),
    };
    let finding = Finding::new(RULE.id, subject_of(channel), level)
        .at(channel.location.as_deref())
        .confidence(confidence)
        .at_least(score)
        .seen(depth as u64, facts.from, facts.to)
        .title(format!(
            "{name} holds {} values that nobody has received, and grew all the time ({per_second:+.1} per second)",
            count_text(depth as u64),
        ))
        .advice(
            "More is sent than received and nothing holds the senders back: memory grows, and each value \
             waits longer than the one before.",
            fix(facts.runtime),
        )
        .snippet(snippet(facts.runtime))
        .proof(
            format!("{} more than at the beginning; {}", count_text(growth as u64), flow(channel)),
            Some(Link::Resource(channel.resource)),
        );
    Some(match too_short {
        Some(text) => finding.proof(text, None),
        None => finding,
    })
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "Give it a bound (`mpsc::channel(n)`), so that senders wait for the receiver, and let several \
             receive or do less for each value."
        }
        Runtime::Asyncio => {
            "Give it a bound (`asyncio.Queue(maxsize=n)`), so that producers wait for the consumer, and \
             start several consumers."
        }
        Runtime::Unknown => "Give it a bound, or receive faster.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let (tx, mut rx) = mpsc::channel(1_024);\n\
                   tx.send(order).await?; // waits while 1,024 are unread",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "queue = asyncio.Queue(maxsize=1024)\n\
                   await queue.put(order)  # waits while 1024 are unread",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::check;

    fn facts(depth: impl Fn(u32) -> u32) -> Facts {
        let channel = ResourceUse {
            kind: "unbounded_mpsc".into(),
            location: Some("q.rs:4".into()),
            depths: (0..60).map(|i| Some(f64::from(depth(i)))).collect(),
            ..ResourceUse::default()
        };
        Facts { uses: vec![channel], to: UnixNanos(60_000_000_000), ..Facts::default() }
    }

    #[test]
    fn a_backlog_that_only_grows_is_found() {
        check(
            &RULE,
            &facts(|i| i * 50 + i % 7),
            &[
                "warning q.rs:4: the unbounded_mpsc opened at `q.rs:4` holds 2,953 values that nobody has received, and grew all the time (+49.2 per second)",
            ],
        );
    }

    #[test]
    fn what_was_seen_for_seconds_only_may_be_a_burst() {
        let mut facts = facts(|i| i * 50 + i % 7);
        facts.to = UnixNanos(trend::MIN_WINDOW.cast_signed() - 1_000_000_000);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!((found[0].level, found[0].score), (Level::Info, 0));
        assert!(found[0].evidence.iter().any(|it| it.text == "seen for 8.00 s only"), "{found:?}");
        facts.to.0 += 1_000_000_000;
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].level, Level::Warning);
    }

    #[test]
    fn bursts_that_drain_and_small_backlogs_are_none() {
        check(&RULE, &facts(|i| (i % 12) * 500), &["ok"]);
        check(&RULE, &facts(|i| if i < 30 { i * 100 } else { 6_000 - i * 100 }), &["ok"]);
        check(&RULE, &facts(|i| i), &["ok"]);
        check(&RULE, &facts(|_| 5_000), &["ok"]);
        // One burst that is read at leisure.
        check(&RULE, &facts(|i| 10_000 - i * 50), &["ok"]);
        let mut bounded = facts(|i| i * 50);
        bounded.uses[0].capacity = Some(9_000);
        check(&RULE, &bounded, &["ok"]);
    }
}
