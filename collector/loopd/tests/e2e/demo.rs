//! The demo that a page asks for: it runs as a child of the server, once, and never outlives it.

use serde_json::Value;
use tempfile::tempdir;

use crate::binary::{Loopd, db};
use crate::{LIMIT, wait_until};

/// Asks the route, with a body or without.
fn demo(loopd: &Loopd, body: Option<&str>) -> (u16, Value) {
    let host = loopd.host();
    let answer = loopd.ask(&match body {
        Some(body) => format!(
            "POST /api/v1/demo HTTP/1.1\r\nconnection: close\r\n{host}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ),
        None => format!("GET /api/v1/demo HTTP/1.1\r\nconnection: close\r\n{host}\r\n"),
    });
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The process numbers and states of all programs in the database.
fn programs(dir: &tempfile::TempDir) -> Vec<(u32, String)> {
    let sql = rusqlite::Connection::open(db(dir)).unwrap();
    let mut rows = sql.prepare("SELECT pid, app FROM process ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn is_running(pid: u32) -> bool {
    // A zombie is one that nobody waited for, and counts.
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_demo_of_a_page_connects_runs_once_and_ends_with_the_server() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    assert_eq!(demo(&loopd, None).1["state"], "off");
    let (status, first) = demo(&loopd, Some(r#"{"run":true}"#));
    assert_eq!((status, &first["state"]), (200, &"running".into()));
    let (_, second) = demo(&loopd, Some(r#"{"run":true}"#));
    assert_eq!(first["ends_at"], second["ends_at"], "it is the same one");
    wait_until("the service connects", LIMIT, || programs(&dir).len() == 1);
    let [(pid, app)] = &programs(&dir)[..] else { panic!("one program") };
    assert_eq!(app, "orders");
    assert!(is_running(*pid));
    loopd.signal("TERM");
    assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
    assert!(!is_running(*pid), "{}", loopd.log());
    assert!(loopd.log().contains("demo ended"), "{}", loopd.log());
}

#[test]
fn a_demo_that_is_stopped_leaves_no_zombie_and_may_start_again() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    for run in 1..=2 {
        demo(&loopd, Some(r#"{"run":true}"#));
        wait_until("the service connects", LIMIT, || programs(&dir).len() == run);
        let (_, stopping) = demo(&loopd, Some(r#"{"run":false}"#));
        assert_eq!(stopping["state"], "stopping");
        wait_until("the service ends", LIMIT, || demo(&loopd, None).1["state"] == "off");
        assert!(!is_running(programs(&dir)[run - 1].0));
    }
    loopd.signal("TERM");
    assert_eq!(loopd.wait().code(), Some(0), "{}", loopd.log());
}

#[test]
fn a_demo_does_not_outlive_a_server_that_is_killed() {
    let dir = tempdir().unwrap();
    let mut loopd = Loopd::start(&dir);
    demo(&loopd, Some(r#"{"run":true}"#));
    wait_until("the service connects", LIMIT, || programs(&dir).len() == 1);
    let pid = programs(&dir)[0].0;
    loopd.signal("KILL");
    loopd.wait();
    let is_over = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Whoever took it over may be slow to wait for it.
        stat.is_empty() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    };
    wait_until("the service ends by itself", LIMIT, is_over);
}
