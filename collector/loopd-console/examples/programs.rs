//! So many programs under `console-subscriber`, made up: prints their addresses, one a line, and goes on until
//! its standard input ends. To see what it costs to attach to many:
//!
//! ```sh
//! cargo run --release -p loopd-console --example programs -- 50 200 > addresses
//! loopd serve --attach "$(paste -sd, addresses)"
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for a terminal")]

#[path = "../tests/attach/program.rs"]
#[expect(dead_code, reason = "tests use all of it")]
mod program;

use std::io::Read;
use std::time::{Duration, SystemTime};

use program::{Counts, MS, Program, SPAWN, START, Script};

/// So long before this, in milliseconds, scripts have their instant 0, and the first tasks were made at it.
const BEFORE: u64 = 60_000;

#[tokio::main]
async fn main() {
    START.set(SystemTime::now() - Duration::from_millis(BEFORE)).unwrap();
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let (programs, tasks) = (numbers.next().unwrap_or(50), numbers.next().unwrap_or(200));
    for _ in 0..programs {
        let program = Program::new(first(tasks));
        println!("http://{}", program.serve().await);
        tokio::spawn(live(program, tasks));
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await.unwrap().unwrap();
}

/// By the clock of scripts.
fn now() -> u64 {
    START.get().unwrap().elapsed().unwrap().as_millis() as u64
}

fn first(tasks: u64) -> console_api::instrument::Update {
    let mut script = Script::at(now()).callsites(&[(SPAWN, "runtime.spawn")]);
    for span in 1..=tasks {
        script = script.task(span, 1, &[("task.name", "serve"), ("kind", "task")]);
    }
    script.done()
}

/// Half of the tasks are busy in every second, and a tenth as many come and go.
async fn live(program: Program, tasks: u64) {
    let mut polls = 0;
    let mut next = tasks + 1;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = now();
        polls += 100;
        let counts = Counts { polls, wakes: polls, busy: polls * MS / 50, ..Counts::default() };
        let mut script = Script::at(now);
        for span in 1..=tasks / 2 {
            script = script.counted(span, 1, counts);
        }
        for _ in 0..tasks / 10 {
            let gone = Counts { polls: 3, dropped: Some(now), ..Counts::default() };
            script = script.task(next, now - 500, &[]).counted(next, now - 500, gone);
            next += 1;
        }
        let update = script.done();
        program.set_first(first(tasks));
        program.say(update).await;
    }
}
