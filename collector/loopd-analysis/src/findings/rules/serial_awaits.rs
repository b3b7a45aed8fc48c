//! One task waits for many things of a kind one after the other, though it could have asked for all.

use super::waiting::{self, at};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, Snippet, Verdict, WaitSite};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "serial_awaits", title: "Waits one after the other that could run together", check };

/// Fewer are not worth a change.
const MIN_ROW: u64 = 4;
/// They take at least this share of the task's life: else something else decides how long it takes.
const MIN_SHARE: f64 = 0.5;
/// Shorter rows are not worth a change either.
const MIN_TIME: u64 = 50_000_000;
/// From here on somebody notices.
const LONG: u64 = 1_000_000_000;
/// So many tasks have to do it.
const MIN_TASKS: u64 = 5;
/// Each for no more than this share of the range.
const MAX_LIFE: f64 = 0.25;

/// Whether many tasks that come and go have such a row, as requests do. One that lives long may take them as
/// they come: a supervisor that starts a child whenever the last has ended, or a worker that asks somebody
/// for each job.
fn is_of_many(facts: &Facts, site: &WaitSite, life: u64) -> bool {
    site.tasks >= MIN_TASKS
        && site.waits >= MIN_ROW.saturating_mul(site.tasks)
        && life as f64 <= MAX_LIFE * facts.length() as f64
}

/// Whether waits of this sort are for answers that could be asked for together. Not so: a clock, work
/// that comes in, a turn at something shared, and the ends of tasks, which run together already.
fn is_request(site: &WaitSite) -> bool {
    match (site.op.as_str(), site.resource_kind.as_str()) {
        ("connect" | "open", _) => true,
        ("recv", kind) => kind.contains("oneshot"),
        ("wait", kind) => kind == "child" || kind == "subprocess",
        _ => false,
    }
}

fn check(facts: &Facts) -> Verdict {
    if let Some(missing) = waiting::missing(facts) {
        return Verdict::Needs(missing);
    }
    let sites = facts.wait_sites.iter().filter(|site| is_request(site));
    Verdict::of(sites.filter_map(|site| finding(facts, site)).collect())
}

