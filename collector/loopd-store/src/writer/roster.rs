//! The tasks of a process that have a row and have not ended, and where each was spawned: what the
//! next commit has to know of those before it without reading any.
//!
//! Loaded from the table when a process is first heard of, moved on with every commit, and thrown
//! away when one fails, since the table is what counts.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use super::hash::IdMap;
use crate::sql::packed_rows::NULL;

/// So many tasks of one process are remembered: 16 bytes each, twice that in a table that grows. Of
/// tasks beyond, the table is asked.
const MAX_ALIVE: usize = 1 << 21;

/// Twice so many of the tasks that ended last: threads are not in step, so a spawn, polls and wakes
/// may come a batch after the end.
const MAX_LEFT: usize = 1 << 18;

/// What a commit does to a roster.
#[derive(Debug, Default)]
pub(super) struct RosterChange {
    /// Tasks that got a row, or whose spawn location came to be known; none if there is none.
    pub(super) joined: Vec<(i64, i64)>,
    /// Those that are callbacks.
    pub(super) callbacks: Vec<i64>,
    /// Tasks that ended, and where they were spawned.
    pub(super) left: Vec<(i64, i64)>,
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Spawn locations of tasks that have a row and have not ended; 0: not known.
    alive: IdMap<i64, i64>,
    /// Those of them that are callbacks: few, since a program has few functions that it schedules.
    callbacks: HashSet<i64>,
    /// Spawn locations of tasks that ended lately, in two generations.
    left: [IdMap<i64, i64>; 2],
    /// Whether there were more tasks than are remembered.
    is_partial: bool,
}

impl Roster {
    pub(super) async fn load(db: &mut SqliteConnection, process: i64) -> Result<Self, sqlx::Error> {
        let sql =
            "SELECT task, coalesce(spawn_location, 0), false FROM task INDEXED BY task_alive
            WHERE process = ?1 AND ended_at IS NULL AND kind IS NOT 4
            UNION ALL SELECT task, coalesce(spawn_location, 0), true FROM task INDEXED BY callback_alive
            WHERE process = ?1 AND ended_at IS NULL AND kind = 4 LIMIT ?2";
        let rows: Vec<(i64, i64, bool)> =
            sqlx::query_as(sql).bind(process).bind(MAX_ALIVE as i64 + 1).fetch_all(db).await?;
        let is_partial = rows.len() > MAX_ALIVE;
        let callbacks = rows.iter().filter(|row| row.2).map(|row| row.0).collect();
        let alive = rows.into_iter().map(|(task, location, _)| (task, location)).collect();
        Ok(Self { alive, callbacks, is_partial, ..Self::default() })
    }

    /// Whether a task that is not in it has no row, or one of a task that has ended.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_partial
    }

    pub(super) fn has(&self, task: i64) -> bool {
        self.alive.contains_key(&task)
    }

    /// Whether it is no task, but all runs of one callback.
    pub(super) fn is_callback(&self, task: i64) -> bool {
        self.callbacks.contains(&task)
    }

    /// Whether it is remembered that a task ended lately.
    pub(super) fn has_left(&self, task: i64) -> bool {
        self.left.iter().any(|left| left.contains_key(&task))
    }

    /// Where a task was spawned, if that is remembered.
    pub(super) fn location(&self, task: i64) -> Option<i64> {
        let [newer, older] = &self.left;
        let known = self.alive.get(&task).or_else(|| newer.get(&task)).or_else(|| older.get(&task));
        known.copied().filter(|&location| location != 0)
    }

    /// What a commit has made true.
    pub(super) fn change(&mut self, change: RosterChange) {
        for (task, location) in change.joined {
            let location = if location == NULL { 0 } else { location };
            if self.alive.len() < MAX_ALIVE || self.alive.contains_key(&task) {
                self.alive.insert(task, location);
            } else {
                self.is_partial = true;
            }
        }
        for task in change.callbacks {
            if self.alive.contains_key(&task) {
                self.callbacks.insert(task);
            }
        }
        for (task, location) in change.left {
            self.alive.remove(&task);
            self.callbacks.remove(&task);
            if self.left[0].len() >= MAX_LEFT {
                self.left.swap(0, 1);
                self.left[0].clear();
            }
            self.left[0].insert(task, location);
        }
        // A burst should not hold on to its room for ever.
        if self.alive.capacity() > 4 * self.alive.len().max(1 << 12) {
            self.alive.shrink_to(2 * self.alive.len());
        }
    }
}
