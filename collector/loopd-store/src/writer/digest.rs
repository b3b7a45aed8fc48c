//! Turns batches into rows: everything about a commit that needs no database.
//!
//! A batch is checked whole before anything of it counts, so one that cannot be read leaves
//! nothing behind.

use std::collections::BTreeMap;

use loopd_analysis::tiles::LONG_POLL;
use loopd_model::segment::{self, SpanColumns};
use loopd_model::{
    Batch, DropCause, Event, EventKind, Frame, Location, Loss, MAX_HOLDERS, Name, Nanos,
    RecordKind, Segment, Stack, TaskCounts, TaskKind,
};

use super::bounds;
use super::crowd::Crowd;
use super::dumps::{DumpEnd, Dumps};
use super::hash::IdMap;
use super::lane_spans::{LaneKey, LaneSpans, Packer, subject};
use super::lanes::LaneTiles;
use super::rollups::{RollupRow, Rollups};
use super::roster::Roster;
use super::task_plan::TaskPlan;
use super::tasks::{SPAWN_LOCATION, TaskDelta};
use super::told::{AppSpanRow, MarkRow, Told, slow_threshold};
use super::waits::{Began, Waits};
use super::words::{Words, word_id};
use crate::instant::{count, length, wall};
use crate::sql::packed_rows::{NULL, PackedRows};

/// Longer texts are cut: the agent promises 256 bytes for names, and nobody reads more.
const MAX_NAME: usize = 256;
/// Paths and addresses may be longer.
const MAX_PATH: usize = 1024;
/// With more lanes than this in one commit, each packs its tiles after every segment.
const MAX_OPEN_LANES: usize = 256;
/// Deeper stacks lose their outermost frames.
const MAX_FRAMES: usize = 256;

/// What must be known of a process to store its batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) process: i64,
    /// Wall time of its instant 0.
    pub(super) origin: i64,
    /// Polls at least this long are slow.
    pub(super) slow_threshold: i64,
}

/// Rows of one commit.
#[derive(Debug, Default)]
pub(super) struct Digest {
    pub(super) names: Vec<(i64, i64, String)>,
    pub(super) locations: Vec<(i64, i64, Location)>,
    pub(super) stacks: Vec<(i64, i64, String)>,
    pub(super) loops: Vec<LoopChange>,
    pub(super) workers: Vec<WorkerChange>,
    pub(super) resources: Vec<ResourceChange>,
    pub(super) metrics: Vec<Reading>,
    pub(super) segments: Vec<SegmentRow>,
    pub(super) losses: Vec<(i64, Loss, i64, i64)>,
    pub(super) processes: BTreeMap<i64, ProcessDelta>,
    pub(super) rollups: Vec<RollupRow>,
    pub(super) tasks: TaskPlan,
    crowds: BTreeMap<i64, Crowd>,
    /// By process.
    counted: BTreeMap<i64, Vec<Counted>>,
    spans: BTreeMap<LaneKey, LaneSpans>,
    lanes: IdMap<(i64, i64, i64), LaneDelta>,
    slow_polls: Vec<[i64; 8]>,
    /// As in the table; system call and kernel function are places in `words`.
    samples: Vec<[i64; SAMPLE_WIDTH]>,
    pub(super) words: Words,
    pub(super) waits: Waits,
    pub(super) told: Told,
    pub(super) dumps: Dumps,
}

/// Of one task: its number in the crowd, from when to when, what was counted.
type Counted = (u32, (i64, i64), TaskCounts);

/// Columns of a sample.
const SAMPLE_WIDTH: usize = 10;

/// What a commit adds to one process.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessDelta {
    /// The last batch.
    pub(super) seq: u64,
    /// What is slow from now on, if the agent said so, and when: the latest.
    pub(super) slow_threshold: Option<(i64, i64)>,
    /// The latest instant that was seen.
    pub(super) last_at: i64,
    pub(super) tasks_spawned: i64,
    pub(super) batches: i64,
    /// By kind, less one.
    pub(super) stored: [i64; RecordKind::ALL.len()],
    pub(super) lost: [i64; RecordKind::ALL.len()],
    /// Wall time of its instant 0.
    origin: i64,
    /// The agent's latest totals, produced and dropped.
    pub(super) totals: [Option<(i64, i64)>; RecordKind::ALL.len()],
}

