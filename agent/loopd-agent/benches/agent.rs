//! What recording costs a tokio program: the same work bare, with hooks that do nothing, and
//! recorded and streamed to a collector in the same process. Rounds are interleaved, since hooks
//! belong to a runtime and all variants fit in one process.
//!
//! Counted is the processor time of the threads that run tasks; `agent thread` is the exporter's
//! for the same work, which runs beside them. A storm like this leaves the exporter no core of its
//! own on a small machine: some records are then refused by full rings, which costs less than
//! writing them, and the last line says how many. Mind that when reading a row. `--json` prints one object per row.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::unwrap_used, reason = "a surprise ends the benchmark")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use loopd_agent::{Agent, Config};
use loopd_wire::pb;
use loopd_wire::pb::ingest_server::{Ingest, IngestServer};
use tokio::runtime::Builder;
use tonic::{Request, Response, Status, Streaming};

const ROUNDS: usize = 7;
const TASKS: usize = 64;
const YIELDS: usize = 20_000;
const SPAWNS: usize = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Bare,
    EmptyHooks,
    Loopd,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Bare, Self::EmptyHooks, Self::Loopd];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::EmptyHooks => "empty hooks",
            Self::Loopd => "loopd",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    workers: usize,
    spawns: bool,
}

const CASES: [Case; 4] = [
    Case { name: "poll/current_thread", workers: 0, spawns: false },
    Case { name: "poll/multi_thread(2)", workers: 2, spawns: false },
    Case { name: "spawn/current_thread", workers: 0, spawns: true },
    Case { name: "spawn/multi_thread(2)", workers: 2, spawns: true },
];

/// Nanoseconds per operation: on the threads that run tasks, and on the exporter's.
struct Cost {
    tasks: f64,
    exporter: f64,
}

