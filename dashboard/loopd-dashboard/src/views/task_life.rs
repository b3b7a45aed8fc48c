//! Where one task's life went: a strip of it, its polls and wakes by length, what it waited for, and who
//! woke it; and of its polls those that were asked for.
//!
//! All of it is of the same stretch of time, which the answer names: the latest that can be looked through.

use std::collections::HashMap;

use loopd_analysis::task_life::{Known, Split, Stretch, split};
use loopd_model::{TaskId, UnixNanos};
use loopd_store::{LifePoll, LifeWait, Reader, TaskLife};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::tasks::Location;
use super::text::{IdText, UnixNanosText};
use super::vocabulary::LifeState;
use super::{ViewError, find_process, words};

/// `GET /api/v1/tasks/{process}/{task}/life`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskLifeView {
    /// Its process.
    pub process: i64,
    /// Its id.
    pub task: IdText,
    /// When its life began; if its spawn was not seen, the first that is known of it.
    pub begin: UnixNanosText,
    /// When it ended, or the last that is known of the process.
    pub end: UnixNanosText,
    /// Everything here is of the time from this instant,
    pub from: UnixNanosText,
    /// up to this one.
    pub to: UnixNanosText,
    /// Whether that is less than was asked for: of more only the latest is looked through, or the rest
    /// is no longer stored.
    pub is_cut: bool,
    /// How many polls were looked at.
    pub polls: u64,
    /// How many were counted in all of its life.
    pub polls_counted: u64,
    /// How many of those that were looked at have a wake that led to them.
    pub polls_woken: u64,
    /// Where the time went. The parts add up to it.
    pub parts: Vec<LifePart>,
    /// What it waited for, longest first, at most [`MAX_WAITED`]. It may have waited for several at once,
    /// and have run meanwhile.
    pub waited: Vec<Waited>,
    /// How many of those there are.
    pub waited_total: u64,
    /// The time in columns of equal length.
    pub strip: LifeStrip,
    /// Its polls by length.
    pub lengths: Vec<LifeClass>,
    /// Its polls by the time from the first wake to the poll.
    pub delays: Vec<LifeClass>,
    /// Who woke it, most often first, at most [`MAX_WAKERS`].
    pub wakers: Vec<Waker>,
    /// How many wakers there are; "no task" is one.
    pub wakers_total: u64,
    /// How many polls were asked for.
    pub chosen: u64,
    /// The first of them in the order that was asked for.
    pub rows: Vec<LifePollView>,
}

/// A part of a life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LifePart {
    /// `running`; `ready`: woken and not yet polled; `queued`: spawned and not yet polled; `waiting` for
    /// `what` alone; `several`: waiting for several things at once; `lost`: not known, because records
    /// were lost; `unknown`: neither running nor woken as far as known, and what for is not recorded.
    #[schema(value_type = LifeState)]
    pub state: String,
    /// The kind of resource, or if that is not known what was done with it; null unless `waiting`.
    pub what: Option<String>,
    /// In nanoseconds.
    pub time: u64,
}

/// What a task waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waited {
    /// The resource; null if it is not known.
    pub resource: Option<IdText>,
    /// Its kind; empty if not known.
    pub kind: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// What was done: `lock`, `recv`.
    pub op: String,
    /// How many waits.
    pub waits: u64,
    /// Time in them in which the task did not run and was not woken, in nanoseconds.
    pub time: u64,
    /// Whether one of them has not ended.
    pub is_open: bool,
}

/// Columns of equal length. Lengths are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LifeStrip {
    /// Length of a column.
    pub step: u64,
    /// Time in polls.
    pub running: Vec<u64>,
    /// Time between a wake and a poll.
    pub ready: Vec<u64>,
    /// Time in waits that are recorded.
    pub waiting: Vec<u64>,
    /// Time of which records were lost.
    pub lost: Vec<u64>,
    /// The longest poll that overlaps it.
    pub max: Vec<u64>,
    /// How many of the chosen polls overlap it; empty if none was chosen.
    pub chosen: Vec<u64>,
}

