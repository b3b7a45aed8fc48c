//! Single tasks to look at: alive ones that stand out, and those that ended badly.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use loopd_analysis::findings::{AliveTask, End, Facts, Lived};
use loopd_model::{RecordKind, TaskId, UnixNanos};
use rusqlite::{Connection, Row, Statement};

use super::lookup::Lookup;
use super::raw::{self, Budget};
use super::{Range, jobs};
use crate::StoreError;
use crate::reader::bounds::SCALE;
use crate::reader::{Reader, alive, tasks, told, unsigned};
use crate::segments::{Found, Wanted, Wants};
use crate::writer::tasks::{DESTROYED, LONG_LIFE, RAISED};

/// So many tasks that are alive are looked at, the oldest of each place.
const MAX_ALIVE: i64 = 50_000 / SCALE as i64;
const MIN_OF_A_PLACE: i64 = 20;
/// So many that have ended since, the first.
const MAX_ENDED_SINCE: i64 = 50_000 / SCALE as i64;
/// So many that ended in the range and have a row, the latest, are looked through for those that did so
/// badly.
const MAX_ENDED: i64 = 50_000 / SCALE as i64;

/// So many tasks are given of each sort.
const MAX_UNWAKEABLE: usize = 150;
const MAX_IN_POLLS: usize = 50;
const MAX_SELF_WAKERS: usize = 100;
const MAX_LARGE: usize = 100;
const LARGE_OF_A_PLACE: usize = 2;
const MAX_OLDEST: usize = 200;
const OLDEST_OF_A_PLACE: usize = 3;
const MAX_BAD: i64 = 200;
/// A task that woke itself more seldom stands out by nothing.
const MIN_SELF_WAKES: u64 = 10;

const COLUMNS: &str = "t.task, t.kind, t.spawn_location, t.spawned_at, t.polls, t.busy_time,
    t.last_poll_start, t.last_poll_at, t.wakes, t.self_wakes, t.last_woken_at, t.unwakeable_at,
    t.started_at, instr(t.fields, 'size.bytes') > 0";

/// The oldest at the place `?2` that were spawned by `?3`.
fn at_place_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM task t INDEXED BY task_alive WHERE t.process = ?1
            AND t.ended_at IS NULL AND t.kind IS NOT 4 AND t.spawn_location IS ?2
            AND t.spawned_at <= ?3 ORDER BY t.spawned_at LIMIT ?4"
    )
}

/// Those that were alive at `?2` and have ended since.
fn ended_since_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM (SELECT process, task, spawned_at
            FROM task INDEXED BY task_by_end WHERE process = ?1 AND ended_at > ?2
                AND kind IS NOT 4 ORDER BY ended_at LIMIT ?3) c
         CROSS JOIN task t ON t.process = c.process AND t.task = c.task
         WHERE c.spawned_at <= ?2"
    )
}

/// Those that ended badly from `?2` to `?3`, latest first.
const BAD: &str = "SELECT task, outcome, ended_at FROM
        (SELECT * FROM task INDEXED BY task_by_end WHERE process = ?1
            AND ended_at >= ?2 AND ended_at <= ?3 AND kind IS NOT 4
         ORDER BY ended_at DESC, task DESC LIMIT ?4)
    WHERE outcome IN (2, 4, 5) LIMIT ?5";

/// What the program says of a task.
const FIELDS: &str = "SELECT fields FROM task WHERE process = ?1 AND task = ?2";

impl Reader {
    /// After populations and slow polls: those in unfinished ones stand out. `at` is the instant at which
    /// populations are judged.
    pub(super) async fn add_standouts(
        &self,
        range: Range,
        at: i64,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let in_polls = facts.slow_polls.iter().filter(|it| !it.has_ended);
        let in_polls: BTreeSet<i64> =
            in_polls.map(|it| it.task.0 as i64).take(MAX_IN_POLLS).collect();
        let read = move |db: &Connection| {
            let candidates = candidates(db, range, at)?;
            let jobs = jobs::sites(db, range, at, &candidates)?;
            Ok((alive_tasks(db, range, at, candidates, &in_polls)?, ended(db, range)?, jobs))
        };
        let read = self.raw.ask(read).await;
        (facts.alive, facts.ended, facts.jobs) =
            read.map_err(StoreError::sqlite("read tasks that stand out"))?;
        Ok(())
    }
}

