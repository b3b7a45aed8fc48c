//! Does one piece of work under one recorder and prints what it cost, as one line of JSON. Told what
//! to do by one argument, also JSON ([`job::Job`]); `cargo xtask bench agent` asks for many such
//! rounds and makes a table of them.

mod cases;
mod cpu;
mod echo;
mod gate;
mod job;
mod load;
mod memory;
#[cfg(feature = "sink")]
mod sink;
mod variant;

use job::{Job, Result, Work};
use variant::{Recorder, bare::Bare};

fn main() -> Result<()> {
    let argument = std::env::args().nth(1).ok_or("give a job: see job.rs")?;
    let job: Job = serde_json::from_str(&argument)?;
    cpu::hurry();
    if let Some(processor) = job.processor {
        cpu::pin(processor);
    }
    match job.work {
        #[cfg(feature = "sink")]
        Work::Sink => return sink::run(),
        #[cfg(feature = "tracing")]
        Work::Console => return variant::console::watch(&job.endpoint),
        Work::Load => return load::run(&job),
        _ => {}
    }
    match job.variant.as_str() {
        "bare" | "unstable" | "tracing" => run::<Bare>(&job),
        #[cfg(feature = "hooks")]
        "floor" => run::<variant::floor::Floor>(&job),
        #[cfg(feature = "loopd")]
        "loopd hooks" | "loopd" | "loopd away" => run::<variant::loopd::Default>(&job),
        #[cfg(feature = "loopd")]
        "loopd all" => run::<variant::loopd::All>(&job),
        #[cfg(feature = "hooks")]
        "dial9" => run::<variant::dial9::Dial9>(&job),
        #[cfg(feature = "hooks")]
        "tokio-metrics" => run::<variant::metrics::Metrics>(&job),
        #[cfg(feature = "tracing")]
        "console" => run::<variant::console::Console>(&job),
        other => Err(format!("this build knows no variant {other}").into()),
    }
}

fn run<R: Recorder>(job: &Job) -> Result<()> {
    let recorder = R::start(job)?;
    let mut cost = match job.work {
        Work::Memory => memory::run(&recorder, job)?,
        Work::Echo => echo::run(&recorder, job)?,
        _ => cases::run(&recorder, job)?,
    };
    cost.records = recorder.finish();
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}
