//! What the flight recorder itself takes.

use crate::findings::{Facts, Finding, Level, Link, Rule, Verdict};
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "agent_overhead", title: "Recording that costs too much", check };

/// Of the process's time on processors, what the agent may take.
const NOTABLE: f64 = 0.02;
/// From here on the program is measurably slower for it.
const LONG: f64 = 0.1;
/// Of one processor, what is nothing whatever the share: a process that does nothing has only its agent.
const MIN_LOAD: f64 = 0.01;
/// Of one processor, what the program may feel: below that a large share says that the program is idle.
const FELT_LOAD: f64 = 0.05;
/// A short range has less than this for its start alone.
const MIN_TIME: f64 = 100e6;

fn check(facts: &Facts) -> Verdict {
    let (own, all) = (facts.rise("agent_cpu_nanos"), facts.rise("cpu_nanos"));
    let cost = own.zip(all).and_then(|(own, all)| cost(facts, own, all));
    let found: Vec<_> = cost.into_iter().chain(faults(facts)).collect();
    if found.is_empty() && own.zip(all).is_none() {
        return Verdict::Needs("two readings of the time on processors, once a second".into());
    }
    Verdict::of(found)
}

fn cost(facts: &Facts, own: f64, all: f64) -> Option<Finding> {
    let share = own / all.max(1.0);
    if share < NOTABLE || own < MIN_TIME || own < MIN_LOAD * facts.length() as f64 {
        return None;
    }
    let is_felt = share >= LONG && own >= FELT_LOAD * facts.length() as f64;
    let level = if is_felt { Level::Warning } else { Level::Info };
    let mut finding = Finding::new(RULE.id, "agent", level)
        .harm(if level == Level::Warning { own as u64 } else { 0 })
        .title(format!(
            "recording takes {:.1} % of the time of the process on processors",
            share * 100.0,
        ))
        .seen(1, facts.from, facts.to)
        .proof(
            format!("{} of {}", duration_text(own as u64), duration_text(all as u64)),
            Some(Link::Page("sources")),
        )
        .advice(
            "The program does so many small things that to note each costs more than it should.",
            "Record less of it: `loopd capture` switches single polls, wakes, waits and stacks off and on \
             while the program runs.",
        );
    if let Some(records) = facts.rise("agent_produced_records") {
        let rate = records * 1e9 / facts.length() as f64;
        finding = finding.proof(format!("{} records a second", count_text(rate as u64)), None);
    }
    Some(finding)
}

fn faults(facts: &Facts) -> Option<Finding> {
    let faults = facts.metric("agent_faults").iter().filter_map(|it| it.last()).sum::<f64>() as u64;
    (faults > 0).then(|| {
        let were = if faults == 1 { "fault" } else { "faults" };
        Finding::new(RULE.id, "agent faults", Level::Warning)
            .title(format!("{} {were} inside the agent, kept from the program", count_text(faults)))
            .seen(faults, facts.from, facts.to)
            .proof("counted by the agent since the start", Some(Link::Page("sources")))
            .advice(
                "The agent met something that it did not expect and left it out: what it records may be \
                 incomplete, the program is as it was.",
                "Use the latest loopd, and report it with the versions of Python and of the loop.",
            )
    })
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::{MS, check, counter, gauge};

    /// A minute in which the agent and the whole process used so many seconds.
    fn facts(own: f64, all: f64) -> Facts {
        let metrics = [counter("agent_cpu_nanos", own * 1e9), counter("cpu_nanos", all * 1e9)];
        let to = UnixNanos(60_000 * MS as i64);
        Facts { to, metrics: metrics.into(), ..Facts::default() }
    }

    #[test]
    fn an_agent_that_takes_much_is_told() {
        let title = "of the time of the process on processors";
        check(&RULE, &facts(3.0, 60.0), &[&format!("info agent: recording takes 5.0 % {title}")]);
        let much = format!("warning agent: recording takes 20.0 % {title}");
        check(&RULE, &facts(12.0, 60.0), &[&much]);
    }

    #[test]
    fn beside_a_busy_or_an_idle_process_it_is_fine() {
        check(&RULE, &facts(1.0, 60.0), &["ok"]);
        check(&RULE, &facts(0.3, 0.5), &["ok"]);
        let title = "recording takes 50.0 % of the time of the process on processors";
        check(&RULE, &facts(1.0, 2.0), &[&format!("info agent: {title}")]);
    }

    #[test]
    fn a_fault_is_told() {
        let mut facts = facts(0.3, 60.0);
        facts.metrics.extend([gauge("agent_faults", |_| 2.0)]);
        let faults = "warning agent faults: 2 faults inside the agent, kept from the program";
        check(&RULE, &facts, &[faults]);
    }

    #[test]
    fn readings_are_needed() {
        let needs = "needs two readings of the time on processors, once a second";
        check(&RULE, &Facts::default(), &[needs]);
    }
}
