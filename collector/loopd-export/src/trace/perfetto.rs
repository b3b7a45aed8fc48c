//! Perfetto's binary format: a stream of packets.
//!
//! Instants are unix nanoseconds on the clock `REALTIME`, which the first packet declares to be the
//! trace's own. Names are interned in a table of bounded size, which is begun anew when it is full.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use prost::Message;

use self::proto::{
    Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, InlineCallstack, InlineFrame,
    InternedData, InternedName, ProcessDescriptor, ThreadDescriptor, TracePacket,
    TracePacketDefaults, TrackDescriptor, TrackEvent,
};
use super::sink::{Arg, Args, Instant, Process, Shows, Sink, Slice, TaskRow, Track};
use crate::ExportError;
use crate::names::Frame;

pub(crate) mod proto;

const SEQUENCE: u32 = 1;
/// Whoever reads on from here needs nothing from before.
const STATE_CLEARED: u32 = 1;
const NEEDS_STATE: u32 = 2;
const REALTIME: u32 = 1;
const BOOTTIME: u32 = 6;

/// Interned names are at most so many.
const MAX_NAMES: usize = 1 << 14;

/// A trace that is being written.
pub(super) struct Perfetto<W> {
    out: W,
    names: Names,
    buffer: Vec<u8>,
}

/// The three tables of interned names. Ids count from 1.
#[derive(Debug, Default)]
struct Names {
    events: HashMap<String, u64>,
    categories: HashMap<&'static str, u64>,
    annotations: HashMap<&'static str, u64>,
    /// Names that the packet being built has to define.
    new: InternedData,
}

impl Names {
    fn event(&mut self, name: &str) -> u64 {
        if let Some(id) = self.events.get(name) {
            return *id;
        }
        let iid = self.events.len() as u64 + 1;
        self.events.insert(name.to_owned(), iid);
        self.new.event_names.push(InternedName { iid, name: name.to_owned() });
        iid
    }

    fn category(&mut self, name: &'static str) -> u64 {
        let iid = self.categories.len() as u64 + 1;
        *self.categories.entry(name).or_insert_with(|| {
            self.new.event_categories.push(InternedName { iid, name: name.to_owned() });
            iid
        })
    }

    fn annotation(&mut self, name: &'static str) -> u64 {
        let iid = self.annotations.len() as u64 + 1;
        *self.annotations.entry(name).or_insert_with(|| {
            self.new.debug_annotation_names.push(InternedName { iid, name: name.to_owned() });
            iid
        })
    }
}

impl<W: Write> Perfetto<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, names: Names::default(), buffer: Vec::new() }
    }

    /// One packet, as the field `packet` of the message `Trace`.
    fn packet(&mut self, packet: TracePacket) -> Result<(), ExportError> {
        const FIELD_1_BYTES: u8 = 0x0a;
        let packet = TracePacket { trusted_packet_sequence_id: SEQUENCE, ..packet };
        self.buffer.clear();
        self.buffer.push(FIELD_1_BYTES);
        // A vector grows as it has to.
        let _ = packet.encode_length_delimited(&mut self.buffer);
        Ok(self.out.write_all(&self.buffer)?)
    }

    /// Begins the tables of names anew.
    fn clear_state(&mut self) -> Result<(), ExportError> {
        self.names = Names::default();
        self.packet(TracePacket {
            sequence_flags: Some(STATE_CLEARED),
            trace_packet_defaults: Some(TracePacketDefaults { timestamp_clock_id: REALTIME }),
            ..TracePacket::default()
        })
    }

    fn descriptor(&mut self, descriptor: TrackDescriptor) -> Result<(), ExportError> {
        let track_descriptor = Some(descriptor);
        self.packet(TracePacket { track_descriptor, ..TracePacket::default() })
    }

    /// An event at an instant, with the names it is the first to use.
    fn event(&mut self, at: i64, event: TrackEvent) -> Result<(), ExportError> {
        let new = std::mem::take(&mut self.names.new);
        let packet = TracePacket {
            timestamp: Some(at.max(0) as u64),
            track_event: Some(event),
            interned_data: Some(new).filter(|new| *new != InternedData::default()),
            sequence_flags: Some(NEEDS_STATE),
            ..TracePacket::default()
        };
        self.packet(packet)?;
        if self.names.events.len() >= MAX_NAMES {
            self.clear_state()?;
        }
        Ok(())
    }

    fn annotations(&mut self, args: &Args<'_>) -> Vec<DebugAnnotation> {
        let annotation = |(name, arg): &(&'static str, Arg<'_>)| {
            let empty = DebugAnnotation::default();
            let value = match *arg {
                Arg::Text("") | Arg::Id(0) => return None,
                Arg::Text(text) => DebugAnnotation { string_value: Some(text.to_owned()), ..empty },
                Arg::Integer(value) => DebugAnnotation { int_value: Some(value), ..empty },
                Arg::Id(id) => DebugAnnotation { uint_value: Some(id), ..empty },
            };
            Some(DebugAnnotation { name_iid: self.names.annotation(name), ..value })
        };
        args.iter().filter_map(annotation).collect()
    }

    fn both_ends(&mut self, track_uuid: u64, slice: &Slice<'_>) -> Result<(), ExportError> {
        let begin = TrackEvent {
            kind: TrackEvent::SLICE_BEGIN,
            track_uuid,
            name_iid: Some(self.names.event(slice.name)),
            category_iids: vec![self.names.category(slice.category)],
            debug_annotations: self.annotations(slice.args),
            terminating_flow_ids: slice.flow.into_iter().collect(),
            ..TrackEvent::default()
        };
        self.event(slice.at, begin)?;
        let end = TrackEvent { kind: TrackEvent::SLICE_END, track_uuid, ..TrackEvent::default() };
        self.event(slice.at.saturating_add(slice.length), end)
    }
}

