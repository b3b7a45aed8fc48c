//! A real program is told, while it runs, what to capture: through the command and over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use loopd_agent::{Agent, Config, Runtime};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Builder;

use crate::binary::{Loopd, db, fails, loopd};
use crate::{LIMIT, wait_until};

/// The test's process as the program under control, its collector, and what that recorded.
struct Program {
    runtime: Runtime,
    agent: Agent,
    db: PathBuf,
    url: String,
}

impl Program {
    fn start(dir: &TempDir, server: &Loopd) -> Self {
        Self::start_as(Config::from_env(), dir, server)
    }

    fn start_as(config: Config, dir: &TempDir, server: &Loopd) -> Self {
        let url = format!("http://{}", server.addr);
        let agent = config.app("puppet").endpoint(&url).start().unwrap();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let runtime = agent.attach("main", builder).build().unwrap();
        let program = Self { runtime, agent, db: db(dir), url };
        let stored = "select count(*) from processes where state = 'live'";
        wait_until("the program is known", LIMIT, || program.number(stored) == 1);
        program
    }

    /// Runs a task that is polled so often.
    fn poll(&self, polls: usize) {
        let task = self.runtime.spawn(async move {
            for _ in 1..polls {
                tokio::task::yield_now().await;
            }
        });
        self.runtime.block_on(task).unwrap();
    }

    /// Runs a task that blocks its worker once.
    fn block(&self, time: Duration) {
        let task = self.runtime.spawn(async move { std::thread::sleep(time) });
        self.runtime.block_on(task).unwrap();
    }

    /// `loopd capture` with these arguments, which must work. Gives the JSON, once the program does what it is asked
    /// for: the command itself waits for that no longer than a moment.
    fn capture(&self, args: &[&str]) -> Value {
        let mut view = self.captured(args);
        let target = &args[..args.len().min(1)];
        wait_until("the program does what it is asked for", LIMIT, || {
            let is_pending = view["settings"]["pending"].as_bool().unwrap_or_default();
            if is_pending {
                view = self.captured(target);
            }
            !is_pending
        });
        view
    }

    fn captured(&self, args: &[&str]) -> Value {
        let mut command = loopd(&["capture", "--json", "--url", &self.url]);
        let output = command.args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn number(&self, sql: &str) -> u64 {
        let mut command = loopd(&["query", "--format", "csv", "--timeout", "60", "--db"]);
        let output = command.arg(&self.db).arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().nth(1).and_then(|line| line.trim().parse().ok()).unwrap_or_default()
    }

    #[track_caller]
    fn wait_number(&self, what: &str, sql: &str, expected: u64) {
        wait_until(what, LIMIT, || self.number(sql) == expected);
    }

    fn stop(self) {
        drop(self.runtime);
        assert!(self.agent.shutdown(LIMIT).complete);
    }
}

fn in_force<'a>(view: &'a Value, name: &str) -> &'a Value {
    &view["settings"]["in_force"][name]
}

#[test]
fn polls_are_switched_off_and_on_while_the_program_runs() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let program = Program::start(&dir, &server);
    program.poll(1_000);
    program.wait_number("polls", "select count(*) from tasks where polls = 1000", 1);

    let view = program.capture(&["puppet", "--polls", "off"]);
    assert_eq!(in_force(&view, "record_polls"), false);
    let layers = view["coverage"].as_array().unwrap();
    let hooks = layers.iter().find(|layer| layer["layer"] == "hooks").unwrap();
    assert!(hooks["reason"].as_str().unwrap().contains("switched off"), "{hooks}");
    program.poll(1_000);
    let unseen =
        "select count(*) from tasks where kind = 'async' and state = 'ended' and polls = 0";
    program.wait_number("a task without polls", unseen, 1);

    let view = program.capture(&["puppet", "--polls", "on"]);
    assert_eq!(in_force(&view, "record_polls"), true);
    program.poll(777);
    program.wait_number("polls again", "select count(*) from tasks where polls = 777", 1);
    let agent = program.capture(&[]);
    assert!(agent["cost"]["memory_bytes"].as_u64().unwrap() > 0, "{agent}");
    assert!(agent["cost"]["cpu_share"].as_f64().unwrap() < 1.0, "{agent}");
    assert_eq!(agent["captured_share"].as_f64(), Some(1.0), "{agent}");
    program.stop();
}

