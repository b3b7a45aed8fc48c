//! What takes the room on disk, how long it lasts, and how writing to it goes.

use loopd_model::UnixNanos;
use loopd_store::{DiskUse, ProcessUse, Reader, Retention, SPAN_SHARE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ViewError;
use super::text::UnixNanosText;
use crate::state::{ServerInfo, ServerStatus};

/// `GET /api/v1/disk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskView {
    /// Bytes of the database file.
    pub file_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the file that hold nothing and are used before it grows.
    pub free_bytes: u64,
    /// Up to how many bytes data is kept; null: any.
    pub retain_bytes: Option<u64>,
    /// How long data is kept, in nanoseconds; null: for ever.
    pub retain_age_ns: Option<u64>,
    /// What takes the room, by kind: `polls` (with parks and wakes), `tasks` (those that are packed), `tiles`,
    /// `rollups`, `rows` (all else), in bytes.
    pub kinds: Vec<KindUse>,
    /// The processes that take the most of what is told apart by process.
    pub processes: Vec<ProcessDisk>,
    /// How many more have something stored.
    pub more_processes: u64,
    /// Since when single polls are kept; null when there are none.
    pub oldest_at: Option<UnixNanosText>,
    /// Bytes of single polls, parks and wakes that come per second, in the last ten minutes since the first of them; 0 if
    /// none came.
    pub poll_bytes_per_s: f64,
    /// When all of the budget will be used at that rate, about, in nanoseconds from now; null without a budget
    /// or while nothing comes. 0 if it is.
    pub full_in: Option<u64>,
    /// How far back single polls will reach at that rate, in nanoseconds: at least as far as their share of the
    /// budget lasts, and no further than data is kept. Null where nothing bounds them, or nothing comes.
    pub polls_reach: Option<u64>,
    /// How writing goes.
    pub writer: WriterView,
}

/// What one kind of data takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KindUse {
    /// Which.
    pub kind: String,
    /// In bytes.
    pub bytes: u64,
}

/// What one process takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessDisk {
    /// Which.
    pub process: i64,
    /// What people call it.
    pub app: String,
    /// Bytes of single polls, parks and wakes.
    pub polls: u64,
    /// Bytes of packed tasks.
    pub tasks: u64,
    /// Bytes of tiles.
    pub tiles: u64,
    /// Bytes of roll-ups.
    pub rollups: u64,
}

/// How writing goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriterView {
    /// Why the store takes no writes; null if it does.
    pub reason: Option<String>,
    /// Since when it takes none.
    pub since: Option<UnixNanosText>,
    /// Commits since the server started.
    pub commits: u64,
    /// Bytes of batches that wait for their commit now.
    pub queued_bytes: u64,
}

/// So many processes are listed.
const MAX_PROCESSES: usize = 50;
/// The rate is that of so much time.
const RATE_TIME: u64 = 600_000_000_000;
/// Rows take about so much before they grow with what comes: tables that are small, names, places, stacks.
const FEW_ROWS: u64 = 16 << 20;
/// A rate needs so much time, or one batch would be taken for a flood.
const LEAST_RATE_TIME: u64 = 1_000_000_000;

/// What takes the room at `now`.
pub async fn disk(
    reader: &Reader,
    info: &ServerInfo,
    status: ServerStatus,
    now: UnixNanos,
) -> Result<DiskView, ViewError> {
    let since = UnixNanos(now.0.saturating_sub_unsigned(RATE_TIME));
    let disk = reader.disk_use(since).await?;
    let oldest_at = reader.status().await?.oldest_at;
    let outlook = Outlook::of(&disk, &info.retention);
    let age = info.retention.max_age;
    Ok(DiskView {
        file_bytes: disk.file_bytes,
        wal_bytes: disk.wal_bytes,
        free_bytes: disk.free_bytes,
        retain_bytes: info.retention.max_bytes,
        retain_age_ns: age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        kinds: kinds(&disk),
        more_processes: disk.processes.len().saturating_sub(MAX_PROCESSES) as u64,
        processes: disk.processes.into_iter().take(MAX_PROCESSES).map(ProcessDisk::from).collect(),
        oldest_at: oldest_at.map(UnixNanosText::from),
        poll_bytes_per_s: outlook.per_second,
        full_in: outlook.full_in,
        polls_reach: outlook.polls_reach,
        writer: WriterView {
            reason: status.unwritable,
            since: status.unwritable_since.map(UnixNanosText::from),
            commits: status.commits,
            queued_bytes: status.queued_bytes,
        },
    })
}

