//! File descriptors opened by code that never heard of loopd.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use loopd_agent::{Agent, Config, CoverageState};
use loopd_model::EventKind;

use crate::FLUSH;
use crate::collector::{Collector, Seen};

/// An agent that tracks file descriptors.
fn tracking(collector: &Collector) -> Agent {
    Config::from_env().endpoint(&collector.endpoint).track_fds(true).start().unwrap()
}

/// A file descriptor as reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reported {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) task: u64,
    pub(crate) opened_at: u64,
    pub(crate) closed_at: Option<u64>,
}

/// All file descriptors reported so far, by resource.
fn reported(seen: &Seen) -> BTreeMap<u64, Reported> {
    let mut all = BTreeMap::<u64, Reported>::new();
    for event in seen.events() {
        match &event.kind {
            EventKind::ResourceOpened { resource, kind, name, task, .. }
                if kind.starts_with("fd: ") =>
            {
                let (kind, name, opened_at) = (kind.clone(), name.clone(), event.at.0);
                let opened = Reported { kind, name, task: task.0, opened_at, closed_at: None };
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
        assert!(since.elapsed() < crate::collector::LIMIT);
        std::thread::park_timeout(std::time::Duration::from_millis(20));
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
    assert_eq!((fds.state, &fds.reason[..]), (CoverageState::Off, "LOOPD_TRACK_FDS is off"));
    let _file = File::open(own_path()).unwrap();
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(reported(&collector.seen()), BTreeMap::new());
}

#[test]
fn ten_thousand_file_descriptors_are_reported_within_the_agents_memory() {
    let collector = Collector::start();
    allow_open_files(12_000);
    let agent = tracking(&collector);
    let open = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    let many: Vec<_> = (0..10_000).map(|_| open()).collect();
    let opened = |seen: &Seen| named(seen, "/dev/null").len();
    collector.wait("the openings", |seen| opened(seen) >= 10_000);
    let memory = loopd_agent::stats().memory;
    assert!(memory < 16 << 20, "{memory}");
    drop(many);
    collector.wait("the closings", |seen| {
        named(seen, "/dev/null").iter().filter(|fd| fd.closed_at.is_some()).count() >= 10_000
    });
    assert!(agent.shutdown(FLUSH).complete);
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
