//! A real database in a temporary directory, and short ways to make batches.

use loopd_model::segment::{self, Effort};
use loopd_model::*;
use loopd_store::{
    CommitOutcome, Committed, ProcessKey, QueryLimits, Reader, Retention, StoreOptions, Value,
    Writer,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000 * MS;
/// Instant 0 of the processes in tests, in wall time; the start of a tile of level 5.
pub(crate) const ORIGIN: i64 = 6_500_000 << 38 >> 8;

pub(crate) const KEEP_ALL: Retention =
    Retention { max_age: None, max_bytes: None, max_process_bytes: None };

pub(crate) struct Store {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) process: ProcessKey,
    pub(crate) seq: u64,
}

pub(crate) fn process(number: u8) -> Process {
    Process {
        id: ProcessId([number; 16]),
        app: "orders".into(),
        app_version: "1.2".into(),
        host: "here".into(),
        pid: 42,
        labels: vec![("zone".into(), "b".into())],
        agent: "loopd-agent".into(),
        agent_version: "0.1.0".into(),
        anchor: Anchor { at: Nanos(0), unix: UnixNanos(ORIGIN) },
        coverage: vec![Coverage {
            layer: "hooks".into(),
            state: CoverageState::Off,
            reason: "build with tokio_unstable".into(),
        }],
        slow_threshold: 100 * MS,
    }
}

impl Store {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path().join("loopd.db"));
        let (mut writer, reader) = loopd_store::open(options).await.unwrap();
        let session = writer.begin_session(&process(1), 1).await.unwrap();
        Self { directory, writer, reader, process: session.process, seq: session.durable_seq }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("loopd.db")
    }

    /// Opens the same file again, after the writer was dropped or closed.
    pub(crate) async fn reopen(self, is_clean: bool) -> Self {
        let path = self.path();
        let Self { directory, writer, seq, .. } = self;
        if is_clean {
            writer.close().await.unwrap();
        } else {
            drop(writer);
        }
        let (mut writer, reader) = loopd_store::open(StoreOptions::new(path)).await.unwrap();
        let session = writer.begin_session(&process(1), 1).await.unwrap();
        assert_eq!(session.durable_seq, seq);
        Self { directory, writer, reader, process: session.process, seq }
    }

    /// Commits one batch with the next number.
    pub(crate) async fn commit(&mut self, batch: Batch) -> Committed {
        let batch = Batch { seq: self.seq + 1, ..batch };
        let committed = self.writer.commit(vec![(self.process, batch)]).await.unwrap();
        if committed[0].outcome == CommitOutcome::Stored {
            self.seq += 1;
        }
        committed[0].clone()
    }

    pub(crate) async fn stored(&mut self, batch: Batch) {
        let committed = self.commit(batch).await;
        assert_eq!(committed.outcome, CommitOutcome::Stored);
    }

    pub(crate) async fn maintain_all(&mut self, now: i64, retention: &Retention) {
        for _ in 0..10_000 {
            if !self.writer.maintain(UnixNanos(now), retention).await.unwrap().more {
                return;
            }
        }
        panic!("maintenance never ends");
    }

    /// The rows of a query, as text.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<String> {
        // However busy the machine is.
        let time = std::time::Duration::from_secs(120);
        let limits = QueryLimits { time, ..QueryLimits::default() };
        let result = self.reader.query(sql, limits).await;
        let result = result.unwrap_or_else(|error| panic!("{sql}: {error}"));
        result.rows.iter().map(|row| text(row)).collect()
    }
}

fn text(row: &[Value]) -> String {
    let words = row.iter().map(|value| match value {
        Value::Null => "-".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// An event at so many milliseconds.
pub(crate) fn at(ms: u64, kind: EventKind) -> Event {
    Event { at: Nanos(ms * MS), kind }
}

pub(crate) fn spawned(task: u64, location: u64) -> EventKind {
    EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(location),
        parent: TaskId::NONE,
        kind: TaskKind::Async,
    }
}

pub(crate) fn ended(task: u64) -> EventKind {
    EventKind::TaskEnded { task: TaskId(task), outcome: Outcome::Completed }
}

/// Polls as (start, length, task) in milliseconds.
pub(crate) fn polls(worker: u32, spans: &[(u64, u64, u64)]) -> Segment {
    let span = |&(start, length, task): &(u64, u64, u64)| Span {
        start: Nanos(start * MS),
        length: length * MS,
        task: TaskId(task),
        count: 1,
        ..Span::default()
    };
    segment_of(RecordKind::Poll, worker, &spans.iter().map(span).collect::<Vec<_>>())
}

pub(crate) fn segment_of(kind: RecordKind, worker: u32, spans: &[Span]) -> Segment {
    Segment {
        loop_id: LoopId(1),
        worker: WorkerId(worker),
        kind,
        count: spans.len() as u32,
        data: segment::encode(kind, spans, Effort::Fast),
    }
}

pub(crate) fn locations(count: u64) -> Vec<Location> {
    let place = |id| Location {
        id: LocationId(id),
        file: "src/main.rs".into(),
        line: id as u32 * 10,
        column: 5,
    };
    (1..=count).map(place).collect()
}
