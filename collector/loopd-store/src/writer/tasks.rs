//! What one commit adds to a task. Adding is commutative: sums, minima, maxima, and facts that are
//! stated once. [`COLUMNS`] says which is which, for SQL and for Rust alike.

use std::fmt::Write as _;
use std::sync::LazyLock;

use loopd_model::{Nanos, Outcome, Span, TaskCounts, TaskKind};

use crate::instant;
use crate::sql::packed_rows::NULL;

/// How two values of a column become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Key,
    /// Whichever was stated first.
    Stated,
    Earliest,
    Latest,
    /// The value that goes with the latest instant of the named column.
    AsOf(usize),
    Sum,
    Most,
}

use Rule::{AsOf, Earliest, Key, Latest, Most, Stated, Sum};

/// The columns of a task, in the order in which they are packed.
const COLUMNS: [(&str, Rule); WIDTH] = [
    ("process", Key),
    ("task", Key),
    ("kind", Stated),
    ("loop", Stated),
    ("spawn_location", Stated),
    ("parent", Stated),
    ("spawned_at", Stated),
    ("name", AsOf(NAMED_AT)),
    ("named_at", Latest),
    ("started_at", Earliest),
    ("ended_at", Latest),
    ("outcome", Latest),
    ("polls", Sum),
    ("busy_time", Sum),
    ("max_poll_time", Most),
    ("slow_polls", Sum),
    ("first_poll_at", Earliest),
    ("last_poll_at", Latest),
    ("wakes", Sum),
    ("self_wakes", Sum),
    ("scheduled_time", Sum),
    ("last_waker", AsOf(LAST_WOKEN_AT)),
    ("last_woken_at", Latest),
    ("last_poll_start", Latest),
    ("unwakeable_at", Latest),
    ("children", Sum),
    ("kept", Most),
];

/// Columns of a packed row.
pub(crate) const WIDTH: usize = 27;

const PROCESS: usize = 0;
pub(crate) const TASK: usize = 1;
pub(crate) const KIND: usize = 2;
const LOOP: usize = 3;
pub(crate) const SPAWN_LOCATION: usize = 4;
const PARENT: usize = 5;
pub(crate) const SPAWNED_AT: usize = 6;
const NAME: usize = 7;
const NAMED_AT: usize = 8;
pub(crate) const STARTED_AT: usize = 9;
pub(crate) const ENDED_AT: usize = 10;
pub(crate) const OUTCOME: usize = 11;
const POLLS: usize = 12;
const BUSY_TIME: usize = 13;
const MAX_POLL_TIME: usize = 14;
const SLOW_POLLS: usize = 15;
const FIRST_POLL_AT: usize = 16;
const LAST_POLL_AT: usize = 17;
const WAKES: usize = 18;
const SELF_WAKES: usize = 19;
const SCHEDULED_TIME: usize = 20;
const LAST_WAKER: usize = 21;
const LAST_WOKEN_AT: usize = 22;
const LAST_POLL_START: usize = 23;
const UNWAKEABLE_AT: usize = 24;
const CHILDREN: usize = 25;
const KEPT: usize = 26;

/// Columns that indices of `task` hold, or whose change comes with one that they do.
const LIFECYCLE: std::ops::RangeInclusive<usize> = KIND..=OUTCOME;

/// Sums stop here, so that two of them can still be added in SQL.
const MAX_SUM: i64 = 1 << 62;

/// A task that lived this long has a row of its own.
pub(crate) const LONG_LIFE: i64 = 5_000_000_000;

/// The kind of what is no task, but all runs of one callback.
const CALLBACK: i64 = 4;

pub(crate) const PANICKED: i64 = 2;
pub(crate) const CANCELLED: i64 = 3;
pub(crate) const RAISED: i64 = 4;
pub(crate) const DESTROYED: i64 = 5;

/// What is known of one task, or is new. [`NULL`] where nothing was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskDelta(pub(crate) [i64; WIDTH]);

impl TaskDelta {
    pub(super) fn new(process: i64, task: i64) -> Self {
        let mut row = COLUMNS.map(|(_, rule)| if matches!(rule, Sum | Most) { 0 } else { NULL });
        (row[PROCESS], row[TASK]) = (process, task);
        Self(row)
    }

    pub(super) const fn task(&self) -> i64 {
        self.0[TASK]
    }

    /// The value of a column, [`NULL`] if it is not known.
    pub(super) const fn get(&self, column: usize) -> i64 {
        self.0[column]
    }

    pub(super) fn spawned(&mut self, at: i64, kind: TaskKind, loop_id: i64) {
        self.0[KIND] = match kind {
            TaskKind::Async => 0,
            TaskKind::Local => 1,
            TaskKind::BlockOn => 2,
            TaskKind::Blocking => 3,
            TaskKind::Callback => CALLBACK,
        };
        self.0[LOOP] = loop_id;
        self.0[SPAWNED_AT] = at;
    }

