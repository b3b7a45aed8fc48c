//! The same polls as a Perfetto trace, as compact as that format gets them: a slice per poll with
//! its task, interned names, defaults instead of repeated fields, and a clock that counts on from
//! packet to packet. Messages and fields are those of `perfetto/trace/trace_packet.proto`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use loopd_model::Span;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::cpu;
use crate::load::{LOCATIONS, POLLS_PER_BATCH, Polls, WORKERS};

/// How often the file is made durable: as often as loopd commits, or seldomer.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);
const ZSTD_LEVEL: i32 = 3;
/// The first clock that a sequence may define for itself.
const OWN_CLOCK: u64 = 64;
/// The clock that everything is counted from.
const BOOTTIME: u64 = 6;

/// What writing cost.
pub(crate) struct Written {
    pub(crate) polls: u64,
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    pub(crate) bytes: u64,
    pub(crate) zstd_bytes: u64,
}

/// Writes batches of polls. Only encoding and writing count, not making them up.
pub(crate) fn write(path: &Path, load: &mut Polls, batches: usize) -> Written {
    let mut file = File::create(path).unwrap();
    let mut lanes: [Lane; WORKERS] = std::array::from_fn(|worker| Lane::new(worker as u64 + 1));
    let mut out = Vec::new();
    lanes.iter_mut().for_each(|lane| lane.begin(&mut out));
    let (mut time, mut spent) = (Duration::ZERO, Duration::ZERO);
    let mut synced_at = Instant::now();
    let mut zstd_bytes = 0;
    let mut bytes = 0;
    for batch in 0..batches {
        let spans = load.spans(POLLS_PER_BATCH);
        let (began_at, before) = (Instant::now(), cpu::own());
        for (lane, spans) in lanes.iter_mut().zip(&spans) {
            spans.iter().for_each(|span| lane.poll(span, &mut out));
        }
        file.write_all(&out).unwrap();
        if synced_at.elapsed() >= SYNC_INTERVAL || batch + 1 == batches {
            file.sync_data().unwrap();
            synced_at = Instant::now();
        }
        time += began_at.elapsed();
        spent += cpu::own() - before;
        bytes += out.len() as u64;
        zstd_bytes += zstd::bulk::compress(&out, ZSTD_LEVEL).unwrap().len() as u64;
        out.clear();
    }
    Written { polls: (batches * POLLS_PER_BATCH) as u64, time, cpu: spent, bytes, zstd_bytes }
}

/// The packets of one worker, which are a sequence of their own.
struct Lane {
    sequence: u64,
    now: u64,
    packet: Vec<u8>,
    event: Vec<u8>,
    inner: Vec<u8>,
}

// Of TracePacket.
const CLOCK_SNAPSHOT: u32 = 6;
const TIMESTAMP: u32 = 8;
const SEQUENCE_ID: u32 = 10;
const TRACK_EVENT: u32 = 11;
const INTERNED_DATA: u32 = 12;
const SEQUENCE_FLAGS: u32 = 13;
const DEFAULTS: u32 = 59;
const TRACK_DESCRIPTOR: u32 = 60;

impl Lane {
    fn new(sequence: u64) -> Self {
        let (packet, event, inner) = (Vec::new(), Vec::new(), Vec::new());
        Self { sequence, now: 0, packet, event, inner }
    }

    /// What later packets refer to: the clock, the track, the names, the defaults.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let clock = |id: u64, is_incremental: bool| {
            let mut clock = Vec::new();
            number(1, id, &mut clock);
            number(2, 0, &mut clock);
            if is_incremental {
                number(3, 1, &mut clock);
            }
            clock
        };
        let mut clocks = Vec::new();
        bytes(1, &clock(OWN_CLOCK, true), &mut clocks);
        bytes(1, &clock(BOOTTIME, false), &mut clocks);
        let mut event_defaults = Vec::new();
        number(11, self.sequence, &mut event_defaults);
        let mut defaults = Vec::new();
        number(58, OWN_CLOCK, &mut defaults);
        bytes(11, &event_defaults, &mut defaults);
        let mut names = Vec::new();
        for id in 1..=LOCATIONS {
            let mut name = Vec::new();
            number(1, id, &mut name);
            bytes(2, format!("src/handlers/of_{}.rs:{}", id % 7, id * 10).as_bytes(), &mut name);
            bytes(2, &name, &mut names);
        }
        let mut note = Vec::new();
        number(1, 1, &mut note);
        bytes(2, b"task", &mut note);
        bytes(3, &note, &mut names);
        let mut track = Vec::new();
        number(1, self.sequence, &mut track);
        bytes(2, format!("worker {}", self.sequence).as_bytes(), &mut track);
        let mut packet = Vec::new();
        bytes(CLOCK_SNAPSHOT, &clocks, &mut packet);
        number(SEQUENCE_ID, self.sequence, &mut packet);
        number(SEQUENCE_FLAGS, 1, &mut packet);
        bytes(DEFAULTS, &defaults, &mut packet);
        bytes(INTERNED_DATA, &names, &mut packet);
        bytes(1, &packet, out);
        let mut packet = Vec::new();
        number(SEQUENCE_ID, self.sequence, &mut packet);
        bytes(TRACK_DESCRIPTOR, &track, &mut packet);
        bytes(1, &packet, out);
    }

    /// A slice begins and ends.
    fn poll(&mut self, span: &Span, out: &mut Vec<u8>) {
        self.inner.clear();
        number(1, 1, &mut self.inner);
        number(3, span.task.0, &mut self.inner);
        self.event.clear();
        number(9, 1, &mut self.event);
        number(10, 1 + span.task.0 % LOCATIONS, &mut self.event);
        bytes(4, &self.inner, &mut self.event);
        self.packet(span.start.0, out);
        self.event.clear();
        number(9, 2, &mut self.event);
        self.packet(span.end().0, out);
    }

    fn packet(&mut self, at: u64, out: &mut Vec<u8>) {
        self.packet.clear();
        number(TIMESTAMP, at - self.now, &mut self.packet);
        self.now = at;
        number(SEQUENCE_ID, self.sequence, &mut self.packet);
        // It needs what this sequence has said before.
        number(SEQUENCE_FLAGS, 2, &mut self.packet);
        bytes(TRACK_EVENT, &self.event, &mut self.packet);
        bytes(1, &self.packet, out);
    }
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    out.reserve(encoded_len_varint(value.len() as u64) + value.len());
    encode_varint(value.len() as u64, out);
    out.put_slice(value);
}
