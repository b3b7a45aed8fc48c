//! A semaphore, such as that of a pool, which has nothing left most of the time while the queue grows or
//! stands still.

use loopd_model::UnixNanos;

use super::kinds::{is_semaphore, name_of, subject_of};
use super::trend;
use super::waiting::{self, at};
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, OpenWait, ResourceUse, Rule, State, Verdict,
    WaitHolder,
};
use crate::leaks;
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "permits_exhausted", title: "Semaphores and pools with nothing left", check };

/// Exhausted for at least this share of the range.
const MIN_SHARE: f64 = 0.5;
/// A queue that grows by fewer is one that comes and goes.
const MIN_GROWTH: f64 = 5.0;
/// A wait that lasts this long with no permit given back meanwhile: they are not being used, they are
/// kept. Where they are used for long, it takes longer to say so.
const STANDS_STILL: u64 = 10_000_000_000;
/// So many times the longest hold known are no standstill either: with a few before it, whoever waits
/// waits for a few such holds.
const USUAL: u64 = 2;
/// So long on average is slow for whoever waits, even where the queue moves.
const LONG_WAIT: u64 = 1_000_000_000;
/// So many holders are named.
const MAX_HOLDERS: usize = 3;

/// What is the matter with the queue.
enum Queue {
    Grows(f64),
    StandsStill(u64),
    IsLong(u64),
}

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts).filter(|_| facts.uses.is_empty()) {
        return Verdict::Needs(missing);
    }
    let found = facts.uses.iter().filter(|it| is_semaphore(&it.kind));
    Verdict::of(found.filter_map(|it| finding(facts, it)).collect())
}

fn finding(facts: &Facts, pool: &ResourceUse) -> Option<Finding> {
    let open: Vec<_> =
        facts.open_waits.iter().filter(|wait| wait.resource == Some(pool.resource)).collect();
    let is_waited_for =
        |i: usize| pool.waiters.get(i).copied().flatten().is_some_and(|waiters| waiters > 0.0);
    // Where free permits are not told, somebody who waits says as much.
    let readings = match pool.permits.iter().flatten().next() {
        Some(_) => &pool.permits,
        None => &pool.waiters,
    };
    let are_permits = std::ptr::eq(readings, &pool.permits);
    let exhausted = trend::share(readings, |i, it| (!are_permits || it < 1.0) && is_waited_for(i));
    if exhausted < MIN_SHARE {
        return None;
    }
    let queue = queue(facts, pool, &open)?;
    let name = name_of(&pool.kind, &pool.name, pool.location.as_deref());
    let what = match queue {
        Queue::Grows(by) => format!("and the queue for it grew by {}", count_text(by as u64)),
        Queue::StandsStill(time) => {
            format!("and nobody has given one back for {}", duration_text(time))
        }
        Queue::IsLong(time) => format!("and each waits {} on average", duration_text(time)),
    };
    let level = match queue {
        Queue::IsLong(_) => Level::Info,
        _ => Level::Warning,
    };
    let waiting_now = open
        .iter()
        .fold(0u64, |sum, wait| sum.saturating_add(facts.since(wait.began_at).min(facts.length())));
    let mut finding = Finding::new(RULE.id, subject_of(pool), level)
        .at(pool.location.as_deref())
        .confidence(Confidence::Likely)
        .harm(pool.waited_time.unwrap_or(0).saturating_add(waiting_now))
        .seen(pool.contended.unwrap_or(0).max(open.len() as u64).max(1), facts.from, facts.to)
        .title(format!("{name} had no permit left {:.0} % of the time, {what}", exhausted * 100.0))
        .advice(
            "Requests come faster than permits are given back, or some are never given back: then \
             everybody waits in the end.",
            fix(facts.words()),
        )
        .proof(
            match pool.capacity {
                Some(capacity) => format!("it has {} permits in all", count_text(capacity)),
                None => "how many permits it has is not told".to_owned(),
            },
            Some(Link::Resource(pool.resource)),
        );
    if !open.is_empty() {
        let text = format!("{} wait now", count_text(open.len() as u64));
        finding = finding.proof(text, Some(Link::Page("waits")));
    }
    for holder in oldest_holders(&open).into_iter().take(MAX_HOLDERS) {
        let whose = holder.task.map_or_else(|| "no task".to_owned(), |task| format!("task {task}"));
        let text = format!(
            "{whose} has had one for {}, taken {}",
            duration_text(facts.since(holder.since_at)),
            at(holder.location.as_deref()),
        );
        finding = finding.proof(text, holder.task.map(Link::Task));
    }
    Some(finding)
}

