//! One run of one program: what is known of everything that is open, and what was told of it.
//!
//! Pure: updates go in, batches come out, the clock is the program's. Ids of the protocol are those of
//! tracing's spans, which are used again, so that everything has an id of its own here.

mod books;
mod op;
mod resource;
mod task;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use console_api::instrument::Update;
use console_api::register_metadata::NewMetadata;
use console_api::tasks::TaskDetails;
use loopd_analysis::capture::{CONSOLE_AGENT, CONSOLE_LAYER};
use loopd_model::{
    Anchor, Batch, Coverage, CoverageState, DropCause, DumpId, Event, EventKind, LoopId, Metric,
    Nanos, Process, ProcessId, RecordKind, ResourceId, Settings, TaskId, UnixNanos,
};

use self::books::Books;
use self::op::{OpId, Ops};
use self::resource::Resources;
use self::task::{Identity, Tasks};
use super::histogram;
use super::values::unix;
use super::words::Words;

/// Polls at least this long are slow: asyncio's default, and that of our agents.
const SLOW: u64 = 100_000_000;
/// Events of one batch, and about how many bytes: well within what a collector takes.
const MAX_BATCH_EVENTS: usize = 8_192;
const MAX_BATCH_BYTES: usize = 384 << 10;
/// Callsites of a program that are told apart; a large one has some ten thousand.
const MAX_METADATA: usize = 65_536;
/// Of so many fields of a callsite the names are kept.
const MAX_FIELD_NAMES: usize = 32;
/// Readings, answers and changes of coverage that were not sent yet; older ones are dropped.
const MAX_NOTES: usize = 256;
/// No program has run for longer than this; what says so has a clock that is wrong.
const LONGEST_RUN: i64 = 366 * 24 * 3_600_000_000_000;
/// Of so many tasks that had gone it is known that they were told of, and of as many before them.
const MAX_REMEMBERED: usize = 1 << 17;
/// So many tasks, resources and operations that could not be told of are told apart; more are not counted.
const MAX_STRANGERS: usize = 1 << 17;

/// The metric of how late reports are, in nanoseconds: the age of the oldest news in the last update.
const LAG: &str = "console_lag_nanos";
/// The same of the update itself: from the program's clock when it was made to ours when it was read.
const DELIVERY: &str = "console_delivery_nanos";
/// Events that the program itself has dropped.
const DROPPED: &str = "console_dropped_events";

/// Why a layer of an agent records nothing here.
const NOT_CAPTURED: &str =
    "not captured by console snapshots; `loopd-agent` in the program records it";

#[derive(Debug)]
pub(super) struct Run {
    id: ProcessId,
    /// Wall time of its instant 0, by the program's clock.
    origin: i64,
    now: Nanos,
    /// When the last update was made, and the one before it.
    updated: Nanos,
    previous: Nanos,
    /// When the first update of this connection was made, in unix nanoseconds.
    connected_at: i64,
    /// The same if it told of nothing that was there by then.
    blind_until: Option<i64>,
    /// When it was read, by our clock.
    arrived: i64,
    metadata: HashMap<u64, Callsite>,
    tasks: Tasks,
    resources: Resources,
    ops: Ops,
    words: Words,
    books: Books,
    /// Whose known state differs from what was told, each once.
    news: VecDeque<Subject>,
    notes: VecDeque<Event>,
    remembered: Remembered,
    strangers: HashSet<u64>,
    dropped_events: u64,
    is_paused: bool,
}

/// What can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Task(TaskId),
    Resource(ResourceId),
    Op(OpId),
}

/// A span or event of the program's source.
#[derive(Debug)]
struct Callsite {
    /// Of what it says of itself.
    hash: u64,
    fields: Vec<String>,
}

/// Whether an update is of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    Another,
    /// It has too little to say.
    Unclear,
}

/// What an update is to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of a connection: everything that the program has.
    Initial,
    /// The first of a connection, and only news: everything was too much for a message.
    Blind,
    /// News.
    Later,
}

/// When a batch was made of what.
pub(super) struct Sealed {
    pub(super) batch: Batch,
    /// Events by kind.
    pub(super) counts: [u32; RecordKind::SLOTS],
}

