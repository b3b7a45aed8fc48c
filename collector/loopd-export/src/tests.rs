//! One known recording in every format, read back by others than what wrote it.

use std::collections::{BTreeMap, HashMap};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use bytes::Bytes;
use loopd_model::{Batch, Nanos, RecordKind, Span, TaskId};
use loopd_store::{QueryLimits, Reader, UnixNanos, Value, Writer};
use prost::Message;

use crate::trace::proto::{TracePacket, TrackEvent};
use crate::{Selection, Source, recording};

struct Recorded {
    folder: tempfile::TempDir,
    writer: Writer,
    reader: Reader,
}

impl Recorded {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = recording::orders(&folder.path().join("loopd.db")).await;
        Self { folder, writer, reader }
    }

    async fn lossy() -> Self {
        let mut recorded = Self::new().await;
        recording::add_lossy(&mut recorded.writer).await;
        recorded
    }

    async fn selection(&self, from: Option<i64>, to: Option<i64>) -> Selection {
        let processes = self.reader.processes().await.unwrap();
        let processes = processes.rows.iter().map(|process| process.process).collect();
        let (from, to) = (from.map(UnixNanos), to.map(UnixNanos));
        Selection { processes, from, to }
    }

    async fn source(&self, from: Option<i64>, to: Option<i64>) -> Source {
        Source::new(&self.reader, self.selection(from, to).await).unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        let result = self.reader.query(sql, QueryLimits::default()).await.unwrap();
        match result.rows[0][0] {
            Value::Integer(number) => number,
            ref other => panic!("{sql}: {other:?}"),
        }
    }
}

const SECOND: i64 = 1_000_000_000;

#[tokio::test]
async fn parquet_has_every_row_of_every_table_and_says_what_was_lost() {
    let recorded = Recorded::lossy().await;
    let source = recorded.source(None, None).await;
    for table in crate::table_names() {
        let mut bytes = Vec::new();
        crate::parquet_table(&source, table, &mut bytes).unwrap();
        let file = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let expected = recorded.number(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(file.get_row_iter(None).unwrap().count() as i64, expected, "{table}");
        assert_eq!(source.counts().of(table) as i64, expected, "{table}");
        let notes = file.metadata().file_metadata().key_value_metadata().unwrap();
        let losses = notes.iter().find(|note| note.key == "loopd.losses").unwrap();
        assert!(losses.value.as_deref().unwrap().contains("ring_full"), "{losses:?}");
    }
    assert!(source.counts().of("polls") > 200);
}

#[tokio::test]
async fn a_range_has_what_begins_in_it_or_lasts_into_it() {
    let recorded = Recorded::new().await;
    let (from, to) = (recording::START + 2 * SECOND, recording::START + 3 * SECOND);
    let source = recorded.source(Some(from), Some(to)).await;
    let mut lines = BTreeMap::new();
    for (table, condition) in [
        ("polls", format!("start_at >= {from} AND start_at < {to}")),
        ("samples", format!("at >= {from} AND at < {to}")),
        ("tasks", format!("spawned_at < {to} AND (ended_at IS NULL OR ended_at >= {from})")),
    ] {
        let mut csv = Vec::new();
        crate::csv_table(&source, table, &mut csv).unwrap();
        let rows = String::from_utf8(csv).unwrap().lines().count() as i64 - 1;
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        assert_eq!(rows, recorded.number(&sql).await, "{table}");
        lines.insert(table, rows);
    }
    assert_eq!(lines["samples"], 1);
    assert!(lines["tasks"] < recorded.number("SELECT count(*) FROM tasks").await);
}

#[tokio::test]
async fn folded_lines_add_up_to_the_length_of_the_polls_they_were_taken_in() {
    let recorded = Recorded::new().await;
    let mut folded = Vec::new();
    crate::folded(&recorded.source(None, None).await, &mut folded).unwrap();
    let folded = String::from_utf8(folded).unwrap();
    // 250 ms and 300 ms; in the third slow poll no stack was taken.
    assert_eq!(
        folded,
        "orders;main;orders/src/report.rs:30;tokio::runtime::task::raw::poll;\
         orders::report::build;sha2::compress 550000\n"
    );
}

#[derive(Clone, PartialEq, Message)]
struct Trace {
    #[prost(message, repeated, tag = "1")]
    packet: Vec<TracePacket>,
}

#[tokio::test]
async fn perfetto_has_a_slice_for_every_poll_on_the_track_of_its_worker() {
    let recorded = Recorded::new().await;
    let mut bytes = Vec::new();
    crate::perfetto(&recorded.source(None, None).await, &mut bytes).unwrap();
    let trace = Trace::decode(&*bytes).unwrap();

    let descriptors = trace.packet.iter().filter_map(|packet| packet.track_descriptor.as_ref());
    let threads: HashMap<u64, &str> = descriptors
        .filter_map(|track| Some((track.uuid, &*track.thread.as_ref()?.thread_name)))
        .collect();
    let mut names = HashMap::new();
    let mut open: HashMap<u64, i64> = HashMap::new();
    let mut polls: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut from, mut to, mut stacks) = (Vec::<u64>::new(), Vec::<u64>::new(), 0);
    for packet in &trace.packet {
        for name in packet.interned_data.iter().flat_map(|data| &data.event_names) {
            names.insert(name.iid, &*name.name);
        }
        let Some(event) = &packet.track_event else { continue };
        match event.kind {
            TrackEvent::SLICE_BEGIN => *open.entry(event.track_uuid).or_default() += 1,
            TrackEvent::SLICE_END => *open.entry(event.track_uuid).or_default() -= 1,
            _ => {}
        }
        from.extend(&event.flow_ids);
        to.extend(&event.terminating_flow_ids);
        stacks += usize::from(event.callstack.is_some());
        let name = event.name_iid.map_or("", |iid| names[&iid]);
        if event.kind == TrackEvent::SLICE_BEGIN && name != "park" {
            *polls.entry(threads[&event.track_uuid]).or_default() += 1;
        }
    }
    assert!(open.values().all(|open| *open == 0), "{open:?}");
    for (worker, name) in [(0, "tokio-0 (main 0)"), (1, "tokio-1 (main 1)")] {
        let sql = format!("SELECT count(*) FROM polls WHERE worker = {worker}");
        assert_eq!(polls[name], recorded.number(&sql).await, "{polls:?}");
    }
    assert_eq!(stacks, 3);
    // The tasks that woke did not poll just then, so nobody knows where.
    assert_eq!((from, to), (vec![], vec![]));
}

