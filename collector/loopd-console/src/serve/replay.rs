//! The past, as a clock that runs through it sees it.
//!
//! What a task did by an instant is added up from its single polls and wakes, so that it is known to the
//! nanosecond for as long as these are kept. At the start all of them are looked at, the latest 8 million
//! of each process; where there are more, counts begin there. Later a look that has more is taken in
//! parts. What is not kept in time, names, fields and the causes of ends, is as it was at last; of programs
//! that were attached, which have no single polls, so are all counters.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loopd_analysis::capture::Capture;
use loopd_analysis::runtime::Runtime;
use loopd_model::{TaskId, TaskKind, UnixNanos};
use loopd_store::{
    Activity, ProcessKey, ProcessRow, ProcessState, Reader, StandingQuery, StoreError,
    TaskActivity, TaskStanding,
};

use super::feed::blocking;
use super::target::Target;
use super::view::{
    MAX_ENDED, MAX_OPS, MAX_PROCESSES, MAX_RESOURCES, MAX_TASKS, Program, ProgramView, Shown, View,
    tasks_each, wait_ends, wanted_resources,
};

/// Tasks that ended so long before the start are shown as ended.
const BEFORE: i64 = 5_000_000_000;

/// So often processes are looked for anew: a recording may grow.
const REREAD: Duration = Duration::from_secs(5);

/// In so many parts what was done since the last look is read at most, each of 8 million polls and wakes.
const MAX_PARTS: usize = 8;

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

    /// Which app, if it is not all.
    pub(super) fn app(&self) -> Option<&String> {
        self.app.as_ref()
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
    /// All there are, and when they were read.
    processes: Vec<ProcessRow>,
    read_at: Option<Instant>,
    /// Of those that are shown.
    known: HashMap<ProcessKey, Known>,
    has_warned: bool,
}

/// What is known of a process.
#[derive(Debug)]
struct Known {
    /// Up to when what it did is added up.
    at: UnixNanos,
    /// Up to when it was looked at.
    looked_at: UnixNanos,
    tasks: HashMap<TaskId, TaskActivity>,
}

impl Replay {
    pub(super) fn new(reader: Reader, range: &ReplayRange) -> Self {
        let range = range.clone();
        range.clock.lock().unwrap_or_else(PoisonError::into_inner).lookers += 1;
        let (processes, known) = (Vec::new(), HashMap::new());
        Self { reader, range, processes, read_at: None, known, has_warned: false }
    }

    pub(super) async fn look(
        &mut self,
        target: &Target,
        shown: &HashMap<ProcessKey, Shown>,
        is_held: bool,
    ) -> Result<View, StoreError> {
        let now = {
            let mut clock = self.range.clock.lock().unwrap_or_else(PoisonError::into_inner);
            clock.read(Instant::now(), is_held)
        };
        if self.read_at.is_none_or(|at| at.elapsed() > REREAD) {
            self.processes = self.reader.processes().await?.rows;
            self.read_at = Some(Instant::now());
        }
        // One that was over since the last look is looked at once more, as it was at its end.
        let is_there = |row: &&ProcessRow| {
            let is_wanted = self.range.app.as_ref().is_none_or(|app| *app == row.app);
            let is_new = !self.known.contains_key(&row.process);
            let lasts = end(row).is_none_or(|end| now <= end);
            is_wanted && target.has(&row.app) && row.started_at <= now && (lasts || !is_new)
        };
        let mut there: Vec<ProcessRow> = self.processes.iter().filter(is_there).cloned().collect();
        // Those that are shown stay.
        there.sort_by_key(|row| !self.known.contains_key(&row.process));
        let left_out = there.len().saturating_sub(MAX_PROCESSES);
        there.truncate(MAX_PROCESSES);
        let max_tasks = tasks_each(there.len());
        let mut programs = Vec::with_capacity(there.len());
        let none = Shown::default();
        for row in &there {
            let shown = shown.get(&row.process).unwrap_or(&none);
            programs.push(self.program(row, shown, now, max_tasks).await?);
        }
        // Only now nothing can fail any more.
        for seen in &programs {
            if let Some(known) = self.known.get_mut(&seen.program.process) {
                known.looked_at = now;
            }
        }
        let lasts = |key| {
            let is_it = |seen: &ProgramView| seen.program.process == key && seen.over_at.is_none();
            programs.iter().any(is_it)
        };
        self.known.retain(|&key, _| lasts(key));
        Ok(View { now, programs, left_out })
    }

