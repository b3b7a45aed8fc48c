//! What pages ask for, from one small story.

use crate::support::*;
use loopd_model::*;
use loopd_store::*;

const TASK: TaskId = TaskId(7);

fn frames(functions: &[&str]) -> Vec<Frame> {
    let frame = |function: &&str| Frame {
        function: (*function).into(),
        file: "src/main.rs".into(),
        line: 12,
        address: 0xdead_beef_0000_0001,
    };
    functions.iter().map(frame).collect()
}

fn sample(ms: u64, started: u64, stack: u64) -> Event {
    let kind = EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task: TASK,
        poll_started_at: Nanos(started * MS),
        stack: StackId(stack),
        running: Running::OffCpu,
        syscall: String::new(),
        wchan: String::new(),
    };
    at(ms, kind)
}

/// One task with a slow poll, one that runs still, and one sampled but short; two tasks that stay.
async fn story() -> Store {
    let mut store = Store::new().await;
    let opened = EventKind::LoopOpened {
        loop_id: LoopId(1),
        name: "main".into(),
        flavor: "tokio multi_thread".into(),
        workers: 2,
    };
    let started = EventKind::WorkerStarted {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        thread_name: "worker-0".into(),
        thread_id: 4711,
    };
    let child = |task| EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(2),
        parent: TASK,
        kind: TaskKind::Async,
    };
    let stacks = vec![
        Stack { id: StackId(1), frames: frames(&["std::thread::sleep", "app::handle"]) },
        Stack { id: StackId(2), frames: frames(&["app::compute"]) },
    ];
    store
        .stored(Batch {
            locations: locations(2),
            stacks,
            events: vec![
                at(0, opened),
                at(0, started),
                at(1, spawned(7, 1)),
                at(20, child(8)),
                at(30, child(9)),
                sample(150, 100, 1),
                sample(210, 100, 1),
                sample(560, 500, 2),
            ],
            segments: vec![polls(0, &[(10, 1, 7), (100, 300, 7), (500, 80, 7)])],
            ..Batch::default()
        })
        .await;
    // Told after 110 ms of a poll that goes on.
    store.stored(Batch { events: vec![sample(1_110, 1_000, 2)], ..Batch::default() }).await;
    store
}

fn ms(ms: u64) -> UnixNanos {
    UnixNanos(ORIGIN + (ms * MS) as i64)
}

