//! What only ever grows, and what was never closed.

use std::cmp::Reverse;

use loopd_analysis::leaks::{self, Population, judge};
use loopd_model::{CoverageState, DropCause, RecordKind, UnixNanos};
use loopd_store::{
    LedgerRow, LossRow, ProcessRow, ProcessState, Reader, ResourceRow, ResourceSite, TaskSite,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tasks::Location;
use super::text::{IdText, UnixNanosText, count_text, duration_text};
use super::{ViewError, find_process, is_false, vocabulary, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/leaks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaksView {
    /// The end of the window that was looked at.
    pub at: UnixNanosText,
    /// Its length, in nanoseconds.
    pub window: u64,
    /// Places that spawn tasks which are alive, worst first.
    pub tasks: Vec<TaskLeak>,
    /// Places that open resources which are open or were never closed, worst first.
    pub resources: Vec<ResourceLeak>,
    /// Whether the capture is complete enough to say that something never ended.
    pub complete: bool,
    /// What is missing, if something is.
    pub caveat: Option<String>,
}

/// Tasks of one spawn location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskLeak {
    /// Where they are spawned; null if not known.
    pub location: Option<Location>,
    /// How many have not ended, as far as they were counted.
    pub alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// How many were spawned in the window.
    pub spawned: u64,
    /// How many ended in the window.
    pub ended: u64,
    /// How fast their number grows.
    pub growth_per_min: f64,
    /// Age of the oldest, in nanoseconds; null when none is alive.
    pub oldest_age: Option<u64>,
    /// Age that half of them have reached; null when none is alive.
    pub median_age: Option<u64>,
    /// `growing`, `steady` or `settled`.
    #[schema(value_type = vocabulary::LeakVerdict)]
    pub verdict: String,
    /// How many were alive at evenly spaced instants of the window, the last one its end.
    pub counts: Vec<u64>,
    /// Some of the oldest.
    pub examples: Vec<IdText>,
}

/// Resources of one kind and open location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceLeak {
    /// Where they are opened; null if not known.
    pub location: Option<Location>,
    /// What they are.
    pub kind: String,
    /// How many are open, as far as they were counted.
    pub open: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// How many were opened in the window.
    pub opened: u64,
    /// How many were closed in the window.
    pub closed: u64,
    /// How many were dropped without the close that they need, ever.
    pub unclosed: u64,
    /// How fast their number grows.
    pub growth_per_min: f64,
    /// Age of the oldest, in nanoseconds; null when none is open.
    pub oldest_age: Option<u64>,
    /// Age that half of them have reached; null when none is open.
    pub median_age: Option<u64>,
    /// `growing`, `steady` or `settled`.
    #[schema(value_type = vocabulary::LeakVerdict)]
    pub verdict: String,
    /// How many were open at evenly spaced instants of the window, the last one its end.
    pub counts: Vec<u64>,
    /// Some of the oldest.
    pub examples: Vec<OpenResource>,
}

/// One open resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenResource {
    /// Its id.
    pub resource: IdText,
    /// A path or an address; empty if not given.
    pub name: String,
    /// When it was opened.
    pub opened_at: UnixNanosText,
    /// By which task; null outside any task.
    pub task: Option<IdText>,
}

/// The window that is looked at: long enough that a burst is over, short enough that a leak of a
/// few per minute shows against what was there before.
const WINDOW: u64 = 600_000_000_000;
/// At how many instants of the window things are counted.
const SAMPLES: usize = 9;
/// Places that are shown of each sort; those that grow come first.
const MAX_SITES: usize = 100;

/// What grows in a process.
pub async fn leaks(reader: &Reader, process: Option<i64>) -> Result<LeaksView, ViewError> {
    let process = find_process(reader, process).await?;
    let at = end_of_life(&process);
    let window = WINDOW.min(at.0.saturating_sub(process.started_at.0).max(1).cast_unsigned());
    let key = process.process;
    let tasks = reader.task_sites(key, at, window, SAMPLES).await?;
    let resources = reader.resource_sites(key, at, window, SAMPLES).await?;
    let losses = reader.losses(key).await?;

    let mut tasks: Vec<_> = tasks.into_iter().map(|site| TaskLeak::new(site, window)).collect();
    tasks.sort_by_key(|leak| (rank(&leak.verdict), Reverse(leak.alive)));
    tasks.truncate(MAX_SITES);
    let uncounted = resources.iter().find_map(|site| site.counted_from);
    let uncounted = uncounted.map(|from| uncounted_text(at, from));
    let mut resources: Vec<_> =
        resources.into_iter().map(|site| ResourceLeak::new(site, window)).collect();
    resources.sort_by_key(|leak| (rank(&leak.verdict), Reverse((leak.unclosed, leak.open))));
    resources.truncate(MAX_SITES);

    let ledger = reader.ledger(key).await?;
    let missing = missing(&losses).or_else(|| forgotten(&ledger));
    Ok(LeaksView {
        at: at.into(),
        window,
        tasks,
        resources,
        complete: missing.is_none(),
        caveat: missing.or(uncounted).or_else(|| unseen(&process.coverage)),
    })
}

/// Up to when a process lived normally.
pub(super) fn end_of_life(process: &ProcessRow) -> UnixNanos {
    let loops: Vec<_> = process.loops.iter().map(|it| (it.opened_at, it.closed_at)).collect();
    let has_ended = process.state != ProcessState::Live;
    leaks::end_of_life(process.last_at, has_ended, &loops)
}

