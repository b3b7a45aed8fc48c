//! No question that the dashboard asks costs more because the store is larger.

use std::collections::BTreeMap;

use loopd_model::{DumpId, MarkLevel, ResourceId, TaskId, UnixNanos};

use super::grown::{HOUR, ORIGIN, fill};
use super::watch::{self, Sent};
use super::{Reader, WaitsOf};
use crate::{
    MarkQuery, ProcessKey, ResourceQuery, RollupStep, SlowQuery, StoreOptions, TaskQuery, TaskSort,
    TaskState, WaitQuery,
};

const PROCESS: ProcessKey = ProcessKey(1);
const TASK: TaskId = TaskId(1);
/// The first half of the hour, with as much behind it as in it.
const EARLY: (UnixNanos, UnixNanos) = (at(0), at(HOUR / 2));
const END: UnixNanos = at(HOUR);

const fn at(after: i64) -> UnixNanos {
    UnixNanos(ORIGIN + after)
}

/// What each question sent, by its name.
type Asked = BTreeMap<String, Vec<Sent>>;

/// Asks everything that the dashboard asks but timelines.
async fn ask(reader: &Reader) -> Asked {
    let mut asked = Asked::new();
    macro_rules! ask {
        ($name:expr, $question:expr) => {
            watch::take(&reader.path);
            $question.await.unwrap();
            let sent = watch::take(&reader.path);
            asked.insert($name.to_string(), sent);
        };
    }
    ask!("status", reader.status());
    ask!("processes", reader.processes());
    ask!("latest_process", reader.latest_process());
    ask!("process", reader.process(PROCESS));
    ask!("counts", reader.counts(&[PROCESS]));
    ask!("process_settings", reader.process_settings(PROCESS));
    ask!("common_settings", reader.common_settings());
    ask!("asked_of", reader.asked_of(PROCESS));
    ask!("ledger", reader.ledger(PROCESS));
    ask!("losses", reader.losses(PROCESS));
    ask!("losses of the first half", reader.losses_between(PROCESS, Some(EARLY)));
    ask!("losses_by_cause", reader.losses_by_cause(PROCESS));
    ask!("metrics", reader.metrics(PROCESS, "queue_depth", at(0), END, 120));
    ask!("latest_metrics", reader.latest_metrics(PROCESS));
    ask!("coverage", reader.coverage(PROCESS, 100));

    ask!("task_sites", reader.task_sites(PROCESS, END, HOUR as u64, 9));
    ask!("task_sites of the first half", reader.task_sites(PROCESS, EARLY.1, HOUR as u64 / 2, 9));
    ask!("resource_sites", reader.resource_sites(PROCESS, END, HOUR as u64, 9));
    ask!(
        "resource_sites of the first half",
        reader.resource_sites(PROCESS, EARLY.1, HOUR as u64 / 2, 9)
    );
    ask!("survivors", reader.survivors(PROCESS, (at(0), END), END));
    ask!("survivors of the first half", reader.survivors(PROCESS, EARLY, END));
    ask!("survivors of the first half at its end", reader.survivors(PROCESS, EARLY, EARLY.1));
    ask!("tasks_alive_at", reader.tasks_alive_at(PROCESS, &[EARLY.0, EARLY.1, END]));
    let minute = RollupStep::Minute;
    ask!("rollups", reader.rollups(PROCESS, (at(0), END), minute, None));

    ask!("facts", reader.facts(PROCESS, None, None));
    ask!("facts of the first half", reader.facts(PROCESS, Some(EARLY.0), Some(EARLY.1)));

    let slow = SlowQuery { process: PROCESS, limit: 500, ..SlowQuery::default() };
    let early = SlowQuery { from: Some(EARLY.0), to: Some(EARLY.1), ..slow };
    ask!("slow_polls", reader.slow_polls(&slow));
    ask!("slow_polls of the first half", reader.slow_polls(&early));
    ask!("slow_polls of a task", reader.slow_polls(&SlowQuery { task: Some(TASK), ..slow }));
    let stacks = SlowQuery { limit: 5_000, ..slow };
    ask!("slow_polls for their stacks", reader.slow_polls(&stacks));
    let stacks = SlowQuery { limit: 5_000, ..early };
    ask!("slow_polls of the first half for their stacks", reader.slow_polls(&stacks));

    let tasks = TaskQuery { process: PROCESS, limit: 100, ..TaskQuery::default() };
    for sort in [TaskSort::SpawnedAt, TaskSort::BusyTime] {
        for state in
            [None, Some(TaskState::Alive), Some(TaskState::Running), Some(TaskState::Ended)]
        {
            let tasks = TaskQuery { sort, state, is_descending: true, ..tasks.clone() };
            ask!(format!("tasks {state:?} by {sort:?}"), reader.tasks(&tasks));
        }
    }
    ask!("task", reader.task(PROCESS, TASK));
    ask!("task_children", reader.task_children(PROCESS, TASK));
    ask!("task_polls", reader.task_polls(PROCESS, TASK, 100, 20));
    ask!("task_wakes", reader.task_wakes(PROCESS, TASK, 100));
    ask!("location_stats", reader.location_stats(PROCESS, TASK));
    ask!("polls of the first half", reader.polls(PROCESS, EARLY.0, EARLY.1, 200));
    ask!("polls of an instant", reader.polls(PROCESS, at(HOUR / 13), at(HOUR / 13 + 1), 200));
    ask!("a scene of the first half", reader.scene(PROCESS, EARLY, 500, 200));

    for is_open in [None, Some(true), Some(false)] {
        for task in [None, Some(TASK)] {
            let limit = 100;
            let resources = ResourceQuery { process: PROCESS, task, is_open, limit, offset: 0 };
            let name = format!("resources, open: {is_open:?}, of {task:?}");
            ask!(name, reader.resources(&resources));
            let far = ResourceQuery { offset: u64::MAX, ..resources };
            ask!(format!("{name}, far on"), reader.resources(&far));
        }
    }
    ask!("resource", reader.resource(PROCESS, ResourceId(1)));
    for (what, range) in [("the hour", (at(0), END)), ("the first half", EARLY)] {
        ask!(
            format!("task_stretch of {what}"),
            reader.task_stretch(PROCESS, TASK, range, 300, 200)
        );
        ask!(
            format!("metric_bands of {what}"),
            reader.metric_bands(PROCESS, &["queue_depth".to_owned()], range, 60)
        );
        for of in [WaitsOf::Task(TASK), WaitsOf::Resource(ResourceId(1))] {
            ask!(
                format!("waits_between of {what}, {of:?}"),
                reader.waits_between(PROCESS, of, range, 100)
            );
        }
        let resource = ResourceId(1);
        ask!(
            format!("holds_between of {what}"),
            reader.holds_between(PROCESS, resource, range, 100)
        );
        let readings = reader.readings_between(PROCESS, resource, range, 100);
        ask!(format!("readings_between of {what}"), readings);
    }
    let instant = (at(HOUR / 13), at(HOUR / 13 + 1));
    ask!("poll_at", reader.poll_at(PROCESS, TASK, instant.0));
    ask!("wake_before", reader.wake_before(PROCESS, TASK, instant.0, 1_000));
    ask!("woken_by", reader.woken_by(PROCESS, TASK, instant, 10));
    ask!("first_poll_at", reader.first_poll_at(PROCESS, TASK));
    ask!("holds of a task", reader.holds(PROCESS, None, Some(TASK), 100));
    ask!("holds", reader.holds(PROCESS, None, None, 100));
    for is_pending in [true, false] {
        for (task, resource) in [
            (None, None),
            (Some(TASK), None),
            (None, Some(ResourceId(1))),
            (Some(TASK), Some(ResourceId(1))),
        ] {
            let limit = 100;
            let waits =
                WaitQuery { process: PROCESS, is_pending, task, resource, offset: 0, limit };
            ask!(format!("waits, {waits:?}"), reader.waits(&waits));
        }
    }
    ask!("dump_head", reader.dump_head(PROCESS, DumpId(1)));
    ask!("dumps", reader.dumps(PROCESS));
    ask!("dump", reader.dump(PROCESS, Some(DumpId(1))));
    ask!("dump, the latest", reader.dump(PROCESS, None));
    let tasks: Vec<_> = (1..=100).map(TaskId).collect();
    ask!("open_waits_of", reader.open_waits_of(PROCESS, &tasks, 1_000));
    ask!("open_waits_at", reader.open_waits_at(PROCESS, &tasks, EARLY.1, 1_000));

    let said = MarkQuery { process: PROCESS, limit: 100, ..MarkQuery::default() };
    let early = MarkQuery { from: Some(EARLY.0), to: Some(EARLY.1), ..said };
    for (name, query) in [
        ("", said),
        (" of the first half", early),
        (" of a level", MarkQuery { level: MarkLevel::Error, ..said }),
        (" of a level in the first half", MarkQuery { level: MarkLevel::Error, ..early }),
        (" of a task", MarkQuery { task: Some(TASK), ..said }),
        (" of a task and a level", MarkQuery { task: Some(TASK), level: MarkLevel::Error, ..said }),
    ] {
        ask!(format!("marks{name}"), reader.marks(&query));
        ask!(format!("app_spans{name}"), reader.app_spans(&query));
    }
    asked
}