#[tokio::test]
async fn slow_polls_come_with_their_stacks() {
    let store = story().await;
    let query = SlowQuery { process: store.process, limit: 10, ..SlowQuery::default() };
    let slow = store.reader.slow_polls(&query).await.unwrap();
    assert_eq!((slow.total, slow.total_time), (2, 410 * MS));
    let [running, ended] = &slow.polls[..] else { panic!("{slow:?}") };
    assert_eq!((running.start_at, running.length), (ms(1_000), None));
    assert_eq!(running.length_so_far, 110 * MS);
    assert_eq!((ended.start_at, ended.length), (ms(100), Some(300 * MS)));
    assert_eq!(ended.samples.len(), 2);
    assert_eq!(ended.samples[0].at, ms(150));
    assert_eq!(ended.samples[0].running, Running::OffCpu);
    assert_eq!(*ended.samples[0].frames, frames(&["std::thread::sleep", "app::handle"]));
    assert_eq!(ended.spawn_location.as_ref().unwrap().line, 10);
    let early = SlowQuery { to: Some(ms(900)), ..query };
    assert_eq!(store.reader.slow_polls(&early).await.unwrap().polls.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slow_polls_add_up_to_is_of_the_instant_at_which_they_are_given() {
    const ANSWERS: usize = 20;
    // So many that commits come between the statements of one answer.
    const BEFORE: u64 = 3_000;
    let mut store = story().await;
    let slow = |i: u64| (2_000 + 200 * i, 150, 7);
    let before: Vec<_> = (0..BEFORE).map(slow).collect();
    store.stored(Batch { segments: vec![polls(0, &before)], ..Batch::default() }).await;
    let (reader, process) = (store.reader.clone(), store.process);
    let asked = tokio::spawn(async move {
        let query = SlowQuery { process, limit: 10_000, ..SlowQuery::default() };
        for _ in 0..ANSWERS {
            let slow = reader.slow_polls(&query).await.unwrap();
            let time: u64 = slow.polls.iter().map(|it| it.length_so_far).sum();
            assert_eq!((slow.total, slow.total_time), (slow.polls.len() as u64, time));
        }
    });
    let mut next = BEFORE;
    while !asked.is_finished() {
        let segments = vec![polls(0, &[slow(next)])];
        store.stored(Batch { segments, ..Batch::default() }).await;
        next += 1;
    }
    asked.await.unwrap();
}

#[tokio::test]
async fn a_poll_is_running_until_its_lane_goes_on_or_its_process_is_gone() {
    let mut store = story().await;
    let running = async |store: &Store| {
        let task = store.reader.task(store.process, TASK).await.unwrap().unwrap();
        let timeline = store.reader.timeline(store.process, ms(0), ms(2_000), 1_000).await.unwrap();
        let is_drawn = timeline.slow.iter().any(|span| span.is_running);
        (task.state == TaskState::Running, is_drawn)
    };
    assert_eq!(running(&store).await, (true, true));
    // Its end was lost: the next poll of the lane says that it is over.
    store.stored(Batch { segments: vec![polls(0, &[(1_500, 1, 8)])], ..Batch::default() }).await;
    assert_eq!(running(&store).await, (false, false));
}

#[tokio::test]
async fn a_job_runs_from_its_start_on_and_a_counted_task_while_its_last_poll_has_no_end() {
    let mut store = Store::new().await;
    let job = |task| {
        let mut event = spawned(task, 1);
        let EventKind::TaskSpawned { kind, .. } = &mut event else { panic!("{event:?}") };
        *kind = TaskKind::Blocking;
        event
    };
    let counted = |task, started, ended| {
        let counts = TaskCounts {
            polls: 3,
            busy_time: MS,
            last_poll_started_at: Nanos(started * MS),
            last_poll_ended_at: Nanos(ended * MS),
            ..TaskCounts::default()
        };
        EventKind::TaskCounted { task: TaskId(task), counts }
    };
    let events = vec![
        at(1, job(5)),
        at(1, job(6)),
        at(1, spawned(7, 1)),
        at(1, spawned(8, 1)),
        at(10, EventKind::BlockingStarted { task: TaskId(5) }),
        at(50, counted(7, 40, 30)),
        at(50, counted(8, 20, 30)),
    ];
    store.stored(Batch { locations: locations(1), events, ..Batch::default() }).await;
    let query = TaskQuery { process: store.process, limit: 10, ..TaskQuery::default() };
    let running = TaskQuery { state: Some(TaskState::Running), ..query.clone() };
    let term = TaskTerm { any: vec![TaskCondition::Running], is_negated: false };
    let met = TaskQuery { terms: vec![term], ..query.clone() };
    for query in [running, met] {
        let rows = store.reader.tasks(&query).await.unwrap().rows;
        let tasks: Vec<_> = rows.iter().map(|row| (row.task.0, row.state)).collect();
        assert_eq!(tasks, [(5, TaskState::Running), (7, TaskState::Running)]);
        assert_eq!((rows[0].polls, rows[0].busy_time), (1, 40 * MS));
    }
    let rows = store.reader.tasks(&query).await.unwrap().rows;
    let waiting = rows.iter().filter(|row| row.state == TaskState::Alive);
    assert_eq!(waiting.map(|row| row.task.0).collect::<Vec<_>>(), [6, 8]);
}

#[tokio::test]
async fn the_timeline_shows_a_long_poll_before_it_ends() {
    let store = story().await;
    let timeline = store.reader.timeline(store.process, ms(1_000), ms(1_200), 4_000).await.unwrap();
    assert_eq!(timeline.lanes.len(), 1);
    let lane = &timeline.lanes[0];
    assert_eq!((lane.loop_name.as_str(), lane.thread_name.as_str()), ("main", "worker-0"));
    let busy: u64 = lane.cells.iter().map(|(_, cell)| cell.busy_time()).sum();
    assert_eq!(busy, 110 * MS);
    assert_eq!(timeline.data_to, Some(ms(1_110)));
}

#[tokio::test]
async fn capital_letters_that_are_not_ascii_find_themselves() {
    let mut store = story().await;
    let named = EventKind::TaskNamed { task: TASK, name: NameId(70) };
    store
        .stored(Batch {
            names: vec![Name { id: NameId(70), text: "Ärzte TAG".into() }],
            events: vec![at(1_200, named)],
            ..Batch::default()
        })
        .await;
    let term = TaskTerm {
        any: vec![TaskCondition::Text(TaskText::Name, "Ärzte tag".into(), false)],
        is_negated: false,
    };
    let any = TaskQuery { process: store.process, limit: 10, ..TaskQuery::default() };
    for query in [
        TaskQuery { terms: vec![term], ..any.clone() },
        TaskQuery { text: Some("ÄRZTE".into()), ..any },
    ] {
        let rows = store.reader.tasks(&query).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.task).collect::<Vec<_>>(), [TASK]);
    }
}

