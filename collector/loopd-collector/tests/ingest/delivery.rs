//! Every batch once, in order, acked after it is stored.

use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::{MAX_BATCH_BYTES, pb};
use tonic::Code;

use crate::agent::{Agent, batch, malformed};
use crate::server::{self, Server};
use crate::wait_until;

const TASKS: &str = "SELECT count(*) FROM task";

#[tokio::test]
async fn an_acked_batch_is_in_the_database() {
    let server = Server::start().await;
    let (mut agent, durable_seq) = Agent::welcomed(server.addr, 1).await;
    assert_eq!(durable_seq, 0);
    for seq in 1..=3 {
        agent.send(batch(seq)).await;
        agent.acked(seq).await;
        assert_eq!(server.number(TASKS), seq as i64);
    }
    agent.say(Said::Goodbye(pb::Goodbye::default())).await;
    assert_eq!(agent.end().await, (Ok(()), 0));
    assert_eq!(server.number("SELECT count(*) FROM processes WHERE state = 'ended'"), 1);
    let status = server.collector.status();
    assert_eq!((status.batches, status.events, status.goodbyes), (3, 3, 1));
    wait_until("the session is over", || server.collector.status().sessions == 0).await;
    assert_eq!(server.collector.status().queued_bytes, 0);
}

#[tokio::test]
async fn a_batch_sent_twice_is_stored_once_and_acked_again() {
    let server = Server::start().await;
    let (mut agent, _) = Agent::welcomed(server.addr, 1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
    // In one group, too.
    for seq in [2, 2, 3, 2, 3] {
        agent.send(batch(seq)).await;
    }
    agent.acked(3).await;
    assert_eq!(server.number(TASKS), 3);
    wait_until("all are counted", || server.collector.status().duplicates == 4).await;
}

#[tokio::test]
async fn a_gap_ends_the_stream_naming_both_numbers_and_loses_nothing() {
    let server = Server::start().await;
    let (agent, _) = Agent::welcomed(server.addr, 1).await;
    agent.send(batch(1)).await;
    agent.send(batch(4)).await;
    agent.send(batch(5)).await;
    let (end, durable_seq) = agent.end().await;
    let reason = "batch 2 is missing, batch 4 came".to_owned();
    assert_eq!(end, Err((Code::FailedPrecondition, reason)));
    assert_eq!(durable_seq, 1);
    let (mut agent, durable_seq) = Agent::welcomed(server.addr, 1).await;
    assert_eq!(durable_seq, 1);
    agent.send(batch(2)).await;
    agent.acked(2).await;
    assert_eq!(server.collector.status().gaps, 1);
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_refused_and_the_session_goes_on() {
    let server = Server::start().await;
    let (mut agent, _) = Agent::welcomed(server.addr, 1).await;
    for batch in [batch(1), malformed(2), batch(3), batch(4)] {
        agent.send(batch).await;
    }
    let refused = agent.refused().await;
    assert_eq!((refused.seq, refused.reason.as_str()), (2, "names[0].id is missing"));
    for seq in 2..=4 {
        agent.send(batch(seq)).await;
    }
    agent.acked(4).await;
    assert_eq!(server.number(TASKS), 4);
    let status = server.collector.status();
    assert_eq!((status.refused, status.set_aside, status.gaps), (1, 2, 0));
}

#[tokio::test]
async fn a_malformed_batch_of_one_agent_does_not_touch_another() {
    let server = Server::start().await;
    let (mut good, _) = Agent::welcomed(server.addr, 1).await;
    let (mut bad, _) = Agent::welcomed(server.addr, 2).await;
    for seq in 1..=20 {
        good.send(batch(seq)).await;
        bad.send(malformed(1)).await;
    }
    good.acked(20).await;
    assert_eq!(bad.refused().await.seq, 1);
    assert_eq!(server.number(TASKS), 20);
}

#[tokio::test]
async fn a_batch_that_is_somewhat_too_long_is_refused_by_its_number() {
    let server = Server::start().await;
    let (mut agent, _) = Agent::welcomed(server.addr, 1).await;
    let long = |bytes: usize| pb::Batch {
        names: vec![pb::Name { id: 1, text: "x".repeat(bytes) }],
        ..batch(1)
    };
    agent.send(long(MAX_BATCH_BYTES)).await;
    let reason = agent.refused().await.reason;
    assert!(reason.ends_with("the limit is 1048576"), "{reason}");
    agent.send(long(3 * MAX_BATCH_BYTES)).await;
    let (end, _) = agent.end().await;
    assert_eq!(end, Err((Code::InvalidArgument, "a message is longer than 2097152 bytes".into())));
}

#[tokio::test]
async fn many_agents_at_once_lose_nothing() {
    const AGENTS: u8 = 8;
    const BATCHES: u64 = 40;
    let server = Server::start().await;
    let mut running = tokio::task::JoinSet::new();
    for n in 1..=AGENTS {
        let addr = server.addr;
        running.spawn(async move {
            let (mut agent, _) = Agent::welcomed(addr, n).await;
            for seq in 1..=BATCHES {
                agent.send(batch(seq)).await;
            }
            agent.acked(BATCHES).await;
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let status = server.collector.status();
    assert_eq!(status.batches, u64::from(AGENTS) * BATCHES);
    assert!(status.commits < status.batches / 2, "{} commits", status.commits);
    let dir = server.stop().await;
    assert_eq!(server::number(&dir, TASKS), i64::from(AGENTS) * BATCHES as i64);
}

#[tokio::test]
async fn stopping_commits_and_acks_what_was_received() {
    let server = Server::start().await;
    let (agent, _) = Agent::welcomed(server.addr, 1).await;
    for seq in 1..=10 {
        agent.send(batch(seq)).await;
    }
    wait_until("the first is on its way", || {
        let status = server.collector.status();
        status.queued_bytes > 0 || status.batches > 0
    })
    .await;
    let dir = server.stop().await;
    let (end, acked) = agent.end().await;
    assert_eq!(end.unwrap_err().0, Code::Unavailable);
    assert!(acked > 0);
    assert_eq!(server::number(&dir, TASKS), acked as i64);
}
