//! What has been drained and not yet put into a batch: spans per worker, events, losses. Instants
//! are ticks until [`Stage::seal`].

use std::collections::BTreeMap;

use loopd_model::segment::{self, Effort};
use loopd_model::{
    Batch, DropCause, Event, EventKind, LedgerEntry, LoopId, Loss, Nanos, RecordKind, Segment,
    Span, TaskId, WorkerId,
};

use crate::clock::Calibration;
use crate::exporter::tables::Tables;
use crate::exporter::waits::Waits;
use crate::waits::WaitRecord;

/// Spans in one batch: about 8 bytes each when packed, so half a megabyte at most times.
const MAX_SPANS: usize = 48 << 10;
/// Events in one batch, by count and by estimated encoded size.
const MAX_EVENTS: usize = 4 << 10;
const MAX_EVENT_BYTES: usize = 256 << 10;
/// The part of the agent's memory that staged records may take.
const MEMORY_SHARE: usize = 8;
/// Of an event without its texts, encoded.
const EVENT_BYTES: usize = 48;
/// Of a wait or a hold with one holder, encoded.
const WAIT_BYTES: usize = 80;

/// Who did a wake that is known by its delay, while it is staged: its length is in nanoseconds and it
/// starts at the poll. No task has this number.
const DELAYED: TaskId = TaskId(u64::MAX);

/// The spans of one worker.
struct Lanes {
    loop_id: LoopId,
    worker: WorkerId,
    polls: Vec<Span>,
    parks: Vec<Span>,
    wakes: Vec<Span>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Stage {
    max_spans: usize,
    max_events: usize,
    max_event_bytes: usize,
    workers: Vec<Lanes>,
    events: Vec<Event>,
    losses: Vec<Loss>,
    waits: Waits,
    spans: usize,
    event_bytes: usize,
    /// Records staged since the start, by kind.
    produced: [u64; RecordKind::SLOTS],
    /// Records lost inside the agent since the start, by kind and cause.
    dropped: BTreeMap<(RecordKind, DropCause), u64>,
}

impl Stage {
    /// An empty stage that takes no more than its share.
    pub(crate) fn new(memory_limit: usize) -> Self {
        let share = memory_limit / MEMORY_SHARE;
        Self {
            max_spans: (share * 3 / 4 / size_of::<Span>()).clamp(256, MAX_SPANS),
            max_events: (share / 8 / size_of::<Event>()).clamp(64, MAX_EVENTS),
            max_event_bytes: (share / 8).min(MAX_EVENT_BYTES),
            ..Self::default()
        }
    }

    /// Where spans of this worker are kept, for [`Stage::span`]. Holds until the next
    /// [`Stage::seal`].
    pub(crate) fn slot(&mut self, (loop_id, worker): (LoopId, WorkerId)) -> usize {
        let is_it = |lanes: &Lanes| lanes.loop_id == loop_id && lanes.worker == worker;
        self.workers.iter().position(is_it).unwrap_or_else(|| {
            let (polls, parks, wakes) = Default::default();
            self.workers.push(Lanes { loop_id, worker, polls, parks, wakes });
            self.workers.len() - 1
        })
    }

    /// Adds a poll, park or wake to a worker's slot.
    #[inline]
    pub(crate) fn span(&mut self, slot: usize, kind: RecordKind, span: Span) {
        let lanes = &mut self.workers[slot];
        let spans = match kind {
            RecordKind::Park => &mut lanes.parks,
            RecordKind::Wake => &mut lanes.wakes,
            _ => &mut lanes.polls,
        };
        spans.push(span);
        self.spans += 1;
        self.produced[kind as usize] += 1;
    }

    /// Adds a wake known by its delay, in nanoseconds before a poll that began at `poll_start` ticks.
    pub(crate) fn delay(&mut self, slot: usize, poll_start: Nanos, nanos: u64, task: TaskId) {
        let span = Span { start: poll_start, length: nanos, task, by: DELAYED, count: 1 };
        self.span(slot, RecordKind::Wake, span);
    }

