//! Everything at once: threads, runtimes and tasks that come and go, panic and are aborted, record
//! while they are torn down, fork, and a collector that keeps dying. Nothing crashes or hangs, and
//! in the end every record is stored or counted as lost: the test keeps its own count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use loopd_agent::{Agent, DropCause, RecordKind, Tracked};
use loopd_model::Loss;
use tokio::task::{JoinHandle, JoinSet};

use crate::collector::{Collector, LIMIT, Seen};
use crate::{agent_for, current_thread, multi_thread};

const THREADS: usize = 200;
/// Runtimes, one after the other on each of two threads, and groups of tasks on each: a million tasks
/// in a release build, a fifth of that in a debug build.
const RUNTIMES: usize = 20;
const GROUPS: usize = if cfg!(debug_assertions) { 50 } else { 250 };
/// How many tasks the `group` below spawns, not counting what they and the hooks spawn.
const GROUP: usize = 100;

/// What should have been recorded.
static RESOURCES: AtomicU64 = AtomicU64::new(0);
static TASKS: AtomicU64 = AtomicU64::new(0);
static POLLS: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

/// A resource that is opened and closed.
fn touch() {
    count(&RESOURCES, 2);
    drop(Tracked::new("thing", "touched", ()));
}

/// Records when dropped.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        touch();
    }
}

thread_local! {
    static EARLY: Last = const { Last };
    static LATE: Last = const { Last };
    static IS_IN_HOOK: AtomicBool = const { AtomicBool::new(false) };
}

/// A thread that records from its first to its very last moment.
fn short_thread() {
    EARLY.with(|_| ());
    for _ in 0..20 {
        touch();
    }
    LATE.with(|_| ());
}

/// Counts the polls of a future that no hook counts.
async fn counted<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        count(&POLLS, 1);
        future.as_mut().poll(context)
    })
    .await
}

/// A task whose spawn and end are two records.
fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    count(&TASKS, 2);
    if cfg!(tokio_unstable) { tokio::spawn(future) } else { loopd_agent::spawn(counted(future)) }
}

/// Never ready. Keeps a waker, unlike `std`'s, so that no record says that nothing can wake it.
async fn pending() {
    let mut kept = None;
    std::future::poll_fn(|context| {
        kept = Some(context.waker().clone());
        std::task::Poll::Pending
    })
    .await
}

/// Spawns when dropped.
struct Parent;

impl Drop for Parent {
    fn drop(&mut self) {
        spawn(async { touch() });
    }
}

/// A hundred tasks, most of them short, some of them bad.
async fn group() {
    let mut handles = Vec::new();
    for _ in 0..GROUP - 6 {
        handles.push(spawn(tokio::task::yield_now()));
    }
    handles.push(spawn(async { std::panic::panic_any("on purpose") }));
    let parent = Parent;
    handles.push(spawn(async move {
        tokio::task::yield_now().await;
        drop(parent);
        touch();
    }));
    let aborted = spawn(pending());
    aborted.abort();
    handles.push(aborted);
    // Dropped with tasks in it, inside a poll.
    handles.push(spawn(async {
        let mut set = JoinSet::new();
        count(&TASKS, 2);
        let pending = pending();
        let _ = if cfg!(tokio_unstable) {
            set.spawn(pending)
        } else {
            loopd_agent::JoinSetExt::spawn_recorded(&mut set, None, counted(pending))
        };
        tokio::task::yield_now().await;
    }));
    // Named, with a wake: spawn, name and end.
    count(&TASKS, 3);
    let named = async { tokio::time::sleep(Duration::from_micros(10)).await };
    handles.push(match cfg!(tokio_unstable) {
        true => loopd_agent::task("named").spawn(named),
        false => loopd_agent::task("named").spawn(counted(named)),
    });
    // Queued, begun and ended.
    count(&TASKS, 3);
    handles.push(loopd_agent::spawn_blocking(touch));
    for handle in handles {
        let _ = handle.await;
    }
}