impl Run {
    /// Begins with the first update of a connection.
    pub(super) fn new(update: &Update, arrived: i64) -> Self {
        let now = unix(&update.now).unwrap_or(arrived);
        let tasks = update.task_update.iter().flat_map(|it| it.stats_update.values());
        let resources = update.resource_update.iter().flat_map(|it| it.stats_update.values());
        let created = tasks
            .map(|stats| unix(&stats.created_at))
            .chain(resources.map(|stats| unix(&stats.created_at)));
        let earliest = created.flatten().filter(|at| *at > now - LONGEST_RUN).min();
        // Instant 0 means "not known" in places, so nothing happens at it.
        let origin = earliest.unwrap_or(now).min(now) - 1;
        Self {
            id: ProcessId(random_id()),
            origin,
            now: Nanos(0),
            updated: Nanos(0),
            previous: Nanos(0),
            connected_at: now,
            blind_until: None,
            arrived,
            metadata: HashMap::new(),
            tasks: Tasks::default(),
            resources: Resources::default(),
            ops: Ops::default(),
            words: Words::default(),
            books: Books::default(),
            news: VecDeque::new(),
            notes: VecDeque::new(),
            remembered: Remembered::default(),
            strangers: HashSet::new(),
            dropped_events: 0,
            is_paused: false,
        }
    }

    /// Whether an update of another connection is of this run. It is only if something in it is known from
    /// before: the same span, made in the same nanosecond. Ids alone prove nothing, as spans use them again
    /// and a restarted program gives the same ones; and a callsite that has become another one, which is an
    /// address, is of another program.
    ///
    /// `is_whole`: it has everything that the program has. Of mere news it is another's only if something in
    /// it contradicts what is known.
    pub(super) fn likeness(&self, update: &Update, is_whole: bool) -> Likeness {
        let changed = callsites(update).any(|(id, callsite)| {
            self.metadata.get(&id).is_some_and(|known| known.hash != callsite.hash)
        });
        let tasks = update.task_update.iter().flat_map(|it| &it.stats_update);
        let resources = update.resource_update.iter().flat_map(|it| &it.stats_update);
        let tasks = tasks.filter_map(|(span, stats)| {
            let at = unix(&stats.created_at)?;
            let is_it = self.remembered.has(*span, at);
            if is_it { Some(true) } else { self.tasks.made_at(*span).map(|known| known == at) }
        });
        let resources = resources.filter_map(|(span, stats)| {
            let at = unix(&stats.created_at)?;
            self.resources.made_at(*span).map(|known| known == at)
        });
        let (mut is_same, mut is_contradicted) = (false, false);
        for is_it in tasks.chain(resources) {
            is_same |= is_it;
            is_contradicted |= !is_it;
        }
        match is_same {
            _ if changed => Likeness::Another,
            true => Likeness::Same,
            false if is_whole || is_contradicted => Likeness::Another,
            false => Likeness::Unclear,
        }
    }