    /// Adds an event that happened at `at` ticks.
    pub(crate) fn event(&mut self, at: u64, kind: EventKind) {
        let text = match &kind {
            EventKind::ResourceOpened { kind, name, .. } => kind.len() + name.len(),
            EventKind::Metrics { metrics, .. } => metrics.len() * 32,
            EventKind::LoopOpened { name, .. } => name.len(),
            EventKind::WorkerStarted { thread_name, .. } => thread_name.len(),
            EventKind::ResourceState { readings, .. } => readings.len() * 32,
            EventKind::WaitBegan { op, holders, .. } => op.len() + holders.len() * 32,
            EventKind::TaskFields { fields, .. } => fields_bytes(fields),
            EventKind::Mark { target, message, fields, .. } => {
                target.len() + message.len() + fields_bytes(fields)
            }
            EventKind::AppSpan { name, target, fields, .. } => {
                name.len() + target.len() + fields_bytes(fields) + 32
            }
            EventKind::StackSample { syscall, wchan, .. } => syscall.len() + wchan.len(),
            EventKind::CoverageChanged { coverage, .. } => {
                coverage.iter().map(|layer| layer.layer.len() + layer.reason.len() + 8).sum()
            }
            // Its name may travel with it.
            EventKind::TaskNamed { .. } => crate::record::MAX_TEXT / 4,
            _ => 0,
        };
        self.event_bytes += text;
        self.short_event(at, kind);
    }

    /// Adds an event without texts that happened at `at` ticks.
    #[inline(always)]
    pub(crate) fn short_event(&mut self, at: u64, kind: EventKind) {
        self.event_bytes += EVENT_BYTES;
        self.produced[kind.record_kind() as usize] += 1;
        self.events.push(Event { at: Nanos(at), kind });
    }

    /// Adds a wait or a hold; `is_sampled` says whether the totals of its resource are sent.
    pub(crate) fn wait(&mut self, record: WaitRecord, is_sampled: bool) {
        self.waits.take(record, is_sampled);
    }

    /// Counts records that will never arrive; `from` and `to` in ticks.
    pub(crate) fn loss(
        &mut self,
        kind: RecordKind,
        cause: DropCause,
        count: u64,
        (from, to): (u64, u64),
    ) {
        if count == 0 {
            return;
        }
        self.produced[kind as usize] += count;
        *self.dropped.entry((kind, cause)).or_default() += count;
        let known = self.losses.iter_mut().find(|loss| loss.kind == kind && loss.cause == cause);
        match known {
            Some(loss) => {
                loss.count += count;
                loss.to.0 = loss.to.0.max(to);
            }
            None => self.losses.push(Loss { kind, cause, count, from: Nanos(from), to: Nanos(to) }),
        }
    }

    /// Counts records, by kind, that were staged and then not sent after all.
    pub(crate) fn give_up(&mut self, cause: DropCause, counts: [u64; RecordKind::SLOTS]) {
        for kind in RecordKind::ALL {
            let count = counts[kind as usize];
            if count > 0 {
                *self.dropped.entry((kind, cause)).or_default() += count;
            }
        }
    }

    /// Whether the next record belongs into another batch.
    pub(crate) fn is_full(&self) -> bool {
        self.spans >= self.max_spans
            || self.events.len() + self.waits.len() >= self.max_events
            || self.event_bytes + self.waits.len() * WAIT_BYTES >= self.max_event_bytes
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans == 0 && self.events.is_empty() && self.losses.is_empty() && self.waits.len() == 0
    }

    /// Roughly what it takes, buffers kept for reuse included.
    pub(crate) fn bytes(&self) -> usize {
        self.span_capacity() * size_of::<Span>()
            + self.events.capacity() * size_of::<Event>()
            + self.event_bytes
            + self.waits.bytes()
    }

    /// Records staged or lost since the start, by kind.
    pub(crate) fn produced(&self) -> &[u64; RecordKind::SLOTS] {
        &self.produced
    }

    /// Records lost inside the agent since the start.
    pub(crate) fn dropped(&self) -> Vec<(RecordKind, DropCause, u64)> {
        self.dropped.iter().map(|(&(kind, cause), &count)| (kind, cause, count)).collect()
    }

    /// The running totals as they ride in every batch.
    pub(crate) fn ledger(&self) -> Vec<LedgerEntry> {
        let dropped = |kind| {
            let of_kind = self.dropped.iter().filter(move |((of, _), _)| *of == kind);
            of_kind.map(|(_, count)| count).sum()
        };
        let entry = |kind: RecordKind| LedgerEntry {
            kind,
            produced: self.produced[kind as usize],
            dropped: dropped(kind),
        };
        RecordKind::ALL.into_iter().map(entry).filter(|entry| entry.produced > 0).collect()
    }