/// Counts polls, and spawns from inside a hook now and then.
#[cfg(tokio_unstable)]
fn with_hooks(builder: loopd_agent::RuntimeBuilder) -> loopd_agent::RuntimeBuilder {
    let spawned = AtomicU64::new(0);
    builder.on_after_task_poll(|_| count(&POLLS, 1)).on_task_spawn(move |_| {
        let is_first = IS_IN_HOOK.with(|is_in_hook| !is_in_hook.swap(true, Relaxed));
        if is_first {
            if spawned.fetch_add(1, Relaxed).is_multiple_of(50) {
                spawn(async { touch() });
            }
            IS_IN_HOOK.with(|is_in_hook| is_in_hook.store(false, Relaxed));
        }
    })
}

#[cfg(not(tokio_unstable))]
fn with_hooks(builder: loopd_agent::RuntimeBuilder) -> loopd_agent::RuntimeBuilder {
    builder
}

fn runtimes(agent: &Agent) {
    for index in 0..RUNTIMES {
        let builder = if index % 2 == 0 { multi_thread(2) } else { current_thread() };
        let runtime = with_hooks(agent.attach("short", builder)).build().unwrap();
        count(&TASKS, 2);
        runtime.block_on(counted(async {
            for _ in 0..GROUPS {
                group().await;
            }
            // Left behind for the runtime's end.
            spawn(pending());
        }));
    }
}

/// A child that touches what it has inherited and leaves.
#[expect(unsafe_code, reason = "there is no safe fork")]
fn fork() {
    // SAFETY: the child records nothing, allocates nothing and leaves without running anything of
    // the parent's; `status` is valid for writes.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            drop(Tracked::new("thing", "in the child", ()));
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        assert_eq!(status, 0);
    }
}

/// Keeps killing the collector until everything else is over.
fn flap(collector: &mut Collector, is_over: &AtomicBool) {
    for turn in 0u64.. {
        let before = collector.seen().seqs.len();
        let deadline = std::time::Instant::now() + Duration::from_millis(500);
        while collector.seen().seqs.len() < before + 2 && std::time::Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        if is_over.load(Relaxed) {
            return;
        }
        match turn % 3 {
            0 => collector.script(|script| script.hangs_up_after = Some(1)),
            1 => collector.script(|script| script.acks = !script.acks),
            _ => collector.restart(),
        }
    }
}

fn check(seen: &Seen) {
    let ledger = &seen.goodbyes.last().unwrap().ledger;
    for entry in ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        let losses = seen.batches.values().flat_map(|batch| &batch.losses);
        let is_evicted =
            |loss: &&Loss| loss.kind == entry.kind && loss.cause == DropCause::WindowEvicted;
        let evicted: u64 = losses.filter(is_evicted).map(|loss| loss.count).sum();
        // The ledger leaves out what its batches say they were stripped of.
        let expected = (stored + lost, lost - evicted);
        assert_eq!((entry.produced, entry.dropped), expected, "{:?}", entry.kind);
    }
    for (kind, expected) in
        [(RecordKind::Resource, &RESOURCES), (RecordKind::Task, &TASKS), (RecordKind::Poll, &POLLS)]
    {
        let (stored, lost) = seen.stored_and_lost(kind);
        assert_eq!(stored + lost, expected.load(Relaxed), "{kind:?}: {stored} and {lost} lost");
        assert!(stored > 0, "{kind:?}");
    }
}

#[test]
fn whatever_happens_every_record_is_stored_or_counted_as_lost() {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            eprintln!("{info}");
        }
    }));
    let mut collector = Collector::start();
    let agent = agent_for(&collector);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flapping = scope.spawn(|| {
            flap(&mut collector, &is_over);
            collector.script(|script| (script.acks, script.hangs_up_after) = (true, None));
        });
        let mut busy = vec![scope.spawn(|| runtimes(&agent)), scope.spawn(|| runtimes(&agent))];
        // All at once: more than there is ring memory for.
        busy.extend((0..THREADS).map(|_| scope.spawn(short_thread)));
        for _ in 0..5 {
            fork();
            busy.extend((0..10).map(|_| scope.spawn(short_thread)));
        }
        busy.into_iter().for_each(|thread| thread.join().unwrap());
        is_over.store(true, Relaxed);
        flapping.join().unwrap();
    });
    let flushed = agent.shutdown(LIMIT * 2);
    assert!(flushed.complete, "{:?}", loopd_agent::stats());
    assert!(loopd_agent::stats().memory < 32 << 20, "{:?}", loopd_agent::stats());
    check(&collector.seen());
}
