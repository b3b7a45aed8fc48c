//! How many instructions it costs the thread that runs the tasks when tokio's own instrumentation
//! is heard: the same work with nobody to hear it, by the agent's subscriber, and by its layer; and
//! with each half switched off. Under callgrind, with two counts, so that the difference holds
//! neither the start nor the end.
//!
//! `cargo bench -p loopd-agent --features layer,tokio-tracing --bench tracing`; needs `valgrind`, and
//! says so without it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::unwrap_used, reason = "a surprise ends the benchmark")]

mod callgrind;

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::Config;
use tokio::sync::{Mutex, Semaphore};
use tracing_subscriber::prelude::*;

const VARIANTS: [&str; 5] = ["nobody", "hooks", "waits off", "loopd", "loopd layer"];
/// What is done, and how often in the shorter and the longer run.
const WORK: [(&str, usize, usize); 5] = [
    ("poll", 1_000, 3_000),
    ("spawn + poll + end", 200, 600),
    ("mutex step", 400, 1_200),
    ("contended mutex step", 200, 600),
    ("semaphore step", 400, 1_200),
];

fn main() {
    callgrind::compare(&VARIANTS, &WORK, |variant| variant == "nobody", run);
}

/// The work itself, in a process of its own.
fn run(variant: &str, work: &str, times: usize) {
    if variant == "loopd layer" {
        tracing_subscriber::registry().with(loopd_agent::layer()).init();
    }
    let agent = Config::from_env()
        .enabled(variant != "nobody")
        .tracing(matches!(variant, "loopd" | "waits off"))
        .record_waits(variant != "waits off")
        .app("bench")
        .endpoint("http://127.0.0.1:1")
        .sample_stacks(false)
        .start()
        .unwrap();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    let runtime = agent.attach("bench", builder).build().unwrap();
    runtime.block_on(async { tokio::spawn(do_it(work.to_owned(), times)).await.unwrap() });
    drop(runtime);
    let _ = agent.shutdown(Duration::ZERO);
}

async fn do_it(work: String, times: usize) {
    match work.as_str() {
        "poll" => {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        }
        "spawn + poll + end" => {
            for _ in 0..times {
                tokio::spawn(async {}).await.unwrap();
            }
        }
        "mutex step" => {
            let lock = Mutex::new(0);
            for _ in 0..times {
                *lock.lock().await += 1;
            }
        }
        "contended mutex step" => {
            let lock = Arc::new(Mutex::new(0));
            let other = tokio::spawn(steps(lock.clone(), times / 2));
            steps(lock, times / 2).await;
            other.await.unwrap();
        }
        _ => {
            let semaphore = Semaphore::new(2);
            for _ in 0..times {
                drop(semaphore.acquire().await.unwrap());
            }
        }
    }
}

/// Holds the lock while the other wants it.
async fn steps(lock: Arc<Mutex<usize>>, times: usize) {
    for _ in 0..times {
        let mut guard = lock.lock().await;
        tokio::task::yield_now().await;
        *guard += 1;
    }
}
