//! Tasks: their counters, and what was told of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use console_api::tasks::{Stats, Task as Introduction, TaskUpdate, task};
use loopd_model::{
    DropCause, Event, EventKind, LocationId, LoopId, NameId, Nanos, Outcome, RecordKind,
    TaskCounts, TaskId, TaskKind,
};
use loopd_wire::{MAX_FIELDS, MAX_NUMBER, MAX_TEXT_BYTES};

use super::super::histogram::PollTimes;
use super::super::values::{cut, name, nanos, number, place, text, unix};
use super::{Kind, Out, Run, SLOW, Subject, since_origin};

/// Tasks that are open, or not yet told of to their end: some 300 bytes each.
const MAX_TASKS: usize = 1 << 17;
/// Tasks whose histograms are to be read; of more the rest is asked once they are busy again.
const MAX_SUSPECTS: usize = 256;
/// Bytes of the value of a field.
const MAX_VALUE_BYTES: usize = 256;
/// Fields that are told in another way.
const TOLD: [&str; 5] = ["kind", "task.name", "loc.file", "loc.line", "loc.col"];

#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// The task that now has a span.
    by_span: HashMap<u64, TaskId>,
    open: HashMap<TaskId, Task>,
    /// Ids that were given to tasks without one of tokio's.
    given: u64,
    suspects: VecDeque<TaskId>,
}

/// What tells tasks apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) span: u64,
    /// When it was made, in unix nanoseconds; `None` if that was not told.
    pub(super) made_at: Option<i64>,
}

#[derive(Debug)]
struct Task {
    identity: Identity,
    /// `None` once it was told.
    spawn: Option<Box<Spawn>>,
    known: Counters,
    told: Counters,
    ended_at: Option<i64>,
    has_news: bool,
    /// Since when its counters may have risen that were not told; 0 if that is not known.
    since: Nanos,
    times: PollTimes,
    told_times: PollTimes,
    /// How busy it had been when its histograms were last asked for.
    asked_at: u64,
    /// How busy it had been when they were last asked for and given.
    measured_at: Option<u64>,
    /// Whether it was told that the lengths of its polls are not all known.
    is_told_unknown: bool,
    is_suspect: bool,
}

#[derive(Debug)]
struct Spawn {
    kind: TaskKind,
    location: LocationId,
    parent: TaskId,
    name: Option<NameId>,
    fields: Vec<(String, String)>,
}

/// Totals since the task was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    polls: u64,
    busy_time: u64,
    wakes: u64,
    self_wakes: u64,
    scheduled_time: u64,
    first_poll: Option<i64>,
    last_poll_started: Option<i64>,
    last_poll_ended: Option<i64>,
    last_woken: Option<i64>,
}

impl Counters {
    fn of(stats: &Stats) -> Self {
        let polls = stats.poll_stats.as_ref();
        Self {
            polls: polls.map_or(0, |it| it.polls),
            busy_time: polls.and_then(|it| nanos(&it.busy_time)).unwrap_or(0),
            wakes: stats.wakes,
            self_wakes: stats.self_wakes,
            scheduled_time: nanos(&stats.scheduled_time).unwrap_or(0),
            first_poll: polls.and_then(|it| unix(&it.first_poll)),
            last_poll_started: polls.and_then(|it| unix(&it.last_poll_started)),
            last_poll_ended: polls.and_then(|it| unix(&it.last_poll_ended)),
            last_woken: unix(&stats.last_wake),
        }
    }

    /// Counters only rise, and instants only become later. What says otherwise is older.
    fn raise(&mut self, other: &Self) {
        let pairs = [
            (&mut self.polls, other.polls),
            (&mut self.busy_time, other.busy_time),
            (&mut self.wakes, other.wakes),
            (&mut self.self_wakes, other.self_wakes),
            (&mut self.scheduled_time, other.scheduled_time),
        ];
        let raise = |(mine, theirs): (&mut u64, u64)| *mine = (*mine).max(theirs.min(MAX_NUMBER));
        pairs.into_iter().for_each(raise);
        self.first_poll = self.first_poll.or(other.first_poll);
        self.last_poll_started = self.last_poll_started.max(other.last_poll_started);
        self.last_poll_ended = self.last_poll_ended.max(other.last_poll_ended);
        self.last_woken = self.last_woken.max(other.last_woken);
    }
}

