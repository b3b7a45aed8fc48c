//! What is wrong with a process: what every rule found in a range, with its proof and what to do.

use std::collections::HashMap;

use loopd_analysis::findings::{self as rules, Analysis, Facts, Link, analyse};
use loopd_analysis::slow::short_path;
use loopd_model::UnixNanos;
use loopd_store::{FindingRow, ProcessKey, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::text::UnixNanosText;
use super::{ViewError, find_process, vocabulary};
use crate::csv::{Csv, optional};

/// `GET /api/v1/processes/{process}/findings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingsView {
    /// Of which process.
    pub process: i64,
    /// The beginning of the range that was looked at.
    pub from: UnixNanosText,
    /// Its end.
    pub to: UnixNanosText,
    /// What is wrong: by level, and in each an incomplete capture first; then by score.
    pub findings: Vec<Finding>,
    /// What was found while the process ran, and no longer at the end of the range: latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<Finding>,
    /// What each rule said, also those that found nothing.
    pub rules: Vec<RuleState>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The rule that found it; of what asyncio complains of itself, the name of its check.
    pub rule: String,
    /// What it is about: the same whenever the same trouble is found again.
    pub subject: String,
    /// How serious it is.
    pub level: Level,
    /// Delay inflicted on others, or what was held times how long, in nanoseconds; 0 if not known.
    pub harm: u64,
    /// 0 to 100, from the harm.
    pub score: u8,
    /// How sure it is: `possible`, `likely` or `certain`.
    #[schema(value_type = vocabulary::Confidence)]
    pub confidence: String,
    /// What is wrong, in one sentence, with the line and the figure.
    pub title: String,
    /// The line to look at, `file:line`; null if no line is known.
    pub location: Option<String>,
    /// The same with the whole path, as the program knows it; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub path: Option<String>,
    /// How often it was seen.
    pub occurrences: u64,
    /// The first time in the range.
    pub first_seen_at: UnixNanosText,
    /// The last time in the range.
    pub last_seen_at: UnixNanosText,
    /// The proof.
    pub evidence: Vec<Evidence>,
    /// Why it is wrong.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// How that looks in code; absent where it cannot be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub snippet: Option<Snippet>,
    /// Why nobody wants to hear of it; absent if it is not muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub muted: Option<String>,
    /// When it was no longer found while the process ran; absent for what is found in the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub resolved_at: Option<UnixNanosText>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FindingLevel)]
pub enum Level {
    /// Worth knowing; a healthy program may have it.
    Info,
    /// It costs others time, or will.
    Warning,
    /// Something does not work, or hurts those who wait for an answer.
    Error,
}

/// One piece of proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What was seen.
    pub text: String,
    /// The page that shows it; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub href: Option<String>,
}

/// Code that mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    /// `rust` or `python`.
    pub language: String,
    /// A few lines.
    pub code: String,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleState {
    /// The rule.
    pub rule: String,
    /// What it looks for.
    pub title: String,
    /// `found`, `ok`, `not_applicable` or `needs`.
    #[schema(value_type = vocabulary::RuleOutcome)]
    pub state: String,
    /// Why it does not apply, or what it needs to be able to look; empty otherwise.
    pub reason: String,
}

/// Which range to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct FindingFilter {
    /// The beginning; that of the recording if not given.
    pub from: Option<UnixNanos>,
    /// The end; that of the recording if not given.
    pub to: Option<UnixNanos>,
}

/// How far around an instant the timeline is shown, in nanoseconds.
const AROUND: i64 = 1_000_000_000;

impl Described for FindingFilter {
    fn params() -> Vec<Param> {
        use super::described::instant;
        vec![
            instant("from", "The beginning; that of the recording if not given."),
            instant("to", "The end; that of the recording if not given."),
        ]
    }
}

impl FindingFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 2] = ["from", "to"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let (from, to) = (params.instant("from")?, params.instant("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(ViewError::Invalid(format!("`from` ({from}) must be before `to` ({to})")));
        }
        Ok(Self { from, to })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default().add("from", self.from).add("to", self.to)
    }
}

/// What is wrong with a process.
pub async fn findings(
    reader: &Reader,
    process: i64,
    filter: &FindingFilter,
) -> Result<FindingsView, ViewError> {
    let process = find_process(reader, Some(process)).await?.process;
    Ok(of_process(reader, process, filter).await?.1)
}

