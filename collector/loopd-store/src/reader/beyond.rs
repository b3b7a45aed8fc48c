//! What is beyond a bound is said to be there; and up to their bounds answers are those of plain SQL.

use std::collections::BTreeMap;

use loopd_model::{MarkLevel, TaskId};
use rusqlite::Connection;

use super::grown::{HOUR, ORIGIN, fill};
use super::{Reader, bounds, lives};
use crate::{
    MAX_COUNTED, MAX_PROCESSES, MarkQuery, ProcessKey, ResourceQuery, SlowQuery, StandingQuery,
    Standings, StoreOptions, TaskQuery, TaskSort, TaskState, UnixNanos, WaitQuery,
};

const PROCESS: ProcessKey = ProcessKey(1);
const END: UnixNanos = UnixNanos(ORIGIN + HOUR);

async fn store(rows: i64) -> (tempfile::TempDir, Reader, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loopd.db");
    let (writer, reader) = crate::open(StoreOptions::new(&path)).await.unwrap();
    writer.close().await.unwrap();
    fill(&path, rows);
    let db = Connection::open(path).unwrap();
    (directory, reader, db)
}

#[tokio::test]
async fn what_is_beyond_a_bound_is_said_to_be_there() {
    let rows = 2 * MAX_COUNTED as i64 + 5_000;
    let (_directory, reader, db) = store(rows).await;

    let processes = reader.processes().await.unwrap();
    assert_eq!((processes.rows.len(), processes.has_more), (MAX_PROCESSES, true));
    let counts = reader.counts(&[PROCESS]).await.unwrap()[0];
    assert_eq!((counts.tasks_alive, counts.has_more_alive), (MAX_COUNTED, true));
    assert_eq!((counts.open_resources, counts.has_more_open), (MAX_COUNTED, true));
    let totals = reader.process(PROCESS).await.unwrap().unwrap().totals;
    // These are kept, not counted.
    assert_eq!(totals.slow_polls, rows as u64);

    let query = SlowQuery { process: PROCESS, limit: 5, ..SlowQuery::default() };
    let slow = reader.slow_polls(&query).await.unwrap();
    assert_eq!((slow.total, slow.has_more, slow.polls.len()), (MAX_COUNTED, true, 5));

    let query = ResourceQuery { process: PROCESS, limit: 5, ..ResourceQuery::default() };
    assert_eq!(reader.resources(&query).await.unwrap().total, MAX_COUNTED + 1);
    let behind = ResourceQuery { offset: MAX_COUNTED + 1, ..query };
    assert_eq!(reader.resources(&behind).await.unwrap().rows, []);
    let query =
        WaitQuery { process: PROCESS, offset: MAX_COUNTED + 1, limit: 5, ..WaitQuery::default() };
    assert_eq!(reader.waits(&query).await.unwrap().rows, []);

    let query =
        MarkQuery { process: PROCESS, level: MarkLevel::Error, limit: 5, ..MarkQuery::default() };
    let marks = reader.marks(&query).await.unwrap();
    let sql = "SELECT at + 1 FROM mark ORDER BY at DESC LIMIT 1 OFFSET ?";
    let left_out: i64 = db.query_row(sql, [bounds::MAX_LOOKED], |row| row.get(0)).unwrap();
    assert_eq!((marks.rows, marks.searched_from), (vec![], Some(UnixNanos(left_out))));

    let sites = reader.task_sites(PROCESS, END, HOUR as u64, 9).await.unwrap();
    assert!(sites.iter().all(|site| site.has_more), "{sites:?}");
    let alive: u64 = sites.iter().map(|site| site.alive).sum();
    assert_eq!((sites.len(), alive), (20, 20_000));
    // More are alive than are counted.
    let alive = reader.tasks_alive_at(PROCESS, &[END]).await.unwrap();
    assert_eq!(alive, Vec::<u64>::new());

    let sites = reader.resource_sites(PROCESS, END, HOUR as u64, 9).await.unwrap();
    let sql = "SELECT opened_at + 1 FROM resource ORDER BY opened_at DESC LIMIT 1 OFFSET ?";
    let opened: i64 = db.query_row(sql, [bounds::MAX_LOOKED], |row| row.get(0)).unwrap();
    assert!(sites.iter().all(|site| site.counted_from >= Some(UnixNanos(opened))), "{sites:?}");
}

