//! The program is never harmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loopd_agent::{Config, RecordKind, StartError, Tracked};
use loopd_model::{Event, EventKind};

use crate::collector::{Collector, Script, Seen};
use crate::{FLUSH, agent_for, current_thread};

/// Nothing about a deadline may depend on a busy machine's mood by more than this, and than what a thread
/// that only sleeps was late meanwhile.
const SLACK: Duration = Duration::from_millis(500);

/// A clock that stands still while the machine does.
struct CalmClock {
    since: Instant,
    is_over: Arc<AtomicBool>,
    sleeper: std::thread::JoinHandle<Duration>,
}

impl CalmClock {
    fn start() -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let own = is_over.clone();
        let sleeper = std::thread::spawn(move || {
            const NAP: Duration = Duration::from_millis(5);
            let mut late = Duration::ZERO;
            while !own.load(Relaxed) {
                let since = Instant::now();
                std::thread::sleep(NAP);
                late += since.elapsed() - NAP;
            }
            late
        });
        Self { since: Instant::now(), is_over, sleeper }
    }

    fn elapsed(self) -> Duration {
        let elapsed = self.since.elapsed();
        self.is_over.store(true, Relaxed);
        elapsed.saturating_sub(self.sleeper.join().unwrap())
    }
}

fn check_shutdown(endpoint: String) {
    let agent = Config::from_env().endpoint(endpoint).start().unwrap();
    drop(Tracked::new("thing", "", ()));
    let limit = Instant::now() + FLUSH;
    while loopd_agent::stats().in_flight.is_empty() {
        assert!(Instant::now() < limit, "nothing is sealed: {:?}", loopd_agent::stats());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let deadline = Duration::from_millis(300);
    let clock = CalmClock::start();
    let flushed = agent.shutdown(deadline);
    let elapsed = clock.elapsed();
    assert!(elapsed <= deadline + SLACK, "{elapsed:?}");
    assert!(!flushed.complete && flushed.unsent > 0, "{flushed:?}");
}

#[test]
fn shutdown_keeps_its_deadline_with_a_frozen_collector() {
    let collector = Collector::start_with(Script { is_frozen: true, ..Script::default() });
    check_shutdown(collector.endpoint.clone());
}

#[test]
fn shutdown_keeps_its_deadline_without_a_collector() {
    check_shutdown("http://127.0.0.1:1".to_owned());
}

#[test]
fn a_program_without_a_collector_ends_without_delay() {
    let agent = Config::from_env().endpoint("http://127.0.0.1:1").start().unwrap();
    drop(Tracked::new("thing", "", ()));
    let since = Instant::now();
    let flushed = agent.shutdown(FLUSH);
    assert!(!flushed.complete && since.elapsed() < FLUSH / 4, "{:?}", since.elapsed());
}

#[test]
fn shutdown_may_be_given_all_the_time_there_is() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    drop(Tracked::new("thing", "", ()));
    assert!(agent.shutdown(Duration::MAX).complete);
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (2, 0));
}

#[test]
fn shutdown_keeps_its_deadline_when_nobody_accepts() {
    // Connections wait in the backlog for ever.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    check_shutdown(format!("http://{}", listener.local_addr().unwrap()));
}

#[test]
fn shutdown_keeps_its_deadline_when_nobody_reads() {
    let collector = Collector::start_with(Script { stops_reading: true, ..Script::default() });
    check_shutdown(collector.endpoint.clone());
}