/// The same of a process that is known to be there, with the facts that it rests on.
pub(crate) async fn of_process(
    reader: &Reader,
    process: ProcessKey,
    filter: &FindingFilter,
) -> Result<(Facts, FindingsView), ViewError> {
    let facts = reader.facts(process, filter.from, filter.to).await?;
    let facts = facts.ok_or(ViewError::NoProcess { process: process.0 })?;
    let Analysis { findings, rules } = analyse(&facts);
    let namer = Namer::new(reader, &facts, process).await?;
    let findings: Vec<_> = findings.into_iter().map(|it| namer.finding(it)).collect();
    let resolved = resolved(reader, &namer, &facts, &findings).await?;
    let view = FindingsView {
        process: process.0,
        from: facts.from.into(),
        to: facts.to.into(),
        findings,
        resolved,
        rules: rules.into_iter().map(RuleState::from).collect(),
    };
    Ok((facts, view))
}

/// What was found while the process ran, seen in the range, and no longer found by its end.
async fn resolved(
    reader: &Reader,
    namer: &Namer,
    facts: &Facts,
    found: &[Finding],
) -> Result<Vec<Finding>, ViewError> {
    let is_in_range = |row: &FindingRow| {
        row.first_seen_at <= facts.to
            && row.last_seen_at >= facts.from
            && row.resolved_at.is_some_and(|at| at <= facts.to)
    };
    let is_found =
        |row: &FindingRow| found.iter().any(|it| it.rule == row.rule && it.subject == row.subject);
    let mut rows = reader.findings(namer.process).await?;
    rows.retain(|row| is_in_range(row) && !is_found(row));
    rows.sort_by_key(|row| std::cmp::Reverse(row.resolved_at));
    Ok(rows.into_iter().map(|row| namer.kept(row)).collect())
}

/// Turns what rules found in a process into what is shown of it.
pub(super) struct Namer {
    process: ProcessKey,
    paths: Paths,
    /// Why: by rule and subject.
    mutes: HashMap<(String, String), String>,
}

impl Namer {
    pub(super) async fn new(
        reader: &Reader,
        facts: &Facts,
        process: ProcessKey,
    ) -> Result<Self, ViewError> {
        let paths = paths(facts, &reader.source_files(process).await?);
        let app = find_process(reader, Some(process.0)).await?.app;
        let mutes = reader.mutes(&app).await?.into_iter();
        let mutes = mutes.map(|(rule, subject, reason)| ((rule, subject), reason)).collect();
        Ok(Self { process, paths, mutes })
    }

    pub(super) fn finding(&self, finding: rules::Finding) -> Finding {
        let key = (finding.rule.to_owned(), finding.subject.clone());
        let path = finding.location.as_deref().and_then(|location| self.path(location));
        Finding {
            rule: finding.rule.into(),
            subject: finding.subject,
            level: finding.level.into(),
            harm: finding.harm,
            score: finding.score,
            confidence: finding.confidence.as_str().into(),
            title: finding.title,
            location: finding.location,
            path,
            occurrences: finding.occurrences,
            first_seen_at: finding.first_seen_at.into(),
            last_seen_at: finding.last_seen_at.into(),
            evidence: self.evidence(finding.evidence),
            why: finding.why,
            fix: finding.fix,
            snippet: finding
                .snippet
                .map(|it| Snippet { language: it.language.into(), code: it.code.into() }),
            muted: self.mutes.get(&key).cloned(),
            resolved_at: None,
        }
    }

    /// What was kept while the process ran.
    fn kept(&self, row: FindingRow) -> Finding {
        let path = row.location.as_deref().and_then(|location| self.path(location));
        Finding {
            rule: row.rule,
            subject: row.subject,
            level: row.level.into(),
            harm: row.harm,
            score: row.score,
            confidence: row.confidence.as_str().into(),
            title: row.title,
            location: row.location,
            path,
            occurrences: row.occurrences,
            first_seen_at: row.first_seen_at.into(),
            last_seen_at: row.last_seen_at.into(),
            evidence: self.evidence(row.evidence),
            why: row.why,
            fix: row.fix,
            snippet: row.snippet.map(|(language, code)| Snippet { language, code }),
            muted: row.muted,
            resolved_at: row.resolved_at.map(UnixNanosText::from),
        }
    }

    fn evidence(&self, evidence: Vec<rules::Evidence>) -> Vec<Evidence> {
        let shown = |it: rules::Evidence| Evidence {
            text: it.text,
            href: it.link.map(|link| href(self.process.0, link)),
        };
        evidence.into_iter().map(shown).collect()
    }

    /// The whole path of a location, if no other file is shown like it.
    fn path(&self, location: &str) -> Option<String> {
        let (file, line) = location.rsplit_once(':')?;
        Some(format!("{}:{line}", self.paths.get(file)?.as_ref()?))
    }
}

/// Whole paths by the short ones that rules speak of. A short path that two files share names none.
type Paths = HashMap<String, Option<String>>;

