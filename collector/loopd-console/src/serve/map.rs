//! From the store's words to the protocol's; the table in [`serve`](super) says what becomes what.

use std::time::{Duration, SystemTime};

use console_api as api;
use console_api::field::{Name, Value};
use console_api::register_metadata::NewMetadata;
use console_api::resources::resource;
use loopd_model::{Location, TaskId, TaskKind, UnixNanos};
use loopd_store::{ProcessKey, ResourceRow, ResourceState, TaskStanding, WaitRow};

use super::view::Program;

/// So many characters of a name, or of what is said of a task, are told.
const MAX_TEXT: usize = 200;

/// What ids are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Task = 1,
    Resource = 2,
    Op = 3,
}

/// The id of something for viewers. Within a process no two are the same; two of different processes
/// would have to meet in 64 bits.
pub(super) fn id(process: ProcessKey, sort: Sort, id: u64) -> u64 {
    mix(id ^ mix((process.0 as u64) << 2 | sort as u64))
}

/// Spreads a number over all bits, one to one.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Metadata of everything that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meta {
    Task = 1,
    Blocking = 2,
    Python = 3,
    Resource = 4,
    Op = 5,
}

impl Meta {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Task, "runtime.spawn", "tokio::task"),
        (Self::Blocking, "runtime.spawn", "tokio::task::blocking"),
        (Self::Python, "asyncio.task", "asyncio"),
        (Self::Resource, "runtime.resource", "resource"),
        (Self::Op, "runtime.resource.async_op", "async_op"),
    ];

    const fn id(self) -> api::MetaId {
        api::MetaId { id: self as u64 }
    }
}

/// All metadata there is.
pub(super) fn metadata() -> api::RegisterMetadata {
    let new = Meta::ALL.iter().map(|&(meta, name, target)| {
        let metadata = api::Metadata {
            name: name.to_owned(),
            target: target.to_owned(),
            kind: api::metadata::Kind::Span as i32,
            level: api::metadata::Level::Trace as i32,
            ..Default::default()
        };
        NewMetadata { id: Some(meta.id()), metadata: Some(metadata) }
    });
    api::RegisterMetadata { metadata: new.collect() }
}

/// What tells things of several programs apart: fields of tasks, attributes of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// The app, where several are shown.
    pub(super) app: Option<String>,
    /// The process, where several of one app are.
    pub(super) pid: Option<u32>,
}

impl Labels {
    fn fields(&self) -> impl Iterator<Item = api::Field> {
        let app = self.app.iter().map(|app| text("app", app));
        app.chain(self.pid.map(|pid| number("pid", u64::from(pid))))
    }
}

/// A task and how it stands.
pub(super) fn task(
    program: &Program,
    labels: &Labels,
    standing: &TaskStanding,
) -> (api::tasks::Task, api::tasks::Stats) {
    let is_blocking = standing.kind == Some(TaskKind::Blocking);
    let meta = match is_blocking {
        true => Meta::Blocking,
        false if program.is_python => Meta::Python,
        false => Meta::Task,
    };
    let kind = if is_blocking { api::tasks::task::Kind::Blocking } else { Default::default() };
    let mut fields = vec![number("task.id", standing.task.0)];
    fields.extend(standing.name.iter().map(|name| text("task.name", name)));
    fields.extend(standing.kind.and_then(kind_word).map(|word| text("kind", word)));
    fields.extend(labels.fields());
    fields.extend(standing.fields.iter().map(|(key, value)| told(key, value)));
    let parent = standing.parent.map(|parent| task_id(program.process, parent));
    let task = api::tasks::Task {
        id: Some(api::Id { id: task_id(program.process, standing.task) }),
        metadata: Some(meta.id()),
        kind: kind as i32,
        fields,
        parents: parent.map(|id| api::SpanId { id }).into_iter().collect(),
        location: standing.location.as_deref().map(location),
    };
    (task, task_stats(program, standing))
}

pub(super) fn task_id(process: ProcessKey, task: TaskId) -> u64 {
    id(process, Sort::Task, task.0)
}

/// When a task came to be, or the first that is known of it.
pub(super) fn created_at(program: &Program, standing: &TaskStanding) -> UnixNanos {
    let first = standing.spawned_at.or(standing.first_poll_at).or(standing.running_since);
    let first = first.or(standing.last_woken_at).unwrap_or(program.started_at);
    // An end before the beginning would be shown as a life of no time, but as an end.
    standing.ended_at.map_or(first, |ended_at| first.min(ended_at))
}

