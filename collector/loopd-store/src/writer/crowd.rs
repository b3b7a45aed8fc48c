//! The tasks of one process that one commit speaks of, numbered from 0, so that what refers to a task
//! many times looks it up once.

use super::hash::IdMap;
use super::tasks::TaskDelta;

#[derive(Debug, Default)]
pub(super) struct Crowd {
    slots: IdMap<i64, u32>,
    deltas: Vec<TaskDelta>,
}

impl Crowd {
    /// The number of a task.
    #[inline]
    pub(super) fn slot(&mut self, process: i64, task: i64) -> u32 {
        let deltas = &mut self.deltas;
        *self.slots.entry(task).or_insert_with(|| {
            deltas.push(TaskDelta::new(process, task));
            // A batch speaks of a quarter of a million tasks at most, a commit of 64 batches.
            (deltas.len() - 1) as u32
        })
    }

    /// What the commit adds to the task with this number.
    #[inline]
    pub(super) fn delta(&mut self, slot: u32) -> &mut TaskDelta {
        &mut self.deltas[slot as usize]
    }

    /// By number.
    pub(super) fn deltas(&self) -> &[TaskDelta] {
        &self.deltas
    }

    /// All but the one that stands for no task.
    pub(super) fn into_deltas(self) -> impl Iterator<Item = TaskDelta> {
        self.deltas.into_iter().filter(|delta| delta.task() != 0)
    }
}