/// One that was alive, as it is known to be now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) task: i64,
    pub(super) kind: Option<i64>,
    pub(super) location: Option<i64>,
    pub(super) spawned_at: i64,
    polls: i64,
    busy_time: i64,
    last_poll_start: Option<i64>,
    last_poll_at: Option<i64>,
    wakes: i64,
    self_wakes: i64,
    last_woken_at: Option<i64>,
    unwakeable_at: Option<i64>,
    /// When a blocking job left its queue.
    pub(super) started_at: Option<i64>,
    /// Whether the size of its future was told, which is so of large ones.
    is_large: bool,
}

impl Candidate {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            task: row.get(0)?,
            kind: row.get(1)?,
            location: row.get(2)?,
            spawned_at: row.get(3)?,
            polls: row.get(4)?,
            busy_time: row.get(5)?,
            last_poll_start: row.get(6)?,
            last_poll_at: row.get(7)?,
            wakes: row.get(8)?,
            self_wakes: row.get(9)?,
            last_woken_at: row.get(10)?,
            unwakeable_at: row.get(11)?,
            started_at: row.get(12)?,
            is_large: row.get::<_, Option<bool>>(13)?.unwrap_or(false),
        })
    }

    /// Whether it keeps its row: of the others nobody knows more once they have ended, and they are too
    /// young to stand out.
    fn is_old(&self, at: i64) -> bool {
        at.saturating_sub(self.spawned_at) >= LONG_LIFE
    }

    /// Whether at least half of its wakes were by itself.
    fn wakes_itself(&self) -> bool {
        let own = unsigned(self.self_wakes);
        own >= MIN_SELF_WAKES && own.saturating_mul(2) >= unsigned(self.wakes)
    }
}

fn alive_tasks(
    db: &Connection,
    range: Range,
    at: i64,
    mut candidates: Vec<Candidate>,
    in_polls: &BTreeSet<i64>,
) -> rusqlite::Result<Vec<AliveTask>> {
    take_back(db, range, at, &mut candidates)?;
    let mut unwakeable: Vec<(i64, i64)> = Vec::new();
    for it in &mut candidates {
        if !is_unwakeable(db, range, at, it)? {
            it.unwakeable_at = None;
        }
        unwakeable.extend(it.unwakeable_at.map(|since| (since, it.task)));
    }
    unwakeable.sort_unstable();
    let mut chosen: BTreeSet<i64> =
        unwakeable.into_iter().take(MAX_UNWAKEABLE).map(|(_, task)| task).collect();
    chosen.extend(in_polls);
    let mut self_wakers: Vec<_> =
        candidates.iter().filter(|it| it.is_old(at) && it.wakes_itself()).collect();
    self_wakers.sort_by_key(|it| (Reverse(it.self_wakes), it.task));
    chosen.extend(self_wakers.into_iter().take(MAX_SELF_WAKERS).map(|it| it.task));
    chosen.extend(large(&candidates));
    chosen.extend(oldest(&candidates, at));

    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut fields = db.prepare(FIELDS)?;
    candidates.sort_by_key(|it| (it.spawned_at, it.task));
    let chosen = candidates.iter().filter(|it| chosen.contains(&it.task));
    chosen.map(|it| alive_task(range, it, &mut lookup, &mut fields)).collect()
}

