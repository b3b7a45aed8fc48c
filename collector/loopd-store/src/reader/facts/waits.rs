//! Waits: those that last at an instant, with who holds them up, and all of a range by place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use loopd_analysis::findings::{Facts, OpenWait, WaitHolder, WaitSite};
use loopd_model::{ResourceId, TaskId, UnixNanos, WaitId};
use rusqlite::{Connection, OptionalExtension, Row, Statement};

use super::Range;
use super::lookup::{Lookup, Task};
use super::peers::Peers;
use crate::reader::bounds::{MAX_LOOKED, SCALE};
use crate::reader::{Reader, metrics, unsigned, waits};
use crate::{MAX_WAITS_AT, ProcessKey, StoreError};

/// So many waits that began by the end of the range are looked at, the latest: some 100 ms.
const MAX_WAITS: i64 = 50_000 / SCALE as i64;
/// So many of these that began before the range, which they may last into.
const MAX_BEFORE: usize = 5_000 / SCALE as usize;
/// So many places are given, those waited at longest.
const MAX_SITES: usize = 500;
/// So many waits for the end of a task, the latest, are looked at for whose end that is.
const MAX_JOINS: usize = 10_000 / SCALE as usize;

const COLUMNS: &str = "w.wait, w.task, w.resource, w.op, w.location, w.amount, w.began_at,
    w.ended_at, w.how";

/// Waits that began by `?2`, latest first.
fn latest_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM wait w INDEXED BY wait_by_time
         WHERE w.process = ?1 AND w.began_at <= ?2 ORDER BY w.began_at DESC LIMIT ?3"
    )
}

/// Those without an end that began by `?2`, longest first.
fn endless_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM wait w INDEXED BY wait_pending WHERE w.process = ?1
            AND w.ended_at IS NULL AND w.began_at <= ?2 ORDER BY w.began_at LIMIT ?3"
    )
}

/// Until when ends of waits may have been lost, of what was lost by `?2`.
const LOST_UNTIL: &str = "SELECT to_at FROM loss INDEXED BY loss_of_waits WHERE process = ?1
        AND (kind IS NULL OR kind = 9) AND cause <> 9 AND from_at <= ?2
    ORDER BY to_at DESC LIMIT 1";

/// Who held the resource when a wait began.
const HOLDERS: &str = "SELECT task, since, location, amount FROM wait_holder
    WHERE process = ?1 AND wait = ?2 ORDER BY place";

/// Whether anybody held it when a wait began.
const IS_HELD: &str = "SELECT 1 FROM wait_holder WHERE process = ?1 AND wait = ?2 LIMIT 1";

/// Whether a hold from `?4` to `?5` on had ended by `?7`, as far as it did not before `?6`.
const RELEASED: &str = "SELECT 1 FROM hold INDEXED BY hold_by_holder
    WHERE process = ?1 AND resource = ?2 AND task = ?3 AND since BETWEEN ?4 AND ?5
        AND ended_at >= ?6 AND ended_at <= ?7 LIMIT 1";

/// Of the waits for a resource that began by `?3`, those that had got it by then.
const GOT: &str = "SELECT task, location, amount, ended_at FROM
        (SELECT * FROM wait INDEXED BY wait_by_resource WHERE process = ?1 AND resource = ?2
            AND began_at <= ?3 ORDER BY began_at DESC LIMIT ?4)
    WHERE how = 1 AND ended_at <= ?3 ORDER BY ended_at DESC";

/// One wait, as it stood.
#[derive(Clone, Copy, Debug)]
struct Wait {
    wait: i64,
    task: i64,
    resource: i64,
    op: Option<i64>,
    location: Option<i64>,
    amount: i64,
    began_at: i64,
    /// `None` while it lasted.
    ended_at: Option<i64>,
    was_cancelled: bool,
}

