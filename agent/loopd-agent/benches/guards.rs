//! How many instructions an operation on a lock or a channel costs: tokio's own, the wrapper while
//! nothing is recorded, and the two in a runtime whose polls are recorded. Counted by callgrind, each with two counts, so that the
//! difference holds neither the start nor the end.
//!
//! `cargo bench -p loopd-agent --bench guards`; needs `valgrind`, and says so without it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::unwrap_used, reason = "a surprise ends the benchmark")]

mod callgrind;

use std::sync::Arc;
use std::time::Duration;

use loopd_agent::Config;

/// The first two bare; the third in a runtime under watch, the fourth there with recorded locks.
const VARIANTS: [&str; 4] = ["tokio", "wrapped, off", "tokio, hooks", "wrapped"];
/// What is done, and how often in the shorter and the longer run. Of what is recorded, the longer one
/// leaves the ring less than half full even if the exporter does nothing.
const WORK: [(&str, usize, usize); 6] = [
    ("mutex lock + unlock", 2_000, 12_000),
    ("mutex lock + unlock, contended", 200, 1_200),
    ("rwlock read + release", 2_000, 12_000),
    ("semaphore acquire + release", 2_000, 12_000),
    ("mpsc send + recv", 2_000, 12_000),
    ("oneshot channel + send + recv", 200, 1_200),
];

fn main() {
    callgrind::compare(&VARIANTS, &WORK, |variant| variant.starts_with("tokio"), run);
}

/// The work itself, in a process of its own.
fn run(variant: &str, work: &str, times: usize) {
    let (is_attached, is_wrapped) =
        (variant.contains("hooks") || variant == "wrapped", variant.contains("wrapped"));
    let agent = Config::from_env()
        .enabled(is_attached)
        .app("bench")
        .endpoint("http://127.0.0.1:1")
        .sample_stacks(false)
        .start()
        .unwrap();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    let runtime = agent.attach("bench", builder).build().unwrap();
    runtime.block_on(async {
        if is_wrapped { wrapped::work(work, times).await } else { bare::work(work, times).await }
    });
    drop(runtime);
    let _ = agent.shutdown(Duration::ZERO);
}

/// The same text with either's types.
macro_rules! work {
    ($name:ident, $sync:path) => {
        mod $name {
            use super::*;
            use $sync as sync;

            pub(super) async fn work(work: &str, times: usize) {
                // In a task, whose number is known at once.
                let work = work.to_owned();
                tokio::spawn(async move { choose(&work, times).await }).await.unwrap();
            }

            async fn choose(work: &str, times: usize) {
                match work {
                    "mutex lock + unlock" => {
                        let lock = sync::Mutex::new(0);
                        for _ in 0..times {
                            *lock.lock().await += 1;
                        }
                    }
                    "mutex lock + unlock, contended" => contended(times / 2).await,
                    "rwlock read + release" => {
                        let lock = sync::RwLock::new(0);
                        for _ in 0..times {
                            std::hint::black_box(*lock.read().await);
                        }
                    }
                    "semaphore acquire + release" => {
                        let permits = sync::Semaphore::new(3);
                        for _ in 0..times {
                            drop(permits.acquire().await.unwrap());
                        }
                    }
                    "mpsc send + recv" => {
                        let (sender, mut receiver) = sync::mpsc::channel(8);
                        for i in 0..times {
                            sender.send(i).await.unwrap();
                            receiver.recv().await.unwrap();
                        }
                    }
                    _ => {
                        for i in 0..times {
                            let (sender, receiver) = sync::oneshot::channel();
                            sender.send(i).unwrap();
                            receiver.await.unwrap();
                        }
                    }
                }
            }

            /// Two tasks, each of which finds the lock held by the other every time.
            async fn contended(times: usize) {
                let lock = Arc::new(sync::Mutex::new(0));
                let other = lock.clone();
                let turns = |lock: Arc<sync::Mutex<usize>>| async move {
                    for _ in 0..times {
                        let mut held = lock.lock().await;
                        *held += 1;
                        tokio::task::yield_now().await;
                    }
                };
                let tasks = [tokio::spawn(turns(lock)), tokio::spawn(turns(other))];
                for task in tasks {
                    task.await.unwrap();
                }
            }
        }
    };
}

work!(bare, tokio::sync);
work!(wrapped, loopd_agent::sync);
