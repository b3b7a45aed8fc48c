//! Tokio's locks, semaphores and timers, against programs that know who holds them.

use std::sync::Arc;
use std::time::Duration;

use loopd_model::{EventKind, Holder, RecordKind, ResourceId, WaitHow, WaitId};
use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, oneshot};

use crate::collector::{Collector, Seen};
use crate::{Cast, FLUSH, Way, agent_for, current_thread, multi_thread};

/// A wait: id, task, resource, what for, how many, and by whom it was held.
type Wait = (WaitId, u64, ResourceId, String, u64, Vec<Holder>);

fn waits(seen: &Seen) -> Vec<Wait> {
    let began = seen.events().filter_map(|event| match &event.kind {
        EventKind::WaitBegan { wait, task, resource, op, amount, holders, .. } => {
            Some((*wait, task.0, *resource, op.clone(), *amount, holders.clone()))
        }
        _ => None,
    });
    began.collect()
}

#[track_caller]
fn wait_of(seen: &Seen, task: u64, op: &str) -> Wait {
    let of = waits(seen).into_iter().filter(|wait| wait.1 == task && wait.3 == op);
    let of: Vec<_> = of.collect();
    // The first tick of an interval is due at once, and yet not always ready.
    assert!(of.len() == 1 || op == "tick", "{op}: {:?}", waits(seen));
    of.into_iter().next_back().unwrap()
}

fn end_of(seen: &Seen, of: WaitId) -> Option<WaitHow> {
    seen.events().find_map(|event| match &event.kind {
        EventKind::WaitEnded { wait, how } if *wait == of => Some(*how),
        _ => None,
    })
}

fn kind_of(seen: &Seen, of: ResourceId) -> Option<String> {
    seen.events().find_map(|event| match &event.kind {
        EventKind::ResourceOpened { resource, kind, .. } if *resource == of => Some(kind.clone()),
        _ => None,
    })
}

fn holders(wait: &Wait) -> Vec<u64> {
    wait.5.iter().map(|holder| holder.task.0).collect()
}

/// Long enough that a wait is told one by one.
const A_WHILE: Duration = Duration::from_millis(20);

/// Runs a script on a runtime under watch and gives what was recorded of it.
fn record(way: Way, script: impl Future<Output = ()> + Send + 'static) -> Seen {
    let collector = Collector::start();
    let agent = agent_for(&collector, way);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    runtime.block_on(async { tokio::spawn(script).await.unwrap() });
    drop(runtime);
    agent.shutdown(FLUSH);
    collector.seen()
}

/// Waits for something, and says when it has begun to.
async fn begin<F: Future>(wanted: F, has_begun: &Notify) -> F::Output {
    let mut wanted = std::pin::pin!(wanted);
    let is_pending = std::future::poll_fn(|context| {
        std::task::Poll::Ready(wanted.as_mut().poll(context).is_pending())
    });
    assert!(is_pending.await);
    has_begun.notify_one();
    wanted.await
}

async fn check_mutex(cast: Cast) {
    let (lock, has_it) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
    let (waits, has_quit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let holder = tokio::spawn({
        let (cast, lock, has_it) = (cast.clone(), lock.clone(), has_it.clone());
        let has_quit = has_quit.clone();
        async move {
            cast.enter("holder");
            let guard = lock.lock().await;
            has_it.notify_one();
            tokio::time::sleep(A_WHILE).await;
            has_quit.notified().await;
            drop(guard);
        }
    });
    has_it.notified().await;
    let waiter = tokio::spawn({
        let (cast, lock, waits) = (cast.clone(), lock.clone(), waits.clone());
        async move {
            cast.enter("waiter");
            *begin(lock.lock(), &waits).await += 1;
        }
    });
    let quitter = tokio::spawn({
        let (cast, lock) = (cast.clone(), lock.clone());
        async move {
            cast.enter("quitter");
            waits.notified().await;
            {
                let mut wanted = std::pin::pin!(lock.lock());
                let is_pending = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(wanted.as_mut().poll(context).is_pending())
                });
                assert!(is_pending.await);
                // Given up after a while.
                tokio::time::sleep(A_WHILE / 4).await;
            }
            has_quit.notify_one();
        }
    });
    for task in [holder, waiter, quitter] {
        task.await.unwrap();
    }
}