    /// How loopd is told of it.
    pub(super) fn process(&self, app: &str, target: &str) -> Process {
        Process {
            id: self.id,
            app: app.to_owned(),
            app_version: String::new(),
            host: String::new(),
            pid: 0,
            labels: vec![("console.target".to_owned(), target.to_owned())],
            agent: CONSOLE_AGENT.to_owned(),
            agent_version: String::new(),
            anchor: Anchor { at: Nanos(0), unix: UnixNanos(self.origin) },
            coverage: self.coverage(),
            slow_threshold: SLOW,
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> ProcessId {
        self.id
    }

    fn coverage(&self) -> Vec<Coverage> {
        let layer = |layer: &str, state, reason: &str| Coverage {
            layer: layer.to_owned(),
            state,
            reason: reason.to_owned(),
        };
        let paused = "a viewer of the program's console has paused its reports; they go on when one \
                      resumes them";
        let console = match self.is_paused {
            true => layer(CONSOLE_LAYER, CoverageState::Off, paused),
            false => layer(CONSOLE_LAYER, CoverageState::On, ""),
        };
        let others = [
            "hooks",
            "wrapped",
            "schedule_latency",
            "watchdog",
            "metrics",
            "tracing",
            "guards",
            "fds",
            "app_events",
        ];
        let none = others.map(|other| layer(other, CoverageState::Unavailable, NOT_CAPTURED));
        std::iter::once(console).chain(none).collect()
    }

    /// A viewer has paused the program's reports, or resumed them.
    pub(super) fn paused(&mut self, is_paused: bool, arrived: i64) {
        if self.is_paused != is_paused {
            self.is_paused = is_paused;
            // No update says what time it is there.
            let since = arrived.saturating_sub(self.arrived).max(1).cast_unsigned();
            (self.now, self.arrived) = (self.now.after(since), self.arrived.max(arrived));
            let settings = Settings::default();
            self.note(EventKind::CoverageChanged { coverage: self.coverage(), settings });
        }
    }

    /// Somebody asked where every task waits.
    pub(super) fn cannot_dump(&mut self, dump: DumpId) {
        let reason = format!("where tasks wait is {NOT_CAPTURED}");
        self.note(EventKind::DumpEnded { dump, tasks: 0, left_out: 0, reason });
    }

    fn note(&mut self, kind: EventKind) {
        self.notes.push_back(Event { at: self.now, kind });
        if self.notes.len() > MAX_NOTES
            && let Some(dropped) = self.notes.pop_front()
        {
            self.books.lose(dropped.kind.record_kind(), DropCause::AgentLimit, 1, self.now);
        }
    }

    /// Takes an update in.
    pub(super) fn apply(&mut self, update: Update, kind: Kind, arrived: i64) {
        let made = unix(&update.now).unwrap_or(arrived);
        (self.previous, self.arrived) = (self.updated, arrived);
        self.now = self.now.max(self.at(made));
        self.updated = self.now;
        if kind != Kind::Later {
            self.connected_at = made;
            self.blind_until = (kind == Kind::Blind).then_some(made);
        }
        // What is still here at the end has been there before, unless all of the program was told.
        let is_complete = kind == Kind::Initial && self.has_all_callsites(&update);
        let dropped = [
            (RecordKind::Task, update.task_update.as_ref().map(|it| it.dropped_events)),
            (RecordKind::Resource, update.resource_update.as_ref().map(|it| it.dropped_events)),
            (RecordKind::Wait, update.async_op_update.as_ref().map(|it| it.dropped_events)),
        ];
        for (id, callsite) in callsites(&update) {
            if self.metadata.len() < MAX_METADATA || self.metadata.contains_key(&id) {
                self.metadata.insert(id, callsite);
            }
        }
        let mut oldest = None;
        self.tasks_of(update.task_update.unwrap_or_default(), kind, is_complete, &mut oldest);
        let has_dropped = dropped.iter().any(|(_, count)| count.is_some_and(|count| count > 0));
        let resources = update.resource_update.unwrap_or_default();
        let poll_ops = self.resources_of(resources, kind, is_complete, &mut oldest);
        let ops = update.async_op_update.unwrap_or_default();
        self.ops_of(ops, &poll_ops, kind, is_complete, has_dropped);
        for (kind, count) in dropped {
            let count = count.unwrap_or(0);
            if count > 0 {
                // The program made more than its console could take in.
                self.books.lose(kind, DropCause::RingFull, count, self.now);
                self.dropped_events = self.dropped_events.saturating_add(count);
            }
        }
        let oldest = oldest.unwrap_or(made);
        let reading = |name: &str, value: i64| Metric {
            name: name.to_owned(),
            worker: None,
            value: value as f64,
        };
        let dropped = i64::try_from(self.dropped_events).unwrap_or(i64::MAX);
        let metrics = vec![
            reading(LAG, arrived.saturating_sub(oldest.min(made))),
            reading(DELIVERY, arrived.saturating_sub(made)),
            reading(DROPPED, dropped),
        ];
        // Of readings that nobody could send only the last is worth it.
        self.notes.retain(|note| !matches!(note.kind, EventKind::Metrics { .. }));
        self.note(EventKind::Metrics { loop_id: LoopId::NONE, metrics });
    }

    /// Whether an instant, of something that an update of this kind tells, is of before this connection.
    fn was_before(&self, at: i64, kind: Kind) -> bool {
        kind != Kind::Later || at <= self.connected_at
    }

    /// Counters of what nobody introduced: it is lost if that should have been before this connection, and
    /// else a part of something else.
    fn unseen(&mut self, kind: RecordKind, span: u64, made_at: Option<i64>) {
        if self.blind_until.zip(made_at).is_some_and(|(until, at)| at <= until) {
            self.lose_once(kind, span, made_at);
        }
    }

    /// Notes a loss, unless it was noted.
    fn lose_once(&mut self, kind: RecordKind, span: u64, made_at: Option<i64>) {
        let subject = HASHER.hash_one((kind as usize, span, made_at));
        if self.strangers.len() < MAX_STRANGERS && self.strangers.insert(subject) {
            self.books.lose(kind, DropCause::AgentLimit, 1, self.now);
        }
    }

    /// An instant of the program's as one of its run.
    fn at(&self, unix: i64) -> Nanos {
        since_origin(self.origin, unix)
    }

    /// The first update has every callsite there is. Where it does not, it was too large to be sent, and
    /// this is the one after it.
    fn has_all_callsites(&self, update: &Update) -> bool {
        let told: HashSet<u64> = callsites(update).map(|(id, _)| id).collect();
        !told.is_empty() && self.metadata.keys().all(|id| told.contains(id))
    }

    /// Names of the fields of a callsite, as far as they are known.
    fn field_names(&self, callsite: Option<u64>) -> &[String] {
        let known = callsite.and_then(|id| self.metadata.get(&id));
        known.map_or(&[], |callsite| &callsite.fields)
    }

    /// What the histograms of a task say, if there was an answer.
    pub(super) fn details(&mut self, task: TaskId, details: Option<&TaskDetails>) {
        use console_api::tasks::task_details::PollTimesHistogram as Times;
        let times = match details.and_then(|it| it.poll_times_histogram.as_ref()) {
            Some(Times::Histogram(times)) => histogram::read(times, SLOW),
            Some(Times::LegacyHistogram(bytes)) => histogram::read_bytes(bytes, SLOW),
            None => None,
        };
        self.looked(task, times);
    }

    fn tell_of(&mut self, subject: Subject) {
        self.news.push_back(subject);
    }

    /// Whether there is anything to send.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
            || !self.notes.is_empty()
            || self.words.has_new()
            || self.books.has_new()
    }

    /// The next batch: of what has changed, as much as fits.
    pub(super) fn seal(&mut self, seq: u64) -> Sealed {
        let mut out = Out::default();
        while !out.is_full(self.words.new_bytes()) {
            if let Some(note) = self.notes.pop_front() {
                out.push(note);
                continue;
            }
            match self.news.pop_front() {
                Some(Subject::Task(task)) => self.tell_task(task, &mut out),
                Some(Subject::Resource(resource)) => self.tell_resource(resource, &mut out),
                Some(Subject::Op(op)) => self.tell_op(op, &mut out),
                None => break,
            }
        }
        for kind in RecordKind::ALL {
            self.books.produced(kind, u64::from(out.counts[kind as usize]));
        }
        let unix = UnixNanos(self.origin.saturating_add_unsigned(self.now.0));
        let mut batch = Batch {
            seq,
            anchor: Anchor { at: self.now, unix },
            events: out.events,
            ..Batch::default()
        };
        self.words.put(&mut batch);
        (batch.losses, batch.ledger) = self.books.close();
        Sealed { batch, counts: out.counts }
    }

    /// Totals for the last word.
    pub(super) fn ledger(&self) -> Vec<loopd_model::LedgerEntry> {
        self.books.ledger()
    }
}

/// Events of a batch that is being made.
#[derive(Debug, Default)]
struct Out {
    events: Vec<Event>,
    counts: [u32; RecordKind::SLOTS],
    /// About how many, texts included.
    bytes: usize,
}

impl Out {
    fn push(&mut self, event: Event) {
        let texts = match &event.kind {
            EventKind::TaskFields { fields, .. } => {
                fields.iter().map(|(key, value)| key.len() + value.len() + 8).sum()
            }
            EventKind::ResourceOpened { kind, name, .. } => kind.len() + name.len(),
            EventKind::ResourceState { readings, .. } => 24 * readings.len(),
            EventKind::Metrics { metrics, .. } => 40 * metrics.len(),
            EventKind::CoverageChanged { coverage, .. } => 128 * coverage.len(),
            _ => 0,
        };
        self.bytes += 64 + texts;
        self.counts[event.kind.record_kind() as usize] += 1;
        self.events.push(event);
    }

