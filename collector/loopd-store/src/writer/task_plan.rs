//! Where each task of a commit goes: into a row, out of one, or straight to the others that lived
//! shortly and well.

use std::collections::BTreeMap;

use super::crowd::Crowd;
use super::roster::{Roster, RosterChange};
use super::tasks::TaskDelta;

/// The tasks of one commit, sorted by what there is to do.
#[derive(Debug, Default)]
pub(super) struct TaskPlan {
    /// Whole lives that no row is about, unless the process's roster is not complete.
    pub(super) plain: Vec<TaskDelta>,
    /// Tasks that ended and may have a row, with which they may be plain.
    pub(super) ended: Vec<TaskDelta>,
    /// Nobody remembers them: new ones whose spawn was not seen, or such as have ended.
    pub(super) strays: Vec<TaskDelta>,
    /// The rest: they have a row, or get one.
    pub(super) rows: Vec<TaskDelta>,
    /// What becomes of the rosters, once all of it is on disk.
    pub(super) changes: BTreeMap<i64, RosterChange>,
}

impl TaskPlan {
    /// Adds the tasks of one process; `locations` are those of the crowd's numbers.
    pub(super) fn add(&mut self, process: i64, crowd: Crowd, locations: &[i64], roster: &Roster) {
        let change = self.changes.entry(process).or_default();
        for (delta, &location) in crowd.deltas().iter().zip(locations) {
            let task = delta.task();
            let is_known = roster.has(task);
            if delta.is_ended() {
                change.left.push((task, location));
            } else if task != 0
                && !roster.has_left(task)
                && (!is_known || (delta.is_spawned() && location != 0))
            {
                change.joined.push((task, location));
            }
            if delta.is_callback() {
                change.callbacks.push(task);
            }
        }
        for delta in crowd.into_deltas() {
            let place = self.place(&delta, roster);
            place.push(delta);
        }
    }

    fn place(&mut self, delta: &TaskDelta, roster: &Roster) -> &mut Vec<TaskDelta> {
        // Its end may have overtaken its spawn.
        let is_late = delta.is_spawned() && roster.has_left(delta.task());
        let is_known = roster.has(delta.task());
        if (is_known && delta.is_ended() || is_late) && delta.is_unremarkable() {
            &mut self.ended
        } else if is_known {
            &mut self.rows
        } else if delta.is_plain() && roster.is_complete() {
            &mut self.plain
        } else if delta.is_plain() {
            // A row may be about it all the same.
            &mut self.ended
        } else if !delta.is_spawned() {
            &mut self.strays
        } else {
            &mut self.rows
        }
    }

    /// These strays have ended already: nobody waits for their end.
    pub(super) fn have_ended(&mut self, process: i64, mut tasks: Vec<i64>) {
        tasks.sort_unstable();
        if let Some(change) = self.changes.get_mut(&process) {
            change.joined.retain(|(task, _)| tasks.binary_search(task).is_err());
        }
    }
}
