//! Agents are asked where every task waits, and what they answer is stored.

use loopd_collector::DumpError;
use loopd_model::{
    Anchor, Batch, DumpId, Event, EventKind, Frame, Nanos, ResourceId, Stack, StackId, TaskId,
    UnixNanos,
};
use loopd_store::ProcessKey;
use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind as Heard;

use crate::agent::{Agent, batch};
use crate::server::Server;

async fn asked(agent: &mut Agent) -> DumpId {
    match agent.hear().await.unwrap() {
        Some(Heard::DumpTasks(asked)) => DumpId(asked.dump_id),
        other => panic!("not asked for a dump but {other:?}"),
    }
}

/// One task that waits, and the end.
fn answer(seq: u64, dump: DumpId) -> pb::Batch {
    let at = Nanos(seq * 1_000_000);
    let frame = Frame { function: "main".into(), file: "app.py".into(), line: 12, address: 0 };
    let dumped = EventKind::TaskDumped {
        dump,
        task: TaskId(1),
        stack: StackId(1),
        awaits: "sleep".into(),
        awaits_task: TaskId::NONE,
        resource: ResourceId::NONE,
    };
    let ended = EventKind::DumpEnded { dump, tasks: 1, left_out: 0, reason: String::new() };
    let anchor = Anchor { at, unix: UnixNanos(1_700_000_000_000_000_000).at(at) };
    let events = [dumped, ended].map(|kind| Event { at, kind }).to_vec();
    let stacks = vec![Stack { id: StackId(1), frames: vec![frame] }];
    loopd_wire::encode_batch(Batch { seq, anchor, stacks, events, ..Batch::default() })
}

#[tokio::test]
async fn an_agent_is_asked_and_its_answer_is_stored_before_it_is_acked() {
    let server = Server::start().await;
    let (mut one, _) = Agent::welcomed(server.addr, 1).await;
    let (mut two, _) = Agent::welcomed(server.addr, 2).await;
    let process = "SELECT process FROM processes WHERE app = 'app-1'";
    let process = ProcessKey(server.number(process));
    for n in 1..=2 {
        let dump = server.collector.dump_tasks(process).await.unwrap();
        assert_eq!((asked(&mut one).await, dump), (DumpId(n), DumpId(n)));
        let ended = format!("SELECT count(*) FROM task_dump WHERE dump = {n} AND ended_at > 0");
        assert_eq!(server.number(&ended), 0);
        one.send(answer(n, dump)).await;
        one.acked(n).await;
        assert_eq!(server.number(&ended), 1);
    }
    let dumped = "SELECT count(*) FROM task_dumps WHERE awaits = 'sleep' AND process =";
    assert_eq!(server.number(&format!("{dumped} {}", process.0)), 2);
    // Had the other been asked, it would have heard that before this ack.
    two.send(batch(1)).await;
    two.acked(1).await;
}

#[tokio::test]
async fn nobody_can_be_asked_who_is_not_connected() {
    let server = Server::start().await;
    let (agent, _) = Agent::welcomed(server.addr, 1).await;
    drop(agent);
    let is_away = || async {
        let refused = server.collector.dump_tasks(ProcessKey(1)).await;
        matches!(refused, Err(DumpError::NotConnected { process: 1 }))
    };
    let deadline = tokio::time::Instant::now() + crate::LIMIT;
    while !is_away().await {
        assert!(tokio::time::Instant::now() < deadline, "never away");
        tokio::task::yield_now().await;
    }
    let refused = server.collector.dump_tasks(ProcessKey(9)).await.unwrap_err();
    let sentence = "process 9 is not connected, so that nobody can say where its tasks wait";
    assert_eq!(refused.to_string(), sentence);
}

#[tokio::test]
async fn an_agent_that_comes_back_is_not_asked_for_what_is_past() {
    let server = Server::start().await;
    let (one, _) = Agent::welcomed(server.addr, 1).await;
    let first = server.collector.dump_tasks(ProcessKey(1)).await.unwrap();
    drop(one);
    let (mut one, _) = Agent::welcomed(server.addr, 1).await;
    let second = server.collector.dump_tasks(ProcessKey(1)).await.unwrap();
    assert_eq!((first, second), (DumpId(1), DumpId(2)));
    assert_eq!(asked(&mut one).await, second);
}
