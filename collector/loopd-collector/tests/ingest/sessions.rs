//! How streams begin, end, and follow one another.

use std::sync::Arc;
use std::time::Duration;

use loopd_collector::CollectorConfig;
use loopd_store::ProcessKey;
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use tonic::Code;

use crate::agent::{Agent, batch, hello};
use crate::server::Server;
use crate::wait_until;

const LOST: &str = "SELECT count(*) FROM processes WHERE state = 'lost'";

async fn check_refused(said: Said, code: Code, reason: &str) {
    let server = Server::start().await;
    let agent = Agent::connect(server.addr).await;
    agent.say(said).await;
    assert_eq!(agent.end().await, (Err((code, reason.into())), 0));
    assert_eq!(server.number("SELECT count(*) FROM processes"), 0);
}

#[tokio::test]
async fn a_batch_before_the_hello_is_refused() {
    let reason = "the first message must be a hello";
    check_refused(Said::Batch(batch(1)), Code::FailedPrecondition, reason).await;
}

#[tokio::test]
async fn another_version_is_told_which_is_known() {
    let hello = pb::Hello { protocol: 9, ..hello(1) };
    let reason = "protocol version 9 is not known here, only 1";
    check_refused(Said::Hello(hello), Code::FailedPrecondition, reason).await;
}

#[tokio::test]
async fn a_hello_that_cannot_be_read_is_refused() {
    let hello = pb::Hello { first_seq: 0, ..hello(1) };
    check_refused(Said::Hello(hello), Code::InvalidArgument, "hello: first_seq is missing").await;
}

#[tokio::test]
async fn a_second_hello_ends_the_stream() {
    let server = Server::start().await;
    let (agent, _) = Agent::welcomed(server.addr, 1).await;
    agent.say(Said::Hello(hello(1))).await;
    let (end, _) = agent.end().await;
    assert_eq!(end, Err((Code::FailedPrecondition, "a second hello on one stream".into())));
}

#[tokio::test]
async fn a_newer_stream_of_a_process_takes_over() {
    let server = Server::start().await;
    let (mut older, _) = Agent::welcomed(server.addr, 1).await;
    older.send(batch(1)).await;
    older.acked(1).await;
    let (mut newer, durable_seq) = Agent::welcomed(server.addr, 1).await;
    assert_eq!(durable_seq, 1);
    older.send(batch(2)).await;
    let (end, _) = older.end().await;
    assert_eq!(end.unwrap_err().0, Code::Aborted);
    newer.send(batch(2)).await;
    newer.acked(2).await;
    assert_eq!(server.number("SELECT count(*) FROM processes WHERE state = 'live'"), 1);
}

fn short_grace() -> CollectorConfig {
    CollectorConfig { grace: Duration::from_millis(50), ..CollectorConfig::default() }
}

#[tokio::test]
async fn a_process_whose_stream_breaks_is_lost_until_it_comes_back() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let server = Server::start_in(dir, short_grace()).await;
    let (mut agent, _) = Agent::welcomed(server.addr, 1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
    drop(agent);
    wait_until("the process is lost", || server.number(LOST) == 1).await;
    let (_agent, durable_seq) = Agent::welcomed(server.addr, 1).await;
    assert_eq!((durable_seq, server.number(LOST)), (1, 0));
}

#[tokio::test]
async fn a_process_that_does_not_come_back_after_a_restart_is_lost() {
    let server = Server::start().await;
    let (_agent, _) = Agent::welcomed(server.addr, 1).await;
    let process = ProcessKey(server.number("SELECT process FROM processes"));
    let dir = server.stop().await;
    let config = CollectorConfig { live_before: vec![process], ..short_grace() };
    let server = Server::start_in(dir, config).await;
    wait_until("the process is lost", || server.number(LOST) == 1).await;
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_refused() {
    let config = CollectorConfig { max_sessions: 1, ..CollectorConfig::default() };
    let server = Server::start_in(Arc::new(tempfile::tempdir().unwrap()), config).await;
    let (first, _) = Agent::welcomed(server.addr, 1).await;
    let status = Agent::try_connect(server.addr).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(first);
    wait_until("there is room", || server.collector.status().sessions == 0).await;
    Agent::welcomed(server.addr, 2).await;
}