#[tokio::test]
async fn of_too_many_live_tasks_the_latest_of_each_place_are_listed() {
    let (_directory, reader, _db) = store(2 * MAX_COUNTED as i64).await;
    let query = TaskQuery {
        process: PROCESS,
        state: Some(TaskState::Alive),
        sort: TaskSort::SpawnedAt,
        is_descending: true,
        limit: 20,
        ..TaskQuery::default()
    };
    let latest = reader.tasks(&query).await.unwrap();
    assert!(latest.has_more_alive && latest.total < 2 * MAX_COUNTED, "{}", latest.total);
    let tasks: Vec<_> = latest.rows.iter().map(|row| row.task).collect();
    let newest = 2 * MAX_COUNTED;
    assert_eq!(tasks, (newest - 19..=newest).rev().map(TaskId).collect::<Vec<_>>());
    let ended = TaskQuery { state: Some(TaskState::Ended), ..query };
    assert!(!reader.tasks(&ended).await.unwrap().has_more_alive);
}

#[tokio::test]
async fn of_an_instant_long_ago_those_that_lived_long_are_found_among_many_that_did_not() {
    let (_directory, reader, db) = store(6 * MAX_COUNTED as i64).await;
    // The first that was spawned, one of the middle and the last that ended.
    let lived = [(1, 0, HOUR / 5 * 3), (2, HOUR / 4, HOUR / 4 * 3), (3, HOUR / 4, HOUR + 1)];
    for (id, from, to) in lived {
        let sql =
            "INSERT INTO task (process, task, kind, spawn_location, spawned_at, ended_at, polls,
                busy_time, max_poll_time, slow_polls, wakes, self_wakes, scheduled_time)
            VALUES (1, ?1 + 90000000, 0, 1, ?2, ?3, 9, 5, 5, 0, 3, 0, 7)";
        db.execute(sql, (id, ORIGIN - 1 + from, ORIGIN + to)).unwrap();
    }
    let query = StandingQuery {
        known: vec![TaskId(90_000_002)],
        max_alive: 4 * MAX_COUNTED as usize,
        ended_from: UnixNanos(ORIGIN + HOUR / 3),
        max_ended: 10,
        at: Some(UnixNanos(ORIGIN + HOUR / 3)),
    };
    let found = reader.task_standings(PROCESS, query.clone()).await.unwrap();
    let has = |found: &Standings, task| found.tasks.iter().any(|it| it.task == TaskId(task));
    assert!([90_000_001, 90_000_002, 90_000_003].map(|task| has(&found, task)) == [true; 3]);
    // Nobody knew it, and it is far from every end.
    let unknown = StandingQuery { known: Vec::new(), ..query.clone() };
    let without = reader.task_standings(PROCESS, unknown).await.unwrap();
    assert!(!has(&without, 90_000_002) && has(&without, 90_000_001) && has(&without, 90_000_003));
    // With room for few, those that are known stay.
    let few = StandingQuery { max_alive: 5, ..query };
    let few = reader.task_standings(PROCESS, few).await.unwrap();
    assert!(has(&few, 90_000_002) && few.tasks.len() <= 15 && few.left_out > 0, "{few:?}");
}

/// Sites as sort, location, alive, and the age of the median and of the oldest.
type Sites = BTreeMap<(String, i64), (u64, u64, u64)>;

/// The same from plain SQL.
fn plain(db: &Connection, sql: &str, at: i64) -> Sites {
    let mut births: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    let mut statement = db.prepare(sql).unwrap();
    let mut rows = statement.query([at]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let key = (row.get(0).unwrap(), row.get(1).unwrap());
        births.entry(key).or_default().push(row.get(2).unwrap());
    }
    let site = |(key, mut births): ((String, i64), Vec<i64>)| {
        births.sort_unstable();
        let age = |born: i64| (at - born) as u64;
        let median = births[(births.len() - 1) / 2];
        (key, (births.len() as u64, age(median), age(births[0])))
    };
    births.into_iter().map(site).collect()
}

