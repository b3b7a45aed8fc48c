//! The wrappers of locks and channels: who holds, who waits, what is left open.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loopd_agent::RecordKind;
use loopd_agent::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use loopd_model::{CloseHow, Event, EventKind, Holder, WaitHow};
use loopd_wire::pb;

use crate::collector::{Collector, LIMIT, Script, Seen};
use crate::{FLUSH, agent_for, current_thread, multi_thread, spawn};

fn me() -> u64 {
    tokio::task::id().to_string().parse().unwrap()
}

/// A wait as it arrived.
#[derive(Clone, Debug)]
struct Waited {
    task: u64,
    resource: u64,
    op: String,
    line: u32,
    amount: u64,
    holders: Vec<Holder>,
    how: Option<WaitHow>,
}

fn line_of(seen: &Seen, location: loopd_model::LocationId) -> u32 {
    let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
    let Some(place) = places.find(|place| place.id == location) else { return 0 };
    assert!(place.file.ends_with("tests/it/guards.rs"), "{}", place.file);
    place.line
}

/// Every wait, in the order in which they began; each has at most one end, and every end a beginning.
fn waits(seen: &Seen) -> Vec<Waited> {
    let mut ends = HashMap::new();
    for event in seen.events() {
        if let EventKind::WaitEnded { wait, how } = event.kind {
            assert_eq!(ends.insert(wait, how), None, "{wait:?} ended twice");
        }
    }
    let mut began: Vec<(&Event, Waited)> = Vec::new();
    for event in seen.events() {
        if let EventKind::WaitBegan { wait, task, resource, op, location, amount, holders } =
            &event.kind
        {
            let waited = Waited {
                task: task.0,
                resource: resource.0,
                op: op.clone(),
                line: line_of(seen, *location),
                amount: *amount,
                holders: holders.clone(),
                how: ends.remove(wait),
            };
            began.push((event, waited));
        }
    }
    assert!(ends.is_empty(), "ends without a beginning: {ends:?}");
    began.sort_by_key(|(event, _)| event.at);
    began.into_iter().map(|(_, waited)| waited).collect()
}

/// The resources of a kind, with the line that opened each, its task, and how it was closed.
fn resources(seen: &Seen, of_kind: &str) -> Vec<(u64, u32, u64, Option<CloseHow>)> {
    let closes: HashMap<_, _> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::ResourceClosed { resource, how } => Some((*resource, *how)),
            _ => None,
        })
        .collect();
    let opens = seen.events().filter_map(|event| match &event.kind {
        EventKind::ResourceOpened { resource, kind, open_location, task, .. }
            if kind == of_kind =>
        {
            let line = line_of(seen, *open_location);
            Some((resource.0, line, task.0, closes.get(resource).copied()))
        }
        _ => None,
    });
    opens.collect()
}

/// The last readings of a resource.
fn readings(seen: &Seen, of: u64) -> BTreeMap<String, u64> {
    let states = seen.events().filter_map(|event| match &event.kind {
        EventKind::ResourceState { resource, readings } if resource.0 == of => Some(readings),
        _ => None,
    });
    states.flatten().map(|metric| (metric.name.clone(), metric.value as u64)).collect()
}

fn check_ledger(seen: &Seen) {
    for entry in &seen.goodbyes.last().unwrap().ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!(entry.produced, stored + lost, "{:?}", entry.kind);
    }
}