fn task_stats(program: &Program, standing: &TaskStanding) -> api::tasks::Stats {
    let running = standing.running_since.filter(|_| standing.ended_at.is_none());
    // Of a blocking job the one poll is counted already.
    let is_counted = standing.polls > 0 && standing.last_poll_start.is_none();
    let polls = standing.polls + u64::from(running.is_some() && !is_counted);
    let is_lost = standing.unwakeable_at.is_some() || standing.ended_at.is_some();
    api::tasks::Stats {
        created_at: instant(created_at(program, standing)),
        dropped_at: standing.ended_at.and_then(instant),
        wakes: standing.wakes,
        waker_clones: u64::from(!is_lost),
        waker_drops: 0,
        last_wake: standing.last_woken_at.and_then(instant),
        poll_stats: Some(api::PollStats {
            polls,
            first_poll: standing.first_poll_at.or(running).and_then(instant),
            last_poll_started: running.or(standing.last_poll_start).and_then(instant),
            last_poll_ended: standing.last_poll_end.and_then(instant),
            busy_time: length(standing.busy_time),
        }),
        self_wakes: standing.self_wakes,
        scheduled_time: length(standing.scheduled_time),
    }
}

const fn kind_word(kind: TaskKind) -> Option<&'static str> {
    match kind {
        TaskKind::Async => Some("task"),
        TaskKind::Local => Some("local"),
        TaskKind::BlockOn => Some("block_on"),
        TaskKind::Blocking => Some("blocking"),
        TaskKind::Callback => None,
    }
}

/// A resource and how it stands.
pub(super) fn resource(
    program: &Program,
    labels: &Labels,
    row: &ResourceRow,
) -> (api::resources::Resource, api::resources::Stats) {
    let id = id(program.process, Sort::Resource, row.resource.0);
    let resource = api::resources::Resource {
        id: Some(api::Id { id }),
        metadata: Some(Meta::Resource.id()),
        concrete_type: if row.kind.is_empty() { "?".to_owned() } else { shown(&row.kind) },
        kind: Some(resource::Kind { kind: Some(family(&row.kind)) }),
        location: row.location.as_ref().map(location),
        parent_resource_id: None,
        is_internal: false,
    };
    let opened_at = row.opened_at.unwrap_or(program.started_at);
    let opened_at = row.closed_at.map_or(opened_at, |closed_at| opened_at.min(closed_at));
    let stats = api::resources::Stats {
        created_at: instant(opened_at),
        dropped_at: row.closed_at.and_then(instant),
        attributes: attributes(labels, row),
    };
    (resource, stats)
}

/// In which words kinds are told, which the store has hundreds of.
fn family(kind: &str) -> resource::kind::Kind {
    use resource::kind::{Kind, Known};
    const FAMILIES: [(&str, &[&str]); 5] = [
        ("Timer", &["sleep", "interval", "timer"]),
        ("Channel", &["mpsc", "broadcast", "watch", "oneshot", "channel", "queue"]),
        ("Sync", &["mutex", "lock", "semaphore", "barrier", "notify", "condition", "event"]),
        ("Net", &["tcp", "udp", "socket", "transport", "server", "listener", "connection"]),
        ("Fs", &["file", "pipe", "dir"]),
    ];
    let lower = kind.to_ascii_lowercase();
    let has = |words: &&(&str, &[&str])| words.1.iter().any(|word| lower.contains(word));
    match FAMILIES.iter().find(has) {
        Some(("Timer", _)) => Kind::Known(Known::Timer as i32),
        Some((family, _)) => Kind::Other((*family).to_owned()),
        None if kind.is_empty() => Kind::Other("?".to_owned()),
        None => Kind::Other(shown(kind)),
    }
}

fn attributes(labels: &Labels, row: &ResourceRow) -> Vec<api::Attribute> {
    let plain = |field| api::Attribute { field: Some(field), unit: None };
    let mut attributes: Vec<_> = labels.fields().map(plain).collect();
    if !row.name.is_empty() {
        attributes.push(plain(text("name", &row.name)));
    }
    let ResourceState { depth, capacity, permits, waiters, senders, receivers, .. } = row.state;
    let ResourceState { acquired, contended, sent, received, lagged, .. } = row.state;
    if let Some(is_locked) = row.state.is_locked {
        let value = Some(Value::BoolVal(is_locked));
        attributes.push(plain(field("locked", value)));
    }
    let counts = [
        ("depth", depth),
        ("capacity", capacity),
        ("permits", permits),
        ("waiters", waiters),
        ("senders", senders),
        ("receivers", receivers),
        ("acquired", acquired),
        ("contended", contended),
        ("sent", sent),
        ("received", received),
        ("lagged", lagged),
    ];
    let told = counts.into_iter().filter_map(|(name, count)| Some(number(name, count?)));
    attributes.extend(told.map(plain));
    for (name, time) in [("waited", row.state.waited_time), ("held", row.state.held_time)] {
        let Some(time) = time else { continue };
        let field = Some(number(name, time / 1_000));
        attributes.push(api::Attribute { field, unit: Some("us".to_owned()) });
    }
    attributes
}

