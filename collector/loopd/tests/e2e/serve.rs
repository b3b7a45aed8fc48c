//! How `loopd serve` starts, stops, and says why it cannot start.

use std::path::Path;

use tempfile::{TempDir, tempdir};

use crate::agent::{Agent, batch};
use crate::binary::{Loopd, db, fails, loopd};
use crate::{LIMIT, wait_until};

#[test]
fn it_starts_answers_and_stops_when_told() {
    for signal in ["TERM", "INT"] {
        let dir = tempdir().unwrap();
        let mut loopd = Loopd::start(&dir);
        assert_eq!(loopd.get("/healthz", &loopd.host()), 200);
        assert_eq!(loopd.get("/readyz", &loopd.host()), 200);
        assert_eq!(loopd.get("/", &loopd.host()), 200);
        assert_eq!(loopd.get("/api/v1/nothing", &loopd.host()), 404);
        loopd.signal(signal);
        assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
        let wal = std::fs::metadata(dir.path().join("loopd.db-wal"));
        assert_eq!(wal.map_or(0, |wal| wal.len()), 0, "the log was not written back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_agents_politely_and_keeps_what_they_sent() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    let (mut agent, _) = Agent::welcomed(loopd.addr, 1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
    loopd.signal("TERM");
    let (end, _) = agent.end().await;
    assert_eq!(end.unwrap_err().0, tonic::Code::Unavailable);
    assert_eq!(tokio::task::block_in_place(|| loopd.wait()).code(), Some(0));
    let sql = rusqlite::Connection::open(db(&dir)).unwrap();
    let tasks: i64 = sql.query_row("SELECT count(*) FROM task", [], |row| row.get(0)).unwrap();
    assert_eq!(tasks, 1);
}

#[test]
fn a_page_that_follows_does_not_hold_up_the_stop() {
    use std::io::{Read, Write};
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    let mut stream = loopd.connect();
    write!(stream, "GET /api/v1/live HTTP/1.1\r\n{}\r\n", loopd.host()).unwrap();
    let mut first = [0; 512];
    assert!(stream.read(&mut first).unwrap() > 0);
    loopd.signal("TERM");
    assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
    assert!(!loopd.log().contains("ERROR"), "{}", loopd.log());
}

#[test]
fn one_line_on_stdout_says_where_it_is_and_json_logs_are_json() {
    let dir = tempdir().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--log-format", "json"];
    let loopd = Loopd::start_with(&dir, &args, &[]);
    wait_until("it logs", LIMIT, || loopd.log().ends_with('\n'));
    for line in loopd.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string());
    }
}

#[track_caller]
fn check_fails(args: &[&str], code: i32, words: &str) {
    let (actual, said) = fails(args);
    assert_eq!(actual, code, "{said}");
    assert!(said.contains(words), "{words:?} is not in {said:?}");
    assert_eq!(said.matches("error: ").count(), 1, "said once: {said}");
}

#[test]
fn wrong_flags_are_a_usage_error() {
    check_fails(&["serve", "--nonsense"], 2, "--nonsense");
    check_fails(&["serve", "--retain-age", "7 parsecs"], 2, "12h or 7d");
    check_fails(&["serve", "--listen", "here"], 2, "--listen");
    check_fails(&["serve", "--allow-host", "http://x/"], 2, "HOST:PORT");
    check_fails(&["serve", "--token-file", "/does/not/exist"], 2, "/does/not/exist");
}

#[test]
fn beyond_this_machine_it_wants_a_token() {
    let dir = tempdir().unwrap();
    let path = db(&dir);
    check_fails(
        &["serve", "--listen", "0.0.0.0:0", "--db", path.to_str().unwrap()],
        2,
        "set a token with --token-file or LOOPD_TOKEN",
    );
    assert!(!path.exists());
    let env = [("LOOPD_TOKEN", "0123456789abcdef")];
    let loopd = Loopd::start_with(&dir, &["--listen", "0.0.0.0:0"], &env);
    wait_until("it warns", LIMIT, || loopd.log().contains("not encrypted"));
}

fn serve_on(db: &Path) -> Vec<String> {
    ["serve", "--listen", "127.0.0.1:0", "--db", db.to_str().unwrap()].map(String::from).into()
}

#[track_caller]
fn check_db_refused(db: &Path, words: &str) {
    let args = serve_on(db);
    check_fails(&args.iter().map(String::as_str).collect::<Vec<_>>(), 5, words);
}

