//! Says in a sentence what is wrong with a process. Pure: values in, sentences out.

use std::collections::{BTreeMap, BTreeSet};

use loopd_analysis::capture::Capture;

use super::findings::{Finding, FindingsView, Level as FindingLevel};
use super::overview::{Headline, Level, Verdict};
use super::process::Process;
use super::text::duration_text;

/// How many headlines of one rule are worth a reader's time.
const MAX_OF_A_RULE: usize = 3;
/// More clauses make no sentence.
const MAX_CLAUSES: usize = 5;

/// What is wrong, worst first; an incomplete capture comes before everything else, because it makes every
/// other number a lower bound. What is only worth knowing is none.
pub(crate) fn headlines(view: &FindingsView, page: &str) -> Vec<Headline> {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut headlines = Vec::new();
    let (capture, others): (Vec<_>, Vec<_>) =
        view.important().partition(|it| it.is_about_capture());
    for finding in capture.into_iter().chain(others) {
        let shown = shown.entry(&finding.rule).or_default();
        *shown += 1;
        if *shown <= MAX_OF_A_RULE {
            headlines.push(headline(finding, page));
        }
    }
    headlines
}

fn headline(finding: &Finding, page: &str) -> Headline {
    Headline {
        rule: finding.rule.clone(),
        level: finding.level,
        sentence: finding.title.clone(),
        location: finding.location.clone().unwrap_or_default(),
        href: format!(
            "{page}&finding={}",
            encoded(&format!("{}:{}", finding.rule, finding.subject))
        ),
        weight_ns: (finding.harm > 0).then_some(finding.harm),
        count: finding.occurrences,
    }
}

/// A text as the value of a query: what means something there is escaped.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One sentence: what was lost if something was, then the worst that each rule found. `has_slow_polls`:
/// whether there are any in the range, harmful or not.
pub(crate) fn verdict(
    process: &Process,
    view: &FindingsView,
    headlines: &[Headline],
    has_slow_polls: bool,
) -> Verdict {
    let level = level(process, view, headlines);
    let mut told = BTreeSet::new();
    let worst = headlines.iter().filter(|headline| told.insert(headline.rule.as_str()));
    // A semicolon is what tells clauses apart.
    let clause = |headline: &Headline| headline.sentence.replace("; ", ", ");
    let worst: Vec<_> = worst.take(MAX_CLAUSES).map(clause).collect();
    let sentence = match (worst.is_empty(), level) {
        (false, _) => worst.join("; "),
        (true, Level::Incomplete) => {
            let why = process.nothing_to_judge().unwrap_or("not all was recorded");
            format!("{why}, so there is nothing to judge")
        }
        (true, _) if has_slow_polls => {
            "nothing that was found does harm, and nothing only grows".into()
        }
        (true, _) if process.capture() == Capture::ConsoleSnapshots => {
            "nothing only grows; single polls are not captured by console snapshots".into()
        }
        (true, _) => {
            let slow = duration_text(process.slow_threshold);
            format!("no poll took {slow} or longer, and nothing only grows")
        }
    };
    Verdict { level, sentence }
}

