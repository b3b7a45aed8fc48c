//! What comes in is judged as it comes, and what is found is kept.

use loopd_model::{
    Anchor, Batch, Event, EventKind, LocationId, MarkLevel, Nanos, TaskId, UnixNanos,
};
use loopd_wire::pb::agent_message::Kind as Said;

use crate::agent::{Agent, hello};
use crate::server::Server;
use crate::wait_until;

/// A coroutine was never awaited.
fn complaint(seq: u64) -> loopd_wire::pb::Batch {
    let at = Nanos(seq * 1_000_000);
    let kind = EventKind::Mark {
        task: TaskId::NONE,
        level: MarkLevel::Error,
        target: "asyncio".into(),
        message: "coroutine 'pay' was never awaited".into(),
        fields: vec![("check".into(), "never_awaited".into())],
        location: LocationId::NONE,
    };
    let anchor = Anchor { at, unix: UnixNanos(1_700_000_000_000_000_000).at(at) };
    let events = vec![Event { at, kind }];
    loopd_wire::encode_batch(Batch { seq, anchor, events, ..Batch::default() })
}

const FOUND: &str = "SELECT count(*) FROM findings WHERE rule = 'never_awaited' AND process = 1";

#[tokio::test]
async fn what_is_found_in_new_data_is_kept_and_can_be_muted() {
    let server = Server::start().await;
    let judging = server.judge();
    let mut hello = hello(1);
    hello.process.as_mut().unwrap().agent = "loopd".into();
    let mut agent = Agent::connect(server.addr).await;
    agent.say(Said::Hello(hello)).await;
    agent.welcome().await;
    agent.send(complaint(1)).await;
    agent.acked(1).await;
    wait_until("it is found", || server.number(FOUND) == 1).await;

    let app = "SELECT app FROM processes WHERE process = 1";
    let app: String = server.sql().query_row(app, [], |row| row.get(0)).unwrap();
    let sql = "SELECT subject FROM findings WHERE rule = 'never_awaited'";
    let subject: String = server.sql().query_row(sql, [], |row| row.get(0)).unwrap();
    let mute = server.collector.mute_finding(
        app,
        "never_awaited".into(),
        subject,
        Some("a fire drill".into()),
    );
    mute.await.unwrap();
    let muted = format!("{FOUND} AND muted = 'a fire drill'");
    assert_eq!(server.number(&muted), 1);

    drop(agent);
    server.stop().await;
    judging.await.unwrap();
}
