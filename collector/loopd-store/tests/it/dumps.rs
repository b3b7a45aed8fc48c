//! Where tasks waited when somebody asked.

use crate::support::*;
use loopd_model::*;
use loopd_store::{Dump, Retention};

/// Two coroutines deep; the names are those of the stack's id.
fn stack(id: u64) -> Stack {
    let frame = |function: &str, line| Frame {
        function: format!("{function}{id}"),
        file: "app.py".into(),
        line,
        address: 0,
    };
    Stack { id: StackId(id), frames: vec![frame("fetch", 40), frame("main", 12)] }
}

fn dumped(dump: DumpId, task: u64, awaits: &str, awaits_task: u64, resource: u64) -> EventKind {
    EventKind::TaskDumped {
        dump,
        task: TaskId(task),
        stack: StackId(task % 10),
        awaits: awaits.into(),
        awaits_task: TaskId(awaits_task),
        resource: ResourceId(resource),
    }
}

fn ended(dump: DumpId, tasks: u64, left_out: u64, reason: &str) -> EventKind {
    EventKind::DumpEnded { dump, tasks, left_out, reason: reason.into() }
}

impl Store {
    async fn begin_dump(&mut self, ms: u64) -> DumpId {
        let now = UnixNanos(ORIGIN + (ms * MS) as i64);
        self.writer.begin_dump(self.process, now).await.unwrap()
    }

    async fn dump(&self, dump: Option<DumpId>) -> Option<Dump> {
        self.reader.dump(self.process, dump).await.unwrap()
    }

    async fn told(&mut self, ms: u64, kinds: Vec<EventKind>) {
        let events = kinds.into_iter().map(|kind| at(ms, kind)).collect();
        self.stored(Batch { events, ..Batch::default() }).await;
    }
}

async fn with_tasks() -> Store {
    let mut store = Store::new().await;
    let name = Name { id: NameId(1), text: "checkout".into() };
    let named = EventKind::TaskNamed { task: TaskId(11), name: NameId(1) };
    let opened = EventKind::ResourceOpened {
        resource: ResourceId(5),
        kind: "lock".into(),
        name: "db".into(),
        open_location: LocationId(1),
        task: TaskId::NONE,
        stack: StackId::NONE,
    };
    store
        .stored(Batch {
            names: vec![name],
            locations: locations(1),
            stacks: vec![stack(1), stack(2)],
            events: vec![at(1, spawned(11, 1)), at(2, named), at(3, spawned(12, 1)), at(4, opened)],
            ..Batch::default()
        })
        .await;
    store
}

/// The tasks of a dump, in short.
fn lines(dump: &Dump) -> Vec<String> {
    let line = |task: &loopd_store::DumpedTask| {
        let frames: Vec<_> = task.frames.iter().map(|frame| frame.function.as_str()).collect();
        let other = task.awaits_task.map_or(String::new(), |task| format!(" task {task}"));
        let resource = task.resource.map_or(String::new(), |id| {
            format!(" {} {} ({id})", task.resource_kind, task.resource_name)
        });
        let name = task.name.as_deref().unwrap_or("-");
        format!("{} {name} {frames:?} awaits {}{other}{resource}", task.task, task.awaits)
    };
    dump.tasks.iter().map(line).collect()
}

#[tokio::test]
async fn a_dump_is_what_the_agent_told_of_it_however_it_came() {
    let mut store = with_tasks().await;
    let dump = store.begin_dump(90).await;
    assert_eq!(dump, DumpId(1));
    assert!(store.dump(None).await.is_none(), "no dump has ended");
    let asked = store.reader.dump_head(store.process, dump).await.unwrap().unwrap();
    assert_eq!((asked.ended_at, asked.began_at.0), (None, ORIGIN + (90 * MS) as i64));

    store.told(100, vec![dumped(dump, 11, "Task", 12, 0), dumped(dump, 11, "Task", 13, 0)]).await;
    let mut store = store.reopen(true).await;
    store.told(101, vec![dumped(dump, 12, "Lock", 0, 5), dumped(dump, 13, "", 0, 0)]).await;
    store.told(102, vec![ended(dump, 5, 2, "")]).await;
    let whole = store.dump(None).await.unwrap();
    assert_eq!(
        lines(&whole),
        [
            r#"11 checkout ["fetch1", "main1"] awaits Task task 12"#,
            r#"11 checkout ["fetch1", "main1"] awaits Task task 13"#,
            r#"12 - ["fetch2", "main2"] awaits Lock lock db (5)"#,
            // Neither its spawn nor its stack was ever told of.
            "13 - [] awaits ",
        ]
    );
    let head = &whole.head;
    assert_eq!((head.tasks, head.left_out, head.reason.as_str()), (5, 2, ""));
    assert_eq!(head.ended_at, Some(UnixNanos(ORIGIN + (102 * MS) as i64)));
    let first = &whole.tasks[0];
    assert_eq!(first.spawned_at, Some(UnixNanos(ORIGIN + MS as i64)));
    assert_eq!(first.location.as_ref().unwrap().line, 10);
    let rows = store.sql(
        "SELECT dump, task, stack, awaits, awaits_task, resource, function FROM task_dumps
         JOIN frames USING (process, stack) WHERE depth = 0 ORDER BY 2, 5",
    );
    let expected = ["1 11 1 Task 12 - fetch1", "1 11 1 Task 13 - fetch1", "1 12 2 Lock - 5 fetch2"];
    assert_eq!(rows.await, expected);
}

