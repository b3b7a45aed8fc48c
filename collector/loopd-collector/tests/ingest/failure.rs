//! A store that takes no writes: nothing is acked, everybody is told, and it passes by itself.

use tonic::Code;

use loopd_wire::pb::agent_message::Kind as Said;

use crate::agent::{Agent, batch, hello};
use crate::server::Server;
use crate::wait_until;

/// Makes every write to `table` fail, as a full disk would.
fn break_writes(server: &Server, table: &str) {
    let sql = format!(
        "CREATE TRIGGER broken BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'no space'); END"
    );
    server.sql().execute_batch(&sql).unwrap();
}

fn mend_writes(server: &Server) {
    server.sql().execute_batch("DROP TRIGGER broken").unwrap();
}

#[tokio::test]
async fn what_was_not_stored_is_not_acked_and_is_stored_later() {
    let server = Server::start().await;
    let (mut agent, _) = Agent::welcomed(server.addr, 1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
    break_writes(&server, "process");
    agent.send(batch(2)).await;
    let (end, acked) = agent.end().await;
    let (code, reason) = end.unwrap_err();
    assert_eq!((code, acked), (Code::Unavailable, 0));
    assert!(reason.contains("no space"), "{reason}");
    let failure = server.collector.status().failure.expect("visible to readyz");
    assert!(failure.reason.contains("no space"));

    // Still broken: a new session is told at once.
    let agent = Agent::connect(server.addr).await;
    agent.say(Said::Hello(hello(1))).await;
    assert_eq!(agent.end().await.0.unwrap_err().0, Code::Unavailable);

    mend_writes(&server);
    let mut agent = welcomed_in_the_end(&server).await;
    agent.send(batch(2)).await;
    agent.acked(2).await;
    assert_eq!(server.number("SELECT count(*) FROM task"), 2);
    assert_eq!(server.collector.status().failure, None);
}

/// Tries again like a real agent, until the collector does too.
async fn welcomed_in_the_end(server: &Server) -> Agent {
    let deadline = tokio::time::Instant::now() + crate::LIMIT;
    loop {
        let agent = Agent::connect(server.addr).await;
        agent.say(Said::Hello(hello(1))).await;
        match agent.maybe_welcome().await {
            Some(agent) => return agent,
            None => assert!(tokio::time::Instant::now() < deadline, "never welcomed again"),
        }
    }
}

#[tokio::test]
async fn a_failed_commit_of_one_agent_leaves_those_who_sent_nothing_alone() {
    let server = Server::start().await;
    let (quiet, _) = Agent::welcomed(server.addr, 2).await;
    let (agent, _) = Agent::welcomed(server.addr, 1).await;
    break_writes(&server, "process");
    agent.send(batch(1)).await;
    assert_eq!(agent.end().await.0.unwrap_err().0, Code::Unavailable);
    mend_writes(&server);
    let mut quiet = quiet;
    quiet.send(batch(1)).await;
    quiet.acked(1).await;
    wait_until("it is well again", || server.collector.status().failure.is_none()).await;
}
