//! Very many tasks, each with a name.

use std::time::Duration;

use loopd_model::{Event, EventKind, Name, NameId, Nanos, TaskId};
use serde_json::{Value, json};

use crate::session::{SECOND, Session, ended, pack, place, poll, sealed_at, spawned};

/// Tasks of one batch: an agent sends no more than 16,384 names at once.
const PER_BATCH: u64 = 4_000;
/// From one spawn to the next.
const INTERVAL: u64 = SECOND / 2_000;
/// One in so many is still there at the end.
const ALIVE: u64 = 10;
/// Lines that they are spawned at.
const PLACES: u64 = 5;

/// Tasks called `order-000001` and so on; most of them end a little after they began.
pub(crate) async fn send(url: &str, count: u64) -> anyhow::Result<Value> {
    let length = count * INTERVAL;
    let ago = Duration::from_nanos(length) + Duration::from_secs(1);
    let mut session = Session::begin(url, "backlog", "", ago, 1).await?;
    for first in (1..=count).step_by(PER_BATCH as usize) {
        let tasks = first..(first + PER_BATCH).min(count + 1);
        let mut batch = sealed_at(tasks.end * INTERVAL);
        if first == 1 {
            let of = |id| place(id, &format!("src/orders_{id}.rs"), 10 * id as u32);
            batch.locations = (1..=PLACES).map(of).collect();
        }
        let mut spans = Vec::new();
        for task in tasks {
            let at = task * INTERVAL;
            let named = EventKind::TaskNamed { task: TaskId(task), name: NameId(task) };
            batch.names.push(Name { id: NameId(task), text: name(task) });
            batch.events.push(spawned(at, task, 1 + task % PLACES));
            batch.events.push(Event { at: Nanos(at), kind: named });
            spans.push(poll(at + 1_000, 5_000, task));
            if !task.is_multiple_of(ALIVE) {
                batch.events.push(ended(at + 6_000, task));
            }
        }
        batch.segments.extend(pack(0, &spans));
        session.send(batch).await?;
    }
    session.end().await?;
    let wanted = count * 7 / 9;
    Ok(json!({
        "app": "backlog",
        "tasks": count,
        "alive": count / ALIVE,
        "name": name(wanted),
        "task": wanted.to_string(),
        "location": format!("src/orders_{0}.rs:{0}0", 1 + wanted % PLACES),
    }))
}

fn name(task: u64) -> String {
    format!("order-{task:06}")
}
