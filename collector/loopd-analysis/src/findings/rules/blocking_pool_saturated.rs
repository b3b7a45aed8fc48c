//! Work given to other threads waits because all of them are busy.

use loopd_model::{LoopId, UnixNanos};

use crate::findings::{Facts, Finding, JobSite, Level, Link, Rule, Snippet, Verdict, load};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "blocking_pool_saturated", title: "Blocking work that waits for a thread", check };

/// A pool with a free thread takes a job within microseconds: half of them this late have waited for one.
const LATE_START: u64 = 50_000_000;
/// Of fewer jobs nothing is concluded.
const MIN_JOBS: u64 = 20;
/// So many jobs that wait on average, over the whole range, are more than a burst that was worked off.
const STANDING: f64 = 1.0;

fn check(facts: &Facts) -> Verdict {
    let depths = facts.metric("blocking_queue_depth");
    let queues = depths.iter().filter_map(|it| queue(facts, it.loop_id));
    let mut found: Vec<_> = queues.collect();
    if found.is_empty() {
        found.extend(facts.jobs.iter().filter_map(|site| jobs(facts, site)));
    }
    if found.is_empty() && depths.is_empty() && facts.jobs.is_empty() {
        let layers = ["metrics", "wrapped", "steps", "tracing"];
        return facts.missing_all(&layers).map_or(Verdict::Ok, Verdict::Needs);
    }
    Verdict::of(found)
}

/// By what a runtime says of its pool.
fn queue(facts: &Facts, id: LoopId) -> Option<Finding> {
    let of = |name| facts.metric(name).iter().find(|it| it.loop_id == id);
    let (depths, idle) = (of("blocking_queue_depth")?, of("idle_blocking_threads"));
    let idle_at = |step: usize| idle.and_then(|it| it.values.get(step).copied().flatten());
    let is_full = |step: usize, depth: f64| depth > 0.0 && idle_at(step) == Some(0.0);
    let stretches = load::stretches(&depths.values, is_full);
    let (&(first, _), &(_, last)) = stretches.first().zip(stretches.last())?;
    let step = load::step_time(facts);
    let (mut time, mut waited, mut most) = (0u64, 0.0, 0.0f64);
    for &(from, to) in &stretches {
        let told = || depths.values[from..=to].iter().flatten();
        let length = step.saturating_mul((to - from) as u64);
        let mean = told().sum::<f64>() / told().count().max(1) as f64;
        (time, waited) = (time + length, waited + mean * length as f64);
        most = told().copied().fold(most, f64::max);
    }
    let at = |index: usize| UnixNanos(facts.from.0.saturating_add_unsigned(step * index as u64));
    let name = load::loop_name(facts, id);
    let threads = of("blocking_threads").and_then(|it| it.last());
    // Whose jobs waited longest, as far as single ones are known.
    let site = facts.jobs.iter().max_by_key(|site| site.waited_time);
    let subject = format!("blocking pool of {}", load::loop_subject(facts, id));
    let finding = Finding::new(RULE.id, subject, Level::Warning)
        .at(site.and_then(|site| site.location.as_deref()))
        .harm(waited as u64)
        .title(format!(
            "up to {most:.0} blocking jobs waited for a thread of {name}, for {} in all",
            duration_text(time),
        ))
        .seen(stretches.len() as u64, at(first), at(last))
        .proof("no thread of the pool was free at any of these readings", Some(Link::At(at(first))))
        .snippet(snippet(facts.runtime))
        .advice(WHY, fix(facts.runtime));
    Some(match threads {
        Some(threads) => finding.proof(format!("it has {threads:.0} threads"), None),
        None => finding,
    })
}

/// By when single jobs began.
fn jobs(facts: &Facts, site: &JobSite) -> Option<Finding> {
    let begun = site.delays.count();
    // Before any has begun there is nothing to take a median of, and those that wait have waited.
    let median = site.delays.quantile(0.5).unwrap_or(LATE_START);
    let standing = site.waited_time as f64 / facts.length() as f64;
    if begun + site.waiting < MIN_JOBS || median < LATE_START || standing < STANDING {
        return None;
    }
    let place = site.location.as_deref().unwrap_or("an unknown place");
    let finding = Finding::new(RULE.id, place, Level::Warning)
        .at(site.location.as_deref())
        .harm(site.waited_time)
        .title(format!(
            "{standing:.0} jobs given to threads at `{place}` wait for one on average, half of them for {} \
             or longer",
            duration_text(median),
        ))
        .seen(begun + site.waiting, facts.from, facts.to)
        .proof(
            format!(
                "{} began and {} still waited at the end",
                count_text(begun),
                count_text(site.waiting),
            ),
            Some(Link::Page("tasks")),
        )
        .snippet(snippet(facts.words()))
        .advice(WHY, fix(facts.words()));
    let examples = site.examples.iter().take(2);
    Some(examples.fold(finding, |finding, &task| {
        finding.proof(
            format!("job {task} is one of those that waited longest"),
            Some(Link::Task(task)),
        )
    }))
}

