//! Two ranges side by side.

use http::StatusCode;
use insta::assert_debug_snapshot;
use serde_json::{Value, json};

use super::recording::{self, LIFE, START};
use super::server::{Server, text};

/// The first ten seconds of `orders`, in which `reporter` blocked twice and a task panicked, and the rest.
fn halves() -> String {
    let cut = START + 10_000_000_000;
    format!("/api/v1/compare?a=1&a_to={cut}&b=1&b_from={cut}")
}

/// Level, rule and subject of each.
fn told(findings: &Value) -> Vec<String> {
    let told = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        format!("{} {} {}", text("level"), text("rule"), text("subject"))
    };
    findings.as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn two_ranges_of_a_run_are_compared() {
    let server = Server::start().await;
    let view = server.json(&halves()).await;
    let cut = (START + 10_000_000_000).to_string();
    let end = (START + LIFE as i64).to_string();
    let side = |from: &str, to: &str| json!({"process": 1, "app": "orders", "app_version": "1.2.3", "from": from, "to": to});
    assert_eq!(view["a"], side(&START.to_string(), &cut));
    assert_eq!(view["b"], side(&cut, &end));
    let parts = ["changes", "new", "gone", "lasting"].map(|part| (part, told(&view[part])));
    assert_debug_snapshot!(parts, @r#"
    [
        (
            "changes",
            [],
        ),
        (
            "new",
            [
                "warning task_leak orders/src/leak.rs:12",
                "warning cpu_bound_poll orders/src/report.rs:30",
                "info unclosed_resource open at the end",
            ],
        ),
        (
            "gone",
            [
                "warning panicked orders/src/main.rs:9",
                "info cpu_bound_poll orders/src/report.rs:41",
            ],
        ),
        (
            "lasting",
            [
                "warning unclosed_resource orders/src/report.rs:30 socket",
            ],
        ),
    ]
    "#);
    let sites = view["sites"].as_array().unwrap();
    let places: Vec<_> = sites.iter().map(|it| it["location"].as_str().unwrap()).collect();
    let most_different_first =
        ["orders/src/report.rs:30", "orders/src/main.rs:9", "orders/src/leak.rs:12"];
    assert_eq!(places, most_different_first);
    let [report, main, _] = &sites[..] else { panic!("{sites:?}") };
    assert_eq!(
        (&report["a"]["poll_max"], &report["b"]["poll_max"]),
        (&json!(300_000_000), &json!(800_000_000))
    );
    assert_eq!((&main["a"]["failed"], &main["b"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn a_range_is_as_it_is() {
    let server = Server::start().await;
    let view = server.json("/api/v1/compare?a=1&b=1").await;
    let all = server.json("/api/v1/processes/1/findings").await;
    assert_eq!((view["new"].clone(), view["gone"].clone()), (json!([]), json!([])));
    assert_eq!(view["changes"], json!([]));
    assert_eq!(view["lasting"], all["findings"]);
    for site in view["sites"].as_array().unwrap() {
        assert_eq!(site["a"], site["b"], "{site}");
    }
}

#[tokio::test]
async fn runs_of_two_programs_are_compared() {
    let server = Server::start().await;
    recording::add_python(&mut *server.writer.lock().await).await;
    let view = server.json("/api/v1/compare?a=1&b=2").await;
    assert_eq!((&view["a"]["app"], &view["b"]["app"]), (&json!("orders"), &json!("shop")));
    let new = told(&view["new"]);
    assert!(new.contains(&"error never_awaited shop/orders/app.py:37".to_owned()), "{new:?}");
    let gone = told(&view["gone"]);
    assert!(gone.contains(&"warning task_leak orders/src/leak.rs:12".to_owned()), "{gone:?}");
    // Each finding leads to the process in which it is.
    let text = |part: &str| view[part].to_string();
    assert!(text("new").contains("process=2") && !text("new").contains("process=1"));
    assert!(text("gone").contains("process=1") && !text("gone").contains("process=2"));
}

#[tokio::test]
async fn places_come_as_csv() {
    let server = Server::start().await;
    let sites = server.json(&halves()).await["sites"].as_array().unwrap().len();
    let csv = text(server.get(&format!("{}&format=csv", halves())).await).await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("location,a_busy_share,b_busy_share,"), "{csv}");
    assert_eq!(lines.len(), sites + 1, "{csv}");
    assert!(lines.iter().any(|line| line.starts_with("orders/src/report.rs:30,")), "{csv}");
}

#[tokio::test]
async fn what_cannot_be_compared_is_named() {
    let server = Server::start().await;
    for (query, status, expected) in [
        ("", StatusCode::BAD_REQUEST, "`a` must name a process"),
        ("?a=1", StatusCode::BAD_REQUEST, "`b` must name a process"),
        ("?a=1&b=", StatusCode::BAD_REQUEST, "`b` must name a process"),
        ("?a=1&b=orders", StatusCode::BAD_REQUEST, "`b` must be a whole number"),
        ("?a=99&b=1", StatusCode::NOT_FOUND, "there is no process 99; /api/v1/processes lists"),
        ("?a=1&b=99", StatusCode::NOT_FOUND, "there is no process 99; /api/v1/processes lists"),
        ("?a=1&b=1&a_from=7&a_to=7", StatusCode::BAD_REQUEST, "`a_from` (7) must be before `a_to`"),
        ("?a=1&b=1&b_from=8&b_to=7", StatusCode::BAD_REQUEST, "`b_from` (8) must be before `b_to`"),
        ("?a=1&b=1&from=7", StatusCode::BAD_REQUEST, "there is no parameter `from` here"),
        ("?a=1&b=1&a_to=now", StatusCode::BAD_REQUEST, "`a_to` must be nanoseconds since 1970"),
    ] {
        let response = server.get(&format!("/api/v1/compare{query}")).await;
        assert_eq!(response.status(), status, "{query}");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        let sentence = body["error"].as_str().unwrap();
        assert!(sentence.starts_with(expected), "{query}: {sentence}");
    }
}
