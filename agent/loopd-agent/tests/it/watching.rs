//! A poll that blocks is caught while it blocks.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loopd_agent::{Agent, Config, CoverageState, RecordKind};
use loopd_model::{EventKind, Frame, Running};

use crate::blocking::{self, Enough, LINE};
use crate::collector::{Collector, Seen};
use crate::{FLUSH, multi_thread};

const THRESHOLD: Duration = Duration::from_millis(20);

struct Taken {
    task: u64,
    running: Running,
    syscall: String,
    wchan: String,
    frames: Vec<Frame>,
    poll: (u64, u32, u64),
    /// How long the poll had been running, in nanoseconds.
    age: u64,
}

fn samples(seen: &Seen) -> Vec<Taken> {
    let stacks: Vec<_> = seen.batches.values().flat_map(|batch| batch.stacks.clone()).collect();
    let taken = seen.events().filter_map(|event| match event.kind.clone() {
        EventKind::StackSample {
            loop_id,
            worker,
            task,
            poll_started_at,
            stack,
            running,
            syscall,
            wchan,
        } => Some(Taken {
            task: task.0,
            running,
            syscall,
            wchan,
            frames: stacks.iter().find(|known| known.id == stack).unwrap().frames.clone(),
            poll: (loop_id.0, worker.0, poll_started_at.0),
            age: event.at.0 - poll_started_at.0,
        }),
        _ => None,
    });
    taken.collect()
}

/// What the agent says of its watchdog, and why.
fn watchdog() -> (CoverageState, String) {
    let coverage = loopd_agent::stats().coverage;
    let mut layers = coverage.into_iter().filter(|layer| layer.layer == "watchdog");
    layers.next().map(|layer| (layer.state, layer.reason)).unwrap()
}

fn agent_for(collector: &Collector) -> Agent {
    Config::from_env().endpoint(&collector.endpoint).slow_threshold(THRESHOLD).start().unwrap()
}

/// Blocks a task until there are two samples; those of that task, and all that was seen.
fn samples_of(blocks: fn()) -> (Vec<Taken>, Seen) {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    assert_eq!(watchdog(), (CoverageState::On, String::new()));
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let watcher = std::thread::spawn(move || {
        let _enough = Enough;
        collector.wait("two samples", |seen| samples(seen).len() >= 2);
        collector
    });
    runtime.block_on(async move {
        loopd_agent::task("blocker").spawn(async move { blocks() }).await.unwrap();
    });
    let collector = watcher.join().unwrap();
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let task = seen.task_named("blocker").unwrap();
    let taken: Vec<_> = samples(&seen).into_iter().filter(|taken| taken.task == task).collect();
    assert!(taken.len() >= 2, "{} samples", taken.len());
    (taken, seen)
}

/// What a blocked task's samples must say.
struct Expected {
    blocks: fn(),
    /// The function of `blocking.rs` that blocks.
    function: &'static str,
    /// How many lines are right, from [`LINE`] on.
    lines: u32,
    running: Running,
    /// One of these.
    syscalls: &'static [&'static str],
}

fn check_caught(expected: &Expected) {
    let (taken, seen) = samples_of(expected.blocks);
    let line = LINE.load(Relaxed);
    let is_there = |frame: &Frame| {
        frame.function.ends_with(expected.function)
            && frame.file.ends_with("blocking.rs")
            && (line..line + expected.lines).contains(&frame.line)
    };
    let hits = taken.iter().filter(|taken| taken.frames.iter().any(is_there)).count();
    let stacks: Vec<_> = taken.iter().map(|taken| &taken.frames).collect();
    assert!(hits * 2 > taken.len(), "not at {line}: {stacks:#?}");
    let is_doing = |taken: &Taken| {
        taken.running == expected.running && expected.syscalls.contains(&taken.syscall.as_str())
    };
    let doing: Vec<_> = taken.iter().map(|t| (t.running, &t.syscall, &t.wchan)).collect();
    assert!(taken.iter().any(is_doing), "{doing:?}");
    let root = |taken: &Taken| taken.frames.last().unwrap().function.contains("watching");
    assert!(taken.iter().any(root), "{stacks:#?}");
    // The sample names the poll.
    let polls = seen.spans(RecordKind::Poll);
    for taken in taken {
        let is_it = |(loop_id, worker, poll): &&(u64, u32, loopd_model::Span)| {
            (*loop_id, *worker, poll.start.0) == taken.poll && poll.task.0 == taken.task
        };
        assert!(polls.iter().any(|poll| is_it(&poll)), "{:?} in {polls:?}", taken.poll);
        assert!(taken.age >= THRESHOLD.as_nanos() as u64 / 2, "{}", taken.age);
    }
}

