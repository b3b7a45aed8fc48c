//! What is kept of findings, and the form in which it is.

use loopd_analysis::findings::{Confidence, Evidence, Finding, Level, Link};
use loopd_model::{ResourceId, TaskId, UnixNanos};
use serde_json::{Value, json};

use crate::ProcessKey;

/// So many findings of one process are kept, the resolved ones that were found longest ago going first: a
/// program in which more is wrong has another problem.
pub const MAX_FINDINGS: usize = 500;
/// So many are muted in all: people do that by hand.
pub const MAX_MUTES: usize = 1_024;

/// What a rule found while the process ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    /// The process.
    pub process: ProcessKey,
    /// The rule, which a newer version of loopd may have had.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// How serious it was last.
    pub level: Level,
    /// 0 to 100.
    pub score: u8,
    /// What it cost others, in nanoseconds; 0 if not known.
    pub harm: u64,
    /// How sure.
    pub confidence: Confidence,
    /// What is wrong, in a sentence.
    pub title: String,
    /// The line to look at; `None` if none is known.
    pub location: Option<String>,
    /// The most that one analysis saw.
    pub occurrences: u64,
    /// The first time.
    pub first_seen_at: UnixNanos,
    /// The last.
    pub last_seen_at: UnixNanos,
    /// When it was no longer found; `None` while it is open.
    pub resolved_at: Option<UnixNanos>,
    /// How often it opened.
    pub openings: u64,
    /// Why nobody wants to hear of it; `None` if it is not muted.
    pub muted: Option<String>,
    /// The proof, as it was last.
    pub evidence: Vec<Evidence>,
    /// Why it is wrong.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// How that looks: the language, and the code.
    pub snippet: Option<(String, String)>,
}

/// The part of a finding that no query asks for, as JSON.
pub(crate) fn detail(finding: &Finding) -> String {
    let evidence = finding.evidence.iter().map(|it| match it.link {
        Some(link) => json!([it.text, link_text(link)]),
        None => json!([it.text]),
    });
    let snippet = finding.snippet.map(|it| json!([it.language, it.code]));
    json!({
        "evidence": evidence.collect::<Vec<_>>(),
        "why": finding.why,
        "fix": finding.fix,
        "snippet": snippet,
    })
    .to_string()
}

/// Fills a row from what [`detail`] made; what cannot be read is left out.
pub(crate) fn add_detail(row: &mut FindingRow, detail: &str) {
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let evidence = detail["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
    row.evidence = evidence
        .iter()
        .map(|it| Evidence { text: text(&it[0]), link: it[1].as_str().and_then(link) })
        .collect();
    (row.why, row.fix) = (text(&detail["why"]), text(&detail["fix"]));
    let snippet = &detail["snippet"];
    row.snippet = snippet.is_array().then(|| (text(&snippet[0]), text(&snippet[1])));
}

/// Pages that evidence may point to.
const PAGES: [&str; 6] = ["slow", "waits", "leaks", "resources", "sources", "tasks"];

fn link_text(link: Link) -> String {
    match link {
        Link::Task(task) => format!("task {task}"),
        Link::Resource(resource) => format!("resource {resource}"),
        Link::At(at) => format!("at {}", at.0),
        Link::Page(page) => format!("page {page}"),
    }
}

fn link(text: &str) -> Option<Link> {
    let (sort, which) = text.split_once(' ')?;
    Some(match sort {
        "task" => Link::Task(TaskId(which.parse().ok()?)),
        "resource" => Link::Resource(ResourceId(which.parse().ok()?)),
        "at" => Link::At(UnixNanos(which.parse().ok()?)),
        "page" => Link::Page(PAGES.into_iter().find(|page| *page == which)?),
        _ => return None,
    })
}

pub(crate) const fn level_number(level: Level) -> i64 {
    match level {
        Level::Info => 1,
        Level::Warning => 2,
        Level::Error => 3,
    }
}

pub(crate) const fn level(number: i64) -> Level {
    match number {
        1 => Level::Info,
        2 => Level::Warning,
        _ => Level::Error,
    }
}

pub(crate) const fn confidence_number(confidence: Confidence) -> i64 {
    match confidence {
        Confidence::Possible => 1,
        Confidence::Likely => 2,
        Confidence::Certain => 3,
    }
}

pub(crate) const fn confidence(number: i64) -> Confidence {
    match number {
        1 => Confidence::Possible,
        2 => Confidence::Likely,
        _ => Confidence::Certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_back_as_they_were() {
        let links = [
            Link::Task(TaskId(u64::MAX)),
            Link::Resource(ResourceId(3)),
            Link::At(UnixNanos(-5)),
            Link::Page("waits"),
        ];
        for it in links {
            assert_eq!(link(&link_text(it)), Some(it));
        }
        assert_eq!(link("page of nobody"), None);
        assert_eq!(link("task x"), None);
    }
}