#[derive(Debug)]
struct LaneDelta {
    tiles: LaneTiles,
    last_poll_at: i64,
}

impl Default for LaneDelta {
    fn default() -> Self {
        Self { tiles: LaneTiles::default(), last_poll_at: NULL }
    }
}

#[derive(Debug)]
pub(super) struct LoopChange {
    pub(super) key: (i64, i64),
    pub(super) opened: Option<(String, String, u32, i64)>,
    pub(super) closed_at: Option<i64>,
}

#[derive(Debug)]
pub(super) struct WorkerChange {
    pub(super) key: (i64, i64, i64),
    pub(super) started: Option<(String, i64, i64)>,
    pub(super) stopped_at: Option<i64>,
}

#[derive(Debug)]
pub(super) struct ResourceChange {
    pub(super) key: (i64, i64),
    pub(super) opened: Option<Opened>,
    pub(super) closed: Option<(i64, i64)>,
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) location: i64,
    pub(super) task: i64,
    pub(super) stack: i64,
    pub(super) at: i64,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) process: i64,
    pub(super) name: String,
    pub(super) loop_id: i64,
    pub(super) worker: i64,
    pub(super) at: i64,
    pub(super) value: f64,
}

#[derive(Debug)]
pub(super) struct SegmentRow {
    pub(super) process: i64,
    pub(super) kind: RecordKind,
    pub(super) loop_id: i64,
    pub(super) worker: i64,
    pub(super) start_at: i64,
    pub(super) end_at: i64,
    pub(super) spans: i64,
    pub(super) max_length: i64,
    pub(super) min_task: i64,
    pub(super) max_task: i64,
    /// Large enough: there is nothing to gain from merging it with others.
    pub(super) is_full: bool,
    pub(super) data: Vec<u8>,
}

/// Task and lane ids as SQL has them. One id would read as NULL; it is moved by one, which no
/// agent's ids ever reach.
pub(super) fn id(id: u64) -> i64 {
    (id as i64).max(NULL + 1)
}

pub(super) fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

impl Digest {
    /// Adds one batch, or says why it cannot be read; then nothing of it was added.
    pub(super) fn add(&mut self, source: &Source, batch: Batch) -> Result<(), String> {
        let segments = batch.segments.into_iter().map(unpack).collect::<Result<Vec<_>, _>>()?;
        bounds::check(source, &segments)?;
        let process = source.process;
        let delta = self.processes.entry(process).or_default();
        delta.seq = batch.seq;
        delta.batches += 1;
        delta.origin = source.origin;
        delta.last_at = delta.last_at.max(wall(source.origin, batch.anchor.at));
        for entry in &batch.ledger {
            let totals = (count(entry.produced), count(entry.dropped));
            delta.totals[entry.kind as usize - 1] = Some(totals);
        }
        self.add_words(process, batch.names, batch.locations, batch.stacks);
        for (segment, spans) in segments {
            self.add_segment(source, segment, spans);
        }
        for event in batch.events {
            self.add_event(source, event);
        }
        for loss in batch.losses {
            self.add_loss(source, loss);
        }
        Ok(())
    }

    fn delta(&mut self, process: i64) -> &mut ProcessDelta {
        self.processes.entry(process).or_default()
    }

    fn add_words(
        &mut self,
        process: i64,
        names: Vec<Name>,
        places: Vec<Location>,
        stacks: Vec<Stack>,
    ) {
        let names = names.into_iter();
        self.names.extend(names.map(|name| (process, id(name.id.0), cut(&name.text, MAX_NAME))));
        for mut place in places {
            place.file = cut(&place.file, MAX_PATH);
            self.locations.push((process, id(place.id.0), place));
        }
        for stack in stacks {
            self.stacks.push((process, id(stack.id.0), frames_json(&stack.frames)));
        }
    }

