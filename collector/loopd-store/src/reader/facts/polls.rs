//! The slow polls of a range, with the stacks taken in them by its end, and who waited behind them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use loopd_analysis::findings::{Facts, Lane, SlowPoll, Victims};
use loopd_analysis::slow;
use loopd_model::{Frame, LoopId, RecordKind, Running, TaskId, UnixNanos, WorkerId};
use rusqlite::{Connection, OptionalExtension, Row, Statement};

use super::Range;
use super::lookup::Lookup;
use super::raw::{self, Budget};
use crate::reader::bounds::MAX_LOOKED;
use crate::reader::{Reader, slow as slow_rows, unsigned};
use crate::segments::{Wanted, Wants};
use crate::{LaneId, StoreError};

/// So many slow polls are given, the longest: enough to rank what makes them by.
const MAX_SLOW: usize = 1_000;
/// So many more are looked at, whose end or next sample came only after the range.
const MAX_UNFINISHED: usize = 256;
/// So many stacks of one poll: more say the same.
const MAX_SAMPLES: i64 = 100;
/// Of so many polls, the longest, it is looked up who waited behind them.
const MAX_WITH_VICTIMS: usize = 200;

/// Without a wake of its lane from so long before a poll on, in nanoseconds, wakes are gone or were not
/// recorded then.
const AROUND: i64 = 1_000_000_000;

/// Slow polls that overlap the range from `?2` to `?3`, the longest of the latest.
fn picked_sql() -> String {
    let longest = slow_rows::LONGEST;
    format!(
        "SELECT s.loop, s.worker, s.start_at, s.length, s.last_at, s.task
         FROM (SELECT * FROM (SELECT s.loop, s.worker, s.start_at, s.last_at
               FROM slow_poll s INDEXED BY slow_poll_by_start WHERE s.is_slow = 1
                AND s.process = ?1 AND s.start_at >= ?2 - {longest} AND s.start_at <= ?3
               ORDER BY s.start_at DESC LIMIT {MAX_LOOKED}) c
            WHERE c.last_at >= ?2 ORDER BY min(c.last_at, ?3) - c.start_at DESC, c.start_at DESC,
                c.loop, c.worker LIMIT ?4) c
         CROSS JOIN slow_poll s ON s.process = ?1 AND s.loop = c.loop AND s.worker = c.worker
            AND s.start_at = c.start_at"
    )
}

/// The samples of a poll up to `?5`.
const SAMPLES: &str = "SELECT a.at, a.stack, a.running, a.syscall, a.wchan FROM sample a
    WHERE a.process = ?1 AND a.loop = ?2 AND a.worker = ?3 AND a.poll_started_at = ?4
        AND a.at <= ?5 ORDER BY a.at LIMIT ?6";
const STACK: &str = "SELECT frames FROM stack WHERE process = ?1 AND stack = ?2";

impl Reader {
    /// After the sites, which say whether wakes are recorded.
    pub(super) async fn add_slow_polls(
        &self,
        range: Range,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let threshold = facts.slow_threshold;
        let has_wakes = facts.sites.iter().any(|site| site.cell.wakes > 0);
        let read = move |db: &Connection| {
            let mut polls = slow_polls(db, range, threshold)?;
            if has_wakes {
                add_victims(db, range, &mut polls)?;
            }
            polls.sort_by_key(|it| (Reverse(it.start_at), it.lane));
            Ok(polls)
        };
        let read = self.raw.ask(read).await;
        facts.slow_polls = read.map_err(StoreError::sqlite("read the slow polls of a range"))?;
        Ok(())
    }
}

/// The longest, longest first.
fn slow_polls(db: &Connection, range: Range, threshold: u64) -> rusqlite::Result<Vec<SlowPoll>> {
    let mut samples = Samples::new(db, range)?;
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut statement = db.prepare(&picked_sql())?;
    let key = (range.process.0, range.from, range.to, (MAX_SLOW + MAX_UNFINISHED) as i64);
    let mut rows = statement.query(key)?;
    let mut polls = Vec::new();
    while let Some(row) = rows.next()? {
        let lane = lane(row)?;
        let (start, last): (i64, i64) = (row.get(2)?, row.get(4)?);
        let has_ended = row.get::<_, Option<i64>>(3)?.is_some() && last <= range.to;
        let (last_sample, samples) = samples.of(&mut lookup, lane, start)?;
        // What had not ended yet was known from its samples.
        let known_to = if has_ended { Some(last) } else { last_sample };
        let Some(length) = known_to.map(|at| unsigned(at.saturating_sub(start))) else { continue };
        if !has_ended && length < threshold {
            continue;
        }
        let task: i64 = row.get(5)?;
        let known = lookup.task(task)?;
        let kind = known.as_ref().and_then(|task| task.kind);
        let spawn_location = known.and_then(|task| task.place);
        polls.push(SlowPoll {
            poll: slow::SlowPoll { length, samples, spawn_location, is_event_loop: false },
            lane,
            start_at: UnixNanos(start),
            has_ended,
            task: TaskId(task as u64),
            kind,
            victims: None,
        });
    }
    polls.retain(|it| it.start_at.0.saturating_add_unsigned(it.poll.length) >= range.from);
    polls.sort_by_key(|it| (Reverse(it.poll.length), Reverse(it.start_at), it.lane));
    polls.truncate(MAX_SLOW);
    Ok(polls)
}