/// Opens so many locks that no further resource is sampled: then no wait is left to the totals.
fn fill_the_table() -> Vec<Mutex<()>> {
    let mut locks = Vec::new();
    let since = std::time::Instant::now();
    let unsampled = || loopd_agent::stats().unsampled_resources as usize;
    while locks.len() - unsampled() < 2048 {
        assert!(since.elapsed() < LIMIT);
        locks.extend((0..256).map(|_| Mutex::new(())));
        std::thread::park_timeout(Duration::from_millis(60));
    }
    // One more, so that the count is seen to grow beyond what the channel refused.
    let refused = unsampled();
    locks.push(Mutex::new(()));
    while unsampled() == refused {
        assert!(since.elapsed() < LIMIT, "the overflow is not counted");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    locks
}

/// Tasks, and how many permits each holds.
type Holding = Vec<(u64, u64)>;

/// A program that knows who holds what.
#[derive(Default)]
struct Truth {
    holders: std::sync::Mutex<Holding>,
    waits: std::sync::Mutex<Vec<(u64, Holding)>>,
}

impl Truth {
    /// Awaits `acquire`, and notes who held the resource when it had to wait.
    async fn watch<F: Future>(&self, amount: u64, acquire: F) -> F::Output {
        let mut acquire = pin!(acquire);
        let mut has_waited = false;
        let done = poll_fn(|context| {
            let polled = acquire.as_mut().poll(context);
            if polled.is_pending() && !std::mem::replace(&mut has_waited, true) {
                let mut holders = self.holders.lock().unwrap().clone();
                holders.sort_unstable();
                self.waits.lock().unwrap().push((me(), holders));
            }
            polled
        })
        .await;
        self.holders.lock().unwrap().push((me(), amount));
        done
    }

    fn release(&self) {
        let mut holders = self.holders.lock().unwrap();
        let index = holders.iter().position(|(task, _)| *task == me()).unwrap();
        holders.swap_remove(index);
    }

    /// What was recorded of this resource is what happened.
    fn check(&self, recorded: &[Waited], resource: u64) {
        let of_it = recorded.iter().filter(|wait| wait.resource == resource);
        let recorded: Vec<_> = of_it
            .map(|wait| {
                let holder = |holder: &Holder| (holder.task.0, holder.amount);
                let mut holders: Vec<_> = wait.holders.iter().map(holder).collect();
                holders.sort_unstable();
                (wait.task, holders)
            })
            .collect();
        let truth = self.waits.lock().unwrap();
        assert!(truth.len() > 50, "only {} waits", truth.len());
        assert_eq!(recorded, *truth);
    }
}

async fn dawdle(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

const TASKS: u64 = 6;
const ROUNDS: usize = 40;

/// Runs tasks on one thread, one step at a time, so that who holds what is known at each. Nothing is
/// left to the totals.
fn run_script<F>(task: impl Fn(u64) -> F) -> Seen
where
    F: Future<Output = ()> + Send + 'static,
{
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let locks = fill_the_table();
    let runtime = agent.attach("script", current_thread()).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|index| spawn(task(index))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop((runtime, task));
    assert!(agent.shutdown(FLUSH).complete);
    // Not before: the exporter may only now have come to the resource of the script.
    drop(locks);
    let seen = collector.seen();
    check_ledger(&seen);
    assert_eq!(seen.stored_and_lost(RecordKind::Wait).1, 0);
    seen
}

/// Some number that looks random, the same in each run.
fn dice(task: u64, round: usize) -> u64 {
    let mixed = (task + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((round as u64 + 7) * 0xff51_afd7);
    mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 40
}

#[test]
fn the_holder_of_a_mutex_is_the_task_that_holds_it() {
    let truth = Arc::new(Truth::default());
    let known = truth.clone();
    let lock = std::sync::OnceLock::new();
    let seen = run_script(move |task| {
        let lock = lock.get_or_init(|| Arc::new(Mutex::new(0))).clone();
        let truth = known.clone();
        async move {
            for round in 0..ROUNDS {
                let guard = truth.watch(0, lock.lock()).await;
                dawdle(dice(task, round) as usize % 5).await;
                truth.release();
                drop(guard);
                dawdle(dice(task, round + 1) as usize % 7).await;
            }
        }
    });
    let [.., (lock, _, _, Some(CloseHow::Dropped))] = resources(&seen, "mutex")[..] else {
        panic!("the lock is missing")
    };
    let waits = waits(&seen);
    truth.check(&waits, lock);
    assert!(waits.iter().all(|wait| wait.op == "lock" && wait.how == Some(WaitHow::Ready)));
    // The places: of the wait and of the hold, the same line in this program.
    let line = waits[0].line;
    let mut holders = waits.iter().flat_map(|wait| &wait.holders);
    assert!(line > 0 && holders.all(|holder| line_of(&seen, holder.location) == line));
    // Somebody waited for each hold that ended late enough.
    let holds = seen.events().filter(|event| {
        matches!(&event.kind,
        EventKind::HoldEnded { resource, .. } if resource.0 == lock)
    });
    assert!(holds.count() > 50);
}

#[test]
fn the_holders_of_permits_are_the_tasks_that_hold_them_with_how_many() {
    let truth = Arc::new(Truth::default());
    let known = truth.clone();
    let permits = std::sync::OnceLock::new();
    let seen = run_script(move |task| {
        let permits = permits.get_or_init(|| Arc::new(Semaphore::new(3))).clone();
        let truth = known.clone();
        async move {
            for round in 0..ROUNDS {
                let count = 1 + dice(task, round) as u32 % 2;
                let wanted = permits.clone().acquire_many_owned(count);
                let permit = truth.watch(count.into(), wanted).await.unwrap();
                dawdle(dice(task, round) as usize % 5).await;
                truth.release();
                drop(permit);
                dawdle(dice(task, round + 1) as usize % 3).await;
            }
        }
    });
    let [(semaphore, ..)] = resources(&seen, "semaphore")[..] else { panic!("no semaphore") };
    let waits = waits(&seen);
    truth.check(&waits, semaphore);
    assert!(waits.iter().any(|wait| wait.holders.len() >= 2));
    assert!(waits.iter().any(|wait| wait.amount == 2) && waits.iter().any(|w| w.amount == 1));
}

#[test]
fn the_holders_of_an_rw_lock_are_its_readers_or_its_writer() {
    let truth = Arc::new(Truth::default());
    let known = truth.clone();
    let lock = std::sync::OnceLock::new();
    let seen = run_script(move |task| {
        let lock = lock.get_or_init(|| Arc::new(RwLock::new(0))).clone();
        let truth = known.clone();
        async move {
            for round in 0..ROUNDS {
                if dice(task, round).is_multiple_of(3) {
                    let guard = truth.watch(0, lock.write()).await;
                    dawdle(2).await;
                    // Held on as a reader, by the same task.
                    let guard = guard.downgrade();
                    dawdle(2).await;
                    truth.release();
                    drop(guard);
                } else {
                    let guard = truth.watch(0, lock.read()).await;
                    dawdle(dice(task, round) as usize % 5).await;
                    truth.release();
                    drop(guard);
                }
                dawdle(dice(task, round + 1) as usize % 4).await;
            }
        }
    });
    let [(lock, ..)] = resources(&seen, "rwlock")[..] else { panic!("no lock") };
    let waits = waits(&seen);
    truth.check(&waits, lock);
    assert!(waits.iter().any(|wait| wait.op == "read" && wait.holders.len() == 1));
    assert!(waits.iter().any(|wait| wait.op == "write" && wait.holders.len() >= 2));
}

/// Runs a program on two workers; gives what arrived.
fn record<F: Future>(program: impl FnOnce() -> F) -> (F::Output, Seen) {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let done = runtime.block_on(program());
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    check_ledger(&seen);
    (done, seen)
}

/// Longer than any wait that is left to the totals.
const LONG: Duration = Duration::from_millis(100);

#[test]
fn a_wait_that_is_given_up_was_cancelled() {
    let ((), seen) = record(|| async {
        let (mutex, notify, permits) = (Mutex::new(()), Notify::new(), Semaphore::new(1));
        let (sender, mut receiver) = mpsc::channel(1);
        let (_keep, answer) = oneshot::channel::<()>();
        let barrier = Barrier::new(2);
        sender.send(1).await.unwrap();
        let held = (mutex.lock().await, permits.acquire().await.unwrap());
        assert!(tokio::time::timeout(LONG, mutex.lock()).await.is_err());
        assert!(tokio::time::timeout(LONG, notify.notified()).await.is_err());
        assert!(tokio::time::timeout(LONG, permits.acquire()).await.is_err());
        assert!(tokio::time::timeout(LONG, sender.send(2)).await.is_err());
        assert!(tokio::time::timeout(LONG, barrier.wait()).await.is_err());
        assert!(tokio::time::timeout(LONG, answer).await.is_err());
        receiver.recv().await.unwrap();
        tokio::select! {
            _ = receiver.recv() => unreachable!(),
            () = tokio::time::sleep(LONG) => {}
        }
        drop(held);
    });
    let waits = waits(&seen);
    let ops: Vec<_> = waits.iter().map(|wait| wait.op.as_str()).collect();
    assert_eq!(ops, ["lock", "notified", "acquire", "send", "wait", "recv", "recv"]);
    assert!(waits.iter().all(|wait| wait.how == Some(WaitHow::Cancelled)), "{waits:?}");
    // A task can stand in its own way, and is then told so.
    assert_eq!(waits[0].holders.len(), 1);
    assert_eq!(waits[0].holders[0].task.0, waits[0].task);
}

#[test]
fn a_full_channel_shows_its_depth_and_who_waits_for_room() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let (sender, mut receiver) = mpsc::channel(2);
    let senders: Vec<_> = (0..5)
        .map(|i| {
            let sender = sender.clone();
            let _inside = runtime.handle().enter();
            spawn(async move { sender.send(i).await.unwrap() })
        })
        .collect();
    let full = |seen: &Seen| {
        let (channel, ..) = *resources(seen, "mpsc").first()?;
        let now = readings(seen, channel);
        // Two have sent, and are gone a little later.
        let has = |name, value| now.get(name) == Some(&value);
        (has("waiting_senders", 3) && has("senders", 1 + 3)).then_some(now)
    };
    let are_waiting = |seen: &Seen| full(seen).is_some() && waits(seen).len() >= 3;
    let seen = collector.wait("three waiting senders", are_waiting);
    let now = full(&seen).unwrap();
    let expect = [("depth", 2), ("capacity", 2), ("receivers", 1), ("sent", 2), ("received", 0)];
    for (name, value) in expect {
        assert_eq!(now[name], value, "{name} in {now:?}");
    }
    let waiting = waits(&seen);
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().all(|wait| wait.op == "send" && wait.how.is_none()));

    drop(sender);
    runtime.block_on(async {
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, 5);
        for sender in senders {
            sender.await.unwrap();
        }
    });
    drop((receiver, runtime));
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let [(channel, _, _, Some(CloseHow::Dropped))] = resources(&seen, "mpsc")[..] else {
        panic!("the channel was not closed")
    };
    let last = readings(&seen, channel);
    assert_eq!((last["depth"], last["sent"], last["received"]), (0, 5, 5));
    assert_eq!((last["senders"], last["receivers"], last["waiters"]), (0, 0, 0));
    assert!(last["contended"] >= 3 && last["waited_nanos"] > 0);
    let sends = waits(&seen).into_iter().filter(|wait| wait.op == "send");
    assert!(sends.into_iter().all(|wait| wait.how == Some(WaitHow::Ready)));
}

