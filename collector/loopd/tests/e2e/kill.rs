//! `kill -9` at any moment, again and again on one file, while agents send some of everything.

use std::time::{Duration, Instant, SystemTime};

use tempfile::tempdir;

use crate::binary::{Loopd, db};
use crate::load::Script;
use crate::recording::{check_integrity, stored_batches};
use crate::{LIMIT, wait_until};

const ROUNDS: u32 = 20;
/// Polls of one worker in one batch.
const POLLS: u64 = 150;
/// At least two agents send in each round.
const AGENTS: u8 = 3;
/// A kill comes after at most so many acks of its round.
const MAX_ACKS: u64 = 120;
/// And then after at most as long as a commit takes, to hit any part of one.
const MAX_DELAY_MICROS: u64 = 30_000;

/// Marsaglia's xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}

/// `LOOPD_SEED` repeats a run as far as a machine can.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let given = std::env::var("LOOPD_SEED").ok();
    given.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap())
}

fn acked(scripts: &[Script]) -> u64 {
    scripts.iter().map(Script::acked).sum()
}

/// Sends until the collector is gone, from where the collector says it is.
async fn send(script: Script, addr: std::net::SocketAddr, stored: u64) {
    // It may be killed before it welcomes anybody.
    let Ok((mut agent, durable_seq)) = script.connect(addr).await else { return };
    assert_eq!(durable_seq, stored, "{} is told to go on from elsewhere", script.app());
    let end = script.deliver(&mut agent, durable_seq, u64::MAX).await;
    assert!(end.is_err(), "the collector was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_acked_batch_and_double_none() {
    let began_at = Instant::now();
    let seed = seed();
    println!("LOOPD_SEED={seed}");
    let mut random = Random(seed | 1);
    let dir = tempdir().unwrap();
    let path = db(&dir);
    let source = ["--db", path.to_str().unwrap()];
    let scripts: Vec<Script> = (1..=AGENTS).map(|n| Script::new(n, POLLS)).collect();
    let start =
        || Loopd::start_with(&dir, &["--listen", "127.0.0.1:0", "--retain-age", "off"], &[]);
    let mut ahead = 0;
    for round in 1..=ROUNDS {
        let mut loopd = start();
        check_integrity(&path);
        let stored = stored_batches(source, &scripts);
        let known = acked(&scripts);
        ahead += u64::from(stored.values().sum::<u64>() > known);
        let senders = 2 + random.below(u64::from(AGENTS) - 1) as usize;
        let (first, target) = (random.below(3) as usize, random.below(MAX_ACKS));
        let delay = Duration::from_micros(random.below(MAX_DELAY_MICROS));
        let sending: Vec<_> = (0..senders)
            .map(|i| &scripts[(first + i) % scripts.len()])
            .map(|script| tokio::spawn(send(script.clone(), loopd.addr, stored[&script.n])))
            .collect();
        tokio::task::block_in_place(|| {
            wait_until("acks", LIMIT, || acked(&scripts) >= known + target);
            std::thread::sleep(delay);
            loopd.signal("KILL");
            loopd.wait();
        });
        for sending in sending {
            sending.await.unwrap();
        }
        let news = acked(&scripts) - known;
        println!("round {round}: {senders} agents, killed after {news} acks and {delay:?}");
    }
    // Each goes on to its end as if nothing had been.
    let mut loopd = start();
    let stored = stored_batches(source, &scripts);
    for script in &scripts {
        let (mut agent, durable_seq) = script.connect(loopd.addr).await.unwrap();
        assert_eq!(durable_seq, stored[&script.n]);
        script.deliver(&mut agent, durable_seq, durable_seq + 10).await.unwrap();
    }
    loopd.signal("TERM");
    tokio::task::block_in_place(|| loopd.wait());
    check_integrity(&path);
    let stored: u64 = stored_batches(source, &scripts).values().sum();
    assert_eq!(stored, acked(&scripts));
    println!(
        "{stored} batches in {:?}; {ahead} kills fell between a commit and its acks",
        began_at.elapsed()
    );
}
