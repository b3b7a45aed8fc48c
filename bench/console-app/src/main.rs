//! Does a known number of things, says so, and stays until its standard input ends.
//!
//! `loopd-console-app WHERE [WHAT]`: console-subscriber listens at an address or the path of a socket, or not
//! at all if that is `-`; `WHAT` is `steady` (the default), `sick`, or so many tasks that do nothing.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, ServerAddr};
#[cfg(feature = "loopd")]
use loopd_agent::{Agent, Runtime};
#[cfg(not(feature = "loopd"))]
use tokio::runtime::Runtime;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Mutex, Semaphore};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Tasks that do the same, and stay.
const STEADY: usize = 8;
/// So often each of them sleeps.
const ROUNDS: usize = 100;
/// So long each computes in every round: much more than what it costs to record a poll.
const WORK: Duration = Duration::from_micros(600);

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).ok_or("say where to listen: an address, a path, or -")?;
    let what = std::env::args().nth(2).unwrap_or_else(|| "steady".to_owned());
    let is_sick = what == "sick";
    subscribe(&place);
    let mut builder = Builder::new_multi_thread();
    // One of them never comes back.
    builder.worker_threads(if is_sick { 3 } else { 2 }).enable_all();
    let (runtime, _agent) = recorded(builder)?;
    let handle = runtime.handle().clone();
    let _entered = handle.enter();
    let work = match what.parse::<usize>() {
        Ok(many) => idle(&handle, many)?,
        Err(_) if is_sick => sick()?,
        Err(_) => steady()?,
    };
    handle.block_on(async {
        for done in work {
            // Each says when it is done, and stays.
            let _ = done.await;
        }
    });
    println!("done");
    // Until whoever started it goes.
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

/// Installs console-subscriber, and beside it the agent's own layer, which hears the same.
fn subscribe(place: &str) {
    let place = match place.parse::<SocketAddr>() {
        Ok(addr) => ServerAddr::Tcp(addr),
        Err(_) if place == "-" => {
            #[cfg(feature = "loopd")]
            tracing_subscriber::registry().with(loopd_agent::layer()).init();
            return;
        }
        Err(_) => ServerAddr::Unix(PathBuf::from(place)),
    };
    let layer = ConsoleLayer::builder()
        .server_addr(place)
        .publish_interval(Duration::from_millis(200))
        .spawn();
    let registry = tracing_subscriber::registry().with(layer);
    #[cfg(feature = "loopd")]
    let registry = registry.with(loopd_agent::layer());
    registry.init();
}

#[cfg(not(feature = "loopd"))]
fn recorded(mut builder: Builder) -> Result<(Runtime, ()), Box<dyn Error>> {
    Ok((builder.build()?, ()))
}

#[cfg(feature = "loopd")]
fn recorded(builder: Builder) -> Result<(Runtime, Agent), Box<dyn Error>> {
    let agent = loopd_agent::Config::from_env().start()?;
    let limit = Instant::now() + Duration::from_secs(20);
    // Records are on their way once the clock is calibrated: then a first batch can be made and stored.
    while loopd_agent::stats().durable_seq == 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((agent.attach("main", builder).build()?, agent))
}

type Done = tokio::sync::oneshot::Receiver<()>;

/// Tasks with all that tokio-console warns of, beside healthy ones.
fn sick() -> Result<Vec<Done>, Box<dyn Error>> {
    let mut all = busy()?;
    // In its first poll, for ever.
    let (started, has_started) = tokio::sync::oneshot::channel();
    spawn("greedy", async move {
        let _ = started.send(());
        loop {
            std::thread::park();
        }
    })?;
    all.push(has_started);
    // Wakes itself, and has a waker left afterwards.
    let (done, is_done) = tokio::sync::oneshot::channel();
    let (mut done, mut rounds) = (Some(done), 0);
    spawn(
        "selfish",
        std::future::poll_fn(move |context| {
            rounds += 1;
            if rounds <= ROUNDS {
                context.waker().wake_by_ref();
            } else if let Some(done) = done.take() {
                std::mem::forget(context.waker().clone());
                let _ = done.send(());
            }
            Poll::Pending
        }),
    )?;
    all.push(is_done);
    // Nobody can wake it.
    spawn("forgotten", std::future::pending())?;
    // Larger than most, and so large that tokio puts it into a box; nobody can wake these either.
    spawn("large", with::<1_200>())?;
    spawn("boxed", with::<40_000>())?;
    Ok(all)
}

