//! The operating system did not let the process run.

use crate::findings::load::{self, LATE};
use crate::findings::{Confidence, Facts, Finding, Level, Rule, Verdict};
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "descheduled", title: "Time without a processor", check };

/// Of the range, how long threads may wait for a processor, all together, before it is worth a word.
pub(super) const CROWDED: f64 = 0.1;
/// A process that uses nearly one processor or more by itself may be what its own threads wait for, as with
/// many threads that compute.
const MODEST: f64 = 0.9;
/// Of the range, how long it may be held back for having used up its share, added up over the processors
/// that its threads are on. All of them stand still then.
const THROTTLED: f64 = 0.01;
/// From here on others notice.
const THROTTLED_LONG: f64 = 0.05;
/// Less than this in all is nothing, however short the range.
const MIN_TIME: f64 = 100e6;

fn check(facts: &Facts) -> Verdict {
    let wait = run_queue_share(facts);
    let throttled = share(facts, "cgroup_throttled_nanos");
    if wait.is_none() && throttled.is_none() {
        return Verdict::Needs(
            "how long threads waited for a processor, which this system or agent does not tell"
                .into(),
        );
    }
    let crowded = wait.filter(|&share| share >= CROWDED).map(|share| crowded(facts, share));
    let held = throttled.filter(|&share| share >= THROTTLED).map(|share| held_back(facts, share));
    Verdict::of(crowded.into_iter().chain(held).collect())
}

/// How long threads waited for a processor, as a share of the range; `None` if that is not told.
pub(super) fn run_queue_share(facts: &Facts) -> Option<f64> {
    share(facts, "run_queue_wait_nanos")
}

/// 0 where it is too little to count.
fn share(facts: &Facts, name: &str) -> Option<f64> {
    let rise = facts.rise(name)?;
    Some(if rise < MIN_TIME { 0.0 } else { rise / facts.length() as f64 })
}

fn crowded(facts: &Facts, wait: f64) -> Finding {
    let waited = facts.rise("run_queue_wait_nanos").unwrap_or(0.0) as u64;
    let used = facts.rise("cpu_nanos");
    let delay = load::wake_delay(facts);
    // Only where others cannot be the process itself, and where somebody noticed, it is wrong.
    let is_modest = used.is_some_and(|used| used < MODEST * facts.length() as f64);
    let is_noticed = delay.is_some_and(|delay| delay >= LATE);
    let level = if is_modest && is_noticed { Level::Warning } else { Level::Info };
    let mut finding = Finding::new(RULE.id, "processors", level)
        .harm(if level == Level::Warning { waited } else { 0 })
        .confidence(Confidence::Likely)
        .title(format!(
            "threads that could run waited {} for a processor ({:.0} % of the time)",
            duration_text(waited),
            wait * 100.0,
        ))
        .seen(1, facts.from, facts.to)
        .advice(
            "More threads want to run than there are processors for. A poll that loses its processor in \
             the middle takes longer for no reason of its own, and everybody behind it waits.",
            "Have fewer threads that compute at once, in this process or beside it; give the process more \
             processors, or processors of its own.",
        );
    if let Some(used) = used {
        let text =
            format!("the process used {} of processor time meanwhile", duration_text(used as u64));
        finding = finding.proof(text, None);
    }
    if let Some(switches) = facts.rise("involuntary_switches") {
        let text = format!("{} times a thread lost its processor", count_text(switches as u64));
        finding = finding.proof(text, None);
    }
    let noticed = match delay {
        Some(delay) => {
            format!("a hundredth of the polls came {} late or later", duration_text(delay))
        }
        None => "how late polls came for it is not known".to_owned(),
    };
    finding.proof(noticed, None)
}

fn held_back(facts: &Facts, share: f64) -> Finding {
    let time = facts.rise("cgroup_throttled_nanos").unwrap_or(0.0) as u64;
    let level = if share >= THROTTLED_LONG { Level::Warning } else { Level::Info };
    let periods = facts.rise("cgroup_throttled_periods").unwrap_or(0.0) as u64;
    Finding::new(RULE.id, "cpu limit", level)
        .harm(time)
        .title(format!(
            "the limit of the control group held threads back for {} in all",
            duration_text(time),
        ))
        .seen(periods.max(1), facts.from, facts.to)
        .advice(
            "Who has used up its share of a period (mostly 100 ms) is stopped until the next begins, with \
             all its threads: that looks like slow polls everywhere.",
            "Raise the limit or take it away (a request or weight is enough for fairness), or have no more \
             workers than it allows processors.",
        )
        .proof(format!("in {} periods", count_text(periods)), None)
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::{MS, check, counter, site};

    /// A minute in which threads waited, and the process used its processors, for so many seconds.
    fn facts(waited: f64, used: f64, delay: u64) -> Facts {
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            metrics: [
                counter("run_queue_wait_nanos", waited * 1e9),
                counter("cpu_nanos", used * 1e9),
            ]
            .into(),
            sites: vec![site("shop/src/serve.rs:8", &[(900, MS)], &[(900, delay)])],
            ..Facts::default()
        }
    }

    #[test]
    fn a_noisy_neighbour_is_told() {
        check(
            &RULE,
            &facts(15.0, 20.0, 30 * MS),
            &[
                "warning processors: threads that could run waited 15.0 s for a processor (25 % of the time)",
            ],
        );
    }

    #[test]
    fn threads_of_its_own_that_compute_are_worth_knowing_only() {
        check(
            &RULE,
            &facts(150.0, 119.0, 30 * MS),
            &[
                "info processors: threads that could run waited 2 min 30 s for a processor (250 % of the time)",
            ],
        );
    }

    #[test]
    fn what_nobody_noticed_is_too_and_a_little_is_nothing() {
        check(
            &RULE,
            &facts(15.0, 20.0, MS),
            &[
                "info processors: threads that could run waited 15.0 s for a processor (25 % of the time)",
            ],
        );
        check(&RULE, &facts(2.0, 20.0, MS), &["ok"]);
    }

    #[test]
    fn a_limit_that_holds_back_is_told() {
        let mut facts = facts(0.0, 20.0, MS);
        facts.metrics.extend([counter("cgroup_throttled_nanos", 9e9)]);
        check(
            &RULE,
            &facts,
            &[
                "warning cpu limit: the limit of the control group held threads back for 9.00 s in all",
            ],
        );
        facts.metrics.extend([counter("cgroup_throttled_nanos", 0.2e9)]);
        check(&RULE, &facts, &["ok"]);
    }

    #[test]
    fn what_the_system_does_not_tell_is_needed() {
        check(
            &RULE,
            &Facts::default(),
            &[
                "needs how long threads waited for a processor, which this system or agent does not tell",
            ],
        );
    }
}
