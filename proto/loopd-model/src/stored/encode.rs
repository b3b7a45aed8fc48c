//! Packing: spans are sorted by task without hashing, since their tasks are numbered already.

use super::directory::{self, HAS_BY, HAS_COUNT};
use super::{Columns, Directory, Header, MAX_SPANS, Subject, groups, pages};
use crate::{Nanos, TaskId};

/// Packs spans of one worker. Returns an empty vector for no spans.
///
/// # Panics
///
/// If columns differ in length, if a slot has no task, or if there are more than [`MAX_SPANS`].
pub fn encode(columns: &Columns<'_>) -> Vec<u8> {
    let n = columns.start.len();
    assert!(n <= MAX_SPANS, "cut segments before encoding them");
    assert!(columns.length.len() == n && columns.slot.len() == n, "columns differ in length");
    for optional in [columns.by, columns.count] {
        assert!(optional.is_empty() || optional.len() == n, "columns differ in length");
    }
    if n == 0 {
        return Vec::new();
    }
    let flag = |is_needed: bool, flag: u8| if is_needed { flag } else { 0 };
    let flags = flag(columns.by.iter().any(|&by| by != 0), HAS_BY)
        | flag(columns.count.iter().any(|&count| count != 1), HAS_COUNT);
    let postings = Postings::of(columns.slot, columns.tasks);
    let mut locations: Vec<u64> = postings.tasks.iter().map(|task| task.location.0).collect();
    locations.sort_unstable();
    locations.dedup();

    let start = columns.start.iter().copied().min().unwrap_or(0);
    let mut body = Vec::with_capacity(n * 5 + 64);
    let pages = pages::put(columns, flags, start, &mut body);
    let groups = groups::put(&postings, &locations, &mut body);
    let header = Header {
        kind: columns.kind,
        count: n,
        start: Nanos(start),
        end: pages.iter().map(|page| page.end).max().unwrap_or_default(),
        max_length: pages.iter().map(|page| page.max_length).max().unwrap_or(0),
        min_task: postings.tasks.first().map_or(TaskId::NONE, |subject| subject.task),
        max_task: postings.tasks.last().map_or(TaskId::NONE, |subject| subject.task),
        tasks: postings.tasks.len(),
    };
    directory::put(&Directory { header, locations, pages, groups, flags, len: 0 }, &body)
}

/// The positions of each task's spans.
pub(super) struct Postings {
    /// The tasks that have spans, ascending.
    pub(super) tasks: Vec<Subject>,
    /// Where the positions of each begin, and where those of the last end.
    begins: Vec<u32>,
    positions: Vec<u32>,
}

impl Postings {
    fn of(slot: &[u32], subjects: &[Subject]) -> Self {
        let mut spans = vec![0u32; subjects.len()];
        slot.iter().for_each(|&slot| spans[slot as usize] += 1);
        let used = (0..subjects.len() as u32).filter(|&slot| spans[slot as usize] > 0);
        let mut used: Vec<(u64, u32)> = used.map(|s| (subjects[s as usize].task.0, s)).collect();
        used.sort_unstable();

        let mut tasks: Vec<Subject> = Vec::with_capacity(used.len());
        let mut begins = Vec::with_capacity(used.len() + 1);
        // From here on, of each slot the place in `begins`.
        let mut places = vec![0u32; subjects.len()];
        let mut total = 0;
        for &(task, slot) in &used {
            if tasks.last().is_none_or(|last| last.task.0 != task) {
                tasks.push(subjects[slot as usize]);
                begins.push(total);
            }
            places[slot as usize] = tasks.len() as u32 - 1;
            total += spans[slot as usize];
        }
        let mut next = begins.clone();
        let mut positions = vec![0; slot.len()];
        for (position, &slot) in slot.iter().enumerate() {
            let next = &mut next[places[slot as usize] as usize];
            positions[*next as usize] = position as u32;
            *next += 1;
        }
        begins.push(total);
        Self { tasks, begins, positions }
    }

    /// The positions of one task's spans, by its place in `tasks`; ascending, at least one.
    pub(super) fn positions(&self, task: usize) -> &[u32] {
        &self.positions[self.begins[task] as usize..self.begins[task + 1] as usize]
    }
}
