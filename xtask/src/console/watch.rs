//! The real `tokio-console` in a terminal: what it shows of programs that loopd records, live and from the past,
//! and that nothing makes it panic.

use std::path::Path;

use anyhow::ensure;

use super::running::{Ask, Running, command};
use super::terminal::{Terminal, has};

/// Where a task of the service is spawned that is busy all the time.
const SERVED: &str = "load.rs:23";

/// What that of strange names is called, as it stands in an address.
const HOSTILE: &str = "%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D%27app%27%22%3E";

/// How long it runs, in seconds; it is ended before.
const LONG: &str = "600";

pub(super) fn check(tui: &Path, folder: &Path) -> anyhow::Result<()> {
    println!("what loopd records, in tokio-console");
    let db = folder.join("loopd.db");
    let loopd = Running::serve(&db, &["--listen", "127.0.0.1:0"], folder)?;
    let addr = loopd.addr.clone();
    // The service of the demo: ordinary code and no names. Its standard input is its life.
    let mut service = command("loopd");
    service.args(["demo-service", "orders"]).env("LOOPD_ENDPOINT", format!("http://{addr}"));
    let service = Running::start(service, folder)?;
    let watch = |what: &str| Terminal::console(tui, what, folder);
    // Every program at once.
    let mut all = watch(&format!("http://{addr}"))?;
    all.until("it is connected", |lines| has(lines, &["CONNECTED"]))?;
    for place in ["warehouse.rs:", "packing.rs:", "load.rs:"] {
        all.until("tasks of the service are there", |lines| has(lines, &[place, "app=orders"]))?;
    }
    all.until("polls are counted", |lines| polls_of(lines, SERVED) > 0)?;

    // One of them, in the address, where tokio-console keeps it.
    let mut one = watch(&format!("http://orders@{addr}"))?;
    one.until("its tasks are there", |lines| has(lines, &["packing.rs:"]))?;
    ensure!(!has(&one.shows(), &["app="]), "there is nothing to tell apart");
    // Another, every name of which is an attack.
    let mut hostile = command("examples/hostile");
    hostile.arg(LONG).env("LOOPD_ENDPOINT", format!("http://{addr}"));
    let hostile = Running::start(hostile, folder)?;
    Ask::of(&loopd).until("SELECT count(*) FROM processes", |row| row == [2])?;
    let mut strange = watch(&format!("http://{HOSTILE}@{addr}"))?;
    for name in ["<script>", "constructor", "=HYPERLINK(", "[31mred"] {
        strange.until("names are text", |lines| has(lines, &[name, ".py:7"]))?;
    }
    ensure!(!has(&strange.shows(), &["packing.rs:"]), "another program is shown as well");
    // Its resources, and who waits for one.
    // The oldest first: others come all the time.
    one.types("ri")?;
    one.until("resources are there", |lines| has(lines, &["mutex", "Sync", "packing.rs:"]))?;
    one.types("t")?;
    // One task, with its histograms.
    one.until("tasks are there again", |lines| has(lines, &["packing.rs:"]))?;
    one.types("\x1b[B\r")?;
    one.until("details are there", |lines| has(lines, &["Poll Times Histogram"]))?;
    one.types("\x1b")?;
    one.until("the list is there again", |lines| has(lines, &["Tasks ("]))?;
    // A pause is of one viewer alone.
    one.types(" ")?;
    one.until("it has paused", |lines| has(lines, &["PAUSED"]))?;
    ensure!(!has(&all.shows(), &["PAUSED"]), "the other one has paused as well");
    one.types(" ")?;
    one.until("it goes on", |lines| !has(lines, &["PAUSED"]))?;

    // A restart: both come back by themselves, and see the same tasks.
    drop(loopd);
    let before = polls_of(&all.shows(), SERVED);
    let loopd = Running::serve(&db, &["--listen", &addr], folder)?;
    for viewer in [&mut all, &mut one] {
        viewer.until("it goes on after a restart", |lines| {
            has(lines, &["(CONNECTED)"]) && polls_of(lines, SERVED) > before
        })?;
    }
    drop(hostile);
    drop(service);
    // What ended is forgotten after some seconds.
    all.until("all are gone", |lines| has(lines, &["Tasks (0)"]))?;
    for mut viewer in [all, one, strange] {
        viewer.types("q")?;
        let status = viewer.ends()?;
        ensure!(status.success(), "tokio-console failed: {status}");
    }
    drop(loopd);

    // The same from the past.
    let mut replay = command("loopd");
    replay.args(["replay", "--app", "orders", "--speed", "4x", "--db"]).arg(&db);
    let replay = Running::server(replay, folder)?;
    let mut past = watch(&format!("http://{}", replay.addr))?;
    past.until("tasks of the past are there", |lines| has(lines, &["packing.rs:"]))?;
    past.types("q")?;
    let status = past.ends()?;
    ensure!(status.success(), "tokio-console failed: {status}");
    Ok(())
}

/// The polls of the first task of this place: what is counted stands before the kind and the place.
fn polls_of(lines: &[String], place: &str) -> u64 {
    let polls = lines.iter().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.contains(place))?;
        words.get(at.checked_sub(2)?)?.parse().ok()
    });
    polls.unwrap_or(0)
}
