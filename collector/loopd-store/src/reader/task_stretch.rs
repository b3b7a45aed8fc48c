//! What one task did in a stretch of time, who woke it, and whom it woke: from raw segments, as far as a
//! budget reaches.

use loopd_model::{LoopId, RecordKind, TaskId, UnixNanos, WorkerId};
use rusqlite::Connection;

use super::bounds::SCALE;
use super::kept::task_polls_gone_until;
use super::metrics::Steps;
use super::{Db, Reader};
use crate::segments::{self, Found, Place, Wanted, Wants};
use crate::{LaneId, PollRow, ProcessKey, StoreError, TaskStretch, WakeRow, WokenRow};

/// So many spans are unpacked for one kind of record: some 30 ms.
pub(super) const SEARCH_BUDGET: usize = 2_000_000;
/// So many segments are looked into: likewise.
pub(super) const MAX_SEGMENTS: usize = 2_000 / SCALE as usize;

/// Segments that overlap a range, latest first; of one task if `?5` is not 0. They end no later after the
/// range than the longest segment is long.
pub(super) const SEGMENTS: &str = "SELECT s.id, p.origin, s.loop, s.worker, s.end_at
    FROM process p CROSS JOIN segment s INDEXED BY segment_by_time ON s.process = p.id
    WHERE p.id = ?1 AND s.kind = ?2 AND s.end_at >= ?3 AND s.start_at < ?4
        AND s.end_at <= ?4 + coalesce((SELECT end_at - start_at
            FROM segment INDEXED BY segment_by_length WHERE process = ?1 AND kind = ?2
            ORDER BY end_at - start_at DESC LIMIT 1), 0)
        AND (?5 = 0 OR ?5 BETWEEN s.min_task AND s.max_task)
    ORDER BY s.end_at DESC";

#[derive(Clone, Copy, Debug)]
struct Search {
    process: i64,
    kind: RecordKind,
    from: i64,
    to: i64,
    /// 0: of all.
    task: u64,
}

impl Search {
    /// Gives what each segment holds to `each`. Of what ended before the instant that it returns not all was
    /// looked at.
    fn each(
        self,
        db: &Connection,
        mut each: impl FnMut(LaneId, &Found),
    ) -> rusqlite::Result<Option<UnixNanos>> {
        let mut statement = db.prepare(SEGMENTS)?;
        let key = (self.process, self.kind as i64, self.from, self.to, self.task as i64);
        let mut segments = statement.query(key)?;
        let is_wake = self.kind == RecordKind::Wake;
        let columns = Wants { times: true, task: self.task == 0, by: is_wake, count: is_wake };
        let wanted = Wanted {
            start_to: self.to.saturating_sub(1),
            end_from: self.from,
            task: (self.task != 0).then_some(self.task),
            columns,
            ..Wanted::default()
        };
        let (mut unpacked, mut looked_into, mut damaged_until) = (0, 0, None);
        while let Some(row) = segments.next()? {
            if unpacked >= SEARCH_BUDGET || looked_into >= MAX_SEGMENTS {
                return Ok(damaged_until.or(Some(UnixNanos(row.get(4)?))));
            }
            let place = Place { id: row.get(0)?, origin: row.get(1)? };
            let loop_id = LoopId(row.get::<_, i64>(2)? as u64);
            let lane = LaneId { loop_id, worker: WorkerId(row.get::<_, i64>(3)? as u32) };
            let found = segments::read(db, place, &wanted)?;
            unpacked += found.unpacked;
            looked_into += 1;
            // The latest that is damaged comes first.
            if found.is_damaged && damaged_until.is_none() {
                damaged_until = Some(UnixNanos(row.get(4)?));
            }
            each(lane, &found);
        }
        Ok(damaged_until)
    }
}

