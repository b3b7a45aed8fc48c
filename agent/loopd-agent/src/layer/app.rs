//! Spans and events of the program's own tracing, those that a filter lets through.
//!
//! They share the limit of [`crate::marks`]: a thousand a second and thread.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use loopd_model::{MarkLevel, RecordKind};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Record as Values};
use tracing::{Event, Level, Metadata};

use crate::clock::ticks;
use crate::layer::scope::{self, Entry};
use crate::layer::slab::{Role, SPANS, Slot};
use crate::marks;
use crate::notes::{AppSpan, Fields, MAX_FIELDS, MAX_MESSAGE, MAX_TEXT, Note};
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::resource::current_task;

/// Spans of the program open at once, but for one more on each thread that is just opening one: with
/// their texts some megabytes at worst. More are counted as lost.
const MAX_OPEN: usize = 2048;

static OPEN: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What is kept of an open span beside its slot.
pub(crate) struct Open {
    metadata: &'static Metadata<'static>,
    fields: Fields,
    /// The parent's number.
    parent: u64,
    /// In ticks.
    busy_time: u64,
}

/// A span was opened, inside `parent` if that is a key.
pub(crate) fn open(slot: &Slot, attributes: &Attributes<'_>, parent: Option<u64>) {
    let is_allowed = recorder::is_recording() && marks::is_within_budget();
    if !is_allowed {
        return;
    }
    if OPEN.load(Relaxed) >= MAX_OPEN {
        return recorder::count_over_limit(RecordKind::Mark);
    }
    // Before anything is noted: formatting is the program's code, which may panic.
    let texts = Texts::of(|texts| attributes.record(texts));
    let inside = || scope::innermost(&[Role::App]).map(|entry| entry.slot.number.load(Relaxed));
    let parent = match parent {
        Some(key) => SPANS.get(key).map(|slot| slot.number.load(Relaxed)),
        None if attributes.is_contextual() => inside(),
        None => None,
    };
    let metadata = attributes.metadata();
    slot.number.store(NEXT.fetch_add(1, Relaxed), Relaxed);
    slot.began.store(ticks(), Relaxed);
    slot.place.store(place_of(metadata), Relaxed);
    slot.task.store(current_task(), Relaxed);
    let open = Open { metadata, fields: texts.fields, parent: parent.unwrap_or(0), busy_time: 0 };
    if let Ok(mut app) = slot.app.try_lock() {
        *app = Some(Box::new(open));
        OPEN.fetch_add(1, Relaxed);
    }
}

/// More fields of it are known.
pub(crate) fn record(slot: &Slot, values: &Values<'_>) {
    if slot.number.load(Relaxed) == 0 {
        return;
    }
    // Before the lock: formatting is the program's code.
    let texts = Texts::of(|texts| values.record(texts));
    with_open(slot, |open| {
        for (key, value) in texts.fields {
            open.fields.retain(|(known, _)| *known != key);
            if open.fields.len() < MAX_FIELDS {
                open.fields.push((key, value));
            }
        }
    });
}

/// The innermost span that this thread is in: its key and what it is.
pub(crate) fn current() -> Option<(u64, &'static Metadata<'static>)> {
    let entry = scope::innermost(&[Role::App])?;
    let app = entry.slot.app.try_lock().ok()?;
    Some((entry.slot.key(), app.as_ref()?.metadata))
}

/// It is left.
pub(crate) fn exit(entry: Entry) {
    let length = ticks().saturating_sub(entry.at);
    with_open(entry.slot, |open| open.busy_time += length);
}

/// It is closed.
pub(crate) fn close(slot: &Slot) {
    let Some(open) = slot.app.try_lock().ok().and_then(|mut app| app.take()) else { return };
    OPEN.fetch_sub(1, Relaxed);
    if recorder::is_recording() {
        recorder::write(&Record::Note(Note::AppSpan(Box::new(AppSpan {
            at: ticks(),
            span: slot.number.load(Relaxed),
            parent: open.parent,
            task: slot.task.load(Relaxed),
            opened_at: slot.began.load(Relaxed),
            busy_time: open.busy_time,
            location: slot.place.load(Relaxed),
            name: open.metadata.name().to_owned(),
            target: open.metadata.target().to_owned(),
            fields: open.fields,
        }))));
    }
}

/// Something was traced.
pub(crate) fn event(event: &Event<'_>) {
    if !recorder::is_recording() || !marks::is_within_budget() {
        return;
    }
    let texts = Texts::of(|texts| event.record(texts));
    recorder::write(&Record::Note(Note::Mark {
        at: ticks(),
        task: current_task(),
        location: place_of(event.metadata()),
        level: level(*event.metadata().level()),
        target: event.metadata().target().to_owned(),
        message: texts.message,
        fields: texts.fields,
    }));
}

fn with_open(slot: &Slot, f: impl FnOnce(&mut Open)) {
    // In use only where two threads are in the same span at once: then one of them is not counted.
    if let Ok(mut app) = slot.app.try_lock()
        && let Some(open) = &mut *app
    {
        f(open);
    }
}

fn place_of(metadata: &Metadata<'_>) -> u64 {
    let file = metadata.file().map_or(0, place::file);
    place::made_of(file, metadata.line().unwrap_or(0), 1)
}

fn level(level: Level) -> MarkLevel {
    match level {
        Level::ERROR => MarkLevel::Error,
        Level::WARN => MarkLevel::Warn,
        Level::INFO => MarkLevel::Info,
        Level::DEBUG => MarkLevel::Debug,
        Level::TRACE => MarkLevel::Trace,
    }
}

/// The message and the fields, each cut at its limit while it is being formatted.
#[derive(Default)]
struct Texts {
    message: String,
    fields: Fields,
}

impl Texts {
    fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut texts = Self::default();
        record(&mut texts);
        texts
    }
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = limited(value, MAX_MESSAGE);
        } else if self.fields.len() < MAX_FIELDS {
            self.fields.push((field.name().to_owned(), limited(value, MAX_TEXT)));
        }
    }
}

fn limited(value: &dyn Debug, limit: usize) -> String {
    let mut text = Limited { text: String::new(), limit };
    let _ = write!(text, "{value:?}");
    text.text
}

struct Limited {
    text: String,
    limit: usize,
}

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let fitting = crate::notes::cut(text, self.limit - self.text.len());
        self.text.push_str(fitting);
        // What is longer need not be formatted to its end.
        if fitting.len() < text.len() { Err(std::fmt::Error) } else { Ok(()) }
    }
}
