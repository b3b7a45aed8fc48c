//! How long tasks wait for their polls, as tokio measures it. It needs the cargo feature
//! `schedule-latency`, which most other tests do without.
#![cfg(tokio_unstable)]
#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a surprise ends the test")]

#[path = "../it/collector.rs"]
#[expect(dead_code, reason = "shared with the tests that need more of it")]
mod collector;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use loopd_agent::{Config, CoverageState};
use loopd_model::{RecordKind, Span};
use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};

use collector::{Collector, Seen};

/// Longer than any flush takes, so that a failing test fails by its own condition.
const FLUSH: Duration = collector::LIMIT;
/// How long the worker is blocked.
const BLOCKED: Duration = Duration::from_millis(60);

/// What the script knows of itself.
struct Known {
    woken: u64,
    blocker: u64,
    wrapped: u64,
    plain: u64,
    /// From the wake to the end of the poll that did it, at least.
    blocked: Duration,
}

fn own_id() -> u64 {
    tokio::task::id().to_string().parse().unwrap()
}

/// Wakes itself so often; says which task it is.
async fn selfish(mut wakes: usize) -> u64 {
    poll_fn(|context| {
        let is_over = wakes == 0;
        wakes = wakes.saturating_sub(1);
        if !is_over {
            context.waker().wake_by_ref();
        }
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    own_id()
}

/// On a single worker: a task is woken by one that then blocks the worker.
async fn script() -> Known {
    let (bell, (ready, is_ready)) = (Arc::new(Notify::new()), oneshot::channel());
    let woken = tokio::spawn({
        let bell = bell.clone();
        async move {
            ready.send(()).unwrap();
            bell.notified().await;
            own_id()
        }
    });
    // The only worker runs what follows after that poll.
    is_ready.await.unwrap();
    let blocker = tokio::spawn(async move {
        bell.notify_one();
        let since = Instant::now();
        std::thread::sleep(BLOCKED);
        (own_id(), since.elapsed())
    });
    let (blocker, blocked) = blocker.await.unwrap();
    let wrapped = loopd_agent::task("wrapped").spawn(selfish(100));
    let plain = tokio::spawn(selfish(100));
    Known {
        woken: woken.await.unwrap(),
        blocker,
        wrapped: wrapped.await.unwrap(),
        plain: plain.await.unwrap(),
        blocked,
    }
}

/// Runs the script; says what arrived.
fn run(mut builder: Builder, records_wakes: bool) -> (Known, Seen) {
    let collector = Collector::start();
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.sample_stacks(false).record_wakes(records_wakes).start().unwrap();
    // It is told after the welcome, and no more once the end has begun.
    collector.wait("what is captured", |seen| !seen.coverage().is_empty());
    builder.enable_all();
    let runtime = agent.attach("main", builder).build().unwrap();
    let known = runtime.block_on(async { tokio::spawn(script()).await.unwrap() });
    drop(runtime);
    agent.shutdown(FLUSH);
    (known, collector.seen())
}

fn of(seen: &Seen, kind: RecordKind, task: u64) -> Vec<Span> {
    let spans = seen.spans(kind).into_iter().map(|(_, _, span)| span);
    spans.filter(|span| span.task.0 == task).collect()
}

fn end(span: &Span) -> u64 {
    span.start.0 + span.length
}

fn check(builder: Builder) {
    let (known, seen) = run(builder, true);
    for task in [known.woken, known.blocker, known.plain] {
        // In the order of the polls, each of which was scheduled once, the first by the spawn.
        let wakes = of(&seen, RecordKind::Wake, task);
        let polls = of(&seen, RecordKind::Poll, task);
        let ends: Vec<_> = wakes.iter().map(end).collect();
        assert_eq!(ends, polls.iter().map(|poll| poll.start.0).collect::<Vec<_>>());
        assert!(wakes.iter().all(|wake| wake.by.0 == 0 && wake.count == 1), "{wakes:?}");
    }
    let (polls, wakes) =
        (of(&seen, RecordKind::Poll, known.blocker), |task| of(&seen, RecordKind::Wake, task));
    let [_, woken] = wakes(known.woken)[..] else { panic!("{:?}", wakes(known.woken)) };
    // Two clocks, one of which was compared with the other a while ago.
    let least = known.blocked.mul_f64(0.999);
    assert!(Duration::from_nanos(woken.length) >= least, "{woken:?} {:?}", known.blocked);
    assert!(polls[0].start <= woken.start && woken.start.0 < end(&polls[0]), "{woken:?} {polls:?}");
    assert_eq!(wakes(known.plain).len(), 101);
    // Each by itself, as the wrapper saw, and none once more.
    let wrapped = wakes(known.wrapped);
    assert_eq!(wrapped.len(), 100);
    assert!(wrapped.iter().all(|wake| wake.by.0 == known.wrapped), "{wrapped:?}");
}

#[test]
fn a_blocked_worker_shows_as_the_delay_of_who_was_woken() {
    check(Builder::new_current_thread());
}

#[test]
fn the_worker_of_a_thread_pool_shows_the_same() {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    check(builder);
}

#[test]
fn delays_are_wakes_and_switched_off_with_them() {
    let (known, seen) = run(Builder::new_current_thread(), false);
    assert_eq!(of(&seen, RecordKind::Poll, known.plain).len(), 101);
    assert_eq!(seen.spans(RecordKind::Wake), []);
    let (coverage, _) = seen.coverage()[0];
    let state = coverage.iter().find(|layer| layer.layer == "schedule_latency").unwrap().state;
    assert_eq!(state, CoverageState::Off);
}