#[tokio::test]
async fn up_to_their_bounds_sites_are_what_plain_sql_counts() {
    let (_directory, reader, db) = store(900).await;
    // Some ended long after they began: they were alive in between.
    db.execute_batch(
        "UPDATE task SET ended_at = 1700003500000000000 WHERE task % 9 = 0 AND ended_at IS NULL;
         UPDATE resource SET closed_at = 1700003500000000000, how = 1
         WHERE resource % 9 = 0 AND closed_at IS NULL;
         UPDATE resource SET kind = NULL WHERE resource % 30 = 1 AND closed_at IS NULL;",
    )
    .unwrap();
    for at in [ORIGIN + HOUR / 2, ORIGIN + HOUR] {
        let sql = "SELECT '', spawn_location, spawned_at FROM task
            WHERE spawned_at <= ?1 AND (ended_at IS NULL OR ended_at > ?1)";
        let found = reader.task_sites(PROCESS, UnixNanos(at), HOUR as u64, 9).await.unwrap();
        let found = found.iter().filter(|site| site.alive > 0).map(|site| {
            let key = (String::new(), site.location_id.unwrap());
            (key, (site.alive, site.median_age.unwrap(), site.ages[0]))
        });
        assert_eq!(found.collect::<Sites>(), plain(&db, sql, at), "tasks at {at}");

        let sql = "SELECT coalesce(kind, ''), open_location, opened_at FROM resource
            WHERE opened_at <= ?1 AND (closed_at IS NULL OR closed_at > ?1)";
        let found = reader.resource_sites(PROCESS, UnixNanos(at), HOUR as u64, 9).await.unwrap();
        let found = found.iter().filter(|site| site.open > 0).map(|site| {
            let key = (site.kind.clone(), site.location.as_ref().unwrap().id.0 as i64);
            (key, (site.open, site.median_age.unwrap(), site.ages[0]))
        });
        assert_eq!(found.collect::<Sites>(), plain(&db, sql, at), "resources at {at}");
    }
    let sites = reader.resource_sites(PROCESS, END, HOUR as u64, 9).await.unwrap();
    let sql = "SELECT count(*) FROM resource WHERE how = 3";
    let unclosed: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(sites.iter().map(|site| site.unclosed).sum::<u64>(), unclosed as u64);
    assert_eq!(sites[0].counted_from, None);
}

#[tokio::test]
async fn metrics_are_the_last_readings_of_their_steps() {
    let (_directory, reader, db) = store(3_000).await;
    db.execute_batch("UPDATE metric SET value = rowid").unwrap();
    let (from, to, points) = (ORIGIN + HOUR / 7, ORIGIN + HOUR / 2, 37);
    let (from_at, to_at) = (UnixNanos(from), UnixNanos(to));
    let found = reader.metrics(PROCESS, "queue_depth", from_at, to_at, points).await.unwrap();
    assert_eq!(found.len(), 4);
    let sql = "SELECT at, value FROM metric WHERE name = 2 AND worker = ?1 AND at >= ?2 AND at < ?3
        ORDER BY at";
    for series in found {
        let worker = series.worker.unwrap().0;
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map((worker, from, to), |row| Ok((row.get(0)?, row.get(1)?)));
        let mut expected = vec![None; points];
        for row in rows.unwrap() {
            let (at, value): (i64, f64) = row.unwrap();
            let step = i128::from(at - from) * points as i128 / i128::from(to - from);
            expected[step as usize] = Some(value);
        }
        assert_eq!(series.values, expected, "worker {worker}");
    }
}

#[tokio::test]
async fn counts_that_are_kept_follow_what_is_removed_and_judged_anew() {
    let (_directory, reader, db) = store(400).await;
    let slow = async || reader.process(PROCESS).await.unwrap().unwrap().totals.slow_polls;
    let lost = async || reader.losses_by_cause(PROCESS).await.unwrap();
    assert_eq!((slow().await, lost().await.len(), lost().await[0].count), (400, 4, 500));
    db.execute_batch("DELETE FROM slow_poll WHERE worker = 0").unwrap();
    assert_eq!(slow().await, 300);
    db.execute_batch("UPDATE slow_poll SET is_slow = 0 WHERE worker = 1").unwrap();
    assert_eq!(slow().await, 200);
    db.execute_batch("UPDATE slow_poll SET is_slow = 1 WHERE worker = 1").unwrap();
    assert_eq!(slow().await, 300);
    db.execute_batch(
        "DELETE FROM loss WHERE kind = 1; DELETE FROM loss WHERE kind = 2 AND id % 8 = 2",
    )
    .unwrap();
    let left: Vec<_> = lost().await.iter().map(|row| row.count).collect();
    assert_eq!(left, [500, 500, 250]);
}

/// Tests look less far than programs do, or the stores of these tests would be within every bound.
const _: () = assert!(MAX_COUNTED == 10_000 && lives::MAX_LIVES == 20_000);