    fn add_segment(&mut self, source: &Source, segment: Segment, spans: SpanColumns) {
        let lane = (id(segment.loop_id.0), i64::from(segment.worker.0));
        let delta = self.delta(source.process);
        delta.stored[segment.kind as usize - 1] += spans.start.len() as i64;
        let ends = spans.start.iter().zip(&spans.length);
        let end = ends.map(|(&start, &nanos)| wall(source.origin, Nanos(start).after(nanos))).max();
        delta.last_at = delta.last_at.max(end.unwrap_or(0));
        match segment.kind {
            RecordKind::Poll => self.add_polls(source, lane, &spans),
            RecordKind::Wake => self.add_wakes(source, lane, &spans),
            _ => {
                let slot = self.crowds.entry(source.process).or_default().slot(source.process, 0);
                let kept = self.kept(source.process, segment.kind, lane);
                kept.slot.resize(kept.slot.len() + spans.start.len(), slot);
            }
        }
        self.kept(source.process, segment.kind, lane).take_times(spans);
    }

    fn kept(
        &mut self,
        process: i64,
        kind: RecordKind,
        (loop_id, worker): (i64, i64),
    ) -> &mut LaneSpans {
        self.spans.entry((process, kind, loop_id, worker)).or_default()
    }

    fn add_polls(&mut self, source: &Source, (loop_id, worker): (i64, i64), spans: &SpanColumns) {
        let process = source.process;
        let is_crowded = self.lanes.len() >= MAX_OPEN_LANES;
        let lane = self.lanes.entry((process, loop_id, worker)).or_default();
        let crowd = self.crowds.entry(process).or_default();
        let kept = self.spans.entry((process, RecordKind::Poll, loop_id, worker)).or_default();
        kept.slot.reserve(spans.start.len());
        // Polls near the threshold get a row too: an early sample may have made one that says
        // "running", and only this can end it.
        let worth_a_row = (source.slow_threshold / 2).min(LONG_POLL as i64);
        for ((&start, &nanos), &task) in spans.start.iter().zip(&spans.length).zip(&spans.task) {
            let (start, length) = (wall(source.origin, Nanos(start)), length(nanos));
            let is_slow = length >= source.slow_threshold;
            lane.tiles.add(start, length);
            lane.last_poll_at = lane.last_poll_at.max(start);
            let task = id(task);
            let slot = crowd.slot(process, task);
            kept.slot.push(slot);
            crowd.delta(slot).polled(start, length, is_slow);
            if length >= worth_a_row {
                let end = start + length;
                let row = [process, loop_id, worker, start, length, end, i64::from(is_slow), task];
                self.slow_polls.push(row);
            }
        }
        if is_crowded {
            lane.tiles.pack();
        }
    }

    fn add_wakes(&mut self, source: &Source, (loop_id, worker): (i64, i64), spans: &SpanColumns) {
        let process = source.process;
        let crowd = self.crowds.entry(process).or_default();
        let kept = self.spans.entry((process, RecordKind::Wake, loop_id, worker)).or_default();
        for span in (0..spans.start.len()).filter_map(|at| spans.get(at)) {
            let slot = crowd.slot(process, id(span.task.0));
            kept.slot.push(slot);
            kept.by.push(span.by.0);
            kept.count.push(span.count);
            crowd.delta(slot).woken(wall(source.origin, span.start), &span, id(span.by.0));
        }
    }