#[test]
fn a_collector_that_stops_reading_costs_no_processor_time() {
    let collector = Collector::start_with(Script { stops_reading: true, ..Script::default() });
    let agent = agent_for(&collector);
    let cpu = || {
        let exporter = std::fs::read_dir("/proc/self/task").unwrap().find_map(|thread| {
            let path = thread.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            (name.trim() == "loopd-export").then_some(path)
        });
        let stat = std::fs::read_to_string(exporter.unwrap().join("stat")).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // User and system time in hundredths of a second.
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // More than the transport buffers.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        for _ in 0..500 {
            drop(Tracked::new("thing", &"x".repeat(200), ()));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // At first there may be something left to do.
    let mut idle_seconds = (0..10).map(|_| {
        let (before, since) = (cpu(), Instant::now());
        while since.elapsed() < Duration::from_secs(1) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        cpu() - before
    });
    let used = idle_seconds.by_ref().find(|used| *used < 20);
    assert!(used.is_some(), "20 hundredths of a second and more in each idle second");
    let clock = CalmClock::start();
    assert!(!agent.shutdown(Duration::from_millis(200)).complete);
    let elapsed = clock.elapsed();
    assert!(elapsed <= Duration::from_millis(200) + SLACK, "{elapsed:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn while_nothing_runs_the_watchdog_looks_at_most_fourteen_times_a_second() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async { tokio::task::yield_now().await });
    let before = sleeps("loopd-watch");
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let looks = sleeps("loopd-watch") - before;
    // Three quarters of the slow threshold apart, one at each end, and some that are no looks: on a busy
    // machine a thread also waits for a lock.
    let most = since.elapsed().as_millis() as u64 / 75 + 10;
    assert!((1..=most).contains(&looks), "{looks} in {:?}", since.elapsed());
    drop(agent);
}

#[test]
fn a_second_start_is_an_error() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let second = Config::from_env().start().map(drop);
    assert_eq!(second, Err(StartError::AlreadyStarted));
    assert!(loopd_agent::stats().start_error.contains("already started"));
    drop(agent);
}

#[test]
fn a_disabled_agent_records_nothing_and_costs_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let agent = Config::from_env().enabled(false).start().unwrap();
    assert_eq!(threads(), before);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let value = runtime.block_on(async {
        let thing = Tracked::must_close("thing", "", 1);
        loopd_agent::task("x").spawn(async move { *thing }).await.unwrap()
    });
    assert_eq!(value, 1);
    drop(runtime);
    assert!(agent.shutdown(Duration::ZERO).complete);
    assert_eq!(loopd_agent::stats().produced, []);
}

#[test]
fn a_thread_that_is_being_torn_down_still_records() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            drop(Tracked::new("thing", "from a destructor", ()));
        }
    }
    thread_local! {
        static EARLY: Last = const { Last };
        static LATE: Last = const { Last };
    }
    let collector = Collector::start();
    let agent = agent_for(&collector);
    std::thread::spawn(|| {
        EARLY.with(|_| ());
        drop(Tracked::new("thing", "from a thread", ()));
        LATE.with(|_| ());
    })
    .join()
    .unwrap();
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (6, 0));
}

#[test]
fn threads_that_come_and_go_give_their_rings_back() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    for round in 0..10 {
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| drop(Tracked::new("thing", "", ())))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let expected = 16 * (round + 1);
        collector.wait("arrival", |seen| {
            let (stored, lost) = seen.stored_and_lost(RecordKind::Resource);
            stored + lost >= expected
        });
    }
    assert!(loopd_agent::stats().memory < 4 << 20, "{:?}", loopd_agent::stats());
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (160, 0));
}

/// How often a thread of this name has gone to sleep.
#[cfg(target_os = "linux")]
fn sleeps(name: &str) -> u64 {
    let find = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        threads.filter_map(|thread| Some(thread.ok()?.path())).find(|path| {
            std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
        })
    };
    // A thread has its name only after it has begun to run.
    let since = Instant::now();
    let found = loop {
        match find() {
            Some(path) => break path,
            None => assert!(since.elapsed() < FLUSH, "no thread is called {name}"),
        }
        std::thread::yield_now();
    };
    let status = std::fs::read_to_string(found.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn while_nothing_runs_the_exporter_hardly_does() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let connected = || loopd_agent::stats().connected;
    collector.wait("a connection", |_| connected());
    // It slows down step by step, until there are long sleeps only.
    let least = (0..6).map(|_| {
        let before = sleeps("loopd-export");
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        sleeps("loopd-export") - before
    });
    let least = least.min().unwrap();
    assert!(least <= 12, "{least} times in an idle second");
    // And yet what happens then is seen within a second, or two on a busy machine.
    let clock = CalmClock::start();
    drop(Tracked::new("thing", "", ()));
    collector.wait("it", |seen| seen.stored_and_lost(RecordKind::Resource).0 == 2);
    let elapsed = clock.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    drop(agent);
}