impl Wait {
    /// As it stood at an instant.
    fn read(row: &Row<'_>, at: i64) -> rusqlite::Result<Self> {
        let ended_at = row.get::<_, Option<i64>>(7)?.filter(|&ended| ended <= at);
        Ok(Self {
            wait: row.get(0)?,
            task: row.get::<_, Option<i64>>(1)?.unwrap_or(0),
            resource: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
            op: row.get(3)?,
            location: row.get(4)?,
            amount: row.get::<_, Option<i64>>(5)?.unwrap_or(0),
            began_at: row.get(6)?,
            ended_at,
            was_cancelled: ended_at.is_some() && row.get::<_, Option<i64>>(8)? == Some(2),
        })
    }
}

impl Reader {
    /// After the uses of resources, to which it adds, and the tasks that ended. `at` is the instant at which
    /// populations are judged, and waits that last.
    pub(super) async fn add_waits(
        &self,
        range: Range,
        at: i64,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let read = move |db: &Connection| {
            let all = latest(db, range)?;
            let senders = waiting_senders(db, range, &all)?;
            let joined = joined(db, range, &all)?;
            Ok((open_waits(db, range, at)?, wait_sites(db, range, &all)?, senders, joined))
        };
        let read = self.raw.ask(read).await;
        let (open, sites, mut senders, joined) =
            read.map_err(StoreError::sqlite("read the waits of a range"))?;
        (facts.open_waits, facts.wait_sites) = (open, sites);
        for it in &mut facts.uses {
            it.waiting_senders = senders.remove(&(it.resource.0 as i64)).unwrap_or_default();
        }
        for it in &mut facts.ended {
            it.was_joined = joined.contains(&(it.task.0 as i64));
        }
        Ok(())
    }
}

impl Reader {
    /// The waits that lasted at an instant, longest first and at most [`MAX_WAITS_AT`], with who held them up
    /// then; without an instant, at the last that is known of the process. `None` if there is no such process.
    pub async fn waits_at(
        &self,
        process: ProcessKey,
        at: Option<UnixNanos>,
    ) -> Result<Option<(UnixNanos, Vec<OpenWait>)>, StoreError> {
        let Some(row) = self.process(process).await? else { return Ok(None) };
        let range = Range::new(&row, None, at);
        let read = self.raw.ask(move |db: &Connection| open_waits(db, range, range.to)).await;
        let waits = read.map_err(StoreError::sqlite("read the waits of an instant"))?;
        Ok(Some((UnixNanos(range.to), waits)))
    }
}

/// The latest that touch the range, in order, as they stood at its end.
fn latest(db: &Connection, range: Range) -> rusqlite::Result<Vec<Wait>> {
    let mut statement = db.prepare(&latest_sql())?;
    let mut rows = statement.query((range.process.0, range.to, MAX_WAITS))?;
    let mut found = Vec::new();
    let mut before = 0;
    while let Some(row) = rows.next()? {
        let wait = Wait::read(row, range.to)?;
        if wait.began_at < range.from {
            before += 1;
            if before > MAX_BEFORE {
                break;
            }
        }
        if wait.ended_at.is_none_or(|ended| ended >= range.from) {
            found.push(wait);
        }
    }
    found.sort_by_key(|it| (it.began_at, it.wait));
    Ok(found)
}

/// Until when the ends of waits may have been lost, as was known at an instant.
fn lost_until(db: &Connection, range: Range, at: i64) -> rusqlite::Result<i64> {
    let found = db.query_row(LOST_UNTIL, (range.process.0, at), |row| row.get(0));
    Ok(found.optional()?.unwrap_or(i64::MIN))
}