fn level(process: &Process, view: &FindingsView, headlines: &[Headline]) -> Level {
    let is_incomplete = view.findings.iter().any(|it| it.is_about_capture() && it.muted.is_none());
    match headlines.iter().map(|headline| headline.level).max() {
        _ if is_incomplete => Level::Incomplete,
        None if process.nothing_to_judge().is_some() => Level::Incomplete,
        None | Some(FindingLevel::Info) => Level::Ok,
        Some(FindingLevel::Warning) => Level::Warn,
        Some(FindingLevel::Error) => Level::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::process::Coverage;
    use crate::views::text::UnixNanosText;

    /// Findings as `level rule subject`, one a line.
    fn view(findings: &str) -> FindingsView {
        let finding = |line: &str| {
            let mut words = line.split_whitespace();
            let level = match words.next() {
                Some("error") => FindingLevel::Error,
                Some("warning") => FindingLevel::Warning,
                _ => FindingLevel::Info,
            };
            let (rule, subject) = (words.next().unwrap(), words.next().unwrap());
            Finding {
                rule: rule.into(),
                subject: subject.into(),
                level,
                harm: 0,
                score: 0,
                confidence: "certain".into(),
                title: format!("{rule} of {subject}"),
                location: None,
                path: None,
                occurrences: 1,
                first_seen_at: UnixNanosText(1),
                last_seen_at: UnixNanosText(1),
                evidence: Vec::new(),
                why: String::new(),
                fix: String::new(),
                snippet: None,
                muted: None,
                resolved_at: None,
            }
        };
        FindingsView {
            process: 1,
            from: UnixNanosText(0),
            to: UnixNanosText(2),
            findings: findings
                .lines()
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(finding)
                .collect(),
            resolved: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn sentences(findings: &str) -> Vec<String> {
        headlines(&view(findings), "/findings?process=1")
            .into_iter()
            .map(|it| it.sentence)
            .collect()
    }

    #[test]
    fn of_one_rule_three_are_told_and_what_is_only_worth_knowing_is_not() {
        let found = sentences(
            "error blocking a
             warning leak b
             warning leak c
             warning leak d
             warning leak e
             info capture_incomplete capture
             info storm f",
        );
        let expected = [
            "capture_incomplete of capture",
            "blocking of a",
            "leak of b",
            "leak of c",
            "leak of d",
        ];
        assert_eq!(found, expected);
    }

    fn told(findings: &str, polls: u64, has_slow_polls: bool) -> (Level, String) {
        let process = Process { polls: Some(polls), slow_threshold: 100_000_000, ..process() };
        let view = view(findings);
        let headlines = headlines(&view, "/findings?process=1");
        let Verdict { level, sentence } = verdict(&process, &view, &headlines, has_slow_polls);
        (level, sentence)
    }

    fn process() -> Process {
        serde_json::from_value(serde_json::json!({
            "process": 1, "id": "", "app": "orders", "app_version": "", "host": "", "pid": 1, "labels": {},
            "agent": "loopd-agent", "agent_version": "", "runtime": "tokio", "capture": "records",
            "state": "live",
            "started_at": "0", "last_at": "2", "ended_at": null, "slow_threshold": 1, "coverage": [],
            "tasks_alive": 0, "tasks_spawned": 0, "polls": 0, "slow_polls": 0, "open_resources": 0,
            "lost": 0, "loops": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_healthy_program_is_told_so_though_there_is_something_worth_knowing() {
        let healthy = "no poll took 100 ms or longer, and nothing only grows";
        assert_eq!(told("", 5, false), (Level::Ok, healthy.into()));
        assert_eq!(told("info storm a", 5, false), (Level::Ok, healthy.into()));
        let harmless = "nothing that was found does harm, and nothing only grows";
        assert_eq!(told("info blocking a", 5, true), (Level::Ok, harmless.into()));
        assert_eq!(told("", 0, false).0, Level::Incomplete);
    }

    #[test]
    fn snapshots_without_a_task_or_that_are_paused_are_no_good_news() {
        let console = |tasks_spawned, state: &str| {
            let layer =
                Coverage { layer: "console".into(), state: state.into(), reason: String::new() };
            let process = Process {
                agent: "console-subscriber".into(),
                polls: None,
                slow_polls: None,
                tasks_spawned,
                coverage: vec![layer],
                ..process()
            };
            let Verdict { level, sentence } = verdict(&process, &view(""), &[], false);
            (level, sentence)
        };
        let (level, sentence) = console(0, "on");
        assert_eq!(level, Level::Incomplete);
        assert_eq!(sentence, "no task has been recorded yet, so there is nothing to judge");
        let (level, sentence) = console(3, "off");
        assert_eq!(level, Level::Incomplete);
        assert_eq!(sentence, "the program's reports are paused, so there is nothing to judge");
        assert_eq!(console(3, "on").0, Level::Ok);
    }

    #[test]
    fn the_worst_finding_is_the_level_unless_the_capture_is_incomplete() {
        let clauses = "deadlock of a; leak of b";
        assert_eq!(
            told("error deadlock a\nwarning leak b", 5, false),
            (Level::Bad, clauses.into())
        );
        assert_eq!(told("warning leak b\ninfo storm c", 5, false).0, Level::Warn);
        let (level, sentence) = told("error deadlock a\ninfo capture_incomplete capture", 5, false);
        assert_eq!(level, Level::Incomplete);
        assert_eq!(sentence, "capture_incomplete of capture; deadlock of a");
    }

    #[test]
    fn a_subject_survives_the_way_through_an_address() {
        let headline = &headlines(&view("error x a&b=%<ü>"), "/findings?process=1")[0];
        assert_eq!(headline.href, "/findings?process=1&finding=x:a%26b%3D%25%3C%C3%BC%3E");
    }
}