#[test]
fn a_thread_may_wait_for_a_lock_and_take_one_that_is_free() {
    let ((), seen) = record(|| async {
        let (lock, shared) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        let held = lock.clone().lock_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            *lock.blocking_lock() += 1;
            *lock.clone().blocking_lock_owned() += 1;
            *shared.blocking_write() += 1;
            *lock.blocking_lock() + *shared.blocking_read()
        });
        drop(held);
        assert_eq!(tokio::time::timeout(LIMIT, work).await.unwrap().unwrap(), 3);
    });
    assert_eq!(resources(&seen, "mutex").len(), 1);
}

#[test]
fn what_is_leaked_stays_open_with_its_place_and_its_task() {
    let (task, seen) = record(|| async {
        let task = spawn(async {
            drop(RwLock::new(1));
            std::mem::forget(RwLock::new(2));
            let forgotten = Arc::new(RwLock::new(3));
            let circle = forgotten.clone();
            // It owns itself.
            std::mem::forget(circle);
            me()
        });
        task.await.unwrap()
    });
    let locks = resources(&seen, "rwlock");
    let first = locks[0].1;
    let open = |offset| (first + offset, task);
    let found: Vec<_> = locks.iter().map(|&(_, line, task, how)| ((line, task), how)).collect();
    assert_eq!(found, [(open(0), Some(CloseHow::Dropped)), (open(1), None), (open(2), None)]);
}