/// One class of a histogram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LifeClass {
    /// The shortest that falls into it, in nanoseconds.
    pub from: u64,
    /// The shortest that is too long for it; null for the last.
    pub to: Option<u64>,
    /// How many did.
    pub count: u64,
}

/// Who woke a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waker {
    /// The task; null outside any: a driver, a timer, or another thread.
    pub task: Option<IdText>,
    /// Its name; null if it has none, or is no longer stored.
    pub name: Option<String>,
    /// Where that task was spawned; null if not known.
    pub location: Option<Location>,
    /// How many polls it led to.
    pub polls: u64,
    /// How many wakes it gave. Of several wakes before one poll all count as the first one's.
    pub wakes: u64,
    /// Whether it is the task itself.
    pub is_self: bool,
    /// Time from its wakes to the polls, in nanoseconds.
    pub delay: u64,
    /// The longest of these.
    pub max_delay: u64,
    /// The latest poll that it led to.
    pub last_at: UnixNanosText,
}

/// One poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LifePoll)]
pub struct LifePollView {
    /// When it began.
    pub start_at: UnixNanosText,
    /// How long it took, in nanoseconds.
    pub length: u64,
    /// On which loop.
    #[serde(rename = "loop")]
    pub loop_id: IdText,
    /// On which worker.
    pub worker: u32,
    /// From the first wake to the poll, in nanoseconds; null if no wake was recorded.
    pub delay: Option<u64>,
    /// The task that woke it; null outside any, or if no wake was recorded.
    pub by: Option<IdText>,
    /// How many wakes came before the poll.
    pub wakes: u64,
}

/// What of a life to show.
#[derive(Clone, Debug)]
pub struct LifeFilter {
    /// From when on; from its beginning if not given.
    pub from: Option<UnixNanos>,
    /// Up to when; up to its end if not given.
    pub to: Option<UnixNanos>,
    /// How many columns the strip has.
    pub columns: usize,
    /// By what polls are chosen.
    pub by: Measure,
    /// At least so much of it.
    pub min: Option<u64>,
    /// Less than so much of it.
    pub max: Option<u64>,
    /// Only those woken by this task; 0: outside any.
    pub waker: Option<TaskId>,
    /// The order of the rows.
    pub sort: LifeSort,
    /// Largest first.
    pub desc: bool,
    /// How many rows.
    pub limit: usize,
}

/// What of a poll is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Its length.
    #[default]
    Length,
    /// The time from the first wake to it.
    Delay,
}

/// By what polls are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeSort {
    /// When they began.
    StartAt,
    /// Their length.
    Length,
    /// The time from the first wake.
    Delay,
}

/// The names of what polls are chosen by.
const MEASURES: [(&str, Measure); 2] = [("length", Measure::Length), ("delay", Measure::Delay)];
/// The names of the sort orders.
const SORTS: [(&str, LifeSort); 3] =
    [("start_at", LifeSort::StartAt), ("length", LifeSort::Length), ("delay", LifeSort::Delay)];

/// As many columns as a wide screen has pixels.
pub const MAX_COLUMNS: usize = 4_000;
const DEFAULT_COLUMNS: usize = 600;
/// So many polls are given.
pub const MAX_ROWS: usize = 1_000;
const DEFAULT_ROWS: usize = 100;
/// So many wakers are given.
pub const MAX_WAKERS: usize = 50;
/// So many things that it waited for.
pub const MAX_WAITED: usize = 50;
/// So many kinds of things; the rest are one.
const MAX_KINDS: usize = 24;
const OTHER_KINDS: &str = "other kinds";

impl Default for LifeFilter {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            columns: DEFAULT_COLUMNS,
            by: Measure::Length,
            min: None,
            max: None,
            waker: None,
            sort: LifeSort::Length,
            desc: true,
            limit: DEFAULT_ROWS,
        }
    }
}