fn mutex(way: Way) {
    let cast = Cast::default();
    let seen = record(way, check_mutex(cast.clone()));
    let wait = wait_of(&seen, cast.id("waiter"), "lock");
    assert_eq!(holders(&wait), [cast.id("holder")]);
    assert_eq!(end_of(&seen, wait.0), Some(WaitHow::Ready));
    assert_eq!(kind_of(&seen, wait.2).as_deref(), Some("tokio::sync::Mutex"));
    let given_up = wait_of(&seen, cast.id("quitter"), "lock");
    assert_eq!(holders(&given_up), [cast.id("holder")]);
    assert_eq!(end_of(&seen, given_up.0), Some(WaitHow::Cancelled));
    let holds = seen.events().filter_map(|event| match &event.kind {
        EventKind::HoldEnded { resource, hold, waits } if *resource == wait.2 => {
            Some((hold.task.0, *waits))
        }
        _ => None,
    });
    assert_eq!(holds.collect::<Vec<_>>()[0], (cast.id("holder"), 2));
    let timer = wait_of(&seen, cast.id("holder"), "sleep");
    assert_eq!(kind_of(&seen, timer.2).as_deref(), Some("tokio::time::Sleep"));
    // The semaphore that a mutex is made of is no resource of its own.
    let is_semaphore = |kind: &EventKind| matches!(kind, EventKind::ResourceOpened { kind, .. } if kind == "tokio::sync::Semaphore");
    assert!(!seen.events().any(|event| is_semaphore(&event.kind)));
    // Everything that was opened is closed.
    let (opened, closed) = seen.events().fold((0, 0), |(opened, closed), event| match event.kind {
        EventKind::ResourceOpened { .. } => (opened + 1, closed),
        EventKind::ResourceClosed { .. } => (opened, closed + 1),
        _ => (opened, closed),
    });
    assert!(opened == closed && opened >= 3, "{opened} {closed}");
}

#[test]
fn the_holder_of_a_mutex_is_told_to_those_who_wait() {
    mutex(Way::Only);
}

#[test]
fn a_layer_in_the_programs_subscriber_hears_the_same() {
    mutex(Way::Layer);
}

#[test]
fn permits_have_holders_also_when_they_are_handed_over_or_moved() {
    let cast = Cast::default();
    let script = {
        let cast = cast.clone();
        async move {
            let semaphore = Arc::new(Semaphore::new(3));
            let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let waits = Arc::new(Notify::new());
            let holder = tokio::spawn({
                let (cast, semaphore) = (cast.clone(), semaphore.clone());
                let (first, second) = (first.clone(), second.clone());
                async move {
                    cast.enter("holder");
                    let permits = semaphore.clone().acquire_many_owned(2).await.unwrap();
                    first.notify_one();
                    second.notified().await;
                    // It gives them back, not the one who took them.
                    tokio::spawn(async move { drop(permits) }).await.unwrap();
                }
            });
            first.notified().await;
            let next = tokio::spawn({
                let (cast, semaphore, waits) = (cast.clone(), semaphore.clone(), waits.clone());
                async move {
                    cast.enter("next");
                    let permits = begin(semaphore.acquire_many(3), &waits).await.unwrap();
                    let last = tokio::spawn({
                        let (cast, semaphore) = (cast.clone(), semaphore.clone());
                        let waits = waits.clone();
                        async move {
                            cast.enter("last");
                            drop(begin(semaphore.acquire(), &waits).await.unwrap());
                        }
                    });
                    waits.notified().await;
                    tokio::time::sleep(A_WHILE).await;
                    drop(permits);
                    last.await.unwrap();
                }
            });
            waits.notified().await;
            tokio::time::sleep(A_WHILE).await;
            second.notify_one();
            holder.await.unwrap();
            next.await.unwrap();
        }
    };
    let seen = record(Way::Only, script);
    let next = wait_of(&seen, cast.id("next"), "acquire");
    assert_eq!((holders(&next), next.4), (vec![cast.id("holder")], 3));
    assert_eq!(next.5[0].amount, 2);
    let last = wait_of(&seen, cast.id("last"), "acquire");
    assert_eq!((holders(&last), last.4), (vec![cast.id("next")], 1));
    assert_eq!(last.5[0].amount, 3);
    assert_eq!(kind_of(&seen, last.2).as_deref(), Some("tokio::sync::Semaphore"));
}

