//! How many instructions recording costs the thread that runs the tasks: the same work bare, with
//! hooks that do nothing, and recorded, each under callgrind with two counts, so that the difference
//! holds neither the start nor the end. Unlike times, these figures repeat on a busy machine.
//!
//! `cargo bench -p loopd-agent --bench instructions`; needs `valgrind`, and says so without it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::unwrap_used, reason = "a surprise ends the benchmark")]

mod callgrind;

use std::ops::Deref;
use std::time::Duration;

use loopd_agent::Config;
use tokio::runtime::{Builder, Runtime};

const VARIANTS: [&str; 3] = ["bare", "empty hooks", "loopd"];
/// What is done, and how often in the shorter and the longer run. The longer one leaves the ring
/// less than half full even if the exporter, which callgrind runs in turns, does nothing.
const WORK: [(&str, usize, usize); 4] = [
    ("poll", 5_000, 15_000),
    ("spawn + poll + end", 500, 2_000),
    ("wrapped poll with a wake", 1_000, 3_000),
    ("wrapped spawn + poll + end", 500, 2_000),
];
/// Tasks alive at once: the loop looks for events of the system only after all of them.
const GROUP: usize = 50;

fn main() {
    callgrind::compare(&VARIANTS, &WORK, |variant| variant == "bare", run);
}

/// The work itself, in a process of its own.
fn run(variant: &str, work: &str, times: usize) {
    let agent = Config::from_env()
        .enabled(variant == "loopd")
        .app("bench")
        .endpoint("http://127.0.0.1:1")
        .sample_stacks(false)
        .start()
        .unwrap();
    let runtime = runtime(variant, &agent);
    match work {
        "poll" | "wrapped poll with a wake" => runtime.block_on(async {
            let is_wrapped = variant == "loopd" && work != "poll";
            let task = || {
                let yields = yields(times / GROUP);
                if is_wrapped { loopd_agent::spawn(yields) } else { tokio::spawn(yields) }
            };
            let tasks: Vec<_> = (0..GROUP).map(|_| task()).collect();
            for task in tasks {
                task.await.unwrap();
            }
        }),
        "spawn + poll + end" => runtime.block_on(async {
            for _ in 0..times / GROUP {
                let group: Vec<_> = (0..GROUP).map(|_| tokio::spawn(async {})).collect();
                for task in group {
                    task.await.unwrap();
                }
            }
        }),
        _ => runtime.block_on(async {
            for _ in 0..times / GROUP {
                let group: Vec<_> = (0..GROUP).map(|_| spawn(variant)).collect();
                for task in group {
                    task.await.unwrap();
                }
            }
        }),
    }
    drop(runtime);
    let _ = agent.shutdown(Duration::ZERO);
}

fn spawn(variant: &str) -> tokio::task::JoinHandle<()> {
    if variant == "loopd" { loopd_agent::spawn(async {}) } else { tokio::spawn(async {}) }
}

async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

fn runtime(variant: &str, agent: &loopd_agent::Agent) -> Box<dyn Deref<Target = Runtime>> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    #[cfg(tokio_unstable)]
    if variant == "empty hooks" {
        builder
            .on_task_spawn(|meta| _ = std::hint::black_box(meta))
            .on_task_terminate(|meta| _ = std::hint::black_box(meta))
            .on_before_task_poll(|meta| _ = std::hint::black_box(meta))
            .on_after_task_poll(|meta| _ = std::hint::black_box(meta));
    }
    if variant == "loopd" {
        return Box::new(agent.attach("bench", builder).build().unwrap());
    }
    Box::new(Box::new(builder.build().unwrap()))
}
