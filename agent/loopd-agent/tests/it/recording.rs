//! What is recorded, and that it is all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use loopd_agent::{JoinSetExt, RecordKind, Tracked};
use loopd_model::{CloseHow, EventKind, Outcome, TaskId, TaskKind};
use tokio::task::JoinHandle;

use crate::collector::{Collector, Seen};
use crate::{FLUSH, agent_for, current_thread, multi_thread, spawn};

fn outcome(seen: &Seen, task: u64) -> Vec<Outcome> {
    let ends = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskEnded { task: of, outcome } if of.0 == task => Some(*outcome),
        _ => None,
    });
    ends.collect()
}

fn spawned(seen: &Seen, task: u64) -> (TaskKind, u64, u64, u32) {
    let mut spawns = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskSpawned { task: of, loop_id, spawn_location, parent, kind }
            if of.0 == task =>
        {
            let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
            let place = places.find(|place| place.id == *spawn_location).unwrap();
            assert!(place.file.ends_with("tests/it/recording.rs"), "{}", place.file);
            Some((*kind, loop_id.0, parent.0, place.line))
        }
        _ => None,
    });
    let spawn = spawns.next().unwrap();
    assert_eq!(spawns.next(), None, "task {task} was spawned twice");
    spawn
}

async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

const TASKS: u64 = 200;
const YIELDS: usize = 1_000;

/// Records a storm of polls by tasks that `spawn` makes: every spawn, poll and end is there, or
/// counted as lost. Gives what arrived and what tokio itself counted.
fn check_storm(
    builder: tokio::runtime::Builder,
    spawn: impl Fn() -> JoinHandle<()>,
) -> (Seen, tokio::runtime::RuntimeMetrics) {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("storm", builder).build().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|_| spawn()).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);

    let seen = collector.seen();
    let polls = seen.spans(RecordKind::Poll);
    let (stored, lost) = seen.stored_and_lost(RecordKind::Poll);
    assert_eq!(stored as usize, polls.len());
    let of_tasks = polls.iter().filter(|(.., span)| span.task < TaskId::FIRST_ROOT).count();
    let of_root = polls.len() - of_tasks;
    // A loss does not say whose poll it was.
    let missing = TASKS * (YIELDS as u64 + 1) - of_tasks as u64;
    assert!(of_root > 0 && missing <= lost, "{missing} missing, {lost} lost");
    let spawns = seen
        .events()
        .filter(|event| matches!(event.kind, EventKind::TaskSpawned { kind: TaskKind::Async, .. }));
    assert_eq!(spawns.count() as u64, TASKS);
    let ends = seen.events().filter(|event| match &event.kind {
        EventKind::TaskEnded { task, .. } => *task < TaskId::FIRST_ROOT,
        _ => false,
    });
    assert_eq!(ends.count() as u64, TASKS);
    assert_eq!(last_reading(&seen, "storm", "alive_tasks"), Some(0.0));
    check_ledger(&seen);
    (seen, metrics)
}

/// The final reading of one of tokio's counters: it comes after the loop's end.
fn last_reading(seen: &Seen, loop_name: &str, name: &str) -> Option<f64> {
    let id = seen.loop_named(loop_name).unwrap();
    let closed = seen.events().position(
        |event| matches!(event.kind, EventKind::LoopClosed { loop_id } if loop_id.0 == id),
    );
    let readings = seen.events().enumerate().filter_map(|(at, event)| match &event.kind {
        EventKind::Metrics { loop_id, metrics } if loop_id.0 == id => Some((at, metrics)),
        _ => None,
    });
    let (at, readings) = readings.last().unwrap();
    assert!(Some(at) > closed && closed.is_some());
    readings.iter().find(|reading| reading.name == name).map(|reading| reading.value)
}

/// Per kind: produced = stored + dropped, once everything is sent.
fn check_ledger(seen: &Seen) {
    let ledger = &seen.goodbyes.last().unwrap().ledger;
    assert!(!ledger.is_empty());
    for entry in ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!(entry.dropped, lost, "{:?}", entry.kind);
        assert_eq!(entry.produced, stored + lost, "{:?}", entry.kind);
    }
    for pair in seen.batches.values().collect::<Vec<_>>().windows(2) {
        assert!(pair[0].anchor.at <= pair[1].anchor.at);
    }
}

