//! An axum server that answers what it is sent, on one processor with all its threads, while a load
//! generator on the other keeps all its connections busy.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use axum::{Router, routing::post};

use crate::cases::builder;
use crate::cpu::Reading;
use crate::job::{Cost, Job, Result};
use crate::variant::Recorder;

/// The processor of the load generator.
const LOAD_PROCESSOR: usize = 1;

pub(crate) fn run<R: Recorder>(recorder: &R, job: &Job) -> Result<Cost> {
    let runtime = recorder.build(builder(job.workers))?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/", post(async |body: String| body));
    let serving = async move { axum::serve(listener, router).await };
    let _guard = runtime.enter();
    drop(R::spawn(serving));

    let load = serde_json::json!({
        "work": "load",
        "endpoint": address.to_string(),
        "bursts": job.bursts,
        "processor": LOAD_PROCESSOR,
    });
    let mut load =
        Command::new(&job.loader).arg(load.to_string()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(load.stdout.take().ok_or("no output")?).lines();
    // It says when it has warmed up, and how many requests were answered when its time is over.
    lines.next().ok_or("the load generator ended")??;
    let before = Reading::now();
    let requests = lines.next().ok_or("the load generator ended")??;
    let cost = before.cost(requests.parse()?);
    load.wait()?;
    Ok(cost)
}