    fn add_event(&mut self, source: &Source, event: Event) {
        let process = source.process;
        let at = wall(source.origin, event.at);
        let kind = event.kind.record_kind();
        let delta = self.delta(process);
        delta.stored[kind as usize - 1] += 1;
        delta.last_at = delta.last_at.max(at);
        let task =
            |digest: &mut Self, task: loopd_model::TaskId, change: &dyn Fn(&mut TaskDelta)| {
                if !task.is_none() {
                    let crowd = digest.crowds.entry(process).or_default();
                    let slot = crowd.slot(process, id(task.0));
                    change(crowd.delta(slot));
                }
            };
        match event.kind {
            EventKind::LoopOpened { loop_id, name, flavor, workers } => {
                let opened = Some((cut(&name, MAX_NAME), cut(&flavor, MAX_NAME), workers, at));
                let key = (process, id(loop_id.0));
                self.loops.push(LoopChange { key, opened, closed_at: None });
            }
            EventKind::LoopClosed { loop_id } => {
                let key = (process, id(loop_id.0));
                self.loops.push(LoopChange { key, opened: None, closed_at: Some(at) });
            }
            EventKind::WorkerStarted { loop_id, worker, thread_name, thread_id } => {
                let key = (process, id(loop_id.0), i64::from(worker.0));
                let started = Some((cut(&thread_name, MAX_NAME), id(thread_id), at));
                self.workers.push(WorkerChange { key, started, stopped_at: None });
            }
            EventKind::WorkerStopped { loop_id, worker } => {
                let key = (process, id(loop_id.0), i64::from(worker.0));
                self.workers.push(WorkerChange { key, started: None, stopped_at: Some(at) });
            }
            EventKind::TaskSpawned { task: spawned, loop_id, spawn_location, parent, kind } => {
                task(self, spawned, &|delta| {
                    delta.spawned(at, kind, id(loop_id.0));
                    delta.spawned_by(id(spawn_location.0), id(parent.0));
                });
                if kind != TaskKind::Callback {
                    task(self, parent, &TaskDelta::spawned_another);
                    self.delta(process).tasks_spawned += 1;
                }
            }
            EventKind::TaskNamed { task: named, name } => {
                task(self, named, &|delta| delta.named(at, id(name.0)));
            }
            EventKind::BlockingStarted { task: job } => task(self, job, &|delta| delta.started(at)),
            EventKind::TaskEnded { task: ended, outcome } => {
                task(self, ended, &|delta| delta.ended(at, outcome));
            }
            EventKind::ResourceOpened { resource, kind, name, open_location, task, stack } => {
                let opened = Some(Opened {
                    kind: cut(&kind, MAX_NAME),
                    name: cut(&name, MAX_PATH),
                    location: id(open_location.0),
                    task: id(task.0),
                    stack: id(stack.0),
                    at,
                });
                let key = (process, id(resource.0));
                self.resources.push(ResourceChange { key, opened, closed: None });
            }
            EventKind::ResourceClosed { resource, how } => {
                let key = (process, id(resource.0));
                let closed = Some((at, how as i64 + 1));
                self.resources.push(ResourceChange { key, opened: None, closed });
            }
            EventKind::StackSample {
                loop_id,
                worker,
                task,
                poll_started_at,
                stack,
                running,
                syscall,
                wchan,
            } => {
                let (loop_id, worker) = (id(loop_id.0), i64::from(worker.0));
                let started = wall(source.origin, poll_started_at);
                let (task, stack) = (id(task.0), id(stack.0));
                let (syscall, wchan) =
                    (self.words.place(process, &syscall), self.words.place(process, &wchan));
                self.samples.push([
                    process,
                    loop_id,
                    worker,
                    started,
                    at,
                    task,
                    stack,
                    running as i64,
                    syscall,
                    wchan,
                ]);
                // It has already lasted long enough, whatever comes.
                if at - started >= source.slow_threshold {
                    let row = [process, loop_id, worker, started, NULL, at, 1, task];
                    self.slow_polls.push(row);
                }
            }
            EventKind::Metrics { loop_id, metrics } => {
                self.metrics.extend(metrics.into_iter().filter(|m| m.value.is_finite()).map(|m| {
                    Reading {
                        process,
                        name: cut(&m.name, MAX_NAME),
                        loop_id: id(loop_id.0),
                        worker: m.worker.map_or(-1, |worker| i64::from(worker.0)),
                        at,
                        value: m.value,
                    }
                }));
            }
            EventKind::ResourceState { resource, readings } => {
                self.waits.state(source, at, resource, &readings);
            }
            EventKind::WaitBegan { wait, task: by, resource, op, location, amount, holders } => {
                let (op, holders) = (self.words.place(source.process, &op), &holders);
                let began = Began { wait, task: by, resource, op, location, amount, holders };
                self.waits.began(source, at, &began);
                // Whether it still waits is known from its task, which must be known for that.
                // So is what those are called who hold it up.
                let holding = holders.iter().take(MAX_HOLDERS).map(|holder| holder.task);
                holding.chain([by]).for_each(|it| task(self, it, &TaskDelta::keep));
            }
            EventKind::WaitEnded { wait, how } => self.waits.ended(source, at, wait, how),
            EventKind::HoldEnded { resource, hold, waits } => {
                self.waits.hold_ended(source, at, resource, &hold, waits);
                if waits > 0 {
                    task(self, hold.task, &TaskDelta::keep);
                }
            }
            EventKind::TaskDumped { dump, task: dumped, stack, awaits, awaits_task, resource } => {
                let awaits = self.words.place(process, &awaits);
                let (dump, of, other) = (id(dump.0), id(dumped.0), id(awaits_task.0));
                let (stack, resource) = (id(stack.0), id(resource.0));
                self.dumps.tasks.push([process, dump, of, other, at, stack, awaits, resource]);
                // What they are called, and whether they go on, shall be known.
                [dumped, awaits_task].into_iter().for_each(|it| task(self, it, &TaskDelta::keep));
            }
            EventKind::DumpEnded { dump, tasks, left_out, reason } => {
                let (dump, tasks, left_out) = (id(dump.0), count(tasks), count(left_out));
                self.dumps.ends.push(DumpEnd { process, dump, at, tasks, left_out, reason });
            }
            EventKind::TaskUnwakeable { task: stranded } => {
                task(self, stranded, &|delta| delta.unwakeable(at));
            }
            EventKind::TaskCounted { task: of, counts } => {
                let crowd = self.crowds.entry(process).or_default();
                let slot = crowd.slot(process, id(of.0));
                crowd.delta(slot).counted(&counts, |at| wall(source.origin, at));
                if let Some(are_known) = counts.are_lengths_known {
                    if !are_known {
                        crowd.delta(slot).keep();
                    }
                    self.told.lengths.insert((process, id(of.0)), are_known);
                }
                if counts.since != Nanos(0) {
                    let since = wall(source.origin, counts.since);
                    self.counted.entry(process).or_default().push((slot, (since, at), counts));
                }
            }
            EventKind::TaskFields { task: of, fields } => {
                if !fields.is_empty() {
                    task(self, of, &TaskDelta::keep);
                }
                if !of.is_none() && !fields.is_empty() {
                    self.told.task_fields(process, id(of.0), &fields);
                }
            }
            EventKind::Mark { task, level, target, message, fields, location } => {
                let (task, location) = (id(task.0), id(location.0));
                let row = MarkRow { process, at, task, level, target, message, fields, location };
                self.told.marks.push(row);
            }
            EventKind::AppSpan {
                span,
                parent,
                task,
                name,
                target,
                opened_at,
                busy_time,
                fields,
                location,
            } => self.told.spans.push(AppSpanRow {
                process,
                span: id(span.0),
                parent: id(parent.0),
                task: id(task.0),
                name,
                target,
                opened_at: wall(source.origin, opened_at),
                closed_at: at,
                busy_time: length(busy_time),
                fields,
                location: id(location.0),
            }),
            EventKind::CoverageChanged { coverage, settings } => {
                self.told.coverage((process, at), &coverage, &settings);
                let threshold = settings.slow_threshold.map(|nanos| (at, slow_threshold(nanos)));
                let latest = &mut self.delta(process).slow_threshold;
                *latest = threshold.max(*latest);
            }
        }
    }

