//! Locks, semaphores, barriers, channels and timers: whether they are open, and how things stand.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use console_api::Attribute;
use console_api::resources::{PollOp, Resource as Introduction, ResourceUpdate, Stats};
use loopd_model::{
    CloseHow, Event, EventKind, LocationId, Metric, Nanos, RecordKind, ResourceId, StackId, TaskId,
};
use loopd_wire::MAX_TEXT_BYTES;

use super::super::values::{cut, name, number, place, unix};
use super::{Kind, Out, Run, Subject};

/// Resources that are open, or not yet told of to their end.
const MAX_RESOURCES: usize = 1 << 16;
/// What has no type of its own.
const OTHER: &str = "resource";

/// By tokio's name: what our own agents call them, and whether one is worth telling of only when somebody
/// waits for it, as every timeout makes a timer.
const KINDS: [(&str, &str, bool); 7] = [
    ("Mutex", "tokio::sync::Mutex", false),
    ("RwLock", "tokio::sync::RwLock", false),
    ("Semaphore", "tokio::sync::Semaphore", false),
    ("Barrier", "tokio::sync::Barrier", false),
    ("Sender|Receiver", "tokio::sync::oneshot", false),
    ("Sleep", "tokio::time::Sleep", true),
    ("Interval", "tokio::time::Interval", true),
];

#[derive(Debug, Default)]
pub(super) struct Resources {
    by_span: HashMap<u64, ResourceId>,
    open: HashMap<ResourceId, Resource>,
    given: u64,
}

#[derive(Debug)]
struct Resource {
    span: u64,
    made_at: Option<i64>,
    kind: String,
    location: LocationId,
    /// Told of only once somebody waits for it.
    is_shy: bool,
    is_told: bool,
    known: Readings,
    told: Readings,
    closed_at: Option<i64>,
    has_news: bool,
}

/// What a resource tells of itself; `None` where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Readings {
    locked: Option<u64>,
    permits: Option<u64>,
    capacity: Option<u64>,
    sent: Option<u64>,
    received: Option<u64>,
}

impl Readings {
    fn of<'n>(
        attributes: &[Attribute],
        kind: &str,
        names: impl Fn(&Attribute) -> &'n [String],
    ) -> Self {
        let mut all = Self::default();
        let (mut write_locked, mut readers) = (None, None);
        for attribute in attributes.iter().take(MAX_ATTRIBUTES) {
            let Some(field) = &attribute.field else { continue };
            let value = number(field);
            match name(field, names(attribute)) {
                "locked" => all.locked = value,
                "write_locked" => write_locked = value,
                "current_readers" => readers = value,
                // Of a lock they are those of its inner semaphore.
                "permits" if kind == "tokio::sync::Semaphore" => all.permits = value,
                "size" if kind == "tokio::sync::Barrier" => all.capacity = value,
                "value_sent" => all.sent = value,
                "value_received" => all.received = value,
                _ => {}
            }
        }
        let by_readers = write_locked.filter(|locked| *locked > 0).or(readers).or(write_locked);
        all.locked = all.locked.or(by_readers);
        all
    }

    fn list(self) -> Vec<Metric> {
        let all = [
            ("locked", self.locked),
            ("permits", self.permits),
            ("capacity", self.capacity),
            ("sent", self.sent),
            ("received", self.received),
        ];
        let known = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known
            .map(|(name, value)| Metric {
                name: name.to_owned(),
                worker: None,
                value: value as f64,
            })
            .collect()
    }
}

/// Attributes of one resource that are looked at.
const MAX_ATTRIBUTES: usize = 32;

impl Resources {
    /// When the resource with this span was made.
    pub(super) fn made_at(&self, span: u64) -> Option<i64> {
        self.open.get(self.by_span.get(&span)?)?.made_at
    }

    /// The resource with this span, if it is known.
    pub(super) fn with_span(&self, span: u64) -> Option<ResourceId> {
        self.by_span.get(&span).copied()
    }
}

impl Run {
    /// Takes in what an update says of resources, and gives what was polled on them.
    pub(super) fn resources_of(
        &mut self,
        update: ResourceUpdate,
        kind: Kind,
        is_complete: bool,
        oldest: &mut Option<i64>,
    ) -> Vec<PollOp> {
        let ResourceUpdate { new_resources, mut stats_update, new_poll_ops, .. } = update;
        if is_complete {
            self.close_missing(&stats_update);
        }
        for introduction in new_resources {
            let Some(span) = introduction.id.as_ref().map(|id| id.id) else { continue };
            let stats = stats_update.remove(&span);
            let made_at = stats.as_ref().and_then(|it| unix(&it.created_at));
            // What was closed before anybody watched has no past worth telling.
            let closed_at = stats.as_ref().and_then(|it| unix(&it.dropped_at));
            let before = self.resources.with_span(span);
            if before.is_none() && closed_at.is_some_and(|at| self.was_before(at, kind)) {
                continue;
            }
            let Some(id) = self.introduce_resource(span, made_at, &introduction) else { continue };
            if before != Some(id) && made_at.is_some_and(|at| !self.was_before(at, kind)) {
                *oldest = [*oldest, made_at].into_iter().flatten().min();
            }
            if let Some(stats) = stats {
                self.read(id, &stats);
            }
        }
        for (span, stats) in stats_update {
            match self.resources.with_span(span) {
                Some(id) => self.read(id, &stats),
                None => self.unseen(RecordKind::Resource, span, unix(&stats.created_at)),
            }
        }
        new_poll_ops
    }