async fn asked_of(rows: i64) -> Asked {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loopd.db");
    let (writer, reader) = crate::open(StoreOptions::new(&path)).await.unwrap();
    writer.close().await.unwrap();
    fill(&path, rows);
    watch::start(&reader.path);
    ask(&reader).await
}

fn steps(sent: &[Sent]) -> u64 {
    sent.iter().map(|one| one.steps).sum()
}

/// Longer than every bound of a reader in tests.
const ROWS: i64 = 25_000;
const TIMES: i64 = 5;
/// Deeper trees, and bounds that were not reached quite before, cost a little.
const MAX_GROWTH: f64 = 1.3;
/// No statement goes through more rows than this without searching for them; bounds end all that do, and
/// no table of the larger store is that small.
const MAX_SCANNED: u64 = 60_000;

#[tokio::test]
async fn no_question_costs_more_because_the_store_is_larger() {
    let small = asked_of(ROWS).await;
    let large = asked_of(TIMES * ROWS).await;
    let mut wrong = String::new();
    for (name, sent) in &large {
        let (before, after) = (steps(&small[name]), steps(sent));
        let growth = after as f64 / before as f64;
        println!("{growth:6.2} {before:9} {after:9}  {name}");
        if growth > MAX_GROWTH || before == 0 {
            let most = sent.iter().max_by_key(|one| one.steps).map_or("", |one| &one.sql);
            wrong += &format!(
                "{name}: {before} steps, {after} with {TIMES} times the rows, most for {}\n",
                most.replace('\n', " ")
            );
        }
        for one in sent.iter().filter(|one| one.scanned > MAX_SCANNED) {
            wrong += &format!("{name} scans {} rows: {}\n", one.scanned, one.sql);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
