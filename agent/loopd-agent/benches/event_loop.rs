//! One side of `cargo xtask bench event-loop`: does batches of work when it is told to, and says what each
//! took. `event_loop.py` is the same for the loops of Python.
//!
//! ```sh
//! cargo bench -p loopd-agent --bench event_loop -- LocalSet|EventLoop [ENDPOINT APP]
//! ```
//!
//! With an endpoint it records, and sends to the collector there. Each line of standard input is the name of a
//! case and a number of operations; the answer is a line with the nanoseconds of the processor that those took
//! in the threads of the program. At the end of the input one more line has the nanoseconds of all threads
//! since the first batch, of the program's own, and how many records were refused.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(unsafe_code, reason = "asks for the thread's time")]

use std::cell::Cell;
use std::error::Error;
use std::io::BufRead;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loopd_agent::event_loop::{EventLoop, LoopError, Promise, Result, create_task, yield_now};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

/// Callbacks in a turn.
const BURST: u32 = 1_000;
/// Tasks that take turns.
const TURNS: u32 = 100;
/// Tasks that are spawned before they are awaited.
const GROUP: u32 = 50;
/// After which a timer is due: the least of which no loop makes a callback that is ready at once.
const DELAY: Duration = Duration::from_millis(1);

/// As of `nice`: other programs are noise.
const PRIORITY: i32 = -10;
/// How long the collector may take to welcome us.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// What is recorded in the first tenth of a second stays in the rings until the clock is calibrated.
const CALIBRATION: Duration = Duration::from_millis(200);

type Answer<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Answer<()> {
    // Cargo adds `--bench` or `--test`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|it| !it.starts_with("--")).collect();
    let (peer, collector) = match *arguments {
        [] => {
            println!("`cargo xtask bench event-loop` runs this beside its peers");
            return Ok(());
        }
        [peer] => (peer, None),
        [peer, endpoint, app] => (peer, Some((endpoint, app))),
        _ => return Err("usage: event_loop LocalSet|EventLoop [ENDPOINT APP]".into()),
    };
    // SAFETY: a call without pointers. Where it is not allowed, it is not.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) };
    let agent = collector.map(|(endpoint, app)| start(endpoint, app)).transpose()?;
    let mut peer: Box<dyn Peer> = match peer {
        "LocalSet" => Box::new(Bare::new()?),
        "EventLoop" => Box::new(Ours(EventLoop::new()?)),
        other => return Err(format!("there is no peer {other}").into()),
    };
    let (all, mut own) = (time_of(libc::CLOCK_PROCESS_CPUTIME_ID), Duration::ZERO);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (case, operations) = line.split_once(' ').ok_or("a case and a number")?;
        let began = cpu_time();
        let elsewhere = peer.batch(case, operations.parse()?)?;
        let took = cpu_time() - began + elsewhere;
        own += took;
        println!("{}", took.as_nanos());
    }
    let all = time_of(libc::CLOCK_PROCESS_CPUTIME_ID) - all;
    drop(peer);
    let mut refused = 0;
    if let Some(agent) = agent {
        let flushed = agent.shutdown(Duration::from_secs(10));
        let dropped: u64 = loopd_agent::stats().dropped.iter().map(|(_, _, count)| count).sum();
        refused = dropped + flushed.unsent;
    }
    println!("{} {} {refused}", all.as_nanos(), own.as_nanos());
    Ok(())
}

