//! `kill -9` while agents send: what was acked is there, once.

use std::collections::BTreeMap;

use loopd_wire::pb::collector_message::Kind as Heard;
use tempfile::tempdir;

use crate::agent::{Agent, batch};
use crate::binary::{Loopd, db};

/// Batches that each agent has to deliver, over all crashes.
const BATCHES: u64 = 600;
const AGENTS: u8 = 3;

/// Sends from where the collector says it is, as fast as it takes them, until told to stop by the
/// collector's death or the last ack. Gives the highest number acked.
async fn deliver(addr: std::net::SocketAddr, n: u8) -> u64 {
    let (mut agent, durable_seq) = Agent::welcomed(addr, n).await;
    for seq in durable_seq + 1..=BATCHES {
        agent.send(batch(seq)).await;
    }
    let mut acked = durable_seq;
    while acked < BATCHES
        && let Ok(Some(heard)) = agent.hear().await
    {
        if let Heard::Ack(ack) = heard {
            acked = ack.durable_seq;
        }
    }
    acked
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_no_acked_batch_is_missing_and_none_is_doubled() {
    let dir = tempdir().unwrap();
    let mut acked: BTreeMap<u8, u64> = BTreeMap::new();
    for round in 1.. {
        assert!(round < 100, "never delivered: {acked:?}");
        // What was acked says too little: a session that is killed early may not have heard of it.
        let before: i64 = durable(&db(&dir)).values().sum();
        let mut loopd = Loopd::start(&dir);
        let sessions: Vec<_> = (1..=AGENTS).map(|n| tokio::spawn(deliver(loopd.addr, n))).collect();
        // In the middle of it: after a few commits more than the last time.
        let watched = db(&dir);
        tokio::task::block_in_place(|| {
            crate::wait_until("a few commits", crate::LIMIT, || {
                let done = durable(&watched).values().sum::<i64>();
                done > before + 150 || done >= (BATCHES * u64::from(AGENTS)) as i64
            });
            loopd.signal("KILL");
            loopd.wait();
        });
        for (n, session) in (1..=AGENTS).zip(sessions) {
            // A session that was not welcomed before the crash has nothing to report.
            let Ok(seq) = session.await else { continue };
            let known = acked.entry(n).or_default();
            *known = (*known).max(seq);
        }
        let on_disk = durable(&db(&dir));
        for (n, seq) in &acked {
            let app = format!("app-{n}");
            assert!(on_disk[&app] >= *seq as i64, "{app}: {seq} acked, {on_disk:?} on disk");
        }
        if on_disk.len() == usize::from(AGENTS)
            && on_disk.values().all(|&seq| seq == BATCHES as i64)
        {
            assert!(round > 1, "never crashed in the middle");
            break;
        }
    }
    let sql = rusqlite::Connection::open(db(&dir)).unwrap();
    let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    let all = i64::from(AGENTS) * BATCHES as i64;
    assert_eq!(one("SELECT count(*) FROM task"), all);
    assert_eq!(one("SELECT stored FROM ledger WHERE kind = 'task' LIMIT 1"), BATCHES as i64);
    assert_eq!(one("SELECT batches FROM meta"), all);
    assert_eq!(one("SELECT events FROM meta"), all);
    let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// How many tasks of each app are stored: each batch holds one.
fn durable(path: &std::path::Path) -> BTreeMap<String, i64> {
    let read = || -> rusqlite::Result<BTreeMap<String, i64>> {
        let sql = rusqlite::Connection::open(path)?;
        let query = "SELECT p.app, count(t.task) FROM processes p LEFT JOIN task t USING (process)
            GROUP BY p.process";
        let mut statement = sql.prepare(query)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    read().unwrap_or_default()
}
