//! Cuts a batch that is larger than a collector takes into batches that are not.

use loopd_model::segment::{self, Effort};
use loopd_wire::pb;
use prost::Message;

/// In front of each definition, event and segment: one byte for the field, five for the length.
const FIELD_BYTES: usize = 6;

/// Cuts so that every piece is at most `max_bytes` long, but for one thing that is longer alone.
/// Definitions come before what refers to them; losses and totals are in the last piece.
pub(crate) fn cut(batch: pb::Batch, max_bytes: usize) -> Vec<pb::Batch> {
    let pb::Batch { names, locations, stacks, events, segments, .. } = batch;
    let ending = pb::Batch {
        seq: 0,
        anchor: batch.anchor,
        losses: batch.losses,
        ledger: batch.ledger,
        ..pb::Batch::default()
    };
    let room = max_bytes.saturating_sub(ending.encoded_len());
    let first = pb::Batch { anchor: ending.anchor, ..pb::Batch::default() };
    let mut pieces = Pieces { pieces: Vec::new(), last: first, bytes: 0, room };
    for name in names {
        pieces.with_room_for(&name).names.push(name);
    }
    for location in locations {
        pieces.with_room_for(&location).locations.push(location);
    }
    for stack in stacks {
        pieces.with_room_for(&stack).stacks.push(stack);
    }
    for event in events {
        pieces.with_room_for(&event).events.push(event);
    }
    for segment in segments.into_iter().flat_map(|segment| cut_segment(segment, room)) {
        pieces.with_room_for(&segment).segments.push(segment);
    }
    let Pieces { mut pieces, mut last, .. } = pieces;
    (last.losses, last.ledger) = (ending.losses, ending.ledger);
    pieces.push(last);
    pieces
}

struct Pieces {
    pieces: Vec<pb::Batch>,
    last: pb::Batch,
    /// Of what was put into the last piece.
    bytes: usize,
    /// For such things in each.
    room: usize,
}

impl Pieces {
    /// The piece that takes this next: a new one if the last is too full.
    fn with_room_for(&mut self, item: &impl Message) -> &mut pb::Batch {
        let bytes = FIELD_BYTES + item.encoded_len();
        if self.bytes > 0 && self.bytes + bytes > self.room {
            let next = pb::Batch { anchor: self.last.anchor, ..pb::Batch::default() };
            self.pieces.push(std::mem::replace(&mut self.last, next));
            self.bytes = 0;
        }
        self.bytes += bytes;
        &mut self.last
    }
}

/// Halves a segment until every part fits or is a single span.
fn cut_segment(segment: pb::Segment, room: usize) -> Vec<pb::Segment> {
    if FIELD_BYTES + segment.encoded_len() <= room || segment.count < 2 {
        return vec![segment];
    }
    // The bytes are our own, so they can be read.
    let Ok((header, spans)) = segment::decode(&segment.data) else { return vec![segment] };
    let (early, late) = spans.split_at(spans.len() / 2);
    let parts = [early, late].into_iter().flat_map(|spans| {
        let data = segment::encode(header.kind, spans, Effort::Fast);
        let part = pb::Segment { count: spans.len() as u32, data: data.into(), ..segment.clone() };
        cut_segment(part, room)
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_model::{
        Anchor, Batch, DropCause, Event, EventKind, LoopId, Loss, Name, NameId, Nanos, Outcome,
        RecordKind, Segment, Span, TaskId, WorkerId,
    };

    /// 300 names, 300 events, and 300 polls in each of three segments.
    fn large() -> pb::Batch {
        let spans = |worker: u64| -> Vec<_> {
            let span = |i: u64| Span {
                start: Nanos(i * 7_919 + worker),
                length: i * i * 31 % 5_003,
                task: TaskId(i * i * 17 % 1_009 + 1),
                count: 1,
                ..Span::default()
            };
            (1..=300).map(span).collect()
        };
        let segment = |worker: u64| Segment {
            loop_id: LoopId(1),
            worker: WorkerId(worker as u32),
            kind: RecordKind::Poll,
            count: 300,
            data: segment::encode(RecordKind::Poll, &spans(worker), Effort::Fast),
        };
        let ended = |task| EventKind::TaskEnded { task, outcome: Outcome::Completed };
        let (kind, cause) = (RecordKind::Poll, DropCause::RingFull);
        let (from, to) = (Nanos(1), Nanos(2));
        loopd_wire::encode_batch(Batch {
            anchor: Anchor { at: Nanos(9), ..Anchor::default() },
            names: (1..=300).map(|i| Name { id: NameId(i), text: format!("name {i}") }).collect(),
            events: (1..=300).map(|i| Event { at: Nanos(i), kind: ended(TaskId(i)) }).collect(),
            segments: (0..3).map(segment).collect(),
            losses: vec![Loss { kind, cause, count: 1, from, to }],
            ..Batch::default()
        })
    }

    fn spans(batches: &[pb::Batch]) -> Vec<(u32, Span)> {
        let segments = batches.iter().flat_map(|batch| &batch.segments);
        let of = |segment: &pb::Segment| {
            let (_, spans) = segment::decode(&segment.data).unwrap();
            assert_eq!(spans.len(), segment.count as usize);
            spans.into_iter().map(|span| (segment.worker, span)).collect::<Vec<_>>()
        };
        segments.flat_map(of).collect()
    }

    #[test]
    fn the_pieces_fit_and_are_together_what_was_cut() {
        let whole = large();
        for max_bytes in [200, 500, 1_000, 4_000, whole.encoded_len() + 4_000] {
            let pieces = cut(whole.clone(), max_bytes);
            assert!(pieces.iter().all(|piece| piece.encoded_len() <= max_bytes), "{max_bytes}");
            assert!(pieces.iter().all(|piece| piece.anchor == whole.anchor));
            assert_eq!(pieces.len() == 1, max_bytes > whole.encoded_len());
            let names: Vec<_> = pieces.iter().flat_map(|piece| piece.names.clone()).collect();
            assert_eq!(names, whole.names);
            let events: Vec<_> = pieces.iter().flat_map(|piece| piece.events.clone()).collect();
            assert_eq!(events, whole.events);
            assert_eq!(spans(&pieces), spans(std::slice::from_ref(&whole)));
            assert_eq!(pieces.last().unwrap().losses, whole.losses);
        }
    }

    #[test]
    fn what_cannot_be_cut_is_alone() {
        let pieces = cut(large(), 0);
        let alone =
            |piece: &pb::Batch| piece.names.len() + piece.events.len() + piece.segments.len() == 1;
        assert!(pieces.iter().all(alone));
        assert_eq!(pieces.len(), 300 + 300 + 900);
    }
}
