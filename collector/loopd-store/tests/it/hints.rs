//! Queries that read a large view from end to end are told so, and others are left alone.

use std::time::Duration;

use crate::support::*;
use loopd_model::*;
use loopd_store::{QueryError, QueryLimits};

/// A store whose books say that it holds much.
async fn large() -> Store {
    let mut store = Store::new().await;
    let spans: Vec<(u64, u64, u64)> = (0..2_000).map(|i| (i * 10, 1, 1 + i % 20)).collect();
    store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
    change(
        &store,
        "UPDATE process SET tasks_spawned = 250000;
         DELETE FROM ledger_entry;
         INSERT INTO ledger_entry
             SELECT 1, value, 12345678, 12345678, 0, 0 FROM json_each('[1,2,3,5,6,7,9,10]')",
    )
    .await;
    store
}

async fn change(store: &Store, sql: &'static str) {
    let path = store.path();
    let change = move || rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    tokio::task::spawn_blocking(change).await.unwrap();
}

impl Store {
    async fn hints(&self, sql: &str) -> Vec<String> {
        let result = self.reader.query(sql, QueryLimits::default()).await;
        result.unwrap_or_else(|error| panic!("{sql}: {error}")).hints
    }
}

/// What is read in full by these; a view for each hint.
const SCANS: &[(&str, &str)] = &[
    ("SELECT count(*) FROM polls", "polls"),
    ("SELECT worker, avg(length) FROM parks GROUP BY 1", "parks"),
    ("SELECT * FROM wakes WHERE count > 1 ORDER BY delay DESC LIMIT 3", "wakes"),
    ("SELECT * FROM polls WHERE worker = 3 AND loop = 1", "polls"),
    ("SELECT * FROM polls p ORDER BY p.length LIMIT 20", "polls"),
    ("SELECT max(x.length) FROM (SELECT * FROM polls) x", "polls"),
    ("WITH x AS MATERIALIZED (SELECT * FROM polls) SELECT sum(length) FROM x", "polls"),
    ("SELECT count(*) FROM polls JOIN processes USING (process) WHERE app = 'orders'", "polls"),
    (
        "SELECT app, (SELECT count(*) FROM polls x WHERE x.process = p.process) FROM processes p WHERE app <> ''",
        "polls",
    ),
    ("SELECT location, count(*) FROM tasks WHERE state = 'alive' GROUP BY 1", "tasks"),
    ("SELECT * FROM tasks WHERE name = 'x'", "tasks"),
    // The index begins with the process.
    ("SELECT * FROM tasks WHERE spawned_at > 5", "tasks"),
    ("SELECT count(*) FROM waits WHERE state = 'pending'", "waits"),
    ("SELECT * FROM holds ORDER BY length DESC LIMIT 5", "holds"),
    ("SELECT avg(value) FROM metrics WHERE name = 'rss_bytes'", "metrics"),
    ("SELECT count(*) FROM polls, tasks", "polls tasks"),
    ("SELECT count(*) FROM polls UNION ALL SELECT count(*) FROM parks", "polls parks"),
];

/// Nobody has to be told anything about these.
const QUICK: &[&str] = &[
    "SELECT 1",
    "SELECT 'from polls where', count(*) FROM processes",
    "SELECT * FROM polls",
    "SELECT * FROM polls LIMIT 10",
    // The longest are known without the rest.
    "SELECT * FROM polls p ORDER BY p.length DESC LIMIT 20",
    "SELECT * FROM wakes ORDER BY delay DESC LIMIT 3",
    "SELECT name, file FROM tasks JOIN locations USING (process, location) LIMIT 5",
    "SELECT count(*) FROM polls WHERE process = 1",
    "SELECT count(*) FROM polls WHERE start_at > now() - ns('1h')",
    "SELECT max(length) FROM polls WHERE start_at BETWEEN unix('-2h') AND unix('-1h')",
    "SELECT * FROM polls WHERE length > ns('10ms') ORDER BY length DESC",
    "SELECT count(*) FROM polls WHERE task = 7",
    "SELECT count(*) FROM polls WHERE process IN (1, 2)",
    "SELECT count(*) FROM wakes WHERE woken_at > unix('-5m')",
    "SELECT * FROM tasks WHERE process = 1 AND spawned_at > 5 ORDER BY busy_time DESC",
    "SELECT * FROM tasks WHERE process = 1 AND task = 7",
    "SELECT count(*) FROM tasks WHERE process = 1",
    "SELECT count(*) FROM loops",
    "SELECT * FROM slow ORDER BY length DESC LIMIT 5",
    "SELECT kind, sum(stored) FROM ledger GROUP BY 1",
    "EXPLAIN QUERY PLAN SELECT count(*) FROM polls",
];

