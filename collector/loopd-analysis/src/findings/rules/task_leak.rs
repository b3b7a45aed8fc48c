//! Tasks of one spawn location only ever become more.

use loopd_model::RecordKind;

use super::trend;
use crate::capture::Capture;
use crate::findings::{
    Confidence, Facts, Finding, Level, Link, Rule, Snippet, TaskPopulation, Verdict,
};
use crate::leaks::{self, Judgement};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "task_leak", title: "Tasks that never end and become more", check };

fn check(facts: &Facts) -> Verdict {
    let judged = facts.tasks.iter().map(|site| (site, leaks::judge(&site.population)));
    let growing = judged.filter(|(_, judgement)| judgement.verdict == leaks::Verdict::Growing);
    Verdict::of(growing.map(|(site, judgement)| finding(facts, site, &judgement)).collect())
}

fn finding(facts: &Facts, site: &TaskPopulation, judgement: &Judgement) -> Finding {
    let place = site.location.as_deref().unwrap_or("an unknown place");
    // "Never" is claimed only where an end could not have been missed.
    let grew_from = leaks::window_start(facts.to, &site.population);
    let has_lost = facts.has_lost_since(RecordKind::Task, grew_from);
    // What it made, such as a lock, may keep the span of a task open that has ended.
    let by_spans = facts.capture == Capture::ConsoleSnapshots;
    let may_have_ended = has_lost || by_spans;
    let is_churn = trend::is_churn(site.spawned, site.ended);
    let too_short = trend::too_short(site.population.window);
    let (level, confidence, fate) = match (may_have_ended, is_churn, &too_short) {
        (true, ..) => (Level::Info, Confidence::Possible, "have not been seen to end"),
        (false, true, _) => (Level::Info, Confidence::Possible, "are alive, more than ever"),
        (false, false, Some(_)) => (Level::Info, Confidence::Possible, "have not ended"),
        (false, false, None) => (Level::Warning, Confidence::Likely, "never ended"),
    };
    let held: u64 = site.population.ages.iter().fold(0, |sum, age| sum.saturating_add(*age));
    let mut finding = Finding::new(RULE.id, place, level)
        .at(site.location.as_deref())
        .confidence(confidence)
        .harm(held)
        .title(format!(
            "{} tasks spawned at `{place}` {fate} ({:+.1} per minute)",
            count_text(site.alive),
            judgement.growth_per_min,
        ))
        .seen(site.alive, facts.from, facts.to)
        .advice(
            "Each keeps its memory and whatever it holds, and their number grew all through the \
             window: they wait for something that does not come, or nobody stops them.",
            fix(facts.words()),
        )
        .snippet(snippet(facts.words()))
        .proof(
            format!(
                "{} spawned and {} ended within {}",
                count_text(site.spawned),
                count_text(site.ended),
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
    if by_spans {
        let text = "console snapshots tell when a task's span closes, which what the task made can put off";
        finding = finding.proof(text, None);
    }
    if has_lost {
        finding = finding.proof("records of tasks were lost, so some may have ended", None);
    } else if is_churn {
        finding = finding.proof("many have ended, so it may be load that grows", None);
    }
    if let Some(text) = too_short {
        finding = finding.proof(text, None);
    }
    for &task in site.examples.iter().take(2) {
        finding =
            finding.proof(format!("task {task} is one of the oldest"), Some(Link::Task(task)));
    }
    finding
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "Tie each task to what it serves: keep its handle and `abort()` it, or spawn it in a \
             `JoinSet` that is dropped with its owner; give what it waits for a `tokio::time::timeout`."
        }
        Runtime::EventLoop => {
            "Tie each task to what it serves: start it in a `TaskGroup`, or keep it and `cancel()` it; put \
             what it waits for in `wait_for`."
        }
        Runtime::Asyncio => {
            "Tie each task to what it serves: start it in an `asyncio.TaskGroup`, or keep it and \
             `cancel()` it; give what it waits for an `asyncio.timeout(…)`."
        }
        Runtime::Unknown => "Tie each task to what it serves, and cancel it with that.",
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "let mut tasks = tokio::task::JoinSet::new(); // aborts what is left when dropped\n\
                   tasks.spawn(watch(order));\n\
                   while let Some(done) = tasks.join_next().await { done?; }",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "TaskGroup::scope(async |group| { // leaves only when all are done\n    \
                   group.create_task(watch(order))?;\n    Ok(())\n}).await?;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "async with asyncio.TaskGroup() as group:  # leaves only when all are done\n    \
                   group.create_task(watch(order))",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, UnixNanos};

    use super::*;
    use crate::findings::Lost;
    use crate::findings::rules::tests::check;
    use crate::leaks::Population;

    const MINUTE: u64 = 60_000_000_000;

    fn facts(counts: [u64; 9]) -> Facts {
        let ages = vec![4 * MINUTE; counts[8] as usize];
        let population = Population { counts: counts.to_vec(), window: 8 * MINUTE, ages };
        let site = TaskPopulation {
            location: Some("shop/src/watch.rs:20".into()),
            alive: counts[8],
            spawned: counts[8] - counts[0],
            population,
            ..TaskPopulation::default()
        };
        Facts { tasks: vec![site], to: UnixNanos(9), ..Facts::default() }
    }

    #[test]
    fn a_population_that_only_grows_is_a_leak() {
        check(
            &RULE,
            &facts([0, 10, 20, 30, 40, 50, 60, 70, 80]),
            &[
                "warning shop/src/watch.rs:20: 80 tasks spawned at `shop/src/watch.rs:20` never ended (+10.0 per minute)",
            ],
        );
    }

    #[test]
    fn load_that_grows_is_only_worth_knowing() {
        let mut facts = facts([0, 10, 20, 30, 40, 50, 60, 70, 80]);
        (facts.tasks[0].spawned, facts.tasks[0].ended) = (160, 80);
        check(
            &RULE,
            &facts,
            &[
                "info shop/src/watch.rs:20: 80 tasks spawned at `shop/src/watch.rs:20` are alive, more than ever (+10.0 per minute)",
            ],
        );
        (facts.tasks[0].spawned, facts.tasks[0].ended) = (150, 70);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].level, Level::Warning);
    }

    #[test]
    fn what_was_seen_for_seconds_only_may_be_filling_up() {
        let mut facts = facts([0, 10, 20, 30, 40, 50, 60, 70, 80]);
        facts.tasks[0].population.window = trend::MIN_WINDOW - 1_000_000_000;
        check(
            &RULE,
            &facts,
            &[
                "info shop/src/watch.rs:20: 80 tasks spawned at `shop/src/watch.rs:20` have not ended (+600.0 per minute)",
            ],
        );
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert!(found[0].evidence.iter().any(|it| it.text == "seen for 8.00 s only"), "{found:?}");
    }

    #[test]
    fn a_pool_is_none() {
        check(&RULE, &facts([0, 30, 45, 48, 49, 50, 50, 50, 50]), &["ok"]);
    }

    #[test]
    fn where_ends_may_be_missing_nothing_is_said_to_have_never_ended() {
        let mut facts = facts([0, 10, 20, 30, 40, 50, 60, 70, 80]);
        facts.losses.push(Lost {
            kind: Some(RecordKind::Task),
            cause: DropCause::RingFull,
            count: 3,
            from: UnixNanos(1),
            to: UnixNanos(2),
        });
        check(
            &RULE,
            &facts,
            &[
                "info shop/src/watch.rs:20: 80 tasks spawned at `shop/src/watch.rs:20` have not been seen to end (+10.0 per minute)",
            ],
        );
        // Before the range, but while they became more.
        facts.losses.clear();
        let level = |facts: &Facts| match (RULE.check)(facts) {
            Verdict::Found(found) => found[0].level,
            verdict => panic!("{verdict:?}"),
        };
        let began = 9 - (8 * MINUTE) as i64;
        facts.lost_before = vec![(Some(RecordKind::Task), UnixNanos(began))];
        assert_eq!(level(&facts), Level::Info);
        facts.lost_before[0].1 = UnixNanos(began - 1);
        assert_eq!(level(&facts), Level::Warning);
    }
}
