//! A real program on `EventLoop`s that do all that one complains of: each is found, at its line.
//!
//! The test's process is the program: each test has one of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use loopd_agent::event_loop::{Check, Error, EventLoop, Result, create_task, sleep};
use serde_json::Value;
use tempfile::tempdir;

use crate::LIMIT;
use crate::binary::{Loopd, db, loopd};
use crate::real_agent::{Recording, config};

const LONG: Duration = Duration::from_secs(100);

/// Check and line of all that is found in a recording, of this file.
fn found(recording: &Recording) -> BTreeSet<(String, u32)> {
    let mut command = loopd(&["findings", "--all", "--json", "--db"]);
    let output = command.arg(&recording.0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let known = lines.filter_map(|it| {
        let (_, line) = it["location"].as_str()?.split_once("e2e/event_loops.rs:")?;
        Some((it["rule"].as_str()?.to_owned(), line.parse().unwrap()))
    });
    known.filter(|(rule, _)| loopd_analysis::checks::known_name(rule).is_some()).collect()
}

/// What becomes of the rule that stands for all checks.
fn verdict(recording: &Recording) -> String {
    let mut command = loopd(&["findings", "--rules", "--json", "--db"]);
    let output = command.arg(&recording.0).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rule = lines.find(|it| it["rule"] == "asyncio_checks").unwrap();
    rule["state"].as_str().unwrap().to_owned()
}

#[test]
fn each_complaint_is_found_at_the_line_that_made_what_it_is_about() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let agent = config("complains", &server).start().unwrap();
    let mut expected = Vec::new();

    let it = EventLoop::named("first").unwrap();
    // They are found whatever the program does with them itself.
    it.set_exception_handler(|_, _| ());
    it.call_soon(|| Err::<(), _>(Error::new("on purpose"))).unwrap();
    expected.push((Check::CallbackFailed, line!() - 1));
    drop(it.create_task::<(), _>(async { Err(Error::new("on purpose")) }).unwrap());
    expected.push((Check::NeverRetrieved, line!() - 1));
    it.stop();
    it.run_forever().unwrap();
    it.set_debug(true);
    it.set_slow_callback_duration(Duration::ZERO);
    it.call_soon(|| ()).unwrap();
    expected.push((Check::Slow, line!() - 1));
    it.stop();
    it.run_forever().unwrap();
    it.create_task(sleep(LONG)).unwrap();
    expected.push((Check::DestroyedPending, line!() - 1));
    it.call_soon(|| ()).unwrap();
    expected.push((Check::NeverRun, line!() - 1));
    let handle = it.handle();
    let line = std::thread::spawn(move || {
        handle.call_soon_threadsafe(|| ()).unwrap();
        line!() - 1
    });
    expected.push((Check::NeverRun, line.join().unwrap()));
    it.close().unwrap();

    drop(EventLoop::named("left").unwrap());
    expected.push((Check::UnclosedLoop, line!() - 1));

    let lines = loopd_agent::run(async {
        EventLoop::running()?.add_finalizer(|| async { Err(Error::new("on purpose")) });
        create_task::<(), _>(async {
            let _ = sleep(LONG).await;
            Err(Error::new("on purpose"))
        })?;
        let line = line!() - 4;
        sleep(Duration::ZERO).await?;
        Ok(line)
    });
    let line = lines.unwrap();
    expected.extend([(Check::FinalizerFailed, line - 1), (Check::ShutdownFailed, line)]);
    assert!(agent.shutdown(LIMIT).complete);

    let recording = Recording(db(&dir));
    let found = found(&recording);
    for (check, line) in &expected {
        let one = (check.name().to_owned(), *line);
        assert!(found.contains(&one), "{one:?} is not among {found:?}");
    }
    assert_eq!(verdict(&recording), "found");
    assert_eq!(recording.unbalanced(), 0);
    for check in Check::ALL {
        assert!(loopd_analysis::checks::known_name(check.name()).is_some(), "{check:?}");
    }
}

#[test]
fn where_an_event_loop_has_nothing_to_complain_of_the_rule_has_looked() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let agent = config("content", &server).start().unwrap();
    let ran: Result<i32> = loopd_agent::run(async {
        let task = create_task(async { Ok(5) })?;
        task.await
    });
    assert_eq!(ran.unwrap(), 5);
    assert!(agent.shutdown(LIMIT).complete);
    let recording = Recording(db(&dir));
    assert_eq!((verdict(&recording), found(&recording).len()), ("ok".to_owned(), 0));
}