/// Those that lasted at an instant.
fn open_waits(db: &Connection, range: Range, at: i64) -> rusqlite::Result<Vec<OpenWait>> {
    let process = range.process.0;
    let lost_until = lost_until(db, range, at)?;
    let mut open: BTreeMap<(i64, i64), Wait> = BTreeMap::new();
    let queries = [(endless_sql(), MAX_LOOKED), (latest_sql(), MAX_WAITS)];
    for (sql, most) in queries {
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query((process, at, most))?;
        while let Some(row) = rows.next()? {
            let wait = Wait::read(row, at)?;
            if wait.ended_at.is_none() && wait.began_at > lost_until {
                open.insert((wait.began_at, wait.wait), wait);
            }
        }
    }
    // Of too many those that somebody holds up come first: the others may be idle.
    let mut order: Vec<_> = open.keys().map(|key| (false, *key)).collect();
    if open.len() > MAX_WAITS_AT {
        let mut is_held = db.prepare(IS_HELD)?;
        for (is_later, (_, wait)) in &mut order {
            *is_later = !is_held.exists((process, *wait))?;
        }
        order.sort_unstable();
    }
    let mut lookup = Lookup::new(db, process, at)?;
    let mut holding = Holding::new(db, range, at)?;
    let mut peers = Peers::new(db, range, at)?;
    let mut found = Vec::new();
    for (_, key) in order {
        let wait = &open[&key];
        let task = lookup.task(wait.task)?;
        // One whose task is gone waits no more, though nobody saw its end.
        let is_alive = task.as_ref().is_some_and(|task| task.ended_at.is_none());
        if wait.task != 0 && !is_alive {
            continue;
        }
        let thing = lookup.thing(wait.resource)?;
        let op = lookup.word(wait.op)?;
        let holders = holding.of(wait, &op, &mut lookup)?;
        let awaits_task = match holders.is_empty() {
            true => peers.only_other(wait.resource, &op, &mut lookup)?,
            false => None,
        };
        found.push(OpenWait {
            wait: WaitId(wait.wait as u64),
            task: some_task(wait.task),
            task_name: task.map(|task| task.name).unwrap_or_default(),
            resource: (wait.resource != 0).then_some(ResourceId(wait.resource as u64)),
            resource_kind: thing.kind,
            resource_name: thing.name,
            resource_location: thing.place,
            holders,
            op,
            location: lookup.place(wait.location)?,
            amount: unsigned(wait.amount),
            began_at: UnixNanos(wait.began_at),
            awaits_task,
        });
        if found.len() == MAX_WAITS_AT {
            break;
        }
    }
    found.sort_by_key(|wait| (wait.began_at, wait.wait));
    Ok(found)
}

fn some_task(task: i64) -> Option<TaskId> {
    (task != 0).then_some(TaskId(task as u64))
}

fn name_of(task: i64, lookup: &mut Lookup<'_>) -> rusqlite::Result<String> {
    let known = if task == 0 { None } else { lookup.task(task)? };
    Ok(known.map(|task| task.name).unwrap_or_default())
}

/// Looks up who holds what is waited for.
struct Holding<'db> {
    process: i64,
    at: i64,
    holders: Statement<'db>,
    released: Statement<'db>,
    got: Statement<'db>,
    /// Who got each resource last and may still have it: as of when.
    later: HashMap<i64, Option<WaitHolder>>,
}

