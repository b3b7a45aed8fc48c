//! With everything recorded the counts are tokio's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_agent::RecordKind;
use loopd_model::{EventKind, TaskId, TaskKind};

use crate::collector::Collector;
use crate::{FLUSH, Way, agent_for, current_thread, multi_thread};

const TASKS: u64 = 50;
const ROUNDS: usize = 40;

/// Tasks that wait for a lock, for time and for each other, and wake each other.
fn check(mut builder: tokio::runtime::Builder, workers: usize) {
    // Tokio does not count polls from the LIFO slot.
    builder.disable_lifo_slot();
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("busy", builder).build().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let lock = Arc::new(tokio::sync::Mutex::new(0));
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let task = |lock: Arc<tokio::sync::Mutex<u64>>, sender: tokio::sync::mpsc::Sender<()>| async move {
            for round in 0..ROUNDS {
                *lock.lock().await += 1;
                tokio::task::yield_now().await;
                if round % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    sender.send(()).await.unwrap();
                }
            }
        };
        for _ in 0..TASKS {
            tokio::spawn(task(lock.clone(), sender.clone()));
        }
        drop(sender);
        while receiver.recv().await.is_some() {}
        assert_eq!(*lock.lock().await, TASKS * ROUNDS as u64);
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);

    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Poll).1, 0, "{:?}", loopd_agent::stats());
    let mut polls = BTreeMap::new();
    for (_, worker, span) in seen.spans(RecordKind::Poll) {
        if span.task < TaskId::FIRST_ROOT {
            *polls.entry(worker).or_insert(0u64) += 1;
        }
    }
    for worker in 0..workers {
        let recorded = polls.get(&(worker as u32)).copied().unwrap_or(0);
        assert_eq!(recorded, metrics.worker_poll_count(worker), "worker {worker}");
    }
    let spawns = seen
        .events()
        .filter(|event| matches!(event.kind, EventKind::TaskSpawned { kind: TaskKind::Async, .. }));
    assert_eq!((spawns.count() as u64, metrics.spawned_tasks_count()), (TASKS, TASKS));
    assert!(seen.stored_and_lost(RecordKind::Wake).0 > TASKS);
    for entry in &seen.goodbyes.last().unwrap().ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!((entry.produced, entry.dropped), (stored + lost, lost), "{:?}", entry.kind);
    }
}

#[test]
fn counts_equal_tokios_own_on_many_threads_with_everything_on() {
    check(multi_thread(2), 2);
}

#[test]
fn counts_equal_tokios_own_on_one_thread_with_everything_on() {
    check(current_thread(), 1);
}
