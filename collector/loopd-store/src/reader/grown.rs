//! Stores of any size for tests: the same hour of the same program, but with more of everything in it.

use std::path::Path;

use loopd_model::segment::{self, Effort};
use loopd_model::{Nanos, RecordKind, Span, TaskId};
use rusqlite::Connection;

/// When the hour begins.
pub(super) const ORIGIN: i64 = 1_700_000_000_000_000_000;
pub(super) const HOUR: i64 = 3_600_000_000_000;

/// Every statement makes rows `i` from 0 of `:rows`, each at its instant `at` of the hour. What is alive, open
/// or pending, and what ended, are each as many. Task 1 and resource 1 have most of what one can have.
const ROWS: &[&str] = &[
    "task (process, task, kind, loop, spawn_location, spawned_at, name, polls, busy_time, max_poll_time,
        slow_polls, first_poll_at, last_poll_at, wakes, self_wakes, scheduled_time)
     SELECT 1, i + 1, 0, 1, i % 20 + 1, at, i, 9, 5, 5, 0, :origin, :end, 3, 0, 7",
    "task (process, task, kind, loop, spawn_location, spawned_at, ended_at, outcome, polls, busy_time,
        max_poll_time, slow_polls, wakes, self_wakes, scheduled_time)
     SELECT 1, i + 10000000, 0, 1, i % 20 + 1, at - 1000000, at, 1, 9, 5, 5, 0, 3, 0, 7",
    "name SELECT 1, i, 'task ' || i",
    "process (uuid, app, app_version, host, pid, labels, agent, agent_version, coverage, slow_threshold,
        origin, durable_seq, state, last_at)
     SELECT randomblob(16), 'job', '', '', 1, '{}', '', '', '[]', 1, at, 0, 3, at WHERE i % 20 = 0",
    "loop (process, loop) SELECT 1, i",
    "slow_poll SELECT 1, 1, i % 4, at, 1000000, at + 1000000, 1, 1 + i % 2",
    "sample SELECT 1, 1, i % 4, at, at + 1, 1, 1 + i % 5, 1, NULL, NULL",
    "resource (process, resource, kind, open_location, task, opened_at)
     SELECT 1, i + 1, 'sort ' || (i % 3), i % 20 + 1, 1, at",
    "resource (process, resource, kind, open_location, task, opened_at, closed_at, how)
     SELECT 1, i + 10000000, 'sort ' || (i % 3), i % 20 + 1, 1, at - 5, at, 1 + 2 * (i % 2)",
    "resource_state (process, resource, at, depth) SELECT 1, i + 1, at, 5",
    "resource_reading (process, resource, at, depth) SELECT 1, 1, at, 5",
    "wait (process, wait, task, resource, op, location, began_at)
     SELECT 1, i + 1, i + 1, 1, 1, 1, at",
    "wait (process, wait, task, resource, op, location, began_at, ended_at, how)
     SELECT 1, i + 10000000, 1, 1, 1, 1, at, at + 5, 1",
    "wait_holder SELECT 1, i + 1, 0, (i + 7) % 100 + 1, at, 1, 1",
    "hold SELECT 1, 1, 1, at - 9, at, 1, 1, 0",
    "metric SELECT 1, 1, 0, -1, at, 5.0",
    "metric SELECT 1, 2, 1, i % 4, at, 5.0",
    "loss (process, kind, cause, count, from_at, to_at) SELECT 1, 1 + i % 4, 1, 5, at - 5, at",
    "mark SELECT 1, at, 1, 1, 'target', 'said', '{}', 1",
    "app_span SELECT 1, i, 0, 1, 'name', 'target', at - 5, at, 3, '{}', 1",
    "coverage_change SELECT 1, at, '[]', '{}'",
    "task_dump SELECT 1, i + 1, at, at, 5, 0, ''",
    "dumped_task SELECT 1, 1, i + 1, 0, at, 1 + i % 5, 1, 1",
    "finding SELECT 1, 'blocking_call', 'src/a.rs:' || i, 2, 50, 1, 3, 'blocked', NULL, 1, at, at, at,
        NULL, 1, '{}' WHERE i < 500",
    "note (process, from_at, to_at, text, made_at) SELECT 1, at, at, 'deploy ' || i, at WHERE i < 2000",
    "finding_mute SELECT 'app ' || i, 'blocking_call', 'src/a.rs:' || i, '', at WHERE i < 1000",
    "setting SELECT 3, '', i + 10, '{}'",
    "setting SELECT 2, 'app ' || i, 0, '{}' WHERE i < 2000",
    "segment (process, kind, loop, worker, start_at, end_at, spans, max_length, min_task, max_task,
        merged, data)
     SELECT 1, 1 + i % 3, 1, i % 4, at, at + 1000, 1, 1000, 1, 1, 1, :data",
    // Folding leaves a step a few rows, however much happened in it.
    "rollup (process, level, step, folded, cells) SELECT 1, i % 2, at / 10000000000, 0, x''
     WHERE i < 720",
];

/// What there is but once.
const ONCE: &str = "
    INSERT INTO process (id, uuid, app, app_version, host, pid, labels, agent, agent_version, coverage,
        slow_threshold, origin, durable_seq, state, last_at)
    SELECT 1, x'01', 'orders', '', '', 1, '{}', '', '', '[]', 1, 1700000000000000000, 1, 1,
        1700003600000000000;
    INSERT INTO metric_name VALUES (1, 'rss_bytes'), (2, 'queue_depth');
    INSERT INTO word VALUES (1, 'lock');
    INSERT INTO worker (process, loop, worker) VALUES (1, 1, 0), (1, 1, 1), (1, 1, 2), (1, 1, 3);
    INSERT INTO ledger_entry VALUES (1, 1, 9, 9, 0, 0);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
    INSERT INTO location SELECT 1, i, 'src/main.rs', i, 1 FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)
    INSERT INTO stack SELECT 1, i, '[[\"run\", \"src/main.rs\", 1, \"0x0\"]]' FROM n;";

/// Fills an empty store.
pub(super) fn fill(path: &Path, rows: i64) {
    let db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
    db.execute_batch(ONCE).unwrap();
    let poll =
        Span { start: Nanos(5), length: 1_000, task: TaskId(1), count: 1, ..Span::default() };
    let data = segment::encode(RecordKind::Poll, &[poll], Effort::Fast);
    for table in ROWS {
        let sql = format!(
            "WITH RECURSIVE n(i, at) AS (SELECT 0, :origin UNION ALL
                SELECT i + 1, :origin + (i + 1) * (:end - :origin) / :rows FROM n WHERE i + 1 < :rows)
             INSERT INTO {table_name} FROM n {condition}",
            table_name = table.split(" WHERE ").next().unwrap(),
            condition = table.split_once(" WHERE ").map_or(String::new(), |(_, it)| format!("WHERE {it}")),
        );
        let mut statement = db.prepare(&sql).unwrap();
        for (name, value) in [(":origin", ORIGIN), (":end", ORIGIN + HOUR), (":rows", rows)] {
            if let Some(place) = statement.parameter_index(name).unwrap() {
                statement.raw_bind_parameter(place, value).unwrap();
            }
        }
        if let Some(place) = statement.parameter_index(":data").unwrap() {
            statement.raw_bind_parameter(place, &data[..]).unwrap();
        }
        statement.raw_execute().unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    db.execute_batch("COMMIT").unwrap();
}