impl Counters {
    fn is_in_poll(&self) -> bool {
        self.last_poll_started > self.last_poll_ended
    }
}

impl Task {
    /// Whether a poll may have been slow since its histograms were last asked for: that takes as long.
    fn may_have_been_slow(&self) -> bool {
        self.known.busy_time.saturating_sub(self.asked_at) >= SLOW
    }

    /// Whether the longest poll and the slow ones are known of all polls: those since its histograms were
    /// read were too short, all of them together, to change anything.
    fn has_known_lengths(&self) -> bool {
        let is_too_short = |measured_at| {
            let since = self.known.busy_time.saturating_sub(measured_at);
            since <= self.times.max && since < SLOW
        };
        self.known.polls == 0
            || !self.known.is_in_poll() && self.measured_at.is_some_and(is_too_short)
    }

    /// What has to be said of whether they are known. Without a word a task has no known lengths if it has
    /// busy time and no longest poll.
    fn news_of_lengths(&self) -> Option<bool> {
        let can_be_known = self.times.max > 0 || self.known.busy_time == 0;
        let is_known = self.has_known_lengths();
        (can_be_known && is_known == self.is_told_unknown).then_some(is_known)
    }
}

impl Tasks {
    /// When the task with this span was made.
    pub(super) fn made_at(&self, span: u64) -> Option<i64> {
        self.open.get(self.by_span.get(&span)?)?.identity.made_at
    }

    /// The task with this span; none if none is known.
    pub(super) fn with_span(&self, span: u64) -> TaskId {
        self.by_span.get(&span).copied().unwrap_or(TaskId::NONE)
    }

    /// What was seen of a suspect. Gives whether it has to be told of.
    fn look(&mut self, id: TaskId, times: Option<PollTimes>) -> bool {
        let Some(task) = self.open.get_mut(&id) else { return false };
        // It may have been slow again meanwhile.
        task.is_suspect = task.may_have_been_slow() && self.suspects.len() < MAX_SUSPECTS;
        if task.is_suspect {
            self.suspects.push_back(id);
        }
        if let Some(times) = times {
            task.times.max = task.times.max.max(times.max.min(MAX_NUMBER));
            task.times.slow = task.times.slow.max(times.slow.min(MAX_NUMBER));
            task.measured_at = Some(task.asked_at);
        }
        let has_news = task.times != task.told_times || task.news_of_lengths().is_some();
        let is_news = has_news || task.ended_at.is_some();
        is_news && !std::mem::replace(&mut task.has_news, true)
    }

    /// An id for a new task: tokio's, where it has one that nobody else has.
    fn id(&mut self, tokio: Option<u64>) -> TaskId {
        let is_tokios = |id: &u64| (1..TaskId::FIRST_ROOT.0).contains(id);
        let tokio = tokio.filter(is_tokios).map(TaskId).filter(|id| !self.open.contains_key(id));
        tokio.unwrap_or_else(|| {
            self.given += 1;
            TaskId(TaskId::FIRST_ROOT.0 + self.given)
        })
    }
}

impl Run {
    /// The task whose histograms are worth a look, and its span.
    pub(in super::super) fn next_suspect(&mut self) -> Option<(TaskId, u64)> {
        loop {
            let id = self.tasks.suspects.pop_front()?;
            let Some(task) = self.tasks.open.get_mut(&id) else { continue };
            let span = task.identity.span;
            task.asked_at = task.known.busy_time;
            // Another task may have the span by now.
            if self.tasks.by_span.get(&span) == Some(&id) {
                return Some((id, span));
            }
            self.looked(id, None);
        }
    }

    /// Whether the histograms of any task are worth a look.
    pub(in super::super) fn has_suspects(&self) -> bool {
        !self.tasks.suspects.is_empty()
    }

