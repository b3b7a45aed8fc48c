//! A lock that was held while its holder awaited something else, and others waited for it.

use loopd_model::RecordKind;

use super::kinds::{is_lock, name_of};
use super::waiting;
use crate::findings::{
    Confidence, Facts, Finding, HoldSite, Level, Link, Rule, Snippet, Verdict, WaitSite,
};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "lock_across_await", title: "Locks held while something else is awaited", check };

/// A shorter hold is what an asynchronous lock is there for.
const MIN_HOLD: u64 = 100_000_000;
/// At least this share of the hold its holder was not being polled: it awaited something.
const MIN_AWAITED: f64 = 0.75;
/// Others lost less than this, in all: worth knowing, and no harm.
const MIN_HARM: u64 = 1_000_000_000;

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts).filter(|_| facts.hold_sites.is_empty()) {
        return Verdict::Needs(missing);
    }
    let sites = facts.hold_sites.iter().filter(|it| is_lock(&it.resource_kind));
    Verdict::of(sites.filter_map(|site| finding(facts, site)).collect())
}

fn finding(facts: &Facts, site: &HoldSite) -> Option<Finding> {
    let awaited = site.max_time.saturating_sub(site.max_busy_time?);
    let is_awaited = awaited as f64 >= MIN_AWAITED * site.max_time as f64;
    if site.waits == 0 || site.max_time < MIN_HOLD || !is_awaited {
        return None;
    }
    let lost = lost(facts, site);
    // Of a lock whose waits are not known to the line, each took as long as the longest hold at most.
    let is_harm = lost.unwrap_or(site.max_time) >= MIN_HARM;
    // What is not known to be a poll is taken for an await.
    let may_be_busy = facts.has_lost_since(RecordKind::Poll, site.first_at);
    let in_turn = in_turn(facts, site);
    let is_wrong = is_harm && !may_be_busy && in_turn.is_none();
    let level = if is_wrong { Level::Warning } else { Level::Info };
    let (confidence, doing) = match (may_be_busy, lost) {
        (true, _) => (Confidence::Possible, "with few polls seen"),
        (false, None) => (Confidence::Likely, "while something else is awaited"),
        (false, Some(_)) => (Confidence::Certain, "while something else is awaited"),
    };
    let place = site.location.as_deref().unwrap_or("an unknown place");
    let name = name_of(&site.resource_kind, "", site.resource_location.as_deref());
    let mut finding = Finding::new(RULE.id, place, level)
        .at(site.location.as_deref())
        .confidence(confidence)
        .harm(if in_turn.is_some() { 0 } else { lost.unwrap_or(0) })
        .seen(site.holds, site.first_at, site.last_at)
        .title(format!(
            "{name} is taken at `{place}` and held for up to {} {doing}; {} {} meanwhile",
            duration_text(site.max_time),
            count_text(site.waits),
            if site.waits == 1 { "wait began" } else { "waits began" },
        ))
        .advice(
            "Whoever needs it waits as long as whatever is awaited takes, though the holder itself \
             does nothing.",
            fix(facts.runtime),
        )
        .snippet(snippet(facts.runtime))
        .proof(
            format!(
                "of the longest hold, {} were spent in polls and {} awaiting",
                duration_text(site.max_time - awaited),
                duration_text(awaited),
            ),
            site.max_task.map(Link::Task),
        )
        .proof(
            match site.holds {
                1 => format!("it was held once, for {}", duration_text(site.total_time)),
                n => format!("{} holds, {} in all", count_text(n), duration_text(site.total_time)),
            },
            Some(Link::Resource(site.resource)),
        );
    if let Some(lost) = lost {
        let text = format!("others waited {} for it in all", duration_text(lost));
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    if let Some(why) = in_turn {
        finding = finding.proof(why, None);
    }
    if may_be_busy {
        finding = finding.proof("records of polls were lost, so it may have been busy", None);
    }
    Some(finding)
}

/// Why those who wait lose nothing: they wait for their turn, as the holder did, and not for an answer.
fn in_turn(facts: &Facts, site: &HoldSite) -> Option<&'static str> {
    if waiting::is_held_for_work(facts, site) {
        return Some("it is held while its holder waits for work, so those who wait are idle");
    }
    // Who is to lead takes it for good; the others stand by.
    let mut waits = waits_for(facts, site).peekable();
    let are_peers = site.location.is_some()
        && waits.peek().is_some()
        && waits.all(|wait| wait.location == site.location);
    (are_peers && site.max_time >= facts.length() / 2)
        .then_some("those who wait would hold it as long, so they may be standing by")
}

/// The places at which others waited for what is held there; none if that is not known.
fn waits_for<'a>(facts: &'a Facts, site: &'a HoldSite) -> impl Iterator<Item = &'a WaitSite> {
    facts.wait_sites.iter().filter(|wait| {
        site.resource_location.is_some()
            && wait.resource_location == site.resource_location
            && wait.resource_kind == site.resource_kind
    })
}