impl Described for LifeFilter {
    fn params() -> Vec<Param> {
        use super::described::{id, instant, number, optional_number, words};
        vec![
            instant("from", "From when on; from its beginning if not given."),
            instant("to", "Up to when; up to its end if not given."),
            number(
                "columns",
                DEFAULT_COLUMNS as u64,
                1,
                MAX_COLUMNS as u64,
                "How many columns the strip has.",
            ),
            words("by", &MEASURES, Some("length"), "By what polls are chosen."),
            optional_number(
                "min",
                0,
                MAX_MEASURE,
                "Choose polls with at least so much of it, in nanoseconds; of any if not given.",
            ),
            optional_number(
                "max",
                0,
                MAX_MEASURE,
                "Choose polls with less than so much of it, in nanoseconds; of any if not given.",
            ),
            id("waker", "Choose polls that this task woke; 0: those woken outside any."),
            words("sort", &SORTS, Some("length"), "By what the chosen polls are ordered."),
            words("desc", &[("0", ()), ("1", ())], Some("1"), "Whether the largest come first."),
            number("limit", DEFAULT_ROWS as u64, 1, MAX_ROWS as u64, "How many polls to give."),
        ]
    }
}

/// In nanoseconds; more than anything that was recorded.
const MAX_MEASURE: u64 = i64::MAX as u64;

fn measure(params: &Params, name: &str) -> Result<Option<u64>, ViewError> {
    params.text(name).map(|_| params.between(name, 0, 0, MAX_MEASURE)).transpose()
}

impl LifeFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 10] =
        ["from", "to", "columns", "by", "min", "max", "waker", "sort", "desc", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let filter = Self {
            from: params.instant("from")?,
            to: params.instant("to")?,
            columns: params.between("columns", DEFAULT_COLUMNS, 1, MAX_COLUMNS)?,
            by: params.one_of("by", &MEASURES)?.unwrap_or_default(),
            min: measure(params, "min")?,
            max: measure(params, "max")?,
            waker: params.parsed("waker")?.map(TaskId),
            sort: params.one_of("sort", &SORTS)?.unwrap_or(LifeSort::Length),
            desc: params.text("desc").is_none() || params.flag("desc")?,
            limit: params.between("limit", DEFAULT_ROWS, 1, MAX_ROWS)?,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from >= to => {
                Err(ViewError::Invalid(format!("`from` ({from}) must be before `to` ({to})")))
            }
            _ => Ok(filter),
        }
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("from", self.from)
            .add("to", self.to)
            .add("columns", Some(self.columns))
            .add("by", super::params::word(&MEASURES, self.by))
            .add("min", self.min)
            .add("max", self.max)
            .add("waker", self.waker.map(|task| task.0))
            .add("sort", super::params::word(&SORTS, self.sort))
            .add("desc", Some(u8::from(self.desc)))
            .add("limit", Some(self.limit))
    }

    /// Whether only some polls are asked for.
    fn is_choice(&self) -> bool {
        self.min.is_some() || self.max.is_some() || self.waker.is_some()
    }

    fn is_chosen(&self, poll: &LifePoll) -> bool {
        let measure = match self.by {
            Measure::Length => Some(poll.length),
            Measure::Delay => poll.wake.map(|wake| wake.delay),
        };
        let is_between = |value: u64| {
            self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value < max)
        };
        let is_measured = match measure {
            Some(value) => is_between(value),
            None => self.min.is_none() && self.max.is_none(),
        };
        let is_woken = |waker: TaskId| poll.wake.is_some_and(|wake| wake.by == waker);
        is_measured && self.waker.is_none_or(is_woken)
    }
}

/// One task's life.
pub async fn task_life(
    reader: &Reader,
    process: i64,
    task: u64,
    filter: &LifeFilter,
) -> Result<TaskLifeView, ViewError> {
    let key = find_process(reader, Some(process)).await?.process;
    let (id, wanted) = (TaskId(task), filter.clone());
    let view = move |life: &TaskLife| view(process, id, life, &wanted);
    let view = reader.task_life(key, id, (filter.from, filter.to), view).await?;
    let mut view = view.ok_or(ViewError::NoTask { process, task })?;
    let wakers: Vec<_> = view.wakers.iter().filter_map(|it| Some(TaskId(it.task?.0))).collect();
    let names = reader.task_names(key, &wakers).await?;
    let names: HashMap<u64, _> = names.into_iter().map(|name| (name.task.0, name)).collect();
    for waker in &mut view.wakers {
        let Some(name) = waker.task.and_then(|task| names.get(&task.0)) else { continue };
        waker.name.clone_from(&name.name);
        waker.location = name.location.clone().map(Location::from);
    }
    Ok(view)
}

