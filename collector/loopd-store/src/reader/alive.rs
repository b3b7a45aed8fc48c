//! What is alive, or open, place by place. Places are found by skipping from one to the next in an index,
//! and what is alive at each is counted up to a bound: the cost grows with the places, not with what
//! was spawned or opened there.

use std::collections::BTreeMap;

use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, Statement};

use super::bounds::{MAX_LOOKED, SCALE};
use crate::MAX_AGES;

/// So many places of one population are looked at.
const MAX_PLACES: usize = 1_000 / SCALE as usize;
/// So many are counted at every place; then the places that have more share what is left of the budget.
const MIN_COUNTED: i64 = 500 / SCALE as i64;
const MAX_COUNTED_OF_ALL: i64 = 200_000 / SCALE as i64;
/// So many of the oldest are read of all places together, and some of each.
const MAX_OLDEST_OF_ALL: usize = 20_000 / SCALE as usize;
const MIN_OLDEST: usize = 10;

/// What a population is made of, as the columns of its table and its indexes.
#[derive(Debug)]
pub(super) struct Population {
    pub(super) table: &'static str,
    pub(super) id: &'static str,
    /// What it is grouped by besides the location; [`ONE_SORT`] if by nothing.
    pub(super) sort: &'static str,
    pub(super) location: &'static str,
    pub(super) born: &'static str,
    pub(super) died: &'static str,
    /// Which rows belong to it, after those of other conditions.
    pub(super) only: &'static str,
    /// The index of what is alive: by process, sort, location and birth.
    pub(super) alive: &'static str,
    /// The index of what died: by process and death.
    pub(super) dead: &'static str,
}

/// Callbacks are as alive as their loop: that is no news, and no leak. The index has none.
pub(super) const NO_CALLBACK: &str = "AND kind IS NOT 4";

/// The sort of what is all of one.
const ONE_SORT: &str = "''";

pub(super) const TASKS: Population = Population {
    table: "task",
    id: "task",
    sort: ONE_SORT,
    location: "spawn_location",
    born: "spawned_at",
    died: "ended_at",
    only: NO_CALLBACK,
    alive: "task_alive",
    dead: "task_by_end",
};

pub(super) const RESOURCES: Population = Population {
    table: "resource",
    id: "resource",
    sort: "kind",
    location: "open_location",
    born: "opened_at",
    died: "closed_at",
    only: "",
    alive: "resource_open",
    dead: "resource_by_close",
};

/// Sort and location.
pub(super) type PlaceKey = (String, Option<i64>);

/// What is alive at one place.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// How many, as far as they were counted.
    pub(super) alive: i64,
    pub(super) has_more: bool,
    /// Of how many of them the birth is known.
    known: i64,
    /// Births and ids of the oldest, oldest first.
    pub(super) oldest: Vec<(i64, i64)>,
    pub(super) median_birth: Option<i64>,
}

/// Sort and location as they are stored.
type RawPlace = (Option<String>, Option<i64>);

/// What is looked for among what is alive at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// Alive then.
    pub(super) at: i64,
    /// Born after that.
    pub(super) after: i64,
    /// And by then, which is not after `at`.
    pub(super) by: i64,
    /// What is alive now, and of which nobody knows since when, counts.
    pub(super) with_unborn: bool,
}

impl When {
    /// All that is alive at an instant.
    pub(super) const fn alive_at(at: i64, with_unborn: bool) -> Self {
        Self { at, after: i64::MIN, by: at, with_unborn }
    }
}