#[test]
fn blocking_threads_that_come_and_go_give_their_rings_back() {
    const AT_ONCE: usize = 50;
    const ROUNDS: usize = 20;
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let collector = Collector::start();
    // Without stacks: what names them is a thread more, from the first poll on that is slow.
    let config = Config::from_env().app("test").endpoint(&collector.endpoint);
    let agent = config.sample_stacks(false).start().unwrap();
    let mut builder = current_thread();
    builder.thread_keep_alive(Duration::from_millis(1));
    let runtime = agent.attach("main", builder).build().unwrap();
    collector.wait("the hello", |seen| !seen.hellos.is_empty());
    let before = threads();
    let mut memory = Vec::new();
    for round in 1..=ROUNDS {
        let all_here = std::sync::Arc::new(std::sync::Barrier::new(AT_ONCE));
        runtime.block_on(async {
            let job = |_| {
                let all_here = all_here.clone();
                loopd_agent::spawn_blocking(move || _ = all_here.wait())
            };
            for job in (0..AT_ONCE).map(job).collect::<Vec<_>>() {
                job.await.unwrap();
            }
        });
        // Each is queued, begun and ended; the roots so far have begun and ended.
        let expected = (round * (3 * AT_ONCE + 2)) as u64;
        collector.wait("what they wrote", |seen| {
            let (stored, lost) = seen.stored_and_lost(RecordKind::Task);
            stored + lost >= expected && threads() <= before
        });
        memory.push(loopd_agent::stats().memory);
    }
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let rings = |at: usize| memory[at..].iter().copied().max().unwrap();
    assert!(rings(1) <= memory[0] + (1 << 20), "{memory:?}");
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Task).1, 0);
}

#[test]
fn a_forked_child_does_not_record() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let pipe = std::process::Command::new("true").status();
    assert!(pipe.is_ok(), "programs can still be started");
    // SAFETY: the child only stores to memory of its own and leaves at once.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(Tracked::new("thing", "in the child", ()));
        drop(agent);
        // SAFETY: leaves without running anything of the parent's.
        #[expect(unsafe_code, reason = "there is no safe _exit")]
        unsafe {
            libc::_exit(0)
        };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    #[expect(unsafe_code, reason = "there is no safe waitpid")]
    unsafe {
        libc::waitpid(child, &mut status, 0);
    }
    assert_eq!(status, 0);
    drop(Tracked::new("thing", "in the parent", ()));
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (2, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn runtimes_that_come_and_go_leave_no_file_descriptors() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let open_fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    collector.wait("the hello", |seen| !seen.hellos.is_empty());
    let before = open_fds();
    for _ in 0..200 {
        let runtime = agent.attach("short", current_thread()).build().unwrap();
        runtime.block_on(tokio::task::yield_now());
    }
    let closed = |seen: &Seen| {
        let is_closed = |event: &&Event| matches!(event.kind, EventKind::LoopClosed { .. });
        seen.events().filter(is_closed).count()
    };
    let seen = collector.wait("the ends", |seen| closed(seen) == 200);
    assert!(open_fds() <= before + 8, "{} file descriptors, {before} before", open_fds());
    let readings = seen.events().filter(|event| matches!(event.kind, EventKind::Metrics { .. }));
    assert!(readings.count() >= 200);
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn however_many_runtimes_are_only_seen_each_is_a_loop() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtimes: Vec<_> = (0..300).map(|_| current_thread().build().unwrap()).collect();
    for runtime in &runtimes {
        runtime.block_on(async { loopd_agent::spawn(async {}).await.unwrap() });
    }
    let flushed = agent.shutdown(FLUSH);
    assert!(flushed.complete, "{:?}", loopd_agent::stats());
    let seen = collector.seen();
    let loops = seen.spans(RecordKind::Poll).into_iter().map(|(loop_id, ..)| loop_id);
    assert_eq!(loops.collect::<std::collections::BTreeSet<_>>().len(), 300);
    for batch in seen.batches.values() {
        assert_eq!(batch.losses, []);
    }
}