#[tokio::test]
async fn a_task_in_a_dump_is_known_by_name_after_its_end() {
    let mut store = with_tasks().await;
    let dump = store.begin_dump(90).await;
    store.told(100, vec![dumped(dump, 11, "sleep", 0, 0), ended(dump, 1, 0, "")]).await;
    store.told(200, vec![crate::support::ended(11)]).await;
    let whole = store.dump(Some(dump)).await.unwrap();
    let task = &whole.tasks[0];
    assert_eq!(task.name.as_deref(), Some("checkout"));
    assert_eq!(task.ended_at, Some(UnixNanos(ORIGIN + (200 * MS) as i64)));
}

#[tokio::test]
async fn an_agent_that_cannot_tell_leaves_its_reason() {
    let mut store = with_tasks().await;
    let dump = store.begin_dump(90).await;
    // Its clock is behind ours.
    store.told(80, vec![ended(dump, 0, 0, "no idea")]).await;
    let whole = store.dump(None).await.unwrap();
    assert_eq!((whole.head.reason.as_str(), whole.tasks.len()), ("no idea", 0));
    assert_eq!(whole.head.ended_at, Some(whole.head.began_at));
}

#[tokio::test]
async fn what_nobody_asked_for_is_not_kept() {
    let mut store = with_tasks().await;
    let dump = store.begin_dump(90).await;
    let other = DumpId(77);
    store.told(100, vec![dumped(other, 11, "sleep", 0, 0), ended(other, 1, 0, "")]).await;
    assert!(store.dump(None).await.is_none() && store.dump(Some(other)).await.is_none());
    assert_eq!(store.dump(Some(dump)).await.unwrap().tasks.len(), 0);
    assert_eq!(store.sql("SELECT count(*) FROM task_dumps").await, ["0"]);
}

#[tokio::test]
async fn of_each_process_the_latest_dumps_are_kept() {
    let mut store = with_tasks().await;
    for ms in 100..150 {
        let dump = store.begin_dump(ms).await;
        store.told(ms, vec![dumped(dump, 11, "sleep", 0, 0), ended(dump, 1, 0, "")]).await;
    }
    let kept = store.sql("SELECT count(*), min(dump), max(dump) FROM task_dumps").await;
    assert_eq!(kept, ["20 31 50"]);
    let listed = store.reader.dumps(store.process).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|head| head.dump.0).collect();
    assert_eq!(ids, (31..=50).rev().collect::<Vec<_>>());
    assert!(listed.iter().all(|head| head.tasks == 1 && head.ended_at.is_some()));
}

#[tokio::test]
async fn old_dumps_go_and_no_number_is_given_twice() {
    let mut store = with_tasks().await;
    for ms in [100, 200] {
        let dump = store.begin_dump(ms).await;
        store.told(ms, vec![dumped(dump, 11, "sleep", 0, 0), ended(dump, 1, 0, "")]).await;
    }
    let age = Some(std::time::Duration::from_secs(60));
    let retention = Retention { max_age: age, ..KEEP_ALL };
    store.maintain_all(ORIGIN + (60 * S + 150 * MS) as i64, &retention).await;
    assert_eq!(store.sql("SELECT dump FROM task_dumps").await, ["2"]);
    store.maintain_all(ORIGIN + (61 * S) as i64, &retention).await;
    assert_eq!(store.sql("SELECT dump FROM task_dumps").await, [""; 0]);
    assert!(store.dump(Some(DumpId(1))).await.is_none());
    assert_eq!(store.begin_dump(70_000).await, DumpId(3));
}

#[tokio::test]
async fn there_is_no_dump_of_a_process_that_never_was() {
    let mut store = Store::new().await;
    let nobody = loopd_store::ProcessKey(99);
    let refused = store.writer.begin_dump(nobody, UnixNanos(5)).await.unwrap_err();
    assert!(matches!(refused, loopd_store::StoreError::NoSuchProcess { process: 99 }));
}