    fn is_full(&self, others: usize) -> bool {
        self.events.len() >= MAX_BATCH_EVENTS || self.bytes + others >= MAX_BATCH_BYTES
    }
}

/// An instant of the program's as one of a run that has this origin.
fn since_origin(origin: i64, unix: i64) -> Nanos {
    Nanos(unix.saturating_sub(origin).max(1).cast_unsigned())
}

/// The callsites that an update tells of.
fn callsites(update: &Update) -> impl Iterator<Item = (u64, Callsite)> {
    let all = update.new_metadata.iter().flat_map(|it| &it.metadata);
    all.filter_map(|NewMetadata { id, metadata }| {
        let (id, metadata) = (id.as_ref()?.id, metadata.as_ref()?);
        let line = metadata.location.as_ref().and_then(|at| at.line);
        let names = &metadata.field_names;
        let hash = HASHER.hash_one((&metadata.name, &metadata.target, line, names));
        let fields = match names.len() <= MAX_FIELD_NAMES {
            true => names.clone(),
            false => Vec::new(),
        };
        Some((id, Callsite { hash, fields }))
    })
}

/// The same for all callsites of this process.
static HASHER: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);

/// Which tasks were told to their end, as hashes of span and instant, in two generations.
#[derive(Debug, Default)]
struct Remembered {
    sets: [HashSet<u64>; 2],
    /// Whether some were forgotten.
    is_partial: bool,
}

