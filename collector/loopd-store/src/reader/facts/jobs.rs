//! Work given to other threads: how long it waited for one, by where it was given.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use loopd_analysis::findings::JobSite;
use loopd_model::{TaskId, TaskKind};
use rusqlite::Connection;

use super::Range;
use super::lookup::Lookup;
use super::standouts::Candidate;
use crate::reader::bounds::SCALE;
use crate::reader::{lives, unsigned};
use crate::sql::packed_rows::NULL;
use crate::writer::tasks::{ENDED_AT, KIND, SPAWN_LOCATION, SPAWNED_AT, STARTED_AT, TASK};

/// So many tasks that ended in the range and have a row, the latest, are looked through for jobs.
const MAX_ENDED: i64 = 50_000 / SCALE as i64;
/// So many places are given, those that waited longest.
const MAX_SITES: usize = 100;
/// So many jobs are named of each.
const MAX_EXAMPLES: usize = 3;

/// Jobs with a row that ended from `?2` to `?3`.
const ENDED: &str = "SELECT t.task, t.spawn_location, t.spawned_at, t.started_at
    FROM (SELECT process, task, kind FROM task INDEXED BY task_by_end WHERE process = ?1
        AND ended_at >= ?2 AND ended_at <= ?3 ORDER BY ended_at DESC LIMIT ?4) c
    CROSS JOIN task t ON t.process = c.process AND t.task = c.task
    WHERE c.kind = 3 AND t.spawned_at IS NOT NULL";

#[derive(Default)]
struct Site {
    site: JobSite,
    /// How long the longest waited, and which these are.
    longest: Vec<(Reverse<u64>, i64)>,
}

/// One job that was not over before the range.
#[derive(Clone, Copy)]
struct Job {
    task: i64,
    location: Option<i64>,
    spawned_at: i64,
    started_at: Option<i64>,
}

/// `alive` are tasks that were alive at `at`.
pub(super) fn sites(
    db: &Connection,
    range: Range,
    at: i64,
    alive: &[Candidate],
) -> rusqlite::Result<Vec<JobSite>> {
    const BLOCKING: i64 = TaskKind::Blocking as i64;
    let mut sites: BTreeMap<Option<i64>, Site> = BTreeMap::new();
    for it in alive.iter().filter(|it| it.kind == Some(BLOCKING)) {
        let Candidate { task, location, spawned_at, started_at, .. } = *it;
        add(&mut sites, range, at, true, Job { task, location, spawned_at, started_at });
    }
    let mut statement = db.prepare(ENDED)?;
    let mut rows = statement.query((range.process.0, range.from, at, MAX_ENDED))?;
    while let Some(row) = rows.next()? {
        let (task, location) = (row.get(0)?, row.get(1)?);
        let job = Job { task, location, spawned_at: row.get(2)?, started_at: row.get(3)? };
        add(&mut sites, range, at, false, job);
    }
    const COLUMNS: u64 =
        1 << KIND | 1 << SPAWN_LOCATION | 1 << SPAWNED_AT | 1 << STARTED_AT | 1 << ENDED_AT;
    let looked = (range.from.saturating_sub(1), at);
    lives::latest_records(db, range.process.0, looked, COLUMNS, |records, row| {
        let (kind, spawned_at) = (records.value(row, KIND), records.value(row, SPAWNED_AT));
        if kind == BLOCKING && spawned_at <= at {
            let started_at = Some(records.value(row, STARTED_AT)).filter(|&at| at != NULL);
            let location = lives::location_of(records, row);
            let task = records.value(row, TASK);
            let is_alive = records.value(row, ENDED_AT) > at;
            add(&mut sites, range, at, is_alive, Job { task, location, spawned_at, started_at });
        }
    })?;
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut found = Vec::new();
    for (location, it) in sites {
        let examples = it.longest.iter().map(|&(_, task)| TaskId(task as u64)).collect();
        found.push(JobSite { location: lookup.place(location)?, examples, ..it.site });
    }
    found.sort_by(|a, b| (b.waited_time, &a.location).cmp(&(a.waited_time, &b.location)));
    found.truncate(MAX_SITES);
    Ok(found)
}

fn add(sites: &mut BTreeMap<Option<i64>, Site>, range: Range, at: i64, is_alive: bool, job: Job) {
    let waited = match job.started_at.filter(|&started| started <= at) {
        Some(started) if started < range.from => return,
        Some(started) => unsigned(started.saturating_sub(job.spawned_at)),
        None if is_alive => unsigned(at.saturating_sub(job.spawned_at)),
        // It was given up before it began.
        None => return,
    };
    let site = sites.entry(job.location).or_default();
    site.site.waited_time = site.site.waited_time.saturating_add(waited);
    match job.started_at.filter(|&started| started <= at) {
        Some(_) => site.site.delays.add(waited),
        None => site.site.waiting += 1,
    }
    site.longest.push((Reverse(waited), job.task));
    site.longest.sort_unstable();
    site.longest.truncate(MAX_EXAMPLES);
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [ENDED];