#[tokio::test]
async fn chrome_has_the_same_in_json() {
    let recorded = Recorded::lossy().await;
    let mut bytes = Vec::new();
    crate::chrome(&recorded.source(None, None).await, &mut bytes).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let count = |category: &str| {
        events.iter().filter(|event| event["cat"] == category && event["ph"] == "X").count() as i64
    };
    assert_eq!(count("poll"), recorded.number("SELECT count(*) FROM polls").await);
    assert_eq!(count("park"), recorded.number("SELECT count(*) FROM parks").await);
    let longest = events.iter().filter_map(|event| event["dur"].as_f64()).fold(0.0, f64::max);
    assert!((longest - 500e6).abs() < 1.0, "{longest}");
    let losses = events.iter().filter(|event| event["cat"] == "loss");
    assert_eq!(losses.count() as i64, recorded.number("SELECT count(*) FROM losses").await);
    assert_eq!(trace["metadata"]["lost_records"], "1200");
    // Both programs have the same process id.
    let pids: std::collections::HashSet<_> =
        events.iter().map(|event| event["pid"].to_string()).collect();
    assert_eq!(pids.len(), 2, "{pids:?}");
}

#[tokio::test]
async fn a_slow_poll_is_in_a_trace_though_retention_has_removed_the_polls() {
    let recorded = Recorded::new().await;
    // The polls of one worker, as retention would take them: slow ones have rows of their own.
    let db = rusqlite::Connection::open(recorded.folder.path().join("loopd.db")).unwrap();
    let all_slow = recorded.number("SELECT count(*) FROM slow WHERE length IS NOT NULL").await;
    let sql = "DELETE FROM segment WHERE kind = ?1 AND worker = 0";
    assert!(db.execute(sql, [RecordKind::Poll as u8]).unwrap() > 0);
    let polls = recorded.number("SELECT count(*) FROM polls").await;
    let both = "SELECT count(*) FROM slow JOIN polls USING (process, loop, worker, start_at)";
    let still_there = recorded.number(both).await;
    assert!(still_there < all_slow, "{still_there} of {all_slow} slow polls");
    assert!(polls > 0);

    let mut bytes = Vec::new();
    crate::chrome(&recorded.source(None, None).await, &mut bytes).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slices = events.iter().filter(|event| event["cat"] == "poll" && event["ph"] == "X");
    assert_eq!(slices.count() as i64, polls + all_slow - still_there);
}

