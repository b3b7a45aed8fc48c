//! Programs of Python: what asyncio complains of, and advice in its words.

use http::StatusCode;
use insta::{assert_debug_snapshot, assert_json_snapshot};
use serde_json::{Value, json};

use super::recording::{self, SECOND, START};
use super::server::{Server, text};

/// A server whose newest process, number 2, is one of Python.
async fn with_python() -> Server {
    let server = Server::start().await;
    recording::add_python(&mut *server.writer.lock().await).await;
    server
}

/// What matters of the findings of a process: level, rule, location, occurrences and title.
async fn told(server: &Server, path: &str) -> Vec<String> {
    let view = server.json(path).await;
    let told = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap_or("-").to_owned();
        let (level, rule, location) = (text("level"), text("rule"), text("location"));
        format!("{level} {rule} {location} {}: {}", it["occurrences"], text("title"))
    };
    view["findings"].as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn complaints_are_grouped_by_check_and_line_and_say_what_to_do() {
    let server = with_python().await;
    let view = server.json("/api/v1/processes/2/findings").await;
    let findings = view["findings"].as_array().unwrap();
    let of_check = |rule: &str| findings.iter().find(|it| it["rule"] == rule).unwrap();
    assert_json_snapshot!(of_check("never_awaited"), @r#"
    {
      "confidence": "certain",
      "evidence": [
        {
          "href": "/timeline?process=2&from=1795366804000000000&to=1795366806000000000",
          "text": "coroutine 'pay' was never awaited"
        },
        {
          "text": "coroutine: pay"
        }
      ],
      "first_seen_at": "1795366803000000000",
      "fix": "Write `await` before the call, or give it to `asyncio.create_task(…)`.",
      "harm": 0,
      "last_seen_at": "1795366805000000000",
      "level": "error",
      "location": "shop/orders/app.py:37",
      "occurrences": 2,
      "path": "/srv/shop/orders/app.py:37",
      "rule": "never_awaited",
      "score": 60,
      "subject": "shop/orders/app.py:37",
      "title": "2 times a coroutine that was never awaited, at `shop/orders/app.py:37`",
      "why": "Calling a coroutine function only makes a coroutine: nothing of its body has run."
    }
    "#);
    let unclosed = of_check("unclosed_session");
    assert_eq!((&unclosed["level"], &unclosed["occurrences"]), (&"warning".into(), &1.into()));
    assert_eq!(unclosed["location"], "aiohttp/client.py:400");
    assert!(unclosed["fix"].as_str().unwrap().contains("`ClientSession`"), "{unclosed}");
}

#[tokio::test]
async fn findings_of_a_service_have_their_proof_on_pages_and_every_rule_says_something() {
    let server = Server::start().await;
    let view = server.json("/api/v1/processes/1/findings").await;
    assert_debug_snapshot!(told(&server, "/api/v1/processes/1/findings").await, @r#"
    [
        "warning task_leak orders/src/leak.rs:12 120: 120 tasks spawned at `orders/src/leak.rs:12` never ended (+11.9 per minute)",
        "warning cpu_bound_poll orders/src/report.rs:41 3: `orders::report::build` at `orders/src/report.rs:41` computed on a worker 3 times, for up to 800 ms",
        "warning panicked orders/src/main.rs:9 1: a task spawned at `orders/src/main.rs:9` panicked",
        "warning unclosed_resource orders/src/report.rs:30 1: 1 of kind `socket` opened at `orders/src/report.rs:30` was dropped unclosed",
        "info unclosed_resource - 1: A file, socket or child was open when the process ended",
    ]
    "#);
    for finding in view["findings"].as_array().unwrap() {
        for key in ["title", "why", "fix", "subject", "confidence"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{key}: {finding}");
        }
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{finding}");
        for href in evidence.iter().filter_map(|it| it["href"].as_str()) {
            let is_page = ["/tasks/1/", "/resources/1/", "/timeline?process=1&from="]
                .iter()
                .any(|page| href.starts_with(page));
            assert!(is_page || href.ends_with("?process=1"), "{href}");
        }
    }
    let rules = view["rules"].as_array().unwrap();
    assert_eq!(rules.len(), loopd_analysis::findings::rules().len());
    for rule in rules {
        let (state, reason) = (rule["state"].as_str().unwrap(), rule["reason"].as_str().unwrap());
        assert_eq!(matches!(state, "needs" | "not_applicable"), !reason.is_empty(), "{rule}");
    }
}

#[tokio::test]
async fn a_finding_has_the_whole_path_of_its_line() {
    let server = with_python().await;
    let view = server.json("/api/v1/processes/2/findings").await;
    let findings = view["findings"].as_array().unwrap();
    let never = findings.iter().find(|it| it["rule"] == "never_awaited").unwrap();
    assert_eq!(never["location"], "shop/orders/app.py:37");
    assert_eq!(never["path"], "/srv/shop/orders/app.py:37");
}

#[tokio::test]
async fn findings_are_those_of_a_range_and_come_as_csv() {
    let server = with_python().await;
    let from = START + 10_800_000_000_000 + (4 * SECOND) as i64;
    let path = format!("/api/v1/processes/2/findings?from={from}");
    let view = server.json(&path).await;
    assert_eq!(view["from"], from.to_string());
    let count = |rule: &str| {
        let findings = view["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|it| it["rule"] == rule)
            .map_or(0, |it| it["occurrences"].as_u64().unwrap())
    };
    assert_eq!((count("never_awaited"), count("unclosed_session")), (1, 1));
    let csv = text(server.get(&format!("{path}&format=csv")).await).await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("rule,level,score,harm,confidence,location,subject,"), "{csv}");
    assert_eq!(lines.len(), view["findings"].as_array().unwrap().len() + 1);
    let is_never = |line: &&&str| {
        line.starts_with("never_awaited,error,") && line.contains(",shop/orders/app.py:37,")
    };
    assert_eq!(lines.iter().filter(is_never).count(), 1, "{csv}");
}

#[tokio::test]
async fn a_program_that_is_not_there_and_a_wrong_range_are_named() {
    let server = with_python().await;
    for (path, status, expected) in [
        ("/api/v1/processes/99/findings", StatusCode::NOT_FOUND, "there is no process 99"),
        ("/api/v1/processes/x/findings", StatusCode::BAD_REQUEST, "with a whole number"),
        ("/api/v1/processes/2/findings?check=a", StatusCode::BAD_REQUEST, "no parameter `check`"),
        ("/api/v1/processes/2/findings?from=5&to=5", StatusCode::BAD_REQUEST, "must be before"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let body = text(response).await;
        assert!(body.contains(expected), "{path}: {body}");
    }
}

#[tokio::test]
async fn of_a_program_of_rust_asyncio_has_nothing_to_complain() {
    let server = with_python().await;
    let view = server.json("/api/v1/processes/1/findings").await;
    let rules = view["rules"].as_array().unwrap();
    let complaints = rules.iter().find(|it| it["rule"] == "asyncio_checks").unwrap();
    assert_eq!(complaints["state"], "not_applicable", "{complaints}");
}

#[tokio::test]
async fn the_overview_of_python_tells_complaints_and_speaks_of_its_loop() {
    let server = with_python().await;
    let view = server.json("/api/v1/overview?process=2").await;
    assert_eq!(view["process"]["runtime"], "asyncio");
    assert_json_snapshot!(json!([view["verdict"], view["headlines"]]), @r#"
    [
      {
        "level": "bad",
        "sentence": "2 times a coroutine that was never awaited, at `shop/orders/app.py:37`; an HTTP session or its connections that were never closed, at `aiohttp/client.py:400`"
      },
      [
        {
          "count": 2,
          "href": "/findings?process=2&last=1h&finding=never_awaited:shop/orders/app.py:37",
          "level": "error",
          "location": "shop/orders/app.py:37",
          "rule": "never_awaited",
          "sentence": "2 times a coroutine that was never awaited, at `shop/orders/app.py:37`",
          "weight_ns": null
        },
        {
          "count": 1,
          "href": "/findings?process=2&last=1h&finding=unclosed_session:aiohttp/client.py:400",
          "level": "warning",
          "location": "aiohttp/client.py:400",
          "rule": "unclosed_session",
          "sentence": "an HTTP session or its connections that were never closed, at `aiohttp/client.py:400`",
          "weight_ns": null
        }
      ]
    ]
    "#);
    let told = told(&server, "/api/v1/processes/2/findings").await;
    assert!(
        told.iter().any(|it| it.contains("shop/orders/app.py:23") && it.contains("the loop")),
        "{told:?}"
    );
    // 1 ms each time at first, then 4 ms; 2 % of the time, then 10 %.
    let known = |key: &str| {
        let values = view["series"][key].as_array().unwrap().clone();
        let mut values: Vec<_> =
            values.iter().filter_map(|value| Some((value.as_f64()? * 1e4).round() / 1e4)).collect();
        values.dedup();
        values
    };
    assert_eq!(known("gil_wait"), [1e6, 4e6]);
    let shares = known("gc_share");
    assert!(shares.len() == 2 && shares[0] < 0.021 && shares[1] > 0.09, "{shares:?}");
}

#[tokio::test]
async fn advice_is_in_the_words_of_the_runtime() {
    let server = with_python().await;
    let view = server.json("/api/v1/slow?process=2").await;
    let site = &view["sites"][0];
    assert_eq!(site["location"], "shop/orders/app.py:23");
    assert!(site["advice"].as_str().unwrap().contains("await asyncio.sleep(…)"), "{site}");
    // Where a browser or a program opens the file, its whole path is needed.
    assert_eq!(site["stacks"][0]["frames"][0]["file"], "/srv/shop/orders/app.py");
    assert!(server.json("/api/v1/overview?process=1").await["series"].get("gil_wait").is_none());
}
