//! One recorded process, as every page shows it.

use std::collections::BTreeMap;

use loopd_analysis::capture::{CONSOLE_LAYER, Capture};
use loopd_analysis::runtime::Runtime;
use loopd_model::UnixNanos;
use loopd_store::{Counts, LoopRow, ProcessRow, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::{IdText, UnixNanosText};
use super::{ViewError, is_false, vocabulary, words};

/// `GET /api/v1/processes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessesView {
    /// Newest first.
    pub processes: Vec<Process>,
    /// Whether there are more, which are older.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// One run of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// The small number that every other route takes.
    pub process: i64,
    /// The process's own id: 32 hexadecimal digits.
    pub id: String,
    /// What people call the program.
    pub app: String,
    /// Empty if the program did not say.
    pub app_version: String,
    /// Empty if not known.
    pub host: String,
    /// The operating system's process id; 0 if not known.
    pub pid: u32,
    /// Free key=value pairs.
    pub labels: BTreeMap<String, String>,
    /// `loopd-agent` for Rust, `loopd` for Python; `console-subscriber` where `loopd attach` reads what
    /// that tells.
    pub agent: String,
    /// The agent's version.
    pub agent_version: String,
    /// Which runtime its loops are of, by its agent: `tokio`, `asyncio` (uvloop included) or `unknown`.
    #[schema(value_type = vocabulary::RuntimeName)]
    pub runtime: String,
    /// How it is captured: as `records`, poll by poll, or as `console snapshots`, which only count.
    #[schema(value_type = vocabulary::Capture)]
    pub capture: String,
    /// Whether it still sends.
    pub state: ProcessState,
    /// When it started.
    pub started_at: UnixNanosText,
    /// Up to when data has arrived.
    pub last_at: UnixNanosText,
    /// When it said goodbye; null while it has not.
    pub ended_at: Option<UnixNanosText>,
    /// Polls at least this long, in nanoseconds, are slow.
    pub slow_threshold: u64,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
    /// Tasks that have not ended, as far as they were counted.
    pub tasks_alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_tasks_alive: bool,
    /// Tasks seen so far.
    pub tasks_spawned: u64,
    /// Polls recorded so far; null where single polls are not captured.
    pub polls: Option<u64>,
    /// Polls at least as long as the threshold; null likewise.
    pub slow_polls: Option<u64>,
    /// Tracked resources that have not been closed, as far as they were counted.
    pub open_resources: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_open_resources: bool,
    /// Records that were produced and will never arrive.
    pub lost: u64,
    /// Its event loops.
    pub loops: Vec<Loop>,
}

/// Whether a process still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// Connected.
    Live,
    /// Gone without a goodbye.
    Lost,
    /// It said goodbye.
    Ended,
}

impl ProcessState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Ended => "ended",
        }
    }
}

/// Whether one capture layer works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// `hooks`, `wrapped`, `watchdog`, `metrics`; in Python `steps`, `callbacks`, `stacks`.
    pub layer: String,
    /// `on`, `off` or `unavailable`.
    #[schema(value_type = vocabulary::CoverageState)]
    pub state: String,
    /// Why not, and what would turn it on; empty when on.
    pub reason: String,
}

/// One event loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loop {
    /// Its id.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// What the program calls it.
    pub name: String,
    /// `tokio multi_thread`, `tokio current_thread`, `loopd EventLoop`, `asyncio`, `uvloop`.
    pub flavor: String,
    /// How many workers; 0 if not known.
    pub workers: u32,
    /// When it came under watch; the start of the process if that was lost.
    pub opened_at: UnixNanosText,
    /// When it shut down; null while it runs.
    pub closed_at: Option<UnixNanosText>,
}

/// The latest processes.
pub async fn processes(reader: &Reader) -> Result<ProcessesView, ViewError> {
    let found = reader.processes().await?;
    let keys: Vec<_> = found.rows.iter().map(|row| row.process).collect();
    let counts = reader.counts(&keys).await?;
    let rows = found.rows.into_iter().zip(counts);
    let processes = rows.map(|(row, counts)| Process::new(row, counts)).collect();
    Ok(ProcessesView { processes, more: found.has_more })
}

impl Process {
    /// Which runtime advice is to be for.
    pub fn runtime(&self) -> Runtime {
        Runtime::of_agent(&self.agent)
    }

    /// How it is captured.
    pub fn capture(&self) -> Capture {
        Capture::of_agent(&self.agent)
    }

    /// Why there is nothing to judge, if so: whether any poll was recorded, or any task where they are only
    /// counted.
    pub fn nothing_to_judge(&self) -> Option<&'static str> {
        let is_on = |it: &Coverage| it.layer != CONSOLE_LAYER || it.state == "on";
        match self.capture() {
            Capture::Records if self.polls == Some(0) => Some("no polls have been recorded yet"),
            Capture::Records => None,
            Capture::ConsoleSnapshots if self.tasks_spawned == 0 => {
                Some("no task has been recorded yet")
            }
            Capture::ConsoleSnapshots if !self.coverage.iter().all(is_on) => {
                Some("the program's reports are paused")
            }
            Capture::ConsoleSnapshots => None,
        }
    }

    pub(crate) fn new(row: ProcessRow, counts: Counts) -> Self {
        let totals = row.totals;
        let capture = Capture::of_agent(&row.agent);
        let told = |polls| (capture == Capture::Records).then_some(polls);
        let loops =
            row.loops.into_iter().map(|loop_row| Loop::new(loop_row, row.started_at)).collect();
        Self {
            process: row.process.0,
            id: row.id.to_string(),
            app: row.app,
            app_version: row.app_version,
            host: row.host,
            pid: row.pid,
            labels: row.labels.into_iter().collect(),
            runtime: Runtime::of_agent(&row.agent).as_str().into(),
            capture: capture.as_str().into(),
            agent: row.agent,
            agent_version: row.agent_version,
            state: row.state.into(),
            started_at: row.started_at.into(),
            last_at: row.last_at.into(),
            ended_at: row.ended_at.map(UnixNanosText::from),
            slow_threshold: row.slow_threshold,
            coverage: row.coverage.into_iter().map(Coverage::from).collect(),
            tasks_alive: counts.tasks_alive,
            more_tasks_alive: counts.has_more_alive,
            tasks_spawned: totals.tasks_spawned,
            polls: told(totals.polls),
            slow_polls: told(totals.slow_polls),
            open_resources: counts.open_resources,
            more_open_resources: counts.has_more_open,
            lost: totals.lost,
            loops,
        }
    }
}

impl From<loopd_store::ProcessState> for ProcessState {
    fn from(state: loopd_store::ProcessState) -> Self {
        match state {
            loopd_store::ProcessState::Live => Self::Live,
            loopd_store::ProcessState::Lost => Self::Lost,
            loopd_store::ProcessState::Ended => Self::Ended,
        }
    }
}

impl From<loopd_model::Coverage> for Coverage {
    fn from(coverage: loopd_model::Coverage) -> Self {
        let state = words::coverage_state(coverage.state).into();
        Self { layer: coverage.layer, state, reason: coverage.reason }
    }
}

impl Loop {
    fn new(row: LoopRow, process_started_at: UnixNanos) -> Self {
        Self {
            loop_id: IdText(row.loop_id.0),
            name: row.name,
            flavor: row.flavor,
            workers: row.workers,
            opened_at: row.opened_at.unwrap_or(process_started_at).into(),
            closed_at: row.closed_at.map(UnixNanosText::from),
        }
    }
}