#[tokio::test]
async fn tasks_are_filtered_sorted_and_paged() {
    let store = story().await;
    let ids = async |query: TaskQuery| {
        let query = TaskQuery { process: store.process, limit: 10, ..query };
        let page = store.reader.tasks(&query).await.unwrap();
        (page.total, page.rows.iter().map(|row| row.task.0).collect::<Vec<_>>())
    };
    let any = TaskQuery::default;
    assert_eq!(ids(any()).await, (3, vec![7, 8, 9]));
    let sort = TaskSort::BusyTime;
    assert_eq!(ids(TaskQuery { sort, is_descending: true, ..any() }).await.1[0], 7);
    assert_eq!(ids(TaskQuery { location: Some(2), ..any() }).await, (2, vec![8, 9]));
    assert_eq!(ids(TaskQuery { parent: Some(TASK), offset: 1, ..any() }).await, (2, vec![9]));
    assert_eq!(ids(TaskQuery { text: Some("MAIN.rs:10".into()), ..any() }).await.1, [7]);
    assert_eq!(ids(TaskQuery { text: Some("9".into()), ..any() }).await.1, [9]);
    assert_eq!(ids(TaskQuery { state: Some(TaskState::Ended), ..any() }).await.0, 0);
    assert_eq!(ids(TaskQuery { state: Some(TaskState::Running), ..any() }).await.1, [7]);
    for sort in [
        TaskSort::Task,
        TaskSort::Name,
        TaskSort::Location,
        TaskSort::SpawnedAt,
        TaskSort::Lifetime,
        TaskSort::Polls,
        TaskSort::MaxPollTime,
        TaskSort::Wakes,
        TaskSort::ScheduledTime,
        TaskSort::State,
    ] {
        let (up, down) = (
            ids(TaskQuery { sort, ..any() }).await,
            ids(TaskQuery { sort, is_descending: true, ..any() }).await,
        );
        assert_eq!((up.0, down.0), (3, 3), "{sort:?}");
    }
}

#[tokio::test]
async fn a_task_is_shown_with_its_polls_and_what_it_has_in_common_with_others() {
    let store = story().await;
    let task = store.reader.task(store.process, TASK).await.unwrap().unwrap();
    assert_eq!((task.polls, task.busy_time, task.slow_polls), (3, 381 * MS, Some(1)));
    assert_eq!((task.wakes, task.outcome, task.spawned_at), (None, None, Some(ms(1))));
    let polls = store.reader.task_polls(store.process, TASK, 2, 1).await.unwrap();
    assert_eq!(polls.last.iter().map(|poll| poll.start_at).collect::<Vec<_>>(), [ms(500), ms(100)]);
    assert_eq!(polls.slowest[0].length, 300 * MS);
    assert_eq!((polls.histogram.count(), polls.is_complete), (3, true));
    assert_eq!(store.reader.task_children(store.process, TASK).await.unwrap(), 2);
    let stats = store.reader.location_stats(store.process, TASK).await.unwrap();
    assert_eq!((stats.tasks, stats.polls, stats.busy_time), (1, 3, 381 * MS));
    assert_eq!(stats.histogram.unwrap().count(), 3);
    assert!(store.reader.task(store.process, TaskId(404)).await.unwrap().is_none());
}

#[tokio::test]
async fn single_polls_of_a_range_come_with_their_spawn_locations() {
    let store = story().await;
    let spans = store.reader.polls(store.process, ms(50), ms(450), 10).await.unwrap();
    assert!(spans.is_complete);
    assert_eq!(spans.lanes[0].spans.len(), 1);
    let span = spans.lanes[0].spans[0];
    assert_eq!((span.task, spans.places[&span.location].file.as_str()), (TASK, "src/main.rs"));
    let spans = store.reader.polls(store.process, ms(0), ms(2_000), 2).await.unwrap();
    assert_eq!((spans.lanes[0].spans.len(), spans.is_complete), (2, false));
}

