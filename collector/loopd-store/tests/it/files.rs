//! Files as a whole: copied out of, into, checked, measured, made small, backed up.

use crate::support::*;
use loopd_model::*;
use loopd_store::{
    How, ProcessKey, Reader, StoreError, StoreOptions, check_file, compact_file, damaged_segments,
    export_file, file_stats, import_file, schema,
};
use rusqlite::Connection;

/// A store with something in about every table.
async fn full() -> Store {
    let mut store = Store::new().await;
    fill(&mut store, "lock").await;
    store
}

/// The same things, with other words for them.
async fn fill(store: &mut Store, op: &str) {
    for fact in crate::add_up::facts() {
        store.stored(fact).await;
    }
    let metric = |name: &str, value| Metric { name: name.into(), worker: None, value };
    let metrics = vec![metric(op, 1.0), metric("rss_bytes", 2.5)];
    let mark = EventKind::Mark {
        task: TaskId(7),
        level: MarkLevel::Warn,
        target: "orders".into(),
        message: "slow".into(),
        fields: vec![("a".into(), "b".into())],
        location: LocationId(1),
    };
    let sample = EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task: TaskId(7),
        poll_started_at: Nanos(30 * MS),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: op.into(),
        wchan: "futex_wait".into(),
    };
    let wait = EventKind::WaitBegan {
        wait: WaitId(2),
        task: TaskId(7),
        resource: ResourceId(5),
        op: op.into(),
        location: LocationId(1),
        amount: 1,
        holders: Vec::new(),
    };
    let events = vec![
        at(100, EventKind::Metrics { loop_id: LoopId(1), metrics }),
        at(120, mark),
        at(150, sample),
        at(160, wait),
        at(60_000, spawned(70, 1)),
    ];
    let late = polls(0, &[(60_000, 5, 70)]);
    let loss = Loss {
        kind: RecordKind::Poll,
        cause: DropCause::RingFull,
        count: 3,
        from: Nanos(50 * MS),
        to: Nanos(60 * MS),
    };
    let ledger = vec![
        LedgerEntry { kind: RecordKind::Poll, produced: 8, dropped: 3 },
        LedgerEntry { kind: RecordKind::Wake, produced: 2, dropped: 0 },
    ];
    let batch =
        Batch { events, segments: vec![late], losses: vec![loss], ledger, ..Batch::default() };
    store.stored(batch).await;
}

/// Every row of every view of one process, without the process's number.
async fn picture(reader: &Reader, process: ProcessKey) -> Vec<String> {
    let mut picture = Vec::new();
    for view in schema().views {
        // Without those that are numbers of this file, or lie at the edges of ranges.
        let names = view.columns.iter().map(|column| column.name);
        let names: Vec<_> = names.filter(|name| *name != "process").collect();
        let names = names.join(", ");
        let sql = format!("SELECT {names} FROM {} WHERE process = {}", view.name, process.0);
        let found = reader.query(&sql, loopd_store::QueryLimits::default()).await.unwrap();
        let mut rows: Vec<_> =
            found.rows.iter().map(|row| format!("{}: {row:?}", view.name)).collect();
        rows.sort();
        picture.extend(rows);
    }
    picture
}

fn read(path: &std::path::Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_copy_of_a_process_shows_what_the_store_shows() {
    let store = full().await;
    let target = store.directory.path().join("copy.db");
    let exported = export_file(&store.path(), &target, &[store.process], None, None).await.unwrap();
    assert_eq!(exported.rows["process"], 1);
    assert_eq!(exported.rows["sample"], 2);

    let reader = Reader::open(&target).await.unwrap();
    let (copy, original) =
        (picture(&reader, store.process).await, picture(&store.reader, store.process).await);
    assert_eq!(copy, original);
    assert!(copy.len() > 20, "{copy:?}");
    assert_eq!(reader.status().await.unwrap().polls, 5);
    assert!(check_file(&target).await.unwrap().is_fine());
    // One file, and nothing beside it.
    let names = std::fs::read_dir(store.directory.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("copy.db")).count(), 1);
    // It is a store like any other.
    drop(reader);
    loopd_store::open(StoreOptions::new(&target)).await.unwrap().0.close().await.unwrap();
}

