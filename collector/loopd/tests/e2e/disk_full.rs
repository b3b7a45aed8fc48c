//! A disk that is full: what was acked stays and can be asked for, and once there is room
//! everything goes on by itself.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::tempdir;
use tonic::{Code, Status};

use crate::binary::Loopd;
use crate::load::Script;
use crate::recording::{check_integrity, rows, stored_batches};
use crate::small_disk::{SmallDisk, with_small_disk};
use crate::{LIMIT, wait_until};

/// Polls of one worker in one batch.
const POLLS: u64 = 2_000;
/// What every page of the dashboard asks for.
const PAGES: [&str; 8] = [
    "/",
    "/healthz",
    "/api/v1/status",
    "/api/v1/overview",
    "/api/v1/tasks",
    "/api/v1/slow",
    "/api/v1/waits",
    "/api/v1/resources",
];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Sends until batch `last` is acked, connecting again as a real agent would.
async fn deliver_in_the_end(script: &Script, addr: SocketAddr, last: u64) {
    let deadline = Instant::now() + LIMIT;
    while script.acked() < last {
        assert!(Instant::now() < deadline, "{} got stuck at {}", script.app(), script.acked());
        if let Err(status) = try_deliver(script, addr, last).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn try_deliver(script: &Script, addr: SocketAddr, last: u64) -> Result<(), Status> {
    let (mut agent, durable_seq) = script.connect(addr).await?;
    assert!(durable_seq >= script.acked(), "{} lost what was acked", script.app());
    script.deliver(&mut agent, durable_seq, last).await
}

/// That the server answers, shows all that was acked, and says that it cannot write.
fn check_full(loopd: &Loopd, scripts: &[Script]) {
    let url = format!("http://{}", loopd.addr);
    for page in PAGES {
        assert_eq!(loopd.get(page, &loopd.host()), 200, "{page}");
    }
    assert_eq!(loopd.get("/readyz", &loopd.host()), 503);
    let status = loopd
        .ask(&format!("GET /api/v1/status HTTP/1.1\r\nconnection: close\r\n{}\r\n", loopd.host()));
    assert!(status.contains("\"ready\":false") && status.contains("full"), "{status}");
    stored_batches(["--url", &url], scripts);
}

#[test]
fn a_full_disk_keeps_what_was_acked_and_with_room_everything_goes_on() {
    let name = "disk_full::a_full_disk_keeps_what_was_acked_and_with_room_everything_goes_on";
    with_small_disk(name, 32, fill_and_free);
}

fn fill_and_free(disk: &SmallDisk) {
    let dir = tempdir().unwrap();
    let db = disk.path().join("loopd.db");
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![7; 12 << 20]).unwrap();
    let mut loopd = start(&dir, &db, "off");
    let scripts = [Script::new(1, POLLS), Script::new(2, POLLS)];
    let runtime = runtime();
    let fill = async |script: &Script| {
        let status = try_deliver(script, loopd.addr, u64::MAX).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("cannot write"), "{status}");
    };
    for _ in 0..4 {
        runtime.block_on(async { tokio::join!(fill(&scripts[0]), fill(&scripts[1])) });
        check_full(&loopd, &scripts);
    }
    let before: Vec<u64> = scripts.iter().map(Script::acked).collect();
    assert!(before.iter().all(|&acked| acked > 0), "{before:?}");

    fs::remove_file(&filler).unwrap();
    runtime.block_on(async {
        let more = |i: usize| deliver_in_the_end(&scripts[i], loopd.addr, before[i] + 20);
        tokio::join!(more(0), more(1));
    });
    wait_until("it is ready", LIMIT, || loopd.get("/readyz", &loopd.host()) == 200);
    loopd.signal("TERM");
    assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
    check_integrity(&db);
    let stored = stored_batches(["--db", db.to_str().unwrap()], &scripts);
    assert_eq!(stored.into_values().collect::<Vec<_>>(), [before[0] + 20, before[1] + 20]);
}

#[test]
fn with_a_budget_the_disk_never_fills() {
    with_small_disk("disk_full::with_a_budget_the_disk_never_fills", DISK, stay_within);
}

/// Megabytes of a disk, and the budget on it. The log beside the file and what comes in between
/// two steps of retention take the rest.
const DISK: u32 = 32;
const BUDGET: &str = "8MiB";
/// Twice the disk, at five bytes a poll.
const MANY_BATCHES: u64 = (2 * DISK as u64 * 1_000_000) / (5 * 2 * MANY_POLLS);
const MANY_POLLS: u64 = 20_000;

/// Twice what the disk holds goes through it.
fn stay_within(disk: &SmallDisk) {
    let dir = tempdir().unwrap();
    let db = disk.path().join("loopd.db");
    let mut loopd = start(&dir, &db, BUDGET);
    let script = Script::new(1, MANY_POLLS);
    let mut least_free = disk.free();
    runtime().block_on(async {
        let delivering = try_deliver(&script, loopd.addr, MANY_BATCHES);
        tokio::pin!(delivering);
        let mut looking = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                done = &mut delivering => break done.unwrap(),
                _ = looking.tick() => least_free = least_free.min(disk.free()),
            }
        }
    });
    assert!(least_free > 1 << 20, "only {least_free} bytes were left free");
    assert_eq!(loopd.get("/readyz", &loopd.host()), 200);
    loopd.signal("TERM");
    assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
    assert!(!loopd.log().contains("WARN"), "{}", loopd.log());
    check_integrity(&db);
    let count =
        |sql: &str| -> u64 { rows(["--db", db.to_str().unwrap()], sql)[0][0].parse().unwrap() };
    let (sent, left) = (MANY_BATCHES * 2 * MANY_POLLS, count("select count(*) from polls"));
    assert!(left > 0 && left < sent / 2, "{left} of {sent} polls are left");
    assert_eq!(count("select stored from ledger where kind = 'poll'"), sent);
}

fn start(dir: &tempfile::TempDir, db: &Path, retain_size: &str) -> Loopd {
    let retain = ["--retain-age", "off", "--retain-size", retain_size];
    Loopd::start_on(dir, db, &retain)
}
