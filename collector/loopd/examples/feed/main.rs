//! Recordings that nobody could wait for, sent to a running collector as an agent sends them: a day of a
//! quiet program, a hundred thousand tasks with names, two versions of one program, and a million polls
//! a second on a clock that may run faster than the wall's.
//!
//! The browser's journeys and the benchmark of the dashboard use it. What somebody has to know to look
//! for it is printed at the end, as one JSON object.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod day;
mod live;
#[path = "../../benches/store/random.rs"]
mod random;
mod session;
mod tasks;
mod versions;

use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::Value;

#[derive(Parser)]
#[command(name = "feed", about = "Sends made-up recordings to a collector")]
struct Cli {
    /// Where `loopd serve` listens, as in http://127.0.0.1:7411
    url: String,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// 24 hours of a program that does a little every second, and once something that takes 40 µs
    Day,
    /// Tasks that each have a name
    Tasks {
        /// How many
        #[arg(long, default_value_t = 120_000)]
        count: u64,
    },
    /// One minute of one version of a program; the later one takes longer at one place
    Version {
        /// 1 or 2
        version: u64,
    },
    /// Polls that go on arriving, up to now in the end
    Live {
        /// Polls a second of the wall's clock
        #[arg(long, default_value_t = 1_000_000)]
        rate: u64,
        /// For how long
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        seconds: u64,
        /// Seconds of the program's clock to each second of the wall's
        #[arg(long, default_value_t = 1.0)]
        clock: f64,
    },
}

// Two threads, so that the stream is served while a batch is made.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let told: Value = match cli.what {
        What::Day => day::send(&cli.url).await?,
        What::Tasks { count } => tasks::send(&cli.url, count).await?,
        What::Version { version } => versions::send(&cli.url, version).await?,
        What::Live { rate, seconds, clock } => {
            live::send(&cli.url, rate, Duration::from_secs(seconds), clock).await?
        }
    };
    println!("{told}");
    Ok(())
}
