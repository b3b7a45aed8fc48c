//! A loop in each of several threads, and calls between them: a store of keys and values without a lock.
//!
//! Four shards have a quarter of the keys each, in the thread of their loop, where nobody else can touch them. Whoever wants
//! a value asks that loop with `run_coroutine_threadsafe` and awaits the answer in its own; shards tell the
//! main loop how they are doing with `call_soon_threadsafe`.
//!
//! What is wrong with it: each change is also sent to a backup, which blocks and so is for an executor. All shards
//! share one of two threads. That is too few, and every change stands in a queue.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loopd_agent::event_loop::{
    Error, EventLoop, Executor, LoopHandle, Result, Task, ThreadPool, create_task, gather_results,
    sleep, wait_for,
};
use tokio::sync::oneshot;

const SHARDS: u64 = 4;
/// More than these it does not take.
const MAX_KEYS: usize = 100_000;
/// Threads that send to the backup.
const BACKUP_THREADS: usize = 2;
/// What the backup takes for one change.
const BACKUP_TIME: Duration = Duration::from_millis(40);
/// How often shards say how they are doing.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

const CUSTOMERS: u64 = 24;
/// What they have to do with.
const KEYS: u64 = 10_000;
/// Before it asks again, a customer does something else.
const PAUSE: Duration = Duration::from_millis(20);
/// Of so many things that a customer does, one is a change.
const READS_PER_CHANGE: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the store until `stop` resolves.
///
/// # Errors
/// If the agent's configuration is wrong, or a thread cannot be started.
pub fn run(stop: impl Future<Output = ()> + 'static) -> Result<()> {
    let agent = loopd_agent::Config::from_env().app("many-loops").start()?;
    let kept = loopd_agent::run(keep(stop));
    agent.shutdown(crate::GOODBYE);
    kept
}

async fn keep(stop: impl Future<Output = ()>) -> Result<()> {
    let store = Rc::new(Store::open().await?);
    let customers: Vec<Task<()>> = (0..CUSTOMERS)
        .map(|number| create_task(customer(store.clone(), number)))
        .collect::<Result<_, _>>()?;
    stop.await;
    // First those who ask, then those who answer.
    for customer in &customers {
        customer.cancel();
    }
    let _ = gather_results(customers).await;
    match Rc::into_inner(store) {
        Some(store) => store.close().await,
        None => Err(Error::new("somebody still has the store")),
    }
}

async fn customer(store: Rc<Store>, number: u64) -> Result<()> {
    for turn in 0u64.. {
        let key = (number * 7_919 + turn * 104_729) % KEYS;
        if turn.is_multiple_of(READS_PER_CHANGE) {
            wait_for(PATIENCE, store.set(key, turn)).await?;
        } else {
            wait_for(PATIENCE, store.get(key)).await?;
        }
        sleep(PAUSE).await?;
    }
    Ok(())
}

thread_local! {
    /// What the shard of this thread has. Nobody else gets at it, so that it needs no lock.
    static VALUES: RefCell<HashMap<u64, u64>> = RefCell::default();
    /// How many keys there are, as far as the main thread was told.
    static KNOWN_KEYS: Cell<usize> = const { Cell::new(0) };
}

/// The shards, as the main thread has them.
struct Store {
    shards: Vec<Shard>,
    backup: Arc<dyn Executor>,
}

/// A loop in a thread of its own.
struct Shard {
    event_loop: LoopHandle,
    close: oneshot::Sender<()>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Store {
    async fn open() -> Result<Self> {
        let main = EventLoop::running()?.handle();
        let mut shards = Vec::new();
        for number in 0..SHARDS {
            shards.push(Shard::open(number, main.clone()).await?);
        }
        Ok(Self { shards, backup: Arc::new(ThreadPool::new(BACKUP_THREADS, "backup")) })
    }

    fn shard_of(&self, key: u64) -> &LoopHandle {
        &self.shards[(key % SHARDS) as usize].event_loop
    }

    async fn get(&self, key: u64) -> Result<Option<u64>> {
        let get = move || async move { Ok(VALUES.with_borrow(|values| values.get(&key).copied())) };
        self.shard_of(key).run_coroutine_threadsafe(get)?.await
    }

    /// Sets a value; gives the one before.
    async fn set(&self, key: u64, value: u64) -> Result<Option<u64>> {
        if KNOWN_KEYS.get() >= MAX_KEYS {
            return Err(Error::new("the store is full"));
        }
        let backup = self.backup.clone();
        let set = move || async move {
            let before = VALUES.with_borrow_mut(|values| values.insert(key, value));
            back_up(&backup, key, value).await?;
            Ok(before)
        };
        self.shard_of(key).run_coroutine_threadsafe(set)?.await
    }

    async fn close(self) -> Result<()> {
        for shard in self.shards {
            shard.close().await?;
        }
        Ok(())
    }
}

/// Sends a change to the backup, in a thread that may block.
async fn back_up(backup: &Arc<dyn Executor>, key: u64, value: u64) -> Result<()> {
    let send = move || send_to_backup(key, value);
    EventLoop::running()?.run_in_executor(Some(backup), send)?.await // <- disease
}

/// In the place of a network, and a disk beyond it.
fn send_to_backup(_key: u64, _value: u64) -> Result<()> {
    thread::sleep(BACKUP_TIME);
    Ok(())
}

impl Shard {
    async fn open(number: u64, main: LoopHandle) -> Result<Self> {
        let (tell, told) = oneshot::channel();
        let (close, closed) = oneshot::channel();
        let serve = async {
            // Who opens it may be gone; then so is the other end of `closed`.
            let _ = tell.send(EventLoop::running()?.handle());
            create_task(report(main))?;
            let _ = closed.await;
            Ok(())
        };
        let thread = thread::Builder::new().name(format!("shard-{number}"));
        let thread = thread.spawn(|| loopd_agent::run(serve))?;
        Ok(Self { event_loop: told.await?, close, thread })
    }

    async fn close(self) -> Result<()> {
        drop(self.close);
        // Waiting for a thread blocks, and is nothing for the loop.
        let closed = || self.thread.join().unwrap_or_else(|_| Err(Error::new("a shard panicked")));
        EventLoop::running()?.run_in_executor(None, closed)?.await
    }
}

/// Tells the main loop now and then how many keys have come.
async fn report(main: LoopHandle) -> Result<()> {
    let mut reported = 0;
    loop {
        sleep(REPORT_INTERVAL).await?;
        let keys = VALUES.with_borrow(HashMap::len);
        let new = keys - std::mem::replace(&mut reported, keys);
        main.call_soon_threadsafe(move || KNOWN_KEYS.set(KNOWN_KEYS.get() + new))?;
    }
}
