//! A client that asks many servers at once: a search over six shards, each on a connection of its own.
//!
//! A search takes what has come within its time. What comes later is no use to it, but to the next one that looks for the same,
//! so questions go on in a `shield` when the search no longer waits.
//!
//! What is wrong with it: such a question has no limit of its own. One shard loses a question now and then,
//! and who waits for that answer waits for ever: a task and a socket each time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use loopd_agent::event_loop::{
    Error, EventLoop, Result, Task, TaskGroup, create_task, gather_results, shield, sleep, wait_for,
};
use loopd_agent::net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const SHARDS: usize = 6;
/// How often somebody searches, and for how many different words.
const SEARCH_INTERVAL: Duration = Duration::from_millis(200);
const WORDS: u64 = 1_000;
/// What a search waits for one shard, and for all of them.
const SHARD_TIME: Duration = Duration::from_millis(80);
const SEARCH_TIME: Duration = Duration::from_millis(150);
/// Without all shards nothing begins; they have so long to say that they are there.
const START_TIME: Duration = Duration::from_secs(5);

/// Searches until `stop` resolves.
///
/// # Errors
/// If the agent's configuration is wrong, or a shard does not come up.
pub fn run(stop: impl Future<Output = ()> + 'static) -> Result<()> {
    let agent = loopd_agent::Config::from_env().app("fan-out").start()?;
    let searched = loopd_agent::run(search_until(stop));
    agent.shutdown(crate::GOODBYE);
    searched
}

async fn search_until(stop: impl Future<Output = ()>) -> Result<()> {
    let cluster = Cluster::open().await?;
    let index = Rc::new(Index { shards: cluster.addresses.clone(), known: RefCell::default() });
    wait_for(START_TIME, index.check()).await?;
    let searching = create_task(keep_searching(index))?;
    stop.await;
    searching.cancel();
    // Its cancellation is no error of ours.
    let _ = searching.await;
    cluster.close().await
}

async fn keep_searching(index: Rc<Index>) -> Result<()> {
    for search in 0u64.. {
        let index = index.clone();
        // In a task of its own: a slow one must not keep the next from beginning.
        create_task(async move {
            match wait_for(SEARCH_TIME, index.search(search * 7 % WORDS)).await {
                // Some shards were too slow. That is what there is.
                Ok(_) | Err(Error::TimedOut) => Ok(()),
                Err(error) => Err(error),
            }
        })?;
        sleep(SEARCH_INTERVAL).await?;
    }
    Ok(())
}

/// What knows which shard has what, and what they said.
struct Index {
    shards: Vec<SocketAddr>,
    /// What is known of a word, by shard: as much as there are words and shards.
    known: RefCell<HashMap<(usize, u64), u64>>,
}

impl Index {
    /// Whether all shards are there: if one is not, nobody waits for the others.
    async fn check(&self) -> Result<()> {
        TaskGroup::scope(async |group| {
            for &shard in &self.shards {
                group.create_task(ask(shard, 0))?;
            }
            Ok(())
        })
        .await
    }

    /// How often a word is found, as far as the shards say so in time.
    async fn search(self: Rc<Self>, word: u64) -> Result<u64> {
        let asked: Result<Vec<_>, _> =
            (0..SHARDS).map(|shard| create_task(self.clone().found_in(shard, word))).collect();
        let found = gather_results(asked?).await?;
        Ok(found.iter().flatten().sum())
    }

    async fn found_in(self: Rc<Self>, shard: usize, word: u64) -> Result<u64> {
        let known = self.known.borrow().get(&(shard, word)).copied();
        if let Some(found) = known {
            return Ok(found);
        }
        // Should we give up, the answer is still welcome.
        let question = self.clone().question(shard, word)?;
        wait_for(SHARD_TIME, shield(&question)).await
    }

    fn question(self: Rc<Self>, shard: usize, word: u64) -> Result<Task<u64>> {
        let address = self.shards[shard];
        let question = async move {
            let found = ask(address, word).await?;
            self.known.borrow_mut().insert((shard, word), found);
            Ok(found)
        };
        Ok(create_task(question)?) // <- disease
    }
}

/// Asks a shard, and waits for as long as that takes.
async fn ask(shard: SocketAddr, word: u64) -> Result<u64> {
    let mut stream = net::TcpStream::connect(shard).await?;
    stream.write_u64(word).await?;
    Ok(stream.read_u64().await?)
}

/// The shards, on a loop and in a thread of their own: somebody else's programs.
struct Cluster {
    addresses: Vec<SocketAddr>,
    close: oneshot::Sender<()>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Cluster {
    async fn open() -> Result<Self> {
        let (tell, addresses) = oneshot::channel();
        let (close, closed) = oneshot::channel();
        let serve = async {
            let mut addresses = Vec::new();
            for number in 0..SHARDS {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                addresses.push(listener.local_addr()?);
                create_task(shard(number, listener))?;
            }
            // Who asked may be gone; then so is the other end of `closed`.
            let _ = tell.send(addresses);
            let _ = closed.await;
            Ok(())
        };
        let thread = thread::Builder::new().name("shards".into());
        let thread = thread.spawn(|| loopd_agent::run(serve))?;
        Ok(Self { addresses: addresses.await?, close, thread })
    }

    async fn close(self) -> Result<()> {
        drop(self.close);
        // Waiting for a thread blocks, and is nothing for the loop.
        let closed =
            || self.thread.join().unwrap_or_else(|_| Err(Error::new("the shards panicked")));
        EventLoop::running()?.run_in_executor(None, closed)?.await
    }
}

/// The shard that loses questions, and which of them.
const FORGETFUL: usize = 4;
const LOST: u64 = 3;
/// So many it keeps. Beyond that the oldest are answered after all, so that a demo may run for a day.
const MAX_LOST: usize = 200;

async fn shard(number: usize, listener: TcpListener) -> Result<()> {
    let lost = Rc::new(RefCell::new(VecDeque::new()));
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // No file descriptor is free. They come back.
            sleep(Duration::from_millis(50)).await?;
            continue;
        };
        let lost = lost.clone();
        create_task(async move {
            let answered: io::Result<()> = async {
                let word = stream.read_u64().await?;
                if number == FORGETFUL && word % LOST == 1 {
                    return match lose(&lost, stream) {
                        Some(mut oldest) => oldest.write_u64(0).await,
                        None => Ok(()),
                    };
                }
                tokio::time::sleep(Duration::from_millis(5 + word % 20)).await;
                stream.write_u64(word % 100).await
            }
            .await;
            // Who asked may have hung up.
            let _ = answered;
            Ok(())
        })?;
    }
}

/// Forgets a question, but not its connection. Gives the one that is to be answered after all.
fn lose(lost: &RefCell<VecDeque<TcpStream>>, stream: TcpStream) -> Option<TcpStream> {
    let mut lost = lost.borrow_mut();
    lost.push_back(stream);
    if lost.len() > MAX_LOST { lost.pop_front() } else { None }
}
