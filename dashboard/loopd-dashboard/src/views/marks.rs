//! What a program says itself: marks, traced events and spans.

use std::collections::BTreeMap;

use loopd_model::{MarkLevel, TaskId, UnixNanos};
use loopd_store::{AppSpanRow, MarkQuery, MarkRow, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::Params;
use super::tasks::{DEFAULT_LIMIT, MAX_LIMIT};
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, vocabulary, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/marks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarksView {
    /// Marks and traced events, latest first.
    pub marks: Vec<Mark>,
    /// What came before this was not looked at; absent if nothing was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub searched_from: Option<UnixNanosText>,
    /// Spans that have closed, latest first.
    pub spans: Vec<AppSpan>,
}

/// One mark, or one traced event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    /// When.
    pub at: UnixNanosText,
    /// In a poll of which task; null outside any.
    pub task: Option<IdText>,
    /// `trace`, `debug`, `info`, `warn` or `error`; null for a mark.
    #[schema(value_type = Option<vocabulary::EventLevel>)]
    pub level: Option<String>,
    /// The module that traced it; the name of a mark.
    pub target: String,
    /// What it says; may be empty.
    pub message: String,
    /// Keys and values.
    pub fields: BTreeMap<String, String>,
    /// Where in the program, `file:line`; null if not known.
    pub location: Option<String>,
}

/// One span of the program's own tracing that has closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppSpan {
    /// Its id.
    pub span: IdText,
    /// The span that it is in; null at the top.
    pub parent: Option<IdText>,
    /// The task polled when it opened; null outside any.
    pub task: Option<IdText>,
    /// What the program calls it.
    pub name: String,
    /// The module that made it.
    pub target: String,
    /// When it opened.
    pub opened_at: UnixNanosText,
    /// From then until it closed, in nanoseconds.
    pub length: u64,
    /// How long it was entered, in nanoseconds.
    pub busy_time: u64,
    /// Keys and values.
    pub fields: BTreeMap<String, String>,
    /// Where in the program, `file:line`; null if not known.
    pub location: Option<String>,
}

/// Which marks to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarkFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Of this task.
    pub task: Option<u64>,
    /// Not before.
    pub from: Option<UnixNanos>,
    /// Before.
    pub to: Option<UnixNanos>,
    /// Marks, and events at least as serious.
    pub level: MarkLevel,
    /// How many of each to show; 0 for [`DEFAULT_LIMIT`].
    pub limit: u64,
}

const LEVELS: [(&str, MarkLevel); 5] = [
    ("trace", MarkLevel::Trace),
    ("debug", MarkLevel::Debug),
    ("info", MarkLevel::Info),
    ("warn", MarkLevel::Warn),
    ("error", MarkLevel::Error),
];

impl Described for MarkFilter {
    fn params() -> Vec<Param> {
        use super::described::{id, instant, number, process, words};
        vec![
            process(),
            id("task", "Only those made in polls of this task."),
            instant("from", "Not before this."),
            instant("to", "Before this."),
            words(
                "level",
                &LEVELS,
                None,
                "Marks, and events at least as serious; marks alone if not given.",
            ),
            number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT, "How many to give of each: the latest."),
        ]
    }
}

impl MarkFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 6] = ["process", "task", "from", "to", "level", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            task: params.parsed("task")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            level: params.one_of("level", &LEVELS)?.unwrap_or_default(),
            limit: params.between("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }
}

/// What a program said, or one of its tasks.
pub async fn marks(reader: &Reader, filter: &MarkFilter) -> Result<MarksView, ViewError> {
    let process = find_process(reader, filter.process).await?.process;
    let query = MarkQuery {
        process,
        task: filter.task.map(TaskId),
        from: filter.from,
        to: filter.to,
        level: filter.level,
        limit: if filter.limit == 0 { DEFAULT_LIMIT } else { filter.limit.min(MAX_LIMIT) },
    };
    let (marks, spans) = (reader.marks(&query).await?, reader.app_spans(&query).await?);
    Ok(MarksView {
        marks: marks.rows.into_iter().map(Mark::from).collect(),
        searched_from: marks.searched_from.map(UnixNanosText::from),
        spans: spans.into_iter().map(AppSpan::from).collect(),
    })
}

impl From<MarkRow> for Mark {
    fn from(row: MarkRow) -> Self {
        let level = LEVELS.iter().find(|(_, level)| *level == row.level);
        Self {
            at: row.at.into(),
            task: row.task.and_then(words::some_task),
            level: level.map(|(word, _)| (*word).to_owned()),
            target: row.target,
            message: row.message,
            fields: row.fields.into_iter().collect(),
            location: row.location.as_ref().map(words::place),
        }
    }
}

impl From<AppSpanRow> for AppSpan {
    fn from(row: AppSpanRow) -> Self {
        Self {
            span: IdText(row.span),
            parent: row.parent.map(IdText),
            task: row.task.and_then(words::some_task),
            name: row.name,
            target: row.target,
            opened_at: row.opened_at.into(),
            length: row.closed_at.0.saturating_sub(row.opened_at.0).max(0) as u64,
            busy_time: row.busy_time,
            fields: row.fields.into_iter().collect(),
            location: row.location.as_ref().map(words::place),
        }
    }
}

/// The marks as comma-separated values.
pub fn csv(rows: &[Mark]) -> Csv {
    let mut csv = Csv::new(["at", "task", "level", "target", "message", "fields", "location"]);
    for row in rows {
        csv.row([
            row.at.to_string(),
            optional(row.task),
            row.level.clone().unwrap_or_default(),
            row.target.clone(),
            row.message.clone(),
            fields_text(&row.fields),
            row.location.clone().unwrap_or_default(),
        ]);
    }
    csv
}

/// `user=7 cart=12`.
pub fn fields_text(fields: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}