#[test]
fn every_poll_of_wrapped_tasks_is_counted_on_many_threads() {
    check_storm(multi_thread(2), || loopd_agent::spawn(yields(YIELDS)));
}

#[test]
fn every_poll_of_wrapped_tasks_is_counted_on_one_thread() {
    check_storm(current_thread(), || loopd_agent::spawn(yields(YIELDS)));
}

/// Tokio does not count polls from the LIFO slot, so that is off here.
#[cfg(tokio_unstable)]
fn check_counts(mut builder: tokio::runtime::Builder, workers: usize) {
    builder.disable_lifo_slot();
    let (seen, metrics) = check_storm(builder, || tokio::spawn(yields(YIELDS)));
    let mut per_worker = BTreeMap::new();
    for (_, worker, span) in seen.spans(RecordKind::Poll) {
        if span.task < TaskId::FIRST_ROOT {
            *per_worker.entry(worker).or_insert(0u64) += 1;
        }
    }
    if seen.stored_and_lost(RecordKind::Poll).1 == 0 {
        for worker in 0..workers {
            let own = metrics.worker_poll_count(worker);
            assert_eq!(per_worker.get(&(worker as u32)).copied().unwrap_or(0), own);
        }
    }
    assert_eq!(metrics.spawned_tasks_count(), TASKS);
    assert_eq!(last_reading(&seen, "storm", "spawned_tasks"), Some(TASKS as f64));
}

#[cfg(tokio_unstable)]
#[test]
fn counts_equal_tokios_own_on_many_threads() {
    check_counts(multi_thread(2), 2);
}

#[cfg(tokio_unstable)]
#[test]
fn counts_equal_tokios_own_on_one_thread() {
    check_counts(current_thread(), 1);
}

#[test]
fn the_root_of_block_on_is_a_task_of_its_own() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    runtime.block_on(yields(3));
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let root = TaskId::FIRST_ROOT.0;
    let (kind, loop_id, parent, _) = spawned(&seen, root);
    assert_eq!((kind, Some(loop_id), parent), (TaskKind::BlockOn, seen.loop_named("main"), 0));
    assert_eq!(outcome(&seen, root), [Outcome::Completed]);
    let polls = seen.spans(RecordKind::Poll);
    let of_root: Vec<_> = polls.iter().filter(|(.., poll)| poll.task.0 == root).collect();
    assert_eq!(of_root.len(), 4);
    // The caller is no worker: it has the lane after the last worker's, and a name on it.
    assert!(of_root.iter().all(|(of, worker, _)| (*of, *worker) == (loop_id, 1)));
    let this_thread = std::thread::current().name().map(str::to_owned);
    assert_eq!(seen.thread_of(loop_id, 1), this_thread);
    check_ledger(&seen);
}

#[test]
fn a_thread_without_a_name_has_a_lane_with_one_and_keeps_it() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let first = agent.attach("first", multi_thread(1)).build().unwrap();
    let second = agent.attach("second", multi_thread(1)).build().unwrap();
    std::thread::scope(|scope| {
        let takes_turns = || {
            for _ in 0..3 {
                first.block_on(async {});
                second.block_on(async {});
            }
        };
        scope.spawn(takes_turns).join().unwrap();
    });
    drop((first, second));
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    for name in ["first", "second"] {
        let id = seen.loop_named(name).unwrap();
        let lane = seen.thread_of(id, 1).unwrap();
        assert!(lane.starts_with("thread "), "{lane}");
        assert_eq!(seen.thread_of(id, 2), None);
    }
}

