//! Users' SQL answers the questions it is for, and nothing else.

use std::time::{Duration, Instant};

use crate::support::*;
use loopd_model::*;
use loopd_store::{QueryError, QueryLimits, QueryResult};

async fn filled() -> Store {
    let mut store = Store::new().await;
    let events = (1..=20).map(|task| at(task, spawned(task, 1 + task % 3))).collect();
    let spans: Vec<(u64, u64, u64)> = (0..400).map(|i| (i * 10, 1 + i % 9, 1 + i % 20)).collect();
    store
        .stored(Batch {
            locations: locations(3),
            events,
            segments: vec![polls(0, &spans[..200]), polls(1, &spans[200..])],
            ..Batch::default()
        })
        .await;
    store
}

#[tokio::test]
async fn the_three_questions_of_the_manual_are_answered() {
    let store = filled().await;
    let per_second = "SELECT worker, (start_at - p.started_at) / 1000000000 AS second, count(*)
        FROM polls JOIN processes p USING (process) GROUP BY 1, 2 ORDER BY 1, 2";
    assert_eq!(store.sql(per_second).await, ["0 0 100", "0 1 100", "1 2 100", "1 3 100"]);
    let slowest = "SELECT duration(length), location, task FROM polls
        WHERE process = 1 ORDER BY length DESC LIMIT 20";
    let rows = store.sql(slowest).await;
    assert_eq!((rows.len(), rows[0].starts_with("9.00 ms src/main.rs:")), (20, true), "{rows:?}");
    let alive = "SELECT location, count(*) FROM tasks WHERE state = 'alive'
        GROUP BY location ORDER BY 2 DESC, 1";
    let rows = store.sql(alive).await;
    assert_eq!(rows, ["src/main.rs:20 7", "src/main.rs:30 7", "src/main.rs:10 6"]);
}

#[tokio::test]
async fn views_are_as_documented() {
    let store = Store::new().await;
    for view in loopd_store::schema().views {
        let sql = format!("SELECT * FROM {}", view.name);
        let result = store.reader.query(&sql, QueryLimits::default()).await.unwrap();
        let documented: Vec<_> = view.columns.iter().map(|column| column.name).collect();
        assert_eq!(result.columns, documented, "{}", view.name);
    }
    // And every view is documented, but for one that others are made of.
    let path = store.path();
    let count = move || {
        let db = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name <> 'any_task'";
        db.query_row(sql, [], |row| row.get::<_, isize>(0)).unwrap()
    };
    let views = tokio::task::spawn_blocking(count).await.unwrap();
    assert_eq!(views, loopd_store::schema().views.len() as isize);
}

#[tokio::test]
async fn virtual_tables_give_what_segments_hold_whatever_is_asked_of_them() {
    let store = filled().await;
    let all = store.sql("SELECT worker, start_at, length, task FROM polls").await;
    assert_eq!(all.len(), 400);
    let wheres = [
        "worker = 1",
        "task = 7",
        "length >= 5000000",
        "length > 5000000 AND worker = 0",
        "start_at > 0 AND task IN (3, 4)",
        "process = 1 AND loop = 1 AND task = 2 AND length = 3000000",
        "process = 2",
        "worker = '1'",
        "worker = 'x'",
        "length > 4.5e6",
        "start_at >= NULL",
        "task BETWEEN 3 AND 5",
    ];
    for condition in wheres {
        let pushed = format!("SELECT worker, start_at, length, task FROM polls WHERE {condition}");
        // The same on rows that were copied out first, where nothing can be skipped.
        let copied = format!(
            "WITH c AS MATERIALIZED (SELECT *, 1 AS one FROM polls LIMIT 100000)
             SELECT worker, start_at, length, task FROM c WHERE {condition}"
        );
        let (mut pushed, mut copied) = (store.sql(&pushed).await, store.sql(&copied).await);
        pushed.sort();
        copied.sort();
        assert_eq!(pushed, copied, "{condition}");
    }
}