#[tokio::test]
async fn the_page_says_what_was_found_and_nothing_in_it_runs() {
    let recorded = Recorded::lossy().await;
    let selection = recorded.selection(None, None).await;
    let mut page = Vec::new();
    crate::html(&recorded.reader, &selection, &mut page).await.unwrap();
    let page = String::from_utf8(page).unwrap();
    for text in [
        "orders/src/report.rs:41",
        "sha2::compress",
        "orders/src/leak.rs:12",
        "growing",
        "<path class=\"b3\"",
        "800 ms at 2026-11-22 14:09:59.000, task 10",
        "1,200 records of this range never arrived",
        "built without --cfg tokio_unstable",
        "<h2>Findings</h2>",
        "120 tasks spawned at <code>orders/src/leak.rs:12</code> never ended",
        "<h2>What was looked for</h2>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // The names of some tasks are hostile.
    for text in ["<script", "http://", "https://", "src=", "\u{202e}", "url(", "/home/me"] {
        assert!(!page.contains(text), "{text}");
    }
    assert!(page.len() < 200_000, "{}", page.len());
}

#[tokio::test]
async fn a_report_has_findings_and_rules_and_nothing_in_it_runs() {
    let recorded = Recorded::lossy().await;
    let selection = recorded.selection(None, None).await;
    let mut page = Vec::new();
    crate::report(&recorded.reader, &selection, &mut page).await.unwrap();
    let page = String::from_utf8(page).unwrap();
    for text in [
        "<span class=\"level\">warning</span> 120 tasks spawned at <code>orders/src/leak.rs:12</code>",
        "<b>Why</b>",
        "<b>Fix</b>",
        "<h2>What was looked for</h2>",
        "1,200 records of this range never arrived",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for text in ["<script", "http://", "https://", "src=", "\u{202e}", "url(", "/home/me"] {
        assert!(!page.contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_page_of_a_range_leaves_out_the_rest() {
    let recorded = Recorded::new().await;
    let (from, to) = (recording::START + 5 * SECOND, recording::START + 500 * SECOND);
    let selection = recorded.selection(Some(from), Some(to)).await;
    let mut page = Vec::new();
    crate::html(&recorded.reader, &selection, &mut page).await.unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("No poll that was seen took 100 ms or longer"));
    assert!(page.contains("No record of this range was lost"));
}

#[tokio::test]
async fn a_wake_is_a_flow_from_the_waker_to_the_poll_on_another_worker() {
    let mut recorded = Recorded::new().await;
    let process = recording::process(9, "wakers");
    let wake = Span {
        start: Nanos(1_100 * recording::MS),
        length: 200 * recording::MS,
        task: TaskId(11),
        by: TaskId(10),
        count: 1,
    };
    let segments = vec![
        recording::segment(0, RecordKind::Poll, &[recording::poll(1_000, 150_000, 10)]),
        recording::segment(1, RecordKind::Wake, &[wake]),
        recording::segment(1, RecordKind::Poll, &[recording::poll(1_300, 5_000, 11)]),
    ];
    let batch = Batch { seq: 1, events: vec![recording::opened()], segments, ..Batch::default() };
    let process = recording::store(&mut recorded.writer, &process, batch).await;
    let selection = Selection { processes: vec![process], from: None, to: None };
    let source = Source::new(&recorded.reader, selection).unwrap();
    let mut bytes = Vec::new();
    crate::perfetto(&source, &mut bytes).unwrap();
    let trace = Trace::decode(&*bytes).unwrap();
    let at = |ms: i64| Some((recording::START + ms * 1_000_000) as u64);
    let flow = |flows: fn(&TrackEvent) -> &[u64]| {
        let with = trace.packet.iter().filter_map(|packet| {
            let event = packet.track_event.as_ref()?;
            let flow = *flows(event).first()?;
            Some((packet.timestamp, event.track_uuid, flow))
        });
        with.collect::<Vec<_>>()
    };
    let (from, to) = (flow(|event| &event.flow_ids), flow(|event| &event.terminating_flow_ids));
    assert_eq!((from.len(), to.len()), (1, 1));
    assert_eq!((from[0].0, to[0].0), (at(1_100), at(1_300)));
    assert_eq!(from[0].2, to[0].2);
    assert_ne!(from[0].1, to[0].1);
}

#[tokio::test]
async fn a_trace_of_a_range_shows_the_slow_poll_that_lasts_into_it() {
    let recorded = Recorded::new().await;
    // In the middle of the 300 ms that task 10 blocked worker 0.
    let from = recording::START + 2 * SECOND + 100_000_000;
    let source = recorded.source(Some(from), Some(from + 1_000)).await;
    let mut bytes = Vec::new();
    crate::chrome(&source, &mut bytes).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let polls: Vec<_> = events.iter().filter(|event| event["cat"] == "poll").collect();
    assert_eq!(polls.len(), 1, "{polls:?}");
    assert_eq!((&polls[0]["ts"], &polls[0]["dur"]), (&(-100_000.0).into(), &300_000.0.into()));
}