#[test]
fn a_lower_threshold_makes_a_poll_slow_that_was_not() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    // So high that no machine is too busy for it.
    let program = Program::start_as(Config::from_env().slow_threshold(LIMIT), &dir, &server);
    let blocked = Duration::from_millis(40);
    program.block(blocked);
    let long = "select count(*) from polls where length >= 30000000 and task < (1 << 62)";
    program.wait_number("a long poll", long, 1);
    let slow = "select count(*) from slow where task < (1 << 62)";
    assert_eq!(program.number(slow), 0);

    let view = program.capture(&["puppet", "--slow-threshold", "20ms"]);
    assert_eq!(in_force(&view, "slow_threshold"), 20_000_000);
    program.block(blocked);
    program.wait_number("a slow poll", slow, 1);
    let told = "select slow_threshold from processes";
    assert_eq!(program.number(told), 20_000_000);

    let view = program.capture(&["puppet", "--slow-threshold", "default"]);
    let configured = u64::try_from(LIMIT.as_nanos()).unwrap();
    assert_eq!(in_force(&view, "slow_threshold"), configured, "as it is configured");
    program.stop();
}

#[test]
fn a_restart_of_the_collector_keeps_what_was_asked_for() {
    let dir = tempdir().unwrap();
    let mut server = Loopd::start(&dir);
    let addr = server.addr.to_string();
    let program = Program::start(&dir, &server);
    program.capture(&["1", "--stacks", "off", "--slow-threshold", "1.5s"]);
    server.signal("TERM");
    server.wait();
    let _server = Loopd::start_with(&dir, &["--listen", &addr], &[]);
    wait_until("the program is back", LIMIT, || loopd_agent::stats().connected);
    let view = program.capture(&["1"]);
    let desired = &view["settings"]["desired"];
    assert_eq!(
        (&desired["sample_stacks"], &desired["slow_threshold"]),
        (&Value::Bool(false), &Value::from(1_500_000_000_u64))
    );
    assert_eq!(in_force(&view, "sample_stacks"), false);
    assert_eq!(in_force(&view, "slow_threshold"), 1_500_000_000_u64);
    program.stop();
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let program = Program::start(&dir, &server);
    let check = |args: &[&str], code: i32, words: &str| {
        let args: Vec<_> = ["capture", "--url", &program.url].iter().chain(args).copied().collect();
        let (found, said) = fails(&args);
        assert_eq!(found, code, "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["puppet", "--slow-threshold", "5us"], 2, "expected a time from 1ms to 1h");
    check(&["puppet", "--polls", "maybe"], 2, "possible values: on, off, default");
    check(&["nobody", "--polls", "off"], 1, "no program \"nobody\" is known");
    let (code, said) = fails(&["capture", "--polls", "off", "--db", program.db.to_str().unwrap()]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("has no programs to ask"), "{said}");

    let patch = |headers: &str, body: &str| {
        let answer = server.ask(&format!(
            "PATCH /api/v1/processes/1/settings HTTP/1.1\r\nconnection: close\r\n{}{headers}\
             content-length: {}\r\n\r\n{body}",
            server.host(),
            body.len(),
        ));
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let (json, off) = ("content-type: application/json\r\n", r#"{"record_polls":false}"#);
    assert_eq!(patch(&format!("{json}origin: http://evil.test\r\n"), off), 403);
    assert_eq!(patch(&format!("{json}sec-fetch-site: cross-site\r\n"), off), 403);
    assert_eq!(patch("content-type: text/plain\r\n", off), 415);
    assert_eq!(patch("", off), 415);
    assert_eq!(patch(json, r#"{"record_polls":1}"#), 400);
    assert_eq!(patch(json, r#"{"slow_threshold":1}"#), 400);
    let view = program.capture(&[]);
    assert_eq!(view["settings"]["desired"]["record_polls"], Value::Null, "nothing was changed");
    assert_eq!(patch(&format!("{json}origin: http://{}\r\n", server.addr), off), 200);
    program.stop();
}

#[test]
fn with_a_token_nobody_changes_anything_without_it() {
    let dir = tempdir().unwrap();
    let env = [("LOOPD_TOKEN", "0123456789abcdef")];
    let server = Loopd::start_with(&dir, &["--listen", "127.0.0.1:0"], &env);
    let url = format!("http://{}", server.addr);
    let capture = |token: &[&str]| {
        let args = ["capture", "--all", "--polls", "off", "--url", &url];
        let args: Vec<_> = args.iter().chain(token).copied().collect();
        loopd(&args).output().unwrap()
    };
    let refused = capture(&[]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("wants a token"));
    let done = capture(&["--token", "0123456789abcdef"]);
    assert!(done.status.success());
    assert!(String::from_utf8_lossy(&done.stdout).contains("polls off"), "{done:?}");
}

#[test]
fn a_program_whose_tasks_cannot_be_looked_into_says_so() {
    let dir = tempdir().unwrap();
    let server = Loopd::start(&dir);
    let program = Program::start(&dir, &server);
    let output = loopd(&["awaits", "puppet", "--url", &program.url]).output().unwrap();
    // Had the program not answered, that is what would be said.
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(error, "warning: puppet: this agent cannot tell where its tasks wait\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    program.stop();
}
