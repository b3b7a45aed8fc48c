//! What rules can say of a process that is read as console snapshots: counters of tasks, and whether things
//! are open. A rule that rests on more says what it needs, whatever it makes of the little there is.

use super::{Facts, Verdict};
use crate::capture::Capture;

/// Rules that judge by what snapshots carry.
const JUDGE: &[&str] = &["capture_incomplete", "task_leak", "resource_leak", "large_future"];

const POLLS: &str = "single polls";
const WAKES: &str = "single wakes and polls";
const HOLDERS: &str = "who holds what";
const WAITS: &str = "every wait, and where in the program it is";
const WORKERS: &str = "what each worker does";
const QUEUES: &str = "how full channels are";
const SYSTEM: &str = "what the process uses of its system";
const FILES: &str = "which files and sockets are open";

/// What the others rest on.
const NEED: &[(&str, &str)] = &[
    ("deadlock", HOLDERS),
    ("never_yields", POLLS),
    ("blocking_call", POLLS),
    ("cpu_bound_poll", POLLS),
    ("memory_wait", POLLS),
    // A span that lives longer than its task looks like a task without a waker.
    ("lost_waker", "whether a task has ended, rather than its span"),
    ("panicked", "how tasks end"),
    ("asyncio_checks", "what asyncio complains of"),
    ("lock_across_await", HOLDERS),
    ("lock_convoy", WAITS),
    ("permits_exhausted", WAITS),
    ("channel_full", QUEUES),
    ("channel_growing", QUEUES),
    ("await_without_timeout", WAITS),
    ("starvation", WAKES),
    ("late_timers", "when each timer was due"),
    ("loop_saturated", WORKERS),
    ("idle_workers", WORKERS),
    ("blocking_pool_saturated", QUEUES_OF_THREADS),
    ("descheduled", SYSTEM),
    ("gc_gil", SYSTEM),
    ("busy_poll", WAKES),
    ("unclosed_resource", FILES),
    ("fd_growth", FILES),
    ("resource_outlives_loop", FILES),
    ("unclosed_loop", "when loops open and close"),
    ("two_loops_in_one_thread", "which threads run which loop"),
    ("cancellation_ignored", "when a task is asked to cancel"),
    ("serial_awaits", WAITS),
    ("spawn_storm", POLLS),
    ("regression", POLLS),
    ("agent_overhead", "what recording costs the program"),
];
const QUEUES_OF_THREADS: &str = "how long jobs wait for a thread";

/// What a rule says, given what it made of the facts.
pub(super) fn verdict(facts: &Facts, rule: &str, verdict: Verdict) -> Verdict {
    let is_told = facts.capture == Capture::Records
        || JUDGE.contains(&rule)
        || matches!(verdict, Verdict::NotApplicable(_));
    if is_told {
        return verdict;
    }
    let need = NEED.iter().find(|(id, _)| *id == rule).map_or("more", |(_, need)| need);
    Verdict::Needs(format!(
        "{need}: not captured by console snapshots; `loopd-agent` in the program records it"
    ))
}

#[cfg(test)]
mod tests {
    use loopd_model::{Coverage, CoverageState};

    use super::*;
    use crate::capture::CONSOLE_LAYER;
    use crate::findings::{Level, SlowPoll, TaskPopulation, analyse, rules};
    use crate::leaks::Population;

    #[test]
    fn every_rule_judges_or_says_what_it_needs() {
        for rule in rules() {
            let is_in_need = NEED.iter().any(|(id, _)| *id == rule.id);
            assert_ne!(JUDGE.contains(&rule.id), is_in_need, "{}", rule.id);
        }
        assert_eq!(rules().len(), JUDGE.len() + NEED.len());
    }

    #[test]
    fn of_snapshots_no_rule_says_ok_that_could_not_look() {
        let facts = Facts {
            capture: Capture::ConsoleSnapshots,
            slow_polls: vec![SlowPoll::default()],
            coverage: vec![Coverage {
                layer: CONSOLE_LAYER.into(),
                state: CoverageState::On,
                reason: String::new(),
            }],
            ..Facts::default()
        };
        let analysis = analyse(&facts);
        assert_eq!(analysis.findings, []);
        for state in &analysis.rules {
            match JUDGE.contains(&state.rule) {
                true => assert_eq!(state.state, "ok", "{state:?}"),
                false => assert!(matches!(state.state, "needs" | "not_applicable"), "{state:?}"),
            }
        }
        let polls = analysis.rules.iter().find(|it| it.rule == "blocking_call").unwrap();
        assert_eq!(
            polls.reason,
            "single polls: not captured by console snapshots; `loopd-agent` in the program records it"
        );
    }

    #[test]
    fn tasks_that_become_more_may_only_have_left_their_spans_open() {
        let site = TaskPopulation {
            location: Some("a.rs:1".into()),
            alive: 80,
            spawned: 80,
            population: Population {
                counts: (0..9).map(|step| step * 10).collect(),
                window: 480_000_000_000,
                ages: vec![200_000_000_000; 40],
            },
            ..TaskPopulation::default()
        };
        let levels = |capture| {
            let facts = Facts { capture, tasks: vec![site.clone()], ..Facts::default() };
            analyse(&facts).findings.iter().map(|it| it.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(Capture::Records), [Level::Warning]);
        assert_eq!(levels(Capture::ConsoleSnapshots), [Level::Info]);
    }
}