    /// Nobody can be asked any more.
    pub(in super::super) fn forget_suspects(&mut self) {
        for id in std::mem::take(&mut self.tasks.suspects) {
            if let Some(task) = self.tasks.open.get_mut(&id) {
                task.asked_at = task.known.busy_time;
            }
            self.looked(id, None);
        }
    }

    /// What the histograms of a task say, if there was an answer.
    pub(super) fn looked(&mut self, id: TaskId, times: Option<PollTimes>) {
        if self.tasks.look(id, times) {
            self.tell_of(Subject::Task(id));
        }
    }

    /// Takes in what an update says of tasks; `oldest` becomes the earliest instant at which one was made.
    pub(super) fn tasks_of(
        &mut self,
        update: TaskUpdate,
        kind: Kind,
        is_complete: bool,
        oldest: &mut Option<i64>,
    ) {
        let TaskUpdate { new_tasks, mut stats_update, .. } = update;
        if is_complete {
            self.end_missing_tasks(&stats_update);
        }
        for introduction in new_tasks {
            let Some(span) = introduction.id.as_ref().map(|id| id.id) else { continue };
            let stats = stats_update.remove(&span);
            let made_at = stats.as_ref().and_then(|it| unix(&it.created_at));
            if self.has_told_all(span, made_at, stats.as_ref(), kind) {
                continue;
            }
            let before = self.tasks.by_span.get(&span).copied();
            // What it did before anybody watched is of no known time.
            let since = made_at.filter(|at| !self.was_before(*at, kind));
            let Some(id) = self.introduce(span, made_at, since, &introduction) else { continue };
            if before != Some(id) {
                *oldest = [*oldest, since].into_iter().flatten().min();
            }
            if let Some(stats) = stats {
                self.count(id, &stats);
            }
        }
        for (span, stats) in stats_update {
            let made_at = unix(&stats.created_at);
            let id = self.tasks.with_span(span);
            let known = self.tasks.open.get(&id);
            let is_it = known.is_some_and(|task| {
                let known = task.identity.made_at;
                known.is_none() || made_at.is_none() || known == made_at
            });
            if is_it {
                self.count(id, &stats);
            } else if !self.has_told_all(span, made_at, Some(&stats), kind) {
                // Nobody introduced it: there were too many to be told of at first.
                self.lose_once(RecordKind::Task, span, made_at);
            }
        }
    }

    /// Whether a task was told of to its end: wakers that outlive it go on being counted, and a program keeps
    /// what has ended for later viewers.
    fn has_told_all(
        &self,
        span: u64,
        made_at: Option<i64>,
        stats: Option<&Stats>,
        kind: Kind,
    ) -> bool {
        let ended_at = stats.and_then(|it| unix(&it.dropped_at));
        // Of what ended before the last update, and is not known here, the end was told long ago.
        let is_old = |at| self.remembered.is_partial && self.at(at) <= self.previous;
        let is_open = self.tasks.by_span.contains_key(&span);
        let is_forgotten = kind == Kind::Initial && !is_open && ended_at.is_some_and(is_old);
        made_at.is_some_and(|at| self.remembered.has(span, at)) || is_forgotten
    }

    fn introduce(
        &mut self,
        span: u64,
        made_at: Option<i64>,
        since: Option<i64>,
        introduction: &Introduction,
    ) -> Option<TaskId> {
        if let Some(&id) = self.tasks.by_span.get(&span) {
            let known = self.tasks.open.get(&id).and_then(|task| task.identity.made_at);
            if known.is_some() && known == made_at {
                return Some(id);
            }
            // The span is another task's now, so the one before has ended, at this latest.
            self.end_task(id, made_at.unwrap_or(self.unix_now()));
        }
        if self.tasks.open.len() >= MAX_TASKS {
            self.lose_once(RecordKind::Task, span, made_at);
            return None;
        }
        let (tokio, spawn) = self.spawn(introduction);
        let id = self.tasks.id(tokio);
        let task = Task {
            identity: Identity { span, made_at },
            spawn: Some(Box::new(spawn)),
            known: Counters::default(),
            told: Counters::default(),
            ended_at: None,
            has_news: true,
            since: since.map_or(Nanos(0), |at| self.at(at)),
            times: PollTimes::default(),
            told_times: PollTimes::default(),
            asked_at: 0,
            measured_at: None,
            is_told_unknown: false,
            is_suspect: false,
        };
        self.tasks.by_span.insert(span, id);
        self.tasks.open.insert(id, task);
        self.tell_of(Subject::Task(id));
        Some(id)
    }

