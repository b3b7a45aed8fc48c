//! The one way to write: a transaction, and a new connection after one that failed.
//!
//! SQLite rolls back by itself when the disk is full or broken. sqlx does not hear of it, counts a
//! transaction as open for ever, and refuses to begin another. So a connection on which a
//! transaction did not end well is not used again.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use crate::{StoreError, open};

impl Writer {
    /// Runs `work` in a transaction: after `Ok` all of it is on disk, otherwise none of it, also
    /// when the future is dropped half way.
    pub(super) async fn transact<T>(
        &mut self,
        attempt: &'static str,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        self.db().await?;
        self.is_broken = true;
        let done = try_transact(&mut self.db, work).await.map_err(StoreError::sqlite(attempt))?;
        self.is_broken = false;
        Ok(done)
    }

    /// The connection, a new one if the last transaction failed. The lock file stays ours.
    pub(super) async fn db(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.is_broken {
            let fresh = open::connect_writer(&self.options).await?;
            let broken = std::mem::replace(&mut self.db, fresh);
            self.is_broken = false;
            // Frees the write lock, should it still have it; there is nothing to save.
            let _ = broken.close_hard().await;
        }
        Ok(&mut self.db)
    }
}

async fn try_transact<T>(
    db: &mut SqliteConnection,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    let done = work(&mut tx).await?;
    tx.commit().await?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use loopd_model::{
        Anchor, Batch, Event, EventKind, LocationId, LoopId, Name, NameId, Nanos, Process,
        ProcessId, RecordKind, Segment, Span, TaskId, TaskKind, UnixNanos, WorkerId, segment,
    };

    use super::*;
    use crate::writer::Maintained;
    use crate::{How, ProcessKey, Retention, StoreOptions};

    fn process() -> Process {
        Process {
            id: ProcessId([1; 16]),
            app: "orders".into(),
            app_version: String::new(),
            host: String::new(),
            pid: 1,
            labels: Vec::new(),
            agent: String::new(),
            agent_version: String::new(),
            anchor: Anchor { at: Nanos(0), unix: UnixNanos(1 << 60) },
            coverage: Vec::new(),
            slow_threshold: 100_000_000,
        }
    }

    /// A batch that takes up more than a megabyte, and spawns one task.
    fn large(process: ProcessKey, seq: u64) -> Vec<(ProcessKey, Batch)> {
        let name = |i| Name { id: NameId(seq << 32 | i), text: "n".repeat(250) };
        let kind = EventKind::TaskSpawned {
            task: TaskId(seq),
            loop_id: LoopId(1),
            spawn_location: LocationId(1),
            parent: TaskId::NONE,
            kind: TaskKind::Async,
        };
        let events = vec![Event { at: Nanos(seq), kind }];
        let names = (0..5_000).map(name).collect();
        vec![(process, Batch { seq, names, events, ..Batch::default() })]
    }

    async fn number(db: &mut SqliteConnection, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
    }

    /// Lets the database of this connection grow no more.
    async fn fill(writer: &mut Writer) {
        let pages = number(&mut writer.db, "PRAGMA page_count").await;
        let sql = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut writer.db).await.unwrap();
    }

    #[tokio::test]
    async fn after_a_full_disk_everything_goes_on_and_nothing_is_lost_or_doubled() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path().join("loopd.db"));
        let mut writer = Writer::open(&options).await.unwrap();
        let session = writer.begin_session(&process(), 1).await.unwrap();
        let key = session.process;
        writer.commit(large(key, 1)).await.unwrap();
        for _ in 0..3 {
            fill(&mut writer).await;
            let error = writer.commit(large(key, 2)).await.unwrap_err();
            assert!(error.is_full(), "{error:?}");
            // Every way to write works again, on a new connection that has no limit.
            let keep = Retention { max_age: None, max_bytes: None, max_process_bytes: None };
            writer.maintain(UnixNanos(1 << 60), &keep).await.unwrap();
            assert_eq!(writer.begin_session(&process(), 2).await.unwrap().durable_seq, 1);
        }
        let committed = writer.commit(large(key, 2)).await.unwrap();
        assert_eq!(committed[0].durable_seq, 2);
        assert_eq!(number(&mut writer.db, "SELECT count(*) FROM name").await, 10_000);
        assert_eq!(number(&mut writer.db, "SELECT tasks_spawned FROM process").await, 2);
        assert_eq!(number(&mut writer.db, "SELECT sum(stored) FROM ledger_entry").await, 2);
        writer.end_session(key, How::Lost, UnixNanos(1 << 60)).await.unwrap();
        writer.close().await.unwrap();
    }

    #[tokio::test]
    async fn upkeep_that_finds_the_disk_full_is_done_later_and_retention_is_not_kept_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path().join("loopd.db"));
        let mut writer = Writer::open(&options).await.unwrap();
        let key = writer.begin_session(&process(), 1).await.unwrap().process;
        for seq in 1..=20 {
            let mixed = |i: u64| (seq << 20 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            let span = |i| Span {
                start: Nanos(seq * 4_000_000_000 + (i << 20) + mixed(i)),
                length: mixed(i * 7),
                count: 1,
                ..Span::default()
            };
            let spans: Vec<_> = (0..3_000).map(span).collect();
            let segment = Segment {
                loop_id: LoopId(1),
                worker: WorkerId(0),
                kind: RecordKind::Poll,
                count: spans.len() as u32,
                data: segment::encode(RecordKind::Poll, &spans, segment::Effort::Fast),
            };
            let batch = Batch { seq, segments: vec![segment], ..Batch::default() };
            writer.commit(vec![(key, batch)]).await.unwrap();
        }
        let now = UnixNanos((1 << 60) + 3_600_000_000_000);
        let keep = Retention { max_age: None, max_bytes: None, max_process_bytes: None };
        fill(&mut writer).await;
        let done = writer.maintain(now, &keep).await.unwrap();
        assert_eq!(done, Maintained::default());
        let (mut merged, mut folded) = (0, 0);
        loop {
            let done = writer.maintain(now, &keep).await.unwrap();
            (merged, folded) = (merged + done.merged_segments, folded + done.folded_tiles);
            if !done.more {
                break;
            }
        }
        assert!(merged > 0 && folded > 0, "{merged} merged, {folded} folded");
    }

    #[tokio::test]
    async fn a_transaction_given_up_half_way_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path().join("loopd.db"));
        let mut writer = Writer::open(&options).await.unwrap();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let work = writer.transact("wait", async |db| {
            sqlx::query("DELETE FROM meta").execute(db).await?;
            let _ = began.send(());
            std::future::pending::<Result<(), sqlx::Error>>().await
        });
        tokio::select! {
            _ = work => unreachable!("it waits for ever"),
            _ = has_begun => {}
        }
        writer.begin_session(&process(), 1).await.unwrap();
        assert_eq!(number(&mut writer.db, "SELECT count(*) FROM meta").await, 1);
    }
}