fn start(endpoint: &str, app: &str) -> Answer<loopd_agent::Agent> {
    let agent = loopd_agent::Config::from_env().app(app).endpoint(endpoint).start()?;
    let limit = Instant::now() + CONNECT_LIMIT;
    while !loopd_agent::stats().connected {
        if Instant::now() > limit {
            return Err(format!("not connected: {}", loopd_agent::stats().last_error).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(CALIBRATION);
    Ok(agent)
}

/// What is measured.
trait Peer {
    /// Does so many operations; what they took in another thread.
    fn batch(&mut self, case: &str, operations: u32) -> Answer<Duration>;
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Of this thread.
fn cpu_time() -> Duration {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Does this in another thread; what it took there.
fn elsewhere(work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(|| {
        let began = cpu_time();
        work();
        cpu_time() - began
    })
}

fn joined(thread: std::thread::JoinHandle<Duration>) -> Answer<Duration> {
    thread.join().map_err(|_| "the other thread panicked".into())
}

fn unknown(case: &str) -> Box<dyn Error> {
    format!("there is no case {case}").into()
}

/// Loopd's own.
struct Ours(EventLoop);

impl Ours {
    fn run(&self, work: impl Future<Output = Result<()>> + 'static) -> Answer<()> {
        self.0.run_until_complete(work).map_err(|error| error.to_string().into())
    }
}

impl Peer for Ours {
    fn batch(&mut self, case: &str, operations: u32) -> Answer<Duration> {
        let event_loop = self.0.clone();
        match case {
            "call_soon" => self.run(bursts(event_loop, operations))?,
            "call_soon_chain" => {
                chain(&event_loop, operations)?;
                event_loop.run_forever()?;
            }
            "switch" => self.run(switch(operations))?,
            "spawn" => self.run(spawn(operations))?,
            "call_later" => self.run(timers(event_loop, operations))?,
            "call_soon_threadsafe" => {
                let handle = event_loop.handle();
                let count = Arc::new(AtomicU32::new(0));
                let caller = elsewhere(move || {
                    for _ in 0..operations {
                        let count = count.clone();
                        let call = move || -> Result<()> {
                            if count.fetch_add(1, Relaxed) + 1 == operations {
                                EventLoop::running()?.stop();
                            }
                            Ok(())
                        };
                        let _ = handle.call_soon_threadsafe(call);
                    }
                });
                event_loop.run_forever()?;
                return joined(caller);
            }
            other => return Err(unknown(other)),
        }
        Ok(Duration::ZERO)
    }
}

/// Many callbacks a turn.
async fn bursts(event_loop: EventLoop, operations: u32) -> Result<()> {
    let count = Rc::new(Cell::new(0));
    for _ in 0..operations / BURST {
        for _ in 0..BURST {
            let count = count.clone();
            event_loop.call_soon(move || count.set(count.get() + 1))?;
        }
        yield_now().await?;
    }
    assert_eq!(count.get(), operations);
    Ok(())
}

/// One callback that schedules itself again: a turn for each.
fn chain(event_loop: &EventLoop, left: u32) -> Result<(), LoopError> {
    if left == 0 {
        event_loop.stop();
        return Ok(());
    }
    let of = event_loop.clone();
    event_loop.call_soon(move || chain(&of, left - 1)).map(drop)
}

async fn switch(operations: u32) -> Result<()> {
    let turns = operations / TURNS;
    let tasks: Vec<_> = (0..TURNS).map(|_| create_task(take_turns(turns))).collect();
    for task in tasks {
        task?.await?;
    }
    Ok(())
}

async fn take_turns(turns: u32) -> Result<()> {
    for _ in 0..turns {
        yield_now().await?;
    }
    Ok(())
}

async fn spawn(operations: u32) -> Result<()> {
    for _ in 0..operations / GROUP {
        let tasks: Vec<_> = (0..GROUP).map(|_| create_task(async { Result::Ok(()) })).collect();
        for task in tasks {
            task?.await?;
        }
    }
    Ok(())
}

async fn timers(event_loop: EventLoop, operations: u32) -> Result<()> {
    for _ in 0..operations / BURST {
        let all: Promise<()> = event_loop.create_future();
        let count = Rc::new(Cell::new(0));
        for _ in 0..BURST {
            let (all, count) = (all.clone(), count.clone());
            event_loop.call_later(DELAY, move || {
                count.set(count.get() + 1);
                if count.get() == BURST { all.set_result(()) } else { Ok(()) }
            })?;
        }
        all.await?;
    }
    Ok(())
}

/// Tokio's own: a task for each call, as it has no callbacks.
struct Bare {
    runtime: Runtime,
    local: LocalSet,
}

impl Bare {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, local: LocalSet::new() })
    }
}

impl Peer for Bare {
    fn batch(&mut self, case: &str, operations: u32) -> Answer<Duration> {
        let (local, runtime) = (&self.local, &self.runtime);
        match case {
            "call_soon" => local.block_on(runtime, async {
                let count = Rc::new(Cell::new(0u32));
                for _ in 0..operations / BURST {
                    let (all, done) = oneshot::channel();
                    let all = Rc::new(Cell::new(Some(all)));
                    for _ in 0..BURST {
                        let (all, count) = (all.clone(), count.clone());
                        spawn_local(async move {
                            count.set(count.get() + 1);
                            if count.get().is_multiple_of(BURST)
                                && let Some(all) = all.take()
                            {
                                let _ = all.send(());
                            }
                        });
                    }
                    let _ = done.await;
                }
            }),
            "call_soon_chain" => local.block_on(runtime, async {
                let (last, done) = oneshot::channel();
                local_chain(Some(last), operations);
                let _ = done.await;
            }),
            "switch" => local.block_on(runtime, async {
                let turns = operations / TURNS;
                let take_turns = || async move {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                };
                let tasks: Vec<_> = (0..TURNS).map(|_| spawn_local(take_turns())).collect();
                for task in tasks {
                    let _ = task.await;
                }
            }),
            "spawn" => local.block_on(runtime, async {
                for _ in 0..operations / GROUP {
                    let tasks: Vec<_> = (0..GROUP).map(|_| spawn_local(async {})).collect();
                    for task in tasks {
                        let _ = task.await;
                    }
                }
            }),
            "call_later" => local.block_on(runtime, async {
                for _ in 0..operations / BURST {
                    let sleep = || tokio::time::sleep(DELAY);
                    let tasks: Vec<_> = (0..BURST).map(|_| spawn_local(sleep())).collect();
                    for task in tasks {
                        let _ = task.await;
                    }
                }
            }),
            "call_soon_threadsafe" => {
                let handle = runtime.handle().clone();
                let (last, done) = oneshot::channel();
                let caller = elsewhere(move || {
                    let count = Arc::new(AtomicU32::new(0));
                    let last = Arc::new(std::sync::Mutex::new(Some(last)));
                    for _ in 0..operations {
                        let (count, last) = (count.clone(), last.clone());
                        handle.spawn(async move {
                            if count.fetch_add(1, Relaxed) + 1 == operations
                                && let Some(last) = last.lock().ok().and_then(|mut it| it.take())
                            {
                                let _ = last.send(());
                            }
                        });
                    }
                });
                let _ = local.block_on(runtime, done);
                return joined(caller);
            }
            other => return Err(unknown(other)),
        }
        Ok(Duration::ZERO)
    }
}

fn local_chain(last: Option<oneshot::Sender<()>>, left: u32) {
    spawn_local(async move {
        match (left, last) {
            (0, Some(last)) => {
                let _ = last.send(());
            }
            (_, last) => local_chain(last, left - 1),
        }
    });
}