/// Nothing of this may work, take long, or leave anything behind.
const ATTACKS: &[&str] = &[
    "INSERT INTO process (id) VALUES (9)",
    "INSERT INTO polls VALUES (1)",
    "UPDATE task SET polls = 0",
    "DELETE FROM task",
    "DELETE FROM tasks",
    "DROP TABLE task",
    "DROP VIEW tasks",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE TRIGGER t AFTER INSERT ON task BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "CREATE INDEX i ON task (polls)",
    "ALTER TABLE task RENAME TO t",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "ATTACH 'other.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT s",
    "PRAGMA query_only = 0",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = 1",
    "PRAGMA database_list",
    "PRAGMA table_info(task)",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('task')",
    "SELECT * FROM sqlite_master",
    "SELECT sql FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_master",
    "SELECT * FROM sqlite_temp_master",
    "SELECT * FROM task",
    "SELECT data FROM segment",
    "SELECT * FROM segment_spans",
    "SELECT * FROM _sqlx_migrations",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT * FROM packed_rows(x'00', 1)",
    "SELECT load_extension('evil.so')",
    "SELECT randomblob(900000000)",
    "SELECT zeroblob(900000000)",
    "SELECT format('%.900000g', 1.0)",
    "SELECT printf('%*d', 900000000, 1)",
    "SELECT format('%900000000s', 1)",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('x', 'y')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_version()",
    "SELECT last_insert_rowid()",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "SELECT count(*) FROM polls a, polls b, polls c, polls d",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE task",
    "SELECT 1 \0",
    "\0",
    "SELECT 1 \0; DROP TABLE task",
    "",
    " ; ",
    "-- nothing",
    "EXPLAIN",
    "SELEKT 1",
    "SELECT percentile(1, 101)",
    "SELECT no_such FROM tasks",
    "SELECT * FROM no_such",
    "SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION \
     SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1",
];

/// What a query gives that takes no longer than this. A machine that stands still makes one late, but hardly
/// the same one again and again.
async fn within(
    limit: Duration,
    store: &Store,
    sql: &str,
    limits: QueryLimits,
) -> Result<QueryResult, QueryError> {
    const ATTEMPTS: usize = 5;
    for _ in 0..ATTEMPTS {
        let started = Instant::now();
        let result = store.reader.query(sql, limits).await;
        if started.elapsed() < limit {
            return result;
        }
    }
    panic!("{ATTEMPTS} times it took longer than {limit:?}: {sql:?}");
}

#[tokio::test]
async fn attacks_are_refused_in_time_and_change_nothing() {
    let store = filled().await;
    let before = store.sql("SELECT * FROM tasks").await;
    let limits = QueryLimits { time: Duration::from_millis(500), ..QueryLimits::default() };
    for sql in ATTACKS {
        let result = within(Duration::from_secs(5), &store, sql, limits).await;
        assert!(result.is_err(), "{sql:?} gave {result:?}");
    }
    let long = format!("SELECT 1 -- {}", "x".repeat(200_000));
    assert!(store.reader.query(&long, limits).await.is_err());
    let deep = format!("SELECT 1{}", " + 1".repeat(500));
    assert!(store.reader.query(&deep, limits).await.is_err());
    assert_eq!(store.sql("SELECT * FROM tasks").await, before);
    let files: Vec<_> = std::fs::read_dir(store.directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(files.iter().all(|name| name.starts_with("loopd.db")), "{files:?}");
    assert!(!std::path::Path::new("copy.db").exists());
}

#[tokio::test]
async fn a_query_may_name_its_own_parts() {
    let store = filled().await;
    for (sql, expected) in [
        ("WITH x AS (SELECT * FROM polls LIMIT 7) SELECT count(*) FROM x", "7"),
        ("WITH x AS MATERIALIZED (SELECT * FROM polls LIMIT 7) SELECT count(*) FROM x y", "7"),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 9) SELECT count(*) FROM c",
            "9",
        ),
        ("SELECT count(*) FROM (SELECT DISTINCT task FROM polls) x", "20"),
    ] {
        assert_eq!(store.sql(sql).await, [expected], "{sql}");
    }
    for name in [
        "sqlite_master",
        "SQLITE_SCHEMA",
        "_sqlx_migrations",
        "dbstat",
        "pragma_table_list",
        "setting",
    ] {
        let sql = format!("SELECT count(*) FROM {name}");
        let error = store.reader.query(&sql, QueryLimits::default()).await.unwrap_err();
        assert!(matches!(error, QueryError::Refused { .. }), "{sql}: {error}");
    }
}

