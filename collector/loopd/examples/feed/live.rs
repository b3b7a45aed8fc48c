//! Polls that go on arriving while somebody watches.

use std::time::Duration;

use loopd_model::Span;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::random::Random;
use crate::session::{Session, ended, pack, place, poll, sealed_at, spawned};

const WORKERS: u64 = 4;
/// Lines that tasks are spawned at.
const PLACES: u64 = 64;
/// Tasks that live from the beginning; the first is polled most.
const LONG_LIVED: u64 = 1_000;
/// One poll in so many is of a new task, which ends with it.
const NEW: f64 = 0.04;
/// One poll in so many is over the threshold.
const SLOW: f64 = 2e-6;
/// Between two batches, on the wall's clock: as an agent.
const TICK: Duration = Duration::from_millis(100);

/// `rate` polls in each second of the wall's clock, in which `clock` seconds of the program's pass. The
/// last poll ends about now, so that the program's first one was as long ago as all of it lasts.
pub(crate) async fn send(
    url: &str,
    rate: u64,
    length: Duration,
    clock: f64,
) -> anyhow::Result<Value> {
    let ago = length.mul_f64(clock.max(1.0));
    let mut session = Session::begin(url, "live", "", ago, WORKERS as u32).await?;
    let polls = (rate as f64 * TICK.as_secs_f64()) as u64 / WORKERS;
    let step = TICK.mul_f64(clock).as_nanos() as u64;
    let mut load = Load::new(step as f64 / polls.max(1) as f64);
    let ticks = (length.as_nanos() / TICK.as_nanos()) as u64;
    let began_at = Instant::now();
    for tick in 1..=ticks {
        let mut batch = sealed_at(step * tick);
        if tick == 1 {
            let of = |id| place(id, &format!("src/handlers/of_{}.rs", id % 7), 10 * id as u32);
            batch.locations = (1..=PLACES).map(of).collect();
            let first = (1..=LONG_LIVED).map(|task| spawned(0, task, 1 + task % PLACES));
            batch.events = first.collect();
        }
        for worker in 0..WORKERS {
            let spans = load.spans(worker as usize, step * tick);
            for span in spans.iter().filter(|span| span.task.0 > LONG_LIVED) {
                let task = span.task.0;
                batch.events.push(spawned(
                    span.start.0.saturating_sub(300),
                    task,
                    1 + task % PLACES,
                ));
                batch.events.push(ended(span.end().0, task));
            }
            batch.segments.extend(pack(worker as u32, &spans));
        }
        session.send(batch).await?;
        tokio::time::sleep_until(began_at + TICK * tick as u32).await;
    }
    let late = began_at.elapsed().saturating_sub(length);
    session.end().await?;
    Ok(json!({
        "app": "live",
        "polls": load.made,
        "seconds": (length + late).as_secs_f64(),
        "late_seconds": late.as_secs_f64(),
    }))
}

/// Polls one after the other on each worker.
struct Load {
    random: Random,
    /// When each worker is free again.
    now: [f64; WORKERS as usize],
    /// From the beginning of one poll to that of the next, in nanoseconds.
    interval: f64,
    newest_task: u64,
    made: u64,
}

impl Load {
    fn new(interval: f64) -> Self {
        Self {
            random: Random::new(7),
            now: [0.0; WORKERS as usize],
            interval,
            newest_task: LONG_LIVED,
            made: 0,
        }
    }

    /// The polls of a worker that begin before `end`.
    fn spans(&mut self, worker: usize, end: u64) -> Vec<Span> {
        let mut spans = Vec::new();
        while self.now[worker] < end as f64 {
            let start = self.now[worker];
            let length = self.length();
            let task = if self.random.unit() < NEW {
                self.newest_task += 1;
                self.newest_task
            } else {
                1 + self.random.zipf(LONG_LIVED)
            };
            spans.push(poll(start as u64, length as u64, task));
            // What is left of the interval, which a long poll uses up.
            let idle = -(self.interval * 0.5) * self.random.unit().ln();
            self.now[worker] = (start + length + 1.0).max(start + self.interval * 0.5 + idle);
        }
        self.made += spans.len() as u64;
        spans
    }

    /// Half of the interval in the middle, and seldom milliseconds.
    fn length(&mut self) -> f64 {
        if self.random.unit() < SLOW {
            return 1e7 * (1.0 + self.random.unit());
        }
        let usual = self.interval * 0.3 * (0.6 * self.random.normal()).exp();
        usual.min(self.interval * 4.0)
    }
}
