//! A channel with a bound that is full most of the time, so that whoever sends stands still.

use super::kinds::{is_channel, name_of, subject_of};
use super::{trend, waiting};
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, ResourceUse, Rule, Verdict, WaitSite,
};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "channel_full", title: "Channels that are full", check };

/// Full for at least this share of the range: a burst fills it for a while.
const MIN_SHARE: f64 = 0.5;
/// Senders wait, all together, at least this share of the range: else it is full and nobody minds.
const MIN_WAITED: f64 = 0.5;
/// One that waits this long to send is late for whoever waits for it. Shorter waits are how a fast
/// sender is held back, which is what the bound is for.
const LONG_WAIT: u64 = 1_000_000_000;
/// So many more senders at the end are a queue that grows.
const MIN_GROWTH: f64 = 5.0;

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts).filter(|_| facts.uses.is_empty()) {
        return Verdict::Needs(missing);
    }
    let found = facts.uses.iter().filter(|it| is_channel(&it.kind));
    Verdict::of(found.filter_map(|it| finding(facts, it)).collect())
}

fn finding(facts: &Facts, channel: &ResourceUse) -> Option<Finding> {
    let capacity = channel.capacity.filter(|&capacity| capacity > 0)?;
    // Where depths are not told, a sender that waits says as much.
    let full = match channel.depths.iter().flatten().next() {
        Some(_) => trend::share(&channel.depths, |_, depth| depth >= capacity as f64),
        None => trend::share(&channel.waiting_senders, |_, senders| senders > 0.0),
    };
    if full < MIN_SHARE {
        return None;
    }
    let is_here = |location: Option<&String>, kind: &str| {
        location.is_some() && location == channel.location.as_ref() && kind == channel.kind
    };
    let mut sites: Vec<&WaitSite> = facts
        .wait_sites
        .iter()
        .filter(|it| it.op == "send" && is_here(it.resource_location.as_ref(), &it.resource_kind))
        .collect();
    sites.sort_by_key(|site| std::cmp::Reverse(site.total_time));
    let open: Vec<_> = facts
        .open_waits
        .iter()
        .filter(|wait| wait.op == "send" && wait.resource == Some(channel.resource))
        .collect();
    let open_time = open.iter().map(|wait| facts.since(wait.began_at)).fold(0, u64::saturating_add);
    let site_time = sites.iter().map(|site| site.total_time).fold(0, u64::saturating_add);
    // Waits that last are part of those of their site, where that is known.
    let waited = site_time.max(open_time);
    if (waited as f64) < MIN_WAITED * facts.length() as f64 {
        return None;
    }
    let longest = open.iter().map(|wait| facts.since(wait.began_at));
    let longest = longest.chain(sites.iter().map(|site| site.max_time)).max().unwrap_or(0);
    let grows = trend::rise(&channel.waiting_senders).is_some_and(|by| by >= MIN_GROWTH);
    let stands_still = channel.received == Some(0);
    let is_harm = grows || stands_still || longest >= LONG_WAIT;
    let level = if is_harm { Level::Warning } else { Level::Info };
    let name = name_of(&channel.kind, &channel.name, channel.location.as_deref());
    let what = match (stands_still, grows) {
        (true, _) => "nothing was received meanwhile".to_owned(),
        (_, true) => "ever more tasks wait to send".to_owned(),
        _ => format!("senders waited {} in all", duration_text(waited)),
    };
    let place = sites.first().and_then(|site| site.location.as_deref());
    let mut finding = Finding::new(RULE.id, subject_of(channel), level)
        .at(channel.location.as_deref().or(place))
        .confidence(if is_harm { Confidence::Likely } else { Confidence::Possible })
        .harm(waited)
        .seen(channel.contended.unwrap_or(1).max(1), facts.from, facts.to)
        .title(format!("{name} was full {:.0} % of the time: {what}", full * 100.0))
        .advice(
            "Whoever receives is slower than those who send. That holds them back, as the bound is \
             meant to; whoever waits for the senders waits as well.",
            fix(facts.runtime),
        )
        .proof(
            format!("it holds {} values; {}", count_text(capacity), flow(channel)),
            Some(Link::Resource(channel.resource)),
        );
    for site in sites.iter().take(3) {
        let text = format!(
            "{} tasks waited {} times to send {}, {} at most",
            count_text(site.tasks),
            count_text(site.waits),
            waiting::at(site.location.as_deref()),
            duration_text(site.max_time),
        );
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    Some(finding)
}

/// What went in and out.
pub(super) fn flow(channel: &ResourceUse) -> String {
    match (channel.sent, channel.received) {
        (Some(sent), Some(received)) => {
            format!("{} were sent and {} received", count_text(sent), count_text(received))
        }
        _ => "what was sent and received is not told".to_owned(),
    }
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "See what the receiver does between two `recv`s, and let several work; where a value may be \
             missed, use `try_send`, and where senders must not stand still, `send_timeout`."
        }
        Runtime::Asyncio => {
            "See what the consumer does between two `get`s, and start several; where a value may be \
             missed, use `put_nowait`, and where producers must not stand still, `asyncio.timeout(…)`."
        }
        Runtime::Unknown => "See what the receiver does between two values, and let several work.",
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{ResourceId, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::check;

    const SECOND: u64 = 1_000_000_000;

    fn facts(depth: impl Fn(u64) -> u64, received: u64, waited_s: u64, max_ms: u64) -> Facts {
        let channel = ResourceUse {
            resource: ResourceId(3),
            kind: "mpsc".into(),
            location: Some("q.rs:4".into()),
            capacity: Some(8),
            depths: (0..60).map(|i| Some(depth(i) as f64)).collect(),
            sent: Some(received + 8),
            received: Some(received),
            ..ResourceUse::default()
        };
        let site = WaitSite {
            location: Some("q.rs:9".into()),
            op: "send".into(),
            resource_kind: "mpsc".into(),
            resource_location: Some("q.rs:4".into()),
            waits: 50,
            tasks: 2,
            total_time: waited_s * SECOND,
            max_time: max_ms * 1_000_000,
            ..WaitSite::default()
        };
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60 * SECOND.cast_signed()),
            uses: vec![channel],
            wait_sites: vec![site],
            ..Facts::default()
        }
    }

    #[test]
    fn a_full_channel_whose_senders_wait_long_is_found() {
        check(
            &RULE,
            &facts(|_| 8, 30, 110, 4_000),
            &[
                "warning q.rs:4: the mpsc opened at `q.rs:4` was full 100 % of the time: senders waited 1 min 50 s in all",
            ],
        );
        check(
            &RULE,
            &facts(|_| 8, 0, 110, 900),
            &[
                "warning q.rs:4: the mpsc opened at `q.rs:4` was full 100 % of the time: nothing was received meanwhile",
            ],
        );
    }

    #[test]
    fn a_fast_sender_held_back_is_only_worth_knowing() {
        check(
            &RULE,
            &facts(|_| 8, 30_000, 50, 12),
            &[
                "info q.rs:4: the mpsc opened at `q.rs:4` was full 100 % of the time: senders waited 50.0 s in all",
            ],
        );
    }

    #[test]
    fn bursts_and_channels_with_room_are_none() {
        check(&RULE, &facts(|i| if i % 3 == 0 { 8 } else { 1 }, 30, 110, 4_000), &["ok"]);
        check(&RULE, &facts(|_| 7, 30, 110, 4_000), &["ok"]);
        check(&RULE, &facts(|_| 8, 30_000, 2, 4), &["ok"]);
        let mut unbounded = facts(|_| 8_000, 30, 110, 4_000);
        unbounded.uses[0].capacity = None;
        check(&RULE, &unbounded, &["ok"]);
    }

    #[test]
    fn where_no_depth_is_told_senders_that_wait_say_as_much() {
        let mut facts = facts(|_| 0, 30, 110, 4_000);
        facts.uses[0].depths = vec![None; 60];
        facts.uses[0].waiting_senders = (0..60).map(|i| Some(f64::from(i))).collect();
        check(
            &RULE,
            &facts,
            &[
                "warning q.rs:4: the mpsc opened at `q.rs:4` was full 98 % of the time: ever more tasks wait to send",
            ],
        );
    }
}
