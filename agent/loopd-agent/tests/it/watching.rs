//! A poll that blocks is caught while it blocks.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use loopd_agent::{Agent, Config, CoverageState, RecordKind};
use loopd_model::{EventKind, Frame, Running};

use crate::blocking::{self, Enough, LINE};
use crate::collector::{Collector, LIMIT, Seen};
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

/// Blocks a task until its samples are enough, or [`LIMIT`] is over; those, and all that was seen.
fn samples_of(
    blocks: fn(),
    are_enough: impl Fn(&[Taken]) -> bool + Send + 'static,
) -> (Vec<Taken>, Seen) {
    // On a busy machine other tasks may have samples, too.
    let of_task = |seen: &Seen| -> Vec<Taken> {
        let task = seen.task_named("blocker");
        samples(seen).into_iter().filter(|taken| Some(taken.task) == task).collect()
    };
    let collector = Collector::start();
    let agent = agent_for(&collector);
    assert_eq!(watchdog(), (CoverageState::On, String::new()));
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    let watcher = std::thread::spawn(move || {
        let (_enough, since) = (Enough, Instant::now());
        loop {
            let taken = of_task(&collector.seen());
            if are_enough(&taken) || since.elapsed() > LIMIT {
                return (collector, taken);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    });
    runtime.block_on(async move {
        loopd_agent::task("blocker").spawn(async move { blocks() }).await.unwrap();
    });
    let (collector, taken) = watcher.join().unwrap();
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    (taken, collector.seen())
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

impl Expected {
    /// Whether it was taken where the task blocks, as against on its way there.
    fn is_hit(&self, taken: &Taken) -> bool {
        let line = LINE.load(Relaxed);
        let is_there = |frame: &Frame| {
            frame.function.ends_with(self.function)
                && frame.file.ends_with("blocking.rs")
                && (line..line + self.lines).contains(&frame.line)
        };
        taken.frames.iter().any(is_there)
    }

    fn is_doing(&self, taken: &Taken) -> bool {
        taken.running == self.running && self.syscalls.contains(&taken.syscall.as_str())
    }

    /// Most are where the task blocks, and say what it does there.
    fn is_met(&self, taken: &[Taken]) -> bool {
        let hits: Vec<_> = taken.iter().filter(|taken| self.is_hit(taken)).collect();
        hits.len() >= 2
            && hits.len() * 2 > taken.len()
            && hits.iter().any(|taken| self.is_doing(taken))
            && hits.iter().any(|taken| is_on_its_own_stack(taken))
    }
}

fn is_on_its_own_stack(taken: &Taken) -> bool {
    taken.frames.last().is_some_and(|root| root.function.contains("watching"))
}

fn check_caught(expected: &'static Expected) {
    let (taken, seen) = samples_of(expected.blocks, move |taken| expected.is_met(taken));
    let told: Vec<_> =
        taken.iter().map(|it| (it.running, &it.syscall, &it.wchan, &it.frames)).collect();
    assert!(expected.is_met(&taken), "not at {}: {told:#?}", LINE.load(Relaxed));
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
    // One that is taken before the coroutine begins is of the thread's own stack.
    let of_the_coroutine = |taken: &&Taken| !is_on_its_own_stack(taken);
    let are_enough = move |taken: &[Taken]| taken.iter().filter(of_the_coroutine).count() >= 2;
    let (of_task, _) = samples_of(a_nap_on_a_coroutines_stack, are_enough);
    assert!(are_enough(&of_task), "{} samples", of_task.len());
    for taken in of_task.iter().filter(of_the_coroutine) {
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
