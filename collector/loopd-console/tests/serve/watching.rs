//! What is told, and how it changes.

use std::time::SystemTime;

use console_api::instrument::{
    InstrumentRequest, PauseRequest, ResumeRequest, TaskDetailsRequest, Temporality,
};
use console_api::tasks::task::Kind;
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::{Id, resources};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use loopd_console::serve::Target;
use loopd_model::*;
use loopd_store::How;
use tokio::time::timeout;

use crate::screen::{LIMIT, Screen, Served, States, field};
use crate::support::*;

pub(crate) fn named(task: u64, name: u64) -> EventKind {
    EventKind::TaskNamed { task: TaskId(task), name: NameId(name) }
}

/// A worker with four tasks: one that is named and polled, one that is blocking, one that waits for a
/// lock, and one that has ended.
fn first() -> Batch {
    let job = EventKind::TaskSpawned {
        task: TaskId(2),
        loop_id: LoopId(1),
        spawn_location: LocationId(2),
        parent: TaskId(1),
        kind: TaskKind::Blocking,
    };
    let lock = EventKind::ResourceOpened {
        resource: ResourceId(5),
        kind: "mutex".into(),
        name: "config".into(),
        open_location: LocationId(3),
        task: TaskId(1),
        stack: StackId(0),
    };
    let readings = [("locked", 1.0), ("waiters", 1.0)];
    let readings =
        readings.map(|(name, value)| Metric { name: name.into(), worker: None, value }).into();
    let state = EventKind::ResourceState { resource: ResourceId(5), readings };
    let wait = EventKind::WaitBegan {
        wait: WaitId(9),
        task: TaskId(3),
        resource: ResourceId(5),
        op: "lock".into(),
        location: LocationId(1),
        amount: 0,
        holders: Vec::new(),
    };
    let wakes =
        [Span { start: Nanos(18 * MS), length: 2 * MS, task: TaskId(1), by: TaskId(1), count: 3 }];
    Batch {
        names: vec![Name { id: NameId(1), text: "accept loop".into() }],
        locations: locations(4),
        events: vec![
            at(1, spawned(1, 1)),
            at(1, named(1, 1)),
            at(2, job),
            at(3, EventKind::BlockingStarted { task: TaskId(2) }),
            at(4, spawned(3, 3)),
            at(
                4,
                EventKind::TaskFields {
                    task: TaskId(3),
                    fields: vec![("user".into(), "ada".into())],
                },
            ),
            at(5, lock),
            at(6, state),
            at(7, wait),
            at(8, spawned(4, 4)),
            at(9, ended(4)),
            at(9, EventKind::TaskUnwakeable { task: TaskId(3) }),
        ],
        segments: vec![
            polls(0, &[(10, 4, 1), (20, 6, 1)]),
            segment_of(RecordKind::Wake, 0, &wakes),
        ],
        ..Batch::default()
    }
}