    pub(super) fn spawned_by(&mut self, location: i64, parent: i64) {
        // 0 is "not known" and "none", for which SQL has NULL.
        self.0[SPAWN_LOCATION] = if location == 0 { NULL } else { location };
        self.0[PARENT] = if parent == 0 { NULL } else { parent };
    }

    pub(super) fn named(&mut self, at: i64, name: i64) {
        // NULL is smaller than every instant.
        if (at, name) > (self.0[NAMED_AT], self.0[NAME]) {
            (self.0[NAMED_AT], self.0[NAME]) = (at, name);
        }
    }

    pub(super) fn started(&mut self, at: i64) {
        earliest(&mut self.0[STARTED_AT], at);
    }

    pub(super) fn ended(&mut self, at: i64, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Unknown => 0,
            Outcome::Completed => 1,
            Outcome::Panicked => PANICKED,
            Outcome::Cancelled => CANCELLED,
            Outcome::Raised => RAISED,
            Outcome::Destroyed => DESTROYED,
        };
        self.0[ENDED_AT] = self.0[ENDED_AT].max(at);
        self.0[OUTCOME] = self.0[OUTCOME].max(outcome);
    }

    pub(super) fn polled(&mut self, start: i64, length: i64, is_slow: bool) {
        let row = &mut self.0;
        row[POLLS] += 1;
        row[BUSY_TIME] = row[BUSY_TIME].saturating_add(length);
        row[MAX_POLL_TIME] = row[MAX_POLL_TIME].max(length);
        row[SLOW_POLLS] += i64::from(is_slow);
        earliest(&mut row[FIRST_POLL_AT], start);
        row[LAST_POLL_AT] = row[LAST_POLL_AT].max(start + length);
        row[LAST_POLL_START] = row[LAST_POLL_START].max(start);
    }

    pub(super) fn woken(&mut self, at: i64, span: &Span, by: i64) {
        let row = &mut self.0;
        let count = instant::count(span.count);
        row[WAKES] = row[WAKES].saturating_add(count);
        if span.by == span.task {
            row[SELF_WAKES] = row[SELF_WAKES].saturating_add(count);
        }
        let delay = instant::length(span.length);
        row[SCHEDULED_TIME] = row[SCHEDULED_TIME].saturating_add(delay);
        if (at, by) > (row[LAST_WOKEN_AT], row[LAST_WAKER]) {
            (row[LAST_WOKEN_AT], row[LAST_WAKER]) = (at, by);
        }
    }

    /// Adds what counters tell. Of single polls nothing may be known, so that the longest stays 0 while there
    /// is busy time: readers take that for "not known".
    pub(super) fn counted(&mut self, counts: &TaskCounts, wall: impl Fn(Nanos) -> i64) {
        let row = &mut self.0;
        let sums = [
            (POLLS, instant::count(counts.polls)),
            (BUSY_TIME, instant::length(counts.busy_time)),
            (SLOW_POLLS, instant::count(counts.slow_polls)),
            (WAKES, instant::count(counts.wakes)),
            (SELF_WAKES, instant::count(counts.self_wakes)),
            (SCHEDULED_TIME, instant::length(counts.scheduled_time)),
        ];
        for (column, more) in sums {
            row[column] = row[column].saturating_add(more).min(MAX_SUM);
        }
        row[MAX_POLL_TIME] = row[MAX_POLL_TIME].max(instant::length(counts.max_poll_time));
        let known = |at: Nanos| (at != Nanos(0)).then(|| wall(at));
        if let Some(at) = known(counts.first_poll_at) {
            earliest(&mut row[FIRST_POLL_AT], at);
        }
        let latest = [
            (LAST_POLL_START, counts.last_poll_started_at),
            (LAST_POLL_AT, counts.last_poll_ended_at),
            (LAST_WOKEN_AT, counts.last_woken_at),
        ];
        for (column, at) in latest {
            row[column] = row[column].max(known(at).unwrap_or(NULL));
        }
    }

    pub(super) fn unwakeable(&mut self, at: i64) {
        self.0[UNWAKEABLE_AT] = self.0[UNWAKEABLE_AT].max(at);
    }

    pub(super) fn spawned_another(&mut self) {
        self.0[CHILDREN] += 1;
    }

    /// Other rows refer to it: it keeps a row of its own.
    pub(super) fn keep(&mut self) {
        self.0[KEPT] = 1;
    }

    pub(super) fn is_spawned(&self) -> bool {
        self.0[SPAWNED_AT] != NULL
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0[ENDED_AT] != NULL
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.0[OUTCOME], PANICKED | RAISED)
    }

    pub(super) fn was_cancelled(&self) -> bool {
        self.0[OUTCOME] == CANCELLED
    }

    /// Whether it was spawned as what is no task, but all runs of one callback.
    pub(super) fn is_callback(&self) -> bool {
        self.0[KIND] == CALLBACK
    }

    /// Whether all of its life is known, short, and like that of any other task.
    pub(super) fn is_plain(&self) -> bool {
        let row = &self.0;
        let is_whole = self.is_spawned() && self.is_ended();
        let life = row[ENDED_AT].saturating_sub(row[SPAWNED_AT]);
        is_whole && (0..LONG_LIFE).contains(&life) && self.is_unremarkable() && !self.is_callback()
    }

    /// Whether nothing of what is known here asks for a row of its own.
    pub(super) fn is_unremarkable(&self) -> bool {
        let row = &self.0;
        row[SLOW_POLLS] == 0
            && row[UNWAKEABLE_AT] == NULL
            && row[KEPT] == 0
            && row[OUTCOME] != DESTROYED
            && !self.has_failed()
    }

    /// Whether it touches what the indices of `task` hold.
    pub(super) fn is_lifecycle(&self) -> bool {
        [SPAWNED_AT, ENDED_AT, NAMED_AT, STARTED_AT].iter().any(|&at| self.0[at] != NULL)
    }

    /// Adds what else is known of the same task.
    pub(super) fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.0, &other.0);
        for (i, (_, rule)) in COLUMNS.into_iter().enumerate() {
            let (a, b) = (mine[i], theirs[i]);
            self.0[i] = match rule {
                Key => a,
                Stated => {
                    if a == NULL {
                        b
                    } else {
                        a
                    }
                }
                Earliest => match (a, b) {
                    (NULL, other) | (other, NULL) => other,
                    (a, b) => a.min(b),
                },
                // NULL is smaller than everything.
                Latest | Most => a.max(b),
                AsOf(at) => match mine[at].cmp(&theirs[at]) {
                    std::cmp::Ordering::Less => {
                        if b == NULL {
                            a
                        } else {
                            b
                        }
                    }
                    std::cmp::Ordering::Equal => a.max(b),
                    std::cmp::Ordering::Greater => a,
                },
                Sum => a.saturating_add(b).min(MAX_SUM),
            };
        }
    }
}