#[test]
fn wrapped_tasks_tell_their_name_and_how_they_ended() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let line = line!() + 2;
    runtime.block_on(async {
        loopd_agent::task("good").spawn(yields(3)).await.unwrap();
        let bad = loopd_agent::task("bad").spawn(async {
            tokio::task::yield_now().await;
            std::panic::panic_any("on purpose");
        });
        assert!(bad.await.unwrap_err().is_panic());
        let gone = loopd_agent::task("gone").spawn(std::future::pending::<()>());
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let mut set = tokio::task::JoinSet::new();
        set.spawn_recorded(Some("member"), yields(1));
        set.join_next().await.unwrap().unwrap();
        loopd_agent::task("left").spawn(std::future::pending::<()>());
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);

    let seen = collector.seen();
    let task = |name: &str| seen.task_named(name).unwrap();
    let expected = [
        ("good", Outcome::Completed),
        ("bad", Outcome::Panicked),
        ("gone", Outcome::Cancelled),
        ("member", Outcome::Completed),
        ("left", Outcome::Cancelled),
    ];
    for (name, how) in expected {
        assert_eq!(outcome(&seen, task(name)), [how], "{name}");
        let (kind, loop_id, parent, _) = spawned(&seen, task(name));
        assert_eq!((kind, Some(loop_id)), (TaskKind::Async, seen.loop_named("main")));
        assert!(parent >= TaskId::FIRST_ROOT.0, "{name} was spawned by the root");
    }
    assert_eq!(spawned(&seen, task("good")).3, line);
    let polls = seen.spans(RecordKind::Poll);
    let of_good = polls.iter().filter(|(.., span)| span.task.0 == task("good")).count();
    assert_eq!(of_good, 4, "no poll is recorded twice");
    check_ledger(&seen);
}

#[test]
fn wakes_say_who_woke_whom_and_how_often() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async {
        let notify = Arc::new(tokio::sync::Notify::new());
        let waiting = notify.clone();
        let sleeper = loopd_agent::task("sleeper").spawn(async move { waiting.notified().await });
        tokio::task::yield_now().await;
        let waker = loopd_agent::task("waker").spawn(async move { notify.notify_one() });
        waker.await.unwrap();
        sleeper.await.unwrap();
        loopd_agent::task("self")
            .spawn(futures_util::future::poll_fn({
                let mut left = 3;
                move |context| {
                    if left == 0 {
                        return std::task::Poll::Ready(());
                    }
                    left -= 1;
                    context.waker().wake_by_ref();
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            }))
            .await
            .unwrap();
        // Woken by a thread that is polling nothing.
        let (answer, asked) = tokio::sync::oneshot::channel();
        let outside = loopd_agent::task("outside").spawn(asked);
        tokio::task::yield_now().await;
        std::thread::spawn(move || answer.send(())).join().unwrap().unwrap();
        outside.await.unwrap().unwrap();
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);

    let seen = collector.seen();
    let wakes = |name: &str| {
        let task = seen.task_named(name).unwrap();
        let wakes = seen.spans(RecordKind::Wake).into_iter();
        wakes.filter(|(.., w)| w.task.0 == task).map(|(.., w)| w).collect::<Vec<_>>()
    };
    let sleeper = wakes("sleeper");
    assert_eq!(sleeper.len(), 1);
    assert_eq!(Some(sleeper[0].by.0), seen.task_named("waker"));
    let own = wakes("self");
    assert_eq!(own.len(), 3);
    assert!(own.iter().all(|wake| wake.by == wake.task && wake.count == 2), "{own:?}");
    let outside = wakes("outside");
    assert_eq!((outside.len(), outside[0].by), (1, TaskId::NONE));
    // A wake ends where the poll that it led to begins.
    let polls = seen.spans(RecordKind::Poll);
    assert!(
        polls
            .iter()
            .any(|(.., poll)| poll.start == sleeper[0].end() && poll.task == sleeper[0].task)
    );
    check_ledger(&seen);
}

