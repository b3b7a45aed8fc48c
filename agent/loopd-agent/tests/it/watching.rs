//! A poll that blocks is caught while it blocks.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loopd_agent::{Config, CoverageState, RecordKind};
use loopd_model::{EventKind, Frame, Running};

use crate::collector::{Collector, Seen};
use crate::{FLUSH, multi_thread};

const THRESHOLD: Duration = Duration::from_millis(20);

/// Set when enough has been seen.
static IS_ENOUGH: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn a_nap_in_a_poll() {
    while !IS_ENOUGH.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[inline(never)]
fn a_spin_in_a_poll() {
    let mut sum = 0u64;
    while !IS_ENOUGH.load(Relaxed) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
}

struct Taken {
    task: u64,
    running: Running,
    frames: Vec<Frame>,
    poll: (u64, u32, u64),
}

fn samples(seen: &Seen) -> Vec<Taken> {
    let stacks: Vec<_> = seen.batches.values().flat_map(|batch| batch.stacks.clone()).collect();
    let taken = seen.events().filter_map(|event| match &event.kind {
        EventKind::StackSample {
            loop_id, worker, task, poll_started_at, stack, running, ..
        } => Some(Taken {
            task: task.0,
            running: *running,
            frames: stacks.iter().find(|known| known.id == *stack).unwrap().frames.clone(),
            poll: (loop_id.0, worker.0, poll_started_at.0),
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

fn check_caught(blocks: fn(), function: &str, running: Running) {
    let collector = Collector::start();
    let agent =
        Config::from_env().endpoint(&collector.endpoint).slow_threshold(THRESHOLD).start().unwrap();
    assert_eq!(watchdog(), (CoverageState::On, String::new()));
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let watcher = std::thread::spawn(move || {
        collector.wait("two samples", |seen| samples(seen).len() >= 2);
        IS_ENOUGH.store(true, Relaxed);
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
    let taken = samples(&seen);
    let of_task: Vec<_> = taken.iter().filter(|taken| taken.task == task).collect();
    assert!(of_task.len() >= 2, "{} samples", of_task.len());
    let names =
        |taken: &&Taken| taken.frames.iter().map(|f| f.function.clone()).collect::<Vec<_>>();
    let hits = of_task.iter().filter(|taken| {
        let hit = taken.frames.iter().find(|frame| frame.function.contains(function));
        hit.is_some_and(|frame| frame.file.ends_with("watching.rs") && frame.line > 0)
    });
    assert!(
        hits.count() * 2 > of_task.len(),
        "{:?}",
        of_task.iter().map(names).collect::<Vec<_>>()
    );
    assert!(of_task.iter().any(|taken| taken.running == running));
    let root = |taken: &&&Taken| taken.frames.last().unwrap().function.contains("watching");
    assert!(of_task.iter().any(|taken| root(&taken)), "{:?}", names(&of_task[0]));
    // The sample names the poll.
    let polls = seen.spans(RecordKind::Poll);
    for taken in of_task {
        let is_it = |(loop_id, worker, poll): &&(u64, u32, loopd_model::Span)| {
            (*loop_id, *worker, poll.start.0) == taken.poll && poll.task.0 == taken.task
        };
        assert!(polls.iter().any(|poll| is_it(&poll)), "{:?} in {polls:?}", taken.poll);
    }
}

#[test]
fn a_sleeping_poll_is_caught_with_its_stack() {
    check_caught(a_nap_in_a_poll, "a_nap_in_a_poll", Running::OffCpu);
}

#[test]
fn a_spinning_poll_is_caught_with_its_stack() {
    check_caught(a_spin_in_a_poll, "a_spin_in_a_poll", Running::OnCpu);
}

/// As [`a_nap_in_a_poll`], by a thread that is on another stack than its own.
#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
fn a_nap_on_a_coroutines_stack() {
    crate::fiber::call(a_nap_in_a_poll);
}

#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn a_poll_on_a_coroutines_stack_is_caught_without_reading_that_stack() {
    let collector = Collector::start();
    let agent =
        Config::from_env().endpoint(&collector.endpoint).slow_threshold(THRESHOLD).start().unwrap();
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let watcher = std::thread::spawn(move || {
        collector.wait("two samples", |seen| samples(seen).len() >= 2);
        IS_ENOUGH.store(true, Relaxed);
        collector
    });
    runtime.block_on(async move {
        let blocker = loopd_agent::task("blocker");
        blocker.spawn(async move { a_nap_on_a_coroutines_stack() }).await.unwrap();
    });
    let collector = watcher.join().unwrap();
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let task = seen.task_named("blocker").unwrap();
    let taken = samples(&seen);
    let of_task: Vec<_> = taken.iter().filter(|taken| taken.task == task).collect();
    assert!(of_task.len() >= 2, "{} samples", of_task.len());
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