impl Reader {
    /// What a task did from `from` to `to`, in `steps` steps, and each poll and wake if there are at most
    /// `limit`.
    pub async fn task_stretch(
        &self,
        process: ProcessKey,
        task: TaskId,
        (from, to): (UnixNanos, UnixNanos),
        steps: usize,
        limit: usize,
    ) -> Result<TaskStretch, StoreError> {
        let (process, from, to) = (process.0, from.0, to.0);
        let read = move |db: &Connection| {
            let search = |kind| Search { process, kind, from, to, task: task.0 };
            let mut made = Making::new(from, to, steps, limit);
            let polls = search(RecordKind::Poll).each(db, |lane, found| {
                for (&start, &length) in found.start.iter().zip(&found.length) {
                    let (start_at, length) = (UnixNanos(start), length as u64);
                    made.add_poll(PollRow { lane, start_at, length });
                }
            })?;
            let wakes = search(RecordKind::Wake).each(db, |_, found| {
                (0..found.start.len()).for_each(|at| made.add_wake(wake(found, at)));
            })?;
            let gone = task_polls_gone_until(db, process, task, (from, to))?.map(UnixNanos);
            Ok(made.finish(polls.max(wakes).max(gone)))
        };
        let found = self.raw.ask(read).await;
        found.map_err(StoreError::sqlite("read what a task did"))
    }

