//! The past, as a clock that runs through it sees it.
//!
//! What a task did by an instant is added up from its single polls and wakes, so that it is known to the
//! nanosecond for as long as these are kept. At the start all of them are looked at, the latest 8 million
//! of each process; where there are more, counts begin there. What is not kept in time, names, fields and
//! the causes of ends, is as it was at last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use loopd_analysis::runtime::Runtime;
use loopd_model::{TaskId, TaskKind, UnixNanos};
use loopd_store::{
    Activity, ProcessKey, ProcessRow, Reader, StandingQuery, StoreError, TaskActivity, TaskStanding,
};

use super::target::Target;
use super::view::{
    MAX_OPS, MAX_PROCESSES, MAX_RESOURCES, MAX_TASKS, Program, ProgramView, View, tasks_each,
};

/// Tasks that ended so long before the start are shown as ended.
const BEFORE: i64 = 5_000_000_000;

/// Why a range cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReplay {
    /// It ends before it begins, or at once.
    #[error("the range ends before it begins")]
    Empty,
    /// Time would stand still, run backwards, or too fast to be read.
    #[error("the speed has to be more than 0 and at most {}", ReplayRange::MAX_SPEED)]
    Speed,
}

/// What is replayed, how fast, and how far it is. All who watch see the same instant.
#[derive(Clone, Debug)]
pub struct ReplayRange {
    app: Option<String>,
    clock: Arc<Mutex<Clock>>,
}

impl ReplayRange {
    /// The most that time may be faster than it was.
    pub const MAX_SPEED: f64 = 1_000.0;

    /// From one instant to another, `speed` times as fast as it was; of one app or all.
    pub fn new(
        from: UnixNanos,
        to: UnixNanos,
        speed: f64,
        app: Option<String>,
    ) -> Result<Self, InvalidReplay> {
        if from >= to {
            return Err(InvalidReplay::Empty);
        }
        if !(speed > 0.0 && speed <= Self::MAX_SPEED) {
            return Err(InvalidReplay::Speed);
        }
        let clock = Clock { now: from, to, speed, looked_at: None, lookers: 0 };
        Ok(Self { app, clock: Arc::new(Mutex::new(clock)) })
    }
}

/// Runs while somebody looks, and stays at the end.
#[derive(Debug)]
struct Clock {
    now: UnixNanos,
    to: UnixNanos,
    speed: f64,
    /// When it was looked at last; `None` while nobody watches.
    looked_at: Option<Instant>,
    lookers: usize,
}

impl Clock {
    fn read(&mut self, at: Instant, is_held: bool) -> UnixNanos {
        let before = self.looked_at.replace(at).filter(|_| !is_held);
        if let Some(before) = before {
            let went_by = at.saturating_duration_since(before).as_secs_f64() * self.speed * 1e9;
            self.now = UnixNanos(self.now.0.saturating_add(went_by as i64)).min(self.to);
        }
        self.now
    }
}

/// Looks at the past.
#[derive(Debug)]
pub(super) struct Replay {
    reader: Reader,
    range: ReplayRange,
    /// All there are, once somebody has looked.
    processes: Option<Vec<ProcessRow>>,
    known: HashMap<ProcessKey, Known>,
}

/// What is known of a process by the instant that was looked at last.
#[derive(Debug)]
struct Known {
    at: UnixNanos,
    tasks: HashMap<TaskId, TaskActivity>,
}

impl Replay {
    pub(super) fn new(reader: Reader, range: &ReplayRange) -> Self {
        let range = range.clone();
        range.clock.lock().unwrap_or_else(PoisonError::into_inner).lookers += 1;
        Self { reader, range, processes: None, known: HashMap::new() }
    }

    pub(super) async fn look(
        &mut self,
        target: &Target,
        is_held: bool,
    ) -> Result<View, StoreError> {
        let now = {
            let mut clock = self.range.clock.lock().unwrap_or_else(PoisonError::into_inner);
            clock.read(Instant::now(), is_held)
        };
        let processes = match &self.processes {
            Some(processes) => processes,
            None => &*self.processes.insert(self.reader.processes().await?.rows),
        };
        let is_shown = |row: &&ProcessRow| {
            let is_wanted = self.range.app.as_ref().is_none_or(|app| *app == row.app);
            let end = row.ended_at.unwrap_or(row.last_at).max(row.last_at);
            is_wanted && target.has(&row.app) && row.started_at <= now && now <= end
        };
        let shown: Vec<_> = processes.iter().filter(is_shown).take(MAX_PROCESSES).collect();
        let max_tasks = tasks_each(shown.len());
        let mut programs = Vec::with_capacity(shown.len());
        for row in shown {
            programs.push(program(&self.reader, &mut self.known, row, now, max_tasks).await?);
        }
        self.known.retain(|key, _| programs.iter().any(|it| it.program.process == *key));
        Ok(View { now, programs })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut clock = self.range.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.lookers -= 1;
        if clock.lookers == 0 {
            clock.looked_at = None;
        }
    }
}

