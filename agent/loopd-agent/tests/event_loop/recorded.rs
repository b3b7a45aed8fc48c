//! What of a loop is recorded: as much as of Python's. One process per test, as in `it`.

use std::time::{Duration, Instant};

use loopd_agent::event_loop::{
    Error, EventLoop, Result, TaskGroup, create_task, gather, shield, sleep, wait_for, yield_now,
};
use loopd_agent::{Config, RecordKind};
use loopd_model::{CloseHow, EventKind, MarkLevel, Outcome, Span, TaskKind};

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

/// Makes this many steps and one more.
async fn work(steps: usize) -> Result<()> {
    let it = EventLoop::running()?;
    let task = it.create_named_task(&format!("work-{steps}"), async move {
        for _ in 0..steps {
            yield_now().await?;
        }
        Ok(())
    })?;
    task.await
}

/// A program of its own, for the test below: `run` starts its agent.
#[test]
#[ignore = "a part of another test"]
fn a_program_with_six_loops() {
    loopd_agent::run(work(1)).unwrap();
    loopd_agent::run(work(2)).unwrap();
    for steps in [3, 4] {
        std::thread::spawn(move || loopd_agent::run(work(steps)).unwrap()).join().unwrap();
    }
    // The one that starts first is done first, and the other goes on.
    let (is_there, there) = std::sync::mpsc::channel();
    let (is_over, over) = tokio::sync::oneshot::channel();
    let other = std::thread::spawn(move || {
        loopd_agent::run(async move {
            is_there.send(())?;
            over.await?;
            work(5).await
        })
    });
    there.recv().unwrap();
    loopd_agent::run(work(6)).unwrap();
    is_over.send(()).unwrap();
    other.join().unwrap().unwrap();
    // It ends as programs do, by `exit`.
}

#[test]
fn each_run_of_a_program_is_a_loop_of_one_process() {
    let collector = Collector::start();
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["recorded::a_program_with_six_loops", "--exact", "--ignored"])
        .env("LOOPD_ENDPOINT", &collector.endpoint)
        // On a machine that is busy with other tests the usual half second may not be enough.
        .env("LOOPD_EXIT_TIMEOUT", format!("{}s", LIMIT.as_secs()))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let seen = collector.wait("the goodbye", |seen| !seen.goodbyes.is_empty());
    assert_eq!(seen.hellos.len(), 1, "one process, in one session");
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for event in seen.events() {
        match &event.kind {
            EventKind::LoopOpened { loop_id, flavor, .. } => {
                assert_eq!(flavor, "loopd EventLoop");
                opened.push(loop_id.0);
            }
            EventKind::LoopClosed { loop_id } => closed.push(loop_id.0),
            _ => {}
        }
    }
    closed.sort_unstable();
    opened.sort_unstable();
    assert_eq!((opened.len(), &closed), (6, &opened));
    let polls = seen.spans(RecordKind::Poll);
    let mut loops = Vec::new();
    for steps in 1..=6 {
        let task = seen.task_named(&format!("work-{steps}")).unwrap();
        let of: Vec<_> = polls.iter().filter(|(.., span)| span.task.0 == task).collect();
        assert_eq!(of.len(), steps + 1, "work-{steps}");
        assert!(of.iter().all(|(loop_id, worker, _)| (*loop_id, *worker) == (of[0].0, 0)));
        let tasks = tasks(&seen, of[0].0);
        let (.., parent, outcome) = *tasks.iter().find(|known| known.0 == task).unwrap();
        assert!(tasks.iter().any(|known| (known.0, known.1) == (parent, TaskKind::Local)));
        assert_eq!(outcome, Some(Outcome::Completed));
        loops.push(of[0].0);
    }
    loops.sort_unstable();
    assert_eq!(loops, opened, "each has its own");
    assert_eq!(seen.stored_and_lost(RecordKind::Poll).1, 0);
}