    /// What is said of a task when it is introduced, with tokio's id of it.
    fn spawn(&mut self, introduction: &Introduction) -> (Option<u64>, Spawn) {
        let own = introduction.metadata.as_ref().map(|id| id.id);
        let (mut tokio, mut task_name, mut word) = (None, None, None);
        let mut fields = Vec::new();
        for field in &introduction.fields {
            let callsite = field.metadata_id.as_ref().map(|id| id.id).or(own);
            let key = name(field, self.field_names(callsite));
            match key {
                "" => continue,
                "task.id" => tokio = number(field),
                "task.name" => task_name = text(field).filter(|name| !name.is_empty()),
                "kind" => word = text(field),
                _ => {}
            }
            if TOLD.contains(&key) || fields.len() >= MAX_FIELDS {
                continue;
            }
            if let Some(value) = text(field) {
                let value = cut(&value, MAX_VALUE_BYTES).to_owned();
                fields.push((cut(key, MAX_TEXT_BYTES).to_owned(), value));
            }
        }
        let is_blocking = introduction.kind == task::Kind::Blocking as i32;
        let kind = match word.as_deref() {
            Some("local") => TaskKind::Local,
            Some("block_on") => TaskKind::BlockOn,
            Some("blocking") => TaskKind::Blocking,
            None if is_blocking => TaskKind::Blocking,
            _ => TaskKind::Async,
        };
        let mut more = |key: &str, value: &str| {
            if fields.len() < MAX_FIELDS {
                fields.push((key.to_owned(), cut(value, MAX_VALUE_BYTES).to_owned()));
            }
        };
        let at = place(&introduction.location);
        let location = at.map_or(LocationId::NONE, |at| self.words.location(at));
        if let Some((file, line, column)) = at.filter(|_| location.is_none()) {
            more("location", &format!("{file}:{line}:{column}"));
        }
        let name = task_name.as_deref().and_then(|name| self.words.name(name));
        if let Some(text) = task_name.filter(|_| name.is_none()) {
            more("task.name", &text);
        }
        let parents = introduction.parents.iter().rev().map(|it| self.tasks.with_span(it.id));
        let parent = parents.into_iter().find(|it| !it.is_none()).unwrap_or(TaskId::NONE);
        (tokio, Spawn { kind, location, parent, name, fields })
    }

    fn count(&mut self, id: TaskId, stats: &Stats) {
        let before = self.previous;
        let origin = self.origin;
        let Some(task) = self.tasks.open.get_mut(&id) else { return };
        task.identity.made_at = task.identity.made_at.or(unix(&stats.created_at));
        if task.known == task.told && before != Nanos(0) && task.spawn.is_none() {
            // A poll that was under way is counted once it ends, all of it.
            let began = task.known.last_poll_started.filter(|_| task.known.is_in_poll());
            task.since = began.map_or(before, |began| since_origin(origin, began).min(before));
        }
        task.known.raise(&Counters::of(stats));
        task.ended_at = task.ended_at.or(unix(&stats.dropped_at));
        let is_suspect = task.may_have_been_slow()
            && !task.is_suspect
            && self.tasks.suspects.len() < MAX_SUSPECTS;
        if is_suspect {
            task.is_suspect = true;
            self.tasks.suspects.push_back(id);
        }
        if !std::mem::replace(&mut task.has_news, true) {
            self.tell_of(Subject::Task(id));
        }
    }

    fn end_task(&mut self, id: TaskId, at: i64) {
        let Some(task) = self.tasks.open.get_mut(&id) else { return };
        task.ended_at = task.ended_at.or(Some(at));
        if !std::mem::replace(&mut task.has_news, true) {
            self.tell_of(Subject::Task(id));
        }
    }