/// A wait as an operation; `None` if nobody knows for what.
pub(super) fn op(
    program: &Program,
    wait: &WaitRow,
) -> Option<(api::async_ops::AsyncOp, api::async_ops::Stats)> {
    let of = |sort, it| Some(api::Id { id: id(program.process, sort, it) });
    let source = match (wait.resource_kind.as_str(), wait.op.as_str()) {
        ("", op) => op.to_owned(),
        (kind, "") => kind.to_owned(),
        (kind, op) => format!("{kind}::{op}"),
    };
    let op = api::async_ops::AsyncOp {
        id: of(Sort::Op, wait.wait.0),
        metadata: Some(Meta::Op.id()),
        source: shown(&source),
        parent_async_op_id: None,
        resource_id: Some(of(Sort::Resource, wait.resource?.0)?),
    };
    let permits = (wait.amount > 0).then(|| number("permits", wait.amount));
    let attributes = permits.map(|field| api::Attribute { field: Some(field), unit: None });
    let stats = api::async_ops::Stats {
        created_at: instant(wait.began_at),
        dropped_at: wait.ended_at.and_then(instant),
        task_id: wait.task.map(|task| api::Id { id: task_id(program.process, task) }),
        poll_stats: Some(api::PollStats::default()),
        attributes: attributes.into_iter().collect(),
    };
    Some((op, stats))
}

fn location(location: &Location) -> api::Location {
    api::Location {
        file: Some(shown(&location.file)),
        module_path: None,
        line: Some(location.line),
        column: Some(location.column).filter(|&column| column > 0),
    }
}

fn field(name: &str, value: Option<Value>) -> api::Field {
    api::Field { name: Some(Name::StrName(name.to_owned())), value, metadata_id: None }
}

fn text(name: &str, value: &str) -> api::Field {
    field(&shown(name), Some(Value::StrVal(shown(value))))
}

/// What a program says of a task. The client warns of sizes, where they are numbers.
fn told(key: &str, value: &str) -> api::Field {
    let size = matches!(key, "size.bytes" | "original_size.bytes").then(|| value.parse().ok());
    size.flatten().map_or_else(|| text(key, value), |size| number(key, size))
}

/// What a program calls something, as a line of a terminal can show it: without control characters, and
/// no longer than anybody reads.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(MAX_TEXT).map(printable).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Terminals take directions of writing and lines from text, too.
fn printable(char: char) -> char {
    match char {
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        char if char.is_control() => '\u{fffd}',
        char => char,
    }
}

fn number(name: &str, value: u64) -> api::Field {
    field(name, Some(Value::U64Val(value)))
}

/// An instant for a message. What is before 1970 is no instant of a recording.
pub(super) fn instant<T: From<SystemTime>>(at: UnixNanos) -> Option<T> {
    let since = Duration::from_nanos(u64::try_from(at.0).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).map(T::from)
}

fn length<T: TryFrom<Duration>>(nanos: u64) -> Option<T> {
    T::try_from(Duration::from_nanos(nanos)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_call_things_is_one_short_line_of_text() {
        assert_eq!(shown("GET /orders/{id} ✓"), "GET /orders/{id} ✓");
        assert_eq!(
            shown("a\u{1b}[31m\nb\u{202e}c\u{9b}"),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}c\u{fffd}"
        );
        assert_eq!(shown(&"W".repeat(10_000)), "W".repeat(MAX_TEXT) + "…");
        assert_eq!(shown(&"ä".repeat(MAX_TEXT)), "ä".repeat(MAX_TEXT));
    }

    #[test]
    fn ids_of_a_process_are_all_different_and_always_the_same() {
        let process = ProcessKey(1);
        let ids: std::collections::HashSet<_> = (0..10_000)
            .flat_map(|n| [Sort::Task, Sort::Resource, Sort::Op].map(|sort| id(process, sort, n)))
            .collect();
        assert_eq!(ids.len(), 30_000);
        assert_ne!(id(ProcessKey(2), Sort::Task, 1), id(process, Sort::Task, 1));
        assert_eq!(id(process, Sort::Task, 1), 9_738_412_416_088_536_573);
    }

    #[test]
    fn kinds_have_the_words_of_a_family() {
        let word = |kind| match family(kind) {
            resource::kind::Kind::Known(known) => format!("known {known}"),
            resource::kind::Kind::Other(word) => word,
        };
        for (kind, expected) in [
            ("mutex", "Sync"),
            ("tokio::sync::RwLock", "Sync"),
            ("asyncio.Queue", "Channel"),
            ("unbounded_mpsc", "Channel"),
            ("tokio::time::Sleep", "known 0"),
            ("tcp stream", "Net"),
            ("file", "Fs"),
            ("zeppelin", "zeppelin"),
            ("", "?"),
        ] {
            assert_eq!(word(kind), expected, "{kind}");
        }
    }
}