/// What is alive at an instant, place by place: what still is, and what died since.
pub(super) fn read(
    db: &Connection,
    of: &Population,
    process: i64,
    when: When,
) -> rusqlite::Result<BTreeMap<PlaceKey, Place>> {
    let keys = places(db, of, process)?;
    let mut statements = Statements::prepare(db, of, when)?;
    let mut raw = Vec::with_capacity(keys.len());
    for key in &keys {
        raw.push(statements.count(process, key, MIN_COUNTED)?);
    }
    let larger = raw.iter().filter(|place| place.has_more).count() as i64;
    let most = (MAX_COUNTED_OF_ALL / larger.max(1)).clamp(MIN_COUNTED, MAX_LOOKED);
    let oldest = (MAX_OLDEST_OF_ALL / keys.len().max(1)).clamp(MIN_OLDEST, MAX_AGES);
    let mut found: BTreeMap<PlaceKey, Place> = BTreeMap::new();
    for (key, mut place) in keys.iter().zip(raw) {
        if place.has_more {
            place = statements.count(process, key, most)?;
        }
        place.oldest = statements.oldest(process, key, oldest)?;
        place.median_birth = statements.median(process, key, place.known)?;
        // A sort that is not known has no name, as one whose name is empty.
        let known = found.entry((key.0.clone().unwrap_or_default(), key.1)).or_default();
        if known.alive == 0 { *known = place } else { known.add(place) }
    }
    for (key, births) in died_since(db, of, process, when)? {
        found.entry(key).or_default().add_births(births);
    }
    Ok(found)
}

impl Place {
    /// Adds some that are alive, but are not among those that were counted: births and ids.
    pub(super) fn add_births(&mut self, births: Vec<(i64, i64)>) {
        let alive = births.len() as i64;
        self.add(Self { alive, known: alive, oldest: births, ..Self::default() });
    }

    /// Adds others of the same place. Their median is known if all of them are.
    fn add(&mut self, other: Self) {
        self.alive += other.alive;
        self.known += other.known;
        self.has_more |= other.has_more;
        self.oldest.extend(other.oldest);
        self.oldest.sort_unstable();
        let is_all = !self.has_more && self.oldest.len() as i64 == self.known;
        let middle = usize::try_from((self.known - 1) / 2).unwrap_or(0);
        let median = self.oldest.get(middle).filter(|_| is_all);
        self.median_birth = median.map(|&(born, _)| born);
        self.oldest.truncate(MAX_AGES);
    }
}

/// The places at which something is alive, in order.
pub(super) fn places(
    db: &Connection,
    of: &Population,
    process: i64,
) -> rusqlite::Result<Vec<RawPlace>> {
    let Population { table, died, only, alive, sort, location, .. } = of;
    let part = format!("{table} INDEXED BY {alive} WHERE process = ?1 AND {died} IS NULL {only}");
    places_of(db, &part, (sort, location), process)
}

/// The places in a part of a table that an index holds in order of sort and location.
fn places_of(
    db: &Connection,
    part: &str,
    (sort, location): (&str, &str),
    process: i64,
) -> rusqlite::Result<Vec<RawPlace>> {
    let mut sorts = Vec::new();
    if sort == ONE_SORT {
        sorts.push(Some(String::new()));
    } else {
        skip(db, part, sort, &[&process], String::new(), |sort| {
            sorts.push(sort);
            sorts.len() < MAX_PLACES
        })?;
    }
    let mut places = Vec::new();
    let part = format!("{part} AND {sort} IS ?2");
    for sort in sorts {
        skip(db, &part, location, &[&process, &sort], i64::MIN, |location| {
            places.push((sort.clone(), location));
            places.len() < MAX_PLACES
        })?;
        if places.len() >= MAX_PLACES {
            break;
        }
    }
    Ok(places)
}

