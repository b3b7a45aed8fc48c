//! The functions that loopd adds to SQLite's, as users call them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::*;
use loopd_model::*;
use loopd_store::QueryLimits;

async fn filled() -> Store {
    let mut store = Store::new().await;
    let spans: Vec<(u64, u64, u64)> = (0..400).map(|i| (i * 10, 1 + i % 9, 1 + i % 20)).collect();
    store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
    store
}

#[tokio::test]
async fn percentiles_are_exact_for_few_values_of_any_sign() {
    let store = filled().await;
    for (select, expected) in [
        (
            "percentile(length, 50), percentile(length, 100), percentile(length, 0)",
            "5000000 9000000 1000000",
        ),
        ("p50(length), p90(length), p99(length)", "5000000 9000000 9000000"),
        (
            "percentile(NULL, 50), p50(NULL), p99(iif(length > 8000000, length, NULL))",
            "- - 9000000",
        ),
        ("p50(-length), percentile(5000000 - length, 90)", "-5000000 4000000"),
        ("p50(length / 1e9), typeof(p50(length / 1e9)), typeof(p50(length))", "0.005 real integer"),
        // More digits than a floating-point number has.
        ("percentile(9007199254740993, 50)", "9007199254740993"),
        ("p50(length) filter (where length > 8e6)", "9000000"),
    ] {
        assert_eq!(store.sql(&format!("SELECT {select} FROM polls")).await, [expected], "{select}");
    }
    assert_eq!(store.sql("SELECT p50(length) FROM polls WHERE process = 7").await, ["-"]);
}

#[tokio::test]
async fn percentiles_of_many_values_are_close() {
    let store = Store::new().await;
    let series =
        "WITH RECURSIVE c(x) AS (SELECT -100000 UNION ALL SELECT x + 1 FROM c WHERE x < 100000)";
    let sql = format!(
        "{series} SELECT p50(x), p90(x), percentile(x, 10), percentile(x, 0), percentile(x, 100), p90(x / 1000.0) FROM c"
    );
    let row = store.reader.query(&sql, QueryLimits::default()).await.unwrap().rows.remove(0);
    let found: Vec<f64> = row
        .iter()
        .map(|value| match value {
            loopd_store::Value::Integer(n) => *n as f64,
            loopd_store::Value::Real(x) => *x,
            other => panic!("{other:?} is no number"),
        })
        .collect();
    for (found, exact) in found.iter().zip([0.0, 80_000.0, -80_000.0, -100_000.0, 100_000.0, 80.0])
    {
        assert!((found - exact).abs() <= f64::abs(exact) / 50.0, "{found} is not {exact}");
    }
}

#[tokio::test]
async fn instants_and_lengths_are_read_as_people_write_them() {
    let store = filled().await;
    for (select, expected) in [
        (
            "ns('2.5ms'), ns('1h 30m'), ns(NULL), ns(duration(1250000))",
            "2500000 5400000000000 - 1250000",
        ),
        ("unix('1970-01-01T00:00:01.5Z'), unix(NULL)", "1500000000 -"),
        ("unix(wall_time(1795367587000000042))", "1795367587000000042"),
        ("now() - unix('-5m') = ns('5m'), now() = unix('now')", "1 1"),
        ("bucket(25, 10), bucket(-1, 10), bucket(NULL, 10), bucket(2.9e1, 10)", "20 -10 - 20"),
    ] {
        assert_eq!(store.sql(&format!("SELECT {select}")).await, [expected], "{select}");
    }
    let now = "SELECT count(DISTINCT now()), min(now()) FROM polls a, polls b LIMIT 1";
    let row = store.sql(now).await.remove(0);
    let (count, at) = row.split_once(' ').unwrap();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = Duration::from_nanos(at.parse().unwrap());
    assert!(count == "1" && clock.saturating_sub(at) < Duration::from_secs(60), "{row}");
    let per_second =
        "SELECT count(*) FROM polls GROUP BY bucket(start_at, ns('1s')) ORDER BY start_at";
    // The first poll is not at the beginning of a second.
    let counts = store.sql(per_second).await;
    assert_eq!((counts.len(), counts[1].as_str()), (5, "100"), "{counts:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let store = filled().await;
    for (call, part) in [
        ("ns('5 parsecs')", "ns: \"5 parsecs\" is no length; write one as 150us"),
        ("ns(5)", "ns: \"5\" is no length"),
        ("unix('noon')", "unix: \"noon\" is no instant; write now, -5m"),
        ("bucket(1, 0)", "step must be more than 0"),
        ("bucket(1, 'x')", "both must be numbers"),
        ("percentile(1, 101)", "p must be a number from 0 to 100"),
        ("percentile(1, 'x')", "p must be a number from 0 to 100"),
        ("p50('x')", "percentiles are of numbers"),
    ] {
        let sql = format!("SELECT {call} FROM polls");
        let error = store.reader.query(&sql, QueryLimits::default()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{call}: {error}");
    }
}

#[tokio::test]
async fn every_function_of_the_schema_may_be_called() {
    let store = filled().await;
    for function in loopd_store::schema().functions {
        let name = function.signature.split('(').next().unwrap();
        let error =
            store.reader.query(&format!("SELECT {name}(1, 2, 3)"), QueryLimits::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("wrong number of arguments"), "{name}: {error}");
    }
}