#[test]
fn blocking_jobs_are_seen_from_queue_to_end() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let mut builder = multi_thread(2);
    builder.max_blocking_threads(1);
    let runtime = agent.attach("main", builder).build().unwrap();
    runtime.block_on(async {
        let job = loopd_agent::task("job").spawn_blocking(|| 7);
        assert_eq!(job.await.unwrap(), 7);
        let bad =
            loopd_agent::task("bad job").spawn_blocking(|| std::panic::panic_any("on purpose"));
        assert!(bad.await.is_err());
        loopd_agent::spawn_blocking(|| ()).await.unwrap();
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    for (name, how) in [("job", Outcome::Completed), ("bad job", Outcome::Panicked)] {
        let task = seen.task_named(name).unwrap();
        assert_eq!(outcome(&seen, task), [how]);
        assert_eq!(spawned(&seen, task).0, TaskKind::Blocking);
        let starts = seen
            .events()
            .filter(|e| matches!(e.kind, EventKind::BlockingStarted { task: of } if of.0 == task));
        assert_eq!(starts.count(), 1);
    }
    let jobs = seen
        .events()
        .filter(|e| matches!(e.kind, EventKind::TaskSpawned { kind: TaskKind::Blocking, .. }));
    assert_eq!(jobs.count(), 3);
    // Jobs that nobody announced and the workers themselves end unseen.
    let spawns = seen.events().filter(|e| matches!(e.kind, EventKind::TaskSpawned { .. })).count();
    let ends = seen.events().filter(|e| matches!(e.kind, EventKind::TaskEnded { .. })).count();
    assert_eq!(spawns, ends);
}

#[test]
fn resources_are_seen_from_open_to_close() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async {
        let closed = Tracked::must_close("connection", "db1", 5);
        assert_eq!(closed.close(), 5);
        drop(Tracked::must_close("connection", "db2", 5));
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let mut file = loopd_agent::track_file("/proc/self/stat", file);
        std::io::Read::read_exact(&mut *file, &mut [0]).unwrap();
        drop(file);
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let how = |wanted: &str| {
        let id = seen.events().find_map(|event| match &event.kind {
            EventKind::ResourceOpened { resource, name, task, .. } if name == wanted => {
                assert!(*task >= TaskId::FIRST_ROOT);
                Some(*resource)
            }
            _ => None,
        });
        seen.events().find_map(|event| match &event.kind {
            EventKind::ResourceClosed { resource, how } if Some(*resource) == id => Some(*how),
            _ => None,
        })
    };
    assert_eq!(how("db1"), Some(CloseHow::Closed));
    assert_eq!(how("db2"), Some(CloseHow::Unclosed));
    assert_eq!(how("/proc/self/stat"), Some(CloseHow::Dropped));
    check_ledger(&seen);
}

#[test]
fn tasks_of_a_runtime_without_hooks_are_recorded_whole() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = multi_thread(2).build().unwrap();
    loopd_agent::block_on(&runtime, async {
        loopd_agent::task("plain").spawn(yields(5)).await.unwrap();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async { loopd_agent::task("local").spawn_local(yields(5)).await.unwrap() })
            .await;
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let loop_id = seen.loop_named("tokio").unwrap();
    for (name, kind) in [("plain", TaskKind::Async), ("local", TaskKind::Local)] {
        let task = seen.task_named(name).unwrap();
        assert_eq!((spawned(&seen, task).0, spawned(&seen, task).1), (kind, loop_id));
        assert_eq!(outcome(&seen, task), [Outcome::Completed]);
        let polls = seen.spans(RecordKind::Poll);
        let polls: Vec<_> = polls.iter().filter(|(.., p)| p.task.0 == task).collect();
        assert_eq!(polls.len(), 6);
        assert!(polls.iter().all(|(of, ..)| *of == loop_id));
    }
    // Polls of one worker never overlap: the root's are cut around those of its local tasks.
    let mut ends = BTreeMap::new();
    let mut polls = seen.spans(RecordKind::Poll);
    polls.sort_by_key(|(_, worker, poll)| (*worker, poll.start));
    for (_, worker, poll) in polls {
        let end = ends.insert(worker, poll.end());
        assert!(end.is_none_or(|end| end <= poll.start), "overlap on worker {worker}");
    }
    check_ledger(&seen);
}

#[test]
fn a_task_that_comes_too_late_for_its_runtime_has_an_end_too() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let plain = multi_thread(1).build().unwrap();
    let attached = agent.attach("attached", multi_thread(1)).build().unwrap();
    let handles = [plain.handle().clone(), attached.handle().clone()];
    drop((plain, attached));
    for (handle, name) in handles.iter().zip(["plain", "attached"]) {
        // Dropped before they have told anybody who they are.
        drop(loopd_agent::task(name).spawn_on(std::future::pending::<()>(), handle));
        let _inside = handle.enter();
        drop(loopd_agent::task(&format!("{name} job")).spawn_blocking(|| ()));
    }
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    for name in ["plain", "plain job", "attached job"] {
        let task = seen.task_named(name).unwrap();
        assert_eq!(outcome(&seen, task), [Outcome::Cancelled], "{name}");
    }
    // Hooks tell the end, before anybody knows whose it is.
    let task = seen.task_named("attached").unwrap();
    let expected = if cfg!(tokio_unstable) { Outcome::Unknown } else { Outcome::Cancelled };
    assert_eq!(outcome(&seen, task), [expected]);
    for name in ["plain", "plain job", "attached", "attached job"] {
        // Panics unless there is exactly one.
        spawned(&seen, seen.task_named(name).unwrap());
    }
    check_ledger(&seen);
}