#[tokio::test]
async fn a_range_leaves_out_what_was_not_then() {
    let store = full().await;
    let target = store.directory.path().join("copy.db");
    let (from, to) = (UnixNanos(ORIGIN), UnixNanos(ORIGIN + 30 * S as i64));
    let processes = [store.process];
    export_file(&store.path(), &target, &processes, Some(from), Some(to)).await.unwrap();
    let reader = Reader::open(&target).await.unwrap();
    let count = async |reader: &Reader, sql: &str| {
        let result = reader.query(sql, loopd_store::QueryLimits::default()).await.unwrap();
        format!("{:?}", result.rows)
    };
    // Task 70 began a minute later, with its one poll and its tiles.
    for (sql, all, copied) in [
        ("SELECT count(*) FROM polls", 5, 4),
        ("SELECT count(*) FROM tasks WHERE task = 70", 1, 0),
        ("SELECT count(*) FROM tasks WHERE task = 7", 1, 1),
        ("SELECT count(*) FROM wait_holders", 1, 1),
        ("SELECT count(*) FROM losses", 1, 1),
    ] {
        assert_eq!(count(&store.reader, sql).await, format!("[[Integer({all})]]"), "{sql}");
        assert_eq!(count(&reader, sql).await, format!("[[Integer({copied})]]"), "{sql}");
    }
    for packed in ["tile WHERE level < 2", "rollup WHERE level = 0"] {
        let sql = format!("SELECT count(*) FROM {packed}");
        let (copied, all) = (read(&target, &sql), read(&store.path(), &sql));
        assert!(0 < copied && copied < all, "{copied} of {all}: {packed}");
    }
    assert!(check_file(&target).await.unwrap().is_fine());
}

#[tokio::test]
async fn a_target_is_never_overwritten_and_a_failure_leaves_nothing() {
    let store = full().await;
    let target = store.directory.path().join("copy.db");
    std::fs::write(&target, "mine").unwrap();
    let error = export_file(&store.path(), &target, &[], None, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    std::fs::remove_file(&target).unwrap();
    let nobody = [ProcessKey(99)];
    let error = export_file(&store.path(), &target, &nobody, None, None).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchProcess { process: 99 }), "{error}");
    assert!(!target.exists());
}

/// Another store, with one process of its own, whose words and metrics are others.
async fn other() -> Store {
    let mut store = Store::new().await;
    store.process = store.writer.begin_session(&process(2), 1).await.unwrap().process;
    fill(&mut store, "acquire").await;
    store
}

/// Closes the store, and says where it is.
async fn closed(store: Store) -> (tempfile::TempDir, StoreOptions) {
    let options = StoreOptions::new(store.path());
    store.writer.close().await.unwrap();
    (store.directory, options)
}

#[tokio::test]
async fn what_is_imported_shows_what_it_showed_where_it_came_from() {
    let source = full().await;
    let original = picture(&source.reader, source.process).await;
    let (own, own_key) = (other().await, ProcessKey(2));
    // In this store, process 1 is an empty one with the same id as what comes.
    let own_before = picture(&own.reader, own_key).await;
    let (_folder, options) = closed(own).await;

    let imported = import_file(&source.path(), &options, true).await.unwrap();
    assert_eq!(imported.processes.len(), 1);
    let process = &imported.processes[0];
    assert!(process.was_known && process.is_added, "{process:?}");
    let reader = Reader::open(&options.path).await.unwrap();
    assert_eq!(picture(&reader, process.process).await, original);
    assert_eq!(picture(&reader, own_key).await, own_before);
    assert!(check_file(&options.path).await.unwrap().is_fine());
}

#[tokio::test]
async fn a_process_that_is_there_is_left_alone_unless_it_is_to_be_replaced() {
    let source = full().await;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().join("new.db"));
    let first = import_file(&source.path(), &options, false).await.unwrap();
    assert!(first.processes[0].is_added && !first.processes[0].was_known);
    let rows = |sql: &str| read(&options.path, sql);
    let tasks = rows("SELECT count(*) FROM task");

    let again = import_file(&source.path(), &options, false).await.unwrap();
    assert!(again.processes[0].was_known && !again.processes[0].is_added);
    assert!(again.rows.is_empty());
    assert_eq!(again.processes[0].process, first.processes[0].process);
    let replaced = import_file(&source.path(), &options, true).await.unwrap();
    assert!(replaced.processes[0].is_added);
    assert_eq!(replaced.rows, first.rows);
    assert_eq!(rows("SELECT count(*) FROM task"), tasks);
    assert_eq!(rows("SELECT count(*) FROM process"), 1);
}