impl<W: Write> Sink for Perfetto<W> {
    fn begin(&mut self, started_at: i64) -> Result<(), ExportError> {
        // Readers that know no other main clock than BOOTTIME find it runs alike.
        let clock = |clock_id| Clock { clock_id, timestamp: started_at.max(0) as u64 };
        self.packet(TracePacket {
            clock_snapshot: Some(ClockSnapshot {
                clocks: vec![clock(BOOTTIME), clock(REALTIME)],
                primary_trace_clock: REALTIME as i32,
            }),
            ..TracePacket::default()
        })?;
        self.clear_state()
    }

    fn process(&mut self, process: &Process) -> Result<(), ExportError> {
        self.descriptor(TrackDescriptor {
            uuid: process.track,
            process: Some(ProcessDescriptor {
                pid: process.pid,
                process_name: process.name.clone(),
                start_timestamp_ns: process.started_at,
                process_labels: process.labels.clone(),
            }),
            ..TrackDescriptor::default()
        })
    }

    fn track(
        &mut self,
        process: &Process,
        track: Track,
        name: &str,
        shows: Shows<'_>,
    ) -> Result<(), ExportError> {
        let plain = TrackDescriptor {
            uuid: track,
            parent_uuid: Some(process.track),
            ..TrackDescriptor::default()
        };
        let named = TrackDescriptor { name: Some(name.to_owned()), ..plain.clone() };
        self.descriptor(match shows {
            Shows::Worker { thread_id: Some(tid) } => {
                let thread =
                    ThreadDescriptor { pid: process.pid, tid, thread_name: name.to_owned() };
                TrackDescriptor { thread: Some(thread), ..plain }
            }
            Shows::Worker { thread_id: None } | Shows::Process => named,
            Shows::Numbers { unit } => {
                let unit_name = Some(unit.to_owned()).filter(|unit| !unit.is_empty());
                TrackDescriptor { counter: Some(CounterDescriptor { unit_name }), ..named }
            }
        })
    }

    fn slice(&mut self, track: Track, slice: &Slice<'_>) -> Result<(), ExportError> {
        self.both_ends(track, slice)
    }

    fn task_slice(
        &mut self,
        process: &Process,
        place: TaskRow,
        slice: &Slice<'_>,
    ) -> Result<(), ExportError> {
        // Said with each of them: remembering which tasks have a track would grow without bound.
        let mut hasher = DefaultHasher::new();
        (process.track, place, slice.category).hash(&mut hasher);
        // Beyond the numbers that were given out one by one.
        let uuid = hasher.finish() | 1 << 63;
        let name = match place.task {
            0 => format!("{}s outside tasks", slice.category),
            task => format!("{}s of task {task}", slice.category),
        };
        self.descriptor(TrackDescriptor {
            uuid,
            parent_uuid: Some(process.track),
            name: Some(name),
            ..TrackDescriptor::default()
        })?;
        self.both_ends(uuid, slice)
    }

    fn instant(&mut self, track: Track, instant: &Instant<'_>) -> Result<(), ExportError> {
        let event = TrackEvent {
            kind: TrackEvent::INSTANT,
            track_uuid: track,
            name_iid: Some(self.names.event(instant.name)),
            category_iids: vec![self.names.category(instant.category)],
            debug_annotations: self.annotations(instant.args),
            flow_ids: instant.flow.into_iter().collect(),
            callstack: callstack(instant.stack),
            ..TrackEvent::default()
        };
        self.event(instant.at, event)
    }

    fn number(&mut self, track: Track, at: i64, value: f64) -> Result<(), ExportError> {
        let event = TrackEvent {
            kind: TrackEvent::COUNTER,
            track_uuid: track,
            double_counter_value: Some(value),
            ..TrackEvent::default()
        };
        self.event(at, event)
    }

    fn end(&mut self, _: &[(&str, String)]) -> Result<(), ExportError> {
        // Losses are events of the trace, and there is no other place for remarks.
        Ok(self.out.flush()?)
    }
}

/// Perfetto has the outermost frame first.
fn callstack(stack: &[Frame]) -> Option<InlineCallstack> {
    let frame = |frame: &Frame| InlineFrame {
        function_name: Some(frame.function.clone()).filter(|name| !name.is_empty()),
        source_file: Some(frame.file.clone()).filter(|file| !file.is_empty()),
        line_number: Some(frame.line).filter(|line| *line > 0),
    };
    let frames: Vec<_> = stack.iter().rev().map(frame).collect();
    (!frames.is_empty()).then_some(InlineCallstack { frames })
}