#[test]
fn the_programs_own_hooks_still_run() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let counts: Arc<[AtomicU64; 8]> = Arc::default();
    let count = |index: usize| {
        let counts = counts.clone();
        move || {
            counts[index].fetch_add(1, Relaxed);
        }
    };
    let builder = agent
        .attach("main", multi_thread(1))
        .on_thread_start(count(0))
        .on_thread_park(count(1))
        .on_thread_unpark(count(2))
        .on_thread_stop(count(3));
    #[cfg(tokio_unstable)]
    let builder = {
        let (spawn, before, after, end) = (count(4), count(5), count(6), count(7));
        builder
            .on_task_spawn(move |_| spawn())
            .on_before_task_poll(move |_| before())
            .on_after_task_poll(move |_| after())
            .on_task_terminate(move |_| end())
    };
    let runtime = builder.build().unwrap();
    runtime.block_on(async { spawn(yields(3)).await.unwrap() });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let counts: Vec<_> = counts.iter().map(|count| count.load(Relaxed)).collect();
    assert!(counts[..4].iter().all(|&count| count >= 1), "{counts:?}");
    if cfg!(tokio_unstable) {
        assert_eq!(counts[4..7], [1, 4, 4], "{counts:?}");
        assert!(counts[7] >= 1, "{counts:?}");
    }
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Task).0, 4);
}

#[test]
fn workers_park_and_several_runtimes_are_told_apart() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let first = agent.attach("first", multi_thread(1)).build().unwrap();
    let second = agent.attach("second", multi_thread(1)).build().unwrap();
    for runtime in [&first, &second] {
        runtime.block_on(async {
            // Made there, so that it does not matter when the worker comes to it.
            spawn(async { tokio::time::sleep(Duration::from_millis(100)).await }).await.unwrap();
        });
    }
    drop((first, second));
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    for name in ["first", "second"] {
        let id = seen.loop_named(name).unwrap();
        let parks = seen.spans(RecordKind::Park);
        let longest = parks.iter().filter(|(of, ..)| *of == id).map(|(.., p)| p.length).max();
        assert!(longest > Some(10_000_000), "{name}: {longest:?}");
        let started = seen.events().any(|event| {
            matches!(&event.kind, EventKind::WorkerStarted { loop_id, worker, thread_id, .. }
                if loop_id.0 == id && worker.0 == 0 && *thread_id > 0)
        });
        assert!(started);
    }
}

#[test]
fn a_poll_inside_a_poll_costs_the_outer_one_nothing() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("outer", multi_thread(1)).build().unwrap();
    let inner = Arc::new(agent.attach("inner", current_thread()).build().unwrap());
    let lent = inner.clone();
    runtime.block_on(async move {
        loopd_agent::task("outer task")
            .spawn(async move {
                tokio::task::block_in_place(|| {
                    lent.block_on(async { spawn(yields(9)).await.unwrap() })
                });
                tokio::task::yield_now().await;
            })
            .await
            .unwrap();
    });
    drop(runtime);
    drop(inner);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let polls = seen.spans(RecordKind::Poll);
    let outer = seen.task_named("outer task").unwrap();
    let of_outer = polls.iter().filter(|(.., poll)| poll.task.0 == outer).count();
    // In two pieces is the first if another thread was the worker meanwhile.
    assert!(matches!(of_outer, 2 | 3), "{of_outer}");
    let inner = seen.loop_named("inner").unwrap();
    let of_inner =
        polls.iter().filter(|(of, _, p)| *of == inner && p.task < TaskId::FIRST_ROOT).count();
    assert_eq!(of_inner, 10);
    check_ledger(&seen);
}
