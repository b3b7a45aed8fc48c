//! What the program says of itself, and tasks that nothing can wake.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use loopd_model::{EventKind, MarkLevel, RecordKind};

use crate::collector::{Collector, Seen};
use crate::{FLUSH, agent_for, current_thread, multi_thread};

fn unwakeable(seen: &Seen) -> Vec<u64> {
    let of = |kind: &EventKind| match kind {
        EventKind::TaskUnwakeable { task } => Some(task.0),
        _ => None,
    };
    seen.events().filter_map(|event| of(&event.kind)).collect()
}

/// Waits once, and leaves its waker here.
fn waits_with(place: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> {
    let mut is_woken = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        *place.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    })
}

#[test]
fn a_wrapped_task_that_lost_its_wakers_is_found() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    runtime.block_on(async {
        let place = Arc::new(Mutex::new(None));
        loopd_agent::task("never asked").spawn(std::future::pending::<()>());
        loopd_agent::task("forgotten").spawn(waits_with(place.clone()));
        while place.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    });
    // Its poll is over by now, or will be while nobody has its waker.
    let seen = collector.wait("the first is found", |seen| !unwakeable(seen).is_empty());
    assert_eq!(unwakeable(&seen), [seen.task_named("never asked").unwrap()]);
    let woken = Arc::new(Mutex::new(None));
    runtime.block_on(async {
        loopd_agent::task("left").spawn(waits_with(woken.clone()));
        while woken.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    });
    drop(woken.lock().unwrap().take());
    collector.wait("the last waker's end is noticed", |seen| {
        seen.task_named("left").is_some_and(|task| unwakeable(seen).contains(&task))
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    assert_eq!(unwakeable(&collector.seen()).len(), 2);
}

#[test]
fn tasks_that_something_can_wake_are_never_accused() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    for builder in [multi_thread(3), current_thread()] {
        let runtime = agent.attach("main", builder).build().unwrap();
        runtime.block_on(busy());
    }
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    assert!(seen.spans(RecordKind::Wake).len() > 1_000);
    assert!(unwakeable(&seen).is_empty());
}

/// Yields, timers, channels, joins, aborts, panics, selects and wakers that outlive their tasks.
async fn busy() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u32>(2);
    let sending = loopd_agent::spawn(async move {
        for number in 0..500 {
            sender.send(number).await.unwrap();
        }
    });
    let receiving = loopd_agent::spawn(async move {
        while let Some(number) = receiver.recv().await {
            tokio::select! {
                biased;
                () = tokio::task::yield_now(), if number % 2 == 0 => {}
                () = tokio::time::sleep(Duration::from_micros(100)) => {}
            }
        }
    });
    let yielding = loopd_agent::spawn(async {
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
    });
    let place = Arc::new(Mutex::new(None));
    let aborted = loopd_agent::spawn(waits_with(place.clone()));
    while place.lock().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
    place.lock().unwrap().take().unwrap().wake();
    let aborted = loopd_agent::spawn(tokio::time::sleep(Duration::from_secs(3600)));
    tokio::task::yield_now().await;
    aborted.abort();
    let panicking = loopd_agent::spawn(async {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new("as told"));
    });
    assert!(panicking.await.is_err());
    let joining = loopd_agent::spawn(async { sending.await.unwrap() });
    for task in [joining, receiving, yielding] {
        task.await.unwrap();
    }
    let boxed: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(tokio::task::yield_now());
    loopd_agent::spawn(boxed).await.unwrap();
}

#[test]
fn large_futures_have_their_size_told_and_others_do_not() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async {
        loopd_agent::spawn(std::future::ready([0u8; 64])).await.unwrap();
        loopd_agent::task("large").spawn(std::future::ready([0u8; 2000])).await.unwrap();
    });
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let id = seen.task_named("large").unwrap();
    let told: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::TaskFields { task, fields } => Some((task.0, fields.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(id, vec![("size.bytes".to_owned(), "2001".to_owned())])]);
}

#[test]
fn marks_and_fields_arrive_as_they_were_said() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async {
        let task = loopd_agent::task("checkout").field("order", 17).field("user", "ann");
        task.spawn(async {
            let order = 17;
            loopd_agent::mark!("paid", order, items = 1 + 2);
            loopd_agent::mark("sent").message(format_args!("by {}", "post")).record();
        })
        .await
        .unwrap();
    });
    let line = line!() - 6;
    drop(runtime);
    agent.shutdown(FLUSH);
    let seen = collector.seen();
    let id = seen.task_named("checkout").unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert!(seen.events().any(|event| event.kind
        == EventKind::TaskFields {
            task: loopd_model::TaskId(id),
            fields: vec![pair("order", "17"), pair("user", "ann")],
        }));
    let marks: Vec<_> =
        seen.events().filter(|event| matches!(event.kind, EventKind::Mark { .. })).collect();
    let EventKind::Mark { task, level, target, message, fields, location } = &marks[0].kind else {
        unreachable!()
    };
    assert_eq!(
        (task.0, *level, target.as_str(), message.as_str()),
        (id, MarkLevel::None, "paid", "")
    );
    assert_eq!(*fields, [pair("order", "17"), pair("items", "3")]);
    let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
    assert_eq!(places.find(|place| place.id == *location).unwrap().line, line);
    assert!(
        matches!(&marks[1].kind, EventKind::Mark { target, message, .. } if target == "sent" && message == "by post")
    );
    assert_eq!(marks.len(), 2);
}

#[test]
fn marks_beyond_the_limit_are_counted() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let since = Instant::now();
    for _ in 0..1_500 {
        loopd_agent::mark!("again");
    }
    // Where the machine stopped meanwhile, there was a second limit.
    let least = if since.elapsed() < Duration::from_secs(1) { 400 } else { 0 };
    agent.shutdown(FLUSH);
    let (stored, lost) = collector.seen().stored_and_lost(RecordKind::Mark);
    assert_eq!(stored + lost, 1_500);
    assert!((least..=500).contains(&lost), "{lost}");
}