/// How long others waited for what is held there; `None` if their waits are not known to be for it.
fn lost(facts: &Facts, site: &HoldSite) -> Option<u64> {
    waits_for(facts, site).map(|wait| wait.total_time).reduce(u64::saturating_add)
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "Take out what you need and let go of the guard before you await: end its block, or `drop` \
             it; what must stay together, let one task own."
        }
        Runtime::Asyncio => {
            "Await outside the `async with`, and enter it only to look and to change; what must stay \
             together, let one task own."
        }
        Runtime::Unknown => "Give it back before you await something else.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let token = { state.lock().await.token.clone() }; // the guard ends here\n\
                   let answer = client.get(token).await?;\n\
                   state.lock().await.answer = answer;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "async with lock:\n    token = state.token\n\
                   answer = await client.get(token)\n\
                   async with lock:\n    state.answer = answer",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::check;

    const MS: u64 = 1_000_000;

    fn facts(max_ms: u64, busy_ms: Option<u64>, waits: u64, lost_ms: Option<u64>) -> Facts {
        let site = HoldSite {
            location: Some("pay.rs:12".into()),
            resource_kind: "mutex".into(),
            resource_location: Some("pay.rs:3".into()),
            holds: 40,
            total_time: 20 * max_ms * MS,
            max_time: max_ms * MS,
            max_busy_time: busy_ms.map(|ms| ms * MS),
            waits,
            ..HoldSite::default()
        };
        let wait = lost_ms.map(|ms| WaitSite {
            resource_kind: "mutex".into(),
            resource_location: Some("pay.rs:3".into()),
            total_time: ms * MS,
            ..WaitSite::default()
        });
        Facts {
            runtime: Runtime::Tokio,
            hold_sites: vec![site],
            wait_sites: wait.into_iter().collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_lock_held_over_an_await_that_others_wait_for_is_one() {
        check(
            &RULE,
            &facts(300, Some(1), 90, Some(9_000)),
            &[
                "warning pay.rs:12: the mutex opened at `pay.rs:3` is taken at `pay.rs:12` and held for up to 300 ms while something else is awaited; 90 waits began meanwhile",
            ],
        );
    }

    #[test]
    fn where_polls_were_lost_it_may_have_worked_all_the_time() {
        let mut facts = facts(300, Some(1), 90, Some(9_000));
        facts.lost_before = vec![(Some(RecordKind::Poll), UnixNanos(0))];
        let line = "info pay.rs:12: the mutex opened at `pay.rs:3` is taken at `pay.rs:12` and held for up to 300 ms with few polls seen; 90 waits began meanwhile";
        check(&RULE, &facts, &[line]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].confidence, Confidence::Possible);
    }

    #[test]
    fn little_harm_is_only_worth_knowing() {
        let line = "info pay.rs:12: the mutex opened at `pay.rs:3` is taken at `pay.rs:12` and held for up to 300 ms while something else is awaited; 1 wait began meanwhile";
        check(&RULE, &facts(300, Some(1), 1, Some(120)), &[line]);
        check(&RULE, &facts(300, Some(1), 1, None), &[line]);
    }

    /// `jobs.lock().await.recv().await`, or over two lines.
    #[test]
    fn workers_that_share_a_receiver_are_only_worth_knowing() {
        let line = "info pay.rs:12: the mutex opened at `pay.rs:3` is taken at `pay.rs:12` and held for up to 300 ms while something else is awaited; 90 waits began meanwhile";
        let mut facts = facts(300, Some(1), 90, Some(9_000));
        let receive = |op: &str, location: &str, ms: u64| WaitSite {
            op: op.into(),
            location: Some(location.into()),
            resource_kind: "mpsc".into(),
            total_time: ms * MS,
            ..WaitSite::default()
        };
        for (op, place, ms, level) in [
            ("recv", "pay.rs:12", 6_000, "info"),
            ("notified", "pay.rs:14", 6_000, "info"),
            // That is somewhere else; that is an answer; that is the least of it.
            ("recv", "pay.rs:90", 6_000, "warning"),
            ("connect", "pay.rs:12", 6_000, "warning"),
            ("recv", "pay.rs:12", 600, "warning"),
        ] {
            facts.wait_sites.truncate(1);
            facts.wait_sites.push(receive(op, place, ms));
            check(&RULE, &facts, &[&line.replacen("info", level, 1)]);
        }
        // Who asks an actor waits for an answer.
        facts.wait_sites[1] = receive("recv", "pay.rs:12", 6_000);
        facts.wait_sites[1].resource_kind = "oneshot".into();
        check(&RULE, &facts, &[&line.replacen("info", "warning", 1)]);
    }

    #[test]
    fn who_stands_by_for_a_leader_is_only_worth_knowing() {
        let mut facts = facts(40_000, Some(1), 2, Some(80_000));
        facts.to = UnixNanos(60_000_000_000);
        let level = |facts: &Facts| match (RULE.check)(facts) {
            Verdict::Found(found) => found[0].level,
            verdict => panic!("{verdict:?}"),
        };
        assert_eq!(level(&facts), Level::Warning);
        facts.wait_sites[0].location = Some("pay.rs:12".into());
        assert_eq!(level(&facts), Level::Info);
        // Many take turns: that is a queue.
        facts.to = UnixNanos(600_000_000_000);
        assert_eq!(level(&facts), Level::Warning);
    }

    #[test]
    fn what_harms_nobody_is_none() {
        // Nobody waited; it was short; it was all work; nobody knows.
        check(&RULE, &facts(30_000, Some(1), 0, None), &["ok"]);
        check(&RULE, &facts(50, Some(1), 90, Some(9_000)), &["ok"]);
        check(&RULE, &facts(300, Some(290), 90, Some(9_000)), &["ok"]);
        check(&RULE, &facts(300, None, 90, Some(9_000)), &["ok"]);
        // A permit is there to be held.
        let mut pool = facts(300, Some(1), 90, Some(9_000));
        pool.hold_sites[0].resource_kind = "semaphore".into();
        check(&RULE, &pool, &["ok"]);
    }
}
