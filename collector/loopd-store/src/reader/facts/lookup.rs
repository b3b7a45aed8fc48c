//! What rows name by number: places, words, tasks and resources, each read once.

use std::collections::HashMap;

use loopd_analysis::slow::place_text;
use loopd_model::TaskKind;
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::reader::tasks;

/// Reads what numbers stand for, in one process and up to one instant.
pub(super) struct Lookup<'db> {
    process: i64,
    to: i64,
    place: Statement<'db>,
    word: Statement<'db>,
    thing: Statement<'db>,
    task: Statement<'db>,
    places: HashMap<i64, Option<String>>,
    words: HashMap<i64, String>,
    things: HashMap<i64, Thing>,
    tasks: HashMap<i64, Option<Task>>,
}

/// A resource, as far as its opening was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) kind: String,
    pub(super) name: String,
    /// Where it was opened.
    pub(super) place: Option<String>,
    /// `None` if it was open.
    pub(super) closed_at: Option<i64>,
}

/// A task that has a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: String,
    /// Where it was spawned.
    pub(super) place: Option<String>,
    pub(super) spawned_at: Option<i64>,
    /// What sort; `None` if its spawn was not seen.
    pub(super) kind: Option<TaskKind>,
    /// `None` if it was alive.
    pub(super) ended_at: Option<i64>,
}

const PLACE: &str = "SELECT file, line FROM location WHERE process = ?1 AND location = ?2";
const WORD: &str = "SELECT text FROM word WHERE id = ?1";
const THING: &str = "SELECT coalesce(kind, ''), coalesce(name, ''), open_location, closed_at
    FROM resource
    WHERE process = ?1 AND resource = ?2 AND opened_at <= ?3";
const TASK: &str = "SELECT (SELECT text FROM name n WHERE n.process = t.process
        AND n.name = t.name AND t.named_at <= ?3), spawn_location, spawned_at, ended_at, kind
    FROM task t WHERE process = ?1 AND task = ?2";

impl<'db> Lookup<'db> {
    pub(super) fn new(db: &'db Connection, process: i64, to: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            process,
            to,
            place: db.prepare(PLACE)?,
            word: db.prepare(WORD)?,
            thing: db.prepare(THING)?,
            task: db.prepare(TASK)?,
            places: HashMap::new(),
            words: HashMap::new(),
            things: HashMap::new(),
            tasks: HashMap::new(),
        })
    }

    /// `file:line` of a location; `None` if it is not known.
    pub(super) fn place(&mut self, location: Option<i64>) -> rusqlite::Result<Option<String>> {
        let Some(location) = location.filter(|&location| location != 0) else { return Ok(None) };
        if let Some(known) = self.places.get(&location) {
            return Ok(known.clone());
        }
        let read = |row: &rusqlite::Row<'_>| {
            Ok(place_text(row.get_ref(0)?.as_str()?, row.get::<_, i64>(1)? as u32))
        };
        let place = self.place.query_row((self.process, location), read).optional()?;
        self.places.insert(location, place.clone());
        Ok(place)
    }

    /// A word; empty if there is none.
    pub(super) fn word(&mut self, id: Option<i64>) -> rusqlite::Result<String> {
        let Some(id) = id else { return Ok(String::new()) };
        if let Some(known) = self.words.get(&id) {
            return Ok(known.clone());
        }
        let word: Option<String> = self.word.query_row([id], |row| row.get(0)).optional()?;
        let word = word.unwrap_or_default();
        self.words.insert(id, word.clone());
        Ok(word)
    }

    pub(super) fn thing(&mut self, resource: i64) -> rusqlite::Result<Thing> {
        if let Some(known) = self.things.get(&resource) {
            return Ok(known.clone());
        }
        type Row = (String, String, Option<i64>, Option<i64>);
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let key = (self.process, resource, self.to);
        let found: Option<Row> = self.thing.query_row(key, read).optional()?;
        let thing = match found {
            Some((kind, name, location, closed_at)) => {
                let closed_at = closed_at.filter(|&at| at <= self.to);
                Thing { kind, name, place: self.place(location)?, closed_at }
            }
            None => Thing::default(),
        };
        self.things.insert(resource, thing.clone());
        Ok(thing)
    }

    /// A task that has a row; what had not happened by the instant is left out.
    pub(super) fn task(&mut self, task: i64) -> rusqlite::Result<Option<Task>> {
        if let Some(known) = self.tasks.get(&task) {
            return Ok(known.clone());
        }
        type Row = (Option<String>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        };
        let found: Option<Row> =
            self.task.query_row((self.process, task, self.to), read).optional()?;
        let by_then = |at: Option<i64>| at.filter(|&at| at <= self.to);
        let task_of = match found {
            Some((name, location, spawned_at, ended_at, kind)) => {
                let (spawned_at, ended_at) = (by_then(spawned_at), by_then(ended_at));
                let kind = kind.filter(|_| spawned_at.is_some()).map(tasks::kind);
                let place = self.place(location.filter(|_| spawned_at.is_some()))?;
                Some(Task { name: name.unwrap_or_default(), place, spawned_at, kind, ended_at })
            }
            None => None,
        };
        self.tasks.insert(task, task_of.clone());
        Ok(task_of)
    }
}
