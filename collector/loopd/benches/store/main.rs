//! What loopd's store costs and answers, end to end: a real `loopd serve` fed over gRPC, reads from
//! stores of up to a hundred million polls, and a budget that is kept; beside bare SQLite and
//! Perfetto traces in the same run.
//!
//! `cargo xtask bench store` runs it; `--help` there lists the flags.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its results")]
#![expect(clippy::unwrap_used, reason = "a bench that fails has nothing to say")]

mod bare;
mod client;
mod cpu;
mod ingest;
mod lives;
mod load;
mod perfetto;
mod random;
mod reads;
mod retention;
mod rows;
mod served;
mod stores;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use rows::Output;
use stores::Polled;

#[derive(Parser)]
struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Little of everything, which only shows that it works
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
    /// Sizes of the stores that are read
    #[arg(long, value_delimiter = ',')]
    polls: Option<Vec<Polled>>,
    /// Where stores are written, and looked for
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the stores that are read in --dir for the next run
    #[arg(long, requires = "dir")]
    keep: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

const INGEST: ingest::Size = ingest::Size {
    rounds: 3,
    poll_batches: 600,
    event_batches: 240,
    bare_batches: 40,
    bare_event_batches: 60,
};
const QUICK_INGEST: ingest::Size = ingest::Size {
    rounds: 1,
    poll_batches: 60,
    event_batches: 24,
    bare_batches: 8,
    bare_event_batches: 12,
};
const RETENTION: retention::Size =
    retention::Size { budget: 2_048, hold: Duration::from_secs(120) };
const QUICK_RETENTION: retention::Size =
    retention::Size { budget: 64, hold: Duration::from_secs(10) };

fn main() {
    let args = Args::parse();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).unwrap();
    }
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.unwrap();
    let stores = args.dir.clone().filter(|_| args.keep);
    let stores = stores.unwrap_or_else(|| scratch.path().to_owned());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let out = Output::new(args.json, args.case);
    let size = if args.quick { QUICK_INGEST } else { INGEST };
    if out.wants("ingest-polls") || out.wants("ingest-bytes") {
        ingest::polls(&out, &size, scratch.path(), &runtime);
    }
    if out.wants("ingest-lifecycle") || out.wants("ingest-bytes") {
        ingest::lifecycle(&out, &size, scratch.path(), &runtime);
    }
    let (few, many) = (vec![Polled(1_000_000)], [1, 10, 100].map(|n| Polled(n * 1_000_000)));
    let sizes = args.polls.unwrap_or(if args.quick { few } else { many.into() });
    reads::run(&out, &sizes, &stores, scratch.path(), &runtime);
    if out.wants("retention") {
        let size = if args.quick { QUICK_RETENTION } else { RETENTION };
        retention::run(&out, &size, scratch.path(), &runtime);
    }
}
