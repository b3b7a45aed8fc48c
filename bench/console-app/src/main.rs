//! Does a known number of things, says so, and stays until its standard input ends.
//!
//! `loopd-console-app ADDR` or `loopd-console-app /PATH/OF/SOCKET` is where console-subscriber listens.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use console_subscriber::{ConsoleLayer, ServerAddr};
use tokio::runtime::Builder;
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
    let place = std::env::args().nth(1).ok_or("say where to listen: an address or a path")?;
    let place = match place.parse::<SocketAddr>() {
        Ok(addr) => ServerAddr::Tcp(addr),
        Err(_) => ServerAddr::Unix(PathBuf::from(place)),
    };
    let layer = ConsoleLayer::builder()
        .server_addr(place)
        .publish_interval(Duration::from_millis(200))
        .spawn();
    tracing_subscriber::registry().with(layer).init();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    #[cfg(feature = "loopd")]
    let agent = loopd_agent::Config::from_env().start()?;
    #[cfg(feature = "loopd")]
    let runtime = {
        let limit = Instant::now() + Duration::from_secs(20);
        while !loopd_agent::stats().connected && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Records are on their way once the clock is calibrated.
        std::thread::sleep(Duration::from_millis(300));
        agent.attach("main", builder).build()?
    };
    #[cfg(not(feature = "loopd"))]
    let runtime = builder.build()?;
    let handle = runtime.handle().clone();
    let _entered = handle.enter();
    let work = start()?;
    handle.block_on(async {
        for done in work {
            // Each says when it is done, and stays.
            let _ = done.await;
        }
    });
    println!("done");
    // Until whoever started it goes.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

type Done = tokio::sync::oneshot::Receiver<()>;

fn start() -> Result<Vec<Done>, Box<dyn Error>> {
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

#[cfg(not(feature = "loopd"))]
fn spawn(
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> Result<(), std::io::Error> {
    tokio::task::Builder::new().name(name).spawn(future).map(drop)
}

/// Through loopd, which then knows of wakes as well.
#[cfg(feature = "loopd")]
fn spawn(
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> Result<(), std::io::Error> {
    drop(loopd_agent::task(name).spawn(future));
    Ok(())
}

fn compute(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}