#[test]
fn short_waits_are_in_the_totals_and_nowhere_else() {
    const TIMES: u64 = 200;
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let lock = Arc::new(Mutex::new(0));
    // The clock is calibrated once something has been sent.
    let is_there = |seen: &Seen| seen.events().next().is_some();
    collector.wait("the first batch", is_there);
    runtime.block_on(async {
        let tasks = (0..2).map(|_| {
            let lock = lock.clone();
            spawn(async move {
                for _ in 0..TIMES / 2 {
                    *lock.lock().await += 1;
                    let _held = lock.lock().await;
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    drop((runtime, lock));
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    check_ledger(&seen);
    let last = readings(&seen, resources(&seen, "mutex")[0].0);
    assert_eq!((last["acquired"], last["locked"], last["waiters"]), (2 * TIMES, 0, 0));
    let sent = waits(&seen).len() as u64;
    assert!(last["contended"] > 50 && sent < last["contended"] / 2, "{sent} of {last:?}");
    assert!(last["waited_nanos"] > 0 && last["held_nanos"] > 0);
}

#[test]
fn guards_may_panic_leak_and_change_hands() {
    let (tasks, seen) = record(|| async {
        let lock = Arc::new(Mutex::new(String::new()));
        // A panic gives it back.
        let panics = lock.clone();
        spawn(async move {
            let _guard = panics.lock().await;
            panic!("on purpose")
        })
        .await
        .unwrap_err();
        // The holder is the one that took it, not the one that has it.
        let given = lock.clone();
        let (taker, guard) = spawn(async move { (me(), given.lock_owned().await) }).await.unwrap();
        let waits = lock.clone();
        let (begin, has_begun) = tokio::sync::oneshot::channel();
        let waiter = spawn(async move {
            let mut wanted = pin!(waits.lock());
            let is_pending =
                poll_fn(|context| Poll::Ready(wanted.as_mut().poll(context).is_pending()));
            assert!(is_pending.await);
            begin.send(()).unwrap();
            let guard = wanted.await;
            let guard = loopd_agent::sync::MutexGuard::map(guard, |text| text.as_mut_str());
            std::mem::forget(guard);
            me()
        });
        has_begun.await.unwrap();
        tokio::time::sleep(LONG).await;
        drop(guard);
        let leaker = waiter.await.unwrap();
        assert!(tokio::time::timeout(LONG, lock.lock()).await.is_err());
        (taker, leaker)
    });
    let holders_of = |wait: &Waited| wait.holders.iter().map(|h| h.task.0).collect::<Vec<_>>();
    let holders: Vec<_> = waits(&seen).iter().map(holders_of).collect();
    assert_eq!(holders, [vec![tasks.0], vec![tasks.1]]);
    let last = readings(&seen, resources(&seen, "mutex")[0].0);
    assert_eq!((last["acquired"], last["locked"]), (3, 1), "the leaked guard is still held");
}

#[test]
fn permits_that_are_forgotten_split_and_merged_add_up() {
    let ((), seen) = record(|| async {
        let permits = Arc::new(Semaphore::new(10));
        permits.try_acquire_many(2).unwrap().forget();
        let mut held = permits.clone().acquire_many_owned(5).await.unwrap();
        let split = held.split(2).unwrap();
        assert_eq!((held.num_permits(), split.num_permits()), (3, 2));
        let mut borrowed = permits.acquire().await.unwrap();
        borrowed.merge(permits.acquire().await.unwrap());
        split.forget();
        held.merge(permits.clone().try_acquire_owned().unwrap());
        permits.add_permits(1);
        drop(borrowed);
        assert_eq!(permits.available_permits(), 3);
        std::mem::forget(held);
        std::mem::forget(permits);
    });
    let last = readings(&seen, resources(&seen, "semaphore")[0].0);
    assert_eq!((last["capacity"], last["permits"], last["locked"]), (7, 3, 1), "{last:?}");
}

#[test]
fn a_switch_flipped_in_the_middle_of_a_wait_leaves_nothing_open() {
    let settings = |is_on| Some(pb::Settings { record_waits: Some(is_on), ..Default::default() });
    let collector = Collector::start_with(Script { settings: settings(true), ..Script::default() });
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let flip = |is_on| {
        let hellos = collector.seen().hellos.len();
        collector.script(|script| {
            script.settings = settings(is_on);
            script.hangs_up_after = Some(1);
        });
        collector.wait("another hello", |seen| seen.hellos.len() > hellos);
        let flips = collector.seen().batches.len();
        collector.wait("a batch after it", |seen| seen.batches.len() > flips);
    };
    let lock = Arc::new(Mutex::new(()));
    let (sender, mut receiver) = mpsc::channel(8);
    let held = runtime.block_on(lock.clone().lock_owned());
    let contend = lock.clone();
    let _inside = runtime.handle().enter();
    let waiter = spawn(async move { drop(contend.lock().await) });
    collector.wait("the wait", |seen| waits(seen).len() == 1);
    flip(false);
    // Begun and not ended while it was on; begun while it was off.
    drop(held);
    runtime.block_on(waiter).unwrap();
    let held = runtime.block_on(lock.clone().lock_owned());
    let contend = lock.clone();
    let unseen = spawn(async move { drop(contend.lock().await) });
    runtime.block_on(async {
        sender.send(1).await.unwrap();
        sender.send(2).await.unwrap();
    });
    flip(true);
    drop(held);
    runtime.block_on(unseen).unwrap();
    runtime.block_on(async { receiver.recv().await.unwrap() });
    drop(_inside);
    drop(runtime);
    std::mem::forget((sender, receiver));
    drop(lock);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let waits = waits(&seen);
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0].how, Some(WaitHow::Ready));
    let last = readings(&seen, resources(&seen, "mutex")[0].0);
    assert_eq!((last["locked"], last["waiters"], last["contended"]), (0, 0, 1), "{last:?}");
    let last = readings(&seen, resources(&seen, "mpsc")[0].0);
    assert_eq!((last["depth"], last["sent"], last["received"]), (1, 2, 1), "{last:?}");
}

#[test]
fn what_was_made_before_the_agent_is_recorded_from_its_first_use() {
    static EARLY: Mutex<u32> = Mutex::const_new(1);
    let runtime = current_thread().build().unwrap();
    runtime.block_on(async { *EARLY.lock().await += 1 });
    let ((), seen) = record(|| async { *EARLY.lock().await += 1 });
    let locks = resources(&seen, "mutex");
    assert_eq!((locks.len(), locks[0].3), (1, None));
    assert_eq!(readings(&seen, locks[0].0)["acquired"], 1);
    assert_eq!(*runtime.block_on(EARLY.lock()), 3);
}
