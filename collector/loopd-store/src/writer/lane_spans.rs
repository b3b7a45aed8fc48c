//! The spans that one commit adds to a lane, side by side, and the segments they become.

use loopd_model::segment::SpanColumns;
use loopd_model::stored::{self, Columns, Subject};
use loopd_model::{LocationId, Nanos, RecordKind, TaskId};

use super::digest::SegmentRow;
use crate::instant::{length, wall};

/// Spans of one segment: larger ones pack no tighter, and take longer to read.
pub(super) const MAX_SPANS: usize = 64 * 1024;
/// A segment of at least so many is as good as one that was merged.
const FULL: usize = MAX_SPANS / 4;

/// A lane: process, kind, loop, worker.
pub(super) type LaneKey = (i64, RecordKind, i64, i64);

/// Spans in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneSpans {
    pub(super) start: Vec<u64>,
    pub(super) length: Vec<u64>,
    /// The numbers of their tasks in the commit's crowd.
    pub(super) slot: Vec<u32>,
    /// Empty where no kind of this lane has them.
    pub(super) by: Vec<u64>,
    pub(super) count: Vec<u64>,
}

/// The task with each number of a crowd, and where it was spawned.
pub(super) type Subjects = [Subject];

impl LaneSpans {
    pub(super) fn len(&self) -> usize {
        self.start.len()
    }

    /// Adds starts and lengths; the rest of the columns must have been.
    pub(super) fn take_times(&mut self, spans: SpanColumns) {
        if self.start.is_empty() {
            (self.start, self.length) = (spans.start, spans.length);
        } else {
            self.start.extend_from_slice(&spans.start);
            self.length.extend_from_slice(&spans.length);
        }
    }

    /// Puts them in the order of their starts.
    pub(super) fn sort(&mut self) {
        if self.start.is_sorted() {
            return;
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&at| self.start[at as usize]);
        let arrange = |column: &mut Vec<u64>| {
            if !column.is_empty() {
                *column = order.iter().map(|&at| column[at as usize]).collect();
            }
        };
        self.slot = order.iter().map(|&at| self.slot[at as usize]).collect();
        let Self { start, length, by, count, .. } = self;
        [start, length, by, count].into_iter().for_each(arrange);
    }
}

/// Packs lanes one after another, and numbers the tasks of each segment anew.
pub(super) struct Packer<'s> {
    subjects: &'s Subjects,
    /// By number in the crowd: the number in the segment, if `stamp` is that of the segment.
    local: Vec<(u32, u32)>,
    stamp: u32,
    slots: Vec<u32>,
    tasks: Vec<Subject>,
}

impl<'s> Packer<'s> {
    pub(super) fn new(subjects: &'s Subjects) -> Self {
        let local = vec![(0, 0); subjects.len()];
        Self { subjects, local, stamp: 0, slots: Vec::new(), tasks: Vec::new() }
    }

    /// Packs all spans of a lane, in as many segments as it takes.
    pub(super) fn pack(
        &mut self,
        spans: &LaneSpans,
        lane: LaneKey,
        origin: i64,
    ) -> Vec<SegmentRow> {
        let starts = (0..spans.len()).step_by(MAX_SPANS);
        let ends = |at: usize| spans.len().min(at + MAX_SPANS);
        starts.map(|at| self.segment(spans, at..ends(at), lane, origin)).collect()
    }

    fn segment(
        &mut self,
        spans: &LaneSpans,
        range: std::ops::Range<usize>,
        (process, kind, loop_id, worker): LaneKey,
        origin: i64,
    ) -> SegmentRow {
        self.stamp += 1;
        self.slots.clear();
        self.tasks.clear();
        for &slot in &spans.slot[range.clone()] {
            let (stamp, local) = &mut self.local[slot as usize];
            if *stamp != self.stamp {
                (*stamp, *local) = (self.stamp, self.tasks.len() as u32);
                self.tasks.push(self.subjects[slot as usize]);
            }
            self.slots.push(*local);
        }
        let optional = |column: &'_ [u64]| column.get(range.clone()).map(<[u64]>::to_vec);
        let (by, count) = (optional(&spans.by), optional(&spans.count));
        let data = stored::encode(&Columns {
            kind,
            start: &spans.start[range.clone()],
            length: &spans.length[range.clone()],
            slot: &self.slots,
            tasks: &self.tasks,
            by: by.as_deref().unwrap_or_default(),
            count: count.as_deref().unwrap_or_default(),
        });
        let ends = spans.start[range.clone()].iter().zip(&spans.length[range.clone()]);
        let end = ends.map(|(&start, &length)| start.saturating_add(length)).max();
        let start = spans.start[range.clone()].iter().copied().min();
        let longest = spans.length[range.clone()].iter().copied().max();
        // As SQL has them, which compares signed.
        let tasks = || self.tasks.iter().map(|subject| subject.task.0 as i64);
        SegmentRow {
            process,
            kind,
            loop_id,
            worker,
            start_at: wall(origin, Nanos(start.unwrap_or(0))),
            end_at: wall(origin, Nanos(end.unwrap_or(0))),
            spans: range.len() as i64,
            max_length: length(longest.unwrap_or(0)),
            min_task: tasks().min().unwrap_or(0),
            max_task: tasks().max().unwrap_or(0),
            is_full: range.len() >= FULL,
            data,
        }
    }
}

/// A task of a crowd, as segments have it.
pub(super) fn subject(task: i64, location: i64) -> Subject {
    Subject { task: TaskId(task as u64), location: LocationId(location as u64) }
}