fn view(process: i64, task: TaskId, life: &TaskLife, filter: &LifeFilter) -> TaskLifeView {
    let kinds = Kinds::of(&life.waits);
    let split = split(known(life, &kinds));
    let (waited, waited_total) = waited(&life.waits, &split);
    let (wakers, wakers_total) = wakers(task, &life.polls);
    let chosen: Vec<&LifePoll> = life.polls.iter().filter(|poll| filter.is_chosen(poll)).collect();
    TaskLifeView {
        process,
        task: IdText(task.0),
        begin: life.begin.into(),
        end: life.end.into(),
        from: life.from.into(),
        to: life.to.into(),
        is_cut: life.is_cut,
        polls: life.polls.len() as u64,
        polls_counted: life.polls_counted,
        polls_woken: life.polls.iter().filter(|poll| poll.wake.is_some()).count() as u64,
        parts: parts(&split, &kinds),
        waited,
        waited_total,
        strip: strip(life, &split, filter, &chosen),
        lengths: classes(life.polls.iter().map(|poll| poll.length)),
        delays: classes(life.polls.iter().filter_map(|poll| Some(poll.wake?.delay))),
        wakers,
        wakers_total,
        chosen: chosen.len() as u64,
        rows: rows(chosen, filter),
    }
}

fn stretch_of(poll: &LifePoll) -> Stretch {
    let length = i64::try_from(poll.length).unwrap_or(i64::MAX);
    (poll.start_at.0, poll.start_at.0.saturating_add(length))
}

fn known(life: &TaskLife, kinds: &Kinds) -> Known {
    let plain = |list: &[(UnixNanos, UnixNanos)]| -> Vec<Stretch> {
        list.iter().map(|(from, to)| (from.0, to.0)).collect()
    };
    let ran = life.polls.iter().map(stretch_of).chain(plain(&life.also_ran));
    let first_run_at = life.first_run_at.unwrap_or(life.end);
    Known {
        bounds: (life.from.0, life.to.0),
        polls: ran.collect(),
        wakes: plain(&life.wakes),
        queued: life.is_spawn_known.then_some((life.begin.0, first_run_at.0)),
        waits: life
            .waits
            .iter()
            .map(|wait| ((wait.began_at.0, wait.ended_at.0), kinds.number(wait)))
            .collect(),
        kinds: kinds.names.len(),
        lost: plain(&life.losses),
    }
}

/// What was waited for, by kind; each has a number.
struct Kinds {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Kinds {
    fn of(waits: &[LifeWait]) -> Self {
        let mut often: HashMap<&str, usize> = HashMap::new();
        for wait in waits {
            *often.entry(kind_of(wait)).or_default() += 1;
        }
        let mut names: Vec<(&str, usize)> = often.into_iter().collect();
        names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let has_more = names.len() > MAX_KINDS;
        let mut names: Vec<String> =
            names.into_iter().take(MAX_KINDS).map(|(name, _)| name.to_owned()).collect();
        let numbers = names.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        if has_more {
            names.push(OTHER_KINDS.to_owned());
        }
        Self { names, numbers }
    }

