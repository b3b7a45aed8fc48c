//! What was spawned or opened in a range and is still there, place by place: how many of how many, what
//! they wait for, and who made them.

use std::collections::{BTreeMap, HashMap};

use loopd_model::{Location, TaskId, UnixNanos};
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, Row};

use super::alive::{self, Place, PlaceKey, RESOURCES, TASKS, When};
use super::bounds::{MAX_LOOKED, SCALE};
use super::{Answer, Db, Reader, lives, location, spans, unsigned};
use crate::{
    MAX_SURVIVOR_SITES, Opener, ProcessKey, StoreError, Survivor, SurvivorSite, SurvivorSites,
    Survivors, WaitRow,
};

/// So many survivors of one sort are looked at one by one, and so many of one place, the oldest.
const MAX_SAMPLED_OF_ALL: usize = 1_000 / SCALE as usize;
const MAX_SAMPLED: usize = 200 / SCALE as usize;
const MIN_SAMPLED: usize = 10;
/// So many of their waits are read.
const MAX_WAITS: u64 = 1_000;
/// So many examples are given of each place.
const MAX_EXAMPLES: usize = 5;

/// Survivors of one sort as they are counted, before anything is known of a single one.
struct Counted {
    places: Vec<(PlaceKey, Place)>,
    born: BTreeMap<PlaceKey, u64>,
    is_born_exact: bool,
    /// Where the places are.
    locations: BTreeMap<i64, Location>,
}

/// What is read of one that was looked at.
#[derive(Default)]
struct Looked {
    name: String,
    opener: Option<TaskId>,
}

/// A task that made others, as far as it is known.
#[derive(Default)]
struct Maker {
    name: Option<String>,
    location: Option<Location>,
}

impl Reader {
    /// What was spawned or opened after `from` and by `to`, and is alive or open at `at`, which is not before
    /// `to`.
    pub async fn survivors(
        &self,
        process: ProcessKey,
        (from, to): (UnixNanos, UnixNanos),
        at: UnixNanos,
    ) -> Result<Survivors, StoreError> {
        let failed = || StoreError::sqlite("count what was born in a range and is still there");
        let when = When { at: at.0, after: from.0, by: to.0.min(at.0), with_unborn: false };
        let read = move |db: &Connection| {
            Ok((tasks(db, process.0, when)?, resources(db, process.0, when)?))
        };
        let (tasks, resources) = self.raw.ask(read).await.map_err(failed())?;
        let waiting: Vec<_> = tasks.sampled().map(|id| TaskId(id as u64)).collect();
        let waits = self.open_waits_at(process, &waiting, at, MAX_WAITS).await?;
        let read = async |db: &mut Db| {
            let tasks = sites(db, process, tasks, waits, TASK_LOOKED, at).await?;
            let resources = sites(db, process, resources, Vec::new(), RESOURCE_LOOKED, at).await?;
            Ok(Survivors { tasks, resources })
        };
        self.ask("look at what is still there", read).await
    }
}

impl Counted {
    fn new(
        db: &Connection,
        process: i64,
        places: BTreeMap<PlaceKey, Place>,
        born: BTreeMap<PlaceKey, u64>,
        is_born_exact: bool,
    ) -> rusqlite::Result<Self> {
        let mut places: Vec<_> = places.into_iter().filter(|(_, it)| it.alive > 0).collect();
        places.sort_by_key(|(_, place)| std::cmp::Reverse(place.alive));
        let wanted: Vec<i64> = places.iter().filter_map(|(key, _)| key.1).collect();
        let locations = spans::places(db, process, &wanted)?;
        Ok(Self { places, born, is_born_exact, locations })
    }

    /// Of each place so many are looked at.
    fn each(&self) -> usize {
        let places = self.places.len().clamp(1, MAX_SURVIVOR_SITES);
        (MAX_SAMPLED_OF_ALL / places).clamp(MIN_SAMPLED, MAX_SAMPLED)
    }

    /// Those that are looked at.
    fn sampled(&self) -> impl Iterator<Item = i64> {
        let places = self.places.iter().take(MAX_SURVIVOR_SITES);
        places.flat_map(|(_, place)| place.oldest.iter().take(self.each()).map(|&(_, id)| id))
    }
}

