//! File descriptors opened by code that never heard of loopd.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use loopd_agent::{Agent, Config, CoverageState};
use loopd_model::{Event, EventKind};
use loopd_wire::pb;

use crate::FLUSH;
use crate::collector::{Collector, LIMIT, Seen};

/// It takes two looks to report what is open, which are up to five seconds apart when there is so much
/// to look at that a look takes 50 ms, and then what is found to be told; all that on a busy machine.
const LOOKS_AT_MANY: Duration = LIMIT.saturating_mul(2);

/// An agent that tracks file descriptors.
fn tracking(collector: &Collector) -> Agent {
    Config::from_env().endpoint(&collector.endpoint).track_fds(true).start().unwrap()
}

/// A file descriptor as reported.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reported {
    kind: String,
    name: String,
    task: u64,
    opened_at: u64,
    closed_at: Option<u64>,
    location: u64,
    stack: u64,
}

/// All file descriptors reported so far, by resource.
fn reported(seen: &Seen) -> BTreeMap<u64, Reported> {
    let mut all = BTreeMap::<u64, Reported>::new();
    for event in seen.events() {
        match &event.kind {
            EventKind::ResourceOpened { resource, kind, name, open_location, task, stack }
                if kind.starts_with("fd: ") =>
            {
                let opened = Reported {
                    kind: kind.clone(),
                    name: name.clone(),
                    task: task.0,
                    opened_at: event.at.0,
                    closed_at: None,
                    location: open_location.0,
                    stack: stack.0,
                };
                assert_eq!(all.insert(resource.0, opened), None);
            }
            EventKind::ResourceClosed { resource, .. } => {
                let closed = all.get_mut(&resource.0).unwrap();
                assert_eq!(closed.closed_at.replace(event.at.0), None, "closed twice");
            }
            _ => {}
        }
    }
    all
}

fn named(seen: &Seen, name: &str) -> Vec<Reported> {
    reported(seen).into_values().filter(|reported| reported.name == name).collect()
}

fn is_open(seen: &Seen, name: &str) -> bool {
    named(seen, name).iter().any(|reported| reported.closed_at.is_none())
}

fn own_path() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

