//! Empties the rings into the stage.

use std::collections::HashMap;

use loopd_model::{
    DropCause, EventKind, LoopId, Nanos, RecordKind, ResourceId, Span, StackId, TaskId, TaskKind,
    WorkerId,
};

use crate::clock::ticks;
use crate::exporter::notes;
use crate::exporter::resources::Resources;
use crate::exporter::stage::Stage;
use crate::exporter::tables::Tables;
use crate::lane::{Lane, LaneState};
use crate::record::Record;
use crate::recorder::{self, Recorder};
use crate::ring::Ring;
use crate::waits::WaitRecord;

type Place = (LoopId, WorkerId);

/// Workers that one thread is remembered to have been: as many as loops that are only seen. A
/// thread that comes back to one forgotten is announced as that worker again.
const MAX_ANNOUNCED: usize = 256;

/// What the exporter knows of each lane.
pub(crate) struct Drain {
    recorder: &'static Recorder,
    lanes: Vec<Reader>,
    resources: Resources,
    /// Which lane last announced itself as this worker.
    owners: HashMap<Place, usize>,
    no_ring: [u64; RecordKind::SLOTS],
    no_loop: [u64; RecordKind::SLOTS],
    lost_controls: [u64; RecordKind::SLOTS],
    /// When drops were last counted.
    counted_at: u64,
}

struct Reader {
    lane: &'static Lane,
    place: Place,
    /// Oldest first; at most [`MAX_ANNOUNCED`].
    announced: Vec<Place>,
    too_deep: u64,
    drops: [u64; RecordKind::SLOTS],
}

/// What one round found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Words read.
    pub(crate) words: u64,
    /// The stage filled up before the rings were empty.
    pub(crate) is_cut_short: bool,
}

impl Drain {
    pub(crate) fn new(recorder: &'static Recorder) -> Self {
        Self {
            recorder,
            lanes: Vec::new(),
            resources: Resources::open(),
            owners: HashMap::new(),
            no_ring: [0; RecordKind::SLOTS],
            no_loop: [0; RecordKind::SLOTS],
            lost_controls: [0; RecordKind::SLOTS],
            counted_at: ticks(),
        }
    }