fn tasks(db: &Connection, process: i64, when: When) -> rusqlite::Result<Counted> {
    let mut places = alive::read(db, &TASKS, process, when)?;
    let mut births: BTreeMap<PlaceKey, Vec<_>> = BTreeMap::new();
    lives::alive_records(db, process, when.at, |location, born, id| {
        if born > when.after && born <= when.by {
            births.entry((String::new(), location)).or_default().push((born, id));
        }
    })?;
    for (key, births) in births {
        places.entry(key).or_default().add_births(births);
    }
    let mut born: BTreeMap<PlaceKey, u64> = BTreeMap::new();
    let is_exact = lives::between(db, process, (when.after, when.by), |lives| {
        if lives.born.is_some() {
            *born.entry((String::new(), lives.location)).or_default() += unsigned(lives.tasks);
        }
    })?;
    Counted::new(db, process, places, born, is_exact)
}

/// How many resources were opened in a range, of the latest.
const OPENED: &str = "SELECT coalesce(kind, ''), open_location, count(*) FROM
    (SELECT kind, open_location FROM resource INDEXED BY resource_by_open
     WHERE process = ?1 AND opened_at > ?2 AND opened_at <= ?3 ORDER BY opened_at DESC LIMIT ?4)
    GROUP BY 1, 2";

fn resources(db: &Connection, process: i64, when: When) -> rusqlite::Result<Counted> {
    let places = alive::read(db, &RESOURCES, process, when)?;
    let mut statement = db.prepare(OPENED)?;
    let mut rows = statement.query((process, when.after, when.by, MAX_LOOKED))?;
    let mut born: BTreeMap<PlaceKey, u64> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        born.insert((row.get(0)?, row.get(1)?), unsigned(row.get(2)?));
    }
    let is_exact = born.values().sum::<u64>() < MAX_LOOKED as u64;
    Counted::new(db, process, places, born, is_exact)
}

/// Id, opener and name of tasks and of resources.
const TASK_LOOKED: &str = "SELECT t.task AS id, t.parent AS opener, n.text AS name
    FROM json_each(?2) j CROSS JOIN task t ON t.process = ?1 AND t.task = j.value
    LEFT JOIN name n ON n.process = t.process AND n.name = t.name";
const RESOURCE_LOOKED: &str = "SELECT r.resource AS id, r.task AS opener, r.name
    FROM json_each(?2) j CROSS JOIN resource r ON r.process = ?1 AND r.resource = j.value";

/// Tasks by id: those that have a row of their own, and those that do not.
const MAKERS: [&str; 2] = [
    "SELECT t.task, n.text AS name, t.spawn_location, l.file, l.line, l.column
     FROM json_each(?2) j CROSS JOIN task t ON t.process = ?1 AND t.task = j.value
     LEFT JOIN name n ON n.process = t.process AND n.name = t.name
     LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location",
    "SELECT t.task, NULL AS name, t.spawn_location, l.file, l.line, l.column
     FROM json_each(?2) j CROSS JOIN task_records t ON t.process = ?1 AND t.task = j.value
     LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location",
];
/// So many are looked for among those that have no row, which costs more.
const MAX_RECORDS: usize = 32;

/// What is known of the tasks that made others; given is how many each made.
async fn makers(
    db: &mut Db,
    process: ProcessKey,
    made: HashMap<TaskId, u64>,
) -> Answer<HashMap<TaskId, Maker>> {
    let mut wanted: Vec<_> = made.into_iter().collect();
    wanted.sort_unstable_by_key(|&(task, made)| (std::cmp::Reverse(made), task));
    let mut makers = HashMap::new();
    for (sql, most) in MAKERS.into_iter().zip([usize::MAX, MAX_RECORDS]) {
        wanted.retain(|(task, _)| !makers.contains_key(task));
        let ids: Vec<i64> = wanted.iter().take(most).map(|(task, _)| task.0 as i64).collect();
        for row in sqlx::query(sql).bind(process.0).bind(json(&ids)).fetch_all(&mut **db).await? {
            let (name, location) = (row.try_get("name")?, location(&row, "spawn_location")?);
            makers.insert(TaskId(row.try_get::<i64, _>("task")? as u64), Maker { name, location });
        }
    }
    Ok(makers)
}

fn json(ids: &[i64]) -> String {
    serde_json::to_string(ids).unwrap_or_default()
}

