//! What is promised of a program that was built without `--cfg tokio_unstable`: only what is not
//! seen. That everything else is seen, the other tests show, which run in both builds.

use loopd_agent::{CoverageState, JoinSetExt, RecordKind};
use loopd_model::{EventKind, TaskId, TaskKind};

use crate::collector::Collector;
use crate::{FLUSH, agent_for, multi_thread};

#[test]
fn the_coverage_says_that_there_are_no_hooks_and_why() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let seen = collector.wait("the hello", |seen| !seen.hellos.is_empty());
    let coverage = &seen.hellos[0].process.coverage;
    assert_eq!(*coverage, loopd_agent::stats().coverage);
    let layer = |name: &str| coverage.iter().find(|layer| layer.layer == name).unwrap();
    assert_eq!(layer("hooks").state, CoverageState::Unavailable);
    let reason = &layer("hooks").reason;
    assert!(reason.contains("--cfg tokio_unstable") && reason.contains("loopd_agent"), "{reason}");
    assert_eq!(layer("wrapped").state, CoverageState::On);
    assert_eq!(layer("metrics").state, CoverageState::On);
    assert!(layer("metrics").reason.contains("tokio_unstable"));
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn only_what_goes_through_loopd_is_seen() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let number = |id: tokio::task::Id| id.to_string().parse::<u64>().unwrap();
    let (plain, ours) = runtime.block_on(async {
        let plain = tokio::spawn(tokio::task::yield_now());
        let one = loopd_agent::spawn(tokio::task::yield_now());
        let two = loopd_agent::task("two").spawn(tokio::task::yield_now());
        let three = loopd_agent::spawn_blocking(|| ());
        let mut set = tokio::task::JoinSet::new();
        let four = set.spawn_recorded(None, tokio::task::yield_now());
        let ids = [one.id(), two.id(), three.id(), four.id()];
        let plain_id = plain.id();
        for task in [plain, one, two, three] {
            task.await.unwrap();
        }
        set.join_next().await.unwrap().unwrap();
        (number(plain_id), ids.map(number))
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);

    let seen = collector.seen();
    let is_in = |event: &EventKind, wanted: u64| match event {
        EventKind::TaskSpawned { task, .. }
        | EventKind::TaskEnded { task, .. }
        | EventKind::BlockingStarted { task } => task.0 == wanted,
        _ => false,
    };
    let events_of = |task| seen.events().filter(|event| is_in(&event.kind, task)).count();
    let polls = seen.spans(RecordKind::Poll);
    let polls_of = |task| polls.iter().filter(|(.., poll)| poll.task.0 == task).count();
    assert_eq!((events_of(plain), polls_of(plain)), (0, 0));
    let [one, two, three, four] = ours;
    for task in [one, two, four] {
        assert_eq!((events_of(task), polls_of(task)), (2, 2));
    }
    // Queued, begun, ended; a job has no polls.
    assert_eq!((events_of(three), polls_of(three)), (3, 0));
    let roots = seen.events().filter(|event| {
        matches!(&event.kind, EventKind::TaskSpawned { task, kind: TaskKind::BlockOn, .. }
            if *task >= TaskId::FIRST_ROOT)
    });
    assert_eq!(roots.count(), 1);
    // What a thread sleeps is seen through hooks that every build has.
    assert!(!seen.spans(RecordKind::Park).is_empty());
}
