//! What a program may do with its spans, locks and subscriber does no harm to it or to what is
//! recorded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loopd_agent::{Config, CoverageState, RecordKind, Tracked};
use loopd_model::{EventKind, TaskKind};
use tracing_subscriber::prelude::*;

use crate::collector::{Collector, Seen};
use crate::{FLUSH, Way, agent_for, current_thread, lives_of};

/// More than the agent keeps apart on one thread.
const DEEP: usize = 60;

/// The task of each mark, and the parent and busy time of each span, by name.
fn marks(seen: &Seen) -> Vec<(String, u64)> {
    let marks = seen.events().filter_map(|event| match &event.kind {
        EventKind::Mark { task, target, .. } => Some((target.clone(), task.0)),
        _ => None,
    });
    marks.collect()
}

fn spans(seen: &Seen) -> Vec<(&str, u64, u64)> {
    let spans = seen.events().filter_map(|event| match &event.kind {
        EventKind::AppSpan { name, parent, busy_time, .. } => {
            Some((name.as_str(), parent.0, *busy_time))
        }
        _ => None,
    });
    spans.collect()
}

#[test]
fn a_poll_inside_too_many_spans_ends() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let plain: &tokio::runtime::Runtime = &runtime;
    let entered: Vec<_> = (0..DEEP).map(|_| tracing::info_span!("deep").entered()).collect();
    plain.block_on(async {});
    entered.into_iter().rev().for_each(drop);
    loopd_agent::mark!("outside");
    drop(runtime);
    agent.shutdown(FLUSH);
    assert_eq!(marks(&collector.seen()), [("outside".to_owned(), 0)]);
}

#[test]
fn spans_that_are_never_left_do_not_hide_later_ones() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    for _ in 0..DEEP {
        // As when the thread is another one by the time the span is left.
        let span = tracing::info_span!("left elsewhere");
        span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
    }
    let outer = tracing::info_span!("outer").entered();
    tracing::info_span!("inner").in_scope(std::thread::yield_now);
    drop(outer);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let spans = spans(&seen);
    assert_eq!(spans.len(), DEEP + 2);
    let [inner, outer] = spans[DEEP..] else { unreachable!() };
    assert_eq!((inner.0, outer.0, outer.1), ("inner", "outer", 0));
    assert!(inner.1 != 0 && inner.2 > 0 && outer.2 > inner.2, "{inner:?} {outer:?}");
}

#[test]
fn what_tokio_makes_before_the_start_counts_for_nothing() {
    tracing_subscriber::registry().with(loopd_agent::layer()).init();
    let early = [(); 3].map(|()| tokio::sync::Mutex::new(()));
    let collector = Collector::start();
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.start().unwrap();
    // This thread may ask for a ring at once.
    drop(Tracked::new("thing", "", ()));
    assert!(agent.shutdown(FLUSH).complete);
    let produced = || {
        let produced = loopd_agent::stats().produced;
        produced.iter().find(|(kind, _)| *kind == RecordKind::Resource).map(|(_, count)| *count)
    };
    let before = produced();
    drop(early);
    drop(tokio::sync::Mutex::new(()));
    assert_eq!((before, produced()), (Some(2), Some(2)));
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (2, 0));
}

fn set(name: &str, value: &str) {
    // SAFETY: the test has one thread that reads the environment, this one.
    #[expect(unsafe_code, reason = "there is no safe way to set a variable")]
    unsafe {
        std::env::set_var(name, value);
    }
}

/// State and reason of the layer.
fn coverage() -> (CoverageState, String) {
    let coverage = loopd_agent::stats().coverage;
    let tracing = coverage.into_iter().find(|known| known.layer == "tracing").unwrap();
    (tracing.state, tracing.reason)
}

#[test]
fn a_variable_alone_does_not_take_the_subscribers_place() {
    set("LOOPD_TRACING", "on");
    let collector = Collector::start();
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.start().unwrap();
    let (state, reason) = coverage();
    assert_eq!(state, CoverageState::Off);
    assert!(reason.contains("Config::tracing"), "{reason}");
    // Panics if there is one.
    tracing_subscriber::registry().init();
    drop(agent);
}

#[test]
fn a_variable_keeps_the_subscribers_place_free() {
    set("LOOPD_TRACING", "off");
    let collector = Collector::start();
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.tracing(true).start().unwrap();
    let (state, reason) = coverage();
    assert_eq!(state, CoverageState::Off);
    assert!(reason.contains("LOOPD_TRACING"), "{reason}");
    tracing_subscriber::registry().init();
    drop(agent);
}

#[test]
fn after_a_spawn_that_panicked_tasks_are_recorded_as_ever() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let plain: &tokio::runtime::Runtime = &runtime;
    let outside = || drop(loopd_agent::spawn_local(async {}));
    assert!(catch_unwind(AssertUnwindSafe(outside)).is_err());
    plain.block_on(async {});
    assert!(catch_unwind(AssertUnwindSafe(outside)).is_err());
    let task = runtime.handle().spawn(async {});
    let task = task.id().to_string().parse().unwrap();
    plain.block_on(async {});
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let kinds = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskSpawned { kind, .. } => Some(*kind),
        _ => None,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [TaskKind::BlockOn, TaskKind::Async, TaskKind::BlockOn]);
    assert_eq!(lives_of(&seen, task), (1, 1));
}

/// Its formatting fails.
struct Bad;

impl std::fmt::Debug for Bad {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::resume_unwind(Box::new("as told"));
    }
}

#[test]
fn fields_that_cannot_be_formatted_take_no_room() {
    // A thread may open so many spans in a second, and so many may be open in all.
    const OPEN: usize = 2048;
    const THREADS: usize = 4;
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let bad = || {
        for _ in 0..OPEN / THREADS + 1 {
            assert!(catch_unwind(|| tracing::info_span!("bad", field = ?Bad)).is_err());
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(bad))));
    tracing::info_span!("good").in_scope(|| ());
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let names: Vec<_> = spans(&seen).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(seen.stored_and_lost(RecordKind::Mark).1, 0);
}