#[tokio::test]
async fn a_scene_is_what_its_parts_are() {
    let store = story().await;
    let (from, to) = (ms(0), ms(2_000));
    let timeline = store.reader.timeline(store.process, from, to, 1_000).await.unwrap();
    let polls = store.reader.polls(store.process, from, to, 100).await.unwrap();
    assert!(polls.is_complete);
    // What was unpacked for one look serves the next.
    for _ in 0..2 {
        let scene = store.reader.scene(store.process, (from, to), 1_000, 100).await.unwrap();
        assert_eq!(scene.epoch, store.reader.status().await.unwrap().epoch);
        let process = store.reader.process(store.process).await.unwrap();
        assert_eq!(format!("{:?}", scene.process), format!("{process:?}"));
        assert_eq!(format!("{:?}", scene.timeline), format!("{timeline:?}"));
        assert_eq!(format!("{:?}", scene.spans.unwrap().0), format!("{polls:?}"));
    }
    let many = store.reader.scene(store.process, (from, to), 1_000, 2).await.unwrap();
    assert!(many.spans.is_none());
    let nobody = store.reader.scene(ProcessKey(404), (from, to), 1_000, 100).await.unwrap();
    assert!(nobody.process.is_none() && nobody.timeline.lanes.is_empty());
}

#[tokio::test]
async fn live_tasks_are_counted_by_where_they_were_spawned() {
    let mut store = story().await;
    store.stored(Batch { events: vec![at(2_000, ended(8))], ..Batch::default() }).await;
    let sites = store.reader.task_sites(store.process, ms(4_000), 4 * S, 5).await.unwrap();
    assert_eq!(sites.len(), 2);
    let site = sites.iter().find(|site| site.location_id == Some(2)).unwrap();
    assert_eq!((site.alive, site.spawned, site.ended), (1, 2, 1));
    assert_eq!(site.counts, [0, 2, 1, 1, 1]);
    assert_eq!(
        (site.examples.as_slice(), site.ages.as_slice()),
        (&[TaskId(9)][..], &[3_970 * MS][..])
    );
    assert_eq!(site.median_age, Some(3_970 * MS));
    let alive = store.reader.tasks_alive_at(store.process, &[ms(3_000), ms(0), ms(25)]).await;
    assert_eq!(alive.unwrap(), [2, 0, 2]);
}

#[tokio::test]
async fn resources_are_listed_and_counted_by_where_they_were_opened() {
    let mut store = story().await;
    let open = |resource, kind: &str| EventKind::ResourceOpened {
        resource: ResourceId(resource),
        kind: kind.into(),
        name: format!("/tmp/{resource}"),
        open_location: LocationId(1),
        task: TASK,
        stack: loopd_model::StackId::NONE,
    };
    let close = |resource, how| EventKind::ResourceClosed { resource: ResourceId(resource), how };
    let events = vec![
        at(1_000, open(1, "file")),
        at(1_100, open(2, "file")),
        at(1_200, open(3, "socket")),
        at(1_500, close(2, CloseHow::Unclosed)),
        at(1_600, close(99, CloseHow::Closed)),
    ];
    store.stored(Batch { events, ..Batch::default() }).await;
    let list = async |is_open| {
        let process = store.process;
        let query = ResourceQuery { process, is_open, limit: 10, ..ResourceQuery::default() };
        let page = store.reader.resources(&query).await.unwrap();
        assert_eq!(page.total, page.rows.len() as u64);
        page.rows.iter().map(|row| row.resource.0).collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, [3, 2, 1]);
    assert_eq!(list(Some(true)).await, [3, 1]);
    assert_eq!(list(Some(false)).await, [2]);
    let sites = store.reader.resource_sites(store.process, ms(2_000), S, 3).await.unwrap();
    let files = sites.iter().find(|site| site.kind == "file").unwrap();
    assert_eq!((files.open, files.closed, files.unclosed), (1, 1, 1));
    assert_eq!(files.counts, [1, 1, 1]);
    assert_eq!(files.examples[0].name, "/tmp/1");
}

