//! One lock that tasks stand in a queue for most of the time: they go as fast as it lets them.

use super::kinds::{is_lock, name_of, subject_of};
use super::waiting;
use crate::findings::{
    Confidence, Facts, Finding, HoldSite, Level, Link, ResourceUse, Rule, Snippet, Verdict,
    WaitHolder, WaitSite,
};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "lock_convoy", title: "Tasks that queue for one lock", check };

/// Fewer waits than these are an encounter, not a queue.
const MIN_WAITS: u64 = 50;
/// As many tasks as this stand in the queue on average, over the whole range: below, whoever comes
/// mostly finds it free.
const MIN_QUEUE: f64 = 1.0;
/// Of its uses at least this share had to wait.
const MIN_CONTENDED: f64 = 0.5;
/// So many lines are named of those that hold it, and of those that wait.
const MAX_SITES: usize = 3;

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts).filter(|_| facts.uses.is_empty()) {
        return Verdict::Needs(missing);
    }
    let found = facts.uses.iter().filter(|it| is_lock(&it.kind));
    Verdict::of(found.filter_map(|lock| finding(facts, lock)).collect())
}

fn finding(facts: &Facts, lock: &ResourceUse) -> Option<Finding> {
    let (contended, waited) = (lock.contended?, lock.waited_time?);
    let queue = waited as f64 / facts.length() as f64;
    // An agent that sees only waits counts no uses.
    let acquired = lock.acquired.filter(|&acquired| acquired >= contended);
    let share = acquired.map(|acquired| contended as f64 / acquired.max(1) as f64);
    if contended < MIN_WAITS || queue < MIN_QUEUE || share.is_some_and(|it| it < MIN_CONTENDED) {
        return None;
    }
    let name = name_of(&lock.kind, &lock.name, lock.location.as_deref());
    let subject = subject_of(lock);
    let mut holds: Vec<&HoldSite> = facts
        .hold_sites
        .iter()
        .filter(|site| same(site.resource_location.as_ref(), &site.resource_kind, lock))
        .collect();
    holds.sort_by_key(|site| std::cmp::Reverse(site.total_time));
    let worst = holds.first().and_then(|site| site.location.clone());
    let in_turn = in_turn(facts, lock, &holds);
    let level = if in_turn.is_some() { Level::Info } else { Level::Warning };
    let mut finding = Finding::new(RULE.id, subject, level)
        .at(worst.or_else(|| lock.location.clone()))
        .confidence(if share.is_some() { Confidence::Certain } else { Confidence::Likely })
        .harm(if in_turn.is_some() { 0 } else { waited })
        .seen(contended, facts.from, facts.to)
        .title(format!(
            "{queue:.1} tasks wait for {name} at any time ({} waits, {} in all)",
            count_text(contended),
            duration_text(waited),
        ))
        .advice(
            "All who need it go one after the other, so more tasks or workers make nothing faster.",
            fix(facts.runtime),
        )
        .snippet(snippet(facts.runtime));
    let usage = match share {
        Some(share) => format!("{:.0} % of its uses had to wait", share * 100.0),
        None => format!("{} waits of {} on average", count_text(contended), {
            duration_text(waited / contended)
        }),
    };
    finding = finding.proof(usage, Some(Link::Resource(lock.resource)));
    if let Some(held) = lock.held_time {
        let share = held as f64 / facts.length() as f64 * 100.0;
        finding = finding.proof(format!("it was held {share:.0} % of the time"), None);
    }
    if let Some(why) = in_turn {
        finding = finding.proof(why, None);
    }
    for site in holds.iter().take(MAX_SITES) {
        let text = format!(
            "held {} times {}, {} in all and {} at most",
            count_text(site.holds),
            waiting::at(site.location.as_deref()),
            duration_text(site.total_time),
            duration_text(site.max_time),
        );
        finding = finding.proof(text, site.max_task.map(Link::Task));
    }
    let mut waits: Vec<&WaitSite> = facts
        .wait_sites
        .iter()
        .filter(|site| same(site.resource_location.as_ref(), &site.resource_kind, lock))
        .collect();
    waits.sort_by_key(|site| std::cmp::Reverse(site.total_time));
    for site in waits.iter().take(MAX_SITES) {
        let text = format!(
            "{} tasks waited {} times {}, {} in all",
            count_text(site.tasks),
            count_text(site.waits),
            waiting::at(site.location.as_deref()),
            duration_text(site.total_time),
        );
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    Some(finding)
}

/// Why those who wait lose nothing: they wait for their turn, as the holder did, and not for an answer.
fn in_turn(facts: &Facts, lock: &ResourceUse, holds: &[&HoldSite]) -> Option<&'static str> {
    let time = |holds: &mut dyn Iterator<Item = &&HoldSite>| {
        holds.map(|site| site.total_time).fold(0, u64::saturating_add)
    };
    let all = time(&mut holds.iter());
    let idle = time(&mut holds.iter().filter(|site| waiting::is_held_for_work(facts, site)));
    if idle > all / 2 {
        return Some("it is held while its holder waits for work, so those who wait are idle");
    }
    // Who is to lead takes it once; the others stand by.
    let mut open =
        facts.open_waits.iter().filter(|it| it.resource == Some(lock.resource)).peekable();
    let is_led = lock.acquired.is_some_and(|acquired| acquired <= 1)
        && open.peek().is_some()
        && open.all(|wait| {
            let is_peer = |holder: &WaitHolder| holder.location == wait.location;
            wait.location.is_some() && !wait.holders.is_empty() && wait.holders.iter().all(is_peer)
        });
    is_led.then_some("those who wait would hold it as long, so they may be standing by")
}

