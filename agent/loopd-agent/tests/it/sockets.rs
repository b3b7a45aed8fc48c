//! Sockets, files, children and tasks that are waited for: open, closed, unclosed, by whom.
#![cfg(unix)]

use std::process::Stdio;
use std::time::Duration;

use loopd_agent::fs::{File, OpenOptions};
use loopd_agent::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use loopd_agent::process::Command;
use loopd_agent::task::JoinSet;
use loopd_model::{CloseHow, EventKind, WaitHow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::collector::{Collector, LIMIT, Seen};
use crate::{FLUSH, agent_for, multi_thread};

/// Kind, name, how closed, and the task that opened it, in the order of opening.
fn resources(seen: &Seen) -> Vec<(String, String, Option<CloseHow>, u64)> {
    let close = |of| {
        seen.events().find_map(|event| match &event.kind {
            EventKind::ResourceClosed { resource, how } if *resource == of => Some(*how),
            _ => None,
        })
    };
    let mut opens: Vec<_> = seen
        .events()
        .filter_map(|event| match &event.kind {
            EventKind::ResourceOpened { resource, kind, name, task, open_location, .. } => {
                let mut places = seen.batches.values().flat_map(|batch| &batch.locations);
                let place = places.find(|place| place.id == *open_location).unwrap();
                assert!(place.file.ends_with("tests/it/sockets.rs"), "{}", place.file);
                Some((event.at, (kind.clone(), name.clone(), close(*resource), task.0)))
            }
            _ => None,
        })
        .collect();
    opens.sort_by_key(|(at, _)| *at);
    opens.into_iter().map(|(_, opened)| opened).collect()
}

/// What was waited for, the tasks that held it, and how that ended.
fn waits(seen: &Seen) -> Vec<(String, Vec<u64>, Option<WaitHow>)> {
    let end = |of| {
        seen.events().find_map(|event| match &event.kind {
            EventKind::WaitEnded { wait, how } if *wait == of => Some(*how),
            _ => None,
        })
    };
    let begins = seen.events().filter_map(|event| match &event.kind {
        EventKind::WaitBegan { wait, op, holders, .. } => {
            Some((op.clone(), holders.iter().map(|holder| holder.task.0).collect(), end(*wait)))
        }
        _ => None,
    });
    begins.collect()
}

fn record<F: Future>(program: impl FnOnce() -> F) -> (F::Output, Seen) {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(2)).build().unwrap();
    let done = runtime.block_on(program());
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    (done, collector.seen())
}

