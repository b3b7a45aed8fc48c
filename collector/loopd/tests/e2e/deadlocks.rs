//! A real program whose tasks lock each other out, with the real agent: the collector says so while the
//! program runs, and takes it back once the tasks are gone.
//!
//! The test's process is the program: each test has one of its own.

use std::sync::Arc;

use loopd_agent::spawn;
use loopd_agent::sync::{Mutex, OwnedMutexGuard};
use tempfile::tempdir;
use tokio::runtime::Builder;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::binary::{Loopd, db};
use crate::real_agent::{Recording, config};
use crate::{LIMIT, wait_until};

type Lock = Arc<Mutex<()>>;

/// Tasks that lock each other out, and the lines at which they wait.
type Deadlock = (Vec<JoinHandle<()>>, Vec<u32>);

/// Takes one, and when all have one, the next.
async fn take(first: Lock, all: Arc<Barrier>, next: impl Future<Output = OwnedMutexGuard<()>>) {
    let first = first.lock_owned().await;
    all.wait().await;
    drop((next.await, first));
}

fn two() -> Deadlock {
    let [a, b]: [Lock; 2] = Default::default();
    let all = Arc::new(Barrier::new(2));
    let line = line!();
    let tasks = vec![
        spawn(take(a.clone(), all.clone(), b.clone().lock_owned())),
        spawn(take(b, all, a.lock_owned())),
    ];
    (tasks, (line + 2..=line + 3).collect())
}

fn five() -> Deadlock {
    let [a, b, c, d, e]: [Lock; 5] = Default::default();
    let all = Arc::new(Barrier::new(5));
    let line = line!();
    let tasks = vec![
        spawn(take(a.clone(), all.clone(), b.clone().lock_owned())),
        spawn(take(b, all.clone(), c.clone().lock_owned())),
        spawn(take(c, all.clone(), d.clone().lock_owned())),
        spawn(take(d, all.clone(), e.clone().lock_owned())),
        spawn(take(e, all, a.lock_owned())),
    ];
    (tasks, (line + 2..=line + 6).collect())
}

/// Runs a program with that in it, which goes on without these tasks, until both is known of it. Gives the
/// title under which it was known.
fn found_and_resolved(app: &str, deadlock: fn() -> Deadlock) -> String {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let recording = Recording(db(&dir));
    let agent = config(app, &server).start().unwrap();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    let runtime = agent.attach("main", builder).build().unwrap();
    let (tasks, lines) = {
        let _inside = runtime.enter();
        deadlock()
    };

    let deadlocks = |what: &str| {
        recording.number(&format!("select count(*) from findings where rule = 'deadlock' {what}"))
    };
    let errors = "and level = 'error' and confidence = 'certain' and resolved_at is null";
    wait_until("the deadlock is found while the program runs", LIMIT, || deadlocks(errors) == 1);
    assert!(tasks.iter().all(|task| !task.is_finished()), "they are stuck");
    let title = recording.text("select title from findings where rule = 'deadlock'");
    let subject = recording.text("select subject from findings where rule = 'deadlock'");
    for line in lines {
        assert!(subject.contains(&format!("e2e/deadlocks.rs:{line}")), "{line}: {subject}");
    }
    assert!(title.contains("e2e/deadlocks.rs:"), "{title}");

    tasks.iter().for_each(JoinHandle::abort);
    wait_until("the deadlock is over", LIMIT, || deadlocks("and resolved_at is not null") == 1);
    assert_eq!(recording.text("select state from processes"), "live");
    assert_eq!(deadlocks(""), 1, "there was one, whatever was known in between");
    drop(runtime);
    assert!(agent.shutdown(LIMIT).complete);
    assert_eq!(recording.unbalanced(), 0);
    title
}

#[test]
fn two_tasks_that_lock_each_other_out_are_known_while_they_do() {
    let title = found_and_resolved("two", two);
    assert!(title.starts_with("deadlock: task ") && title.ends_with(" wait for each other"));
}

#[test]
fn five_tasks_that_lock_each_other_out_in_a_ring_are_known_while_they_do() {
    let title = found_and_resolved("five", five);
    assert!(
        title.starts_with("deadlock: 5 tasks wait for each other in a circle, at `"),
        "{title}"
    );
}
