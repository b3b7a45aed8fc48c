//! The stacks of slow polls with the time they stand for, as the API gives them.

use loopd_model::{Anchor, Batch, Nanos, RecordKind, Running, UnixNanos};
use serde_json::{Value, json};

use crate::recording::{self, LIFE, MS, SECOND, START};
use crate::server::{Server, text};

fn after_ms(ms: u64) -> i64 {
    START + (ms * MS) as i64
}

fn weights(view: &Value) -> Vec<u64> {
    view["samples"].as_array().unwrap().iter().map(|it| it["weight"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn every_sample_has_its_part_of_its_poll_and_its_stack_once() {
    let server = Server::start().await;
    let view = server.json("/api/v1/stacks?process=1").await;
    assert_eq!((&view["process"], &view["polls"]), (&1.into(), &3.into()));
    // The poll of 800 ms has no stack.
    assert_eq!((&view["polls_without"], &view["time_without"]), (&1.into(), &(800 * MS).into()));
    assert_eq!((&view["weight"], &view["more"]), (&(550 * MS).into(), &Value::Null));
    let stacks = view["stacks"].as_array().unwrap();
    let functions = |stack: &Value| {
        let frames = stack.as_array().unwrap().iter();
        frames.map(|frame| (frame["function"].clone(), frame["own"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(stacks.len(), 1);
    assert_eq!(
        functions(&stacks[0]),
        [
            (json!("sha2::compress"), json!(false)),
            (json!("orders::report::build"), json!(true)),
            (json!("tokio::runtime::task::raw::poll"), json!(false)),
        ]
    );
    assert_eq!(weights(&view), [150 * MS, 100 * MS, 300 * MS]);
    assert_eq!(
        view["samples"][1],
        json!({
            "at": after_ms(1_200).to_string(), "poll_start_at": after_ms(1_000).to_string(),
            "task": "10", "loop": "1", "worker": 0, "weight": 100 * MS, "on_cpu": true, "stack": 0,
        })
    );
}

#[tokio::test]
async fn a_sample_is_in_the_range_it_was_taken_in_with_all_of_its_weight() {
    let server = Server::start().await;
    let ask = async |from: u64, to: u64| {
        let (from, to) = (after_ms(from), after_ms(to));
        server.json(&format!("/api/v1/stacks?process=1&from={from}&to={to}")).await
    };
    assert_eq!(weights(&ask(0, 1_150).await), [150 * MS]);
    assert_eq!(weights(&ask(1_150, 2_100).await), [100 * MS]);
    assert_eq!(weights(&ask(2_100, 3_000).await), [300 * MS]);
    let none = ask(4_000, 5_000).await;
    assert_eq!((&none["polls"], &none["samples"]), (&0.into(), &json!([])));
}

#[tokio::test]
async fn a_site_and_a_task_are_asked_for_by_themselves() {
    let server = Server::start().await;
    let ask = async |what: &str| server.json(&format!("/api/v1/stacks?process=1&{what}")).await;
    let site = ask("location=orders/src/report.rs:41").await;
    assert_eq!((&site["polls"], weights(&site).len()), (&2.into(), 3));
    let spawned = ask("location=orders/src/report.rs:30").await;
    assert_eq!((&spawned["polls_without"], weights(&spawned).len()), (&1.into(), 0));
    assert_eq!(ask("task=10").await["polls"], 3);
    assert_eq!(ask("task=11").await["polls"], 0);
    assert_eq!(ask("location=nowhere").await["polls"], 0);

    for (wrong, sentence) in [
        ("from=20&to=10", "`from` (20) must be before `to` (10)"),
        ("task=ten", "`task` must be a whole number"),
        ("limit=5", "there is no parameter `limit` here"),
    ] {
        let answer = text(server.get(&format!("/api/v1/stacks?{wrong}")).await).await;
        assert!(answer.contains(sentence), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_known_of_a_thread_is_null_and_python_has_stacks_too() {
    let server = Server::start().await;
    let process = recording::add_python(&mut *server.writer.lock().await).await.0;
    let view = server.json(&format!("/api/v1/stacks?process={process}")).await;
    assert_eq!(weights(&view), [150 * MS]);
    assert_eq!(view["samples"][0]["on_cpu"], false);
    assert_eq!(view["stacks"][0][0]["own"], true);

    let process = add_many(&server, 3, Running::Unknown).await;
    let view = server.json(&format!("/api/v1/stacks?process={process}")).await;
    assert_eq!(view["samples"][0]["on_cpu"], Value::Null);
}

#[tokio::test]
async fn what_is_left_out_is_said() {
    let server = Server::start().await;
    let process = add_many(&server, 21_000, Running::OnCpu).await;
    let view = server.json(&format!("/api/v1/stacks?process={process}")).await;
    assert_eq!((weights(&view).len(), &view["more"]), (20_000, &true.into()));
    assert_eq!(view["stacks"].as_array().unwrap().len(), 1);
}

/// Adds a program of one poll of a hundred seconds in which so many stacks were taken.
async fn add_many(server: &Server, samples: u64, running: Running) -> i64 {
    let mut process = recording::process(running as u8 + 20, "sampled");
    process.anchor.unix = UnixNanos(START + 20 * LIFE as i64);
    let anchor = Anchor { at: Nanos(LIFE), unix: process.anchor.unix.at(Nanos(LIFE)) };
    let mut batch = Batch { seq: 1, anchor, stacks: vec![recording::stack()], ..Batch::default() };
    batch.events = vec![recording::opened()];
    let gap = 100 * SECOND / (samples + 1);
    batch.events.extend((1..=samples).map(|i| {
        let mut event = recording::sample(0, 1_000, running);
        event.at = Nanos(SECOND + i * gap);
        event
    }));
    let poll = recording::poll(1_000, 100_000_000, 10);
    batch.segments = vec![recording::segment(0, RecordKind::Poll, &[poll])];
    batch.ledger = recording::ledger(&batch);
    recording::store(&mut *server.writer.lock().await, &process, batch).await.0
}