#[tokio::test]
async fn no_function_works_long_on_one_row() {
    let store = filled().await;
    let limits = QueryLimits { time: Duration::from_millis(500), ..QueryLimits::default() };
    // 512 kB of one character.
    let (a, b) = ("0".repeat(1024), "0".repeat(512));
    let long = format!("WITH l(x) AS MATERIALIZED (SELECT replace('{a}', '0', '{b}'))");
    let length = store.sql(&format!("{long} SELECT length(x) FROM l")).await;
    assert_eq!(length, ["524288"]);
    let wildcards = "%0_".repeat(32);
    for call in [
        "length(x)",
        "instr(x, substr(x, 1, 250000) || 'b')",
        "length(replace(x, substr(x, 1, 250000) || 'b', ''))",
        "length(replace(x, '0', x))",
        "length(trim(x, substr(hex(x), 1, 500000) || '1'))",
        "length(ltrim(x, upper(substr(x, 2)) || '1'))",
        "length(rtrim(substr(x, 1, 400000), substr(hex(x), 1, 500000)))",
        "x LIKE '%0000000000000000000000000000000000000000000000000000000000000000000000b'",
        &format!("x LIKE '{wildcards}b'"),
        "x GLOB '*[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]b'",
        "length(quote(x))",
        "length(unhex(x, x))",
        "length(unhex(x, hex(substr(x, 1, 500000)) || 'x'))",
        "length(printf(x))",
        "length(format(replace(substr(x, 1, 1000), '0', '%1000s'), x, x))",
        "json_valid(replace(substr(x, 1, 500000), '0', '['))",
        "length(strftime(replace(substr(x, 1, 200000), '0', '%Y'), 'now'))",
        "percentile(length(x), 50)",
        "ns(x)",
        "ns(replace(x, '00', '1s'))",
        "unix(x)",
        "unix('-' || replace(x, '00', '1s'))",
    ] {
        let sql = format!("{long} SELECT {call} FROM l");
        // Whether it is answered or refused is its own business.
        let _ = within(Duration::from_secs(3), &store, &sql, limits).await;
    }
}

#[tokio::test]
async fn errors_quote_sqlite_and_say_what_to_do() {
    let store = Store::new().await;
    let refused = async |sql: &str| {
        let error = store.reader.query(sql, QueryLimits::default()).await.unwrap_err();
        error.to_string()
    };
    let text = refused("SELECT lenght FROM parks").await;
    assert!(text.starts_with("no such column: lenght"), "{text}");
    assert!(text.ends_with("parks (process, loop, worker, start_at, length)"), "{text}");
    assert!(refused("SELECT * FROM poll").await.contains("the views to query are processes, "));
    assert!(refused("SELECT 1; SELECT 2").await.contains("one SELECT at a time"));
}

#[tokio::test]
async fn rows_bytes_and_time_are_limited() {
    let store = filled().await;
    let limits = QueryLimits { rows: 7, ..QueryLimits::default() };
    let result = store.reader.query("SELECT * FROM polls", limits).await.unwrap();
    assert_eq!((result.rows.len(), result.is_truncated), (7, true));
    let limits = QueryLimits { bytes: 2_000, ..QueryLimits::default() };
    let result = store.reader.query("SELECT * FROM polls", limits).await.unwrap();
    assert!(result.is_truncated && result.rows.len() < 20);
    let limits = QueryLimits { time: Duration::from_millis(100), ..QueryLimits::default() };
    let sql = "SELECT count(*) FROM polls a, polls b, polls c";
    let error = store.reader.query(sql, limits).await.unwrap_err();
    assert!(matches!(error, QueryError::Timeout { .. }), "{error}");
    // The connection is as good as before.
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["400"]);
}

/// Gives its rows at once, and then computes for hours.
const ROWS_THEN_WORK: &str = "SELECT 1 UNION ALL SELECT 2 UNION ALL
    SELECT count(*) FROM polls a, polls b, polls c, polls d";

#[tokio::test]
async fn a_query_that_is_cut_off_leaves_nothing_running() {
    let store = filled().await;
    let limits = QueryLimits { rows: 1, time: Duration::from_secs(600), ..QueryLimits::default() };
    let result = store.reader.query(ROWS_THEN_WORK, limits).await.unwrap();
    assert_eq!((result.rows.len(), result.is_truncated), (1, true));
    assert_no_query_runs(&store).await;
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_ends_and_keeps_its_place_until_then() {
    let store = filled().await;
    let limits = QueryLimits { time: Duration::from_secs(600), ..QueryLimits::default() };
    for _ in 0..8 {
        let reader = store.reader.clone();
        let query = async move { reader.query(ROWS_THEN_WORK, limits).await };
        let given_up = tokio::time::timeout(Duration::from_millis(50), query).await;
        assert!(given_up.is_err(), "it should have taken hours: {given_up:?}");
    }
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["400"]);
    assert_no_query_runs(&store).await;
}

/// A checkpoint gets to the end of the log only when no reader holds on to an older state.
async fn assert_no_query_runs(store: &Store) {
    let path = store.path();
    let checkpoint = move || {
        let db = rusqlite::Connection::open(path).unwrap();
        db.busy_timeout(Duration::from_secs(60)).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let is_busy = tokio::task::spawn_blocking(checkpoint).await.unwrap();
    assert_eq!(is_busy, 0, "a query still reads");
}
