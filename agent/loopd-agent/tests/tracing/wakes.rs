//! Who woke whom, and tasks that nothing can wake.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use loopd_model::{EventKind, RecordKind, Span};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::collector::{Collector, Seen};
use crate::{Cast, FLUSH, Way, agent_for, current_thread, multi_thread};

fn wakes_of(seen: &Seen, task: u64) -> Vec<Span> {
    let wakes = seen.spans(RecordKind::Wake).into_iter();
    wakes.map(|(_, _, span)| span).filter(|span| span.task.0 == task).collect()
}

fn unwakeable(seen: &Seen) -> Vec<u64> {
    let tasks = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskUnwakeable { task } => Some(task.0),
        _ => None,
    });
    tasks.collect()
}

/// Awaits the future; counts once it is pending.
async fn counted<F: Future>(waiting: &AtomicUsize, future: F) -> F::Output {
    let (mut future, mut is_counted) = (pin!(future), false);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending() && !std::mem::replace(&mut is_counted, true) {
            waiting.fetch_add(1, SeqCst);
        }
        polled
    })
    .await
}

/// Each line of the script wakes one task in a way of its own; nothing else wakes those.
async fn script(cast: Cast) {
    let (bell, waiting) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (sender, receiver) = oneshot::channel::<()>();
    let (numbers, mut numbers_in) = mpsc::channel::<u32>(1);
    let sleeper = tokio::spawn({
        let (bell, cast, waiting) = (bell.clone(), cast.clone(), waiting.clone());
        async move {
            cast.enter("notified");
            counted(&waiting, bell.notified()).await;
            sender.send(()).unwrap();
        }
    });
    let relay = tokio::spawn({
        let (cast, waiting) = (cast.clone(), waiting.clone());
        async move {
            cast.enter("told");
            counted(&waiting, receiver).await.unwrap();
            numbers.send(1).await.unwrap();
        }
    });
    let last = tokio::spawn({
        let (cast, waiting) = (cast.clone(), waiting.clone());
        async move {
            cast.enter("received");
            counted(&waiting, numbers_in.recv()).await.unwrap();
        }
    });
    let selfish = tokio::spawn({
        let cast = cast.clone();
        let mut polls = 0;
        async move {
            cast.enter("selfish");
            poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                context.waker().wake_by_ref();
                if polls == 4 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    });
    selfish.await.unwrap();
    let ringer = tokio::spawn({
        let cast = cast.clone();
        async move {
            cast.enter("ringer");
            tokio::time::sleep(Duration::from_millis(20)).await;
            while waiting.load(SeqCst) < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            bell.notify_one();
        }
    });
    for task in [sleeper, relay, last, ringer] {
        task.await.unwrap();
    }
}

fn check(way: Way, builder: tokio::runtime::Builder) {
    let collector = Collector::start();
    let agent = agent_for(&collector, way);
    let runtime = agent.attach("main", builder).build().unwrap();
    let cast = Cast::default();
    runtime.block_on(async { tokio::spawn(script(cast.clone())).await.unwrap() });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    for (woken, by) in [("notified", "ringer"), ("told", "notified"), ("received", "told")] {
        let wakes = wakes_of(&seen, cast.id(woken));
        assert_eq!(wakes.len(), 1, "{woken}: {wakes:?}");
        assert_eq!((wakes[0].by.0, wakes[0].count), (cast.id(by), 1), "{woken}");
    }
    let wakes = wakes_of(&seen, cast.id("selfish"));
    let own = |span: &Span| span.by.0 == cast.id("selfish") && span.count == 2;
    assert!(wakes.len() == 3 && wakes.iter().all(own), "{wakes:?}");
    // By the timer.
    let wakes = wakes_of(&seen, cast.id("ringer"));
    assert!(!wakes.is_empty() && wakes.iter().all(|span| span.by.0 == 0), "{wakes:?}");
    // Every wake ends where a poll of its task begins.
    let polls = seen.spans(RecordKind::Poll);
    for (loop_id, worker, wake) in seen.spans(RecordKind::Wake) {
        let is_it = |(of, on, poll): &&(u64, u32, Span)| {
            (*of, *on, poll.task) == (loop_id, worker, wake.task)
                && poll.start.0.abs_diff(wake.start.0 + wake.length) <= 1
        };
        assert!(polls.iter().any(|poll| is_it(&poll)), "{wake:?}");
    }
}

#[test]
fn wakes_of_unmodified_tasks_name_who_woke_whom() {
    check(Way::Only, multi_thread(2));
}

#[test]
fn a_layer_in_the_programs_subscriber_hears_the_same() {
    check(Way::Layer, current_thread());
}

#[test]
fn a_wrapped_tasks_wakes_are_recorded_once() {
    let collector = Collector::start();
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    // Those that it did wait for: a busy machine may have let the time pass before it asked.
    let waiting = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let waiting = waiting.clone();
        loopd_agent::task("sleeper")
            .spawn(async move {
                while waiting.load(SeqCst) < 5 {
                    counted(&waiting, tokio::time::sleep(Duration::from_millis(1))).await;
                }
            })
            .await
            .unwrap();
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let sleeper = seen.task_named("sleeper").unwrap();
    assert_eq!(wakes_of(&seen, sleeper).len(), 5);
    assert_eq!(crate::lives_of(&seen, sleeper), (1, 1));
}

#[test]
fn an_unmodified_task_that_lost_its_wakers_is_found_and_no_other() {
    let collector = Arc::new(Collector::start());
    let agent = agent_for(&collector, Way::Only);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let (cast, kept) = (Cast::default(), Arc::new(Mutex::new(None::<Waker>)));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        tasks.push(tokio::spawn({
            let (cast, mut is_first) = (cast.clone(), true);
            poll_fn(move |context| {
                if std::mem::take(&mut is_first) {
                    cast.enter("forgotten");
                    drop(context.waker().clone());
                }
                Poll::<()>::Pending
            })
        }));
        tasks.push(tokio::spawn({
            let kept = kept.clone();
            poll_fn(move |context| {
                kept.lock().unwrap().get_or_insert_with(|| context.waker().clone());
                Poll::Pending
            })
        }));
        tasks.push(tokio::spawn(tokio::time::sleep(Duration::from_secs(3600))));
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        tasks.push(tokio::spawn(async move { while receiver.recv().await.is_some() {} }));
        tasks.push(tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }));
        let (collector, is_found) = (collector.clone(), |seen: &Seen| !unwakeable(seen).is_empty());
        let waiting = move || drop(collector.wait("it is found", is_found));
        tokio::task::spawn_blocking(waiting).await.unwrap();
        // What comes and goes meanwhile.
        for _ in 0..1_000 {
            tokio::spawn(tokio::task::yield_now()).await.unwrap();
        }
        drop(sender);
        tasks.iter().for_each(|task| task.abort());
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    assert_eq!(unwakeable(&collector.seen()), [cast.id("forgotten")]);
}