fn queue(facts: &Facts, pool: &ResourceUse, open: &[&OpenWait]) -> Option<Queue> {
    if let Some(growth) = trend::rise(&pool.waiters).filter(|growth| *growth >= MIN_GROWTH) {
        return Some(Queue::Grows(growth));
    }
    let oldest = open.iter().min_by_key(|wait| wait.began_at);
    // Each of its holders had it before the oldest wait began, and has it still. Where none is known, who
    // waits longest would have got the first that was given back: semaphores are fair.
    let is_kept = |wait: &&&OpenWait| match wait.holders.as_slice() {
        [] => wait.amount <= 1,
        holders => holders.iter().all(|it| it.since_at <= wait.began_at),
    };
    if let Some(wait) = oldest.filter(is_kept) {
        let holds = Holds::of(facts, pool);
        // Who began to wait before the range saw all that was acquired in it.
        let is_moving = wait.began_at <= facts.from && pool.acquired.is_some_and(|it| it > 0);
        let since = holds.last_at.map_or(wait.began_at, |last| last.max(wait.began_at));
        let time = facts.since(since);
        let long = STANDS_STILL.max(holds.longest.saturating_mul(USUAL));
        let gave_some = !wait.holders.is_empty()
            && pool.capacity.is_some_and(|capacity| {
                let kept =
                    wait.holders.iter().fold(0, |sum, it| it.amount.max(1).saturating_add(sum));
                kept < capacity
            });
        if time >= long && !gave_some && !is_moving {
            return Some(Queue::StandsStill(time));
        }
    }
    let mean = pool.waited_time?.checked_div(pool.contended?)?;
    (mean >= LONG_WAIT).then_some(Queue::IsLong(mean))
}

/// The holds of a semaphore that are over.
#[derive(Default)]
struct Holds {
    /// When the last one ended.
    last_at: Option<UnixNanos>,
    /// How long the longest was.
    longest: u64,
}

impl Holds {
    fn of(facts: &Facts, pool: &ResourceUse) -> Self {
        let same_line = |it: &&ResourceUse| it.location == pool.location && it.kind == pool.kind;
        let is_alone = facts.uses.iter().filter(same_line).count() <= 1;
        let loops: Vec<_> = facts.loops.iter().map(|it| (it.opened_at, it.closed_at)).collect();
        let end = leaks::end_of_life(facts.to, facts.state != State::Live, &loops);
        // What a shutdown takes from its holders nobody gave back.
        let sites = facts.hold_sites.iter().filter(|site| {
            let is_of_its_line = is_alone
                && pool.location.is_some()
                && site.resource_location == pool.location
                && site.resource_kind == pool.kind;
            (site.resource == pool.resource || is_of_its_line) && site.last_at <= end
        });
        sites.fold(Self::default(), |all, site| Self {
            last_at: all.last_at.max(Some(site.last_at)),
            longest: all.longest.max(site.max_time),
        })
    }
}