/// Gives each value of a column once, in order, from an index that has it next, until told to stop: one
/// search for each. No value is smaller than `least`.
fn skip<T: FromSql + ToSql>(
    db: &Connection,
    part: &str,
    column: &str,
    keys: &[&dyn ToSql],
    least: T,
    mut each: impl FnMut(Option<T>) -> bool,
) -> rusqlite::Result<()> {
    let unknown = format!("SELECT 1 FROM {part} AND {column} IS NULL LIMIT 1");
    if db.prepare(&unknown)?.exists(keys)? && !each(None) {
        return Ok(());
    }
    let place = keys.len() + 1;
    let search = |than| {
        format!(
            "SELECT {column} FROM {part} AND {column} {than} ?{place} ORDER BY {column} LIMIT 1"
        )
    };
    let one = |statement: &mut Statement<'_>, than: &T| {
        let keys: Vec<&dyn ToSql> = keys.iter().copied().chain([than as &dyn ToSql]).collect();
        let mut rows = statement.query(&keys[..])?;
        rows.next()?.map(|row| row.get::<_, T>(0)).transpose()
    };
    let mut next = db.prepare(&search(">"))?;
    let mut found = one(&mut db.prepare(&search(">="))?, &least)?;
    while let Some(value) = found {
        found = one(&mut next, &value)?;
        if !each(Some(value)) {
            break;
        }
    }
    Ok(())
}

/// What is asked of every place: process `?1`, sort `?2`, location `?3`, born by `?4` and after `?6`.
struct Statements<'db> {
    when: When,
    without_birth: Statement<'db>,
    count: Statement<'db>,
    oldest: Statement<'db>,
    median: Statement<'db>,
}

impl<'db> Statements<'db> {
    fn prepare(db: &'db Connection, of: &Population, when: When) -> rusqlite::Result<Self> {
        let Population { table, id, sort, location, born, died, only, alive, .. } = of;
        let place = format!(
            "FROM {table} INDEXED BY {alive} WHERE process = ?1 AND {died} IS NULL {only}
             AND {sort} IS ?2 AND {location} IS ?3"
        );
        let count =
            |born: &str| format!("SELECT count(*) FROM (SELECT 1 {place} AND {born} LIMIT ?5)");
        let unborn = if when.with_unborn { "IS NOT NULL" } else { "IS NULL" };
        let in_range = format!("{born} > ?6 AND {born} <= ?4");
        let in_order = format!("{place} AND {in_range} ORDER BY {born} LIMIT");
        let without = format!("{born} IS NULL AND ?4 {unborn} AND ?6 {unborn}");
        Ok(Self {
            when,
            without_birth: db.prepare(&count(&without))?,
            count: db.prepare(&count(&in_range))?,
            oldest: db.prepare(&format!("SELECT {born}, {id} {in_order} ?5"))?,
            median: db.prepare(&format!("SELECT {born} {in_order} 1 OFFSET ?5"))?,
        })
    }

    fn count(
        &mut self,
        process: i64,
        (sort, location): &RawPlace,
        most: i64,
    ) -> rusqlite::Result<Place> {
        let key = (process, sort, location, self.when.by, most + 1, self.when.after);
        let without: i64 = self.without_birth.query_row(key, |row| row.get(0))?;
        let known: i64 = self.count.query_row(key, |row| row.get(0))?;
        let has_more = without > most || known > most;
        let known = known.min(most);
        Ok(Place { alive: without.min(most) + known, known, has_more, ..Place::default() })
    }

    fn oldest(
        &mut self,
        process: i64,
        (sort, location): &RawPlace,
        most: usize,
    ) -> rusqlite::Result<Vec<(i64, i64)>> {
        let key = (process, sort, location, self.when.by, most as i64, self.when.after);
        self.oldest.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn median(
        &mut self,
        process: i64,
        (sort, location): &RawPlace,
        known: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let place = (known - 1).max(0) / 2;
        let key = (process, sort, location, self.when.by, place, self.when.after);
        self.median.query(key)?.next()?.map(|row| row.get(0)).transpose()
    }
}

/// Births and ids of what was alive at an instant and has died since: of the first that did.
fn died_since(
    db: &Connection,
    of: &Population,
    process: i64,
    when: When,
) -> rusqlite::Result<BTreeMap<PlaceKey, Vec<(i64, i64)>>> {
    let Population { table, id, sort, location, born, died, only, dead, .. } = of;
    let sql = format!(
        "SELECT * FROM (SELECT coalesce({sort}, ''), {location}, {born} AS born, {id}
            FROM {table} INDEXED BY {dead} WHERE process = ?1 AND {died} > ?2 {only}
            ORDER BY {died} LIMIT {MAX_LOOKED}) WHERE born > ?3 AND born <= ?4"
    );
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query((process, when.at, when.after, when.by))?;
    let mut found: BTreeMap<PlaceKey, Vec<(i64, i64)>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?);
        found.entry(key).or_default().push((row.get(2)?, row.get(3)?));
    }
    found.values_mut().for_each(|births| births.sort_unstable());
    Ok(found)
}