    fn introduce_resource(
        &mut self,
        span: u64,
        made_at: Option<i64>,
        introduction: &Introduction,
    ) -> Option<ResourceId> {
        if let Some(&id) = self.resources.by_span.get(&span) {
            let known = self.resources.open.get(&id).and_then(|it| it.made_at);
            if known.is_some() && known == made_at {
                return Some(id);
            }
            self.close_resource(id, made_at.unwrap_or(self.unix_now()));
            self.resources.by_span.remove(&span);
        }
        // The semaphore inside of a lock is part of it, and that of a channel has no name of its own.
        if introduction.is_internal {
            return None;
        }
        if self.resources.open.len() >= MAX_RESOURCES {
            self.lose_once(RecordKind::Resource, span, made_at);
            return None;
        }
        let named = introduction.concrete_type.as_str();
        let known = KINDS.iter().find(|(name, ..)| *name == named);
        let named = if named.is_empty() { OTHER } else { cut(named, MAX_TEXT_BYTES) };
        let (kind, is_shy) = known.map_or((named, false), |&(_, kind, is_shy)| (kind, is_shy));
        let at = place(&introduction.location);
        let location = at.map_or(LocationId::NONE, |at| self.words.location(at));
        self.resources.given += 1;
        let id = ResourceId(self.resources.given);
        let resource = Resource {
            span,
            made_at,
            kind: kind.to_owned(),
            location,
            is_shy,
            is_told: false,
            known: Readings::default(),
            told: Readings::default(),
            closed_at: None,
            has_news: true,
        };
        self.resources.by_span.insert(span, id);
        self.resources.open.insert(id, resource);
        self.tell_of(Subject::Resource(id));
        Some(id)
    }

    fn read(&mut self, id: ResourceId, stats: &Stats) {
        let Some(resource) = self.resources.open.get(&id) else { return };
        let names = |attribute: &Attribute| {
            let callsite = attribute.field.as_ref().and_then(|it| it.metadata_id.as_ref());
            self.field_names(callsite.map(|id| id.id))
        };
        let known = Readings::of(&stats.attributes, &resource.kind, names);
        let Some(resource) = self.resources.open.get_mut(&id) else { return };
        resource.made_at = resource.made_at.or(unix(&stats.created_at));
        resource.known = known;
        resource.closed_at = resource.closed_at.or(unix(&stats.dropped_at));
        if !std::mem::replace(&mut resource.has_news, true) {
            self.tell_of(Subject::Resource(id));
        }
    }

    fn close_resource(&mut self, id: ResourceId, at: i64) {
        let Some(resource) = self.resources.open.get_mut(&id) else { return };
        resource.closed_at = resource.closed_at.or(Some(at));
        if !std::mem::replace(&mut resource.has_news, true) {
            self.tell_of(Subject::Resource(id));
        }
    }

    /// What the program no longer has was closed while nobody was connected.
    fn close_missing(&mut self, stats: &HashMap<u64, Stats>) {
        let spans = self.resources.by_span.iter();
        let missing: Vec<ResourceId> =
            spans.filter(|(span, _)| !stats.contains_key(span)).map(|(_, id)| *id).collect();
        let now = self.unix_now();
        missing.into_iter().for_each(|id| self.close_resource(id, now));
    }

    /// Tells what has changed of a resource.
    pub(super) fn tell_resource(&mut self, id: ResourceId, out: &mut Out) {
        if let Some(resource) = self.resources.open.get_mut(&id) {
            resource.has_news = false;
        }
        if !self.is_shy(id) {
            self.open_resource(id, out);
        }
        let (origin, now) = (self.origin, self.now);
        let at = |unix: i64| Nanos(unix.saturating_sub(origin).max(1).cast_unsigned());
        let Entry::Occupied(mut entry) = self.resources.open.entry(id) else { return };
        let resource = entry.get_mut();
        if resource.is_told && resource.known != resource.told {
            let readings = resource.known.list();
            let kind = EventKind::ResourceState { resource: id, readings };
            out.push(Event { at: now, kind });
            resource.told = resource.known;
        }
        let Some(closed_at) = resource.closed_at else { return };
        if resource.is_told {
            let kind = EventKind::ResourceClosed { resource: id, how: CloseHow::Dropped };
            out.push(Event { at: at(closed_at), kind });
        }
        let span = entry.remove().span;
        if self.resources.by_span.get(&span) == Some(&id) {
            self.resources.by_span.remove(&span);
        }
    }

    /// Whether a resource is told of only once somebody waits for it.
    pub(super) fn is_shy(&self, id: ResourceId) -> bool {
        self.resources.open.get(&id).is_some_and(|it| it.is_shy)
    }

    /// Whether a resource has not been told of to its end.
    pub(super) fn is_open(&self, id: ResourceId) -> bool {
        self.resources.open.contains_key(&id)
    }

    /// Tells that a resource was opened, unless that was told; somebody may wait for it.
    pub(super) fn open_resource(&mut self, id: ResourceId, out: &mut Out) {
        let (origin, now) = (self.origin, self.now);
        let Some(resource) = self.resources.open.get_mut(&id) else { return };
        if std::mem::replace(&mut resource.is_told, true) {
            return;
        }
        let made_at = resource.made_at.map(|at| at.saturating_sub(origin).max(1).cast_unsigned());
        let kind = EventKind::ResourceOpened {
            resource: id,
            kind: resource.kind.clone(),
            name: String::new(),
            open_location: resource.location,
            task: TaskId::NONE,
            stack: StackId::NONE,
        };
        out.push(Event { at: made_at.map_or(now, Nanos), kind });
    }
}
