//! A poll has been running for long and has not come back.

use loopd_model::RecordKind;

use crate::findings::blocked::{Blocked, lasting};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, State, Verdict};
use crate::text::duration_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "never_yields", title: "Polls that do not come back", check };

fn check(facts: &Facts) -> Verdict {
    let found: Vec<_> = lasting(facts).iter().map(|it| finding(facts, it)).collect();
    match facts.missing_all(&["hooks", "wrapped", "steps", "callbacks"]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

fn finding(facts: &Facts, it: &Blocked<'_>) -> Finding {
    // A program that ends in the middle of a poll has left it on purpose, as a rule; and an end that was
    // lost may have been in time.
    let first = it.polls.iter().map(|poll| poll.start_at).min().unwrap_or(facts.from);
    let may_have_ended = facts.has_lost_since(RecordKind::Poll, first);
    // Of a poll that lasts it is known only where its thread is none of the workers.
    let is_harmless = it.unwitnessed_time.is_none();
    let (level, until) = match facts.state {
        _ if may_have_ended => (Level::Info, "without being seen to end"),
        State::Live if is_harmless => (Level::Info, "without coming back, on a thread of its own"),
        State::Live => (Level::Error, "without coming back"),
        State::Lost if is_harmless => (Level::Info, "when the process went away"),
        State::Lost => (Level::Error, "when the process went away"),
        State::Ended => (Level::Info, "when the process ended"),
    };
    let mut finding = it.finding(facts, RULE.id);
    finding.level = level;
    if may_have_ended {
        finding = finding
            .confidence(Confidence::Possible)
            .proof("records of polls were lost, so it may have ended", None);
    }
    let had = |one, many| if it.polls.len() == 1 { one } else { many };
    let had = match facts.state {
        State::Live => had("has", "have"),
        State::Ended | State::Lost => "had",
    };
    let how_many = match it.polls.len() {
        1 => format!("a poll {had}"),
        n => format!("{n} polls {had}"),
    };
    let task = it.polls.first().map(|poll| poll.task);
    finding
        .title(format!(
            "{how_many} been at `{}` for {} {until}",
            it.place(),
            duration_text(it.site.max)
        ))
        .proof("the task of the longest", task.map(Link::Task))
        .advice(
            "A task lets others run only at an `.await` that has to wait. Until this one comes to such a \
             place its worker does nothing else, and it cannot even be cancelled.",
            it.advice(),
        )
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, Running, TaskKind, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::{MS, check, covered, slow_poll};
    use crate::findings::rules::{blocking_call, cpu_bound_poll};
    use crate::findings::{Loop, Lost, SlowPoll};

    fn facts(length: u64, has_ended: bool) -> Facts {
        let poll = SlowPoll { has_ended, ..slow_poll(length, &[Running::OnCpu], None) };
        Facts { slow_polls: vec![poll], coverage: covered(), ..Facts::default() }
    }

    #[test]
    fn a_poll_that_lasts_is_told_once() {
        let facts = facts(4_000 * MS, false);
        let title = "a poll has been at `shop/src/pay.rs:7` for 4.00 s without coming back";
        check(&RULE, &facts, &[&format!("error shop/src/pay.rs:7: {title}")]);
        check(&cpu_bound_poll::RULE, &facts, &["ok"]);
        check(&blocking_call::RULE, &facts, &["ok"]);
    }

    #[test]
    fn one_that_came_back_or_began_just_now_is_another_rules() {
        check(&RULE, &facts(4_000 * MS, true), &["ok"]);
        check(&RULE, &facts(400 * MS, false), &["ok"]);
    }

    #[test]
    fn the_thread_that_called_block_on_is_no_worker() {
        let mut facts = facts(4_000 * MS, false);
        facts.slow_polls[0].kind = Some(TaskKind::BlockOn);
        let place = "shop/src/pay.rs:7";
        let title = format!("{place}: a poll has been at `{place}` for 4.00 s without coming back");
        for (flavor, expected) in [
            ("tokio multi_thread", format!("info {title}, on a thread of its own")),
            ("tokio current_thread", format!("error {title}")),
        ] {
            facts.loops = vec![Loop { flavor: flavor.into(), ..Loop::default() }];
            check(&RULE, &facts, &[&expected]);
        }
    }

    #[test]
    fn a_process_may_end_in_the_middle_of_a_poll() {
        let ended = Facts { state: State::Ended, ..facts(4_000 * MS, false) };
        let title = "a poll had been at `shop/src/pay.rs:7` for 4.00 s when the process ended";
        check(&RULE, &ended, &[&format!("info shop/src/pay.rs:7: {title}")]);
    }

    #[test]
    fn where_ends_may_be_missing_it_is_possible() {
        let (kind, cause) = (Some(RecordKind::Poll), DropCause::RingFull);
        let lost = Lost { kind, cause, count: 1, from: UnixNanos(1), to: UnixNanos(2) };
        let facts = Facts { losses: vec![lost], ..facts(4_000 * MS, false) };
        let title = "a poll has been at `shop/src/pay.rs:7` for 4.00 s without being seen to end";
        check(&RULE, &facts, &[&format!("info shop/src/pay.rs:7: {title}")]);
    }
}