/// Some with a large future of each place: all of a place are as large, but for what they hold in boxes.
fn large(candidates: &[Candidate]) -> Vec<i64> {
    let mut places: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::new();
    for it in candidates.iter().filter(|it| it.is_large) {
        let tasks = places.entry(it.location).or_default();
        if tasks.len() < LARGE_OF_A_PLACE {
            tasks.push(it.task);
        }
    }
    places.into_values().flatten().take(MAX_LARGE).collect()
}

/// The oldest of each place, those of the places with the oldest.
fn oldest(candidates: &[Candidate], at: i64) -> Vec<i64> {
    let mut places: BTreeMap<Option<i64>, Vec<(i64, i64)>> = BTreeMap::new();
    for it in candidates.iter().filter(|it| it.is_old(at)) {
        places.entry(it.location).or_default().push((it.spawned_at, it.task));
    }
    let oldest = |mut tasks: Vec<(i64, i64)>| {
        tasks.sort_unstable();
        tasks.truncate(OLDEST_OF_A_PLACE);
        tasks
    };
    let mut places: Vec<_> = places.into_values().map(oldest).collect();
    places.sort_unstable();
    places.into_iter().flatten().take(MAX_OLDEST).map(|(_, task)| task).collect()
}

/// Those that were alive at an instant: of each place the oldest.
fn candidates(db: &Connection, range: Range, at: i64) -> rusqlite::Result<Vec<Candidate>> {
    let process = range.process.0;
    let places = alive::places(db, &alive::TASKS, process)?;
    let each = (MAX_ALIVE / places.len().max(1) as i64).max(MIN_OF_A_PLACE);
    let mut found = Vec::new();
    let mut statement = db.prepare(&at_place_sql())?;
    for (_, location) in places {
        let rows = statement.query_map((process, location, at, each), Candidate::read)?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    let mut statement = db.prepare(&ended_since_sql())?;
    let rows = statement.query_map((process, at, MAX_ENDED_SINCE), Candidate::read)?;
    found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    Ok(found)
}

/// Takes what tasks did after an instant from what they did in all. Where that is too much to be looked at,
/// nothing is known of them.
fn take_back(
    db: &Connection,
    range: Range,
    at: i64,
    candidates: &mut [Candidate],
) -> rusqlite::Result<()> {
    let process = range.process.0;
    let key = |kind| (process, kind, None);
    let wants = Wants { times: true, task: true, by: true, count: true };
    // A wake is known once it has led to a poll.
    let mut all: HashMap<u64, &mut Candidate> =
        candidates.iter_mut().map(|it| (it.task as u64, it)).collect();
    let wanted = Wanted {
        start_to: at,
        end_from: at.saturating_add(1),
        columns: wants,
        ..Wanted::default()
    };
    raw::each(db, key(RecordKind::Wake), &wanted, &mut Budget::default(), |_, found| {
        take_wakes(&mut all, found);
    })?;
    // Those of which more is known, all of it later.
    let is_after = |instant: Option<i64>| instant.is_some_and(|instant| instant > at);
    all.retain(|_, it| is_after(it.last_poll_at) || is_after(it.last_woken_at));
    let mut later = all;
    if later.is_empty() {
        return Ok(());
    }
    let mut budget = Budget::default();
    let columns = Wants { by: false, count: false, ..wants };
    let wanted = Wanted { end_from: at.saturating_add(1), columns, ..Wanted::default() };
    let has_polls = raw::each(db, key(RecordKind::Poll), &wanted, &mut budget, |_, found| {
        for (task, length) in found.task.iter().zip(&found.length) {
            if let Some(it) = later.get_mut(task) {
                it.polls -= 1;
                it.busy_time -= length;
            }
        }
    })?;
    let wanted = Wanted { start_from: at.saturating_add(1), columns: wants, ..Wanted::default() };
    let has_wakes = raw::each(db, key(RecordKind::Wake), &wanted, &mut budget, |_, found| {
        take_wakes(&mut later, found);
    })?;
    if !(has_polls && has_wakes) {
        for it in later.values_mut() {
            (it.polls, it.busy_time, it.wakes, it.self_wakes) = (0, 0, 0, 0);
        }
    }
    Ok(())
}

/// Takes these wakes from what tasks had in all.
fn take_wakes(tasks: &mut HashMap<u64, &mut Candidate>, found: &Found) {
    for (i, task) in found.task.iter().enumerate() {
        if let Some(it) = tasks.get_mut(task) {
            it.wakes -= found.count[i];
            it.self_wakes -= if found.by[i] == *task { found.count[i] } else { 0 };
        }
    }
}

/// Whether nothing was left at an instant that could wake it: a poll that began later refutes it.
fn is_unwakeable(db: &Connection, range: Range, at: i64, it: &Candidate) -> rusqlite::Result<bool> {
    let Some(since) = it.unwakeable_at.filter(|&since| since <= at) else { return Ok(false) };
    match it.last_poll_start {
        // One that ended later was not known.
        Some(_) if it.last_poll_at.is_some_and(|last| last > at) => {
            let wanted = Wanted {
                start_from: since.saturating_add(1),
                start_to: at,
                task: Some(it.task as u64),
                columns: Wants { times: true, ..Wants::default() },
                ..Wanted::default()
            };
            let key = (range.process.0, RecordKind::Poll, None);
            let mut is_refuted = false;
            let is_all = raw::each(db, key, &wanted, &mut Budget::default(), |_, found| {
                let ends =
                    found.start.iter().zip(&found.length).map(|(start, length)| start + length);
                is_refuted |= ends.into_iter().any(|end| end <= at);
            })?;
            Ok(is_all && !is_refuted)
        }
        last => Ok(last.is_none_or(|last| last <= since)),
    }
}

fn alive_task(
    range: Range,
    it: &Candidate,
    lookup: &mut Lookup<'_>,
    fields: &mut Statement<'_>,
) -> rusqlite::Result<AliveTask> {
    let has_wakes = it.wakes > 0;
    let name = lookup.task(it.task)?.map(|task| task.name).unwrap_or_default();
    let said: Option<String> = fields.query_row((range.process.0, it.task), |row| row.get(0))?;
    Ok(AliveTask {
        task: TaskId(it.task as u64),
        name,
        kind: it.kind.map(tasks::kind),
        location: lookup.place(it.location)?,
        spawned_at: Some(UnixNanos(it.spawned_at)),
        // A blocking job is one long poll.
        polls: match it.started_at {
            Some(started) if it.polls == 0 => u64::from(started <= range.to),
            _ => unsigned(it.polls),
        },
        busy_time: unsigned(it.busy_time),
        wakes: has_wakes.then(|| unsigned(it.wakes)),
        self_wakes: has_wakes.then(|| unsigned(it.self_wakes)),
        unwakeable_at: it.unwakeable_at.map(UnixNanos),
        fields: said.as_deref().map(told::fields).unwrap_or_default(),
    })
}

fn ended(db: &Connection, range: Range) -> rusqlite::Result<Vec<Lived>> {
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut statement = db.prepare(BAD)?;
    let mut rows = statement.query((range.process.0, range.from, range.to, MAX_ENDED, MAX_BAD))?;
    let mut ended = Vec::new();
    while let Some(row) = rows.next()? {
        let task: i64 = row.get(0)?;
        ended.push(Lived {
            task: TaskId(task as u64),
            location: lookup.task(task)?.and_then(|task| task.place),
            ended_at: UnixNanos(row.get(2)?),
            end: match row.get::<_, i64>(1)? {
                RAISED => End::Raised,
                DESTROYED => End::Destroyed,
                _ => End::Panicked,
            },
            was_joined: false,
        });
    }
    Ok(ended)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let fixed = [BAD, FIELDS].map(str::to_owned);
    [at_place_sql(), ended_since_sql()].into_iter().chain(fixed).collect()
}
