//! Where tasks wait, on demand.

use std::time::Duration;

use loopd_agent::DumpError;
use loopd_model::EventKind;

use crate::collector::Collector;
use crate::{FLUSH, agent_for, blocking, multi_thread};

async fn waits_for_ever() {
    std::future::pending::<()>().await;
}

async fn waits_for_a_turn(turns: std::sync::Arc<tokio::sync::Semaphore>) {
    let _turn = turns.acquire().await;
    waits_for_ever().await;
}

#[test]
fn a_dump_tells_where_each_task_waits() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = runtime.spawn(waits_for_a_turn(turns));
    let id = waiting.id().to_string();
    let tasks = runtime.block_on(loopd_agent::dump_tasks(FLUSH)).unwrap();
    assert_eq!(tasks, 1);
    let is_it = |kind: &EventKind| {
        matches!(kind, EventKind::Mark { target, task, message, .. }
            if target == "task dump"
                && task.0.to_string() == id
                && message.contains("dumping.rs:")
                && message.contains("Semaphore::acquire"))
    };
    collector.wait("the mark", |seen| seen.events().any(|event| is_it(&event.kind)));
    waiting.abort();
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn a_blocked_worker_makes_a_dump_time_out() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let (send, is_blocked) = std::sync::mpsc::channel();
    let blocker = runtime.spawn(async move {
        send.send(()).unwrap();
        blocking::nap();
    });
    is_blocked.recv().unwrap();
    let dumped = runtime.block_on(loopd_agent::dump_tasks(Duration::from_millis(50)));
    assert_eq!(dumped, Err(DumpError::TimedOut));
    blocking::IS_ENOUGH.store(true, std::sync::atomic::Ordering::Relaxed);
    runtime.block_on(blocker).unwrap();
    drop(runtime);
    agent.shutdown(FLUSH);
}