impl Remembered {
    fn hash(span: u64, made_at: i64) -> u64 {
        HASHER.hash_one((span, made_at))
    }

    fn has(&self, span: u64, made_at: i64) -> bool {
        let hash = Self::hash(span, made_at);
        self.sets.iter().any(|set| set.contains(&hash))
    }

    fn add(&mut self, identity: Identity) {
        let Some(made_at) = identity.made_at else { return };
        if self.sets[0].len() >= MAX_REMEMBERED {
            self.is_partial |= !self.sets[1].is_empty();
            self.sets.swap(0, 1);
            self.sets[0].clear();
        }
        self.sets[0].insert(Self::hash(identity.span, made_at));
    }
}

/// 16 bytes that nobody else has.
fn random_id() -> [u8; 16] {
    let hash = |salt: u8| {
        let state = RandomState::new();
        state.hash_one((salt, std::process::id(), super::values::now()))
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&hash(0).to_le_bytes());
    id[8..].copy_from_slice(&hash(1).to_le_bytes());
    id
}

#[cfg(test)]
mod tests {
    use console_api::tasks::{Stats, Task, TaskUpdate};

    use super::*;

    fn tasks(spans: std::ops::Range<u64>, name: &str) -> Update {
        let made_at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9);
        let field = console_api::Field {
            name: Some(console_api::field::Name::StrName("note".into())),
            value: Some(console_api::field::Value::StrVal(name.into())),
            ..console_api::Field::default()
        };
        let task = |span: u64| Task {
            id: Some(span.into()),
            fields: vec![field.clone()],
            ..Task::default()
        };
        let stats = Stats { created_at: Some(made_at.into()), ..Stats::default() };
        Update {
            now: Some(made_at.into()),
            task_update: Some(TaskUpdate {
                new_tasks: spans.clone().map(task).collect(),
                stats_update: spans.map(|span| (span, stats)).collect(),
                dropped_events: 0,
            }),
            ..Update::default()
        }
    }

    /// Everything there is to say, as batches that loopd takes.
    fn told(run: &mut Run) -> (Vec<Event>, u64) {
        let (mut events, mut lost, mut seq) = (Vec::new(), 0, 0);
        while run.has_news() {
            seq += 1;
            let Sealed { batch, .. } = run.seal(seq);
            lost += batch.losses.iter().map(|loss| loss.count).sum::<u64>();
            events.extend(batch.events.iter().cloned());
            assert!(batch.events.len() <= loopd_wire::MAX_EVENTS);
            let encoded = loopd_wire::encode_batch(batch);
            assert!(loopd_wire::encoded_len(&encoded) <= loopd_wire::MAX_BATCH_BYTES);
        }
        (events, lost)
    }

    #[test]
    fn what_is_beyond_the_table_is_lost_once_and_every_batch_is_one_that_is_taken() {
        const TASKS: u64 = 1 << 17;
        let update = tasks(0..TASKS + 5, &"x".repeat(300));
        let mut run = Run::new(&update, 0);
        run.apply(update.clone(), Kind::Initial, 0);
        let (events, lost) = told(&mut run);
        let is_spawn = |it: &&Event| matches!(it.kind, EventKind::TaskSpawned { .. });
        assert_eq!((events.iter().filter(is_spawn).count() as u64, lost), (TASKS, 5));
        // The program says all of it again.
        run.apply(update, Kind::Later, 0);
        assert_eq!(told(&mut run).1, 0);
    }

    #[test]
    fn what_is_inside_of_other_resources_takes_no_room() {
        use console_api::resources::{Resource, ResourceUpdate, Stats};
        let opened = |span: u64, is_internal| {
            let made_at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9);
            let resource = Resource {
                id: Some(span.into()),
                concrete_type: "Mutex".into(),
                is_internal,
                ..Resource::default()
            };
            (resource, (span, Stats { created_at: Some(made_at.into()), ..Stats::default() }))
        };
        let update = |all: Vec<(Resource, (u64, Stats))>| {
            let (new_resources, stats): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            let stats_update = stats.into_iter().collect();
            let resources =
                ResourceUpdate { new_resources, stats_update, ..ResourceUpdate::default() };
            Update { resource_update: Some(resources), ..tasks(0..1, "a") }
        };
        let mut run = Run::new(&tasks(0..1, "a"), 0);
        let inner = (1..=1 << 16).map(|span| opened(span, true)).collect();
        run.apply(update(inner), Kind::Initial, 0);
        run.apply(update(vec![opened(1 << 20, false)]), Kind::Later, 0);
        let (events, lost) = told(&mut run);
        let is_open = |it: &&Event| matches!(it.kind, EventKind::ResourceOpened { .. });
        assert_eq!((events.iter().filter(is_open).count(), lost), (1, 0));
    }

    #[test]
    fn a_name_that_is_one_too_many_is_a_field() {
        const NAMES: u64 = 8_192;
        let mut update = tasks(0..NAMES + 1, "a");
        for task in &mut update.task_update.as_mut().unwrap().new_tasks {
            let name = format!("worker {}", task.id.as_ref().unwrap().id);
            task.fields.push(console_api::Field {
                name: Some(console_api::field::Name::StrName("task.name".into())),
                value: Some(console_api::field::Value::StrVal(name)),
                ..console_api::Field::default()
            });
        }
        let mut run = Run::new(&update, 0);
        run.apply(update, Kind::Initial, 0);
        let (events, _) = told(&mut run);
        let is_named = |it: &&Event| matches!(it.kind, EventKind::TaskNamed { .. });
        assert_eq!(events.iter().filter(is_named).count() as u64, NAMES);
        let of_fields = |it: &Event| match &it.kind {
            EventKind::TaskFields { fields, .. } => {
                fields.iter().find(|(key, _)| key == "task.name").map(|(_, value)| value.clone())
            }
            _ => None,
        };
        let names: Vec<_> = events.iter().filter_map(of_fields).collect();
        assert_eq!(names, [format!("worker {NAMES}")]);
    }

    #[test]
    fn an_update_is_of_the_run_only_if_it_has_something_of_it() {
        let update = tasks(1..4, "a");
        let mut run = Run::new(&update, 0);
        run.apply(update, Kind::Initial, 0);
        assert_eq!(run.likeness(&tasks(3..9, "a"), true), Likeness::Same);
        let others = tasks(4..9, "a");
        assert_eq!(run.likeness(&others, true), Likeness::Another, "it has none of the tasks");
        assert_eq!(run.likeness(&others, false), Likeness::Unclear, "it need not tell of them");
        assert_eq!(run.likeness(&Update::default(), true), Likeness::Another);
        let mut later = tasks(1..4, "a");
        for stats in later.task_update.as_mut().unwrap().stats_update.values_mut() {
            let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(10);
            stats.created_at = Some(at.into());
        }
        for is_whole in [true, false] {
            let likeness = run.likeness(&later, is_whole);
            assert_eq!(likeness, Likeness::Another, "they only have the same ids");
        }
    }
}