#[tokio::test]
async fn metrics_come_in_even_steps_and_the_latest_at_once() {
    let mut store = story().await;
    let metric = |worker, value| Metric { name: "queue".into(), worker, value };
    let reading = |ms, value| {
        let metrics = vec![metric(None, value), metric(Some(WorkerId(1)), value * 10.0)];
        at(ms, EventKind::Metrics { loop_id: LoopId(1), metrics })
    };
    let events = vec![reading(100, 1.0), reading(150, 2.0), reading(350, 3.0)];
    store.stored(Batch { events, ..Batch::default() }).await;
    let series = store.reader.metrics(store.process, "queue", ms(0), ms(400), 4).await.unwrap();
    assert_eq!(series.len(), 2);
    assert_eq!(series[0].values, [None, Some(2.0), None, Some(3.0)]);
    assert_eq!((series[1].worker, series[1].values[1]), (Some(WorkerId(1)), Some(20.0)));
    let latest = store.reader.latest_metrics(store.process).await.unwrap();
    let values: Vec<_> = latest.iter().map(|row| (row.worker, row.value)).collect();
    assert_eq!(values, [(None, 3.0), (Some(WorkerId(1)), 30.0)]);
}

#[tokio::test]
async fn the_head_tells_of_every_commit() {
    let mut store = story().await;
    let mut head = store.writer.head();
    let before = head.borrow_and_update().clone();
    store.stored(Batch { events: vec![at(9_000, ended(9))], ..Batch::default() }).await;
    assert!(head.has_changed().unwrap());
    let after = head.borrow().clone();
    assert!(after.version > before.version);
    assert_eq!(after.processes[0].last_at, ms(9_000));
    let status = store.reader.status().await.unwrap();
    assert_eq!((status.batches, status.polls, status.events), (3, 3, 10));
}

#[tokio::test]
async fn a_worker_runs_again_once_another_thread_is_it() {
    let mut store = Store::new().await;
    let (loop_id, worker) = (LoopId(1), WorkerId(0));
    let started = |thread_id| EventKind::WorkerStarted {
        loop_id,
        worker,
        thread_name: format!("thread {thread_id}"),
        thread_id,
    };
    let stopped = || EventKind::WorkerStopped { loop_id, worker };
    let running = "SELECT thread_name, stopped_at IS NULL FROM workers";
    let mut check = async |events, expected: &str| {
        store.stored(Batch { events, ..Batch::default() }).await;
        assert_eq!(store.sql(running).await, [expected]);
    };
    check(vec![at(1, started(7))], "thread 7 1").await;
    check(vec![at(2, stopped())], "thread 7 0").await;
    // The exporter notes a stop when it finds it, so the next start may be older.
    check(vec![at(1, started(8))], "thread 8 1").await;
    check(vec![at(4, stopped()), at(5, started(9))], "thread 9 1").await;
    check(vec![at(6, stopped())], "thread 9 0").await;
}

#[tokio::test]
async fn the_slowest_polls_are_found_wherever_they_are() {
    let mut store = Store::new().await;
    let mut told = Vec::new();
    for batch in 0..12u64 {
        let mixed = |i: u64| (batch * 1_000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let spans: Vec<_> =
            (0..700).map(|i| (batch * 100_000 + i * 130, mixed(i) % 120, 1 + i % 9)).collect();
        told.extend(spans.iter().map(|&(start, length, task)| (length, start, task)));
        store.stored(Batch { segments: vec![polls(0, &spans)], ..Batch::default() }).await;
        if batch == 5 {
            let later = UnixNanos(ORIGIN + (900 * S) as i64);
            store.maintain_all(later.0, &KEEP_ALL).await;
        }
    }
    told.sort_by_key(|&(length, start, _)| (std::cmp::Reverse(length), start));
    let (all, later) = (UnixNanos(i64::MIN), UnixNanos(i64::MAX));
    for limit in [1, 10, 300, 2_000] {
        let found = store.reader.slowest_polls(store.process, all, later, limit).await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|poll| {
                let start = (poll.start_at.0 - ORIGIN) as u64 / MS;
                (poll.length / MS, start, poll.task.0)
            })
            .collect();
        assert_eq!(found, told[..limit], "{limit}");
        // SQL gives them in the same order without reading the rest.
        let sql = format!(
            "SELECT length / 1000000, (start_at - {ORIGIN}) / 1000000, task FROM polls
             WHERE process = 1 ORDER BY length DESC LIMIT {limit}"
        );
        let rows: Vec<_> = told[..limit]
            .iter()
            .map(|(length, start, task)| format!("{length} {start} {task}"))
            .collect();
        assert_eq!(store.sql(&sql).await, rows, "{limit}");
    }
    let sql = "SELECT count(*) FROM (SELECT * FROM polls WHERE length < 50000000 ORDER BY length DESC LIMIT 20)";
    assert_eq!(store.sql(sql).await, ["20"]);
}
