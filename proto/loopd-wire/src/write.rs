//! Batches as bytes. Most events are a few numbers, and a busy program has very many of them; these
//! are written directly, without making protobuf values first and measuring each of them several
//! times. The bytes are those that the generated code would write.

use loopd_model as model;
use model::EventKind;
use prost::Message;
use prost::encoding::{self, WireType};

use crate::encode::{
    encode_batch, encode_event, encode_how, encode_outcome, encode_task_kind, encode_wait_how,
};
use crate::pb;

/// Of `Batch`: its events.
const EVENTS: u32 = 6;
/// Of `Event`: when it was.
const AT: u32 = 1;
/// Of `Event`: the kinds that are written here.
const TASK_SPAWNED: u32 = 6;
const TASK_NAMED: u32 = 7;
const TASK_ENDED: u32 = 9;
const RESOURCE_CLOSED: u32 = 11;
const WAIT_ENDED: u32 = 16;

/// Five 64-bit numbers, the tag of a kind above 15 and what else is around them take at most this
/// many bytes, so that every length inside is a single byte.
const MAX_SHORT: usize = 72;
/// Of most events: what room is made for.
const EVENT_BYTES: usize = 32;

/// The same as encoding what [`encode_batch`] makes of the batch, in a fraction of the time.
pub fn write_batch(mut batch: model::Batch) -> Vec<u8> {
    let mut events = std::mem::take(&mut batch.events);
    let mut before = encode_batch(batch);
    // Fields are written in the order of their numbers.
    let after = pb::Batch {
        segments: std::mem::take(&mut before.segments),
        losses: std::mem::take(&mut before.losses),
        ledger: std::mem::take(&mut before.ledger),
        ..pb::Batch::default()
    };
    let around = before.encoded_len() + after.encoded_len();
    let mut out = Vec::with_capacity(around + events.len() * EVENT_BYTES);
    before.encode_raw(&mut out);
    for event in &mut events {
        put_event(event, &mut out);
    }
    after.encode_raw(&mut out);
    // They may be kept for long.
    out.shrink_to_fit();
    out
}

/// Writes an event, of which little may be left.
fn put_event(event: &mut model::Event, out: &mut Vec<u8>) {
    let at = event.at.0;
    let mut short = Short { bytes: [0; MAX_SHORT], len: 0 };
    match event.kind {
        EventKind::TaskSpawned { task, loop_id, spawn_location, parent, kind } => {
            let kind = encode_task_kind(kind) as u64;
            let ids = [task.0, loop_id.0, spawn_location.0, parent.0, kind];
            short.event(at, TASK_SPAWNED, ids)
        }
        EventKind::TaskNamed { task, name } => short.event(at, TASK_NAMED, [task.0, name.0]),
        EventKind::TaskEnded { task, outcome } => {
            short.event(at, TASK_ENDED, [task.0, encode_outcome(outcome) as u64])
        }
        EventKind::ResourceClosed { resource, how } => {
            short.event(at, RESOURCE_CLOSED, [resource.0, encode_how(how) as u64])
        }
        EventKind::WaitEnded { wait, how } => {
            short.event(at, WAIT_ENDED, [wait.0, encode_wait_how(how) as u64])
        }
        _ => {
            let nothing = EventKind::LoopClosed { loop_id: model::LoopId::NONE };
            let kind = std::mem::replace(&mut event.kind, nothing);
            let event = encode_event(model::Event { at: event.at, kind });
            return encoding::message::encode(EVENTS, &event, out);
        }
    }
    // Of a fixed length, and so without a call.
    let end = out.len() + short.len;
    out.extend_from_slice(&short.bytes);
    out.truncate(end);
}

/// An event on its way.
struct Short {
    bytes: [u8; MAX_SHORT],
    len: usize,
}

impl Short {
    /// Writes an event whose kind has numbers only, in the order of its fields, which begin at 1.
    #[inline(always)]
    fn event<const N: usize>(&mut self, at: u64, kind: u32, numbers: [u64; N]) {
        const { assert!(N <= 5) };
        let event = self.begin(EVENTS);
        self.number(AT, at);
        let inner = self.begin(kind);
        for (index, number) in numbers.into_iter().enumerate() {
            self.number(index as u32 + 1, number);
        }
        self.end(inner);
        self.end(event);
    }

    /// Begins a message inside; says where its length belongs.
    #[inline(always)]
    fn begin(&mut self, field: u32) -> usize {
        self.varint(u64::from(field << 3 | WireType::LengthDelimited as u32));
        self.byte(0);
        self.len - 1
    }

    /// Ends the message whose length belongs there.
    #[inline(always)]
    fn end(&mut self, length_at: usize) {
        self.bytes[length_at] = (self.len - length_at - 1) as u8;
    }

    /// A number; 0 is not written.
    #[inline(always)]
    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field << 3 | WireType::Varint as u32));
            self.varint(value);
        }
    }

    #[inline(always)]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        // There is always room; see `MAX_SHORT`.
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Batch, Event, LocationId, LoopId, Nanos, Outcome, TaskId, TaskKind};

    #[test]
    fn the_longest_short_event_is_written_as_the_generated_code_would() {
        for number in [0, 1, 127, 128, u64::MAX] {
            let (task, loop_id) = (TaskId(number), LoopId(number));
            let kinds = [
                EventKind::TaskSpawned {
                    task,
                    loop_id,
                    spawn_location: LocationId(number),
                    parent: task,
                    kind: TaskKind::Blocking,
                },
                EventKind::TaskEnded { task, outcome: Outcome::Unknown },
                EventKind::WaitEnded { wait: model::WaitId(number), how: model::WaitHow::Ready },
            ];
            let events = kinds.map(|kind| Event { at: Nanos(number), kind }).to_vec();
            let batch = Batch { events, ..Batch::default() };
            assert_eq!(write_batch(batch.clone()), encode_batch(batch).encode_to_vec());
        }
    }
}
