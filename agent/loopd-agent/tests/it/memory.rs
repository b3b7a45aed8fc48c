//! The agent's memory has a limit, however much the program does and whatever the collector does.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loopd_agent::{Agent, Config, RecordKind, Tracked};

use crate::FLUSH;
use crate::collector::{Collector, Script};
use crate::multi_thread;

/// Small, so that every table and buffer is filled many times over.
const LIMIT: usize = 4 << 20;
const WAVES: usize = 200;
const TASKS_IN_A_WAVE: usize = 500;

fn start(endpoint: &str) -> Agent {
    let config = Config::from_env().endpoint(endpoint).memory_limit(LIMIT).track_fds(true);
    config.sample_stacks(false).start().unwrap()
}

fn rss() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Tasks and resources that come and go, each with a name of its own; gives the most memory that
/// the agent said it holds, and by how much the process grew after the first tenth.
fn toil(agent: &Agent) -> (usize, usize) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let (mut most, mut before, mut after) = (0, 0, 0);
    for wave in 0..WAVES {
        let tasks: Vec<_> = (0..TASKS_IN_A_WAVE)
            .map(|_| {
                let number = COUNT.fetch_add(1, Relaxed);
                let _guard = runtime.enter();
                loopd_agent::task(&format!("task number {number}")).spawn(async move {
                    let name = format!("/tmp/{number}/{}", "x".repeat(number % 200));
                    let thing = Tracked::new(&format!("kind {number}"), &name, ());
                    tokio::task::yield_now().await;
                    loopd_agent::mark(&format!("mark {number}")).record();
                    drop(thing);
                })
            })
            .collect();
        runtime.block_on(async move {
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(File::open("/dev/null").unwrap());
        most = most.max(loopd_agent::stats().memory);
        if wave == WAVES / 10 {
            before = rss();
        }
        after = rss();
    }
    drop(runtime);
    (most, after.saturating_sub(before))
}

fn check(agent: Agent, flushes: bool) {
    let (most, growth) = toil(&agent);
    assert!(most > LIMIT / 4, "{most} bytes: the test does not fill anything");
    assert!(most <= LIMIT, "the agent holds {most} bytes of {LIMIT}");
    // Most of what it holds was there after the first tenth; the rest is the allocator's.
    assert!(growth <= LIMIT, "the process grew by {growth} bytes");
    let flushed = agent.shutdown(if flushes { FLUSH } else { std::time::Duration::ZERO });
    assert_eq!(flushed.complete, flushes);
    let stats = loopd_agent::stats();
    assert!(stats.memory <= LIMIT, "{}", stats.memory);
    assert!(flushes || stats.evicted > 0, "{stats:?}");
    let tasks = stats.produced.iter().find(|(kind, _)| *kind == RecordKind::Task).unwrap();
    // Spawned, named and ended, lost ones included.
    assert!(tasks.1 >= (3 * WAVES * TASKS_IN_A_WAVE) as u64 || !flushes, "{stats:?}");
}

#[test]
fn tasks_and_resources_without_end_stay_within_the_limit() {
    let collector = Collector::start_with(Script { forgets: true, ..Script::default() });
    check(start(&collector.endpoint), true);
}

#[test]
fn so_they_do_while_the_collector_is_away() {
    check(start("http://127.0.0.1:1"), false);
}

#[test]
fn so_they_do_while_the_collector_is_frozen() {
    let collector = Collector::start_with(Script { is_frozen: true, ..Script::default() });
    check(start(&collector.endpoint), false);
}

#[test]
fn so_they_do_when_the_collector_has_stopped_reading() {
    let collector = Collector::start_with(Script { stops_reading: true, ..Script::default() });
    check(start(&collector.endpoint), false);
}