const WHY: &str = "Every thread of the pool was taken, so that what was given to it stood in a queue, and \
                   whoever awaits it with it: files, names of hosts and other blocking work share one pool.";

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "Keep what takes long (threads that never end, what computes) out of it: a thread or a pool \
             of its own, such as rayon; then raise `max_blocking_threads` if it is low."
        }
        Runtime::EventLoop => {
            "Give what takes long an executor of its own, and have more threads in the one that is shared: a \
             `ThreadPool` to `run_in_executor`, or to all of a loop with `set_default_executor`."
        }
        Runtime::Asyncio => {
            "Give what takes long an executor of its own, and the default one more threads with \
             `loop.set_default_executor(ThreadPoolExecutor(max_workers=…))`; what computes needs \
             processes."
        }
        Runtime::Unknown => "Give what takes long threads of its own, or have more of them.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "let (done, result) = tokio::sync::oneshot::channel();\n\
                   rayon::spawn(move || { let _ = done.send(add_up(orders)); });\n\
                   let total = result.await?;",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let reports: Arc<dyn Executor> = Arc::new(ThreadPool::new(8, \"reports\"));\n\
                   let report = event_loop.run_in_executor(Some(&reports), move || render(orders))?.await?;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "reports = ThreadPoolExecutor(max_workers=8)\n\
                   report = await loop.run_in_executor(reports, render, orders)",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Loop;
    use crate::findings::rules::tests::{MS, check, gauge};
    use crate::histogram::Histogram;

    /// A minute of a pool with so many jobs in its queue for a part of it, and threads that are free.
    fn pool(depth: f64, steps: usize, idle: f64) -> Facts {
        let depths = |step| if step < steps { depth } else { 0.0 };
        let metrics = [
            gauge("blocking_queue_depth", depths),
            gauge("idle_blocking_threads", |_| idle),
            gauge("blocking_threads", |_| 4.0),
        ];
        let to = UnixNanos(60_000 * MS as i64);
        Facts { to, metrics: metrics.into(), ..Facts::default() }
    }

    #[test]
    fn a_pool_without_a_free_thread_is_told() {
        check(
            &RULE,
            &pool(9.0, 31, 0.0),
            &[
                "warning blocking pool of a loop: up to 9 blocking jobs waited for a thread of loop 1, for 30.0 s in all",
            ],
        );
    }

    #[test]
    fn a_pool_that_is_busy_but_keeps_up_is_fine() {
        check(&RULE, &pool(0.0, 60, 0.0), &["ok"]);
        check(&RULE, &pool(9.0, 2, 0.0), &["ok"]);
        check(&RULE, &pool(9.0, 60, 1.0), &["ok"]);
    }

    /// A minute in which so many jobs began so late.
    fn executor(count: u64, delay: u64) -> Facts {
        let mut delays = Histogram::default();
        (0..count).for_each(|_| delays.add(delay));
        let location = Some("shop/app.py:9".to_owned());
        let site = JobSite { location, delays, waited_time: count * delay, ..JobSite::default() };
        Facts { to: UnixNanos(60_000 * MS as i64), jobs: vec![site], ..Facts::default() }
    }

    #[test]
    fn jobs_of_an_executor_that_always_wait_are_told() {
        check(
            &RULE,
            &executor(300, 2_000 * MS),
            &[
                "warning shop/app.py:9: 10 jobs given to threads at `shop/app.py:9` wait for one on average, half of them for 2.00 s or longer",
            ],
        );
    }

    #[test]
    fn executors_of_event_loops_get_threads_and_not_settings_of_tokio() {
        let event_loop = Loop { flavor: "loopd EventLoop".into(), ..Loop::default() };
        let (runtime, loops) = (Runtime::Tokio, vec![event_loop]);
        let facts = Facts { runtime, loops, ..executor(300, 2_000 * MS) };
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert!(found[0].fix.contains("`ThreadPool`"), "{}", found[0].fix);
    }

    #[test]
    fn jobs_that_begin_soon_and_a_burst_that_was_worked_off_are_fine() {
        check(&RULE, &executor(5_000, MS), &["ok"]);
        check(&RULE, &executor(100, 300 * MS), &["ok"]);
    }

    #[test]
    fn without_readings_and_jobs_it_cannot_be_known() {
        let needs = "needs the layer `metrics`, which this process does not record";
        check(&RULE, &Facts::default(), &[needs]);
    }
}
