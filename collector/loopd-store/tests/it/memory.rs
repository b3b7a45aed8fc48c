//! Queries that want much memory or much disk get little of both.

use std::time::{Duration, Instant};

use crate::support::*;
use loopd_store::{QueryError, QueryLimits};

const MB: i64 = 1 << 20;
/// Numbers without end, which only limits stop.
const SERIES: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

/// The most that SQLite held in memory since the last call.
fn high_water() -> i64 {
    #[expect(unsafe_code, reason = "a counter of SQLite's")]
    // SAFETY: it may be called at any time.
    unsafe {
        rusqlite::ffi::sqlite3_memory_highwater(1)
    }
}

fn hundred(call: &str) -> String {
    let calls: Vec<String> = (1..=100).map(|i| call.replace('#', &i.to_string())).collect();
    calls.join(", ")
}

/// A query over [`SERIES`], and what it may make SQLite hold, in MB.
fn attacks() -> Vec<(String, i64)> {
    let long = "replace(printf('%1000d', x), ' ', printf('%1000d', x))";
    let nested = (0..40).fold("SELECT x FROM c".to_owned(), |inner, i| {
        format!("SELECT x FROM ({inner}) ORDER BY x * {i} LIMIT 100000000")
    });
    vec![
        // Sorts keep as much as the cache, 16 MB, and write the rest to temporary files.
        ("SELECT x, count(*) FROM c GROUP BY x".to_owned(), 20),
        ("SELECT x FROM c ORDER BY -x".to_owned(), 20),
        ("SELECT * FROM c ORDER BY printf('%500d', x)".to_owned(), 20),
        (nested, 40),
        // Windows, joins and DISTINCT keep tables, of which 2 MB each are in memory.
        ("SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM c".to_owned(), 20),
        ("SELECT lag(x, 5) OVER (PARTITION BY x % 7 ORDER BY -x) FROM c".to_owned(), 20),
        ("SELECT count(*) FROM (SELECT DISTINCT x FROM c)".to_owned(), 10),
        (format!("SELECT count(*) FROM (SELECT {long} FROM c UNION SELECT {long} || 'a' FROM c)"), 10),
        ("SELECT a.x FROM (SELECT x FROM c LIMIT 100000000) a
          JOIN (SELECT x FROM c LIMIT 100000000) b ON a.x = b.x + 1".to_owned(), 10),
        (format!("SELECT {} FROM c", hundred("count(DISTINCT x + #)")), 260),
        // What collects into one value ends with 1 MB.
        ("SELECT group_concat(x) FROM c".to_owned(), 10),
        ("SELECT json_group_array(x) FROM c".to_owned(), 10),
        ("SELECT json_group_object(x, x) FROM c".to_owned(), 10),
        ("SELECT json_group_array(json_object('x', x)) FROM c".to_owned(), 10),
        (format!("SELECT {} FROM c", hundred("group_concat(x + #)")), 220),
        (format!("SELECT {} FROM c", hundred("json_group_array(x + #)")), 220),
        // Percentiles keep no more than their buckets, outside of SQLite.
        (format!("SELECT {} FROM c", hundred("percentile(x * 1e300 / #, 50)")), 10),
    ]
}

#[tokio::test]
async fn no_query_takes_much_memory() {
    let store = Store::new().await;
    let time = Duration::from_millis(700);
    let limits = QueryLimits { time, spill: 64 << 20, ..QueryLimits::default() };
    store.sql("SELECT 1").await;
    for (sql, most) in attacks() {
        high_water();
        let started = Instant::now();
        let error = store.reader.query(&format!("{SERIES} {sql}"), limits).await.unwrap_err();
        let (held, elapsed) = (high_water() / MB, started.elapsed());
        println!("{held:4} MB, {elapsed:?}: {sql:.60}: {error:.60}");
        assert!(held <= most, "{held} MB for {sql}");
        // Without its limit it would never end; a machine may stand still for seconds.
        assert!(elapsed < Duration::from_secs(60), "{elapsed:?} for {sql}");
    }
}

#[tokio::test]
async fn rows_of_large_values_do_not_pile_up() {
    let store = Store::new().await;
    let long = "replace(printf('%1000d', x), ' ', printf('%1000d', x + #))";
    high_water();
    let sql = format!("{SERIES} SELECT {} FROM c", hundred(long));
    // One row takes seconds on a busy machine.
    let limits = QueryLimits { time: Duration::from_secs(120), ..QueryLimits::default() };
    let result = store.reader.query(&sql, limits).await.unwrap();
    assert!(result.is_truncated && result.rows.is_empty());
    let held = high_water() / MB;
    println!("{held} MB");
    // A hundred values of 1 MB in the making, and in the rows on their way.
    assert!(held <= 400, "{held} MB");
}

#[tokio::test]
async fn temporary_files_are_limited_and_their_room_is_given_back() {
    let store = Store::new().await;
    let limits =
        QueryLimits { time: Duration::from_secs(60), spill: 64 << 20, ..QueryLimits::default() };
    let sort = |rows: u32| {
        format!(
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {rows})
             SELECT max(y) FROM (SELECT printf('%500d', x) AS y FROM c ORDER BY -x LIMIT 100000000)"
        )
    };
    let error = store.reader.query(&sort(200_000), limits).await.unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit, .. } if limit == 64 << 20), "{error}");
    assert!(
        error.to_string().contains("more than 64 MiB of memory and temporary files"),
        "{error}"
    );
    // Half of it each, on the same connection: room is counted while it is taken, not for ever.
    for _ in 0..4 {
        let result = store.reader.query(&sort(50_000), limits).await;
        assert_eq!(result.unwrap().rows.len(), 1);
    }
    // Without room nothing can leave the memory, but what fits into it is answered.
    let limits = QueryLimits { spill: 0, ..limits };
    assert!(store.reader.query(&sort(50_000), limits).await.is_err());
    assert_eq!(store.reader.query(&sort(1_000), limits).await.unwrap().rows.len(), 1);
}
