//! loopd: with fewer layers, as it comes, and with every layer on.

use std::ops::Deref;
use std::time::{Duration, Instant};

use loopd_agent::{Agent, Config, Stats};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::job::{Job, Records, Result};
use crate::variant::Recorder;

/// How long the collector's stand-in may take to welcome us.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// What is recorded in the first tenth of a second stays in the rings until the clock is calibrated;
/// a storm fills them before that.
const CALIBRATION: Duration = Duration::from_millis(200);

fn start(job: &Job, config: Config) -> Result<Agent> {
    let agent = config.app("bench").endpoint(&job.endpoint).start()?;
    let limit = Instant::now() + CONNECT_LIMIT;
    while !loopd_agent::stats().connected && job.variant != "loopd away" {
        if Instant::now() > limit {
            return Err(format!("not connected: {}", loopd_agent::stats().last_error).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(CALIBRATION);
    Ok(agent)
}

fn build(agent: &Agent, builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
    Ok(Box::new(agent.attach("bench", builder).build()?))
}

fn finish(agent: Agent) -> Records {
    // Before the end, when all that is held is given back.
    let held = loopd_agent::stats().memory as u64;
    _ = agent.shutdown(Duration::from_secs(2));
    let Stats { produced, dropped, .. } = loopd_agent::stats();
    Records {
        produced: produced.iter().map(|(_, count)| count).sum(),
        dropped: dropped.iter().map(|(_, _, count)| count).sum(),
        held,
    }
}

/// As it comes, tasks spawned by tokio; or, as variant `loopd hooks`, without stacks.
pub(crate) struct Default(Agent);

impl Recorder for Default {
    fn start(job: &Job) -> Result<Self> {
        let config = Config::from_env().sample_stacks(job.variant != "loopd hooks");
        Ok(Self(start(job, config)?))
    }

    fn build(&self, builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
        build(&self.0, builder)
    }

    fn finish(self) -> Option<Records> {
        Some(finish(self.0))
    }
}

/// Every layer there is, tasks spawned through loopd for their wakes and outcomes.
pub(crate) struct All(Agent);

impl Recorder for All {
    fn start(job: &Job) -> Result<Self> {
        Ok(Self(start(job, Config::from_env().track_fds(true).tracing(true))?))
    }

    fn build(&self, builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
        build(&self.0, builder)
    }

    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        loopd_agent::spawn(future)
    }

    fn finish(self) -> Option<Records> {
        Some(finish(self.0))
    }
}