    /// The next batch is the last.
    pub(crate) fn end(&mut self) {
        self.waits.end();
    }

    /// Adds what is to be sent of the waits, each at its place in time.
    fn add_waits(&mut self, clock: &Calibration, tables: &mut Tables) {
        let waits = self.waits.seal(clock, tables);
        if !waits.is_empty() {
            self.produced[RecordKind::Wait as usize] += waits.len() as u64;
            self.events.extend(waits);
            self.events.sort_by_key(|event| event.at);
        }
    }

    /// Makes a batch of everything staged, without a number yet.
    pub(crate) fn seal(&mut self, clock: &Calibration, tables: &mut Tables) -> Batch {
        self.add_waits(clock, tables);
        let ledger = self.ledger();
        let dictionary = tables.take_new();
        let mut segments = Vec::new();
        // Buffers are kept for reuse by workers that are busy, but not at their largest for many.
        self.workers.retain(|lanes| !lanes.is_idle());
        let is_large = self.span_capacity() > 2 * self.max_spans;
        let kept = if is_large { self.max_spans / (3 * self.workers.len()) } else { usize::MAX };
        for lanes in &mut self.workers {
            let (loop_id, worker) = (lanes.loop_id, lanes.worker);
            let kinds = [
                (RecordKind::Poll, &mut lanes.polls),
                (RecordKind::Park, &mut lanes.parks),
                (RecordKind::Wake, &mut lanes.wakes),
            ];
            for (kind, spans) in kinds {
                if !spans.is_empty() {
                    segments.push(pack(loop_id, worker, kind, spans, clock));
                    spans.clear();
                    spans.shrink_to(kept);
                }
            }
        }
        let mut events = std::mem::take(&mut self.events);
        for event in &mut events {
            event.at = clock.at(event.at.0);
            for instant in instants(&mut event.kind) {
                *instant = clock.at(instant.0);
            }
            if let EventKind::AppSpan { busy_time, .. } = &mut event.kind {
                *busy_time = clock.length(*busy_time);
            }
        }
        let mut losses = std::mem::take(&mut self.losses);
        for loss in &mut losses {
            (loss.from, loss.to) = (clock.at(loss.from.0), clock.at(loss.to.0));
        }
        (self.spans, self.event_bytes) = (0, 0);
        Batch {
            seq: 0,
            anchor: clock.anchor_now(),
            names: dictionary.names,
            locations: dictionary.locations,
            stacks: dictionary.stacks,
            events,
            segments,
            losses,
            ledger,
        }
    }

    fn span_capacity(&self) -> usize {
        let capacity = |lanes: &Lanes| {
            lanes.polls.capacity() + lanes.parks.capacity() + lanes.wakes.capacity()
        };
        self.workers.iter().map(capacity).sum()
    }
}

fn fields_bytes(fields: &[(String, String)]) -> usize {
    fields.iter().map(|(key, value)| key.len() + value.len() + 8).sum()
}

/// The instants inside an event.
fn instants(kind: &mut EventKind) -> Vec<&mut Nanos> {
    match kind {
        EventKind::StackSample { poll_started_at, .. } => vec![poll_started_at],
        EventKind::WaitBegan { holders, .. } => {
            holders.iter_mut().map(|holder| &mut holder.since).collect()
        }
        EventKind::HoldEnded { hold, .. } => vec![&mut hold.since],
        EventKind::AppSpan { opened_at, .. } => vec![opened_at],
        _ => Vec::new(),
    }
}

impl Lanes {
    fn is_idle(&self) -> bool {
        self.polls.is_empty() && self.parks.is_empty() && self.wakes.is_empty()
    }
}

fn pack(
    loop_id: LoopId,
    worker: WorkerId,
    kind: RecordKind,
    spans: &mut [Span],
    clock: &Calibration,
) -> Segment {
    for span in &mut *spans {
        if span.by == DELAYED {
            let poll_start = clock.at(span.start.0);
            span.start = Nanos(poll_start.0.saturating_sub(span.length));
            span.length = poll_start.0 - span.start.0;
            span.by = TaskId::NONE;
            continue;
        }
        // The end is converted, not the length, so that neighbours never overlap by rounding.
        let end = clock.at(span.start.0 + span.length);
        span.start = clock.at(span.start.0);
        span.length = end.0 - span.start.0;
    }
    let data = segment::encode(kind, spans, Effort::Fast);
    Segment { loop_id, worker, kind, count: spans.len() as u32, data }
}