impl<'db> Holding<'db> {
    fn new(db: &'db Connection, range: Range, at: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            process: range.process.0,
            at,
            holders: db.prepare(HOLDERS)?,
            released: db.prepare(RELEASED)?,
            got: db.prepare(GOT)?,
            later: HashMap::new(),
        })
    }

    /// Those who have not given it back: who held it when the wait began, or else who has got it since.
    fn of(
        &mut self,
        wait: &Wait,
        op: &str,
        lookup: &mut Lookup<'_>,
    ) -> rusqlite::Result<Vec<WaitHolder>> {
        let rows = self.holders.query_map((self.process, wait.wait), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let rows: Vec<(i64, i64, i64, i64)> = rows.collect::<Result<_, _>>()?;
        let mut holders = Vec::new();
        for (task, since, location, amount) in rows {
            if self.has_released(wait.resource, task, since, wait.began_at)? {
                continue;
            }
            holders.push(WaitHolder {
                task: some_task(task),
                task_name: name_of(task, lookup)?,
                since_at: UnixNanos(since),
                location: lookup.place(Some(location))?,
                amount: unsigned(amount),
                is_later: false,
            });
        }
        if holders.is_empty() && wait.resource != 0 && waits::TAKES.contains(&op) {
            let later = self.later(wait.resource, lookup)?;
            let is_other =
                |it: &WaitHolder| it.since_at.0 >= wait.began_at && it.task != some_task(wait.task);
            holders.extend(later.filter(is_other));
        }
        Ok(holders)
    }

    fn has_released(
        &mut self,
        resource: i64,
        task: i64,
        since: i64,
        not_before: i64,
    ) -> rusqlite::Result<bool> {
        let (from, to) = (since - waits::SAME_INSTANT, since + waits::SAME_INSTANT);
        self.released.exists((self.process, resource, task, from, to, not_before, self.at))
    }

    /// Whoever got a resource last and is not known to have given it back.
    fn later(
        &mut self,
        resource: i64,
        lookup: &mut Lookup<'_>,
    ) -> rusqlite::Result<Option<WaitHolder>> {
        if let Some(known) = self.later.get(&resource) {
            return Ok(known.clone());
        }
        // Very many resources that are waited for share what one may look at.
        let each = waits::MAX_LATER.min(waits::MAX_LATER_OF_ALL / (self.later.len() + 1));
        let rows = self.got.query_map((self.process, resource, self.at, each as i64), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        type Got = (Option<i64>, Option<i64>, Option<i64>, i64);
        let rows: Vec<Got> = rows.collect::<Result<_, _>>()?;
        let mut last = None;
        for (task, location, amount, got_at) in rows {
            let task = task.unwrap_or(0);
            let is_gone =
                task != 0 && lookup.task(task)?.is_some_and(|task| task.ended_at.is_some());
            let from = got_at - waits::SAME_INSTANT;
            let key = (self.process, resource, task, from, i64::MAX, i64::MIN, self.at);
            if is_gone || self.released.exists(key)? {
                continue;
            }
            last = Some(WaitHolder {
                task: some_task(task),
                task_name: name_of(task, lookup)?,
                since_at: UnixNanos(got_at),
                location: lookup.place(location)?,
                amount: amount.map_or(0, unsigned),
                is_later: true,
            });
            break;
        }
        self.later.insert(resource, last.clone());
        Ok(last)
    }
}

/// What all waits at one place have in common.
#[derive(Default)]
struct Site {
    site: WaitSite,
    places: BTreeSet<Option<String>>,
    tasks: BTreeSet<i64>,
}

/// Op, location and kind.
type Key = (Option<i64>, Option<i64>, String);

/// Waits of one task, one after the other.
#[derive(Clone, Copy, Debug)]
struct InRow {
    site: usize,
    waits: u64,
    time: u64,
    /// When the last of them ended.
    ended_at: i64,
}

fn wait_sites(db: &Connection, range: Range, all: &[Wait]) -> rusqlite::Result<Vec<WaitSite>> {
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let lost_until = lost_until(db, range, range.to)?;
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut sites: Vec<Site> = Vec::new();
    let mut rows: HashMap<i64, InRow> = HashMap::new();
    for wait in all {
        let thing = lookup.thing(wait.resource)?;
        let until = match wait.ended_at {
            Some(ended) => ended,
            // Where its end may have been lost, nobody knows what came after its beginning.
            None if wait.began_at <= lost_until => wait.began_at,
            None => lookup.task(wait.task)?.and_then(|it| it.ended_at).unwrap_or(range.to),
        };
        if until < range.from {
            continue;
        }
        let place =
            *places.entry((wait.op, wait.location, thing.kind.clone())).or_insert_with(|| {
                sites.push(Site::default());
                sites.len() - 1
            });
        let site = &mut sites[place];
        if site.site.waits == 0 {
            site.site.op = lookup.word(wait.op)?;
            site.site.location = lookup.place(wait.location)?;
            site.site.resource_kind = thing.kind;
            site.site.first_at = UnixNanos(wait.began_at.max(range.from));
        }
        let time = unsigned(until.saturating_sub(wait.began_at));
        let in_range = unsigned(until.saturating_sub(wait.began_at.max(range.from)));
        site.site.waits += 1;
        site.site.cancelled += u64::from(wait.was_cancelled);
        site.site.total_time = site.site.total_time.saturating_add(in_range);
        site.site.max_time = site.site.max_time.max(time);
        site.site.last_at = UnixNanos(wait.began_at.max(range.from));
        site.places.insert(thing.place);
        if wait.task != 0 {
            site.tasks.insert(wait.task);
            let row = rows.entry(wait.task).or_insert(InRow {
                site: place,
                waits: 0,
                time: 0,
                ended_at: i64::MIN,
            });
            if row.site != place || row.ended_at > wait.began_at {
                *row = InRow { site: place, waits: 0, time: 0, ended_at: until };
            }
            row.waits += 1;
            row.time = row.time.saturating_add(in_range);
            row.ended_at = row.ended_at.max(until);
            let longest = &mut site.site.longest_row;
            if (row.waits, row.time) > (longest.1, longest.2) {
                *longest = (TaskId(wait.task as u64), row.waits, row.time);
                let life = |task: Task| {
                    let ended = task.ended_at.unwrap_or(range.to);
                    Some(unsigned(ended.saturating_sub(task.spawned_at?)))
                };
                site.site.row_life = lookup.task(wait.task)?.and_then(life);
            }
        }
    }
    let mut sites: Vec<WaitSite> = sites.into_iter().map(Site::finish).collect();
    sites.sort_by(|a, b| {
        let key = |it: &WaitSite| (Reverse(it.total_time), Reverse(it.waits));
        let names = |it: &WaitSite| (it.location.clone(), it.op.clone(), it.resource_kind.clone());
        key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
    });
    sites.truncate(MAX_SITES);
    Ok(sites)
}

impl Site {
    fn finish(self) -> WaitSite {
        let mut places = self.places.into_iter();
        let only = places.next().flatten().filter(|_| places.next().is_none());
        WaitSite { resource_location: only, tasks: self.tasks.len() as u64, ..self.site }
    }
}

/// How many waited for room in each channel, at the end of each step of the range; nothing of those for
/// which nobody did.
fn waiting_senders(
    db: &Connection,
    range: Range,
    all: &[Wait],
) -> rusqlite::Result<HashMap<i64, Vec<Option<f64>>>> {
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let steps = metrics::Steps::new(range.from, range.end(), Facts::POINTS);
    let mut channels: HashMap<i64, Vec<f64>> = HashMap::new();
    for wait in all {
        if wait.resource == 0 || lookup.word(wait.op)? != "send" {
            continue;
        }
        let counts = channels.entry(wait.resource).or_insert_with(|| vec![0.0; Facts::POINTS]);
        // It is in every step at whose end it lasted.
        let first = steps.of(wait.began_at.max(range.from));
        let last = wait.ended_at.map_or(Facts::POINTS, |ended| steps.of(ended.max(range.from)));
        counts.iter_mut().take(last).skip(first).for_each(|count| *count += 1.0);
    }
    let told =
        |(resource, counts): (i64, Vec<f64>)| (resource, counts.into_iter().map(Some).collect());
    Ok(channels.into_iter().map(told).collect())
}

/// The tasks whose end somebody waited for, as far as that is told: a wait to `join` a task names it as who
/// holds what it waits for.
fn joined(db: &Connection, range: Range, all: &[Wait]) -> rusqlite::Result<BTreeSet<i64>> {
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut holders = db.prepare(HOLDERS)?;
    let (mut joined, mut looked) = (BTreeSet::new(), 0);
    for wait in all.iter().rev() {
        if looked == MAX_JOINS {
            break;
        }
        if lookup.word(wait.op)? == "join" {
            looked += 1;
            let rows = holders.query_map((range.process.0, wait.wait), |row| row.get(0))?;
            for task in rows {
                joined.insert(task?);
            }
        }
    }
    Ok(joined)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let fixed = [LOST_UNTIL, HOLDERS, IS_HELD, RELEASED, GOT].map(str::to_owned);
    [latest_sql(), endless_sql()].into_iter().chain(fixed).collect()
}
