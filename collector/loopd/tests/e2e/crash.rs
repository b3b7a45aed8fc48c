//! `kill -9` while agents send: what was acked is there, once.

use std::collections::BTreeMap;

use loopd_wire::pb::collector_message::Kind as Heard;
use tempfile::tempdir;

use crate::agent::{Agent, batch};
use crate::binary::{Loopd, db};

/// So often the collector is killed.
const ROUNDS: u32 = 12;
/// After about so many commits more.
const COMMITS: i64 = 150;
const AGENTS: u8 = 3;
/// Batches on their way at most.
const WINDOW: u64 = 200;

/// Sends from where the collector says it is, as fast as it takes them, up to batch `last` or the
/// collector's death. Gives the highest number acked.
async fn deliver(addr: std::net::SocketAddr, n: u8, last: impl Fn(u64) -> u64) -> u64 {
    let (mut agent, durable_seq) = Agent::welcomed(addr, n).await;
    let last = last(durable_seq);
    let (mut sent, mut acked) = (durable_seq, durable_seq);
    while acked < last {
        while sent < last && sent - acked < WINDOW {
            sent += 1;
            agent.send(batch(sent)).await;
        }
        match agent.hear().await {
            Ok(Some(Heard::Ack(ack))) => acked = ack.durable_seq,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    acked
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_no_acked_batch_is_missing_and_none_is_doubled() {
    let dir = tempdir().unwrap();
    let start =
        || Loopd::start_with(&dir, &["--listen", "127.0.0.1:0", "--retain-age", "off"], &[]);
    let mut acked: BTreeMap<u8, u64> = BTreeMap::new();
    for _ in 0..ROUNDS {
        // What was acked says too little: a session that is killed early may not have heard of it.
        let before: i64 = durable(&db(&dir)).values().sum();
        let mut loopd = start();
        // Without an end, so that the kill is in the middle of it however late it comes.
        let endless = |_: u64| u64::MAX;
        let sessions: Vec<_> =
            (1..=AGENTS).map(|n| tokio::spawn(deliver(loopd.addr, n, endless))).collect();
        let watched = db(&dir);
        tokio::task::block_in_place(|| {
            crate::wait_until("a few commits", crate::LIMIT, || {
                durable(&watched).values().sum::<i64>() > before + COMMITS
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
    }
    // Each goes on to its end as if nothing had been.
    let loopd = start();
    for n in 1..=AGENTS {
        deliver(loopd.addr, n, |durable_seq| durable_seq + 10).await;
    }
    let on_disk = durable(&db(&dir));
    assert_eq!(on_disk.len(), usize::from(AGENTS));
    let sql = rusqlite::Connection::open(db(&dir)).unwrap();
    let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    for (app, &stored) in &on_disk {
        let ledger = format!(
            "SELECT stored FROM ledger JOIN processes USING (process)
             WHERE app = '{app}' AND kind = 'task'"
        );
        assert_eq!(one(&ledger), stored, "{app}");
    }
    let all: i64 = on_disk.values().sum();
    assert!(all > COMMITS * i64::from(ROUNDS), "{on_disk:?}");
    assert_eq!(one("SELECT count(*) FROM task"), all);
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
