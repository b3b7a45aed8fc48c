//! What of a loop is recorded: as much as of Python's. One process per test, as in `it`.

use std::time::Duration;

use loopd_agent::event_loop::{Error, EventLoop, Result, create_task, sleep, yield_now};
use loopd_agent::{Config, RecordKind};
use loopd_model::{CloseHow, EventKind, MarkLevel, Outcome, TaskKind};

use crate::collector::{Collector, LIMIT, Seen};

/// Number, kind, parent and outcome of the tasks of a loop.
fn tasks(seen: &Seen, of: u64) -> Vec<(u64, TaskKind, u64, Option<Outcome>)> {
    let spawned = seen.events().filter_map(|event| match &event.kind {
        EventKind::TaskSpawned { task, loop_id, kind, parent, .. } if loop_id.0 == of => {
            Some((task.0, *kind, parent.0))
        }
        _ => None,
    });
    let outcome = |of: u64| {
        seen.events().find_map(|event| match &event.kind {
            EventKind::TaskEnded { task, outcome } if task.0 == of => Some(*outcome),
            _ => None,
        })
    };
    spawned.map(|(task, kind, parent)| (task, kind, parent, outcome(task))).collect()
}

#[test]
fn loops_tasks_steps_callbacks_and_complaints() {
    let collector = Collector::start();
    let agent = Config::from_env().app("test").endpoint(&collector.endpoint).start().unwrap();
    let it = EventLoop::named("mine").unwrap();
    it.set_exception_handler(|_, _| ());
    let ran = it.run_until_complete(async {
        let it = EventLoop::running()?;
        let task = it.create_named_task("yields", async {
            for _ in 0..3 {
                yield_now().await?;
            }
            Ok(())
        })?;
        for _ in 0..5 {
            it.call_soon(|| Err::<(), _>(Error::new("on purpose")))?;
        }
        it.call_later(Duration::from_millis(1), || ())?;
        task.await?;
        let failed: Result<()> = create_task(async { Err(Error::new("failed")) })?.await;
        assert!(failed.is_err());
        sleep(Duration::from_millis(5)).await
    });
    ran.unwrap();
    it.close().unwrap();
    drop(it);
    let unclosed = EventLoop::named("left").unwrap();
    unclosed.create_named_task("orphan", std::future::pending::<Result<()>>()).unwrap();
    drop(unclosed);
    assert!(agent.shutdown(LIMIT).complete);

    let seen = collector.seen();
    let of = seen.loop_named("mine").unwrap();
    let closed = seen
        .events()
        .any(|event| matches!(&event.kind, EventKind::LoopClosed { loop_id } if loop_id.0 == of));
    assert!(closed);
    let all = tasks(&seen, of);
    let yields = seen.task_named("yields").unwrap();
    let (_, kind, parent, outcome) = *all.iter().find(|task| task.0 == yields).unwrap();
    assert_eq!((kind, outcome), (TaskKind::Local, Some(Outcome::Completed)));
    assert!(all.iter().any(|task| task.0 == parent && task.1 == TaskKind::Local));
    assert!(all.iter().any(|task| task.3 == Some(Outcome::Raised)));

    let polls = seen.spans(RecordKind::Poll);
    let of_task = |task: u64| polls.iter().filter(|(_, _, span)| span.task.0 == task).count();
    assert_eq!(of_task(yields), 4);
    let wakes = seen.spans(RecordKind::Wake);
    let of_yields: Vec<_> = wakes.iter().filter(|(.., span)| span.task.0 == yields).collect();
    assert_eq!(of_yields.len(), 4, "spawned by main, then woken by itself");
    // Five runs of the callbacks of one line are five polls of one task.
    let callbacks: Vec<_> = all.iter().filter(|task| task.1 == TaskKind::Callback).collect();
    assert!(callbacks.iter().any(|task| of_task(task.0) == 5), "{callbacks:?}");
    assert!(callbacks.iter().all(|task| task.3 == Some(Outcome::Completed)));
    assert!(!seen.spans(RecordKind::Park).is_empty());

    let complaints: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::Mark { target, level, fields, .. } if target == "asyncio" => {
                Some((*level, fields[0].1.clone()))
            }
            _ => None,
        })
        .collect();
    let failed = (MarkLevel::Error, "callback_failed".to_owned());
    assert_eq!(complaints.iter().filter(|known| **known == failed).count(), 5);
    let last: Vec<_> = complaints.iter().rev().take(2).map(|(_, check)| &**check).collect();
    assert_eq!(last, ["event_loop_unclosed", "pending_task_destroyed"]);
    let orphan = seen.task_named("orphan").unwrap();
    let left = tasks(&seen, seen.loop_named("left").unwrap());
    assert!(left.iter().any(|task| task.0 == orphan && task.3 == Some(Outcome::Destroyed)));
    let hows: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::ResourceClosed { how, .. } => Some(*how),
            _ => None,
        })
        .collect();
    assert_eq!(hows, [CloseHow::Closed, CloseHow::Unclosed]);
}

#[test]
fn a_run_has_closed_its_loop_before_it_sweeps_away_what_is_left() {
    let collector = Collector::start();
    let agent = Config::from_env().app("test").endpoint(&collector.endpoint).start().unwrap();
    let ran = loopd_agent::run(async {
        EventLoop::running()?.create_named_task("leaked", std::future::pending::<Result<()>>())?;
        yield_now().await
    });
    ran.unwrap();
    assert!(agent.shutdown(LIMIT).complete);

    let seen = collector.seen();
    let leaked = seen.task_named("leaked").unwrap();
    let at = |is_it: &dyn Fn(&EventKind) -> bool| {
        seen.events().find(|event| is_it(&event.kind)).map(|event| event.at)
    };
    let closed = at(&|kind| matches!(kind, EventKind::LoopClosed { .. })).unwrap();
    let ended = at(&|kind| matches!(kind, EventKind::TaskEnded { task, .. } if task.0 == leaked));
    assert!(closed <= ended.unwrap(), "{closed:?} {ended:?}");
}