fn same(location: Option<&String>, kind: &str, lock: &ResourceUse) -> bool {
    location.is_some() && location == lock.location.as_ref() && kind == lock.kind
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "Do less while it is held (prepare before, send after), split it by key, or let one task \
             own what it protects and ask that by a channel."
        }
        Runtime::Asyncio => {
            "Do less while it is held (await before and after, not inside), use a lock for each key, or \
             let one task own what it protects and ask that by a queue."
        }
        Runtime::Unknown => "Do less while it is held, or split it.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let row = fetch(id).await?; // outside\n\
                   cache.lock().await.insert(id, row); // held for an instant",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "row = await fetch(key)  # outside\n\
                   async with lock:\n    cache[key] = row  # held for an instant",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{ResourceId, TaskId, UnixNanos};

    use super::*;
    use crate::findings::OpenWait;
    use crate::findings::rules::tests::check;

    const SECOND: u64 = 1_000_000_000;

    /// In a minute.
    fn facts(kind: &str, acquired: Option<u64>, contended: u64, waited_s: u64) -> Facts {
        let lock = ResourceUse {
            resource: ResourceId(7),
            kind: kind.into(),
            name: "stock".into(),
            location: Some("stock.rs:5".into()),
            acquired,
            contended: Some(contended),
            waited_time: Some(waited_s * SECOND),
            held_time: Some(55 * SECOND),
            ..ResourceUse::default()
        };
        let hold = HoldSite {
            location: Some("stock.rs:30".into()),
            resource_kind: kind.into(),
            resource_location: Some("stock.rs:5".into()),
            holds: contended,
            total_time: 50 * SECOND,
            ..HoldSite::default()
        };
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60 * SECOND.cast_signed()),
            uses: vec![lock],
            hold_sites: vec![hold],
            ..Facts::default()
        }
    }

    #[test]
    fn a_lock_that_several_always_wait_for_is_one() {
        let line = "warning stock.rs:5: 8.0 tasks wait for mutex `stock` at any time (1,000 waits, 8 min 0 s in all)";
        check(&RULE, &facts("mutex", Some(1_100), 1_000, 480), &[line]);
        let line = line.replace("mutex", "asyncio.Lock");
        check(&RULE, &facts("asyncio.Lock", Some(0), 1_000, 480), &[&line]);
    }

    #[test]
    fn a_busy_lock_that_is_mostly_free_when_wanted_is_none() {
        check(&RULE, &facts("mutex", Some(1_000_000), 1_000, 480), &["ok"]);
        check(&RULE, &facts("mutex", Some(1_100), 1_000, 3), &["ok"]);
        // Two that met once, for long.
        check(&RULE, &facts("mutex", Some(3), 2, 90), &["ok"]);
        // Permits are another matter.
        check(&RULE, &facts("semaphore", Some(1_100), 1_000, 480), &["ok"]);
    }

    #[test]
    fn workers_that_share_a_receiver_are_only_worth_knowing() {
        let line = "info stock.rs:5: 8.0 tasks wait for mutex `stock` at any time (1,000 waits, 8 min 0 s in all)";
        let mut facts = facts("mutex", Some(1_100), 1_000, 480);
        let receive = |seconds: u64| WaitSite {
            op: "recv".into(),
            location: Some("stock.rs:31".into()),
            resource_kind: "mpsc".into(),
            total_time: seconds * SECOND,
            ..WaitSite::default()
        };
        facts.wait_sites = vec![receive(40)];
        check(&RULE, &facts, &[line]);
        facts.wait_sites = vec![receive(20)];
        check(&RULE, &facts, &[&line.replacen("info", "warning", 1)]);
    }

    #[test]
    fn who_stands_by_for_a_leader_is_only_worth_knowing() {
        let mut facts = facts("mutex", Some(1), 60, 3_600);
        facts.hold_sites.clear();
        let wait = |place: &str| OpenWait {
            task: Some(TaskId(2)),
            resource: Some(ResourceId(7)),
            op: "lock".into(),
            location: Some(place.into()),
            holders: vec![WaitHolder {
                task: Some(TaskId(1)),
                location: Some("lead.rs:3".into()),
                ..WaitHolder::default()
            }],
            ..OpenWait::default()
        };
        let line = "info stock.rs:5: 60.0 tasks wait for mutex `stock` at any time (60 waits, 1 h 0 min in all)";
        facts.open_waits = vec![wait("lead.rs:3"), wait("lead.rs:3")];
        check(&RULE, &facts, &[line]);
        facts.open_waits.push(wait("use.rs:8"));
        check(&RULE, &facts, &[&line.replacen("info", "warning", 1)]);
    }

    #[test]
    fn without_guards_nothing_is_known() {
        check(
            &RULE,
            &Facts::default(),
            &["needs the layer `guards`, which this process does not record"],
        );
    }
}
