//! What a callback costs on loopd's `EventLoop`, bare and recorded, beside tokio's `LocalSet`, asyncio and
//! uvloop: processes that live as long as a case does short batches of it in turns
//! (`agent/loopd-agent/benches/event_loop.rs` and `.py`). What is recorded goes to a `loopd serve`, whose
//! database is asked what became of it.

mod peer;
mod table;

use std::time::Duration;

use anyhow::Context;

use crate::bench::Args;
use crate::bench::event_loop::peer::{Peer, Programs};
use crate::bench::event_loop::table::Table;
use crate::bench::python::collector::Collector;

/// Something that a loop does.
struct Case {
    title: &'static str,
    /// As in the programs.
    name: &'static str,
    /// In a batch: what is recorded of it fits into the ring, and the slowest peer takes some hundredths of a
    /// second.
    operations: usize,
    /// How many times faster than uvloop it is to be while it is recorded.
    budget: Option<f64>,
}

const fn case(
    title: &'static str,
    name: &'static str,
    operations: usize,
    budget: Option<f64>,
) -> Case {
    Case { title, name, operations, budget }
}

const CASES: [Case; 6] = [
    case("call_soon, 1000 a turn", "call_soon", 16_000, Some(5.0)),
    case("call_soon, a turn each", "call_soon_chain", 16_000, Some(5.0)),
    case("task switch", "switch", 16_000, Some(5.0)),
    case("create_task and its end", "spawn", 4_000, None),
    case("call_later, 1 ms", "call_later", 4_000, None),
    case("call_soon_threadsafe", "call_soon_threadsafe", 8_000, None),
];

const ROUNDS: usize = 100;
const QUICK_ROUNDS: usize = 5;
/// Batches before the first that counts.
const WARM_UP: usize = 3;
/// After a recorded batch, while its records are sent.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let cases: Vec<_> = CASES.iter().filter(|case| case.title.contains(&args.case)).collect();
    anyhow::ensure!(!cases.is_empty(), "no case has {:?} in its name", args.case);
    let programs = Programs::prepare()?;
    let mut collector = Collector::start()?;
    let rounds = if args.quick { QUICK_ROUNDS } else { ROUNDS };
    for case in cases {
        eprintln!("{}", case.title);
        let mut peers = programs.start(&mut collector)?;
        measure(case, &mut peers, rounds).context(case.title)?;
        let mut table = Table::new(case, programs.absent());
        for peer in peers {
            let end = peer.end()?;
            let account = if end.is_recorded { Some(collector.account()?) } else { None };
            table.push(end, account);
        }
        table.print(args.json);
    }
    Ok(())
}

/// A batch of each in turn, and each round begins with another one.
fn measure(case: &Case, peers: &mut [Peer], rounds: usize) -> anyhow::Result<()> {
    for round in 0..WARM_UP + rounds {
        for i in 0..peers.len() {
            let peer = &mut peers[(i + round) % peers.len()];
            peer.batch(case.name, case.operations, round >= WARM_UP)?;
            if peer.is_recorded {
                std::thread::sleep(PAUSE);
            }
        }
    }
    Ok(())
}