fn finding(facts: &Facts, site: &WaitSite) -> Option<Finding> {
    let (task, row, time) = site.longest_row;
    let life = site.row_life?;
    let share = time as f64 / life.max(1) as f64;
    if row < MIN_ROW || time < MIN_TIME || share < MIN_SHARE {
        return None;
    }
    let place = site.location.as_deref();
    let subject =
        place.map_or_else(|| format!("{} {}", site.op, site.resource_kind), str::to_owned);
    let is_wrong = time >= LONG && is_of_many(facts, site, life);
    let level = if is_wrong { Level::Warning } else { Level::Info };
    // Together they would take about as long as the longest.
    let saved = time.saturating_sub(site.max_time.max(time / row));
    Some(
        Finding::new(RULE.id, subject, level)
            .at(place)
            // Each may need what the one before gave.
            .confidence(Confidence::Possible)
            .harm(saved)
            .seen(row, site.first_at, site.last_at)
            .title(format!(
                "{} waits in a row {} took {} of one task, {:.0} % of its life",
                count_text(row),
                at(place),
                duration_text(time),
                share.min(1.0) * 100.0,
            ))
            .advice(
                "Each began when the one before was over, with no other wait between: if they do not \
                 need each other, all together take no longer than the longest.",
                fix(facts.words()),
            )
            .snippet(snippet(facts.words()))
            .proof(
                format!(
                    "task {task}: {} waits for `{}`, {} each on average",
                    count_text(row),
                    site.op,
                    duration_text(time / row)
                ),
                Some(Link::Task(task)),
            )
            .proof(
                format!("{} waits of {} tasks there in all", count_text(site.waits), {
                    count_text(site.tasks)
                }),
                Some(Link::Page("waits")),
            ),
    )
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "Start all and then await: `futures::future::join_all`, or a stream with \
             `buffer_unordered(n)` where n at a time are enough."
        }
        Runtime::EventLoop => {
            "Start all and then await: tasks of `create_task` in `gather`, or a `TaskGroup`, behind a \
             `Semaphore` where n at a time are enough."
        }
        Runtime::Asyncio => {
            "Start all and then await: `asyncio.gather(…)` or an `asyncio.TaskGroup`, behind an \
             `asyncio.Semaphore(n)` where n at a time are enough."
        }
        Runtime::Unknown => "Start all, and then await them.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "let answers = futures::stream::iter(urls).map(fetch).buffer_unordered(16).collect::<Vec<_>>().await;",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let tasks = urls.into_iter().map(|url| create_task(fetch(url))).collect::<Result<Vec<_>, _>>()?;\n\
                   let answers = gather(tasks).await?;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "answers = await asyncio.gather(*(fetch(url) for url in urls))",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{TaskId, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::check;

    const MS: u64 = 1_000_000;

    fn facts(op: &str, kind: &str, row: u64, row_ms: u64, life_ms: Option<u64>) -> Facts {
        let site = WaitSite {
            location: Some("fetch.rs:8".into()),
            op: op.into(),
            resource_kind: kind.into(),
            waits: 10 * row,
            tasks: 10,
            longest_row: (TaskId(3), row, row_ms * MS),
            row_life: life_ms.map(|ms| ms * MS),
            ..WaitSite::default()
        };
        Facts {
            runtime: Runtime::Tokio,
            to: UnixNanos(60_000 * MS.cast_signed()),
            wait_sites: vec![site],
            ..Facts::default()
        }
    }

    #[test]
    fn requests_one_after_the_other_are_found() {
        check(
            &RULE,
            &facts("connect", "tcp", 20, 4_000, Some(4_400)),
            &[
                "warning fetch.rs:8: 20 waits in a row at `fetch.rs:8` took 4.00 s of one task, 91 % of its life",
            ],
        );
        check(
            &RULE,
            &facts("recv", "oneshot", 4, 100, Some(120)),
            &[
                "info fetch.rs:8: 4 waits in a row at `fetch.rs:8` took 100 ms of one task, 83 % of its life",
            ],
        );
    }

    #[test]
    fn supervisors_and_workers_that_ask_for_each_job_are_only_worth_knowing() {
        let level = |facts: &Facts| match (RULE.check)(facts) {
            Verdict::Found(found) => found[0].level,
            verdict => panic!("{verdict:?}"),
        };
        let of = |row, row_ms, life_ms| facts("wait", "child", row, row_ms, Some(life_ms));
        assert_eq!(level(&of(20, 4_000, 4_400)), Level::Warning);
        // One that starts the next whenever the last has ended.
        let mut supervisor = of(20, 55_000, 60_000);
        (supervisor.wait_sites[0].tasks, supervisor.wait_sites[0].waits) = (1, 20);
        assert_eq!(level(&supervisor), Level::Info);
        // Ten workers that live as long as the program.
        assert_eq!(level(&of(20, 55_000, 60_000)), Level::Info);
        // One request of ten has such a row.
        let mut odd = of(20, 4_000, 4_400);
        odd.wait_sites[0].waits = 30;
        assert_eq!(level(&odd), Level::Info);
    }

    #[test]
    fn loops_over_what_comes_are_fine() {
        for (op, kind) in [
            ("sleep", "tokio::time::Sleep"),
            ("tick", "tokio::time::Interval"),
            ("recv", "mpsc"),
            ("accept", "tcp_listener"),
            ("lock", "mutex"),
            ("acquire", "semaphore"),
            ("send", "mpsc"),
            ("join", "join_handle"),
            ("notified", "notify"),
            ("wait", "asyncio.Event"),
        ] {
            check(&RULE, &facts(op, kind, 500, 60_000, Some(60_100)), &["ok"]);
        }
    }

    #[test]
    fn few_short_or_unimportant_ones_are_fine() {
        check(&RULE, &facts("connect", "tcp", 3, 4_000, Some(4_400)), &["ok"]);
        check(&RULE, &facts("connect", "tcp", 20, 40, Some(44)), &["ok"]);
        check(&RULE, &facts("connect", "tcp", 20, 4_000, Some(600_000)), &["ok"]);
        check(&RULE, &facts("connect", "tcp", 20, 4_000, None), &["ok"]);
    }
}