fn measure(agent: &Agent, case: Case, variant: Variant) -> Cost {
    let mut builder = match case.workers {
        0 => Builder::new_current_thread(),
        workers => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.enable_all();
    let threads = Arc::new(Mutex::new(vec![this_thread()]));
    let started = threads.clone();
    let note_thread = move || started.lock().unwrap().push(this_thread());
    let runtime: Box<dyn std::ops::Deref<Target = tokio::runtime::Runtime>> = match variant {
        Variant::Bare => Box::new(Arc::new(builder.on_thread_start(note_thread).build().unwrap())),
        Variant::EmptyHooks => {
            #[cfg(tokio_unstable)]
            builder
                .on_task_spawn(|meta| _ = std::hint::black_box(meta))
                .on_task_terminate(|meta| _ = std::hint::black_box(meta))
                .on_before_task_poll(|meta| _ = std::hint::black_box(meta))
                .on_after_task_poll(|meta| _ = std::hint::black_box(meta));
            Box::new(Arc::new(builder.on_thread_start(note_thread).build().unwrap()))
        }
        Variant::Loopd => {
            let attached = agent.attach("bench", builder).on_thread_start(note_thread);
            Box::new(attached.build().unwrap())
        }
    };
    let cpu = |threads: &Mutex<Vec<u64>>| -> f64 {
        threads.lock().unwrap().iter().map(|&thread| cpu_nanos(thread)).sum()
    };
    let exporter = thread_named("loopd-export");
    // Threads start and rings are made before the clock runs.
    runtime.block_on(work(Case { spawns: false, ..case }, 100));
    let before = (cpu(&threads), cpu_nanos(exporter));
    let operations = runtime.block_on(work(case, if case.spawns { SPAWNS } else { YIELDS }));
    let after = (cpu(&threads), cpu_nanos(exporter));
    let per = |nanos: f64| nanos / operations as f64;
    Cost { tasks: per(after.0 - before.0), exporter: per(after.1 - before.1) }
}

async fn work(case: Case, times: usize) -> usize {
    if case.spawns {
        // From inside a task, in small groups, so that the queue stays short.
        let spawner = tokio::spawn(async move {
            for _ in 0..times / TASKS {
                let group: Vec<_> = (0..TASKS).map(|_| tokio::spawn(async {})).collect();
                for task in group {
                    task.await.unwrap();
                }
            }
        });
        spawner.await.unwrap();
        return times;
    }
    let yields = move || async move {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(yields())).collect();
    for task in tasks {
        task.await.unwrap();
    }
    TASKS * times
}

fn main() {
    // Cargo passes --bench; --test asks for a quick run that only shows that it works.
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let (is_json, rounds) = (has("--json"), if has("--test") { 1 } else { ROUNDS });
    let agent = Config::from_env()
        .app("bench")
        .endpoint(sink())
        .slow_threshold(Duration::from_secs(1))
        .start()
        .unwrap();
    if !is_json {
        println!(
            "{:<22} {:<12} {:>8} {:>8} {:>8} {:>10} {:>6} {:>13}",
            "case", "variant", "median", "min", "max", "over bare", "ratio", "agent thread"
        );
    }
    for case in CASES {
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for _ in 0..rounds {
            for (variant, costs) in Variant::ALL.into_iter().zip(&mut costs) {
                costs.push(measure(&agent, case, variant));
            }
        }
        let bare = median(costs[0].iter().map(|cost| cost.tasks));
        for (variant, costs) in Variant::ALL.into_iter().zip(&costs) {
            let middle = median(costs.iter().map(|cost| cost.tasks));
            let min = costs.iter().map(|cost| cost.tasks).fold(f64::MAX, f64::min);
            let max = costs.iter().map(|cost| cost.tasks).fold(0.0, f64::max);
            let (over, ratio) = (middle - bare, middle / bare);
            let exporter = median(costs.iter().map(|cost| cost.exporter));
            if is_json {
                println!(
                    r#"{{"bench":"agent","case":"{}","variant":"{}","unit":"ns","median":{middle:.1},"min":{min:.1},"max":{max:.1},"over_bare":{over:.1},"ratio":{ratio:.2},"agent_thread":{exporter:.1}}}"#,
                    case.name,
                    variant.name(),
                );
            } else {
                println!(
                    "{:<22} {:<12} {middle:>8.1} {min:>8.1} {max:>8.1} {over:>+10.1} {ratio:>6.2} {exporter:>13.1}",
                    case.name,
                    variant.name()
                );
            }
        }
    }
    let _ = agent.shutdown(Duration::from_secs(5));
    if !is_json {
        let stats = loopd_agent::stats();
        println!(
            "produced {:?}\ndropped {:?}\nmemory {}",
            stats.produced, stats.dropped, stats.memory
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn this_thread() -> u64 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// The thread with this name, which it gives itself after it has started.
fn thread_named(name: &str) -> u64 {
    let is_it = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default().trim() == name
    };
    loop {
        let mut threads = std::fs::read_dir("/proc/self/task").unwrap();
        if let Some(thread) = threads.find_map(|thread| thread.ok().filter(is_it)) {
            return thread.file_name().to_str().unwrap().parse().unwrap();
        }
        std::thread::yield_now();
    }
}

/// Processor time of a thread of this process so far.
fn cpu_nanos(thread: u64) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // How Linux names the clock of a thread: its id inverted, shifted, and two flags.
    let clock = (!(thread as libc::clockid_t) << 3) | 6;
    // SAFETY: `time` is valid for writes; a thread that is gone is an error.
    #[expect(unsafe_code, reason = "calls clock_gettime")]
    let code = unsafe { libc::clock_gettime(clock, &mut time) };
    if code == 0 { time.tv_sec as f64 * 1e9 + time.tv_nsec as f64 } else { 0.0 }
}

/// A collector that acknowledges and forgets; its endpoint.
fn sink() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let service = IngestServer::new(Sink).max_decoding_message_size(4 << 20);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
    endpoint
}

struct Sink;

type Answers = Pin<Box<dyn Stream<Item = Result<pb::CollectorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Ingest for Sink {
    type StreamStream = Answers;

    async fn stream(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Answers>, Status> {
        use pb::agent_message::Kind as Asked;
        use pb::collector_message::Kind;
        let answers = request.into_inner().filter_map(|message| async move {
            let kind = match message.ok()?.kind? {
                Asked::Hello(_) => {
                    Kind::Welcome(pb::Welcome { protocol: 1, ..pb::Welcome::default() })
                }
                Asked::Batch(batch) => Kind::Ack(pb::Ack { durable_seq: batch.seq }),
                Asked::Goodbye(_) => return None,
            };
            Some(Ok(pb::CollectorMessage { kind: Some(kind) }))
        });
        Ok(Response::new(answers.boxed()))
    }
}
