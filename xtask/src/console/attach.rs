//! Real programs with the real `console-subscriber`, recorded by `loopd attach` and `loopd serve --attach`:
//! whether what is recorded is what they did, and what our own agent says of the same program.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::running::{Ask, Running, command};

/// What the program does.
const STEADY: u64 = 8;
/// So often each of these is polled, at most: a sleep may be over before it is polled at all.
const POLLS: std::ops::RangeInclusive<u64> = 50..=101;
const WORK: u64 = 100 * 600_000;
/// The two records may differ by so much.
const TOLERANCE: f64 = 0.01;
/// So many runs are compared, until they differ in one task at most.
const RUNS: u32 = 10;

pub(super) fn check(plain: &Path, both: &Path, folder: &Path) -> anyhow::Result<()> {
    let place = free_address()?;
    let target = format!("http://{place}=shop");
    let args = ["--listen", "127.0.0.1:0", "--attach", &target];
    let server = Running::serve(&folder.join("loopd.db"), &args, folder)?;
    let ask = Ask::of(&server);

    println!("a program over TCP, by `loopd serve --attach`");
    let mut run = Command::new(plain);
    run.arg(&place);
    let program = Running::start(run, folder)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    ask.until(
        "SELECT count(*), min(polls), max(polls), min(busy_time)
         FROM tasks JOIN processes USING (process) WHERE app = 'shop' AND name = 'steady'
            AND tasks.state = 'alive' AND location LIKE '%main.rs:%'",
        |row| {
            let polls = POLLS.contains(&row[1]) && POLLS.contains(&row[2]);
            row[0] == STEADY && polls && row[3] >= WORK
        },
    )?;
    ask.until(
        "SELECT max_poll_time, slow_polls FROM tasks JOIN processes USING (process)
         WHERE app = 'shop' AND name = 'slow'",
        |row| row[0] >= 195_000_000 && row[1] >= 1,
    )?;
    ask.until(
        "SELECT count(*), count(outcome = 'unknown') FROM tasks JOIN processes USING (process)
         WHERE app = 'shop' AND name = 'short' AND tasks.state = 'ended'",
        |row| row == [50, 50],
    )?;
    ask.until(
        "SELECT count(*) FROM waits JOIN tasks USING (process, task) JOIN processes USING (process)
         WHERE app = 'shop' AND op = 'lock' AND waits.state = 'pending' AND name = 'waiter'",
        |row| row == [1],
    )?;
    ask.until(
        "SELECT sum(kind = 'tokio::sync::Mutex' AND locked = 1),
            sum(kind = 'tokio::sync::Semaphore' AND permits = 2), sum(permits IS NOT NULL)
         FROM resources JOIN processes USING (process) WHERE app = 'shop'",
        |row| row == [1, 1, 1],
    )?;
    ask.until(
        "SELECT count(*), (SELECT count(*) FROM losses), (SELECT count(*) FROM polls) FROM processes",
        |row| row == [1, 0, 0],
    )?;

    println!("it is restarted, at the same address");
    drop(program);
    let mut run = Command::new(plain);
    run.arg(&place);
    let program = Running::start(run, folder)?;
    ask.until(
        "SELECT count(DISTINCT process), count(*), min(polls), max(polls)
         FROM tasks JOIN processes USING (process) WHERE app = 'shop' AND name = 'steady'",
        |row| row[..2] == [2, 2 * STEADY] && POLLS.contains(&row[2]) && POLLS.contains(&row[3]),
    )?;
    ask.until(
        "SELECT sum(state = 'lost'), sum(state = 'live') FROM processes WHERE app = 'shop'",
        |row| row == [1, 1],
    )?;
    drop(program);

    println!("a program with our own agent as well, over a socket, by `loopd attach`");
    for run in 1.. {
        let differing = differing(both, run, &ask, folder)?;
        if differing <= 1 {
            break;
        }
        ensure!(run < RUNS, "busy time differs by more than a hundredth in {differing} tasks");
    }
    drop(server);
    Ok(())
}

/// In how many tasks of one run the two records have busy times that differ. A thread may lose its processor
/// between the two readings of the clock, which another run shows.
fn differing(both: &Path, run: u32, ask: &Ask, folder: &Path) -> anyhow::Result<u64> {
    let (own, other) = (format!("own{run}"), format!("attached{run}"));
    let socket = folder.join(format!("console{run}.sock"));
    let mut attach = command("loopd");
    attach.arg("attach").arg(format!("file://{}", socket.display()));
    attach.args(["--name", &other, "--url", &ask.url]);
    let attached = Running::start(attach, folder)?;
    let mut start = Command::new(both);
    start.arg(&socket).env("LOOPD_ENDPOINT", &ask.url).env("LOOPD_APP", &own);
    let program = Running::start(start, folder)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    let compared = format!(
        "SELECT count(*), sum(a.polls), sum(b.polls), sum(a.busy_time), sum(b.busy_time),
            sum(a.wakes), sum(b.wakes),
            sum(abs(a.busy_time - b.busy_time) * 100 > a.busy_time)
        FROM tasks a JOIN processes p ON p.process = a.process AND p.app = '{own}'
        JOIN tasks b ON b.task = a.task
        JOIN processes q ON q.process = b.process AND q.app = '{other}'
        WHERE a.name = 'steady'"
    );
    let row = ask.until(&compared, |row| {
        row[0] == STEADY && row[1] == row[2] && row[1] >= STEADY * POLLS.start() && row[6] > 0
    })?;
    println!(
        "polls {} and {}, busy {} and {} ns, wakes {} and {}",
        row[1], row[2], row[3], row[4], row[5], row[6]
    );
    let wakes = row[5].abs_diff(row[6]) as f64 / row[5] as f64;
    ensure!(wakes <= TOLERANCE, "wakes differ by {:.2} %", wakes * 100.0);
    drop((attached, program));
    Ok(row[7])
}

pub(super) fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