#[tokio::test]
async fn tasks_resources_and_operations_are_told_as_they_stand() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the tasks are there", |screen| screen.tasks.len() == 4).await;

    let (task, stats) = screen.task(1).unwrap();
    assert_eq!(field(&task.fields, "task.name").unwrap(), "accept loop");
    assert_eq!(field(&task.fields, "kind").unwrap(), "task");
    assert_eq!(field(&task.fields, "app").unwrap(), "orders");
    assert_eq!(field(&task.fields, "pid"), None, "there is one run");
    assert_eq!(task.location.as_ref().unwrap().to_string(), "src/main.rs:10:5");
    let of_polls = stats.poll_stats.unwrap();
    assert_eq!((of_polls.polls, of_polls.busy_time.unwrap().nanos), (2, 10_000_000));
    assert_eq!((stats.wakes, stats.self_wakes), (3, 3));
    assert_eq!(stats.scheduled_time.unwrap().nanos, 2_000_000);
    assert_eq!(stats.waker_clones - stats.waker_drops, 1, "nobody knows that it lost its waker");
    assert_eq!(screen.state(1), "idle");

    let (task, stats) = screen.task(2).unwrap();
    assert_eq!(
        (task.kind(), field(&task.fields, "kind").unwrap()),
        (Kind::Blocking, "blocking".into())
    );
    assert_eq!(task.parents[0].id, screen.task(1).unwrap().0.id.unwrap().id);
    assert_eq!((screen.state(2), stats.poll_stats.unwrap().polls), ("running", 1));

    let (task, stats) = screen.task(3).unwrap();
    assert_eq!(field(&task.fields, "user").unwrap(), "ada");
    assert_eq!(stats.waker_clones, 0, "nothing is left that could wake it");
    assert_eq!([screen.state(3), screen.state(4)], ["idle", "completed"]);

    let (resource, stats) = screen.resources.values().next().unwrap();
    let resources::resource::kind::Kind::Other(kind) = resource.kind.clone().unwrap().kind.unwrap()
    else {
        panic!("{resource:?}")
    };
    assert_eq!((resource.concrete_type.as_str(), kind.as_str()), ("mutex", "Sync"));
    assert_eq!(resource.location.as_ref().unwrap().line, Some(30));
    let told: Vec<_> =
        stats.attributes.iter().map(|it| it.field.as_ref().unwrap().to_string()).collect();
    assert_eq!(told, ["app=orders", "name=config", "locked=true", "waiters=1"]);
    let (op, stats) = screen.ops.values().next().unwrap();
    assert_eq!(op.source, "mutex::lock");
    assert_eq!(stats.task_id, screen.task(3).unwrap().0.id);
    assert!(stats.dropped_at.is_none());

    // What goes on is told, and only that.
    let events = vec![
        at(30, EventKind::WaitEnded { wait: WaitId(9), how: WaitHow::Ready }),
        at(31, EventKind::ResourceClosed { resource: ResourceId(5), how: CloseHow::Dropped }),
        at(32, ended(2)),
        at(33, spawned(5, 1)),
        at(34, ended(5)),
    ];
    let segments = vec![polls(0, &[(30, 1, 1)])];
    store.stored(Batch { events, segments, ..Batch::default() }).await;
    screen.until("a poll more", |screen| screen.polls(1) == 3).await;
    assert_eq!([screen.state(2), screen.state(5)], ["completed", "completed"]);
    let of_job = screen.task(2).unwrap().1.poll_stats.unwrap();
    assert_eq!((of_job.polls, of_job.busy_time.unwrap().nanos), (1, 29_000_000));
    assert!(screen.ops.values().all(|(_, stats)| stats.dropped_at.is_some()));
    assert!(screen.resources.values().all(|(_, stats)| stats.dropped_at.is_some()));
    served.stop().await;
    assert_eq!(screen.next().await, None, "the server's end is the stream's");
}

#[tokio::test]
async fn details_are_histograms_of_every_poll_and_wake() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the task is there", |screen| screen.task(1).is_some()).await;
    let id = screen.task(1).unwrap().0.id;
    let mut details =
        client.watch_task_details(TaskDetailsRequest { id }).await.unwrap().into_inner();
    let read =
        |bytes: &[u8]| -> Histogram<u64> { Deserializer::new().deserialize(&mut &*bytes).unwrap() };
    let first = timeout(LIMIT, details.message()).await.unwrap().unwrap().unwrap();
    let Some(PollTimesHistogram::Histogram(polls_told)) = first.poll_times_histogram else {
        panic!("no histogram")
    };
    let histogram = read(&polls_told.raw_histogram);
    assert_eq!((histogram.len(), polls_told.high_outliers), (2, 0));
    assert!(histogram.equivalent(histogram.max(), 6 * MS));
    assert!(histogram.equivalent(histogram.min(), 4 * MS));
    let scheduled = read(&first.scheduled_times_histogram.unwrap().raw_histogram);
    assert_eq!(scheduled.len(), 1);
    assert!(scheduled.equivalent(scheduled.max(), 2 * MS));

    // The last is that of its end.
    let segments = vec![polls(0, &[(40, 1, 1)])];
    store.stored(Batch { events: vec![at(50, ended(1))], segments, ..Batch::default() }).await;
    let mut last = None;
    while let Some(next) = timeout(LIMIT, details.message()).await.unwrap().unwrap() {
        last = next.poll_times_histogram;
    }
    let Some(PollTimesHistogram::Histogram(last)) = last else { panic!("nothing more") };
    assert_eq!(read(&last.raw_histogram).len(), 3);
    let nobody = TaskDetailsRequest { id: Some(Id { id: 1 }) };
    let refused = client.watch_task_details(nobody).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    served.stop().await;
}