    fn number(&self, wait: &LifeWait) -> usize {
        let number = self.numbers.get(kind_of(wait)).copied();
        number.unwrap_or(self.names.len().saturating_sub(1))
    }
}

fn kind_of(wait: &LifeWait) -> &str {
    if wait.kind.is_empty() { &wait.op } else { &wait.kind }
}

fn parts(split: &Split, kinds: &Kinds) -> Vec<LifePart> {
    let part = |state: &str, time| LifePart { state: state.into(), what: None, time };
    let mut waits: Vec<LifePart> = kinds
        .names
        .iter()
        .zip(&split.for_one)
        .map(|(name, &time)| LifePart { state: "waiting".into(), what: Some(name.clone()), time })
        .collect();
    waits.sort_by_key(|part| std::cmp::Reverse(part.time));
    let mut parts = vec![
        part("running", split.running.time()),
        part("ready", split.ready.time()),
        part("queued", split.queued.time()),
    ];
    parts.extend(waits);
    parts.extend([
        part("several", split.for_several),
        part("lost", split.lost.time()),
        part("unknown", split.unknown.time()),
    ]);
    parts.retain(|part| part.time > 0);
    parts
}

fn waited(waits: &[LifeWait], split: &Split) -> (Vec<Waited>, u64) {
    type Key<'a> = (Option<u64>, &'a str, &'a str);
    let mut found: HashMap<Key<'_>, Waited> = HashMap::new();
    for wait in waits {
        let resource = wait.resource.map(|id| id.0);
        let kind = if resource.is_some() { "" } else { wait.kind.as_str() };
        let waited = found.entry((resource, kind, &wait.op)).or_insert_with(|| Waited {
            resource: resource.map(IdText),
            kind: wait.kind.clone(),
            name: wait.name.clone(),
            op: wait.op.clone(),
            waits: 0,
            time: 0,
            is_open: false,
        });
        waited.waits += 1;
        let time = split.idle.time_in((wait.began_at.0, wait.ended_at.0));
        waited.time = waited.time.saturating_add(time);
        waited.is_open |= wait.is_open;
    }
    let total = found.len() as u64;
    let mut list: Vec<Waited> = found.into_values().collect();
    list.sort_by(|a, b| {
        let key = |it: &Waited| (it.resource.map(|id| id.0), it.kind.clone(), it.op.clone());
        b.time.cmp(&a.time).then_with(|| key(a).cmp(&key(b)))
    });
    list.truncate(MAX_WAITED);
    (list, total)
}

fn wakers(task: TaskId, polls: &[LifePoll]) -> (Vec<Waker>, u64) {
    let mut found: HashMap<TaskId, Waker> = HashMap::new();
    for poll in polls {
        let Some(wake) = poll.wake else { continue };
        let waker = found.entry(wake.by).or_insert_with(|| Waker {
            task: words::some_task(wake.by),
            name: None,
            location: None,
            polls: 0,
            wakes: 0,
            is_self: wake.by == task,
            delay: 0,
            max_delay: 0,
            last_at: poll.start_at.into(),
        });
        waker.polls += 1;
        waker.wakes = waker.wakes.saturating_add(wake.count);
        waker.delay = waker.delay.saturating_add(wake.delay);
        waker.max_delay = waker.max_delay.max(wake.delay);
        waker.last_at = poll.start_at.into();
    }
    let total = found.len() as u64;
    let mut list: Vec<Waker> = found.into_values().collect();
    list.sort_by_key(|it| (std::cmp::Reverse(it.polls), it.task.map(|task| task.0)));
    list.truncate(MAX_WAKERS);
    (list, total)
}

fn strip(life: &TaskLife, split: &Split, filter: &LifeFilter, chosen: &[&LifePoll]) -> LifeStrip {
    let (from, to) = (life.from.0, life.to.0);
    let length = from.abs_diff(to).max(1);
    let columns = filter.columns.min(usize::try_from(length).unwrap_or(usize::MAX));
    let step = length.div_ceil(columns as u64);
    let edge = |column: usize| {
        let offset = step.saturating_mul(column as u64).min(length);
        from.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
    };
    let columns = usize::try_from(length.div_ceil(step)).unwrap_or(columns);
    let of = |set: &loopd_analysis::task_life::Stretches| -> Vec<u64> {
        (0..columns).map(|column| set.time_in((edge(column), edge(column + 1)))).collect()
    };
    // Polls do not overlap each other, so all of them together touch few columns twice.
    let touched = |poll: &LifePoll| {
        let (start, end) = stretch_of(poll);
        let column = |at: i64| {
            let offset = at.clamp(from, to).abs_diff(from);
            usize::try_from(offset / step).unwrap_or(usize::MAX).min(columns - 1)
        };
        column(start)..=column(end.saturating_sub(1).max(start))
    };
    let mut max = vec![0; columns];
    for poll in &life.polls {
        touched(poll).for_each(|column| max[column] = poll.length.max(max[column]));
    }
    let mut hits = if filter.is_choice() { vec![0; columns] } else { Vec::new() };
    if filter.is_choice() {
        for poll in chosen {
            touched(poll).for_each(|column| hits[column] += 1);
        }
    }
    LifeStrip {
        step,
        running: of(&split.running),
        ready: of(&split.ready),
        waiting: of(&split.waiting),
        lost: of(&split.lost),
        max,
        chosen: hits,
    }
}

/// Classes from one bound to the next: 1, 2 and 5 of each power of ten, beginning at 100 ns. Empty ones
/// at both ends are left out.
fn classes(values: impl Iterator<Item = u64>) -> Vec<LifeClass> {
    let mut bounds = vec![0];
    let mut ten = 100u64;
    while let Some(next) = ten.checked_mul(10) {
        bounds.extend([ten, 2 * ten, 5 * ten]);
        ten = next;
    }
    let mut counts = vec![0u64; bounds.len()];
    for value in values {
        counts[bounds.partition_point(|&bound| bound <= value) - 1] += 1;
    }
    let filled = |(_, count): &(usize, &u64)| **count > 0;
    let Some((first, _)) = counts.iter().enumerate().find(filled) else { return Vec::new() };
    let (last, _) = counts.iter().enumerate().rfind(filled).unwrap_or((first, &0));
    let class = |at: usize| LifeClass {
        from: bounds[at],
        to: bounds.get(at + 1).copied(),
        count: counts[at],
    };
    (first..=last).map(class).collect()
}

fn rows(mut chosen: Vec<&LifePoll>, filter: &LifeFilter) -> Vec<LifePollView> {
    let delay = |poll: &LifePoll| poll.wake.map_or(0, |wake| wake.delay);
    let key = |poll: &&LifePoll| {
        let key = match filter.sort {
            LifeSort::StartAt => 0,
            LifeSort::Length => poll.length,
            LifeSort::Delay => delay(poll),
        };
        (key, poll.start_at.0)
    };
    let order = |a: &&LifePoll, b: &&LifePoll| match filter.desc {
        true => key(b).cmp(&key(a)),
        false => key(a).cmp(&key(b)),
    };
    if chosen.len() > filter.limit {
        chosen.select_nth_unstable_by(filter.limit, order);
        chosen.truncate(filter.limit);
    }
    chosen.sort_unstable_by(order);
    chosen.into_iter().map(LifePollView::from).collect()
}

impl From<&LifePoll> for LifePollView {
    fn from(poll: &LifePoll) -> Self {
        Self {
            start_at: poll.start_at.into(),
            length: poll.length,
            loop_id: IdText(poll.lane.loop_id.0),
            worker: poll.lane.worker.0,
            delay: poll.wake.map(|wake| wake.delay),
            by: poll.wake.and_then(|wake| words::some_task(wake.by)),
            wakes: poll.wake.map_or(0, |wake| wake.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other_and_keep_every_count() {
        let values = [0, 99, 100, 199, 200, 499, 500, 1_000_000, u64::MAX];
        let classes = classes(values.into_iter());
        assert_eq!(classes.iter().map(|class| class.count).sum::<u64>(), values.len() as u64);
        assert!(classes.windows(2).all(|pair| pair[0].to == Some(pair[1].from)));
        let first = LifeClass { from: 0, to: Some(100), count: 2 };
        let last = LifeClass { from: 5_000_000_000_000_000_000, to: None, count: 1 };
        assert_eq!((&classes[0], classes.last().unwrap()), (&first, &last));
        assert_eq!(super::classes(std::iter::empty()), []);
    }
}
