//! What is wrong with a process, by rule: few findings, ranked by the harm they do, each with its proof
//! and what to do about it.
//!
//! Pure: [`analyse`] maps [`Facts`] of a range to an [`Analysis`]. What facts there are, the store adds up
//! as events arrive; so the same range gives the same findings, live or a week later. A rule is one file
//! in `rules`, and says *needs …* where what it rests on was not captured: it never guesses.

mod blocked;
mod facts;
mod finding;
mod load;
mod merge;
mod rules;
mod snapshots;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::text::count_text;

pub use self::facts::{
    AliveTask, End, Facts, HoldSite, JobSite, Lane, Lived, Loop, Lost, OpenWait, ResourceUse,
    Series, SlowPoll, SpawnSite, State, TaskPopulation, ThingPopulation, Victims, WaitHolder,
    WaitSite,
};
pub use self::finding::{Confidence, Evidence, Finding, Level, Link, Snippet, score_of};

/// What a rule says of a range.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// This is wrong.
    Found(Vec<Finding>),
    /// It looked, and there is nothing.
    Ok,
    /// Such a thing cannot be in this process, and why.
    NotApplicable(&'static str),
    /// It cannot know: what was not captured, and what would turn it on.
    Needs(String),
}

impl Verdict {
    /// The word for it in JSON and tables.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Ok => "ok",
            Self::NotApplicable(_) => "not_applicable",
            Self::Needs(_) => "needs",
        }
    }

    /// Found, if there is something, each subject once; ok otherwise.
    fn of(findings: Vec<Finding>) -> Self {
        let findings = merge::by_subject(findings);
        if findings.is_empty() { Self::Ok } else { Self::Found(findings) }
    }
}

/// One thing that can be wrong, and how to see it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in SQL, JSON and URLs, such as `blocking_call`.
    pub id: &'static str,
    /// What it looks for, as a heading.
    pub title: &'static str,
    /// Looks.
    check: fn(&Facts) -> Verdict,
}

/// Every rule, in the order of the registry.
pub fn rules() -> &'static [Rule] {
    rules::ALL
}

/// What one rule said, without its findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// The rule.
    pub rule: &'static str,
    /// What it looks for.
    pub title: &'static str,
    /// `found`, `ok`, `not_applicable` or `needs`.
    pub state: &'static str,
    /// Why not applicable, or what it needs; empty otherwise.
    pub reason: String,
}

/// What all rules say of a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// What is wrong: by level, and in each an incomplete capture first; then by score.
    pub findings: Vec<Finding>,
    /// What each rule said.
    pub rules: Vec<RuleState>,
}

/// One rule names no more subjects than this, the most harmful: more of one sort say nothing new, and what
/// is left out is counted in the last.
pub const MAX_OF_A_RULE: usize = 20;

/// The rule that says that records were lost. What it finds is no fault of the program, but makes every
/// other number a bound.
pub const CAPTURE_INCOMPLETE: &str = rules::CAPTURE_INCOMPLETE;

/// Looks at a range with every rule.
pub fn analyse(facts: &Facts) -> Analysis {
    let mut analysis = Analysis::default();
    for rule in rules() {
        let verdict = snapshots::verdict(facts, rule.id, (rule.check)(facts));
        let state = verdict.as_str();
        let reason = match verdict {
            Verdict::Found(mut findings) => {
                debug_assert!(is_each_subject_once(&findings), "{} repeats itself", rule.id);
                findings.sort_by(|a, b| order(a).cmp(&order(b)));
                leave_out(&mut findings);
                analysis.findings.extend(findings);
                String::new()
            }
            Verdict::Ok => String::new(),
            Verdict::NotApplicable(reason) => reason.to_owned(),
            Verdict::Needs(what) => what,
        };
        analysis.rules.push(RuleState { rule: rule.id, title: rule.title, state, reason });
    }
    analysis.findings.sort_by(|a, b| order(a).cmp(&order(b)));
    analysis
}

/// Leaves the most harmful, of which the last says how many more there are.
fn leave_out(findings: &mut Vec<Finding>) {
    let more = findings.split_off(findings.len().min(MAX_OF_A_RULE)).len();
    if let Some(last) = findings.pop_if(|_| more > 0) {
        let text = format!(
            "and {} more of this rule that harm less are not told",
            count_text(more as u64)
        );
        findings.push(last.proof(text, None));
    }
}

/// Whoever mutes a finding, or looks for it in the next run, knows it by its rule and subject.
fn is_each_subject_once(findings: &[Finding]) -> bool {
    let mut seen = BTreeSet::new();
    findings.iter().all(|it| seen.insert((it.rule, it.subject.as_str())))
}

/// How bad: the level, whether it is about the capture, score and harm.
type Rank = (Level, bool, u8, u64);

/// What is worse comes first. Of a level an incomplete capture does: other numbers are bounds then.
fn order(finding: &Finding) -> (Reverse<Rank>, &str, &str) {
    let is_capture = finding.rule == rules::CAPTURE_INCOMPLETE;
    let rank = (finding.level, is_capture, finding.score, finding.harm);
    (Reverse(rank), finding.rule, &finding.subject)
}

#[cfg(test)]
mod tests {
    use loopd_model::{DropCause, Running, UnixNanos};

    use super::*;

    #[test]
    fn an_error_comes_before_what_was_not_captured() {
        let lost = Lost {
            count: 7,
            ..Lost {
                kind: None,
                cause: DropCause::RingFull,
                count: 0,
                from: UnixNanos(1),
                to: UnixNanos(2),
            }
        };
        let poll = rules::tests::slow_poll(4_000_000_000, &[Running::OnCpu], None);
        let mild = rules::tests::slow_poll(110_000_000, &[Running::OffCpu], None);
        let facts = Facts {
            losses: vec![lost],
            slow_threshold: 100_000_000,
            slow_polls: vec![poll, mild],
            coverage: rules::tests::covered(),
            ..Facts::default()
        };
        let found = analyse(&facts).findings;
        let told: Vec<_> = found.iter().map(|it| (it.level.as_str(), it.rule)).collect();
        assert_eq!(
            told[..3],
            [("error", "cpu_bound_poll"), ("info", CAPTURE_INCOMPLETE), ("info", "blocking_call")]
        );
    }

    #[test]
    fn of_many_of_a_rule_the_last_says_how_many_more_there_are() {
        let site = |i: u64| TaskPopulation {
            location: Some(format!("a.rs:{i}")),
            alive: 80,
            spawned: 80,
            population: crate::leaks::Population {
                counts: (0..9).map(|step| step * 10).collect(),
                window: 480_000_000_000,
                ages: vec![(200 + i) * 1_000_000_000; 40],
            },
            ..TaskPopulation::default()
        };
        let last = |n: u64| {
            let facts = Facts { tasks: (0..n).map(site).collect(), ..Facts::default() };
            let mut found = analyse(&facts).findings;
            (found.len(), found.pop().unwrap().evidence.pop().unwrap().text)
        };
        let text = "and 5 more of this rule that harm less are not told";
        assert_eq!(last(25), (MAX_OF_A_RULE, text.to_owned()));
        assert_eq!(last(20).0, MAX_OF_A_RULE);
        assert!(!last(20).1.contains("more of this rule"));
    }
}