    /// The resources that are sampled.
    pub(crate) fn resources(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// Memory that they take.
    pub(crate) fn resources_bytes(&self) -> usize {
        self.resources.bytes()
    }

    /// Moves what the rings hold into the stage, until it is full.
    pub(crate) fn round(&mut self, stage: &mut Stage, tables: &mut Tables) -> Round {
        if let Some(lanes) = self.recorder.lanes_beyond(self.lanes.len()) {
            let new = lanes.into_iter().skip(self.lanes.len()).map(Reader::new);
            self.lanes.extend(new.collect::<Vec<_>>());
        }
        self.resources.round();
        let mut round = Round { words: 0, is_cut_short: false };
        for index in 0..self.lanes.len() {
            // The state is read before the ring: what a thread wrote before it retired is seen.
            let state = self.lanes[index].lane.state();
            if state == LaneState::Free {
                continue;
            }
            let (words, is_empty) = self.drain_lane(index, stage, tables);
            round.words += words;
            if !is_empty {
                round.is_cut_short = true;
                break;
            }
            if state == LaneState::Retired {
                self.let_go(index, stage);
            }
        }
        self.count_drops(stage);
        round
    }

    fn drain_lane(&mut self, index: usize, stage: &mut Stage, tables: &mut Tables) -> (u64, bool) {
        let lane = self.lanes[index].lane;
        let (first, head) = lane.ring.readable();
        if first == head {
            return (0, true);
        }
        let mut position = first;
        let mut slot = stage.slot(self.lanes[index].place);
        while position < head && !stage.is_full() {
            // By far the most frequent record, read without taking it apart and together again.
            if let Some((start, length, task)) = Record::read_short_poll(&lane.ring, position) {
                let (start, task) = (Nanos(start), TaskId(task));
                let span = Span { start, length, task, count: 1, ..Span::default() };
                stage.span(slot, RecordKind::Poll, span);
                position += 2;
                continue;
            }
            if let Some([start, length, task, delay, by]) = Record::read_step(&lane.ring, position)
            {
                take_step([start, length, task, delay, by], slot, stage);
                position += 3;
                continue;
            }
            if let Some(words) = take_life(&lane.ring, position, stage, tables) {
                position += words;
                continue;
            }
            let Some((record, words)) = Record::read(&lane.ring, position) else {
                debug_assert!(false, "unreadable record");
                position = head;
                break;
            };
            if matches!(record, Record::Place { .. }) {
                self.take(index, slot, record, stage, tables);
                slot = stage.slot(self.lanes[index].place);
            } else {
                self.take(index, slot, record, stage, tables);
            }
            position += words;
        }
        lane.ring.release(position);
        (position - first, position == head)
    }

    fn take(
        &mut self,
        index: usize,
        slot: usize,
        record: Record,
        stage: &mut Stage,
        tables: &mut Tables,
    ) {
        match record {
            Record::Poll { start, length, task } => {
                let span = Span {
                    start: Nanos(start),
                    length,
                    task: TaskId(task),
                    count: 1,
                    ..Span::default()
                };
                stage.span(slot, RecordKind::Poll, span);
            }
            Record::Step { start, length, task, delay, by } => {
                take_step([start, length, task, delay, by], slot, stage);
            }
            Record::Park { start, length } => {
                let span = Span { start: Nanos(start), length, count: 1, ..Span::default() };
                stage.span(slot, RecordKind::Park, span);
            }
            Record::Wake { start, length, task, by, count } => {
                let (task, by) = (TaskId(task), TaskId(by));
                stage.span(
                    slot,
                    RecordKind::Wake,
                    Span { start: Nanos(start), length, task, by, count },
                );
            }
            Record::Delay { poll_start, nanos, task } => {
                stage.delay(slot, Nanos(poll_start), nanos, TaskId(task));
            }
            Record::Place { at, loop_id, worker } => {
                self.move_to(index, (LoopId(loop_id), WorkerId(worker)), at, stage);
            }
            Record::Spawned { at, task, loop_id, location, parent, kind, label } => {
                take_spawned(([at, task, loop_id, location, parent], kind, label), stage, tables);
            }
            Record::Named { at, task, name } => match tables.name(name) {
                Some(name) => stage.event(at, EventKind::TaskNamed { task: TaskId(task), name }),
                None => stage.loss(RecordKind::Task, DropCause::AgentLimit, 1, (at, at)),
            },
            Record::BlockingStarted { at, task } => {
                stage.event(at, EventKind::BlockingStarted { task: TaskId(task) });
            }
            Record::Ended { at, task, outcome } => {
                stage.event(at, EventKind::TaskEnded { task: TaskId(task), outcome });
            }
            Record::Opened { at, resource, location, task, kind, name } => {
                let opened = EventKind::ResourceOpened {
                    resource: ResourceId(resource),
                    kind,
                    name,
                    open_location: tables.location(location),
                    task: TaskId(task),
                    stack: StackId::NONE,
                };
                stage.event(at, opened);
            }
            Record::Closed { at, resource, how } => {
                self.resources.closed(resource, stage);
                stage.event(at, EventKind::ResourceClosed { resource: ResourceId(resource), how });
            }
            Record::Note(note) => notes::take(note, stage, tables),
            Record::Wait(record) => self.take_wait(record, stage),
        }
    }

    fn take_wait(&self, record: WaitRecord, stage: &mut Stage) {
        let is_sampled = match &record {
            WaitRecord::Began { resource, .. } | WaitRecord::HoldEnded { resource, .. } => {
                self.resources.samples(*resource)
            }
            WaitRecord::Ended { .. } => true,
        };
        stage.wait(record, is_sampled);
    }

    /// The lane's thread now works for another place; says so if that is news.
    fn move_to(&mut self, index: usize, place: Place, at: u64, stage: &mut Stage) {
        let reader = &mut self.lanes[index];
        reader.place = place;
        if place.0 == LoopId::NONE {
            debug_assert!(false, "a place without a loop");
            return;
        }
        if self.owners.get(&place) == Some(&index) && reader.announced.contains(&place) {
            return;
        }
        self.owners.insert(place, index);
        if !reader.announced.contains(&place) {
            if reader.announced.len() >= MAX_ANNOUNCED {
                let oldest = reader.announced.remove(0);
                if self.owners.get(&oldest) == Some(&index) {
                    self.owners.remove(&oldest);
                }
            }
            reader.announced.push(place);
        }
        let thread = reader.lane.thread.lock().map(|info| info.clone()).unwrap_or_default();
        let started = EventKind::WorkerStarted {
            loop_id: place.0,
            worker: place.1,
            thread_name: thread.name,
            thread_id: thread.id,
        };
        stage.event(at, started);
    }

    /// A loop is closed, and whatever its workers wrote has been read.
    pub(crate) fn forget(&mut self, loop_id: LoopId) {
        self.owners.retain(|(of, _), _| *of != loop_id);
        for reader in &mut self.lanes {
            reader.announced.retain(|(of, _)| *of != loop_id);
        }
    }

    /// The lane's thread is gone and its ring is empty.
    fn let_go(&mut self, index: usize, stage: &mut Stage) {
        let stopped_at = self.lanes[index].lane.retired_at();
        for place in std::mem::take(&mut self.lanes[index].announced) {
            // Another thread may be that worker by now.
            if self.owners.get(&place) == Some(&index) {
                self.owners.remove(&place);
                let (loop_id, worker) = place;
                stage.event(stopped_at, EventKind::WorkerStopped { loop_id, worker });
            }
        }
        self.count_lane_drops(index, stage, (self.counted_at, ticks()));
        self.lanes[index].lane.set_free();
    }

    fn count_lane_drops(&mut self, index: usize, stage: &mut Stage, between: (u64, u64)) {
        let reader = &mut self.lanes[index];
        for kind in RecordKind::ALL {
            let total = reader.lane.drops(kind);
            let known = std::mem::replace(&mut reader.drops[kind as usize], total);
            stage.loss(kind, DropCause::RingFull, total - known, between);
        }
        let total = reader.lane.too_deep();
        let known = std::mem::replace(&mut reader.too_deep, total);
        stage.loss(RecordKind::Poll, DropCause::AgentLimit, total - known, between);
    }

    fn count_drops(&mut self, stage: &mut Stage) {
        let between = (self.counted_at, ticks());
        for index in 0..self.lanes.len() {
            self.count_lane_drops(index, stage, between);
        }
        for kind in RecordKind::ALL {
            let total = recorder::no_ring_drops(kind);
            let known = std::mem::replace(&mut self.no_ring[kind as usize], total);
            stage.loss(kind, DropCause::NoRing, total - known, between);
            // No ring is to blame for these, and no memory would help.
            let total = recorder::no_loop_drops(kind);
            let known = std::mem::replace(&mut self.no_loop[kind as usize], total);
            stage.loss(kind, DropCause::AgentLimit, total - known, between);
            let total = self.recorder.lost_controls(kind);
            let known = std::mem::replace(&mut self.lost_controls[kind as usize], total);
            stage.loss(kind, DropCause::AgentLimit, total - known, between);
        }
        self.counted_at = between.1;
    }
}

/// Takes a spawn or an end, the most frequent records after polls, in the same way; says how many
/// words it was.
#[inline(always)]
fn take_life(ring: &Ring, position: u64, stage: &mut Stage, tables: &mut Tables) -> Option<u64> {
    if let Some((at, task, outcome)) = Record::read_ended(ring, position) {
        stage.short_event(at, EventKind::TaskEnded { task: TaskId(task), outcome });
        return Some(3);
    }
    take_spawned(Record::read_spawned(ring, position)?, stage, tables);
    Some(6)
}

/// A poll, and the wake before it.
#[inline(always)]
fn take_step([start, length, task, delay, by]: [u64; 5], slot: usize, stage: &mut Stage) {
    let (task, by) = (TaskId(task), TaskId(by));
    let woken = Nanos(start.saturating_sub(delay));
    let wake = Span { start: woken, length: start - woken.0, task, by, count: 1 };
    stage.span(slot, RecordKind::Wake, wake);
    let poll = Span { start: Nanos(start), length, task, count: 1, ..Span::default() };
    stage.span(slot, RecordKind::Poll, poll);
}

#[inline(always)]
fn take_spawned(
    ([at, task, loop_id, location, parent], kind, label): ([u64; 5], TaskKind, u32),
    stage: &mut Stage,
    tables: &mut Tables,
) {
    let spawned = EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(loop_id),
        spawn_location: tables.location(location),
        parent: TaskId(parent),
        kind,
    };
    stage.short_event(at, spawned);
    if label != 0 {
        take_label(at, task, label, stage, tables);
    }
}

