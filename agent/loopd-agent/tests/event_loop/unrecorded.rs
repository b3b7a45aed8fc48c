//! What a loop does on a thread for which no ring is left is counted, as much as would have been recorded.

use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use loopd_agent::embed::{self, Embedded, EmbeddedLoop, Thread};
use loopd_agent::event_loop::{EventLoop, yield_now};
use loopd_agent::{Config, DropCause, RecordKind, Tracked};
use loopd_model::Loss;

use crate::collector::{Collector, LIMIT, Seen};

const KINDS: [RecordKind; 2] = [RecordKind::Poll, RecordKind::Wake];

/// What [`work`] makes of each of [`KINDS`], with the callback that ends its run.
const MADE: [u64; 2] = [STEPS + 1 + CALLBACKS + TIMERS + 1; 2];
const STEPS: u64 = 20;
const CALLBACKS: u64 = 5;
const TIMERS: u64 = 3;

/// Steps, callbacks and timers.
fn work(it: &EventLoop) {
    let ran = it.run_until_complete(async {
        let it = EventLoop::running()?;
        for _ in 0..CALLBACKS {
            it.call_soon(|| ())?;
        }
        for _ in 0..TIMERS {
            it.call_later(Duration::ZERO, || ())?;
        }
        for _ in 0..STEPS {
            yield_now().await?;
        }
        Ok(())
    });
    ran.unwrap();
}

/// Threads that have all rings between them, until the last of them passes the barrier.
fn take_all_rings() -> (Arc<Barrier>, Vec<JoinHandle<()>>) {
    /// More than there is memory for.
    const THREADS: usize = 64;
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let holders = (0..THREADS).map(|_| {
        let barrier = barrier.clone();
        std::thread::spawn(move || {
            drop(Tracked::new("thing", "held", ()));
            // They have theirs, or none; and they go.
            barrier.wait();
            barrier.wait();
        })
    });
    let holders = holders.collect();
    barrier.wait();
    (barrier, holders)
}

fn start(collector: &Collector) -> loopd_agent::Agent {
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    config.memory_limit(1 << 20).start().unwrap()
}

fn lost(seen: &Seen, kind: RecordKind, cause: DropCause) -> u64 {
    let losses = seen.batches.values().flat_map(|batch| &batch.losses);
    let is_it = |loss: &&Loss| (loss.kind, loss.cause) == (kind, cause);
    losses.filter(is_it).map(|loss| loss.count).sum()
}

#[test]
fn with_a_ring_all_of_it_is_recorded() {
    let collector = Collector::start();
    let agent = start(&collector);
    work(&EventLoop::named("mine").unwrap());
    assert!(agent.shutdown(LIMIT).complete);
    let seen = collector.seen();
    assert_eq!(KINDS.map(|kind| seen.stored_and_lost(kind)), MADE.map(|made| (made, 0)));
}

#[test]
fn without_a_ring_all_of_it_is_counted() {
    let collector = Collector::start();
    let agent = start(&collector);
    let (barrier, holders) = take_all_rings();
    work(&EventLoop::named("mine").unwrap());
    barrier.wait();
    holders.into_iter().for_each(|holder| holder.join().unwrap());
    assert!(agent.shutdown(LIMIT).complete);
    let seen = collector.seen();
    assert_eq!(KINDS.map(|kind| seen.stored_and_lost(kind).0), [0, 0]);
    assert_eq!(KINDS.map(|kind| lost(&seen, kind, DropCause::NoRing)), MADE);
    for entry in &seen.goodbyes[0].ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!((entry.produced, entry.dropped), (stored + lost, lost), "{:?}", entry.kind);
    }
}

#[test]
fn without_a_ring_what_an_embedded_agent_tells_is_counted() {
    const STEPS: u64 = 5;
    let collector = Collector::start();
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let embedded = Embedded { agent: "test", sampler: None, coverage: Vec::new() };
    let agent = embed::start(config.memory_limit(1 << 20), embedded).unwrap();
    let loop_ = EmbeddedLoop::open("mine", "asyncio");
    let (barrier, holders) = take_all_rings();
    for step in 0..STEPS {
        let (thread, now) = (Thread::current(), embed::ticks());
        let began = thread.begin_step(&loop_, 1);
        assert_ne!(began, 0);
        // The first is a timer's.
        if step == 0 {
            thread.late(began, 1_000, 1);
        }
        thread.end_step(&loop_, began, (step > 0).then_some((now, 0)));
        thread.parked(&loop_, now, embed::ticks());
    }
    barrier.wait();
    holders.into_iter().for_each(|holder| holder.join().unwrap());
    assert!(agent.shutdown(LIMIT).complete);
    let seen = collector.seen();
    for kind in [RecordKind::Poll, RecordKind::Wake, RecordKind::Park] {
        assert_eq!(seen.stored_and_lost(kind), (0, STEPS), "{kind:?}");
        assert_eq!(lost(&seen, kind, DropCause::NoRing), STEPS, "{kind:?}");
    }
}
