//! What a callback and a step of the event loop cost, bare and recorded, beside tokio's `LocalSet`.
//!
//! ```sh
//! cargo bench -p loopd-agent --bench event_loop
//! ```
//!
//! Each case has rounds of a fixed number of operations; the best round counts, as that which other work
//! on the machine disturbed least. Recording streams into nothing, as where no collector listens.
//! Time is that of the processor in this thread, so that other work on the machine counts less.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(unsafe_code, reason = "asks for the thread's time")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use loopd_agent::event_loop::{EventLoop, Result, create_task, yield_now};

const ROUNDS: usize = 15;
const CALLS: u32 = 200_000;
const TASKS: u32 = 100;
const STEPS: u32 = 1_000;

fn best(mut round: impl FnMut() -> Duration, calls: u32) -> f64 {
    let rounds = (0..ROUNDS).map(|_| round());
    rounds.min().unwrap_or_default().as_nanos() as f64 / f64::from(calls)
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// One callback that schedules itself again: a turn for each.
fn chain(event_loop: &EventLoop) -> f64 {
    fn next(
        event_loop: &EventLoop,
        left: u32,
    ) -> std::result::Result<(), loopd_agent::event_loop::LoopError> {
        if left == 0 {
            event_loop.stop();
            return Ok(());
        }
        let of = event_loop.clone();
        event_loop.call_soon(move || next(&of, left - 1)).map(drop)
    }
    best(
        || {
            let began = cpu_time();
            let _ = next(event_loop, CALLS);
            let _ = event_loop.run_forever();
            cpu_time() - began
        },
        CALLS,
    )
}

/// Many callbacks in one turn.
fn burst(event_loop: &EventLoop) -> f64 {
    let count = Rc::new(Cell::new(0u32));
    let round = || {
        const BURST: u32 = 1_000;
        let began = cpu_time();
        for _ in 0..CALLS / BURST {
            for _ in 0..BURST {
                let count = count.clone();
                let _ = event_loop.call_soon(move || count.set(count.get() + 1));
            }
            event_loop.stop();
            let _ = event_loop.run_forever();
        }
        cpu_time() - began
    };
    best(round, CALLS)
}

/// Tasks that take turns.
fn switch(event_loop: &EventLoop) -> f64 {
    let round = || {
        let began = cpu_time();
        let ran = event_loop.run_until_complete(async {
            let mut tasks = Vec::new();
            for _ in 0..TASKS {
                tasks.push(create_task(async {
                    for _ in 0..STEPS {
                        yield_now().await?;
                    }
                    Result::Ok(())
                })?);
            }
            for task in tasks {
                task.await?;
            }
            Ok(())
        });
        debug_assert!(ran.is_ok());
        cpu_time() - began
    };
    best(round, TASKS * STEPS)
}

/// The same on tokio's own.
fn local_set_switch() -> Option<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let round = || {
        let began = cpu_time();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    tokio::task::spawn_local(async {
                        for _ in 0..STEPS {
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                let _ = task.await;
            }
        });
        cpu_time() - began
    };
    Some(best(round, TASKS * STEPS))
}

/// A task for each call, as tokio has no callbacks.
fn local_set_spawn() -> Option<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let count = Rc::new(Cell::new(0u32));
    let round = || {
        const BURST: u32 = 1_000;
        let began = cpu_time();
        for _ in 0..CALLS / BURST {
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let tasks: Vec<_> = (0..BURST)
                    .map(|_| {
                        let count = count.clone();
                        tokio::task::spawn_local(async move { count.set(count.get() + 1) })
                    })
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
            });
        }
        cpu_time() - began
    };
    Some(best(round, CALLS))
}

fn measure(what: &str) -> Option<()> {
    let event_loop = EventLoop::new().ok()?;
    println!("{what}\tcall_soon, a turn each\t{:.1}", chain(&event_loop));
    println!("{what}\tcall_soon, 1000 a turn\t{:.1}", burst(&event_loop));
    println!("{what}\ttask switch\t{:.1}", switch(&event_loop));
    event_loop.close().ok()
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("what\tcase\tns");
    println!("LocalSet\tspawn and run\t{:.1}", local_set_spawn().unwrap_or_default());
    println!("LocalSet\ttask switch\t{:.1}", local_set_switch().unwrap_or_default());
    measure("bare");
    // An address where nobody listens.
    let agent = loopd_agent::Config::from_env().endpoint("http://127.0.0.1:1").start();
    measure("recorded");
    drop(agent);
}