/// Growing first.
fn rank(verdict: &str) -> u8 {
    match verdict {
        "growing" => 0,
        "steady" => 1,
        _ => 2,
    }
}

/// Why "never ended" cannot be said: an end may be among what was lost.
pub(super) fn missing(losses: &[LossRow]) -> Option<String> {
    let mut relevant = losses.iter().filter(|loss| is_about_lives(loss)).peekable();
    relevant.peek()?;
    let (mut count, mut is_tail) = (0u64, false);
    for loss in relevant {
        count = count.saturating_add(loss.count);
        is_tail |= loss.cause == DropCause::UnknownTail;
    }
    Some(match (count, is_tail) {
        (0, true) => "the program went away without a goodbye, so what ended in its last moments \
                      is not known"
            .into(),
        (0, false) => {
            "some task and resource records were lost, so some of these may have ended".into()
        }
        (n, _) => format!(
            "{} task and resource records were lost, so some of these may have ended",
            count_text(n)
        ),
    })
}

/// Whether an end of a task or a resource may be among what was lost.
pub(super) const fn is_about_lives(loss: &LossRow) -> bool {
    matches!(loss.kind, None | Some(RecordKind::Task | RecordKind::Resource))
}

/// The same where retention has removed the losses themselves: the ledger keeps their sum.
fn forgotten(ledger: &[LedgerRow]) -> Option<String> {
    forgotten_text(gone(ledger))
}

/// How many records of tasks and resources the books say are missing.
pub(super) fn gone(ledger: &[LedgerRow]) -> u64 {
    let is_about = |row: &&LedgerRow| matches!(row.kind, RecordKind::Task | RecordKind::Resource);
    let gone = ledger.iter().filter(is_about).map(|row| row.dropped.saturating_add(row.lost));
    gone.fold(0u64, u64::saturating_add)
}

pub(super) fn forgotten_text(gone: u64) -> Option<String> {
    (gone > 0).then(|| {
        format!(
            "{} task and resource records were lost longer ago, so some of these may have ended",
            count_text(gone)
        )
    })
}

/// What came and went too often to be counted.
fn uncounted_text(at: UnixNanos, from: UnixNanos) -> String {
    let counted = duration_text(at.0.saturating_sub(from.0).max(0).cast_unsigned());
    format!(
        "resources come and go so often that only those of the last {counted} were counted, so how \
         their number grew before is not known"
    )
}

/// What was never looked at, though nothing was lost.
pub(super) fn unseen(coverage: &[loopd_model::Coverage]) -> Option<String> {
    let hooks = coverage.iter().find(|coverage| coverage.layer == "hooks")?;
    (hooks.state != CoverageState::On).then(|| hooks.reason.clone())
}

impl TaskLeak {
    fn new(site: TaskSite, window: u64) -> Self {
        let judgement = judge(&Population { counts: site.counts.clone(), window, ages: site.ages });
        Self {
            location: site.location.map(Location::from),
            alive: site.alive,
            more: site.has_more,
            spawned: site.spawned,
            ended: site.ended,
            growth_per_min: judgement.growth_per_min,
            oldest_age: judgement.oldest_age,
            median_age: site.median_age.or(judgement.median_age),
            verdict: judgement.verdict.as_str().into(),
            counts: site.counts,
            examples: site.examples.iter().map(|task| IdText(task.0)).collect(),
        }
    }
}

impl ResourceLeak {
    fn new(site: ResourceSite, window: u64) -> Self {
        let judgement = judge(&Population { counts: site.counts.clone(), window, ages: site.ages });
        Self {
            location: site.location.map(Location::from),
            kind: site.kind,
            open: site.open,
            more: site.has_more,
            opened: site.opened,
            closed: site.closed,
            unclosed: site.unclosed,
            growth_per_min: judgement.growth_per_min,
            oldest_age: judgement.oldest_age,
            median_age: site.median_age.or(judgement.median_age),
            verdict: judgement.verdict.as_str().into(),
            counts: site.counts,
            examples: site.examples.into_iter().map(OpenResource::from).collect(),
        }
    }
}

impl From<ResourceRow> for OpenResource {
    fn from(row: ResourceRow) -> Self {
        Self {
            resource: IdText(row.resource.0),
            name: row.name,
            opened_at: row.opened_at.unwrap_or_default().into(),
            task: row.task.and_then(words::some_task),
        }
    }
}

/// Tasks and resources in one table of comma-separated values.
pub fn csv(view: &LeaksView) -> Csv {
    let mut csv = Csv::new([
        "what",
        "location",
        "alive",
        "opened",
        "closed",
        "unclosed",
        "growth_per_min",
        "oldest_age",
        "median_age",
        "verdict",
    ]);
    for leak in &view.tasks {
        csv.row([
            "task",
            &optional(leak.location.as_ref()),
            &leak.alive.to_string(),
            &leak.spawned.to_string(),
            &leak.ended.to_string(),
            "",
            &leak.growth_per_min.to_string(),
            &optional(leak.oldest_age),
            &optional(leak.median_age),
            &leak.verdict,
        ]);
    }
    for leak in &view.resources {
        csv.row([
            &leak.kind,
            &optional(leak.location.as_ref()),
            &leak.open.to_string(),
            &leak.opened.to_string(),
            &leak.closed.to_string(),
            &leak.unclosed.to_string(),
            &leak.growth_per_min.to_string(),
            &optional(leak.oldest_age),
            &optional(leak.median_age),
            &leak.verdict,
        ]);
    }
    csv
}