/// Reads `loop` and `worker` from the first two columns.
fn lane(row: &Row<'_>) -> rusqlite::Result<Lane> {
    let loop_id = LoopId(row.get::<_, i64>(0)? as u64);
    Ok(Lane { loop_id, worker: WorkerId(row.get::<_, i64>(1)? as u32) })
}

/// Reads samples, each different stack once.
struct Samples<'db> {
    range: Range,
    samples: Statement<'db>,
    stack: Statement<'db>,
    stacks: HashMap<i64, Arc<[Frame]>>,
}

impl<'db> Samples<'db> {
    fn new(db: &'db Connection, range: Range) -> rusqlite::Result<Self> {
        let (samples, stack) = (db.prepare(SAMPLES)?, db.prepare(STACK)?);
        Ok(Self { range, samples, stack, stacks: HashMap::new() })
    }

    /// Those of one poll, and when the last was taken.
    fn of(
        &mut self,
        lookup: &mut Lookup<'_>,
        lane: Lane,
        start: i64,
    ) -> rusqlite::Result<(Option<i64>, Vec<slow::Sample>)> {
        let Range { process, to, .. } = self.range;
        let (loop_id, worker) = (lane.loop_id.0 as i64, i64::from(lane.worker.0));
        let mut rows = self.samples.query((process.0, loop_id, worker, start, to, MAX_SAMPLES))?;
        let (mut last, mut samples) = (None, Vec::new());
        while let Some(row) = rows.next()? {
            last = last.max(row.get(0)?);
            let stack: i64 = row.get(1)?;
            let frames = match self.stacks.get(&stack) {
                Some(known) => known.clone(),
                None => {
                    let read = |row: &Row<'_>| Ok(slow_rows::parse(row.get_ref(0)?.as_str()?));
                    let frames = self.stack.query_row((process.0, stack), read).optional()?;
                    let frames = frames.unwrap_or_default();
                    self.stacks.insert(stack, frames.clone());
                    frames
                }
            };
            let running = match row.get::<_, i64>(2)? {
                1 => Running::OnCpu,
                2 => Running::OffCpu,
                _ => Running::Unknown,
            };
            let (syscall, wchan) = (lookup.word(row.get(3)?)?, lookup.word(row.get(4)?)?);
            samples.push(slow::Sample { frames, running, syscall, wchan });
        }
        Ok((last, samples))
    }
}

/// Looks up who waited behind the longest of these, which come first. Who waits behind one that has not
/// ended nobody knows yet.
fn add_victims(db: &Connection, range: Range, polls: &mut [SlowPoll]) -> rusqlite::Result<()> {
    let end = |poll: &SlowPoll| poll.start_at.0.saturating_add_unsigned(poll.poll.length);
    let mut lanes: BTreeMap<Lane, Vec<&mut SlowPoll>> = BTreeMap::new();
    for poll in polls.iter_mut().take(MAX_WITH_VICTIMS) {
        if poll.has_ended {
            lanes.entry(poll.lane).or_default().push(poll);
        }
    }
    let mut budget = Budget::default();
    for (lane, polls) in lanes {
        let of = LaneId { loop_id: lane.loop_id, worker: lane.worker };
        for poll in polls {
            let (start, end) = (poll.start_at.0, end(poll));
            let wanted = Wanted {
                start_to: end - 1,
                end_from: start.saturating_sub(AROUND),
                columns: Wants { times: true, ..Wants::default() },
                ..Wanted::default()
            };
            let mut victims = Victims::default();
            let mut is_known = false;
            let key = (range.process.0, RecordKind::Wake, Some(of));
            let is_all = raw::each(db, key, &wanted, &mut budget, |_, found| {
                for (&woken, &delay) in found.start.iter().zip(&found.length) {
                    let polled = woken.saturating_add(delay);
                    // Later nobody knows of it.
                    if polled > range.to {
                        continue;
                    }
                    is_known = true;
                    if polled > start {
                        let late = polled.min(end) - woken.max(start);
                        victims.polls += 1;
                        victims.delay = victims.delay.saturating_add(unsigned(late));
                    }
                }
            })?;
            poll.victims = (is_all && is_known).then_some(victims);
        }
    }
    Ok(())
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    vec![picked_sql(), SAMPLES.to_owned(), STACK.to_owned()]
}