    fn add_loss(&mut self, source: &Source, loss: Loss) {
        let (from, to) = (wall(source.origin, loss.from), wall(source.origin, loss.to));
        // What the agent itself dropped is in its own totals.
        let is_counted_here = matches!(
            loss.cause,
            DropCause::WindowEvicted
                | DropCause::Malformed
                | DropCause::StorageFull
                | DropCause::StoreRollback
        );
        if is_counted_here {
            let lost = &mut self.delta(source.process).lost[loss.kind as usize - 1];
            *lost = lost.saturating_add(count(loss.count));
        }
        self.losses.push((source.process, loss, from, to.max(from)));
    }

    /// Once every batch was added: packs the spans, rolls them up, and decides where each task
    /// goes. `rosters` are those of the processes as they were before.
    pub(super) fn finish(&mut self, rosters: &BTreeMap<i64, Roster>) {
        let empty = Roster::default();
        let mut spans = std::mem::take(&mut self.spans);
        for (process, crowd) in std::mem::take(&mut self.crowds) {
            let roster = rosters.get(&process).unwrap_or(&empty);
            let origin = self.processes.get(&process).map_or(0, |delta| delta.origin);
            let location = |delta: &TaskDelta| match delta.get(SPAWN_LOCATION) {
                NULL => roster.location(delta.task()).unwrap_or(0),
                location => location,
            };
            let locations: Vec<i64> = crowd.deltas().iter().map(location).collect();
            let subjects: Vec<_> = crowd
                .deltas()
                .iter()
                .zip(&locations)
                .map(|(delta, &location)| subject(delta.task(), location))
                .collect();
            let mut rollups = Rollups::new(&locations);
            rollups.add_lives(&crowd, roster);
            let mut packer = Packer::new(&subjects);
            let later = spans.split_off(&(process + 1, RecordKind::Poll, i64::MIN, i64::MIN));
            for (lane, spans) in std::mem::replace(&mut spans, later) {
                match lane.1 {
                    RecordKind::Poll => rollups.add_polls(&spans, origin),
                    RecordKind::Wake => rollups.add_wakes(&spans, origin),
                    _ => {}
                }
                self.segments.extend(packer.pack(&spans, lane, origin));
            }
            for (slot, time, counts) in self.counted.remove(&process).unwrap_or_default() {
                rollups.add_counts(slot, time, &counts);
            }
            self.rollups.extend(rollups.into_rows(process));
            self.tasks.add(process, crowd, &locations, roster);
        }
    }

