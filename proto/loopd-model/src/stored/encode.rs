//! Packing: pages and groups are made one after the other, and the head at last.

use super::directory::{self, HAS_BY, HAS_COUNT};
use super::postings::Postings;
use super::{Columns, Directory, Header, MAX_SPANS, pages};
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
    let groups = postings.put(&locations, &mut body);
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
