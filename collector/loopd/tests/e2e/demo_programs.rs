//! Each program of `loopd demo --list`: it starts, loopd names the line that is wrong with it, and it
//! ends with a summary.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::binary::{db, loopd};
use crate::{LIMIT, wait_until};

/// Where the programs are that run on an `EventLoop`.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../agent/examples/loops/src");
/// What follows the line that is wrong.
const MARK: &str = "// <- disease";
/// A leak is only called one after some ten seconds.
const FOUND_WITHIN: Duration = Duration::from_secs(180);
/// A machine that stands still for a second makes any poll slow and any timer late, but not the same ones each time.
const RUNS: usize = 3;

/// The line that a program says is wrong, as `folder/src/file.rs:line`.
fn marked_line(file: &str) -> String {
    let text = std::fs::read_to_string(Path::new(SOURCES).join(file)).unwrap();
    let marked = text.lines().position(|line| line.ends_with(MARK));
    format!("loops/src/{file}:{}", marked.unwrap() + 1)
}

/// A running demo; killed when dropped.
struct Demo(Child);

impl Demo {
    fn start(dir: &TempDir, program: &str) -> Self {
        let mut command = loopd(&["demo", program, "--no-open", "--port", "0", "--db"]);
        command.arg(db(dir)).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Ends it as ctrl-c does. Gives what it said.
    fn end(self) -> String {
        self.end_with_errors().0
    }

    /// The same, with what it said to standard error.
    fn end_with_errors(mut self) -> (String, String) {
        assert!(signal("INT", self.0.id()));
        wait_until("the demo ends", LIMIT, || self.0.try_wait().unwrap().is_some());
        let (mut told, mut error) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0), "{told}{error}");
        (told, error)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a rule has found something wrong at that line, as far as is kept while the program runs.
fn is_found(dir: &TempDir, rule: &str, line: &str) -> bool {
    const SQL: &str = "SELECT count(*) FROM finding
        WHERE rule = ?1 AND location = ?2 AND level >= 2 AND resolved_at IS NULL";
    // There may be no database yet.
    let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(sql) = rusqlite::Connection::open_with_flags(db(dir), read_only) else { return false };
    sql.query_row(SQL, [rule, line], |row| row.get(0)).is_ok_and(|count: u32| count > 0)
}

/// What `loopd findings` says afterwards.
fn findings(dir: &TempDir) -> Vec<Value> {
    let output = loopd(&["findings", "--json", "--db"]).arg(db(dir)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A demo of a program finds this by this rule, at the line that the program marks, and in one of a few runs nothing
/// but that.
fn check(program: &str, rule: &str, file: &str) {
    let mut wrong = Vec::new();
    for _ in 0..RUNS {
        match run(program, rule, file) {
            Ok(()) => return,
            Err(found) => wrong.push(found),
        }
    }
    panic!("in each of {RUNS} runs something was wrong: {wrong:#?}");
}

fn run(program: &str, rule: &str, file: &str) -> Result<(), String> {
    let dir = tempdir().unwrap();
    let line = marked_line(file);
    let demo = Demo::start(&dir, program);
    wait_until("what is wrong is found", FOUND_WITHIN, || is_found(&dir, rule, &line));
    let told = demo.end();
    let found = findings(&dir);
    let is_it = |it: &Value| it["rule"] == rule && it["location"] == line.as_str();
    assert!(found.iter().any(is_it), "no {rule} at {line}: {found:#?}");
    let (_, summary) = told.split_once("\nRecorded ").unwrap();
    if !summary.contains(&line) {
        return Err(format!("{line} is not in: {summary}"));
    }
    // All else is as one would write it. On a busy machine any poll may be long, which is only possibly its fault.
    let is_error = |it: &&Value| {
        it["level"] == "error" && it["confidence"] != "possible" && it["location"] != line.as_str()
    };
    let others: Vec<_> = found.iter().filter(is_error).collect();
    if others.is_empty() { Ok(()) } else { Err(format!("{others:#?}")) }
}

#[test]
fn the_web_server_is_blocked_by_the_read_in_its_handler() {
    check("web-server", "blocking_call", "web_server.rs");
}

#[test]
fn the_frames_stand_still_while_the_shadow_is_computed() {
    check("frames", "cpu_bound_poll", "frames.rs");
}

#[test]
fn the_fan_out_leaks_the_questions_that_are_never_answered() {
    check("fan-out", "task_leak", "fan_out.rs");
}

#[test]
fn the_many_loops_wait_for_one_executor() {
    check("many-loops", "blocking_pool_saturated", "many_loops.rs");
}

#[test]
fn the_list_has_each_program_with_a_line() {
    let output = loopd(&["demo", "--list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for program in ["orders", "web-server", "frames", "fan-out", "many-loops"] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(program));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 5), "{program}: {text}");
    }
    let output = loopd(&["demo", "no-such-program"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("web-server"), "{error}");
}

/// The number of the process that is recorded, once some of its polls are.
fn recorded_pid(dir: &TempDir) -> Option<u32> {
    let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let sql = rusqlite::Connection::open_with_flags(db(dir), read_only).ok()?;
    sql.query_row("SELECT pid FROM process WHERE EXISTS (SELECT 1 FROM segment)", [], |row| {
        row.get(0)
    })
    .ok()
}

/// A process that stands still until this is dropped, and then hears of its end.
struct Stopped(u32);

impl Stopped {
    fn stop(pid: u32) -> Self {
        assert!(signal("STOP", pid));
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Whoever started it may have ended it.
        signal("CONT", self.0);
    }
}

fn signal(name: &str, pid: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &pid.to_string()]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

#[test]
fn a_program_that_does_not_get_to_its_end_has_a_summary_all_the_same() {
    let dir = tempdir().unwrap();
    let demo = Demo::start(&dir, "orders");
    wait_until("polls are recorded", LIMIT, || recorded_pid(&dir).is_some());
    // As one that gets no processor: it hears nothing of the end.
    let _stopped = Stopped::stop(recorded_pid(&dir).unwrap());
    let (told, error) = demo.end_with_errors();
    assert!(told.contains("Recorded ") && told.contains("What blocked the workers"), "{told}");
    assert!(told.contains("What only grew"), "{told}");
    assert!(error.contains("did not stop within 10s"), "{error}");
}