#[test]
fn a_port_in_use_is_said_and_the_database_left_alone() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    let other = dir.path().join("other.db");
    let addr = loopd.addr.to_string();
    check_fails(
        &["serve", "--listen", &addr, "--db", other.to_str().unwrap()],
        3,
        "another program does",
    );
    assert!(!other.exists());
}

#[test]
fn a_database_in_use_is_said() {
    let dir = tempdir().unwrap();
    let _loopd = Loopd::start(&dir);
    check_db_refused(&db(&dir), "in use by another `loopd serve`");
}

#[test]
fn a_newer_database_is_left_as_it_is() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    loopd.signal("TERM");
    loopd.wait();
    let sql = rusqlite::Connection::open(db(&dir)).unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'of tomorrow', 1, x'00', 0)";
    sql.execute_batch(newer).unwrap();
    sql.close().unwrap();
    let before = std::fs::read(db(&dir)).unwrap();
    check_db_refused(&db(&dir), "has schema 9999");
    assert_eq!(std::fs::read(db(&dir)).unwrap(), before);
}

#[test]
fn what_is_no_database_of_ours_is_left_as_it_is() {
    let dir = tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "not a database, but quite long for a text\n".repeat(200)).unwrap();
    let before = std::fs::read(&text).unwrap();
    check_db_refused(&text, "damaged or not a database");
    assert_eq!(std::fs::read(&text).unwrap(), before);

    let foreign = dir.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    check_db_refused(&foreign, "database of another program");
}

/// Under a file there is no directory, which stops root as well.
#[test]
fn a_path_that_cannot_be_is_said() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    check_db_refused(&file.join("loopd.db"), "cannot write to");
    check_db_refused(dir.path(), "");
}

#[test]
fn by_default_the_database_is_in_the_state_directory() {
    let state_of = |name: &str, value: &Path| -> TempDir {
        let home = tempdir().unwrap();
        let mut child = loopd(&["serve", "--listen", "127.0.0.1:0"])
            .env("HOME", home.path())
            .env_remove("XDG_STATE_HOME")
            .env(name, home.path().join(value))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the database is there", LIMIT, || {
            let of_state = home.path().join("s/loopd.db");
            of_state.exists() || home.path().join("s/loopd/loopd.db").exists()
        });
        child.kill().unwrap();
        child.wait().unwrap();
        home
    };
    let home = state_of("XDG_STATE_HOME", Path::new("s"));
    assert!(home.path().join("s/loopd/loopd.db").exists());
    let home = state_of("STATE_DIRECTORY", Path::new("s"));
    assert!(home.path().join("s/loopd.db").exists());
}

/// Of a program that has ended.
#[cfg(target_os = "linux")]
async fn welcomed_for_the_dead(loopd: &Loopd) -> Agent {
    use loopd_wire::pb::agent_message::Kind as Said;

    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let mut hello = crate::agent::hello(1);
    let process = hello.process.as_mut().unwrap();
    process.pid = dead.id();
    process.host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let mut agent = Agent::connect(loopd.addr).await;
    agent.say(Said::Hello(hello)).await;
    agent.welcome().await;
    agent
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_died_without_a_word_is_lost_before_its_grace_is_over() {
    let dir = tempdir().unwrap();
    let loopd = Loopd::start(&dir);
    drop(welcomed_for_the_dead(&loopd).await);
    check_lost_because_it_is_gone(&loopd, &dir);
}

/// And not because its grace is over.
#[cfg(target_os = "linux")]
#[track_caller]
fn check_lost_because_it_is_gone(loopd: &Loopd, dir: &TempDir) {
    let sql = rusqlite::Connection::open(db(dir)).unwrap();
    let state = || -> String {
        sql.query_row("SELECT state FROM processes", [], |row| row.get(0)).unwrap()
    };
    tokio::task::block_in_place(|| {
        wait_until("it is lost", LIMIT, || state() == "lost");
        wait_until("that is said", LIMIT, || loopd.log().contains("process lost"));
    });
    assert!(loopd.log().contains("is_gone=true"), "{}", loopd.log());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_died_while_nobody_listened_is_lost_at_once() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    let _agent = welcomed_for_the_dead(&loopd).await;
    loopd.signal("TERM");
    assert_eq!(tokio::task::block_in_place(|| loopd.wait()).code(), Some(0), "{}", loopd.log());
    let sql = rusqlite::Connection::open(db(&dir)).unwrap();
    let state = || -> String {
        sql.query_row("SELECT state FROM processes", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(state(), "live");
    let loopd = Loopd::start(&dir);
    check_lost_because_it_is_gone(&loopd, &dir);
}