    /// The poll of a task that lasted at an instant, if it is still kept.
    pub async fn poll_at(
        &self,
        process: ProcessKey,
        task: TaskId,
        at: UnixNanos,
    ) -> Result<Option<PollRow>, StoreError> {
        let (process, from, to) = (process.0, at.0, at.0.saturating_add(1));
        let read = move |db: &Connection| {
            let search = Search { process, kind: RecordKind::Poll, from, to, task: task.0 };
            let mut latest: Option<PollRow> = None;
            search.each(db, |lane, found| {
                for (&start, &length) in found.start.iter().zip(&found.length) {
                    let poll = PollRow { lane, start_at: UnixNanos(start), length: length as u64 };
                    if latest.is_none_or(|known| known.start_at < poll.start_at) {
                        latest = Some(poll);
                    }
                }
            })?;
            Ok(latest)
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read a poll of a task"))
    }

    /// The wake that led to the poll of a task which began at an instant. Agents convert both instants of a
    /// wake, so that its end may be off by `slack`.
    pub async fn wake_before(
        &self,
        process: ProcessKey,
        task: TaskId,
        poll_at: UnixNanos,
        slack: i64,
    ) -> Result<Option<WakeRow>, StoreError> {
        let process = process.0;
        let (from, to) = (poll_at.0.saturating_sub(slack), poll_at.0.saturating_add(slack));
        let read = move |db: &Connection| {
            let search = Search { process, kind: RecordKind::Wake, from, to, task: task.0 };
            let mut nearest: Option<(u64, WakeRow)> = None;
            search.each(db, |_, found| {
                for at in 0..found.start.len() {
                    let wake = wake(found, at);
                    let off = (found.start[at] + found.length[at]).abs_diff(poll_at.0);
                    let is_it = off <= slack as u64;
                    if is_it && nearest.as_ref().is_none_or(|(known, _)| off < *known) {
                        nearest = Some((off, wake));
                    }
                }
            })?;
            Ok(nearest.map(|(_, wake)| wake))
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read the wake before a poll"))
    }

    /// Whom a task woke from `from` to `to`, at most `limit`, oldest first; and whether that is all.
    pub async fn woken_by(
        &self,
        process: ProcessKey,
        task: TaskId,
        (from, to): (UnixNanos, UnixNanos),
        limit: usize,
    ) -> Result<(Vec<WokenRow>, bool), StoreError> {
        let (process, from, to) = (process.0, from.0, to.0);
        let read = move |db: &Connection| {
            let search = Search { process, kind: RecordKind::Wake, from, to, task: 0 };
            let mut rows = Vec::new();
            let mut is_all = true;
            let cut = search.each(db, |lane, found| {
                let ours = (0..found.start.len())
                    .filter(|&at| found.by[at] == task.0 && (from..to).contains(&found.start[at]));
                for at in ours {
                    if rows.len() >= limit {
                        is_all = false;
                        return;
                    }
                    rows.push(WokenRow {
                        task: TaskId(found.task[at]),
                        woken_at: UnixNanos(found.start[at]),
                        delay: found.length[at] as u64,
                        lane,
                    });
                }
            })?;
            rows.sort_by_key(|row| row.woken_at);
            Ok((rows, is_all && cut.is_none()))
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("read whom a task woke"))
    }

    /// When a task was polled first, as far as known.
    pub async fn first_poll_at(
        &self,
        process: ProcessKey,
        task: TaskId,
    ) -> Result<Option<UnixNanos>, StoreError> {
        let sql = "SELECT first_poll_at FROM any_task WHERE process = ? AND task = ?";
        let read = async |db: &mut Db| {
            let query = sqlx::query_scalar(sql).bind(process.0).bind(task.0 as i64);
            let first: Option<Option<i64>> = query.fetch_optional(&mut **db).await?;
            Ok(first.flatten().map(UnixNanos))
        };
        self.ask("read when a task was polled first", read).await
    }
}

fn wake(found: &Found, at: usize) -> WakeRow {
    let (woken_at, delay) = (UnixNanos(found.start[at]), found.length[at] as u64);
    WakeRow { woken_at, delay, by: TaskId(found.by[at]), count: found.count[at] as u64 }
}

/// A [`TaskStretch`] that is being added up.
struct Making {
    steps: Steps,
    range: (i64, i64),
    limit: usize,
    stretch: TaskStretch,
}

impl Making {
    fn new(from: i64, to: i64, steps: usize, limit: usize) -> Self {
        let none = vec![0; steps.max(1)];
        let stretch = TaskStretch { running: none.clone(), ready: none, ..TaskStretch::default() };
        Self { steps: Steps::new(from, to, steps), range: (from, to), limit, stretch }
    }

    fn add_poll(&mut self, poll: PollRow) {
        self.stretch.spans += 1;
        spread(&mut self.stretch.running, self.steps, self.range, poll.start_at.0, poll.length);
        if self.stretch.polls.len() <= self.limit {
            self.stretch.polls.push(poll);
        }
    }

    fn add_wake(&mut self, wake: WakeRow) {
        self.stretch.spans += 1;
        spread(&mut self.stretch.ready, self.steps, self.range, wake.woken_at.0, wake.delay);
        if self.stretch.wakes.len() <= self.limit {
            self.stretch.wakes.push(wake);
        }
    }

    fn finish(mut self, known_from: Option<UnixNanos>) -> TaskStretch {
        self.stretch.known_from = known_from;
        self.stretch.is_exact = self.stretch.spans <= self.limit as u64;
        if !self.stretch.is_exact {
            self.stretch.polls.clear();
            self.stretch.wakes.clear();
        }
        self.stretch.polls.sort_by_key(|poll| poll.start_at);
        self.stretch.wakes.sort_by_key(|wake| wake.woken_at);
        self.stretch
    }
}

/// Adds a span to the steps that it touches.
fn spread(sums: &mut [u64], steps: Steps, (from, to): (i64, i64), start: i64, length: u64) {
    let end = start.saturating_add_unsigned(length).min(to);
    let start = start.max(from);
    if start >= end {
        return;
    }
    let (first, last) = (steps.of(start), steps.of(end - 1));
    for (step, sum) in sums.iter_mut().enumerate().take(last + 1).skip(first) {
        let (from, to) = (steps.start(step).max(start), steps.start(step + 1).min(end));
        *sum = sum.saturating_add(to.saturating_sub(from).max(0) as u64);
    }
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [SEGMENTS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shared_out_among_the_steps_that_it_touches_and_none_is_lost() {
        let check = |start: i64, length: u64, wanted: [u64; 4]| {
            let mut sums = [0; 4];
            spread(&mut sums, Steps::new(100, 200, 4), (100, 200), start, length);
            assert_eq!(sums, wanted, "{start} + {length}");
        };
        check(110, 5, [5, 0, 0, 0]);
        check(110, 40, [15, 25, 0, 0]);
        check(0, 1_000, [25, 25, 25, 25]);
        check(199, 50, [0, 0, 0, 1]);
        check(50, 50, [0; 4]);
        check(200, 50, [0; 4]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_known() {
        let (_directory, reader) = crate::reader::region::tests::store(3).await;
        let known_from = async |task: u64| {
            let range = (UnixNanos(0), UnixNanos(1_000));
            let stretch = reader.task_stretch(ProcessKey(1), TaskId(task), range, 1, 10).await;
            stretch.unwrap().known_from
        };
        assert_eq!(known_from(7).await, Some(UnixNanos(3)), "the last of them ends then");
        assert_eq!(known_from(10).await, None, "none of them can have it");
    }
}