async fn program(
    reader: &Reader,
    known: &mut HashMap<ProcessKey, Known>,
    row: &ProcessRow,
    now: UnixNanos,
    max_tasks: usize,
) -> Result<ProgramView, StoreError> {
    let process = row.process;
    let looked_at = known.get(&process).map(|known| known.at);
    let ended_from = looked_at.unwrap_or(UnixNanos(now.0.saturating_sub(BEFORE)));
    let first = UnixNanos(row.started_at.0.saturating_sub(1));
    let activity = reader.activity(process, looked_at.unwrap_or(first), now).await?;
    let query = StandingQuery {
        known: Vec::new(),
        max_alive: max_tasks,
        ended_from,
        max_ended: MAX_TASKS,
        at: Some(now),
    };
    let mut standings = reader.task_standings(process, query).await?;
    let known = known.entry(process).or_insert_with(|| Known { at: now, tasks: HashMap::new() });
    known.add(activity, now);
    let nothing = TaskActivity::default();
    for standing in &mut standings.tasks {
        as_of(standing, known.tasks.get(&standing.task).unwrap_or(&nothing), now);
    }
    known.forget_ended(&standings.tasks);
    let alive = standings.tasks.iter().filter(|it| it.ended_at.is_none());
    let alive: Vec<TaskId> = alive.map(|it| it.task).collect();
    let mut waits = reader.open_waits_at(process, &alive, now, MAX_OPS as u64).await?;
    waits.iter_mut().for_each(|wait| wait.ended_at = None);
    let waited: Vec<_> = waits.iter().filter_map(|wait| wait.resource).collect();
    let max = MAX_RESOURCES as u64;
    let resources = reader.resource_standings(process, &waited, Some(now), max).await?;
    let program = Program {
        process,
        app: row.app.clone(),
        pid: row.pid,
        started_at: row.started_at,
        is_python: Runtime::of_agent(&row.agent) == Runtime::Asyncio,
    };
    let (tasks, left_out) = (standings.tasks, standings.left_out);
    Ok(ProgramView { program, tasks, left_out, resources, waits, wait_ends: HashMap::new() })
}

impl Known {
    /// Adds what was done since it was looked at last.
    fn add(&mut self, activity: Activity, now: UnixNanos) {
        self.at = now;
        self.tasks.values_mut().for_each(|task| task.running_since = None);
        for (task, more) in activity.tasks {
            let sum = self.tasks.entry(task).or_default();
            sum.polls += more.polls;
            sum.busy_time = sum.busy_time.saturating_add(more.busy_time);
            sum.first_poll_at = sum.first_poll_at.or(more.first_poll_at);
            if more.last_poll_start > sum.last_poll_start {
                sum.last_poll_start = more.last_poll_start;
                sum.last_poll_end = more.last_poll_end;
            }
            sum.running_since = more.running_since;
            sum.wakes = sum.wakes.saturating_add(more.wakes);
            sum.self_wakes = sum.self_wakes.saturating_add(more.self_wakes);
            sum.scheduled_time = sum.scheduled_time.saturating_add(more.scheduled_time);
            sum.last_woken_at = sum.last_woken_at.max(more.last_woken_at);
        }
    }

    /// What ended is told of by its row.
    fn forget_ended(&mut self, tasks: &[TaskStanding]) {
        for ended in tasks.iter().filter(|it| it.ended_at.is_some()) {
            self.tasks.remove(&ended.task);
        }
        // Of the others are more only if ends were lost.
        if self.tasks.len() > 10 * MAX_TASKS {
            self.tasks.retain(|id, _| tasks.iter().any(|it| it.task == *id));
        }
    }
}

/// Takes from a task what it did only later.
fn as_of(standing: &mut TaskStanding, activity: &TaskActivity, now: UnixNanos) {
    let by_now = |at: Option<UnixNanos>| at.filter(|&at| at <= now);
    standing.ended_at = by_now(standing.ended_at);
    standing.unwakeable_at = by_now(standing.unwakeable_at);
    if standing.ended_at.is_some() {
        return;
    }
    let began_at = by_now(standing.first_poll_at);
    standing.polls = activity.polls;
    standing.busy_time = activity.busy_time;
    standing.first_poll_at = began_at;
    standing.last_poll_start = activity.last_poll_start;
    standing.last_poll_end = activity.last_poll_end;
    standing.running_since = activity.running_since;
    standing.wakes = activity.wakes;
    standing.self_wakes = activity.self_wakes;
    standing.scheduled_time = activity.scheduled_time;
    standing.last_woken_at = activity.last_woken_at;
    if standing.kind == Some(TaskKind::Blocking) {
        // One long poll, which is in no list of polls.
        standing.running_since = began_at;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_runs_while_somebody_looks_and_stays_at_the_end() {
        let range = ReplayRange::new(UnixNanos(0), UnixNanos(10_000_000_000), 2.0, None).unwrap();
        let mut clock = range.clock.lock().unwrap();
        let start = Instant::now();
        let mut read = |seconds, is_held| {
            clock.read(start + Duration::from_secs(seconds), is_held).0 / 1_000_000_000
        };
        // It begins with the first look.
        assert_eq!([read(7, false), read(8, false)], [0, 2]);
        // Held, it takes up where it was.
        assert_eq!([read(20, true), read(21, false)], [2, 4]);
        assert_eq!([read(60, false), read(61, false)], [10, 10]);
    }

    #[test]
    fn no_range_is_empty_and_no_speed_beyond_reason() {
        let range = |from, to, speed| {
            ReplayRange::new(UnixNanos(from), UnixNanos(to), speed, None).map(drop)
        };
        assert_eq!(range(1, 2, 1.0), Ok(()));
        assert_eq!(range(2, 2, 1.0), Err(InvalidReplay::Empty));
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1_000.1] {
            assert_eq!(range(1, 2, speed), Err(InvalidReplay::Speed), "{speed}");
        }
    }
}
