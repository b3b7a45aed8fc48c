//! The statements that must stay quick on a large database search by index.

use loopd_model::{MarkLevel, ResourceId, TaskId, UnixNanos};
use sqlx::{AssertSqlSafe, Row};

use super::{
    Reader, WaitsOf, facts, kept, lives, metric_bands, metrics, resources, sites, slow, standing,
    stretches, survivors, task_kin, task_life, task_stretch, tasks, timeline, told, waits,
    waits_of,
};
use crate::{
    MarkQuery, ProcessKey, ResourceQuery, SlowQuery, StoreOptions, TaskQuery, TaskState, WaitQuery,
};

async fn plan(reader: &Reader, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let mut db = reader.pool.acquire().await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *db).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

fn tasks_sql(query: &TaskQuery) -> String {
    let mut sql = tasks::listed(&tasks::columns(), query, None, 0);
    tasks::order(&mut sql, query);
    sql.sql().as_str().to_owned()
}

#[tokio::test]
async fn no_large_table_is_read_from_end_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(directory.path().join("loopd.db"));
    let (_writer, reader) = crate::open(options).await.unwrap();

    let process = ProcessKey(1);
    let running = TaskQuery {
        process: ProcessKey(1),
        state: Some(TaskState::Running),
        ..TaskQuery::default()
    };
    let all = SlowQuery { process, ..SlowQuery::default() };
    let range = SlowQuery { from: Some(UnixNanos(1)), to: Some(UnixNanos(2)), ..all };
    let task = SlowQuery { task: Some(TaskId(1)), ..all };
    let mut statements = vec![
        tasks_sql(&running),
        tasks_sql(&TaskQuery { process: ProcessKey(1), ..TaskQuery::default() }),
        timeline::long_polls_sql(0),
        timeline::long_polls_sql(6),
        timeline::slow_sql(),
    ];
    statements.extend(tasks::may_run_sql());
    statements.extend([all, range, task].iter().flat_map(slow::statements));
    statements.extend(sites::statements());
    statements.extend(lives::STATEMENTS.map(str::to_owned));
    statements.extend(facts::statements());
    statements.extend(metrics::STATEMENTS.map(str::to_owned));
    for is_open in [None, Some(true), Some(false)] {
        for task in [None, Some(TaskId(1))] {
            let query = ResourceQuery { process, task, is_open, ..ResourceQuery::default() };
            statements.push(resources::count(&query).sql().as_str().to_owned());
            statements.push(resources::select(&query).sql().as_str().to_owned());
        }
    }
    for level in [MarkLevel::None, MarkLevel::Warn] {
        for task in [None, Some(TaskId(1))] {
            let query = MarkQuery { process, task, level, ..MarkQuery::default() };
            statements.push(told::select_marks(&query).sql().as_str().to_owned());
        }
    }
    let complaints = MarkQuery { process, from: range.from, ..MarkQuery::default() };
    statements.push(told::select_complaints(&complaints).sql().as_str().to_owned());
    let pending = WaitQuery { is_pending: true, process: ProcessKey(1), ..WaitQuery::default() };
    let of_task = WaitQuery { task: Some(TaskId(1)), is_pending: false, ..pending };
    let all = WaitQuery { is_pending: false, ..pending };
    for query in [pending, of_task, all] {
        statements.push(waits::count(&query).sql().as_str().to_owned());
        statements.push(waits::select(&query).sql().as_str().to_owned());
    }
    statements.push(waits::later_holders_sql(1_000));
    let at = waits_of::waits_at(process, "[1]", UnixNanos(1), 5);
    statements.push(at.sql().as_str().to_owned());
    statements.extend(survivors::statements());
    statements.extend(metric_bands::STATEMENTS.map(str::to_owned));
    statements.extend(kept::STATEMENTS.map(str::to_owned));
    statements.extend(task_stretch::STATEMENTS.map(str::to_owned));
    let resource = ResourceId(1);
    for of in [WaitsOf::Task(TaskId(1)), WaitsOf::Resource(resource)] {
        let waits = stretches::waits(process, of, (1, 2), 10);
        statements.push(waits.sql().as_str().to_owned());
        statements.push(stretches::unseen_wait(process, of, 1).sql().as_str().to_owned());
    }
    statements.push(stretches::unseen_hold(process, resource, 1).sql().as_str().to_owned());
    statements.push(stretches::holds(process, resource, (1, 2), 10).sql().as_str().to_owned());
    statements.push(stretches::readings(process, resource, (1, 2), 10).sql().as_str().to_owned());
    statements.extend(task_life::statements());
    statements.extend(task_kin::statements());
    statements.extend(standing::statements());
    for sql in statements {
        let plan = plan(&reader, &sql).await;
        let large = [
            "t",
            "s",
            "w",
            "x",
            "r",
            "m",
            "task",
            "slow_poll",
            "resource",
            "mark",
            "metric",
            "segment",
            "tile",
        ];
        // What a list is made of is gathered first, by index.
        let is_gathered =
            |name: &str| plan.iter().any(|step| *step == format!("CO-ROUTINE {name}"));
        let scans = |step: &&String| {
            let mut words = step.split(' ');
            words.next() == Some("SCAN")
                && words.next().is_some_and(|it| large.contains(&it) && !is_gathered(it))
        };
        assert_eq!(plan.iter().find(scans), None, "{sql}\n{plan:#?}");
        // All of a process is no less.
        let whole = |step: &&String| step.ends_with(" USING PRIMARY KEY (process=?)");
        assert_eq!(plan.iter().find(whole), None, "{sql}\n{plan:#?}");
    }
}