#[tokio::test]
async fn a_store_that_is_served_takes_no_import() {
    let (source, target) = (full().await, other().await);
    let options = StoreOptions::new(target.path());
    let error = import_file(&source.path(), &options, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let error = import_file(&target.path(), &options, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
}

/// Changes one byte in the middle of a segment, as a bad disk would.
fn damage(path: &std::path::Path) {
    let db = Connection::open(path).unwrap();
    let (id, mut data): (i64, Vec<u8>) = db
        .query_row("SELECT id, data FROM segment ORDER BY id LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let middle = data.len() / 2;
    data[middle] ^= 1;
    db.execute("UPDATE segment SET data = ? WHERE id = ?", rusqlite::params![data, id]).unwrap();
}

#[tokio::test]
async fn nothing_of_a_damaged_file_is_taken() {
    let source = full().await;
    damage(&source.path());
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().join("new.db"));
    let error = import_file(&source.path(), &options, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(!options.path.exists());
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "milk, eggs, bread ".repeat(500)).unwrap();
    let error = import_file(&text, &options, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(!options.path.exists());
}

#[tokio::test]
async fn a_file_with_more_in_it_than_loopd_makes_is_refused() {
    let source = full().await;
    let db = Connection::open(source.path()).unwrap();
    db.execute_batch(
        "CREATE TRIGGER t AFTER INSERT ON task BEGIN DELETE FROM task; END;
         DROP VIEW marks; CREATE VIEW marks AS SELECT 1 AS process;",
    )
    .unwrap();
    drop(db);
    let target = other().await;
    let before = picture(&target.reader, target.process).await;
    let (_folder, options) = closed(target).await;
    let error = import_file(&source.path(), &options, true).await.unwrap_err();
    assert!(error.to_string().contains("its tables are not those"), "{error}");
    let reader = Reader::open(&options.path).await.unwrap();
    assert_eq!(picture(&reader, ProcessKey(2)).await, before);
}

#[tokio::test]
async fn a_check_finds_what_sqlite_does_not_see() {
    let store = full().await;
    let fine = check_file(&store.path()).await.unwrap();
    assert_eq!(fine.findings, []);
    assert_eq!((fine.segments, fine.spans, fine.unknown_segments), (5, 7, 0));
    // One was packed, and then told more of.
    assert_eq!(fine.packed_tasks + fine.rows["task"] - fine.rows["task_void"], 4);
    assert!(fine.tiles > 0, "{fine:?}");

    damage(&store.path());
    let db = Connection::open(store.path()).unwrap();
    db.execute_batch(
        "UPDATE segment SET spans = 9 WHERE id = (SELECT max(id) FROM segment WHERE kind = 1);
         UPDATE tile SET cells = x'1f' WHERE id = (SELECT max(id) FROM tile);
         UPDATE process SET labels = '{';
         UPDATE ledger_entry SET dropped = produced + 1 WHERE kind = 3;
         INSERT INTO loss VALUES (77, 5, 1, 1, 1, 1, 1);",
    )
    .unwrap();
    let check = check_file(&store.path()).await.unwrap();
    let mut places: Vec<_> = check.findings.iter().map(|found| found.place.as_str()).collect();
    places.dedup();
    assert_eq!(
        places,
        ["segment", "tile", "loss", "loss_sum", "process", "ledger_entry"],
        "{check:?}"
    );
    assert_eq!(check.wrong, 8, "{check:?}");
    let damaged = damaged_segments(&store.path(), &[store.process], None, None).await.unwrap();
    assert_eq!(damaged, 2);
    let after = Some(UnixNanos(ORIGIN + 3_600 * S as i64));
    let damaged = damaged_segments(&store.path(), &[store.process], after, None).await.unwrap();
    assert_eq!(damaged, 0);
}

#[tokio::test]
async fn the_books_of_a_program_that_said_goodbye_have_to_add_up() {
    let mut store = full().await;
    let goodbye = How::Goodbye { ledger: Vec::new() };
    let ended_at = UnixNanos(ORIGIN + 90 * S as i64);
    store.writer.end_session(store.process, goodbye, ended_at).await.unwrap();
    assert_eq!(check_file(&store.path()).await.unwrap().findings, []);
    let db = Connection::open(store.path()).unwrap();
    db.execute("UPDATE ledger_entry SET produced = produced + 1 WHERE kind = 1", []).unwrap();
    let check = check_file(&store.path()).await.unwrap();
    assert_eq!(
        check.findings[0].to_string(),
        "ledger_entry of process 1: of kind 1 9 were produced, but 5 are stored, 3 dropped and 0 lost"
    );
    assert_eq!(check.wrong, 1);
}

#[tokio::test]
async fn a_check_of_a_file_with_ruined_pages_says_so() {
    let (folder, options) = closed(full().await).await;
    let page = read(&options.path, "SELECT rootpage FROM sqlite_schema WHERE name = 'task'");
    let size = read(&options.path, "PRAGMA page_size");
    let mut bytes = std::fs::read(&options.path).unwrap();
    bytes[((page - 1) * size) as usize..(page * size) as usize].fill(0xa5);
    std::fs::write(&options.path, bytes).unwrap();
    let check = check_file(&options.path).await.unwrap();
    assert!(!check.is_fine());
    assert_eq!(check.findings[0].place, "file");
    drop(folder);
}

#[tokio::test]
async fn a_compacted_file_is_smaller_and_holds_the_same() {
    let mut store = full().await;
    // Names that go again leave pages behind.
    let name = |i: u64| Name { id: NameId(1_000 + i), text: "n".repeat(250) };
    store.stored(Batch { names: (0..4_000).map(name).collect(), ..Batch::default() }).await;
    let process = store.process;
    let before = picture(&store.reader, process).await;
    let options = StoreOptions::new(store.path());
    let error = compact_file(&options).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let (_folder, options) = closed(store).await;
    Connection::open(&options.path)
        .unwrap()
        .execute("DELETE FROM name WHERE name > 999", [])
        .unwrap();

    let compacted = compact_file(&options).await.unwrap();
    assert!(compacted.after + 500_000 < compacted.before, "{compacted:?}");
    assert_eq!(std::fs::metadata(&options.path).unwrap().len(), compacted.after);
    let reader = Reader::open(&options.path).await.unwrap();
    assert_eq!(picture(&reader, process).await, before);
    drop(reader);
    // A writer finds what it needs.
    let (writer, _) = loopd_store::open(options).await.unwrap();
    writer.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_read_is_not_exchanged() {
    let (_folder, options) = closed(full().await).await;
    let reader = Connection::open(&options.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM task").unwrap();
    let error = compact_file(&options).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(reader);
    compact_file(&options).await.unwrap();
}

#[tokio::test]
async fn statistics_add_up() {
    let store = full().await;
    let stats = file_stats(&store.path()).await.unwrap();
    assert_eq!(stats.polls, 5);
    assert_eq!(stats.processes.len(), 1);
    assert_eq!((stats.processes[0].polls, stats.processes[0].tasks), (5, 4));
    let tables: u64 = stats.tables.iter().map(|table| table.bytes + table.index_bytes).sum();
    let used = (stats.pages - stats.free_pages) * stats.page_size;
    // The rest is the list of tables, and what maps pages for vacuuming.
    assert!(tables <= used && used - tables < used / 2, "{tables} of {used}");
    assert_eq!(stats.oldest_at, Some(UnixNanos(ORIGIN + 4 * MS as i64)));
    let of = |name: &str| stats.tables.iter().find(|table| table.name == name).unwrap();
    assert_eq!(of("segment").rows, 5);
    assert!(of("segment").index_bytes > 0);
}

#[tokio::test]
async fn a_store_can_be_backed_up_while_it_is_written_to() {
    let mut store = full().await;
    let path = store.path();
    let (by_vacuum, by_backup) =
        (store.directory.path().join("vacuum.db"), store.directory.path().join("backup.db"));
    let targets = (by_vacuum.clone(), by_backup.clone());
    let backing_up = std::thread::spawn(move || {
        let source = Connection::open(&path).unwrap();
        source.execute("VACUUM INTO ?", [targets.0.to_str().unwrap()]).unwrap();
        // What `.backup` of the sqlite3 shell does: a few pages at a time.
        let mut target = Connection::open(&targets.1).unwrap();
        let backup = rusqlite::backup::Backup::new(&source, &mut target).unwrap();
        backup.run_to_completion(5, std::time::Duration::ZERO, None).unwrap();
    });
    let mut commits = 0;
    while !backing_up.is_finished() || commits < 20 {
        commits += 1;
        let spans = [(100_000 + commits * 10, 1, 7)];
        store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
    }
    backing_up.join().unwrap();
    for copy in [by_vacuum, by_backup] {
        assert!(check_file(&copy).await.unwrap().is_fine());
        let (mut writer, reader) = loopd_store::open(StoreOptions::new(&copy)).await.unwrap();
        let session = writer.begin_session(&process(1), 1).await.unwrap();
        // As it was at one instant: every batch up to some number, and none beyond.
        let polls = reader.ledger(session.process).await.unwrap()[0].stored;
        assert_eq!(session.durable_seq - 16, polls - 5, "{}", copy.display());
        writer.close().await.unwrap();
    }
}
