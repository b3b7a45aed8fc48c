//! The table of the module's documentation against what CPython's asyncio has.

use std::collections::BTreeSet;

use crate::pairs::python;

const DOCUMENTATION: &str = include_str!("../../src/event_loop/mod.rs");

const NAMES: &str = "
import asyncio, inspect
classes = [asyncio.AbstractEventLoop, asyncio.BaseEventLoop, asyncio.Future, asyncio.Task, asyncio.Handle,
           asyncio.TimerHandle, asyncio.Runner, asyncio.TaskGroup, asyncio.Timeout]
names = {name for one in classes for name in dir(one)} | set(asyncio.__all__)
print(*(name for name in names if not name.startswith('_')))
";

/// What only some versions have, so that it may be missing.
const NOT_EVERYWHERE: [&str; 25] = [
    "TaskGroup",
    "QueueShutDown",
    "EventLoop",
    "eager_task_factory",
    "create_eager_task_factory",
    "capture_call_graph",
    "format_call_graph",
    "print_call_graph",
    "FrameCallGraphEntry",
    "FutureCallGraph",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
    "get_context",
    "get_child_watcher",
    "set_child_watcher",
    "AbstractChildWatcher",
    "SafeChildWatcher",
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "ThreadedChildWatcher",
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "get_event_loop_policy",
    "set_event_loop_policy",
];

/// The names in the first column of the first table.
fn documented() -> BTreeSet<&'static str> {
    let (_, table) = DOCUMENTATION.split_once("//! | asyncio | here |").unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("//! |"));
    let cells = rows.filter_map(|row| row.strip_prefix("//! |")?.split('|').next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| *name != "context")
        .map(|name| name.rsplit('.').next().unwrap_or(name))
        .collect()
}

#[test]
fn every_name_of_asyncio_is_in_the_table_and_no_other() {
    let ran = python().args(["-I", "-W", "ignore", "-c", NAMES]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let theirs: BTreeSet<_> = text.split_whitespace().collect();
    assert!(theirs.len() > 150, "{theirs:?}");
    let documented = documented();
    let missing: Vec<_> = theirs.difference(&documented).collect();
    assert!(missing.is_empty(), "asyncio has, and the table does not say of: {missing:?}");
    let unknown: Vec<_> =
        documented.difference(&theirs).filter(|name| !NOT_EVERYWHERE.contains(name)).collect();
    assert!(unknown.is_empty(), "the table has, and asyncio does not: {unknown:?}");
}

/// What a row says is the same has to be there.
#[test]
fn what_is_the_same_is_there() {
    use loopd_agent::event_loop::{EventLoop, Promise, Task, TimerHandle};
    // A name that is gone does not compile; what is generic is called somewhere in these tests.
    let _ = (
        EventLoop::stop,
        EventLoop::is_running,
        EventLoop::is_closed,
        EventLoop::close,
        EventLoop::time,
        EventLoop::debug,
        EventLoop::set_debug,
        EventLoop::exception_handler,
        EventLoop::call_exception_handler,
        EventLoop::default_exception_handler,
        EventLoop::all_tasks,
        EventLoop::current_task,
        EventLoop::set_default_executor,
    );
    let _ =
        (Task::<()>::cancelling, Task::<()>::uncancel, Task::<()>::exception, Task::<()>::get_loop);
    let _ = (Promise::<()>::cancelled, Promise::<()>::done, TimerHandle::when);
}
