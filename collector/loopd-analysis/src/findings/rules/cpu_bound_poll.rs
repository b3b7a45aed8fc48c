//! A poll computed for long, or was slow for a reason that no stack tells.

use crate::findings::blocked::{Blocked, blocked};
use crate::findings::rules::descheduled;
use crate::findings::{Confidence, Facts, Finding, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::slow::{By, Doing};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "cpu_bound_poll", title: "Polls that compute for too long", check };

fn check(facts: &Facts) -> Verdict {
    let is_others = |it: &Blocked<'_>| matches!(it.doing(), Doing::Blocked | Doing::Memory);
    let awake = blocked(facts).into_iter().filter(|it| !is_others(it));
    let found: Vec<_> = awake.map(|it| finding(facts, &it)).collect();
    match facts.missing_all(&["hooks", "wrapped", "steps", "callbacks"]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

fn finding(facts: &Facts, it: &Blocked<'_>) -> Finding {
    let (place, how_often) = (it.place(), it.how_often());
    let blocked = it.site.runtime.blocked();
    let finding = it.finding(facts, RULE.id);
    if it.doing() != Doing::Computing {
        let what = match it.site.by {
            By::Stack => "polls at",
            By::SpawnLocation => "polls of tasks spawned at",
        };
        return finding
            .title(format!("{what} `{place}` held {blocked} {how_often}"))
            .advice(why(it), it.advice());
    }
    let finding = finding
        .title(format!("`{}` at `{place}` computed on {blocked} {how_often}", it.site.function))
        .advice(
            "While a poll computes, no other task of its worker is polled: none is told of its data, its \
             timer or its cancellation.",
            it.advice(),
        )
        .snippet(snippet(it.site.runtime));
    match descheduled::run_queue_share(facts) {
        // A thread that could run and may not looks as if it computed.
        Some(share) if share >= descheduled::CROWDED => {
            let text = "threads often had no processor to run on, which makes every poll longer";
            finding.confidence(Confidence::Possible).proof(text, None)
        }
        _ => finding,
    }
}

/// Of a poll that did not compute, as far as is known.
const fn why(it: &Blocked<'_>) -> &'static str {
    match it.doing() {
        Doing::Processor => {
            "While a poll runs, no other task of its worker is polled, though it stands still itself: other \
             threads had the processors."
        }
        _ if it.site.found_so > 0 => {
            "While a poll runs, no other task of its worker is polled. It was asleep, and what for is not \
             known."
        }
        _ => {
            "While a poll runs, no other task of its worker is polled. Whether it computed or slept \
             a stack would tell."
        }
    }
}

const fn snippet(runtime: Runtime) -> Option<Snippet> {
    match runtime {
        Runtime::Tokio => Some(Snippet {
            language: "rust",
            code: "let sum = tokio::task::spawn_blocking(move || sum(&orders)).await?;\n\
                   // or, in the loop that computes:\n\
                   tokio::task::yield_now().await;",
        }),
        Runtime::EventLoop => Some(Snippet {
            language: "rust",
            code: "let sum = event_loop.run_in_executor(None, move || Ok(sum(&orders)))?.await?;\n\
                   // or, in the loop that computes:\n\
                   event_loop::yield_now().await?;",
        }),
        Runtime::Asyncio => Some(Snippet {
            language: "python",
            code: "total = await loop.run_in_executor(process_pool, add_up, orders)\n\
                   # or, in the loop that computes:\n\
                   await asyncio.sleep(0)",
        }),
        Runtime::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::Running;

    use super::*;
    use crate::findings::Victims;
    use crate::findings::rules::tests::{MS, check, counter, covered, slow_poll};

    fn facts(slow_polls: Vec<crate::findings::SlowPoll>) -> Facts {
        let runtime = Runtime::Tokio;
        let slow_threshold = 100 * MS;
        Facts { runtime, slow_threshold, slow_polls, coverage: covered(), ..Facts::default() }
    }

    const TWICE: [Running; 3] = [Running::OnCpu, Running::OnCpu, Running::OffCpu];

    #[test]
    fn a_function_that_computes_is_told() {
        let poll = slow_poll(400 * MS, &TWICE, Some(Victims { polls: 9, delay: 1_200 * MS }));
        check(
            &RULE,
            &facts(vec![poll]),
            &[
                "error shop/src/pay.rs:7: `shop::pay` at `shop/src/pay.rs:7` computed on a worker once, for 400 ms",
            ],
        );
    }

    #[test]
    fn without_stacks_the_spawn_location_is_told_as_possible() {
        let facts = facts(vec![slow_poll(400 * MS, &[], None)]);
        check(
            &RULE,
            &facts,
            &[
                "warning shop/src/main.rs:9: polls of tasks spawned at `shop/src/main.rs:9` held a worker once, for 400 ms",
            ],
        );
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].confidence, Confidence::Possible);
        assert_eq!(found[0].harm, 300 * MS);
    }

    /// A poll of a task spawned where the others were, found in this function at this line.
    fn at(line: u32) -> crate::findings::SlowPoll {
        let mut poll = slow_poll(400 * MS, &TWICE, None);
        for sample in &mut poll.poll.samples {
            let mut frames = sample.frames.to_vec();
            frames[1].line = line;
            frames[1].function = format!("shop::pay_{line}");
            sample.frames = frames.into();
        }
        poll
    }

    #[test]
    fn polls_without_a_stack_are_not_told_a_second_time() {
        let blind = || slow_poll(1_400 * MS, &[], None);
        let place = "shop/src/pay.rs:7";
        let title =
            format!("`shop::pay_7` at `{place}` computed on a worker 3 times, for up to 1.40 s");
        let facts = facts(vec![at(7), blind(), blind()]);
        check(&RULE, &facts, &[&format!("error {place}: {title}")]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        let told = "2 more have no stack, and tasks spawned where theirs were";
        assert_eq!(found[0].evidence.last().unwrap().text, told);
    }

    #[test]
    fn of_several_places_those_without_a_stack_are_worth_knowing_only() {
        let blind = slow_poll(1_400 * MS, &[], None);
        let facts = facts(vec![at(7), at(9), blind]);
        let computed = |line: u32| {
            let place = format!("shop/src/pay.rs:{line}");
            let title =
                format!("`shop::pay_{line}` at `{place}` computed on a worker once, for 400 ms");
            format!("warning {place}: {title}")
        };
        let spawned = "shop/src/main.rs:9";
        let title = format!("polls of tasks spawned at `{spawned}` held a worker once, for 1.40 s");
        check(&RULE, &facts, &[&format!("info {spawned}: {title}"), &computed(7), &computed(9)]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        let told = "stacks of other polls of such tasks tell of `shop/src/pay.rs:7` and \
                    `shop/src/pay.rs:9`, which may be what made these slow";
        assert_eq!(found[0].evidence.last().unwrap().text, told);
    }

    #[test]
    fn what_nobody_waited_for_or_what_slept_is_not_wrong() {
        let alone = slow_poll(400 * MS, &TWICE, Some(Victims::default()));
        check(
            &RULE,
            &facts(vec![alone]),
            &[
                "info shop/src/pay.rs:7: `shop::pay` at `shop/src/pay.rs:7` computed on a worker once, for 400 ms",
            ],
        );
        check(&RULE, &facts(vec![slow_poll(400 * MS, &[Running::OffCpu], None)]), &["ok"]);
    }

    #[test]
    fn where_the_machine_is_crowded_that_may_be_why() {
        let mut facts = facts(vec![slow_poll(400 * MS, &TWICE, None)]);
        facts.to = loopd_model::UnixNanos(60_000 * MS as i64);
        facts.metrics.extend([counter("run_queue_wait_nanos", 30e9)]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].confidence, Confidence::Possible);
    }
}