#[test]
fn sockets_are_known_by_their_peers_until_both_halves_are_gone() {
    let (names, seen) = record(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = loopd_agent::task::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        });
        let (stream, peer) = listener.accept().await.unwrap();
        let (mut read, write) = stream.into_split();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        std::mem::forget(client.await.unwrap());
        (address.to_string(), peer.to_string())
    });
    let found = resources(&seen);
    let (server, peer) = names;
    let expect = [
        ("tcp_listener", &server, Some(CloseHow::Dropped)),
        ("tcp", &server, None),
        ("tcp", &peer, Some(CloseHow::Dropped)),
    ];
    for (kind, name, how) in expect {
        let is_it = |one: &&(String, String, _, _)| one.0 == kind && one.1 == *name;
        assert_eq!(found.iter().find(is_it).unwrap().2, how, "{kind} {name} in {found:?}");
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn unix_sockets_and_udp_and_files_have_names() {
    let ((folder, port), seen) = record(|| async {
        let folder = std::env::temp_dir().join(format!("loopd-sockets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = udp.local_addr().unwrap();
        let mut file = File::create(folder.join("file")).await.unwrap();
        file.write_all(b"text").await.unwrap();
        file.sync_all().await.unwrap();
        let reopened = OpenOptions::new().read(true).open(folder.join("file")).await.unwrap();
        let mut twin = reopened.try_clone().await.unwrap();
        drop(reopened);
        let mut text = String::new();
        twin.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "text");
        std::fs::remove_dir_all(&folder).unwrap();
        (folder, port)
    });
    let path = |name: &str| folder.join(name).display().to_string();
    let found = resources(&seen);
    let expect = [
        ("unix_listener", path("socket")),
        ("unix", path("socket")),
        ("unix", String::new()),
        ("udp", port.to_string()),
        ("file", path("file")),
        ("file", path("file")),
    ];
    let names: Vec<_> = found.iter().map(|one| (one.0.as_str(), one.1.clone())).collect();
    assert_eq!(names, expect);
    assert!(found.iter().all(|one| one.2 == Some(CloseHow::Dropped)));
}

#[test]
fn a_child_is_closed_by_its_end_and_unclosed_if_dropped_before() {
    let ((), seen) = record(|| async {
        let mut child = Command::new("sleep").arg("0.05").spawn().unwrap();
        assert!(child.wait().await.unwrap().success());
        let output = Command::new("echo").args(["a", "b"]).output().await.unwrap();
        assert_eq!(output.stdout, b"a b\n");
        assert!(Command::new("true").status().await.unwrap().success());
        // Writes more than a pipe holds, to nobody.
        let mut wordy = Command::new("head");
        wordy.args(["-c", "200000", "/dev/zero"]).stdout(Stdio::piped());
        assert!(tokio::time::timeout(LIMIT, wordy.status()).await.is_ok());
        let mut left = Command::new("sleep");
        left.arg("10").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(left.spawn().unwrap());
        drop(Command::new("cat").kill_on_drop(true).spawn().unwrap());
    });
    let found = resources(&seen);
    let found: Vec<_> = found.iter().map(|one| (one.1.as_str(), one.2)).collect();
    let expect = [
        ("sleep", Some(CloseHow::Closed)),
        ("echo", Some(CloseHow::Closed)),
        ("true", Some(CloseHow::Closed)),
        ("head", Some(CloseHow::Closed)),
        ("sleep", Some(CloseHow::Unclosed)),
        ("cat", Some(CloseHow::Dropped)),
    ];
    assert_eq!(found, expect);
    let is_wait =
        |(op, _, how): &(String, Vec<u64>, _)| op == "wait" && *how == Some(WaitHow::Ready);
    assert!(waits(&seen).iter().any(is_wait));
}

/// Begins to wait, and only then lets happen what it waits for.
async fn begin<F: Future>(wanted: F, go: impl FnOnce()) -> F::Output {
    let mut wanted = std::pin::pin!(wanted);
    let is_pending = std::future::poll_fn(|context| {
        std::task::Poll::Ready(wanted.as_mut().poll(context).is_pending())
    });
    assert!(is_pending.await);
    go();
    wanted.await
}

#[test]
fn whoever_awaits_a_task_waits_for_it() {
    /// Longer than any wait that is left to the totals.
    const A_WHILE: Duration = Duration::from_millis(20);
    let (slow, seen) = record(|| async {
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let sleeps = || {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                tokio::time::sleep(A_WHILE).await;
            }
        };
        let handle = loopd_agent::task::spawn(sleeps());
        let slow: u64 = handle.id().to_string().parse().unwrap();
        begin(handle, || gate.add_permits(1)).await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..3 {
            tasks.spawn(sleeps());
        }
        begin(tasks.join_next(), || gate.add_permits(3)).await.unwrap().unwrap();
        while tasks.join_next().await.is_some() {}
        let stuck = loopd_agent::task::spawn(std::future::pending::<()>());
        let abort = stuck.abort_handle();
        let mut stuck = Box::pin(stuck);
        let is_over = std::future::poll_fn(|context| {
            std::task::Poll::Ready(stuck.as_mut().poll(context).is_ready())
        });
        assert!(!is_over.await);
        tokio::time::sleep(A_WHILE).await;
        drop(stuck);
        abort.abort();
        slow
    });
    let joins: Vec<_> = waits(&seen).into_iter().filter(|(op, ..)| op == "join").collect();
    assert_eq!(joins[0], ("join".to_owned(), vec![slow], Some(WaitHow::Ready)));
    assert_eq!(joins[1].1, [0; 0], "of a set nobody knows which is the next");
    assert_eq!(joins.last().unwrap().2, Some(WaitHow::Cancelled));
    let found = resources(&seen);
    let kinds: Vec<_> = found.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(kinds, ["join_handle", "join_set", "join_handle"]);
    assert!(found.iter().all(|one| one.2 == Some(CloseHow::Dropped)));
}
