//! What each route answers for one known recording, key by key.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::recording::{SCRIPT, SECOND, START};
use super::server::Server;

/// The instant so many nanoseconds after the start, as it stands in JSON.
fn at(nanos: u64) -> String {
    (START + i64::try_from(nanos).unwrap()).to_string()
}

#[tokio::test]
async fn processes() {
    let server = Server::start().await;
    assert_json_snapshot!(server.json("/api/v1/processes").await, @r#"
    {
      "processes": [
        {
          "agent": "loopd-agent",
          "agent_version": "0.1.0",
          "app": "orders",
          "app_version": "1.2.3",
          "capture": "records",
          "coverage": [
            {
              "layer": "hooks",
              "reason": "",
              "state": "on"
            },
            {
              "layer": "watchdog",
              "reason": "",
              "state": "on"
            }
          ],
          "ended_at": "1795356600000000000",
          "host": "box",
          "id": "07070707070707070707070707070707",
          "labels": {
            "zone": "b"
          },
          "last_at": "1795356600000000000",
          "loops": [
            {
              "closed_at": null,
              "flavor": "tokio multi_thread",
              "loop": "1",
              "name": "main",
              "opened_at": "1795356000000000000",
              "workers": 2
            }
          ],
          "lost": 0,
          "open_resources": 1,
          "pid": 4242,
          "polls": 223,
          "process": 1,
          "runtime": "tokio",
          "slow_polls": 3,
          "slow_threshold": 100000000,
          "started_at": "1795356000000000000",
          "state": "ended",
          "tasks_alive": 121,
          "tasks_spawned": 123
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn status() {
    let server = Server::start().await;
    let mut status = server.json("/api/v1/status").await;
    // What differs from run to run.
    assert!(status["now"].as_str().unwrap().parse::<i64>().unwrap() > 0);
    assert!(status["store"]["path"].as_str().unwrap().ends_with("/loopd.db"));
    assert_eq!(status["store"]["epoch"].as_str().unwrap().len(), 32);
    status["now"] = Value::Null;
    for key in ["path", "epoch", "bytes", "schema"] {
        status["store"][key] = Value::Null;
    }
    assert_json_snapshot!(status, @r#"
    {
      "batches": 1,
      "disconnected": 0,
      "events": 140,
      "now": null,
      "polls": 223,
      "ready": true,
      "reason": null,
      "refused": 0,
      "sessions": 1,
      "started_at": "1795356000000000000",
      "store": {
        "bytes": null,
        "epoch": null,
        "oldest_at": "1795356000999000000",
        "path": null,
        "retain_age_ns": null,
        "retain_bytes": 1073741824,
        "schema": null
      },
      "version": "0.1.0"
    }
    "#);
}

#[tokio::test]
async fn one_task_of_a_page() {
    let server = Server::start().await;
    let path = "/api/v1/tasks?process=1&sort=busy_time&desc=1&limit=1";
    assert_json_snapshot!(server.json(path).await, @r#"
    {
      "offset": 0,
      "rows": [
        {
          "busy_time": 1350000000,
          "ended_at": null,
          "fields": {},
          "kind": "async",
          "last_waker": "10",
          "lifetime": 600000000000,
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "loop": "1",
          "max_poll_time": 800000000,
          "name": "reporter",
          "outcome": null,
          "parent": null,
          "polls": 3,
          "process": 1,
          "scheduled_time": 2000000,
          "self_wakes": 2,
          "slow_polls": 3,
          "spawned_at": "1795356000000000000",
          "state": "alive",
          "task": "10",
          "unwakeable_at": null,
          "wakes": 3
        }
      ],
      "searched_from": null,
      "total": 123
    }
    "#);
}

#[tokio::test]
async fn tasks_are_filtered_and_paged() {
    let server = Server::start().await;
    let tasks = async |query: &str| {
        let page = server.json(&format!("/api/v1/tasks?{query}")).await;
        let rows = page["rows"].as_array().unwrap().clone();
        let ids: Vec<_> = rows.iter().map(|row| row["task"].as_str().unwrap().to_owned()).collect();
        (page["total"].as_u64().unwrap(), ids)
    };
    assert_eq!(tasks("state=ended&sort=task").await, (2, vec!["30".into(), "31".into()]));
    assert_eq!(tasks("state=alive&limit=1&sort=task").await, (121, vec!["10".into()]));
    assert_eq!(tasks("q=reporter").await, (1, vec!["10".into()]));
    assert_eq!(
        tasks("q=orders/src/leak.rs:12&sort=task&limit=1").await,
        (120, vec!["1000".into()])
    );
    let page = "q=leak.rs&sort=task&desc=1&offset=1&limit=2";
    assert_eq!(tasks(page).await, (120, vec!["1118".into(), "1117".into()]));

    let row = &server.json("/api/v1/tasks?q=10&limit=1&sort=task").await["rows"][0];
    let location = row["location"]["id"].as_str().unwrap();
    let (total, _) = tasks(&format!("process=1&location={location}")).await;
    assert_eq!(total, 1);
}

#[tokio::test]
async fn a_hostile_name_stays_text() {
    let server = Server::start().await;
    let page = server.json("/api/v1/tasks?q=31&limit=1").await;
    assert_eq!(page["rows"][0]["name"], SCRIPT);
}

#[tokio::test]
async fn one_task() {
    let server = Server::start().await;
    let mut view = server.json("/api/v1/tasks/1/10").await;
    // Their own tests show tasks and slow polls.
    assert_eq!(view["task"]["name"], "reporter");
    assert_eq!(view["slow"].as_array().unwrap().len(), 3);
    view["task"] = Value::Null;
    view["slow"] = Value::Null;
    assert_json_snapshot!(view, @r#"
    {
      "app_spans": [],
      "children": 0,
      "holds": [],
      "location_stats": {
        "busy_time": 1350000000,
        "p50": 297795584,
        "p99": 796917760,
        "polls": 3,
        "tasks": 1
      },
      "marks": [],
      "past_waits": [],
      "poll_histogram": [
        {
          "count": 1,
          "le_ns": 268435456
        },
        {
          "count": 1,
          "le_ns": 536870912
        },
        {
          "count": 1,
          "le_ns": 1073741824
        }
      ],
      "polls": [
        {
          "length": 250000000,
          "loop": "1",
          "start_at": "1795356001000000000",
          "worker": 0
        },
        {
          "length": 300000000,
          "loop": "1",
          "start_at": "1795356002000000000",
          "worker": 0
        },
        {
          "length": 800000000,
          "loop": "1",
          "start_at": "1795356599000000000",
          "worker": 0
        }
      ],
      "polls_complete": true,
      "resources": [
        {
          "closed_at": "1795356005000000000",
          "how": "unclosed",
          "kind": "socket",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "name": "10.0.0.1:443",
          "opened_at": "1795356004000000000",
          "resource": "3",
          "state": null,
          "task": "10"
        },
        {
          "closed_at": "1795356003000000000",
          "how": "closed",
          "kind": "file",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "name": "/tmp/closed",
          "opened_at": "1795356002000000000",
          "resource": "2",
          "state": null,
          "task": "10"
        },
        {
          "closed_at": null,
          "how": null,
          "kind": "file",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "name": "/var/orders.csv",
          "opened_at": "1795356001000000000",
          "resource": "1",
          "state": null,
          "task": "10"
        }
      ],
      "slow": null,
      "slowest": [
        {
          "length": 800000000,
          "loop": "1",
          "start_at": "1795356599000000000",
          "worker": 0
        },
        {
          "length": 300000000,
          "loop": "1",
          "start_at": "1795356002000000000",
          "worker": 0
        },
        {
          "length": 250000000,
          "loop": "1",
          "start_at": "1795356001000000000",
          "worker": 0
        }
      ],
      "task": null,
      "waits": [],
      "wakes": [
        {
          "at": "1795356000999000000",
          "by": "30",
          "count": 1,
          "delay": 1000000
        },
        {
          "at": "1795356001999000000",
          "by": "10",
          "count": 2,
          "delay": 1000000
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn slow() {
    let server = Server::start().await;
    let mut view = server.json("/api/v1/slow?process=1&limit=1").await;
    for site in view["sites"].as_array_mut().unwrap() {
        assert!(!site["advice"].as_str().unwrap().is_empty());
        site["advice"] = Value::Null;
        site["examples"].as_array_mut().unwrap().truncate(1);
    }
    assert_json_snapshot!(view, @r#"
    {
      "grouped": 3,
      "polls": 3,
      "recent": [
        {
          "length": 800000000,
          "length_so_far": 800000000,
          "loop": "1",
          "running": null,
          "samples": 0,
          "spawn_location": "orders/src/report.rs:30",
          "stack": null,
          "start_at": "1795356599000000000",
          "syscall": null,
          "task": "10",
          "worker": 0
        }
      ],
      "sites": [
        {
          "advice": null,
          "by": "spawn_location",
          "doing": null,
          "examples": [
            {
              "length": 800000000,
              "length_so_far": 800000000,
              "loop": "1",
              "running": null,
              "samples": 0,
              "spawn_location": "orders/src/report.rs:30",
              "stack": null,
              "start_at": "1795356599000000000",
              "syscall": null,
              "task": "10",
              "worker": 0
            }
          ],
          "found_so": 0,
          "function": "",
          "leaf": "",
          "location": "orders/src/report.rs:30",
          "max": 800000000,
          "off_cpu": 0,
          "on_cpu": 0,
          "p50": 800000000,
          "polls": 1,
          "stacks": [],
          "syscall": null,
          "total_time": 800000000
        },
        {
          "advice": null,
          "by": "stack",
          "doing": "computing",
          "examples": [
            {
              "length": 300000000,
              "length_so_far": 300000000,
              "loop": "1",
              "running": "on_cpu",
              "samples": 1,
              "spawn_location": "orders/src/report.rs:30",
              "stack": [
                {
                  "file": "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sha2-0.10.8/src/sha256.rs",
                  "function": "sha2::compress",
                  "line": 80,
                  "own": false
                },
                {
                  "file": "orders/src/report.rs",
                  "function": "orders::report::build",
                  "line": 41,
                  "own": true
                },
                {
                  "file": "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/raw.rs",
                  "function": "tokio::runtime::task::raw::poll",
                  "line": 7,
                  "own": false
                }
              ],
              "start_at": "1795356002000000000",
              "syscall": "futex",
              "task": "10",
              "worker": 0
            }
          ],
          "found_so": 3,
          "function": "orders::report::build",
          "leaf": "sha2::compress",
          "location": "orders/src/report.rs:41",
          "max": 300000000,
          "off_cpu": 0,
          "on_cpu": 3,
          "p50": 250000000,
          "polls": 2,
          "stacks": [
            {
              "count": 3,
              "frames": [
                {
                  "file": "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sha2-0.10.8/src/sha256.rs",
                  "function": "sha2::compress",
                  "line": 80,
                  "own": false
                },
                {
                  "file": "orders/src/report.rs",
                  "function": "orders::report::build",
                  "line": 41,
                  "own": true
                },
                {
                  "file": "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/raw.rs",
                  "function": "tokio::runtime::task::raw::poll",
                  "line": 7,
                  "own": false
                }
              ]
            }
          ],
          "syscall": "futex",
          "total_time": 550000000
        }
      ],
      "total_time": 1350000000
    }
    "#);
}

#[tokio::test]
async fn slow_polls_of_a_range() {
    let server = Server::start().await;
    let (from, to) = (at(1_500_000_000), at(3 * SECOND));
    let view = server.json(&format!("/api/v1/slow?from={from}&to={to}")).await;
    assert_eq!((&view["polls"], &view["total_time"]), (&json!(1), &json!(300_000_000)));
}

#[tokio::test]
async fn leaks() {
    let server = Server::start().await;
    let view = server.json("/api/v1/leaks?process=1").await;
    assert_json_snapshot!(view, @r#"
    {
      "at": "1795356600000000000",
      "caveat": null,
      "complete": true,
      "resources": [
        {
          "closed": 1,
          "counts": [
            0,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1
          ],
          "examples": [
            {
              "name": "/var/orders.csv",
              "opened_at": "1795356001000000000",
              "resource": "1",
              "task": "10"
            }
          ],
          "growth_per_min": 0.05333333333333333,
          "kind": "file",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "median_age": 599000000000,
          "oldest_age": 599000000000,
          "open": 1,
          "opened": 2,
          "unclosed": 0,
          "verdict": "steady"
        },
        {
          "closed": 1,
          "counts": [
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0
          ],
          "examples": [],
          "growth_per_min": 0.0,
          "kind": "socket",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "median_age": null,
          "oldest_age": null,
          "open": 0,
          "opened": 1,
          "unclosed": 1,
          "verdict": "settled"
        }
      ],
      "tasks": [
        {
          "alive": 120,
          "counts": [
            1,
            16,
            31,
            46,
            61,
            76,
            91,
            106,
            120
          ],
          "ended": 0,
          "examples": [
            "1000",
            "1001",
            "1002",
            "1003",
            "1004"
          ],
          "growth_per_min": 11.946666666666667,
          "location": {
            "column": 5,
            "file": "orders/src/leak.rs",
            "id": "2",
            "line": 12
          },
          "median_age": 305000000000,
          "oldest_age": 600000000000,
          "spawned": 119,
          "verdict": "growing"
        },
        {
          "alive": 1,
          "counts": [
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1
          ],
          "ended": 0,
          "examples": [
            "10"
          ],
          "growth_per_min": 0.0,
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "median_age": 600000000000,
          "oldest_age": 600000000000,
          "spawned": 0,
          "verdict": "steady"
        },
        {
          "alive": 0,
          "counts": [
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0
          ],
          "ended": 2,
          "examples": [],
          "growth_per_min": 0.0,
          "location": {
            "column": 5,
            "file": "orders/src/main.rs",
            "id": "3",
            "line": 9
          },
          "median_age": null,
          "oldest_age": null,
          "spawned": 2,
          "verdict": "settled"
        }
      ],
      "window": 600000000000
    }
    "#);
}

#[tokio::test]
async fn resources() {
    let server = Server::start().await;
    let view = server.json("/api/v1/resources?process=1&state=closed").await;
    assert_json_snapshot!(view, @r#"
    {
      "rows": [
        {
          "closed_at": "1795356005000000000",
          "how": "unclosed",
          "kind": "socket",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "name": "10.0.0.1:443",
          "opened_at": "1795356004000000000",
          "resource": "3",
          "state": null,
          "task": "10"
        },
        {
          "closed_at": "1795356003000000000",
          "how": "closed",
          "kind": "file",
          "location": {
            "column": 5,
            "file": "orders/src/report.rs",
            "id": "1",
            "line": 30
          },
          "name": "/tmp/closed",
          "opened_at": "1795356002000000000",
          "resource": "2",
          "state": null,
          "task": "10"
        }
      ],
      "total": 2
    }
    "#);
    let open = server.json("/api/v1/resources?process=1&state=open").await;
    assert_eq!(open["total"], 1);
    assert_eq!(open["rows"][0]["closed_at"], Value::Null);
}

#[tokio::test]
async fn metrics() {
    let server = Server::start().await;
    let (from, to) = (at(596 * SECOND), at(600 * SECOND));
    let path = format!("/api/v1/metrics?process=1&name=rss_bytes&from={from}&to={to}&points=4");
    assert_json_snapshot!(server.json(&path).await, @r#"
    {
      "name": "rss_bytes",
      "series": [
        {
          "loop": "0",
          "values": [
            null,
            null,
            null,
            52428800.0
          ],
          "worker": null
        }
      ],
      "step": 1000000000,
      "t0": "1795356596000000000"
    }
    "#);
}

#[tokio::test]
async fn losses() {
    let server = Server::empty().await;
    let process = super::recording::add_lossy(&mut *server.writer.lock().await).await;
    let view = server.json(&format!("/api/v1/losses?process={}", process.0)).await;
    assert_json_snapshot!(view, @r#"
    {
      "ledger": [
        {
          "dropped": 1200,
          "kind": "poll",
          "lost": 0,
          "produced": 1201,
          "stored": 1
        },
        {
          "dropped": 0,
          "kind": "task",
          "lost": 0,
          "produced": 1,
          "stored": 1
        },
        {
          "dropped": 0,
          "kind": "loop",
          "lost": 0,
          "produced": 1,
          "stored": 1
        }
      ],
      "losses": [
        {
          "cause": "ring_full",
          "count": 1200,
          "from_at": "1795359600020000000",
          "kind": "poll",
          "to_at": "1795359600090000000"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_timeline_of_few_polls_is_exact() {
    let server = Server::start().await;
    let (from, to) = (at(999_500_000), at(3_015_000_000));
    let path = format!("/api/v1/timeline?process=1&from={from}&to={to}&width=4");
    assert_json_snapshot!(server.json(&path).await, @r#"
    {
      "data_from": "1795356000000000000",
      "data_to": "1795356600000000000",
      "exact": true,
      "lanes": [
        {
          "cells": {
            "b0": [
              0,
              0,
              5000000
            ],
            "b1": [
              0,
              0,
              0
            ],
            "b2": [
              0,
              0,
              0
            ],
            "b3": [
              250000000,
              300000000,
              0
            ],
            "i": [
              0,
              1,
              2
            ],
            "max": [
              250000000,
              300000000,
              50000
            ],
            "n": [
              1,
              1,
              100
            ]
          },
          "loop": "1",
          "loop_name": "main",
          "parks": {
            "d": [],
            "s": []
          },
          "polls": {
            "d": [
              250000000,
              300000000,
              50000,
              50000
            ],
            "l": [
              "1",
              "1",
              "3",
              "3"
            ],
            "s": [
              217614848,
              1217614848,
              2217614848,
              2227614848
            ],
            "t": [
              "10",
              "10",
              "30",
              "30"
            ]
          },
          "started_at": "1795356000000000000",
          "thread_name": "tokio-0",
          "worker": 0
        },
        {
          "cells": {
            "b0": [],
            "b1": [],
            "b2": [],
            "b3": [],
            "i": [],
            "max": [],
            "n": []
          },
          "loop": "1",
          "loop_name": "main",
          "parks": {
            "d": [],
            "s": []
          },
          "polls": {
            "d": [],
            "l": [],
            "s": [],
            "t": []
          },
          "started_at": "1795356000000000000",
          "thread_name": "tokio-1",
          "worker": 1
        }
      ],
      "level": 5,
      "locations": {
        "1": "orders/src/report.rs:30",
        "3": "orders/src/main.rs:9"
      },
      "losses": [],
      "slow": [
        {
          "length": 250000000,
          "loop": "1",
          "running": false,
          "start_at": "1795356001000000000",
          "task": "10",
          "worker": 0
        },
        {
          "length": 300000000,
          "loop": "1",
          "running": false,
          "start_at": "1795356002000000000",
          "task": "10",
          "worker": 0
        }
      ],
      "step": 1073741824,
      "t0": "1795356000782385152",
      "t1": "1795356004003610624"
    }
    "#);
}

#[tokio::test]
async fn a_timeline_without_a_range_is_the_last_minute() {
    let server = Server::start().await;
    let view = server.json("/api/v1/timeline").await;
    let instant = |key: &str| view[key].as_str().unwrap().parse::<i64>().unwrap();
    let (from, to) = (START + 540_000_000_000, START + 600_000_000_000);
    let step = i64::try_from(view["step"].as_u64().unwrap()).unwrap();
    assert!(instant("t0") <= from && instant("t0") > from - step);
    assert!(instant("t1") >= to && instant("t1") < to + step);
    assert_eq!(view["slow"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn overview() {
    let server = Server::start().await;
    let mut view = server.json("/api/v1/overview?process=1").await;
    assert_eq!(view["process"]["app"], "orders");
    for key in ["polls", "busy", "tasks_alive"] {
        assert_eq!(view["series"][key].as_array().unwrap().len(), 120, "{key}");
    }
    assert_eq!(view["series"]["tasks_alive"][119], 121);
    let busy = view["series"]["busy"].as_array().unwrap().iter();
    assert!(busy.clone().all(|share| (0.0..=1.0).contains(&share.as_f64().unwrap())));
    // 0.55 s of two slow polls and a little more on two workers in the first five seconds.
    assert!((0.05..0.07).contains(&view["series"]["busy"][0].as_f64().unwrap()));
    view["process"] = Value::Null;
    view["series"] = Value::Null;
    assert_json_snapshot!(view, @r#"
    {
      "headlines": [
        {
          "count": 120,
          "href": "/findings?process=1&last=1h&finding=task_leak:orders/src/leak.rs:12",
          "level": "warning",
          "location": "orders/src/leak.rs:12",
          "rule": "task_leak",
          "sentence": "120 tasks spawned at `orders/src/leak.rs:12` never ended (+11.9 per minute)",
          "weight_ns": 36300000000000
        },
        {
          "count": 3,
          "href": "/findings?process=1&last=1h&finding=cpu_bound_poll:orders/src/report.rs:41",
          "level": "warning",
          "location": "orders/src/report.rs:41",
          "rule": "cpu_bound_poll",
          "sentence": "`orders::report::build` at `orders/src/report.rs:41` computed on a worker 3 times, for up to 800 ms",
          "weight_ns": 700000000
        },
        {
          "count": 1,
          "href": "/findings?process=1&last=1h&finding=panicked:orders/src/main.rs:9",
          "level": "warning",
          "location": "orders/src/main.rs:9",
          "rule": "panicked",
          "sentence": "a task spawned at `orders/src/main.rs:9` panicked",
          "weight_ns": null
        },
        {
          "count": 1,
          "href": "/findings?process=1&last=1h&finding=unclosed_resource:orders/src/report.rs:30%20socket",
          "level": "warning",
          "location": "orders/src/report.rs:30",
          "rule": "unclosed_resource",
          "sentence": "1 of kind `socket` opened at `orders/src/report.rs:30` was dropped unclosed",
          "weight_ns": null
        }
      ],
      "health": {
        "busy_share": 0.0066686666666666665,
        "lost": 0,
        "open_fds": 23,
        "polls_per_s": 0.21666666666666667,
        "rss_bytes": 52428800,
        "tasks_alive": 121,
        "worst_poll": 800000000
      },
      "process": null,
      "series": null,
      "verdict": {
        "level": "warn",
        "sentence": "120 tasks spawned at `orders/src/leak.rs:12` never ended (+11.9 per minute); `orders::report::build` at `orders/src/report.rs:41` computed on a worker 3 times, for up to 800 ms; a task spawned at `orders/src/main.rs:9` panicked; 1 of kind `socket` opened at `orders/src/report.rs:30` was dropped unclosed"
      },
      "worth_knowing": 1
    }
    "#);
}

#[tokio::test]
async fn what_was_lost_is_said_first() {
    let server = Server::empty().await;
    super::recording::add_lossy(&mut *server.writer.lock().await).await;
    let view = server.json("/api/v1/overview").await;
    assert_json_snapshot!(json!([view["verdict"], view["headlines"]]), @r#"
    [
      {
        "level": "incomplete",
        "sentence": "capture incomplete: 1,200 records were lost, mostly polls (a thread recorded faster than could be sent), so all counts are lower bounds"
      },
      [
        {
          "count": 1200,
          "href": "/findings?process=1&last=1h&finding=capture_incomplete:capture",
          "level": "info",
          "location": "",
          "rule": "capture_incomplete",
          "sentence": "capture incomplete: 1,200 records were lost, mostly polls (a thread recorded faster than could be sent), so all counts are lower bounds",
          "weight_ns": null
        }
      ]
    ]
    "#);
}

#[tokio::test]
async fn a_query_keeps_large_numbers_exact() {
    let server = Server::start().await;
    let sql = "select app, 1 as small, 9007199254740993 as large, null as none, x'00ff' as bytes \
               from processes";
    let (_, mut view) = server.query(&json!({ "sql": sql }).to_string()).await;
    assert!(view["elapsed_ns"].as_u64().unwrap() > 0);
    view["elapsed_ns"] = Value::Null;
    assert_json_snapshot!(view, @r#"
    {
      "columns": [
        {
          "name": "app",
          "type": "text"
        },
        {
          "name": "small",
          "type": "integer"
        },
        {
          "name": "large",
          "type": "integer"
        },
        {
          "name": "none",
          "type": "null"
        },
        {
          "name": "bytes",
          "type": "blob"
        }
      ],
      "elapsed_ns": null,
      "hints": [],
      "rows": [
        [
          "orders",
          1,
          "9007199254740993",
          null,
          "x'00ff'"
        ]
      ],
      "truncated": false
    }
    "#);
}

#[tokio::test]
async fn a_query_says_when_rows_were_left_out() {
    let server = Server::start().await;
    let body = json!({ "sql": "select task from tasks", "limit": 2 }).to_string();
    let (_, view) = server.query(&body).await;
    assert_eq!(view["rows"].as_array().map(Vec::len), Some(2), "{view}");
    assert_eq!(view["truncated"], true);
}

#[tokio::test]
async fn the_schema_names_every_view_and_column() {
    let server = Server::start().await;
    let schema = server.json("/api/v1/schema").await;
    for view in schema["views"].as_array().unwrap() {
        let columns: Vec<_> = view["columns"].as_array().unwrap().iter().collect();
        let columns: Vec<_> =
            columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
        let sql = format!(
            "select {} from {} limit 1",
            columns.join(", "),
            view["name"].as_str().unwrap()
        );
        let (status, answer) = server.query(&json!({ "sql": sql }).to_string()).await;
        assert_eq!(status, 200, "{sql}: {answer}");
    }
}
