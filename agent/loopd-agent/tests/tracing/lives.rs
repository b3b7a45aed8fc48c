//! Tasks that no hook sees are recorded, and none twice.

use std::collections::BTreeMap;

use loopd_model::{EventKind, Outcome, RecordKind, TaskKind};
use tokio::task::LocalSet;

use crate::collector::{Collector, Seen};
use crate::{Cast, FLUSH, Way, agent_for, current_thread, lives_of, multi_thread};

fn kinds(seen: &Seen) -> BTreeMap<u64, TaskKind> {
    let spawns = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskSpawned { task, kind, .. } => Some((task.0, *kind)),
        _ => None,
    });
    spawns.collect()
}

/// The line of a task's spawn.
fn line_of(seen: &Seen, id: u64) -> u32 {
    let place = seen.events().find_map(|event| match &event.kind {
        EventKind::TaskSpawned { task, spawn_location, .. } if task.0 == id => {
            Some(*spawn_location)
        }
        _ => None,
    });
    let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
    places.find(|known| Some(known.id) == place).map_or(0, |place| place.line)
}

fn outcome_of(seen: &Seen, id: u64) -> Option<Outcome> {
    seen.events().find_map(|event| match &event.kind {
        EventKind::TaskEnded { task, outcome } if task.0 == id => Some(*outcome),
        _ => None,
    })
}

fn polls_of(seen: &Seen, id: u64) -> usize {
    seen.spans(RecordKind::Poll).iter().filter(|(_, _, poll)| poll.task.0 == id).count()
}

#[test]
fn local_tasks_jobs_and_roots_of_unmodified_code_are_recorded_once() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let cast = Cast::default();
    let lines = (line!() + 5, line!() + 12);
    // As tokio's own runtime would: the agent's `block_on` is not asked.
    let plain: &tokio::runtime::Runtime = &runtime;
    plain.block_on(LocalSet::new().run_until(async {
        let name = cast.clone();
        let local = tokio::task::spawn_local(async move {
            name.enter("local");
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        let name = cast.clone();
        let job = tokio::task::spawn_blocking(move || name.enter("job"));
        let name = cast.clone();
        let bad = tokio::task::spawn_blocking(move || {
            name.enter("bad job");
            std::panic::resume_unwind(Box::new("as told"));
        });
        let name = cast.clone();
        let task = tokio::spawn(async move { name.enter("task") });
        local.await.unwrap();
        job.await.unwrap();
        assert!(bad.await.is_err());
        task.await.unwrap();
    }));
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let kinds = kinds(&seen);
    for (name, kind) in [
        ("local", TaskKind::Local),
        ("job", TaskKind::Blocking),
        ("bad job", TaskKind::Blocking),
        ("task", TaskKind::Async),
    ] {
        let id = cast.id(name);
        assert_eq!(kinds.get(&id), Some(&kind), "{name}");
        assert_eq!(lives_of(&seen, id), (1, 1), "{name}");
    }
    assert_eq!(kinds.values().filter(|kind| **kind == TaskKind::BlockOn).count(), 1);
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert_eq!((line_of(&seen, cast.id("local")), line_of(&seen, cast.id("job"))), lines);
    assert_eq!(outcome_of(&seen, cast.id("job")), Some(Outcome::Completed));
    assert_eq!(outcome_of(&seen, cast.id("bad job")), Some(Outcome::Panicked));
    // Four polls, and one for the drop of its future.
    assert_eq!(polls_of(&seen, cast.id("local")), 5);
    assert_eq!(polls_of(&seen, cast.id("task")), 1);
    let starts =
        seen.events().filter(|event| matches!(event.kind, EventKind::BlockingStarted { .. }));
    assert_eq!(starts.count(), 2);
}

#[test]
fn names_and_large_sizes_are_those_that_tokio_tells() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let cast = Cast::default();
    runtime.block_on(async {
        // Of any size is what tokio boxes, in release and debug builds.
        async fn with<const BYTES: usize>(cast: Cast, name: &'static str) {
            cast.enter(name);
            let bytes = std::hint::black_box([1u8; BYTES]);
            tokio::task::yield_now().await;
            std::hint::black_box(bytes);
        }
        tokio::spawn(with::<64>(cast.clone(), "small")).await.unwrap();
        let named = tokio::task::Builder::new().name("import");
        named.spawn(with::<1_200>(cast.clone(), "large")).unwrap().await.unwrap();
        tokio::spawn(with::<40_000>(cast.clone(), "boxed")).await.unwrap();
        loopd_agent::spawn(with::<40_000>(cast.clone(), "wrapped")).await.unwrap();
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let sizes = |name: &str| {
        let id = cast.id(name);
        let told = seen.events().filter_map(|event| match &event.kind {
            EventKind::TaskFields { task, fields } if task.0 == id => Some(fields.clone()),
            _ => None,
        });
        let told: Vec<(String, String)> = told.flatten().collect();
        told.into_iter().map(|(key, value)| (key, value.parse().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(seen.task_named("import"), Some(cast.id("large")));
    assert_eq!(sizes("small"), []);
    let [(key, size)] = &sizes("large")[..] else { panic!("{:?}", sizes("large")) };
    assert!(key == "size.bytes" && (1_200..1_500u64).contains(size), "{size}");
    for name in ["boxed", "wrapped"] {
        let [(now, size), (before, original)] = &sizes(name)[..] else {
            panic!("{name}: {:?}", sizes(name))
        };
        assert_eq!((now.as_str(), before.as_str()), ("size.bytes", "original_size.bytes"));
        assert!(*size < 100 && (40_000..41_000).contains(original), "{name}: {size}, {original}");
    }
}

#[test]
fn what_the_wrappers_record_is_not_recorded_again() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let cast = Cast::default();
    runtime.block_on(async {
        let name = cast.clone();
        loopd_agent::spawn_blocking(move || name.enter("job")).await.unwrap();
        let name = cast.clone();
        loopd_agent::spawn(async move { name.enter("task") }).await.unwrap();
        LocalSet::new()
            .run_until(async {
                let name = cast.clone();
                loopd_agent::spawn_local(async move { name.enter("local") }).await.unwrap();
            })
            .await;
        let name = cast.clone();
        tokio::spawn(async move { name.enter("plain") }).await.unwrap();
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    for name in ["job", "task", "local", "plain"] {
        assert_eq!(lives_of(&seen, cast.id(name)), (1, 1), "{name}");
    }
    assert_eq!(kinds(&seen).len(), 5, "and the root: {:?}", kinds(&seen));
    assert_eq!(polls_of(&seen, cast.id("local")), 1);
}
