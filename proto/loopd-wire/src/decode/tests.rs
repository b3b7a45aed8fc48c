use super::*;
use crate::limits::{self, MAX_NUMBER};
use crate::{encode_batch, encode_process, encode_settings, write_batch};

mod arbitrary;

use arbitrary::{batch, process, settings};
use loopd_model::segment::{self, Effort};
use loopd_model::{Batch, EventKind, Outcome, Span, TaskId, TaskKind};
use proptest::prelude::*;
use prost::Message;

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded(batch in batch()) {
        let bytes = encode_batch(batch.clone()).encode_to_vec();
        prop_assert_eq!(&write_batch(batch.clone()), &bytes);
        let decoded = decode_batch(pb::Batch::decode(&bytes[..]).unwrap()).unwrap();
        prop_assert_eq!(decoded, (batch, Tolerated::default()));
    }

    #[test]
    fn a_process_survives_the_way(
        process in process(),
        first_seq in 1..=MAX_NUMBER,
        settings in prop::option::of(settings()),
        configured in prop::option::of(settings()),
    ) {
        let hello = pb::Hello {
            protocol: limits::PROTOCOL,
            process: Some(encode_process(process.clone())),
            first_seq,
            settings: settings.map(encode_settings),
            configured: configured.map(encode_settings),
        };
        let hello = pb::Hello::decode(&hello.encode_to_vec()[..]).unwrap();
        let expected = Hello { process, first_seq, settings, configured };
        prop_assert_eq!(decode_hello(hello).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_an_answer_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = pb::AgentMessage::decode(&bytes[..]) {
            let _ = decode_message(message);
        }
    }

    #[test]
    fn a_damaged_batch_is_an_answer_and_never_a_panic(
        batch in batch(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode_batch(batch).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(batch) = pb::Batch::decode(&bytes[..])
            && let Ok((batch, _)) = decode_batch(batch)
        {
            let is_readable = |s: &loopd_model::Segment| segment::decode(&s.data).is_ok();
            prop_assert!(batch.seq > 0 && batch.segments.iter().all(is_readable));
        }
    }
}

fn empty() -> pb::Batch {
    encode_batch(Batch { seq: 1, ..Batch::default() })
}

#[track_caller]
fn check_refused(batch: pb::Batch, expected: &str) {
    assert_eq!(decode_batch(batch).unwrap_err().to_string(), expected);
}

#[test]
fn a_refusal_names_the_field_its_value_and_the_limit() {
    check_refused(pb::Batch { seq: 0, ..empty() }, "seq is missing");
    check_refused(pb::Batch { anchor: None, ..empty() }, "anchor is missing");
    let events = vec![pb::Event::default(); limits::MAX_EVENTS + 1];
    check_refused(pb::Batch { events, ..empty() }, "events is 65537, the limit is 65536");
    let names = vec![pb::Name { id: 1, text: "a".into() }, pb::Name { id: 0, text: "b".into() }];
    check_refused(pb::Batch { names, ..empty() }, "names[1].id is missing");
    let frames = vec![pb::Frame::default(); limits::MAX_FRAMES + 1];
    let stacks = vec![pb::Stack { id: 1, frames }];
    check_refused(pb::Batch { stacks, ..empty() }, "stacks[0].frames is 257, the limit is 256");
    let kind = pb::event::Kind::LoopClosed(pb::LoopClosed { loop_id: 1 << 63 });
    let events = vec![pb::Event { at: 0, kind: Some(kind) }];
    check_refused(
        pb::Batch { events, ..empty() },
        "events[0].loop_id is 9223372036854775808, the limit is 9223372036854775807",
    );
}

fn parks(n: usize) -> pb::Segment {
    let spans = vec![Span { count: 1, ..Span::default() }; n];
    pb::Segment {
        loop_id: 1,
        worker: 0,
        kind: pb::RecordKind::Park.into(),
        count: n as u32,
        data: segment::encode(RecordKind::Park, &spans, Effort::Fast).into(),
    }
}

#[test]
fn a_segment_must_be_what_it_says() {
    let with = |segment| pb::Batch { segments: vec![segment], ..empty() };
    check_refused(with(pb::Segment { count: 3, ..parks(2) }), "segments[0].count is 3, expected 2");
    let kind = pb::RecordKind::Poll.into();
    check_refused(with(pb::Segment { kind, ..parks(2) }), "segments[0].kind is 1, expected 2");
    let mut data = parks(2).data.to_vec();
    data[20] ^= 1;
    check_refused(
        with(pb::Segment { data: data.into(), ..parks(2) }),
        "segments[0].data is not readable: segment checksum does not match",
    );
    let span = Span { task: TaskId(u64::MAX), ..Span::default() };
    let data = segment::encode(RecordKind::Park, &[span], Effort::Fast).into();
    check_refused(
        with(pb::Segment { data, ..parks(1) }),
        "segments[0].spans is 18446744073709551615, the limit is 9223372036854775807",
    );
}

#[test]
fn many_small_segments_cannot_stand_for_endless_spans() {
    let segments = vec![parks(limits::MAX_SPANS / 2); 3];
    let batch = pb::Batch { segments, ..empty() };
    assert!(encoded_len(&batch) < limits::MAX_BATCH_BYTES * 4);
    check_refused(batch, "segments[2].spans is 1572864, the limit is 1048576");
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let error = decode_hello(pb::Hello { protocol: 2, ..pb::Hello::default() }).unwrap_err();
    assert_eq!(error.to_string(), "protocol version 2 is not known here, only 1");
}

#[test]
fn what_a_newer_agent_says_is_skipped_and_counted() {
    let newer_kind = pb::Event { at: 5, kind: None };
    let spawned =
        pb::TaskSpawned { task_id: 7, loop_id: 1, kind: 99, ..pb::TaskSpawned::default() };
    let spawned = pb::Event { at: 6, kind: Some(pb::event::Kind::TaskSpawned(spawned)) };
    let ended = pb::TaskEnded { task_id: 7, outcome: -1 };
    let ended = pb::Event { at: 7, kind: Some(pb::event::Kind::TaskEnded(ended)) };
    let loss = pb::Loss { kind: 1, cause: 77, count: 3, from_at: 0, to_at: 1 };
    let batch = pb::Batch {
        events: vec![newer_kind, spawned, ended],
        segments: vec![pb::Segment { kind: 42, ..parks(1) }],
        losses: vec![loss, pb::Loss { kind: 42, ..loss }],
        ledger: vec![pb::Ledger { kind: 42, produced: 1, dropped: 0 }],
        ..empty()
    };
    let (batch, tolerated) = decode_batch(batch).unwrap();
    assert_eq!(tolerated, Tolerated { unknown_kinds: 4, unknown_values: 3, cut_texts: 0 });
    assert!(matches!(batch.events[0].kind, EventKind::TaskSpawned { kind: TaskKind::Async, .. }));
    assert!(matches!(batch.events[1].kind, EventKind::TaskEnded { outcome: Outcome::Unknown, .. }));
    assert_eq!((batch.losses.len(), batch.losses[0].cause), (1, DropCause::AgentLimit));
    assert!(batch.segments.is_empty() && batch.ledger.is_empty());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "é".repeat(200);
    let names = vec![pb::Name { id: 1, text }];
    let (batch, tolerated) = decode_batch(pb::Batch { names, ..empty() }).unwrap();
    assert_eq!(batch.names[0].text, "é".repeat(128));
    assert_eq!(tolerated.cut_texts, 1);
}

#[test]
fn a_reading_that_is_no_number_is_left_out() {
    let metric = |value| pb::Metric { name: "m".into(), worker: None, value };
    let metrics = vec![metric(f64::NAN), metric(f64::INFINITY), metric(1.5)];
    let kind = pb::event::Kind::Metrics(pb::Metrics { loop_id: 0, metrics });
    let events = vec![pb::Event { at: 0, kind: Some(kind) }];
    let (batch, tolerated) = decode_batch(pb::Batch { events, ..empty() }).unwrap();
    assert!(
        matches!(&batch.events[0].kind, EventKind::Metrics { metrics, .. } if metrics.len() == 1)
    );
    assert_eq!(tolerated.unknown_values, 2);
}