    async fn program(
        &mut self,
        row: &ProcessRow,
        shown: &Shown,
        now: UnixNanos,
        max_tasks: usize,
    ) -> Result<ProgramView, StoreError> {
        let process = row.process;
        let over_at = end(row).filter(|&end| end < now);
        let now = over_at.unwrap_or(now);
        let known = self.known.get(&process).map(|known| (known.at, known.looked_at));
        let activities = self.add_up(row, known.map(|(at, _)| at), now).await?;
        let ended_from = known.map_or(UnixNanos(now.0.saturating_sub(BEFORE)), |known| known.1);
        let query = StandingQuery {
            known: shown.tasks.clone(),
            max_alive: max_tasks,
            ended_from,
            max_ended: MAX_ENDED,
            at: Some(now),
        };
        let mut standings = self.reader.task_standings(process, query).await?;
        let is_counted = Capture::of_agent(&row.agent) == Capture::Records;
        let new = Known { at: now, looked_at: ended_from, tasks: HashMap::new() };
        let mut known = self.known.remove(&process).unwrap_or(new);
        let (known, standings) = blocking(move || {
            activities.into_iter().for_each(|activity| known.add(activity));
            known.at = known.at.max(now);
            for standing in &mut standings.tasks {
                let activity = known.tasks.get(&standing.task).copied().unwrap_or_default();
                as_of(standing, is_counted.then_some(&activity), now);
            }
            known.forget_ended(&standings.tasks);
            (known, standings)
        })
        .await;
        self.known.insert(process, known);
        let alive = standings.tasks.iter().filter(|it| it.ended_at.is_none());
        let alive: Vec<TaskId> = alive.map(|it| it.task).collect();
        let reader = &self.reader;
        let mut waits = reader.open_waits_at(process, &alive, now, MAX_OPS as u64).await?;
        waits.iter_mut().for_each(|wait| wait.ended_at = None);
        let ends = wait_ends(reader, process, (&waits, shown), Some(now)).await?;
        let wanted = wanted_resources(&waits, shown);
        let max = MAX_RESOURCES as u64;
        let resources = reader.resource_standings(process, &wanted, Some(now), max).await?;
        let program = Program {
            process,
            app: row.app.clone(),
            pid: row.pid,
            started_at: row.started_at,
            is_python: Runtime::of_agent(&row.agent) == Runtime::Asyncio,
        };
        let mut view = ProgramView {
            program,
            tasks: standings.tasks,
            left_out: if over_at.is_some() { 0 } else { standings.left_out },
            resources,
            waits,
            wait_ends: ends,
            over_at,
        };
        view.limit(shown);
        Ok(view)
    }

    /// What a process did after an instant, or from its start, and by `to`: in parts, the earlier first.
    async fn add_up(
        &mut self,
        row: &ProcessRow,
        from: Option<UnixNanos>,
        to: UnixNanos,
    ) -> Result<Vec<Activity>, StoreError> {
        let first = UnixNanos(row.started_at.0.saturating_sub(1));
        let mut ranges = vec![(from.unwrap_or(first), to)];
        let (mut activities, mut left) = (Vec::new(), MAX_PARTS);
        while let Some((start, end)) = ranges.pop() {
            let activity = self.reader.activity(row.process, start, end).await?;
            left = left.saturating_sub(1);
            let is_all = activity.complete_from <= start;
            let middle = UnixNanos(start.0 + (end.0 - start.0) / 2);
            if !is_all && from.is_some() && left > ranges.len() + 1 && start < middle {
                ranges.extend([(middle, end), (start, middle)]);
                continue;
            }
            if !is_all && !std::mem::replace(&mut self.has_warned, true) {
                let (app, pid) = (&row.app, row.pid);
                tracing::warn!(
                    app,
                    pid,
                    "more polls and wakes than are added up, counters are low"
                );
            }
            activities.push(activity);
        }
        Ok(activities)
    }
}

/// When a process was over; `None` while it lives, since a recording may grow.
fn end(row: &ProcessRow) -> Option<UnixNanos> {
    let end = row.ended_at.unwrap_or(row.last_at).max(row.last_at);
    (row.state != ProcessState::Live).then_some(end)
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

impl Known {
    /// Adds what was done since it was looked at last.
    fn add(&mut self, activity: Activity) {
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
            let given: HashSet<TaskId> = tasks.iter().map(|it| it.task).collect();
            self.tasks.retain(|id, _| given.contains(id));
        }
    }
}

/// Takes from a task what it did only later. What it did by now is not known of one that was attached.
fn as_of(standing: &mut TaskStanding, activity: Option<&TaskActivity>, now: UnixNanos) {
    let by_now = |at: Option<UnixNanos>| at.filter(|&at| at <= now);
    standing.ended_at = by_now(standing.ended_at);
    if standing.ended_at.is_some() {
        standing.unwakeable_at = None;
        return;
    }
    let began_at = by_now(standing.first_poll_at);
    standing.first_poll_at = began_at;
    // Of polls without an end, slow ones are known one by one.
    let running_since = by_now(standing.running_since);
    let unwakeable_at = by_now(standing.unwakeable_at);
    let Some(activity) = activity else {
        standing.last_poll_start = by_now(standing.last_poll_start);
        standing.last_poll_end = by_now(standing.last_poll_end);
        standing.last_woken_at = by_now(standing.last_woken_at);
        (standing.running_since, standing.unwakeable_at) = (running_since, unwakeable_at);
        return;
    };
    standing.polls = activity.polls;
    standing.busy_time = activity.busy_time;
    standing.last_poll_start = activity.last_poll_start;
    standing.last_poll_end = activity.last_poll_end;
    standing.running_since = activity.running_since.or(running_since);
    standing.wakes = activity.wakes;
    standing.self_wakes = activity.self_wakes;
    standing.scheduled_time = activity.scheduled_time;
    standing.last_woken_at = activity.last_woken_at;
    if standing.kind == Some(TaskKind::Blocking) {
        // One long poll, which is in no list of polls.
        standing.running_since = began_at;
    }
    // A poll that began later refutes it.
    let polled_at = standing.running_since.max(standing.last_poll_start);
    standing.unwakeable_at = unwakeable_at.filter(|&at| polled_at <= Some(at));
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
