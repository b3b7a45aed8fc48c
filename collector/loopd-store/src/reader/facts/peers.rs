//! Who alone can end a wait though it holds nothing: the one task at the other end of a channel.

use std::collections::{BTreeSet, HashMap};

use loopd_model::TaskId;
use rusqlite::{Connection, OptionalExtension, Row, Statement};

use super::Range;
use super::lookup::Lookup;
use crate::reader::bounds::SCALE;

/// Among so many of the latest waits for a channel the tasks at its other end are looked for.
const MAX_LATEST: i64 = 1_000 / SCALE as i64;
/// For so many channels.
const MAX_CHANNELS: usize = 200;
/// Among so many of its latest readings how many handles there are is looked for.
const MAX_READINGS: i64 = 50;

/// The latest waits for a resource by `?3`.
const WAITS: &str = "SELECT task, op FROM wait INDEXED BY wait_by_resource
    WHERE process = ?1 AND resource = ?2 AND began_at <= ?3 ORDER BY began_at DESC LIMIT ?4";
const STATE: &str = "SELECT at, senders, receivers FROM resource_state
    WHERE process = ?1 AND resource = ?2";
const READINGS: &str = "SELECT at, senders, receivers
    FROM resource_reading INDEXED BY resource_reading_by_time
    WHERE process = ?1 AND resource = ?2 AND at <= ?3 ORDER BY at DESC, rowid DESC LIMIT ?4";

/// Looks up who is at the other end of channels.
pub(super) struct Peers<'db> {
    process: i64,
    at: i64,
    waits: Statement<'db>,
    state: Statement<'db>,
    readings: Statement<'db>,
    /// By resource and what they wait to do.
    known: HashMap<(i64, &'static str), Option<i64>>,
}

/// Handles that can send, and that can receive, as far as told.
type Ends = (Option<i64>, Option<i64>);

impl<'db> Peers<'db> {
    pub(super) fn new(db: &'db Connection, range: Range, at: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            process: range.process.0,
            at,
            waits: db.prepare(WAITS)?,
            state: db.prepare(STATE)?,
            readings: db.prepare(READINGS)?,
            known: HashMap::new(),
        })
    }

    /// The only task that can end a wait to do `op` with a channel; `None` if several could, or nobody knows.
    pub(super) fn only_other(
        &mut self,
        resource: i64,
        op: &str,
        lookup: &mut Lookup<'_>,
    ) -> rusqlite::Result<Option<TaskId>> {
        let other = match op {
            "send" => "recv",
            "recv" => "send",
            _ => return Ok(None),
        };
        if resource == 0 {
            return Ok(None);
        }
        let known = match self.known.get(&(resource, other)) {
            Some(&known) => known,
            None if self.known.len() >= MAX_CHANNELS => None,
            None => {
                let found = self.find(resource, other, lookup)?;
                self.known.insert((resource, other), found);
                found
            }
        };
        Ok(known.map(|task| TaskId(task as u64)))
    }

    fn find(
        &mut self,
        resource: i64,
        op: &str,
        lookup: &mut Lookup<'_>,
    ) -> rusqlite::Result<Option<i64>> {
        let (senders, receivers) = self.ends(resource)?;
        // Most channels have one end that receives; that one end sends must be told.
        let is_single = match op {
            "recv" => receivers.is_none_or(|it| it == 1),
            _ => senders == Some(1),
        };
        if !is_single {
            return Ok(None);
        }
        let key = (self.process, resource, self.at, MAX_LATEST);
        let rows = self.waits.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(Option<i64>, Option<i64>)> = rows.collect::<Result<_, _>>()?;
        let mut tasks = BTreeSet::new();
        for (task, of) in rows {
            if lookup.word(of)? == op {
                tasks.insert(task.unwrap_or(0));
            }
        }
        let mut tasks = tasks.into_iter();
        let (Some(task), None) = (tasks.next(), tasks.next()) else { return Ok(None) };
        let is_alive = lookup.task(task)?.is_some_and(|task| task.ended_at.is_none());
        Ok(Some(task).filter(|&task| task != 0 && is_alive))
    }

    fn ends(&mut self, resource: i64) -> rusqlite::Result<Ends> {
        type Told = (i64, Option<i64>, Option<i64>);
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let latest: Option<Told> =
            self.state.query_row((self.process, resource), read).optional()?;
        match latest {
            None => return Ok((None, None)),
            Some((at, senders, receivers)) if at <= self.at => return Ok((senders, receivers)),
            Some(_) => {}
        }
        let key = (self.process, resource, self.at, MAX_READINGS);
        let rows: Vec<Told> = self.readings.query_map(key, read)?.collect::<Result<_, _>>()?;
        let senders = rows.iter().find_map(|told| told.1);
        Ok((senders, rows.iter().find_map(|told| told.2)))
    }
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [WAITS, STATE, READINGS];