#[tokio::test]
async fn a_pause_is_of_one_viewer_alone_who_then_sees_what_it_missed() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let (mut paused, mut other) = (served.connect().await, served.connect().await);
    let (mut of_paused, mut of_other) =
        (States::new(&mut paused).await, States::new(&mut other).await);
    assert_eq!(of_paused.next().await, Temporality::Live);
    assert_eq!(of_other.next().await, Temporality::Live);
    let mut still = Screen::new(&mut paused).await;
    let mut moving = Screen::new(&mut other).await;
    still.until("it sees the task", |screen| screen.polls(1) == 2).await;
    paused.pause(PauseRequest {}).await.unwrap();
    assert_eq!(of_paused.next().await, Temporality::Paused);

    let mut before = still.count;
    for round in 0..3 {
        let segments = vec![polls(0, &[(30 + round, 1, 1)])];
        store.stored(Batch { segments, ..Batch::default() }).await;
        moving.until("the other sees it", |screen| screen.polls(1) == 3 + round).await;
    }
    paused.resume(ResumeRequest {}).await.unwrap();
    assert_eq!(of_paused.next().await, Temporality::Live);
    // What was on its way when it paused may still come.
    while still.polls(1) == 2 {
        still.next().await.unwrap();
        before += usize::from(still.polls(1) == 2);
    }
    assert_eq!(still.polls(1), 5, "all three at once");
    assert!(still.count - before <= 1);
    // The other was never told of any pause.
    other.pause(PauseRequest {}).await.unwrap();
    assert_eq!(of_other.next().await, Temporality::Paused);
    served.stop().await;
}

#[tokio::test]
async fn details_come_at_once_also_while_paused() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut states = States::new(&mut client).await;
    assert_eq!(states.next().await, Temporality::Live);
    let mut screen = Screen::new(&mut client).await;
    screen.until("the task is there", |screen| screen.polls(1) == 2).await;
    client.pause(PauseRequest {}).await.unwrap();
    assert_eq!(states.next().await, Temporality::Paused);

    let id = screen.task(1).unwrap().0.id;
    let request = client.watch_task_details(TaskDetailsRequest { id });
    let details = timeout(LIMIT, request).await.expect("its client waits for the answer").unwrap();
    let mut details = details.into_inner();
    let first = timeout(LIMIT, details.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.task_id, id);
    assert!(first.poll_times_histogram.is_some());
    served.stop().await;
}

