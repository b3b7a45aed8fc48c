//! A poll slept until a page of memory was there, and everybody who needed its worker waited.

use crate::findings::blocked::{Blocked, blocked};
use crate::findings::{Facts, Finding, Rule, Verdict};
use crate::slow::Doing;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "memory_wait", title: "Polls that wait for memory", check };

fn check(facts: &Facts) -> Verdict {
    let waiting = blocked(facts).into_iter().filter(|it| it.doing() == Doing::Memory);
    let found: Vec<_> = waiting.map(|it| finding(facts, &it)).collect();
    match facts.missing_all(&["watchdog", "stacks"]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

fn finding(facts: &Facts, it: &Blocked<'_>) -> Finding {
    let (function, place, how_often) = (&it.site.function, it.place(), it.how_often());
    let blocked = it.site.runtime.blocked();
    let finding = it
        .finding(facts, RULE.id)
        .title(format!("`{function}` at `{place}` waited for memory on {blocked} {how_often}"))
        .advice(
            "A page of memory that was swapped out, or is of a mapped file and was not read yet, is read from \
             the disk when it is touched. The thread sleeps until then, in the middle of the poll, and no \
             other task of its worker is polled.",
            it.advice(),
        );
    match facts.rise("major_faults") {
        Some(faults) if faults >= 1.0 => {
            let faults = count_text(faults as u64);
            finding.proof(format!("the process had {faults} pages read meanwhile"), None)
        }
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::{PAGE_FAULT, Running, UnixNanos};

    use super::*;
    use crate::findings::rules::tests::{MS, check, counter, covered, slow_poll};
    use crate::findings::rules::{blocking_call, cpu_bound_poll};
    use crate::runtime::Runtime;

    /// A poll that three stacks found asleep in the program's own code, in this call and at this place.
    fn facts(syscall: &str, wchan: &str) -> Facts {
        let mut poll = slow_poll(400 * MS, &[Running::OffCpu; 3], None);
        for sample in &mut poll.poll.samples {
            sample.frames = sample.frames[1..].into();
            (sample.syscall, sample.wchan) = (syscall.to_owned(), wchan.to_owned());
        }
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            runtime: Runtime::Tokio,
            slow_threshold: 100 * MS,
            slow_polls: vec![poll],
            coverage: covered(),
            ..Facts::default()
        }
    }

    const TITLE: &str = "warning shop/src/pay.rs:7: `shop::pay` at `shop/src/pay.rs:7` waited for memory on a worker once, for 400 ms";

    #[test]
    fn a_page_fault_is_no_call_that_blocks() {
        for (syscall, wchan) in [
            (PAGE_FAULT, ""),
            (PAGE_FAULT, "folio_wait_bit_common"),
            ("", "folio_wait_bit_common"),
            ("", "handle_userfault"),
        ] {
            let facts = facts(syscall, wchan);
            check(&RULE, &facts, &[TITLE]);
            check(&blocking_call::RULE, &facts, &["ok"]);
            check(&cpu_bound_poll::RULE, &facts, &["ok"]);
        }
    }

    #[test]
    fn pages_that_were_read_prove_it() {
        let mut facts = facts(PAGE_FAULT, "");
        facts.metrics.extend([counter("major_faults", 1_200.0)]);
        let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
        let told: Vec<_> = found[0].evidence.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            told[2..],
            [
                "3 of 3 stacks found it waiting for a page of memory",
                "the process had 1,200 pages read meanwhile"
            ]
        );
    }

    #[test]
    fn what_no_call_and_no_place_in_the_kernel_explains_is_not_known() {
        let facts = facts("", "");
        check(&RULE, &facts, &["ok"]);
        check(&blocking_call::RULE, &facts, &["ok"]);
        let place = "shop/src/pay.rs:7";
        let title = format!("warning {place}: polls at `{place}` held a worker once, for 400 ms");
        check(&cpu_bound_poll::RULE, &facts, &[&title]);
        let Verdict::Found(found) = (cpu_bound_poll::RULE.check)(&facts) else { panic!() };
        let told = "3 of 3 stacks found it asleep, in no call that is known";
        assert_eq!(found[0].evidence[2].text, told);
        assert!(!found[0].fix.contains("kernel"), "{}", found[0].fix);
    }

    #[test]
    fn a_thread_without_a_processor_is_not_blocked_either() {
        let facts = facts("", loopd_model::RUNQUEUE);
        check(&RULE, &facts, &["ok"]);
        check(&blocking_call::RULE, &facts, &["ok"]);
        let Verdict::Found(found) = (cpu_bound_poll::RULE.check)(&facts) else { panic!() };
        let told = "3 of 3 stacks found it ready to run, without a processor";
        assert_eq!(found[0].evidence[2].text, told);
    }

    #[test]
    fn a_call_is_told_as_one_whatever_the_kernel_does_in_it() {
        let facts = facts("pread64", "folio_wait_bit_common");
        check(&RULE, &facts, &["ok"]);
        let Verdict::Found(found) = (blocking_call::RULE.check)(&facts) else { panic!() };
        assert_eq!(found[0].evidence[2].text, "3 of 3 stacks found it blocked in `pread64`");
    }

    #[test]
    fn without_stacks_it_cannot_be_known() {
        let blind = Facts { coverage: Vec::new(), ..Facts::default() };
        check(&RULE, &blind, &["needs the layer `watchdog`, which this process does not record"]);
    }
}