#[test]
fn readers_writers_barriers_and_oneshots_are_waited_for() {
    let cast = Cast::default();
    let script = {
        let cast = cast.clone();
        async move {
            let lock = Arc::new(RwLock::new(0));
            let (sender, receiver) = oneshot::channel();
            let reader = lock.clone().read_owned().await;
            cast.enter("main");
            let waits = Arc::new(Notify::new());
            let writer = tokio::spawn({
                let (cast, lock, waits) = (cast.clone(), lock.clone(), waits.clone());
                async move {
                    cast.enter("writer");
                    *begin(lock.write(), &waits).await += 1;
                    let () = begin(receiver, &waits).await.unwrap();
                }
            });
            waits.notified().await;
            tokio::time::sleep(A_WHILE).await;
            drop(reader);
            waits.notified().await;
            tokio::time::sleep(A_WHILE).await;
            sender.send(()).unwrap();
            writer.await.unwrap();
            let barrier = Arc::new(Barrier::new(2));
            let early = tokio::spawn({
                let (cast, barrier, waits) = (cast.clone(), barrier.clone(), waits.clone());
                async move {
                    cast.enter("early");
                    begin(barrier.wait(), &waits).await;
                    let mut interval = tokio::time::interval(A_WHILE);
                    interval.tick().await;
                    interval.tick().await;
                }
            });
            waits.notified().await;
            tokio::time::sleep(A_WHILE).await;
            barrier.wait().await;
            early.await.unwrap();
        }
    };
    let seen = record(Way::Only, script);
    let write = wait_of(&seen, cast.id("writer"), "write");
    assert_eq!(holders(&write), [cast.id("main")]);
    for (task, op, kind) in [
        ("writer", "write", "tokio::sync::RwLock"),
        ("writer", "recv", "tokio::sync::oneshot"),
        ("early", "wait", "tokio::sync::Barrier"),
        ("early", "tick", "tokio::time::Interval"),
    ] {
        let wait = wait_of(&seen, cast.id(task), op);
        assert_eq!(kind_of(&seen, wait.2).as_deref(), Some(kind));
        assert_eq!(end_of(&seen, wait.0), Some(WaitHow::Ready), "{op}");
    }
}

#[test]
fn the_state_of_a_lock_adds_up() {
    let script = async {
        let lock = Arc::new(Mutex::new(0));
        let tasks = (0..4).map(|_| {
            let lock = lock.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let mut guard = lock.lock().await;
                    tokio::task::yield_now().await;
                    *guard += 1;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(*lock.lock().await, 200);
    };
    let seen = record(Way::Only, script);
    // Only what has changed is told again.
    let mut last = std::collections::BTreeMap::new();
    for event in seen.events() {
        if let EventKind::ResourceState { readings, .. } = &event.kind {
            last.extend(readings.iter().map(|metric| (metric.name.clone(), metric.value)));
        }
    }
    let value = |name: &str| last.get(name).copied().unwrap_or(0.0);
    assert_eq!((value("acquired"), value("locked"), value("waiters")), (201.0, 0.0, 0.0));
    assert!(value("contended") > 0.0 && value("waited_nanos") > 0.0, "{last:?}");
    let ends = seen.events().filter(|event| matches!(event.kind, EventKind::WaitEnded { .. }));
    assert_eq!(waits(&seen).len(), ends.count());
    assert_eq!(seen.stored_and_lost(RecordKind::Wait).1, 0);
}

#[test]
fn waits_that_are_switched_off_are_not_recorded() {
    let collector = Collector::start();
    collector.script(|script| {
        script.settings =
            Some(loopd_wire::pb::Settings { record_waits: Some(false), ..Default::default() });
    });
    let agent = agent_for(&collector, Way::Only);
    collector.wait("the greeting", |seen| !seen.hellos.is_empty());
    let is_off = |seen: &Seen| {
        seen.events().any(|event| matches!(&event.kind, EventKind::CoverageChanged { settings, .. } if settings.record_waits == Some(false)))
    };
    collector.wait("the settings are in force", is_off);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let cast = Cast::default();
    runtime.block_on(async { tokio::spawn(check_mutex(cast.clone())).await.unwrap() });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Wait), (0, 0));
    assert!(
        seen.spans(RecordKind::Wake).iter().any(|(_, _, span)| span.task.0 == cast.id("waiter"))
    );
}

#[test]
fn many_tasks_on_many_threads_are_never_taken_for_each_other() {
    const TASKS: u64 = 8;
    const ROUNDS: u64 = 200;
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", multi_thread(4)).build().unwrap();
    // What the lock protects says who holds it, and who ever did.
    let lock = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let tasks = (0..TASKS).map(|_| {
            let lock = lock.clone();
            tokio::spawn(async move {
                let own: u64 = tokio::task::id().to_string().parse().unwrap();
                for round in 0..ROUNDS {
                    let mut holders = lock.lock().await;
                    holders.push(own);
                    if round % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    assert_eq!(holders.last(), Some(&own));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let waits = waits(&seen);
    let known = lock.try_lock().unwrap().clone();
    assert_eq!(known.len() as u64, TASKS * ROUNDS);
    for wait in &waits {
        // Nobody waits for himself; and who is told of did hold it.
        assert!(!holders(wait).contains(&wait.1), "{wait:?}");
        assert!(holders(wait).iter().all(|holder| known.contains(holder)), "{wait:?}");
        assert_eq!(end_of(&seen, wait.0), Some(WaitHow::Ready));
    }
    // On a busy machine a thread can be stopped in the middle of a change, which is then missed; who
    // comes next in the queue is not guessed from there on, so that some waits name nobody.
    let named = waits.iter().filter(|wait| !wait.5.is_empty()).count();
    assert!(named * 3 >= waits.len(), "{named} of {}", waits.len());
}
