//! Where tasks wait: an agent is asked through the real binary, and what it says is printed.

use std::time::SystemTime;

use loopd_model::{
    Anchor, Batch, DumpId, Event, EventKind, Frame, Location, LocationId, LoopId, Name, NameId,
    Nanos, ResourceId, Stack, StackId, TaskId, TaskKind, UnixNanos,
};
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;
use tempfile::{TempDir, tempdir};

use crate::agent::{Agent, hello};
use crate::binary::{Loopd, db};
use crate::read_commands::{Run, loopd};

const SECOND: u64 = 1_000_000_000;

fn anchor(at: Nanos) -> Anchor {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Anchor { at, unix: UnixNanos(now.as_nanos() as i64) }
}

fn frame(function: &str, line: u32) -> Frame {
    Frame { function: function.into(), file: "shop/app.py".into(), line, address: 0 }
}

/// A lock, and three tasks, of which the first has a name.
fn tasks() -> pb::Batch {
    let spawned = |task, line| EventKind::TaskSpawned {
        task: TaskId(task),
        loop_id: LoopId(1),
        spawn_location: LocationId(line),
        parent: TaskId::NONE,
        kind: TaskKind::Async,
    };
    let opened = EventKind::ResourceOpened {
        resource: ResourceId(5),
        kind: "lock".into(),
        name: "stock".into(),
        open_location: LocationId(1),
        task: TaskId::NONE,
        stack: StackId::NONE,
    };
    let named = EventKind::TaskNamed { task: TaskId(11), name: NameId(1) };
    let kinds = [opened, spawned(11, 1), named, spawned(12, 2), spawned(13, 2)];
    let place =
        |id| Location { id: LocationId(id), file: "shop/app.py".into(), line: 7, column: 0 };
    loopd_wire::encode_batch(Batch {
        seq: 1,
        anchor: anchor(Nanos(SECOND)),
        names: vec![Name { id: NameId(1), text: "checkout\u{1b}[31m".into() }],
        locations: vec![place(1), place(2)],
        events: kinds.map(|kind| Event { at: Nanos(SECOND), kind }).to_vec(),
        ..Batch::default()
    })
}

/// The first awaits both others, of which one is in the lock and the other awaits the first.
fn answer(dump: DumpId) -> Vec<pb::Batch> {
    let at = Nanos(3 * SECOND);
    let dumped = |task, stack, awaits: &str, other, resource| EventKind::TaskDumped {
        dump,
        task: TaskId(task),
        stack: StackId(stack),
        awaits: awaits.into(),
        awaits_task: TaskId(other),
        resource: ResourceId(resource),
    };
    let first = [
        dumped(11, 1, "Future", 12, 0),
        dumped(11, 1, "Future", 13, 0),
        dumped(12, 2, "Lock", 0, 5),
    ];
    let ended = EventKind::DumpEnded { dump, tasks: 4, left_out: 1, reason: String::new() };
    let rest = [dumped(13, 0, "Task", 11, 0), ended];
    let batch = |seq, kinds: &[EventKind]| {
        let events = kinds.iter().map(|kind| Event { at, kind: kind.clone() }).collect();
        Batch { seq, anchor: anchor(at), events, ..Batch::default() }
    };
    let stacks = vec![
        Stack { id: StackId(1), frames: vec![frame("TaskGroup.__aexit__", 72), frame("main", 13)] },
        Stack { id: StackId(2), frames: vec![frame("reserve", 40)] },
    ];
    let first = Batch { stacks, ..batch(2, &first) };
    [first, batch(3, &rest)].map(loopd_wire::encode_batch).to_vec()
}

/// A server with an agent that has told of its tasks.
async fn with_agent(dir: &TempDir) -> (Loopd, String, Agent) {
    let server = Loopd::start(dir);
    let mut agent = Agent::connect(server.addr).await;
    agent.say(Said::Hello(hello(1))).await;
    agent.welcome().await;
    agent.send(tasks()).await;
    agent.acked(1).await;
    let url = format!("http://{}", server.addr);
    (server, url, agent)
}