fn oldest_holders<'a>(open: &[&'a OpenWait]) -> Vec<&'a WaitHolder> {
    let Some(wait) = open.iter().max_by_key(|wait| wait.began_at) else { return Vec::new() };
    let mut holders: Vec<_> = wait.holders.iter().collect();
    holders.sort_by_key(|holder| holder.since_at);
    holders
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "See who keeps a permit longest: let go of it before slow awaits, or give those a \
             `tokio::time::timeout`; refuse work with `try_acquire` rather than queue it without end; \
             raise the number only if what is behind it bears that."
        }
        Runtime::EventLoop => {
            "See who keeps a permit longest: let go of it before slow awaits, or put those in `wait_for`; \
             refuse work with `try_acquire` rather than queue it without end; raise the number only if what \
             is behind it bears that."
        }
        Runtime::Asyncio => {
            "See who keeps a permit longest: leave its `async with` before slow awaits, or give those \
             an `asyncio.timeout(…)`; refuse work when the queue is long; raise the number only if what \
             is behind it bears that."
        }
        Runtime::Unknown => "See who keeps a permit longest, and give that a timeout.",
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{ResourceId, TaskId};

    use super::*;
    use crate::findings::rules::tests::check;
    use crate::findings::{HoldSite, Loop};

    const SECOND: i64 = 1_000_000_000;

    fn facts(permits: f64, waiters: impl Fn(usize) -> usize) -> Facts {
        let pool = ResourceUse {
            resource: ResourceId(3),
            kind: "semaphore".into(),
            name: "db".into(),
            location: Some("db.rs:4".into()),
            capacity: Some(2),
            permits: vec![Some(permits); 60],
            waiters: (0..60).map(|i| Some(waiters(i) as f64)).collect(),
            contended: Some(100),
            waited_time: Some(20 * SECOND.cast_unsigned()),
            ..ResourceUse::default()
        };
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60 * SECOND),
            uses: vec![pool],
            ..Facts::default()
        }
    }

    fn wait(began_s: i64, holders: &[i64]) -> OpenWait {
        let holder = |&since: &i64| WaitHolder {
            task: Some(TaskId(9)),
            since_at: UnixNanos(since * SECOND),
            ..WaitHolder::default()
        };
        OpenWait {
            task: Some(TaskId(1)),
            resource: Some(ResourceId(3)),
            op: "acquire".into(),
            began_at: UnixNanos(began_s * SECOND),
            holders: holders.iter().map(holder).collect(),
            ..OpenWait::default()
        }
    }

    #[test]
    fn a_queue_that_only_grows_is_found() {
        check(
            &RULE,
            &facts(0.0, |i| i * 3),
            &[
                "warning db.rs:4: semaphore `db` had no permit left 98 % of the time, and the queue for it grew by 177",
            ],
        );
    }

    #[test]
    fn permits_that_nobody_gives_back_are_found() {
        let mut facts = facts(0.0, |_| 2);
        facts.open_waits = vec![wait(20, &[5, 8]), wait(50, &[5, 8])];
        check(
            &RULE,
            &facts,
            &[
                "warning db.rs:4: semaphore `db` had no permit left 100 % of the time, and nobody has given one back for 40.0 s",
            ],
        );
        // Nobody has them any more: they were forgotten.
        facts.open_waits = vec![wait(20, &[])];
        check(
            &RULE,
            &facts,
            &[
                "warning db.rs:4: semaphore `db` had no permit left 100 % of the time, and nobody has given one back for 40.0 s",
            ],
        );
        // Of those that had it when the wait began, one has given it back since.
        facts.open_waits = vec![wait(20, &[5])];
        check(&RULE, &facts, &["ok"]);
    }

    fn holds(last_s: i64, longest_s: u64) -> HoldSite {
        HoldSite {
            resource: ResourceId(3),
            max_time: longest_s * SECOND.cast_unsigned(),
            last_at: UnixNanos(last_s * SECOND),
            ..HoldSite::default()
        }
    }

    /// A queue without holders, of which the oldest has waited for 40 s of a minute.
    fn kept() -> Facts {
        Facts { open_waits: vec![wait(20, &[])], ..facts(0.0, |_| 2) }
    }

    #[test]
    fn what_was_given_back_since_is_told() {
        let line = "warning db.rs:4: semaphore `db` had no permit left 100 % of the time, and nobody has given one back for 40.0 s";
        check(&RULE, &Facts { hold_sites: vec![holds(15, 2)], ..kept() }, &[line]);
        let later = line.replace("40.0 s", "15.0 s");
        check(&RULE, &Facts { hold_sites: vec![holds(45, 2)], ..kept() }, &[&later]);
        check(&RULE, &Facts { hold_sites: vec![holds(55, 2)], ..kept() }, &["ok"]);
        // Another one, at another line.
        let other = HoldSite { resource: ResourceId(4), ..holds(55, 2) };
        check(&RULE, &Facts { hold_sites: vec![other], ..kept() }, &[line]);
        // By the shutdown, which came after all of it.
        let closed = Loop { closed_at: Some(UnixNanos(54 * SECOND)), ..Loop::default() };
        let facts = Facts { hold_sites: vec![holds(55, 50)], loops: vec![closed], ..kept() };
        check(&RULE, &facts, &[line]);
        // Somebody got one while the oldest waited all through the range.
        let mut facts = Facts { from: UnixNanos(20 * SECOND), ..kept() };
        check(&RULE, &facts, &[line]);
        facts.uses[0].acquired = Some(9);
        check(&RULE, &facts, &["ok"]);
    }

    #[test]
    fn a_wait_as_long_as_holds_are_is_no_standstill() {
        let line = "warning db.rs:4: semaphore `db` had no permit left 100 % of the time, and nobody has given one back for 40.0 s";
        check(&RULE, &Facts { hold_sites: vec![holds(15, 20)], ..kept() }, &[line]);
        check(&RULE, &Facts { hold_sites: vec![holds(15, 21)], ..kept() }, &["ok"]);
    }

    #[test]
    fn a_limiter_at_work_is_none() {
        check(&RULE, &facts(0.0, |_| 4), &["ok"]);
        check(&RULE, &facts(0.0, |i| 600 - i * 10), &["ok"]);
        check(&RULE, &facts(0.0, |_| 0), &["ok"]);
        check(&RULE, &facts(1.0, |i| i), &["ok"]);
    }

    #[test]
    fn a_long_queue_that_moves_is_worth_knowing() {
        let mut facts = facts(0.0, |i| 600 - i * 10);
        facts.uses[0].waited_time = Some(500 * SECOND.cast_unsigned());
        check(
            &RULE,
            &facts,
            &[
                "info db.rs:4: semaphore `db` had no permit left 100 % of the time, and each waits 5.00 s on average",
            ],
        );
    }
}