#[test]
fn what_the_program_leaves_open_is_reported_with_its_path_or_peer() {
    let collector = Collector::start();
    let agent = tracking(&collector);
    let file = File::open(own_path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let local = client.local_addr().unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let expected = [
        ("fd: file", own_path()),
        ("fd: tcp socket", format!("listens on {address}")),
        ("fd: tcp socket", format!("peer {address}, local {local}")),
        ("fd: tcp socket", format!("peer {local}, local {address}")),
        ("fd: pipe", "read end".to_owned()),
        ("fd: pipe", "write end".to_owned()),
    ];
    let seen =
        collector.wait("the openings", |seen| expected.iter().all(|(_, name)| is_open(seen, name)));
    for (kind, name) in &expected {
        assert_eq!(named(&seen, name)[0].kind, *kind, "{name}");
    }
    drop((client, accepted, reader, writer));
    collector.wait("the closings", |seen| {
        expected[2..]
            .iter()
            .all(|(_, name)| named(seen, name).iter().any(|reported| reported.closed_at.is_some()))
    });
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    assert!(is_open(&seen, &own_path()) && is_open(&seen, &format!("listens on {address}")));
    // The agent's own connection to the collector, and what else its threads need.
    let to_collector = collector.endpoint.replace("http://", "peer ");
    let all = reported(&seen);
    assert!(all.values().all(|fd| !fd.name.starts_with(&to_collector)), "{all:?}");
    assert!(all.values().all(|fd| !fd.name.starts_with("/proc/")), "{all:?}");
    drop((file, listener));
}

#[test]
fn the_agents_own_are_left_out() {
    // Without a collector in the process, what is there is the agent's.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let agent = Config::from_env().endpoint(endpoint).track_fds(true).start().unwrap();
    let (mut connection, _) = listener.accept().unwrap();
    let mut preface = [0; 24];
    connection.read_exact(&mut preface).unwrap();
    let value = || {
        let stats = loopd_agent::stats();
        stats.produced.iter().find(|(kind, _)| *kind == loopd_agent::RecordKind::Resource).cloned()
    };
    // The two ends here are the program's; the standard ones are nobody's. What the test runner
    // left open comes on top.
    let inherited = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let since = std::time::Instant::now();
    while value().is_none_or(|(_, count)| count < 2) {
        assert!(since.elapsed() < LIMIT);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let found = value().unwrap().1;
    // Ours: an event for waking up and its copy, two epoll instances, tokio's waker, the connection;
    // and the listing itself, and the three standard ones.
    assert!(found + 10 <= inherited as u64 + 1, "{found} of {inherited}");
    drop(agent);
}

#[test]
fn a_number_that_is_used_again_is_another_resource() {
    let collector = Collector::start();
    let agent = tracking(&collector);
    let directory = tempfile("reuse");
    let (first, second) = (format!("{directory}/first"), format!("{directory}/second"));
    let file = File::create(&first).unwrap();
    collector.wait("the first", |seen| is_open(seen, &first));
    replace(&file, &File::create(&second).unwrap());
    let seen = collector.wait("the second", |seen| is_open(seen, &second));
    let first = named(&seen, &first);
    assert!(first[0].closed_at.is_some() && first.len() == 1, "{first:?}");
    assert!(agent.shutdown(FLUSH).complete);
    std::fs::remove_dir_all(directory).unwrap();
}

/// A directory of this test's own.
fn tempfile(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("loopd-fds-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path.display().to_string()
}

/// Makes a file's number stand for another file.
fn replace(file: &File, by: &File) {
    // SAFETY: both are open; the old file is closed by this and owned by nobody else.
    #[expect(unsafe_code, reason = "there is no safe dup2")]
    let code = unsafe { libc::dup2(by.as_raw_fd(), file.as_raw_fd()) };
    assert_eq!(code, file.as_raw_fd());
}

#[test]
fn off_unless_asked_for_and_nothing_is_found() {
    let collector = Collector::start();
    let agent = crate::agent_for(&collector);
    let coverage = loopd_agent::stats().coverage;
    let fds = coverage.iter().find(|layer| layer.layer == "fds").unwrap();
    assert_eq!(fds.state, CoverageState::Off, "{}", fds.reason);
    let _file = File::open(own_path()).unwrap();
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(reported(&collector.seen()), BTreeMap::new());
}

#[test]
fn the_collector_can_switch_it_on_and_off_and_on() {
    let collector = Collector::start();
    let agent = crate::agent_for(&collector);
    let ask = |is_on| {
        let asks = pb::Settings { track_fds: Some(is_on), ..pb::Settings::default() };
        collector.script(|script| script.asks = Some(asks));
        let in_force = |seen: &Seen| seen.coverage().last().map(|(_, now)| now.track_fds);
        collector.wait("the change", |seen| in_force(seen) == Some(Some(is_on)));
    };
    ask(true);
    let first = File::open(own_path()).unwrap();
    collector.wait("the first", |seen| is_open(seen, &own_path()));
    ask(false);
    drop(first);
    let second = File::open("/dev/full").unwrap();
    ask(true);
    let seen = collector.wait("the second", |seen| is_open(seen, "/dev/full"));
    assert!(!is_open(&seen, &own_path()), "closed while nobody looked");
    drop(second);
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn ten_thousand_file_descriptors_are_reported_within_the_agents_memory() {
    let collector = Collector::start();
    allow_open_files(12_000);
    let agent = tracking(&collector);
    let open = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    let many: Vec<_> = (0..10_000).map(|_| open()).collect();
    // Only counted while that goes on, and not put together each time.
    let is_opened = |event: &&Event| matches!(&event.kind, EventKind::ResourceOpened { name, .. } if name == "/dev/null");
    collector.wait_within(LOOKS_AT_MANY, "the openings", |seen| {
        seen.events().filter(is_opened).count() >= 10_000
    });
    let memory = loopd_agent::stats().memory;
    assert!(memory < 16 << 20, "{memory}");
    drop(many);
    let is_closed = |event: &&Event| matches!(&event.kind, EventKind::ResourceClosed { .. });
    collector.wait_within(LOOKS_AT_MANY, "the closings", |seen| {
        seen.events().filter(is_closed).count() >= 10_000
    });
    assert!(agent.shutdown(FLUSH).complete);
    let found = named(&collector.seen(), "/dev/null");
    assert!(found.iter().filter(|fd| fd.closed_at.is_some()).count() >= 10_000);
    assert_eq!(loopd_agent::stats().dropped, []);
}

fn allow_open_files(count: u64) {
    // SAFETY: `limit` is valid for reads and writes.
    #[expect(unsafe_code, reason = "there is no safe setrlimit")]
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = count.min(limit.rlim_max);
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

#[cfg(all(feature = "fd-stacks", target_env = "gnu", target_arch = "x86_64"))]
mod noted {
    //! With the calls that open and close going through the agent.

    use std::time::Instant;

    use loopd_model::Frame;

    use super::*;
    use crate::{agent_for, current_thread, multi_thread, spawn};

    /// File, line and frames of an opening.
    fn opener(seen: &Seen, reported: &Reported) -> (String, u32, Vec<Frame>) {
        let batches = || seen.batches.values();
        let place =
            batches().flat_map(|batch| &batch.locations).find(|l| l.id.0 == reported.location);
        let (file, line) =
            place.map_or_else(Default::default, |place| (place.file.clone(), place.line));
        let stack = batches().flat_map(|batch| &batch.stacks).find(|s| s.id.0 == reported.stack);
        (file, line, stack.map(|stack| stack.frames.clone()).unwrap_or_default())
    }

    #[track_caller]
    fn check_opener(seen: &Seen, name: &str, line: u32) {
        let reported = &named(seen, name)[0];
        let (file, found, frames) = opener(seen, reported);
        assert!(file.ends_with("tests/it/fds.rs") && found == line, "{file}:{found} {frames:#?}");
        assert!(frames.len() > 2, "{frames:#?}");
        assert!(frames.iter().all(|frame| !frame.function.contains("loopd_agent::fds")));
    }

    #[test]
    fn coverage_has_no_reservations() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let coverage = loopd_agent::stats().coverage;
        let fds = coverage.iter().find(|layer| layer.layer == "fds").unwrap();
        assert_eq!((fds.state, &fds.reason[..]), (CoverageState::On, ""));
        drop(agent);
    }

    #[test]
    fn the_line_and_the_task_that_opened_are_named() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let before = Instant::now();
        let (file, file_line, socket, socket_line) = runtime.block_on(async move {
            let task = loopd_agent::task("leaker").spawn(async move {
                let file = File::open(own_path()).unwrap();
                let file_line = line!() - 1;
                let connecting = tokio::net::TcpStream::connect(address);
                let socket = connecting.await.unwrap();
                (file, file_line, socket, line!() - 1)
            });
            task.await.unwrap()
        });
        let peer = format!("peer {address}, local {}", socket.local_addr().unwrap());
        let seen = collector
            .wait("the openings", |seen| is_open(seen, &own_path()) && is_open(seen, &peer));
        // Walked a while after it was opened, but told as of then.
        let at = named(&seen, &own_path())[0].opened_at;
        assert!(before.elapsed() > Duration::from_millis(250));
        let task = seen.task_named("leaker").unwrap();
        for (name, line) in [(own_path(), file_line), (peer.clone(), socket_line)] {
            check_opener(&seen, &name, line);
            assert_eq!(named(&seen, &name)[0].task, task);
        }
        drop(socket);
        let seen = collector.wait("the close", |seen| named(seen, &peer)[0].closed_at.is_some());
        let polls = seen.spans(loopd_agent::RecordKind::Poll);
        let is_in =
            |poll: &loopd_model::Span| poll.start.0 <= at && at <= poll.start.0 + poll.length;
        assert!(polls.iter().any(|(_, _, poll)| poll.task.0 == task && is_in(poll)), "{at}");
        drop((file, runtime));
        assert!(agent.shutdown(FLUSH).complete);
    }

    #[test]
    fn a_job_of_the_blocking_pool_and_a_plain_thread_are_named_too() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let directory = tempfile("threads");
        let path = |name: &str| format!("{directory}/{name}");
        let runtime = agent.attach("main", current_thread()).build().unwrap();
        let (first, second) = (path("pool"), path("thread"));
        let (one, two) = (first.clone(), second.clone());
        let pool = move || (File::create(one).unwrap(), line!());
        let kept =
            runtime.block_on(async move { tokio::task::spawn_blocking(pool).await.unwrap() });
        let thread = move || (File::create(two).unwrap(), line!());
        let other = std::thread::spawn(thread).join().unwrap();
        let seen = collector.wait("both", |seen| is_open(seen, &first) && is_open(seen, &second));
        check_opener(&seen, &first, kept.1);
        check_opener(&seen, &second, other.1);
        drop(runtime);
        assert!(agent.shutdown(FLUSH).complete);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_same_file_opened_again_is_another_resource() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        for expected in 1..=3 {
            let file = File::open(own_path()).unwrap();
            let seen = collector.wait("the opening", |seen| {
                named(seen, &own_path()).len() == expected && is_open(seen, &own_path())
            });
            check_opener(&seen, &own_path(), line!() - 4);
            drop(file);
        }
        assert!(agent.shutdown(FLUSH).complete);
    }

    /// Has a number stand for this file, or for nothing, by direct system calls, of which nothing is
    /// noted.
    #[expect(unsafe_code, reason = "there is no safe way round libc")]
    fn directly(number: libc::c_int, open: Option<&std::ffi::CStr>) {
        // SAFETY: the number is the caller's own; the path ends in a zero byte.
        unsafe {
            let Some(path) = open else {
                assert_eq!(libc::syscall(libc::SYS_close, number), 0);
                return;
            };
            let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), 0);
            assert!(fd >= 0 && libc::syscall(libc::SYS_dup3, fd, number, 0) == number.into());
            assert_eq!(libc::syscall(libc::SYS_close, fd), 0);
        }
    }

    #[test]
    fn a_number_reused_by_direct_calls_has_not_the_opener_of_the_older_file() {
        /// Higher than what anybody gets without asking.
        const NUMBER: libc::c_int = 900;
        let collector = Collector::start();
        let agent = tracking(&collector);
        let file = File::open("/dev/full").unwrap();
        // SAFETY: takes a number that nobody has.
        #[expect(unsafe_code, reason = "there is no safe dup2")]
        let number = unsafe { libc::dup2(file.as_raw_fd(), NUMBER) };
        assert_eq!(number, NUMBER);
        let is_noted = |seen: &Seen, name: &str| {
            named(seen, name).iter().map(|fd| fd.stack != 0).collect::<Vec<_>>()
        };
        let both = |seen: &Seen| is_noted(seen, "/dev/full") == [true, true];
        collector.wait("the first", both);
        directly(NUMBER, Some(c"/dev/zero"));
        let seen = collector.wait("the second", |seen| is_open(seen, "/dev/zero"));
        assert_eq!(is_noted(&seen, "/dev/zero"), [false], "replaced between two looks");
        // The same once more, but with looks that find the number closed.
        directly(NUMBER, None);
        // SAFETY: takes a number that nobody has.
        #[expect(unsafe_code, reason = "there is no safe dup2")]
        let number = unsafe { libc::dup2(file.as_raw_fd(), NUMBER) };
        assert_eq!(number, NUMBER);
        collector.wait("the third", |seen| is_noted(seen, "/dev/full").len() == 3);
        directly(NUMBER, None);
        collector.wait("its close", |seen| {
            named(seen, "/dev/full").iter().filter(|fd| fd.closed_at.is_some()).count() == 2
        });
        directly(NUMBER, Some(c"/dev/random"));
        let seen = collector.wait("the last", |seen| is_open(seen, "/dev/random"));
        assert_eq!(is_noted(&seen, "/dev/random"), [false], "opened after it was gone");
        directly(NUMBER, None);
        assert!(agent.shutdown(FLUSH).complete);
    }

    #[test]
    fn what_opens_and_closes_all_the_time_is_not_reported_and_leaves_room_for_what_stays() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let churn = || drop(File::open("/dev/full").unwrap());
        let kept = File::open(own_path()).unwrap();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            churn();
        }
        let seen = collector.wait("what stays", |seen| is_open(seen, &own_path()));
        assert_eq!(named(&seen, "/dev/full"), []);
        check_opener(&seen, &own_path(), line!() - 7);
        drop(kept);
        assert!(agent.shutdown(FLUSH).complete);
    }

    #[test]
    fn a_forked_child_changes_nothing_in_the_parent() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let file = File::open(own_path()).unwrap();
        collector.wait("the opening", |seen| is_open(seen, &own_path()));
        // SAFETY: the child opens and closes files of its own, and leaves.
        #[expect(unsafe_code, reason = "there is no safe fork")]
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(file);
            for _ in 0..100 {
                drop(File::open("/dev/full"));
            }
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
        // Programs are started by a child that shares the parent's memory for a while.
        assert!(std::process::Command::new("true").status().unwrap().success());
        let after = File::open("/dev/zero").unwrap();
        let seen = collector.wait("an opening afterwards", |seen| is_open(seen, "/dev/zero"));
        assert!(is_open(&seen, &own_path()) && named(&seen, "/dev/full").is_empty());
        drop((file, after));
        assert!(agent.shutdown(FLUSH).complete);
    }

    #[test]
    fn a_signal_handler_may_open_files_whatever_it_interrupts() {
        extern "C" fn opens(_: libc::c_int) {
            // SAFETY: both are allowed in signal handlers.
            #[expect(unsafe_code, reason = "plain calls of libc")]
            unsafe {
                libc::close(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY));
            }
        }
        let collector = Collector::start();
        let agent = tracking(&collector);
        // SAFETY: the handler does what a handler may; the timer's value is initialised.
        #[expect(unsafe_code, reason = "there is no safe way to handle a signal")]
        unsafe {
            let handler: extern "C" fn(libc::c_int) = opens;
            libc::signal(libc::SIGALRM, handler as usize);
            let every = libc::timeval { tv_sec: 0, tv_usec: 200 };
            let timer = libc::itimerval { it_interval: every, it_value: every };
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
        }
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) {
            drop(File::open("/dev/zero").unwrap());
            drop(vec![0u8; 100]);
        }
        // SAFETY: takes plain numbers.
        #[expect(unsafe_code, reason = "there is no safe way to handle a signal")]
        unsafe {
            libc::signal(libc::SIGALRM, libc::SIG_IGN);
        }
        assert!(agent.shutdown(FLUSH).complete);
        assert_eq!(named(&collector.seen(), "/dev/zero"), []);
    }

    #[test]
    fn a_thread_that_is_being_torn_down_may_open_files() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                std::mem::forget(File::open(own_path()).unwrap());
            }
        }
        thread_local!(static LAST: Last = const { Last });
        let collector = Collector::start();
        let agent = tracking(&collector);
        std::thread::spawn(|| LAST.with(|_| ())).join().unwrap();
        let seen = collector.wait("the opening", |seen| is_open(seen, &own_path()));
        let (_, _, frames) = opener(&seen, &named(&seen, &own_path())[0]);
        assert!(frames.iter().any(|frame| frame.function.contains("drop")), "{frames:?}");
        assert!(agent.shutdown(FLUSH).complete);
    }

    #[test]
    fn errors_reach_the_program_as_they_are() {
        let collector = Collector::start();
        let agent = tracking(&collector);
        let error = File::open("/does/not/exist").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        // SAFETY: closes nothing.
        #[expect(unsafe_code, reason = "a number that is not open")]
        let code = unsafe { libc::close(-1) };
        assert_eq!((code, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EBADF)));
        drop(agent);
    }

    #[test]
    fn nothing_is_noted_of_a_program_that_does_not_ask() {
        let collector = Collector::start();
        let agent = agent_for(&collector);
        let runtime = agent.attach("main", current_thread()).build().unwrap();
        runtime.block_on(async { spawn(async { File::open(own_path()).unwrap() }).await.unwrap() });
        drop(runtime);
        assert!(agent.shutdown(FLUSH).complete);
        assert_eq!(reported(&collector.seen()), BTreeMap::new());
    }
}