#[tokio::test]
async fn a_query_that_reads_all_of_a_large_view_is_told_so() {
    let store = large().await;
    for (sql, views) in SCANS {
        let hints = store.hints(sql).await;
        let is_scan = |hint: &&String| !hint.starts_with("rollups has ");
        let told = hints.iter().filter(is_scan).map(|hint| {
            let text = hint.strip_prefix("all ").unwrap_or_else(|| panic!("{sql}: {hint}"));
            text.split_once(' ').unwrap().0
        });
        assert_eq!(told.collect::<Vec<_>>().join(" "), *views, "{sql}: {hints:?}");
    }
    assert_eq!(
        store.hints("SELECT count(*) FROM polls").await,
        [
            "all polls are read (up to 12.3 million were stored); narrow it by process and time, as \
          in: where polls.process = 1 and polls.start_at > unix('-1h')",
            "rollups has counts, sums and percentiles of polls by location and minute, and is read at \
          once: select location, sum(polls), sum(busy_time) from rollups group by 1"
        ]
    );
}

#[tokio::test]
async fn a_query_that_is_quick_gets_no_hint() {
    let store = large().await;
    for sql in QUICK {
        assert_eq!(store.hints(sql).await, [""; 0], "{sql}");
    }
    // Where there is little to read, all of it may be read.
    let store = Store::new().await;
    for (sql, _) in SCANS {
        assert_eq!(store.hints(sql).await, [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn whoever_follows_a_hint_gets_no_other() {
    let store = large().await;
    for view in [
        "polls",
        "parks",
        "wakes",
        "tasks",
        "waits",
        "holds",
        "marks",
        "app_spans",
        "metrics",
        "resource_states",
        "samples",
    ] {
        let all = format!("SELECT count(*) FROM {view}");
        let hints = store.hints(&all).await;
        let others = hints.iter().filter(|hint| !hint.starts_with("rollups has "));
        assert_eq!(others.count(), 1, "{view}: {hints:?}");
        let (_, advice) = hints[0].split_once("as in: ").unwrap();
        let narrowed = format!("{all} {advice}");
        assert_eq!(store.hints(&narrowed).await, [""; 0], "{narrowed}");
    }
}

#[tokio::test]
async fn a_roll_up_is_named_where_it_has_the_answer() {
    let store = large().await;
    change(
        &store,
        "CREATE VIEW IF NOT EXISTS rollups AS SELECT process, start_at, length AS step, location
         FROM slow",
    )
    .await;
    for (sql, is_rolled_up) in [
        ("SELECT count(*) FROM polls", true),
        ("SELECT location, count(*), sum(length), p99(length) FROM polls GROUP BY 1", true),
        ("SELECT bucket(start_at, ns('1m')), count(*) FROM polls GROUP BY 1", true),
        ("SELECT sum(polls), sum(busy_time) FROM tasks", true),
        ("SELECT p99(delay) FROM wakes", true),
        ("SELECT worker, count(*) FROM polls GROUP BY 1", false),
        ("SELECT * FROM polls ORDER BY length DESC LIMIT 5", false),
        ("SELECT location, count(*) FROM tasks WHERE state = 'alive' GROUP BY 1", false),
        ("SELECT count(*) FROM parks", false),
    ] {
        let hints = store.hints(sql).await;
        let told = hints.iter().any(|hint| hint.starts_with("rollups has counts"));
        assert_eq!(told, is_rolled_up, "{sql}: {hints:?}");
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_told_why() {
    let store = Store::new().await;
    let limits = QueryLimits { time: Duration::from_millis(50), ..QueryLimits::default() };
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
        SELECT sum(c.x + p.length) FROM c LEFT JOIN polls p ON p.worker = c.x";
    let error = store.reader.query(sql, limits).await.unwrap_err();
    assert!(matches!(error, QueryError::Timeout { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("longer than 0.05 s") && text.contains("; all polls are read"), "{text}");
}