    /// Lanes and when they last began a poll, and the tiles of each: key, tile, cells.
    pub(super) fn take_lanes(&mut self) -> (PackedRows, Vec<TileRow>) {
        let mut lanes = PackedRows::new(4);
        let mut tiles = Vec::new();
        for ((process, loop_id, worker), lane) in std::mem::take(&mut self.lanes) {
            lanes.push(&[process, loop_id, worker, lane.last_poll_at]);
            tiles.extend(lane.tiles.into_rows().map(|((level, tile), cells)| TileRow {
                process,
                loop_id,
                worker,
                level,
                tile,
                is_folded: false,
                cells,
            }));
        }
        (lanes, tiles)
    }

    pub(super) fn take_slow_polls(&mut self) -> PackedRows {
        packed(std::mem::take(&mut self.slow_polls))
    }

    /// Samples; `words` are the ids of the commit's words.
    pub(super) fn take_samples(&mut self, words: &[i64]) -> PackedRows {
        let mut packed = PackedRows::new(SAMPLE_WIDTH);
        for mut row in std::mem::take(&mut self.samples) {
            row[8..].iter_mut().for_each(|word| *word = word_id(words, *word));
            packed.push(&row);
        }
        packed
    }
}

/// One row of the table of tiles.
#[derive(Debug)]
pub(super) struct TileRow {
    pub(super) process: i64,
    pub(super) level: i64,
    pub(super) tile: i64,
    pub(super) loop_id: i64,
    pub(super) worker: i64,
    pub(super) is_folded: bool,
    pub(super) cells: Vec<u8>,
}

fn packed(rows: Vec<[i64; 8]>) -> PackedRows {
    let mut packed = PackedRows::new(8);
    rows.iter().for_each(|row| packed.push(row));
    packed
}

fn unpack(segment: Segment) -> Result<(Segment, SpanColumns), String> {
    let lane = || format!("loop {} worker {}", segment.loop_id, segment.worker);
    let (header, spans) = segment::decode_columns(&segment.data)
        .map_err(|error| format!("{} segment of {}: {error}", segment.kind.as_str(), lane()))?;
    if header.kind != segment.kind {
        let (said, is) = (segment.kind.as_str(), header.kind.as_str());
        return Err(format!("segment of {} is said to hold {said}s, and holds {is}s", lane()));
    }
    if header.count != segment.count as usize {
        let (said, is) = (segment.count, header.count);
        return Err(format!("segment of {} is said to hold {said} spans, and holds {is}", lane()));
    }
    Ok((segment, spans))
}

fn frames_json(frames: &[Frame]) -> String {
    let frames = frames.iter().take(MAX_FRAMES).map(|frame| {
        let (function, file) = (cut(&frame.function, MAX_PATH), cut(&frame.file, MAX_PATH));
        // JSON numbers are doubles to many readers; an address is text.
        serde_json::json!([function, file, frame.line, format!("{:#x}", frame.address)])
    });
    serde_json::Value::Array(frames.collect()).to_string()
}