    /// Tasks that the program no longer has, not even among those that ended lately, have ended while
    /// nobody was connected.
    fn end_missing_tasks(&mut self, stats: &HashMap<u64, Stats>) {
        let here: HashSet<u64> = stats.keys().copied().collect();
        let spans = self.tasks.by_span.iter();
        let missing: Vec<TaskId> =
            spans.filter(|(span, _)| !here.contains(span)).map(|(_, id)| *id).collect();
        let now = self.unix_now();
        missing.into_iter().for_each(|id| self.end_task(id, now));
    }

    pub(super) fn unix_now(&self) -> i64 {
        self.origin.saturating_add_unsigned(self.now.0)
    }

    /// Tells what has changed of a task.
    pub(super) fn tell_task(&mut self, id: TaskId, out: &mut Out) {
        let (origin, now) = (self.origin, self.now);
        let at = |unix: i64| since_origin(origin, unix);
        let Entry::Occupied(mut entry) = self.tasks.open.entry(id) else { return };
        let task = entry.get_mut();
        task.has_news = false;
        // Until it is known when it was made nothing is told of it.
        if let Some(made_at) = task.identity.made_at
            && let Some(spawn) = task.spawn.take()
        {
            tell_spawn(id, at(made_at), *spawn, out);
        }
        if task.spawn.is_some() && task.ended_at.is_none() {
            return;
        }
        let mut counts = counts(task, at);
        counts.are_lengths_known = task.news_of_lengths();
        if task.spawn.is_none() && counts != TaskCounts::default() {
            counts.since = task.since;
            out.push(Event { at: now, kind: EventKind::TaskCounted { task: id, counts } });
        }
        (task.told, task.told_times) = (task.known, task.times);
        if let Some(are_known) = counts.are_lengths_known {
            task.is_told_unknown = !are_known;
        }
        let Some(ended_at) = task.ended_at else { return };
        if task.is_suspect {
            // Its histograms are still to be read; it is told of once they are.
            return;
        }
        if task.spawn.is_none() {
            let outcome = Outcome::Unknown;
            out.push(Event { at: at(ended_at), kind: EventKind::TaskEnded { task: id, outcome } });
        } else {
            self.books.lose(RecordKind::Task, DropCause::Malformed, 1, now);
        }
        let identity = entry.remove().identity;
        if self.tasks.by_span.get(&identity.span) == Some(&id) {
            self.tasks.by_span.remove(&identity.span);
        }
        self.remembered.add(identity);
    }
}

fn tell_spawn(task: TaskId, at: Nanos, spawn: Spawn, out: &mut Out) {
    let Spawn { kind, location: spawn_location, parent, name, fields } = spawn;
    let loop_id = LoopId::NONE;
    let spawned = EventKind::TaskSpawned { task, loop_id, spawn_location, parent, kind };
    out.push(Event { at, kind: spawned });
    if let Some(name) = name {
        out.push(Event { at, kind: EventKind::TaskNamed { task, name } });
    }
    if !fields.is_empty() {
        out.push(Event { at, kind: EventKind::TaskFields { task, fields } });
    }
}

/// What has been added since it was last told of.
fn counts(task: &Task, at: impl Fn(i64) -> Nanos) -> TaskCounts {
    let (known, told) = (&task.known, &task.told);
    let news = |known: Option<i64>, told: Option<i64>| match known {
        Some(known) if told != Some(known) => at(known),
        _ => Nanos(0),
    };
    TaskCounts {
        polls: known.polls - told.polls,
        busy_time: known.busy_time - told.busy_time,
        wakes: known.wakes - told.wakes,
        self_wakes: known.self_wakes - told.self_wakes,
        scheduled_time: known.scheduled_time - told.scheduled_time,
        first_poll_at: news(known.first_poll, told.first_poll),
        last_poll_started_at: news(known.last_poll_started, told.last_poll_started),
        last_poll_ended_at: news(known.last_poll_ended, told.last_poll_ended),
        last_woken_at: news(known.last_woken, told.last_woken),
        max_poll_time: if task.times.max > task.told_times.max { task.times.max } else { 0 },
        slow_polls: task.times.slow - task.told_times.slow,
        ..TaskCounts::default()
    }
}