fn kinds(disk: &DiskUse) -> Vec<KindUse> {
    let sum =
        |of: fn(&ProcessUse) -> u64| disk.processes.iter().map(of).fold(0, u64::saturating_add);
    let packed = [
        ("polls", sum(|one| one.span_bytes)),
        ("tasks", sum(|one| one.task_bytes)),
        ("tiles", sum(|one| one.tile_bytes)),
        ("rollups", sum(|one| one.rollup_bytes)),
    ];
    let known = packed.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    let rows = ("rows", disk.used_bytes.saturating_sub(known));
    let kind = |(kind, bytes): (&str, u64)| KindUse { kind: kind.into(), bytes };
    packed.into_iter().chain([rows]).map(kind).collect()
}

/// How it goes on at the present rate.
#[derive(Debug, PartialEq)]
struct Outlook {
    per_second: f64,
    full_in: Option<u64>,
    polls_reach: Option<u64>,
}

impl Outlook {
    fn of(disk: &DiskUse, retention: &Retention) -> Self {
        let seconds = disk.recent_time.max(LEAST_RATE_TIME) as f64 / 1e9;
        let per_second = disk.recent_span_bytes as f64 / seconds;
        if disk.recent_span_bytes == 0 {
            return Self { per_second: 0.0, full_in: None, polls_reach: None };
        }
        let nanos = |bytes: f64, per_second: f64| (bytes / per_second * 1e9) as u64;
        let spans = disk.processes.iter().map(|one| one.span_bytes).fold(0, u64::saturating_add);
        // All else has grown with them so far, but for the first rows.
        let packed =
            kinds(disk).iter().rev().skip(1).fold(0, |sum, kind| kind.bytes.saturating_add(sum));
        let rows = disk.used_bytes.saturating_sub(packed).saturating_sub(FEW_ROWS);
        let all = per_second * packed.saturating_add(rows) as f64 / spans.max(1) as f64;
        let left = |max: u64| max.saturating_sub(disk.used_bytes) as f64;
        let share = retention.max_bytes.map(|max| max as f64 * SPAN_SHARE as f64 / 100.0);
        let by_size = share.map(|share| nanos(share, per_second));
        let by_age = retention.max_age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        Self {
            per_second,
            full_in: retention.max_bytes.map(|max| nanos(left(max), all)),
            polls_reach: by_size.into_iter().chain(by_age).min(),
        }
    }
}

impl From<ProcessUse> for ProcessDisk {
    fn from(one: ProcessUse) -> Self {
        Self {
            process: one.process.0,
            app: one.app,
            polls: one.span_bytes,
            tasks: one.task_bytes,
            tiles: one.tile_bytes,
            rollups: one.rollup_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn disk(used: u64, spans: u64, recent: u64, seconds: u64) -> DiskUse {
        DiskUse {
            used_bytes: used,
            processes: vec![ProcessUse { span_bytes: spans, ..ProcessUse::default() }],
            recent_span_bytes: recent,
            recent_time: seconds * SECOND,
            ..DiskUse::default()
        }
    }

    fn retention(max_bytes: Option<u64>, seconds: Option<u64>) -> Retention {
        Retention { max_age: seconds.map(Duration::from_secs), max_bytes, max_process_bytes: None }
    }

    #[test]
    fn the_outlook_is_that_of_the_present_rate() {
        // Polls come at 10 MiB a second and are half of what grows: all grows by 20.
        let mib = |n: u64| n << 20;
        let used = disk(mib(216), mib(100), mib(100), 10);
        let outlook = Outlook::of(&used, &retention(Some(mib(1_016)), None));
        assert_eq!(outlook.full_in, Some(40 * SECOND));
        assert_eq!(outlook.polls_reach, Some(50_800_000_000), "half of the budget is theirs");
        let outlook = Outlook::of(&disk(2_000, 100, 100, 10), &retention(Some(1_000), Some(7)));
        assert_eq!((outlook.full_in, outlook.polls_reach), (Some(0), Some(7 * SECOND)));
    }

    #[test]
    fn without_a_rate_or_a_budget_nothing_is_foretold() {
        let idle = Outlook::of(&disk(200, 100, 0, 0), &retention(Some(1_000), Some(7)));
        assert_eq!(idle, Outlook { per_second: 0.0, full_in: None, polls_reach: None });
        let unbounded = Outlook::of(&disk(200, 100, 100, 10), &retention(None, None));
        assert_eq!((unbounded.full_in, unbounded.polls_reach), (None, None));
    }

    #[test]
    fn kinds_add_up_to_what_is_used() {
        let sum: u64 = kinds(&disk(250, 100, 0, 0)).iter().map(|kind| kind.bytes).sum();
        assert_eq!(sum, 250);
    }
}