/// Runs the command while the agent is asked once, and answers with these batches.
async fn awaits(
    url: &str,
    flags: &[&'static str],
    agent: &mut Agent,
    answer: impl FnOnce(DumpId) -> Vec<pb::Batch>,
) -> Run {
    let args = [&["awaits", "--url"][..], flags].concat();
    let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    args.insert(2, url.to_owned());
    let command = tokio::task::spawn_blocking(move || {
        loopd(&args.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let Some(Heard::DumpTasks(asked)) = agent.hear().await.unwrap() else { panic!("not asked") };
    for batch in answer(DumpId(asked.dump_id)) {
        let seq = batch.seq;
        agent.send(batch).await;
        agent.acked(seq).await;
    }
    command.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_where_its_tasks_wait_and_the_tree_is_printed() {
    let dir = tempdir().unwrap();
    let (server, url, mut agent) = with_agent(&dir).await;
    let run = awaits(&url, &["app-1"], &mut agent, answer).await;
    let (head, tree) = run.out.split_once('\n').unwrap();
    assert!(head.starts_with("app-1, process 1, ") && head.ends_with(": 4 tasks"), "{run:?}");
    let expected = "
checkout  task 11  2.00 s old  from shop/app.py:7
│ main  shop/app.py:13
│ TaskGroup.__aexit__  shop/app.py:72
│ awaits Future
├─ task 12  2.00 s old  from shop/app.py:7
│    reserve  shop/app.py:40
│    awaits Lock, lock stock (resource 5)
└─ task 13  2.00 s old  from shop/app.py:7
   │ awaits Task
   └─ checkout  task 11  is above: it awaits itself in the end
";
    assert_eq!(tree, expected, "{run:?}");
    assert_eq!(run.err, "warning: 1 of the 4 tasks of app-1 were left out\n");
    assert_eq!(run.code, 4, "the data is incomplete");

    // The same again from the store, over HTTP and from the file, and nobody is asked.
    let last = loopd(&["awaits", "--last", "--url", &url]);
    assert_eq!((&last.out, last.code), (&run.out, 4));
    let file = db(&dir);
    let from_file = loopd(&["awaits", "--last", "--db", file.to_str().unwrap()]);
    assert_eq!((&from_file.out, from_file.code), (&run.out, 4), "{from_file:?}");
    let json = loopd(&["awaits", "--last", "--json", "--url", &url]).json();
    assert_eq!(json.len(), 1);
    assert_eq!((&json[0]["dump"], &json[0]["left_out"]), (&"1".into(), &1.into()));
    assert_eq!(json[0]["lines"].as_array().unwrap().len(), 4);
    assert_eq!(json[0]["lines"][1]["wait"]["frames"][0]["function"], "reserve");
    let sql = "SELECT task, awaits FROM task_dumps WHERE awaits_task IS NULL";
    let query = loopd(&["query", "--format", "csv", "--url", &url, sql]);
    assert_eq!(query.out.replace('\r', ""), "task,awaits\n12,Lock\n", "{query:?}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_tell_or_is_not_there_is_said_to() {
    let dir = tempdir().unwrap();
    let (_server, url, mut agent) = with_agent(&dir).await;
    let run = loopd(&["awaits", "--last", "--url", &url]);
    assert_eq!((run.out.as_str(), run.code), ("", 1), "{run:?}");
    assert!(run.err.contains("nobody has asked yet where the tasks of process 1 wait"), "{run:?}");

    let cannot = |dump| {
        let reason = "no frames are kept here".to_owned();
        let kind = EventKind::DumpEnded { dump, tasks: 0, left_out: 0, reason };
        let at = Nanos(2 * SECOND);
        let events = vec![Event { at, kind }];
        let batch = Batch { seq: 2, anchor: anchor(at), events, ..Batch::default() };
        vec![loopd_wire::encode_batch(batch)]
    };
    let run = awaits(&url, &[], &mut agent, cannot).await;
    assert_eq!((run.out.as_str(), run.code), ("", 1), "{run:?}");
    assert_eq!(run.err, "warning: app-1: no frames are kept here\n");

    let file = db(&dir);
    let run = loopd(&["awaits", "--db", file.to_str().unwrap()]);
    assert_eq!((run.out.as_str(), run.code), ("", 2), "{run:?}");
    assert!(run.err.contains("a database file has no programs to ask"), "{run:?}");
    assert!(run.err.starts_with("note: --last shows what a program said last\n"), "{run:?}");

    agent.say(Said::Goodbye(pb::Goodbye::default())).await;
    assert_eq!(agent.end().await.0, Ok(()));
    let run = loopd(&["awaits", "--url", &url]);
    assert_eq!((run.out.as_str(), run.code), ("", 1), "{run:?}");
    assert!(run.err.contains("process 1 has ended, and none of its tasks waits"), "{run:?}");
}
