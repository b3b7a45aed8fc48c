//! The table of tasks.

use std::collections::BTreeMap;

use loopd_analysis::slow::short_path;
use loopd_model::{TaskId, TaskKind};
use loopd_store::{Reader, TaskQuery, TaskRow, TaskSort, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::marks::fields_text;
use super::params::{Params, QueryPairs, word};
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, is_false, task_filter, vocabulary, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/tasks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TasksView {
    /// How many tasks the filter lets through, of those that were looked through.
    pub total: u64,
    /// Tasks that ended before this were not looked through; null if all were.
    #[serde(default)]
    pub searched_from: Option<UnixNanosText>,
    /// Whether more are alive than were looked through: the latest of each spawn location.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The filter as a condition on the view `tasks` of SQL; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter_sql: String,
    /// How many of them come before the first row.
    pub offset: u64,
    /// One page of them.
    pub rows: Vec<Task>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its process.
    pub process: i64,
    /// Its id.
    pub task: IdText,
    /// Its name; null if it has none.
    pub name: Option<String>,
    /// `async`, `local`, `block_on`, `blocking`, or `callback`: no task, but all runs of one function
    /// that its loop was given; `unknown` if its spawn was not seen.
    #[schema(value_type = vocabulary::TaskKind)]
    pub kind: String,
    /// `running` while polled, else `alive` or `ended`.
    #[schema(value_type = vocabulary::TaskState)]
    pub state: String,
    /// `completed`, `panicked`, `raised`, `cancelled`, `destroyed` (garbage-collected while pending)
    /// or `unknown`; null while it is alive.
    #[schema(value_type = Option<vocabulary::Outcome>)]
    pub outcome: Option<String>,
    /// Where it was spawned; null if not known.
    pub location: Option<Location>,
    /// The loop that it was spawned on; `0` if not known.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// The task that spawned it; null outside any task.
    pub parent: Option<IdText>,
    /// When; null if that was lost.
    pub spawned_at: Option<UnixNanosText>,
    /// When it ended; null while it is alive.
    pub ended_at: Option<UnixNanosText>,
    /// From spawn to end, or to the last data; in nanoseconds.
    pub lifetime: u64,
    /// How often it was polled.
    pub polls: u64,
    /// Time in those polls, in nanoseconds.
    pub busy_time: u64,
    /// The longest poll; null where polls are counted, and no length of one is known.
    pub max_poll_time: Option<u64>,
    /// Time between wakes and the polls they led to; null if wakes of it are not recorded.
    pub scheduled_time: Option<u64>,
    /// How often it was woken; null if that is not recorded.
    pub wakes: Option<u64>,
    /// How often it woke itself; null if that is not recorded.
    pub self_wakes: Option<u64>,
    /// The task that last woke it; null if none did.
    pub last_waker: Option<IdText>,
    /// How many of its polls were slow; null where that is not known.
    pub slow_polls: Option<u64>,
    /// What the program says of it beside its name.
    pub fields: BTreeMap<String, String>,
    /// Since when it is pending with nothing left that could wake it; null if something is, or
    /// nobody looked.
    pub unwakeable_at: Option<UnixNanosText>,
}

/// A place in source code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Its id within the process.
    pub id: IdText,
    /// As the compiler knew it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1; 0 if not known.
    pub column: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", short_path(&self.file), self.line)
    }
}

/// Which tasks to show, in which order.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// In which state.
    pub state: Option<TaskState>,
    /// Part of the name or of the spawn location, or the id.
    pub q: Option<String>,
    /// What they have to be, in the language of [`super::task_filter`].
    pub filter: Option<String>,
    /// Spawned at this location.
    pub location: Option<u64>,
    /// Spawned by this task.
    pub parent: Option<u64>,
    /// Of which kind; if not given, callbacks are left out unless a location is.
    pub kind: Option<TaskKind>,
    /// By what to sort.
    pub sort: TaskSort,
    /// Largest first.
    pub desc: bool,
    /// How many to skip.
    pub offset: u64,
    /// How many to show; 0 for [`DEFAULT_LIMIT`].
    pub limit: u64,
}

/// How many rows a page has if nobody says.
pub const DEFAULT_LIMIT: u64 = 100;
/// No page has more rows: a browser can show them, and the answer stays below a megabyte.
pub const MAX_LIMIT: u64 = 1000;

/// The names of the sort orders, those of the fields.
pub const SORTS: [(&str, TaskSort); 11] = [
    ("task", TaskSort::Task),
    ("name", TaskSort::Name),
    ("location", TaskSort::Location),
    ("spawned_at", TaskSort::SpawnedAt),
    ("lifetime", TaskSort::Lifetime),
    ("polls", TaskSort::Polls),
    ("busy_time", TaskSort::BusyTime),
    ("max_poll_time", TaskSort::MaxPollTime),
    ("wakes", TaskSort::Wakes),
    ("scheduled_time", TaskSort::ScheduledTime),
    ("state", TaskSort::State),
];

/// The names of the kinds to choose from.
pub const KINDS: [(&str, TaskKind); 5] = words::KINDS;

/// The names of the states to choose from.
pub const STATES: [(&str, Option<TaskState>); 4] = [
    ("all", None),
    ("alive", Some(TaskState::Alive)),
    ("ended", Some(TaskState::Ended)),
    ("running", Some(TaskState::Running)),
];

