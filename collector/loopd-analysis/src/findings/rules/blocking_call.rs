//! A poll slept in the kernel, and everybody who needed its worker waited.

use crate::findings::blocked::{Blocked, blocked};
use crate::findings::{Facts, Finding, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::slow::Doing;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "blocking_call", title: "Calls that block inside a poll", check };

fn check(facts: &Facts) -> Verdict {
    let asleep = blocked(facts).into_iter().filter(|it| it.doing() == Doing::Blocked);
    let found: Vec<_> = asleep.map(|it| finding(facts, &it)).collect();
    match facts.missing_all(&["watchdog", "stacks"]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

fn finding(facts: &Facts, it: &Blocked<'_>) -> Finding {
    let blocked = it.site.runtime.blocked();
    it.finding(facts, RULE.id)
        .title(format!("a call at `{}` blocked {blocked} {}", it.place(), it.how_often()))
        .advice(
            "While a poll is blocked in the kernel, no other task of its worker is polled: none is told of \
             its data, its timer or its cancellation.",
            it.advice(),
        )
        .snippet(snippet(it.site.runtime, &it.site.advice))
}

fn snippet(runtime: Runtime, advice: &str) -> Option<Snippet> {
    let (language, code) = match runtime {
        Runtime::Tokio if advice.contains("tokio::time::sleep") => {
            ("rust", "tokio::time::sleep(Duration::from_millis(200)).await;")
        }
        Runtime::Tokio => {
            ("rust", "let text = tokio::task::spawn_blocking(move || load(&path)).await?;")
        }
        Runtime::EventLoop if advice.contains("event_loop::sleep") => {
            ("rust", "event_loop::sleep(Duration::from_millis(200)).await?;")
        }
        Runtime::EventLoop => (
            "rust",
            "let text = event_loop.run_in_executor(None, move || Ok(load(&path)?))?.await?;",
        ),
        Runtime::Asyncio if advice.contains("asyncio.sleep") => {
            ("python", "await asyncio.sleep(0.2)")
        }
        Runtime::Asyncio => ("python", "text = await asyncio.to_thread(load, path)"),
        Runtime::Unknown => return None,
    };
    Some(Snippet { language, code })
}

#[cfg(test)]
mod tests {
    use loopd_model::{EVENT_LOOP_FLAVOR, Running, TaskKind, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::{MS, check, covered, slow_poll};
    use crate::findings::{Loop, SlowPoll, Victims};

    fn asleep(length: u64, victims: Option<(u64, u64)>) -> crate::findings::SlowPoll {
        let victims = victims.map(|(polls, delay)| Victims { polls, delay });
        slow_poll(length, &[Running::OffCpu, Running::OffCpu, Running::OnCpu], victims)
    }

    fn facts(slow_polls: Vec<crate::findings::SlowPoll>) -> Facts {
        let runtime = Runtime::Tokio;
        let slow_threshold = 100 * MS;
        Facts { runtime, slow_threshold, slow_polls, coverage: covered(), ..Facts::default() }
    }

    #[test]
    fn a_root_may_take_its_time_before_it_first_waits() {
        let root = SlowPoll { kind: Some(TaskKind::BlockOn), ..asleep(1_200 * MS, None) };
        let title = "a call at `shop/src/pay.rs:7` blocked a worker once, for 1.20 s";
        let told = |level: &str| format!("{level} shop/src/pay.rs:7: {title}");
        for (flavor, first, level) in [
            ("tokio current_thread", 0, "info"),
            ("tokio current_thread", -1, "error"),
            ("tokio multi_thread", -1, "info"),
        ] {
            let mut facts = facts(vec![root.clone()]);
            let active = Some((UnixNanos(root.start_at.0 + first), facts.to));
            facts.loops = vec![Loop { flavor: flavor.into(), active, ..Loop::default() }];
            check(&RULE, &facts, &[&told(level)]);
        }
    }

    #[test]
    fn of_very_many_polls_some_tell_for_all() {
        let mut polls: Vec<_> = (0..20).map(|_| asleep(110 * MS, Some((0, 0)))).collect();
        polls.extend((0..200).map(|_| asleep(110 * MS, None)));
        let title = "a call at `shop/src/pay.rs:7` blocked a worker 220 times, for up to 110 ms";
        check(&RULE, &facts(polls.clone()), &[&format!("info shop/src/pay.rs:7: {title}")]);
        // Of fewer than that they do not.
        polls.drain(..1);
        let title = title.replace("220", "219");
        check(&RULE, &facts(polls), &[&format!("error shop/src/pay.rs:7: {title}")]);
    }

    #[test]
    fn what_adds_up_over_days_is_no_worse_for_that() {
        let polls: Vec<_> = (0..30).map(|_| asleep(150 * MS, Some((1, 40 * MS)))).collect();
        let title = "a call at `shop/src/pay.rs:7` blocked a worker 30 times, for up to 150 ms";
        let mut facts = facts(polls);
        check(&RULE, &facts, &[&format!("error shop/src/pay.rs:7: {title}")]);
        facts.to = UnixNanos(3 * 86_400_000_000_000);
        check(&RULE, &facts, &[&format!("warning shop/src/pay.rs:7: {title}")]);
    }

    #[test]
    fn a_call_that_others_waited_for_is_told_with_its_line() {
        let facts = facts(vec![
            asleep(180 * MS, Some((3, 200 * MS))),
            asleep(240 * MS, Some((4, 500 * MS))),
        ]);
        check(
            &RULE,
            &facts,
            &[
                "warning shop/src/pay.rs:7: a call at `shop/src/pay.rs:7` blocked a worker 2 times, for up to 240 ms",
            ],
        );
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].harm, 700 * MS);
        assert_eq!(found[0].evidence[1].text, "7 polls came late for it, by 700 ms in all");
        assert_eq!(
            found[0].evidence[2].text,
            "4 of 4 stacks found it blocked in `clock_nanosleep`"
        );
    }

    #[test]
    fn a_second_in_all_is_an_error_and_so_is_one_poll_of_a_second() {
        let title = "shop/src/pay.rs:7: a call at `shop/src/pay.rs:7` blocked a worker";
        let many = facts(vec![asleep(200 * MS, Some((20, 2_000 * MS)))]);
        check(&RULE, &many, &[&format!("error {title} once, for 200 ms")]);
        let long = facts(vec![asleep(1_500 * MS, Some((1, 30 * MS)))]);
        check(&RULE, &long, &[&format!("error {title} once, for 1.50 s")]);
    }

    #[test]
    fn one_that_nobody_waited_for_is_worth_knowing_only() {
        let title = "shop/src/pay.rs:7: a call at `shop/src/pay.rs:7` blocked a worker";
        let alone = facts(vec![asleep(3_000 * MS, Some((0, 0)))]);
        check(&RULE, &alone, &[&format!("info {title} once, for 3.00 s")]);
        let unnoticed = facts(vec![asleep(300 * MS, Some((2, MS / 2)))]);
        check(&RULE, &unnoticed, &[&format!("info {title} once, for 300 ms")]);
    }

    #[test]
    fn one_short_outlier_is_too() {
        let title = "shop/src/pay.rs:7: a call at `shop/src/pay.rs:7` blocked a worker";
        check(
            &RULE,
            &facts(vec![asleep(150 * MS, None)]),
            &[&format!("info {title} once, for 150 ms")],
        );
        let often = facts(vec![asleep(150 * MS, None), asleep(150 * MS, None)]);
        check(&RULE, &often, &[&format!("warning {title} 2 times, for up to 150 ms")]);
    }

    #[test]
    fn an_event_loop_has_an_executor_for_it() {
        let mut facts = facts(vec![asleep(400 * MS, None)]);
        facts.loops = vec![Loop { flavor: EVENT_LOOP_FLAVOR.into(), ..Loop::default() }];
        for sample in &mut facts.slow_polls[0].poll.samples {
            let mut frames = sample.frames.to_vec();
            frames[0].function = "std::fs::read".to_owned();
            sample.frames = frames.into();
        }
        let title = "a call at `shop/src/pay.rs:7` blocked the loop once, for 400 ms";
        check(&RULE, &facts, &[&format!("warning shop/src/pay.rs:7: {title}")]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        let code = found[0].snippet.unwrap().code;
        for text in [&found[0].fix, code] {
            assert!(text.contains("run_in_executor") && !text.contains("spawn_blocking"), "{text}");
        }
    }

    #[test]
    fn without_stacks_it_cannot_be_known() {
        let blind = Facts { coverage: Vec::new(), ..facts(vec![slow_poll(200 * MS, &[], None)]) };
        check(&RULE, &blind, &["needs the layer `watchdog`, which this process does not record"]);
        check(&RULE, &facts(Vec::new()), &["ok"]);
        let computing = slow_poll(200 * MS, &[Running::OnCpu], None);
        check(&RULE, &facts(vec![computing]), &["ok"]);
    }
}