#[test]
fn a_callback_begins_when_the_one_before_it_ended_unless_something_came_between() {
    const SPENT: Duration = Duration::from_millis(5);
    /// Two instants are made nanoseconds of, each by itself.
    const ROUNDING: u64 = 2;
    let collector = Collector::start();
    let agent = Config::from_env().app("test").endpoint(&collector.endpoint).start().unwrap();
    let it = EventLoop::named("mine").unwrap();
    it.set_exception_handler(|_, _| {
        let began = Instant::now();
        while began.elapsed() < SPENT {}
    });
    let ran = it.run_until_complete(async {
        let it = EventLoop::running()?;
        for _ in 0..20 {
            it.call_soon(|| ())?;
        }
        it.call_soon(|| Err::<(), _>(Error::new("on purpose")))?;
        it.call_soon(|| ())?;
        yield_now().await
    });
    ran.unwrap();
    it.close().unwrap();
    assert!(agent.shutdown(LIMIT).complete);

    let seen = collector.seen();
    let of = seen.loop_named("mine").unwrap();
    let polls = seen.spans(RecordKind::Poll).into_iter().filter(|(loop_id, ..)| *loop_id == of);
    let mut polls: Vec<_> = polls.map(|(.., span)| span).collect();
    polls.sort_by_key(|span| span.start.0);
    let count = |task| polls.iter().filter(|span| span.task == task).count();
    let first = polls.iter().position(|span| count(span.task) == 20).unwrap();
    let end = |span: &Span| span.start.0 + span.length;
    for pair in polls[first..first + 21].windows(2) {
        assert!(pair[1].start.0.abs_diff(end(&pair[0])) <= ROUNDING, "{pair:?}");
    }
    let [failing, next] = &polls[first + 20..first + 22] else { panic!("{polls:?}") };
    assert!(next.start.0 >= end(failing) + SPENT.as_nanos() as u64, "{failing:?} {next:?}");
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

#[test]
fn what_the_loop_does_for_the_program_is_shown_at_the_programs_lines() {
    let collector = Collector::start();
    let agent = Config::from_env().app("test").endpoint(&collector.endpoint).start().unwrap();
    let ran = loopd_agent::run(async {
        let it = EventLoop::running()?;
        it.add_finalizer(|| sleep(Duration::from_millis(1)));
        // Swept away at the end, as are the jobs of the executor.
        it.create_named_task("left", std::future::pending::<Result<()>>())?;
        it.run_in_executor(None, || Ok(()))?.await?;
        let other = it.create_task(yield_now())?;
        shield(&other).await?;
        wait_for(LIMIT, gather(vec![it.create_task(yield_now())?])).await?;
        TaskGroup::scope(async |group| {
            group.create_task(yield_now())?;
            Ok(())
        })
        .await
    });
    ran.unwrap();
    let it = EventLoop::new().unwrap();
    let ran = it.run_until_complete(async {
        let it = EventLoop::running()?;
        it.run_in_executor(None, || Ok(()))?.await?;
        it.shutdown_default_executor().await
    });
    let line = line!() - 2;
    ran.unwrap();
    it.close().unwrap();
    assert!(agent.shutdown(LIMIT).complete);

    let seen = collector.seen();
    let places = || seen.batches.values().flat_map(|batch| &batch.locations);
    let mut others = places().filter(|place| !place.file.ends_with("tests/event_loop/recorded.rs"));
    assert!(others.next().is_none(), "{:?}", places().collect::<Vec<_>>());
    let shut_down = "EventLoop::shutdown_default_executor";
    let shown: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::TaskSpawned { task, spawn_location, .. }
                if seen.name_of(task.0) == Some(shut_down) =>
            {
                places().find(|place| place.id == *spawn_location).map(|place| place.line)
            }
            _ => None,
        })
        .collect();
    assert!(shown.contains(&line), "{shown:?} {line}");
}
