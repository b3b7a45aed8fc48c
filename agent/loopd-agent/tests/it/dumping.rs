//! Where tasks wait, on demand.

use loopd_agent::DumpError;
use loopd_model::EventKind;

use crate::collector::Collector;
use crate::{FLUSH, agent_for, blocking, current_thread, multi_thread};

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
    let runtime = agent.attach("main", current_thread()).build().unwrap();
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

/// Tokio's dump of such a runtime would hang it for ever, at the latest when it is asked for twice:
/// the worker that is not blocked arrives twice at a barrier for two.
#[test]
fn a_runtime_of_several_threads_is_refused_and_goes_on() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let (send, is_blocked) = std::sync::mpsc::channel();
    let blocker = runtime.spawn(async move {
        send.send(()).unwrap();
        blocking::nap();
    });
    is_blocked.recv().unwrap();
    for _ in 0..3 {
        let dumped = runtime.block_on(loopd_agent::dump_tasks(FLUSH));
        assert_eq!(dumped, Err(DumpError::ManyThreads));
    }
    let other = runtime.spawn(std::future::ready(1));
    assert_eq!(runtime.block_on(other).unwrap(), 1);
    blocking::IS_ENOUGH.store(true, std::sync::atomic::Ordering::Relaxed);
    runtime.block_on(blocker).unwrap();
    drop(runtime);
    agent.shutdown(FLUSH);
}

#[test]
fn outside_of_any_runtime_there_is_nothing_to_dump() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let mut dump = std::pin::pin!(loopd_agent::dump_tasks(FLUSH));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let dumped = dump.as_mut().poll(&mut context);
    assert_eq!(dumped, std::task::Poll::Ready(Err(DumpError::NoRuntime)));
    agent.shutdown(FLUSH);
}
