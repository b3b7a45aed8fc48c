//! A client that asks many servers at once: a search over six shards, each on a connection of its own.
//!
//! A search takes what has come within its time. What comes later is no use to it, but to the next one that
//! looks for the same, so questions go on in a `shield` when the search no longer waits.
//!
//! What is wrong with it: a question has a limit, but the one that is asked again after it has none. One
//! shard loses some questions, and loses them again: a task and a socket that wait for ever, each time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use loopd_agent::event_loop::{
    Error, Result, TaskGroup, create_task, gather_results, shield, sleep, wait_for,
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
/// How long an answer is good for the next search.
const QUESTION_TIME: Duration = Duration::from_millis(500);
/// Without all shards nothing begins; they have so long to say that they are there.
const START_TIME: Duration = Duration::from_secs(5);

/// Searches until `stop` resolves.
///
/// # Errors
/// If the agent's configuration is wrong, or a shard does not come up.
pub fn run(stop: impl Future<Output = ()> + 'static) -> Result<()> {
    let agent = loopd_agent::Config::from_env().app("fan-out").start()?;
    let cluster = Cluster::open()?;
    let searched = loopd_agent::run(search_until(stop, cluster.addresses.clone()));
    let closed = cluster.close();
    agent.shutdown(crate::GOODBYE);
    searched.and(closed)
}

async fn search_until(stop: impl Future<Output = ()>, shards: Vec<SocketAddr>) -> Result<()> {
    let index = Rc::new(Index { shards, known: RefCell::default() });
    wait_for(START_TIME, index.check()).await?;
    // It ends with the loop: `run` cancels what is left.
    create_task(keep_searching(index))?;
    stop.await;
    Ok(())
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
        let asked: Result<Vec<_>, _> = (0..self.shards.len())
            .map(|shard| create_task(self.clone().found_in(shard, word)))
            .collect();
        let found = gather_results(asked?).await?;
        Ok(found.into_iter().flatten().flatten().sum())
    }

    /// How often a shard finds it; `None` if it does not say so in time.
    async fn found_in(self: Rc<Self>, shard: usize, word: u64) -> Result<Option<u64>> {
        let known = self.known.borrow().get(&(shard, word)).copied();
        if known.is_some() {
            return Ok(known);
        }
        // Should we give up, the answer is still welcome.
        let question = create_task(self.question(shard, word))?;
        match wait_for(SHARD_TIME, shield(&question)).await {
            Err(Error::TimedOut) => Ok(None),
            found => found,
        }
    }

    async fn question(self: Rc<Self>, shard: usize, word: u64) -> Result<Option<u64>> {
        match wait_for(QUESTION_TIME, ask(self.shards[shard], word)).await {
            Ok(found) => Ok(Some(self.keep(shard, word, found))),
            Err(Error::TimedOut) => {
                // Perhaps it was only busy: the next search may find it.
                create_task(self.ask_again(shard, word))?; // <- disease
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask_again(self: Rc<Self>, shard: usize, word: u64) -> Result<()> {
        let found = ask(self.shards[shard], word).await?;
        self.keep(shard, word, found);
        Ok(())
    }

    fn keep(&self, shard: usize, word: u64, found: u64) -> u64 {
        self.known.borrow_mut().insert((shard, word), found);
        found
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
    /// Before there is a loop in this thread, so it may block.
    fn open() -> Result<Self> {
        let (tell, addresses) = std::sync::mpsc::channel();
        let (close, closed) = oneshot::channel();
        let serve = async move {
            let mut addresses = Vec::new();
            for number in 0..SHARDS {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                addresses.push(listener.local_addr()?);
                create_task(shard(number, listener))?;
            }
            // Who opens it may be gone; then so is the other end of `closed`.
            let _ = tell.send(addresses);
            let _ = closed.await;
            Ok(())
        };
        let thread = thread::Builder::new().name("shards".into());
        let thread = thread.spawn(|| loopd_agent::run(serve))?;
        Ok(Self { addresses: addresses.recv()?, close, thread })
    }

    fn close(self) -> Result<()> {
        drop(self.close);
        self.thread.join().unwrap_or_else(|_| Err(Error::new("the shards panicked")))
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