/// A task that was named when it was spawned.
#[inline(never)]
fn take_label(at: u64, task: u64, label: u32, stage: &mut Stage, tables: &mut Tables) {
    match tables.label(label) {
        Some(name) => stage.short_event(at, EventKind::TaskNamed { task: TaskId(task), name }),
        None => stage.loss(RecordKind::Task, DropCause::AgentLimit, 1, (at, at)),
    }
}

impl Reader {
    fn new(lane: &'static Lane) -> Self {
        let place = (LoopId::NONE, WorkerId(0));
        Self { lane, place, announced: Vec::new(), too_deep: 0, drops: [0; RecordKind::SLOTS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::wakeup::Wakeup;
    use crate::recorder::{Loop, RingSizes};

    #[test]
    fn a_thread_of_very_many_loops_leaves_nothing_behind() {
        const MEMORY: usize = 32 << 20;
        let recorder =
            Recorder::install(RingSizes::within(MEMORY, 1), Wakeup::new()).expect("the only one");
        let (mut drain, mut stage) = (Drain::new(recorder), Stage::new(MEMORY));
        let mut tables = Tables::new(MEMORY);
        let loops: Vec<_> = (0..1000).map(|index| Loop::new(&index.to_string())).collect();
        let lane = recorder::poll_lane().expect("a ring");
        for loop_ in &loops {
            lane.enter(loop_, Some(0), 1);
            lane.exit(loop_);
        }
        drain.round(&mut stage, &mut tables);
        assert_eq!(drain.lanes[0].announced.len(), MAX_ANNOUNCED);
        assert_eq!(drain.owners.len(), MAX_ANNOUNCED);
        for loop_ in &loops {
            drain.forget(loop_.id);
        }
        assert!(drain.lanes[0].announced.is_empty() && drain.owners.is_empty());
    }
}