#[tokio::test]
async fn an_app_that_nobody_recorded_is_refused_and_those_there_are_named() {
    let store = Store::new().await;
    let served = Served::live_of(&store, Target::App("odrers".into()));
    let mut client = served.connect().await;
    let refused = client.watch_updates(InstrumentRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    assert_eq!(refused.message(), "no app called \"odrers\" was recorded; there are orders");
    served.stop().await;
    let served = Served::live_of(&store, Target::App("orders".into()));
    let mut client = served.connect().await;
    Screen::new(&mut client).await.next().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_wake_whose_poll_is_not_known_yet_does_not_make_a_task_wait_for_its_turn() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let wake = Span { start: Nanos(30 * MS), length: MS, task: TaskId(1), by: TaskId(3), count: 1 };
    let segments = vec![segment_of(RecordKind::Wake, 0, &[wake])];
    store.stored(Batch { segments, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the task is there", |screen| screen.task(1).is_some()).await;
    assert_eq!((screen.task(1).unwrap().1.wakes, screen.state(1)), (4, "idle"));
    served.stop().await;
}

/// Another run of the same app, with one task.
async fn second_run(store: &mut Store) -> loopd_store::ProcessKey {
    let run = Process { pid: 43, ..process(2) };
    let second = store.writer.begin_session(&run, 1).await.unwrap().process;
    second_does(store, second, 1, 60).await;
    second
}

/// Its task 77 is spawned, again and again.
async fn second_does(store: &mut Store, run: loopd_store::ProcessKey, seq: u64, ms: u64) {
    let events = vec![at(ms, spawned(76 + seq, 1))];
    let batch = Batch { seq, locations: locations(1), events, ..Batch::default() };
    store.writer.commit(vec![(run, batch)]).await.unwrap();
}

#[tokio::test]
async fn what_a_viewer_has_open_stays_as_it_is_when_a_second_run_comes() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the task is there", |screen| screen.task(1).is_some()).await;
    let before = screen.task(1).unwrap().0.clone();
    second_run(&mut store).await;
    screen.until("the other run is there", |screen| screen.task(77).is_some()).await;
    assert_eq!(screen.task(1).unwrap().0, before);
    assert_eq!(field(&screen.task(77).unwrap().0.fields, "pid").unwrap(), "43");
    served.stop().await;
}

#[tokio::test]
async fn what_was_lost_and_comes_back_is_told_as_new() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let second = second_run(&mut store).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen
        .until("both are there", |screen| screen.task(1).is_some() && screen.task(77).is_some())
        .await;
    let lost_at = UnixNanos(ORIGIN + (100 * MS) as i64);
    store.writer.end_session(store.process, How::Lost, lost_at).await.unwrap();
    screen.until("it is gone", |screen| screen.state(1) == "completed").await;
    assert_eq!(screen.polls(1), 2, "what it did is still told");
    let ended_at = screen.task(1).unwrap().1.dropped_at.unwrap();
    assert_eq!(ended_at.nanos as i64, lost_at.0 % S as i64, "when its program did");
    // Some seconds later, of which the other run tells.
    second_does(&mut store, second, 2, 20_000).await;
    screen.until("time went on", |screen| screen.task(78).is_some()).await;
    second_does(&mut store, second, 3, 21_000).await;
    screen.until("it is forgotten", |screen| screen.task(1).is_none()).await;
    store.writer.begin_session(&process(1), 1).await.unwrap();
    let segments = vec![polls(0, &[(21_000, 1, 1)])];
    store.stored(Batch { segments, ..Batch::default() }).await;
    screen.until("it is back", |screen| screen.state(1) == "idle").await;
    assert_eq!(screen.polls(1), 3);
    served.stop().await;
}

#[tokio::test]
async fn a_program_that_ended_during_a_break_does_not_stay_on_the_screen() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the tasks are there", |screen| screen.tasks.len() == 4).await;
    served.stop().await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = UnixNanos(i64::try_from(now.as_nanos()).unwrap());
    store.writer.end_session(store.process, How::Lost, now).await.unwrap();

    let served = Served::live(&store);
    let mut client = served.connect().await;
    screen.reconnect(&mut client).await;
    let all_ended = |screen: &Screen| {
        screen.tasks.values().all(|(_, stats)| stats.dropped_at.is_some())
            && screen.resources.values().all(|(_, stats)| stats.dropped_at.is_some())
            && screen.ops.values().all(|(_, stats)| stats.dropped_at.is_some())
    };
    screen.until("all of it ended", all_ended).await;
    served.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_ids_and_tells_what_ended_meanwhile() {
    let mut store = Store::new().await;
    store.stored(first()).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    let mut screen = Screen::new(&mut client).await;
    screen.until("the tasks are there", |screen| screen.tasks.len() == 4).await;
    let before = screen.task(1).unwrap().0.clone();
    served.stop().await;

    let mut store = store.reopen(true).await;
    // It ended half a minute before the newest that is known.
    let segments = vec![polls(0, &[(30_000, 1, 1)])];
    store.stored(Batch { events: vec![at(60, ended(3))], segments, ..Batch::default() }).await;
    let served = Served::live(&store);
    let mut client = served.connect().await;
    screen.reconnect(&mut client).await;
    screen.until("they are there again", |screen| screen.polls(1) == 3).await;
    assert_eq!(screen.task(1).unwrap().0, before);
    assert_eq!(screen.state(3), "completed", "nothing stays on the screen that ended meanwhile");
    served.stop().await;
}