/// Has so many bytes with it while it waits.
async fn with<const BYTES: usize>() {
    let bytes = std::hint::black_box([1u8; BYTES]);
    std::future::pending::<()>().await;
    std::hint::black_box(bytes);
}

/// So many tasks that do nothing, at a pace that console-subscriber and the agent can follow.
fn idle(handle: &Handle, many: usize) -> Result<Vec<Done>, Box<dyn Error>> {
    let mut seen = seen_tasks();
    for first in (0..many).step_by(500) {
        for _ in first..many.min(first + 500) {
            spawn("idle", std::future::pending())?;
        }
        handle.block_on(tokio::time::sleep(Duration::from_millis(5)));
        if (first + 500).is_multiple_of(PACE) {
            let limit = Instant::now() + Duration::from_secs(60);
            while !is_seen(seen) && Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(5));
            }
            seen = seen_tasks();
        }
    }
    Ok(Vec::new())
}

/// The agent's buffers are for moments; a machine may stand still for longer. So many tasks have room twice.
const PACE: usize = 1_000;

/// Whether the agent has come by its buffers since it had taken so many records out of them.
#[cfg(feature = "loopd")]
fn is_seen(before: u64) -> bool {
    seen_tasks() >= before + PACE as u64
}

#[cfg(not(feature = "loopd"))]
fn is_seen(_: u64) -> bool {
    true
}

/// Records of tasks that the agent has taken out of its buffers.
#[cfg(feature = "loopd")]
fn seen_tasks() -> u64 {
    let produced = loopd_agent::stats().produced;
    let of_tasks = produced.iter().filter(|(kind, _)| *kind == loopd_agent::RecordKind::Task);
    of_tasks.map(|(_, count)| count).sum()
}

#[cfg(not(feature = "loopd"))]
fn seen_tasks() -> u64 {
    0
}

/// Tasks that compute and sleep by turns, and stay.
fn busy() -> Result<Vec<Done>, Box<dyn Error>> {
    let mut all = Vec::new();
    for _ in 0..STEADY {
        let (done, is_done) = tokio::sync::oneshot::channel();
        spawn("steady", async move {
            for _ in 0..ROUNDS {
                compute(WORK);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let _ = done.send(());
            std::future::pending::<()>().await;
        })?;
        all.push(is_done);
    }
    Ok(all)
}

fn steady() -> Result<Vec<Done>, Box<dyn Error>> {
    let mut all = busy()?;
    // One poll of a fifth of a second.
    let (done, is_done) = tokio::sync::oneshot::channel();
    spawn("slow", async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::thread::sleep(Duration::from_millis(200));
        let _ = done.send(());
        std::future::pending::<()>().await;
    })?;
    all.push(is_done);
    // Tasks that end.
    for _ in 0..50 {
        spawn("short", async { tokio::task::yield_now().await })?;
    }
    // One has a lock for ever, another waits for it; of three permits one is taken.
    let lock = Arc::new(Mutex::new(()));
    let permits = Arc::new(Semaphore::new(3));
    let (first, has_it) = tokio::sync::oneshot::channel();
    let held = lock.clone();
    spawn("holder", async move {
        let _guard = held.lock().await;
        let _permit = permits.acquire().await;
        let _ = first.send(());
        std::future::pending::<()>().await;
    })?;
    spawn("waiter", async move {
        let _ = has_it.await;
        let _guard = lock.lock().await;
    })?;
    Ok(all)
}

#[track_caller]
fn spawn(
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> Result<(), std::io::Error> {
    tokio::task::Builder::new().name(name).spawn(future).map(drop)
}

fn compute(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}