#[test]
fn a_sleeping_poll_is_caught_with_its_stack() {
    check_caught(&Expected {
        blocks: blocking::nap,
        function: "nap",
        lines: 1,
        running: Running::OffCpu,
        syscalls: &["clock_nanosleep", "nanosleep", "restart_syscall"],
    });
}

#[test]
fn a_spinning_poll_is_caught_with_its_stack() {
    check_caught(&Expected {
        blocks: blocking::spin,
        function: "spin",
        lines: 2,
        running: Running::OnCpu,
        syscalls: &[""],
    });
}

#[test]
fn a_poll_that_reads_a_slow_file_is_caught_with_its_stack() {
    check_caught(&Expected {
        blocks: blocking::read_slow_file,
        function: "read_slow_file",
        lines: 1,
        running: Running::OffCpu,
        syscalls: &["read"],
    });
}

#[test]
fn a_poll_that_waits_for_a_lock_is_caught_with_its_stack() {
    check_caught(&Expected {
        blocks: blocking::wait_for_lock,
        function: "wait_for_lock",
        lines: 1,
        running: Running::OffCpu,
        syscalls: &["futex"],
    });
}

#[cfg(target_env = "gnu")]
#[test]
fn a_poll_that_looks_up_a_name_is_caught_with_its_stack() {
    check_caught(&Expected {
        blocks: blocking::look_up_name,
        function: "look_up_name",
        lines: 1,
        running: Running::OffCpu,
        syscalls: &["poll", "ppoll"],
    });
}

#[test]
fn workers_that_block_at_once_have_a_stack_each() {
    const WORKERS: usize = 6;
    static ALL: Barrier = Barrier::new(WORKERS);
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(WORKERS)).build().unwrap();
    let watcher = std::thread::spawn(move || {
        let _enough = Enough;
        // The barrier is where they are seen first, if it takes them long to get there.
        let is_named = |taken: &&Taken| taken.frames.iter().any(|f| f.function.ends_with("nap"));
        let tasks = |seen: &Seen| {
            let taken = samples(seen);
            taken.iter().filter(is_named).map(|taken| taken.task).collect::<HashSet<_>>()
        };
        collector.wait("a stack of each", |seen| tasks(seen).len() >= WORKERS);
        collector
    });
    runtime.block_on(async {
        let blocker = || async {
            ALL.wait();
            blocking::nap();
        };
        let all: Vec<_> = (0..WORKERS).map(|_| crate::spawn(blocker())).collect();
        for one in all {
            one.await.unwrap();
        }
    });
    let collector = watcher.join().unwrap();
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    drop(collector);
}

/// As [`blocking::nap`], by a thread that is on another stack than its own.
#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
fn a_nap_on_a_coroutines_stack() {
    crate::fiber::call(blocking::nap);
}

#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn a_poll_on_a_coroutines_stack_is_caught_without_reading_that_stack() {
    let (of_task, _) = samples_of(a_nap_on_a_coroutines_stack);
    for taken in of_task {
        // The interrupted instruction, with what was inlined there, has one address.
        let leaf = taken.frames[0].address;
        assert!(taken.frames.iter().all(|frame| frame.address == leaf), "{:?}", taken.frames);
    }
}

#[test]
fn a_signal_that_the_program_uses_is_left_to_it() {
    extern "C" fn own(_: libc::c_int) {}
    let own: extern "C" fn(libc::c_int) = own;
    // SAFETY: the handler does nothing.
    #[expect(unsafe_code, reason = "there is no safe way to handle a signal")]
    unsafe {
        libc::signal(libc::SIGURG, own as usize);
    }
    let agent = Config::from_env().endpoint("http://127.0.0.1:1").start().unwrap();
    let (state, reason) = watchdog();
    assert_eq!(state, CoverageState::Unavailable);
    assert!(reason.contains("SIGURG"), "{reason}");
    agent.shutdown(Duration::ZERO);
}