impl Described for TaskFilter {
    fn params() -> Vec<Param> {
        use super::described::{flag, id, number, offset, process, text, words};
        vec![
            process(),
            words("state", &STATES, Some("all"), "In which state."),
            text("q", "Part of the name or of the spawn location, or the id."),
            text(
                "filter",
                "Words and terms that all hold, as in `state:idle loc:handler busy>5ms`; the README lists them.",
            ),
            id("location", "Only those spawned at this location, by its id."),
            id("parent", "Only those spawned by this task."),
            words(
                "kind",
                &KINDS,
                None,
                "Of which kind; if not given, callbacks are left out unless a location is given.",
            ),
            words("sort", &SORTS, word(&SORTS, TaskSort::default()), "By which field to sort."),
            flag("desc", "Whether the largest come first."),
            offset(),
            number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT, "How many rows to give."),
        ]
    }
}

impl TaskFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 11] = [
        "process", "state", "q", "filter", "location", "parent", "kind", "sort", "desc", "offset",
        "limit",
    ];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            state: params.one_of("state", &STATES)?.flatten(),
            q: params.text("q").map(str::to_owned),
            filter: params.text("filter").map(str::to_owned),
            location: params.parsed("location")?,
            parent: params.parsed("parent")?,
            kind: params.one_of("kind", &KINDS)?,
            sort: params.one_of("sort", &SORTS)?.unwrap_or_default(),
            desc: params.flag("desc")?,
            offset: params.between("offset", 0, 0, i64::MAX as u64)?,
            limit: params.between("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("state", word(&STATES, self.state))
            .add("q", self.q.as_deref())
            .add("filter", self.filter.as_deref())
            .add("location", self.location)
            .add("parent", self.parent)
            .add("kind", self.kind.map(words::kind))
            .add("sort", word(&SORTS, self.sort))
            .add("desc", Some(u8::from(self.desc)))
            .add("offset", Some(self.offset))
            .add("limit", Some(self.limit()))
    }

    fn limit(&self) -> u64 {
        if self.limit == 0 { DEFAULT_LIMIT } else { self.limit.min(MAX_LIMIT) }
    }
}

/// One page of tasks.
pub async fn tasks(reader: &Reader, filter: &TaskFilter) -> Result<TasksView, ViewError> {
    let process = find_process(reader, filter.process).await?.process;
    let terms = task_filter::parse(filter.filter.as_deref().unwrap_or_default())?;
    let filter_sql = task_filter::sql(&terms);
    let query = TaskQuery {
        process,
        state: filter.state,
        text: filter.q.clone(),
        location: filter.location.map(u64::cast_signed),
        parent: filter.parent.map(TaskId),
        kind: filter.kind,
        terms,
        sort: filter.sort,
        is_descending: filter.desc,
        offset: filter.offset,
        limit: filter.limit(),
    };
    let page = reader.tasks(&query).await?;
    let searched_from = page.searched_from.map(UnixNanosText::from);
    let rows = page.rows.into_iter().map(Task::from).collect();
    let more = page.has_more_alive;
    let (total, offset) = (page.total, filter.offset);
    Ok(TasksView { total, searched_from, more, filter_sql, offset, rows })
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            process: row.process.0,
            task: IdText(row.task.0),
            name: row.name,
            kind: row.kind.map_or("unknown", words::kind).into(),
            state: row.state.as_str().into(),
            outcome: row.outcome.map(|outcome| words::outcome(outcome).into()),
            location: row.location.map(Location::from),
            loop_id: IdText(row.loop_id.0),
            parent: row.parent.and_then(words::some_task),
            spawned_at: row.spawned_at.map(UnixNanosText::from),
            ended_at: row.ended_at.map(UnixNanosText::from),
            lifetime: row.lifetime,
            polls: row.polls,
            busy_time: row.busy_time,
            max_poll_time: row.max_poll_time,
            scheduled_time: row.scheduled_time,
            wakes: row.wakes,
            self_wakes: row.self_wakes,
            last_waker: row.last_waker.and_then(words::some_task),
            slow_polls: row.slow_polls,
            fields: row.fields.into_iter().collect(),
            unwakeable_at: row.unwakeable_at.map(UnixNanosText::from),
        }
    }
}

/// The columns of the table as comma-separated values.
pub fn csv(rows: &[Task]) -> Csv {
    let mut csv = Csv::new([
        "process",
        "task",
        "name",
        "kind",
        "state",
        "outcome",
        "location",
        "loop",
        "parent",
        "spawned_at",
        "ended_at",
        "lifetime",
        "polls",
        "busy_time",
        "max_poll_time",
        "scheduled_time",
        "wakes",
        "self_wakes",
        "last_waker",
        "slow_polls",
        "fields",
        "unwakeable_at",
    ]);
    for row in rows {
        csv.row([
            row.process.to_string(),
            row.task.to_string(),
            row.name.clone().unwrap_or_default(),
            row.kind.clone(),
            row.state.clone(),
            row.outcome.clone().unwrap_or_default(),
            optional(row.location.as_ref()),
            row.loop_id.to_string(),
            optional(row.parent),
            optional(row.spawned_at),
            optional(row.ended_at),
            row.lifetime.to_string(),
            row.polls.to_string(),
            row.busy_time.to_string(),
            optional(row.max_poll_time),
            optional(row.scheduled_time),
            optional(row.wakes),
            optional(row.self_wakes),
            optional(row.last_waker),
            optional(row.slow_polls),
            fields_text(&row.fields),
            optional(row.unwakeable_at),
        ]);
    }
    csv
}