fn earliest(mine: &mut i64, other: i64) {
    if *mine == NULL || other < *mine {
        *mine = other;
    }
}

/// The names of all columns.
pub(crate) static NAMES: LazyLock<String> = LazyLock::new(|| names(0..WIDTH));

/// The columns of the view `any_task`.
pub(crate) static ANY_TASK: LazyLock<String> =
    LazyLock::new(|| format!("{}, fields, are_lengths_unknown", names(0..KEPT)));

/// The same of tasks that have no row of their own.
pub(crate) static RECORDS: LazyLock<String> =
    LazyLock::new(|| format!("{}, NULL, 0", names(0..KEPT)));

/// Adds tasks that were spawned, named, started or ended in this commit; with all that they did
/// meanwhile.
pub(super) static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(|_| true));

/// Adds tasks that were only polled or woken in this commit. Nothing here is in an index, so that a
/// busy task costs one write of its row.
pub(super) static UPSERT_TOTALS: LazyLock<String> =
    LazyLock::new(|| upsert(|column| !LIFECYCLE.contains(&column)));

fn names(columns: impl IntoIterator<Item = usize>) -> String {
    let names: Vec<_> = columns.into_iter().map(|i| COLUMNS[i].0).collect();
    names.join(", ")
}

fn upsert(is_wanted: impl Fn(usize) -> bool) -> String {
    let wanted: Vec<usize> = (0..WIDTH).filter(|&i| is_wanted(i)).collect();
    let packed: Vec<String> = wanted.iter().map(|i| format!("c{i}")).collect();
    let mut sql = format!(
        "INSERT INTO task ({}) SELECT {} FROM packed_rows(?, ?) WHERE true
         ON CONFLICT DO UPDATE SET ",
        names(wanted.iter().copied()),
        packed.join(", ")
    );
    let mut separator = "";
    for (x, rule) in wanted.iter().map(|&i| COLUMNS[i]) {
        let value = match rule {
            Key => continue,
            Stated => format!("coalesce({x}, excluded.{x})"),
            Earliest => format!("coalesce(min({x}, excluded.{x}), {x}, excluded.{x})"),
            Latest => format!("coalesce(max({x}, excluded.{x}), {x}, excluded.{x})"),
            AsOf(at) => {
                let at = COLUMNS[at].0;
                format!(
                    "CASE WHEN {at} IS NULL OR excluded.{at} > {at} THEN coalesce(excluded.{x}, {x})
                     WHEN excluded.{at} = {at} THEN max({x}, excluded.{x}) ELSE {x} END"
                )
            }
            Sum => format!("min({x} + excluded.{x}, {MAX_SUM})"),
            Most => format!("max({x}, excluded.{x})"),
        };
        // Writing to a string cannot fail.
        let _ = write!(sql, "{separator}{x} = {value}");
        separator = ", ";
    }
    sql
}