fn paths(facts: &Facts, files: &[String]) -> Paths {
    let samples = facts.slow_polls.iter().flat_map(|poll| &poll.poll.samples);
    let frames = samples.flat_map(|sample| sample.frames.iter()).map(|frame| frame.file.as_str());
    let mut paths = Paths::new();
    for file in files.iter().map(String::as_str).chain(frames).filter(|file| !file.is_empty()) {
        let path =
            paths.entry(short_path(file).to_owned()).or_insert_with(|| Some(file.to_owned()));
        if path.as_deref() != Some(file) {
            *path = None;
        }
    }
    paths
}

impl Finding {
    /// Whether it says that records are missing, so that every other number is a bound.
    pub fn is_about_capture(&self) -> bool {
        self.rule == rules::CAPTURE_INCOMPLETE
    }
}

impl FindingsView {
    /// Those that matter even if nobody asks for everything: warnings, errors, and what makes them bounds.
    pub fn important(&self) -> impl Iterator<Item = &Finding> {
        let matters = |it: &&Finding| it.is_about_capture() || it.level >= Level::Warning;
        self.findings.iter().filter(matters).filter(|it| it.muted.is_none())
    }

    /// Those that are only worth knowing.
    pub fn worth_knowing(&self) -> impl Iterator<Item = &Finding> {
        let is_it = |it: &&Finding| !it.is_about_capture() && it.level == Level::Info;
        self.findings.iter().filter(is_it).filter(|it| it.muted.is_none())
    }

    /// How many rules are in a state.
    pub fn rules_in(&self, state: &str) -> usize {
        self.rules.iter().filter(|rule| rule.state == state).count()
    }
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl From<rules::Level> for Level {
    fn from(level: rules::Level) -> Self {
        match level {
            rules::Level::Info => Self::Info,
            rules::Level::Warning => Self::Warning,
            rules::Level::Error => Self::Error,
        }
    }
}

impl From<rules::RuleState> for RuleState {
    fn from(state: rules::RuleState) -> Self {
        Self {
            rule: state.rule.into(),
            title: state.title.into(),
            state: state.state.into(),
            reason: state.reason,
        }
    }
}

/// The page that a link leads to.
fn href(process: i64, link: Link) -> String {
    match link {
        Link::Task(task) => format!("/tasks/{process}/{}", task.0),
        Link::Resource(resource) => format!("/resources/{process}/{}", resource.0),
        Link::At(at) => {
            let (from, to) = (at.0.saturating_sub(AROUND), at.0.saturating_add(AROUND));
            format!("/timeline?process={process}&from={from}&to={to}")
        }
        Link::Page(page) => format!("/{page}?process={process}"),
    }
}

/// The findings as comma-separated values.
pub fn csv(findings: &[Finding]) -> Csv {
    let mut csv = Csv::new([
        "rule",
        "level",
        "score",
        "harm",
        "confidence",
        "location",
        "subject",
        "occurrences",
        "first_seen_at",
        "last_seen_at",
        "title",
        "fix",
    ]);
    for finding in findings {
        csv.row([
            finding.rule.as_str(),
            finding.level.as_str(),
            &finding.score.to_string(),
            &finding.harm.to_string(),
            &finding.confidence,
            &optional(finding.location.as_deref()),
            &finding.subject,
            &finding.occurrences.to_string(),
            &finding.first_seen_at.to_string(),
            &finding.last_seen_at.to_string(),
            &finding.title,
            &finding.fix,
        ]);
    }
    csv
}

#[cfg(test)]
mod tests {
    use loopd_model::{ResourceId, TaskId};

    use super::*;

    #[test]
    fn links_are_pages_of_the_dashboard() {
        let pages = [
            Link::Task(TaskId(12)),
            Link::Resource(ResourceId(3)),
            Link::At(UnixNanos(5_000_000_000)),
            Link::Page("leaks"),
        ];
        assert_eq!(
            pages.map(|link| href(7, link)),
            [
                "/tasks/7/12",
                "/resources/7/3",
                "/timeline?process=7&from=4000000000&to=6000000000",
                "/leaks?process=7",
            ]
        );
    }

    #[test]
    fn a_short_path_that_two_files_share_names_neither() {
        let files = ["/home/me/shop/src/lib.rs", "/opt/shop/src/lib.rs", "/home/me/shop/src/a.rs"];
        let paths = paths(&Facts::default(), &files.map(str::to_owned));
        assert_eq!(paths["shop/src/lib.rs"], None);
        assert_eq!(paths["shop/src/a.rs"].as_deref(), Some("/home/me/shop/src/a.rs"));
    }
}