/// Resources that were dropped by `to` without the close they require, place by place, as far as they were
/// counted.
pub(super) fn unclosed(
    db: &Connection,
    process: i64,
    to: i64,
) -> rusqlite::Result<BTreeMap<PlaceKey, u64>> {
    const PART: &str = "resource INDEXED BY resource_unclosed
        WHERE process = ?1 AND closed_at IS NOT NULL AND how = 3";
    let places = places_of(db, PART, (RESOURCES.sort, RESOURCES.location), process)?;
    let most = (MAX_COUNTED_OF_ALL / places.len().max(1) as i64).clamp(MIN_COUNTED, MAX_LOOKED);
    const LATER: &str = "SELECT 1 FROM resource INDEXED BY resource_by_close
        WHERE process = ?1 AND closed_at > ?2 LIMIT 1";
    // The index does not have when, which costs a look at each row.
    let by = if db.prepare(LATER)?.exists((process, to))? { "closed_at <= ?5" } else { "?5 > 0" };
    let sql = format!(
        "SELECT count(*) FROM
         (SELECT 1 FROM {PART} AND kind IS ?2 AND open_location IS ?3 AND {by} LIMIT ?4)"
    );
    let mut count = db.prepare(&sql)?;
    let mut found = BTreeMap::new();
    for (sort, location) in places {
        let n: i64 = count.query_row((process, &sort, location, most, to), |row| row.get(0))?;
        *found.entry((sort.unwrap_or_default(), location)).or_default() += super::unsigned(n);
    }
    Ok(found)
}

/// Births after `from` and by `to` of what is alive, place by place, at most `most`.
pub(super) fn born_between(
    db: &Connection,
    process: i64,
    (from, to): (i64, i64),
    most: i64,
) -> rusqlite::Result<Vec<(Option<i64>, i64)>> {
    const SQL: &str = "SELECT spawned_at FROM task INDEXED BY task_alive
        WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 AND spawn_location IS ?2
            AND spawned_at > ?3 AND spawned_at <= ?4 LIMIT ?5";
    let mut statement = db.prepare(SQL)?;
    let mut births = Vec::new();
    for (_, location) in places(db, &TASKS, process)? {
        let left = most - births.len() as i64;
        let found = statement.query_map((process, location, from, to, left), |row| row.get(0))?;
        for born in found {
            births.push((location, born?));
        }
    }
    Ok(births)
}

/// The tasks that are alive, callbacks aside, if they are more than `most`: so many of them, the latest of each place.
pub(super) fn some_tasks(
    db: &Connection,
    process: i64,
    most: i64,
) -> rusqlite::Result<Option<Vec<i64>>> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_alive
        WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 LIMIT ?2)";
    const LATEST: &str = "SELECT task FROM task INDEXED BY task_alive
        WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4 AND spawn_location IS ?2
        ORDER BY spawned_at DESC LIMIT ?3";
    let alive: i64 = db.query_row(COUNT, (process, most + 1), |row| row.get(0))?;
    if alive <= most {
        return Ok(None);
    }
    let places = places(db, &TASKS, process)?;
    let each = most / places.len().max(1) as i64;
    let mut latest = db.prepare(LATEST)?;
    let mut tasks = Vec::new();
    for (_, location) in places {
        let found = latest.query_map((process, location, each), |row| row.get(0))?;
        for task in found {
            tasks.push(task?);
        }
    }
    Ok(Some(tasks))
}