async fn sites(
    db: &mut Db,
    process: ProcessKey,
    counted: Counted,
    waits: Vec<WaitRow>,
    looked_sql: &'static str,
    at: UnixNanos,
) -> Answer<SurvivorSites> {
    let each = counted.each();
    let sampled: Vec<i64> = counted.sampled().collect();
    let query = sqlx::query(AssertSqlSafe(looked_sql)).bind(process.0).bind(json(&sampled));
    let mut looked: HashMap<i64, Looked> = HashMap::new();
    for row in query.fetch_all(&mut **db).await? {
        let opener: Option<i64> = row.try_get("opener")?;
        let opener = opener.filter(|&task| task != 0).map(|task| TaskId(task as u64));
        let name = row.try_get::<Option<String>, _>("name")?.unwrap_or_default();
        looked.insert(row.try_get("id")?, Looked { name, opener });
    }
    let mut made: HashMap<TaskId, u64> = HashMap::new();
    looked.values().filter_map(|it| it.opener).for_each(|it| *made.entry(it).or_default() += 1);
    let makers = makers(db, process, made).await?;

    let mut waits_of: HashMap<u64, Vec<WaitRow>> = HashMap::new();
    for wait in waits {
        waits_of.entry(wait.task.map_or(0, |task| task.0)).or_default().push(wait);
    }
    let mut found = SurvivorSites {
        born: counted.born.values().sum(),
        is_born_exact: counted.is_born_exact,
        alive: counted.places.iter().map(|(_, place)| unsigned(place.alive)).sum(),
        has_more: counted.places.iter().any(|(_, place)| place.has_more),
        sites: Vec::new(),
    };
    found.born = found.born.max(found.alive);
    let age = |born: i64| unsigned(at.0.saturating_sub(born));
    for (key, place) in counted.places.into_iter().take(MAX_SURVIVOR_SITES) {
        let born = counted.born.get(&key).copied().unwrap_or(0).max(unsigned(place.alive));
        let sample = &place.oldest[..place.oldest.len().min(each)];
        let of_sample = sample.iter().map(|(_, id)| looked.get(id).and_then(|it| it.opener));
        let opener = most_common_opener(of_sample, &makers);
        let example = |&(born, id): &(i64, i64)| {
            let looked = looked.remove(&id).unwrap_or_default();
            let Looked { name, opener } = looked;
            Survivor { id: id as u64, name, born_at: UnixNanos(born), opener }
        };
        found.sites.push(SurvivorSite {
            location: key.1.and_then(|id| counted.locations.get(&id).cloned()),
            kind: key.0,
            born,
            alive: unsigned(place.alive),
            has_more: place.has_more,
            oldest_age: place.oldest.first().map_or(0, |&(born, _)| age(born)),
            median_age: place.median_birth.map(age),
            looked: sample.len() as u64,
            opener,
            waits: sample
                .iter()
                .filter_map(|&(_, id)| waits_of.remove(&(id as u64)))
                .flatten()
                .collect(),
            examples: sample.iter().take(MAX_EXAMPLES).map(example).collect(),
        });
    }
    Ok(found)
}

/// The line whose tasks made the most of some survivors, and of those tasks the one that made the most.
fn most_common_opener(
    openers: impl Iterator<Item = Option<TaskId>>,
    makers: &HashMap<TaskId, Maker>,
) -> Option<Opener> {
    let mut lines: BTreeMap<Option<u64>, BTreeMap<TaskId, u64>> = BTreeMap::new();
    for task in openers.flatten() {
        let line = makers.get(&task).and_then(|it| it.location.as_ref()).map(|it| it.id.0);
        *lines.entry(line).or_default().entry(task).or_default() += 1;
    }
    let survivors = |tasks: &BTreeMap<TaskId, u64>| tasks.values().sum::<u64>();
    // Of equals the first, so that the answer is the same each time.
    let tasks = lines.into_values().rev().max_by_key(survivors)?;
    let (&task, _) = tasks.iter().rev().max_by_key(|(_, count)| **count)?;
    let maker = makers.get(&task);
    Some(Opener {
        task,
        task_name: maker.and_then(|it| it.name.clone()),
        location: maker.and_then(|it| it.location.clone()),
        tasks: tasks.len() as u64,
        survivors: survivors(&tasks),
    })
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    vec![OPENED.into(), TASK_LOOKED.into(), RESOURCE_LOOKED.into(), MAKERS[0].into()]
}
