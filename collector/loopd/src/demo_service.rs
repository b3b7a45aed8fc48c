//! The program of a demo as a child of this process: it is part of this executable, which is started a second time
//! as `loopd demo-service PROGRAM`.
//!
//! It runs for as long as its [`Lifeline`] is held: should this process end, however that comes, it ends too.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::demo_catalogue::Program;
use crate::server::guard::Token;

/// How long the service may take to say goodbye.
pub(crate) const GOODBYE_TIME: Duration = Duration::from_secs(10);

/// The service stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Lifeline(
    #[expect(dead_code, reason = "only its end matters")] Option<ChildStdin>,
);

/// Starts the program, whose agent sends to `url`.
pub(crate) fn start(
    program: Program,
    url: &str,
    token: Option<&Token>,
) -> anyhow::Result<(Child, Lifeline)> {
    let this = std::env::current_exe().context("find this executable")?;
    let mut command = Command::new(this);
    command
        .args(["demo-service", &program.name()])
        .env("LOOPD_ENDPOINT", url)
        .env("LOOPD_ENABLED", "1")
        .env_remove("LOOPD_APP")
        // A ctrl-c in the terminal is for us, who then stop the service politely.
        .process_group(0)
        // It stops when this end is closed, however we end.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    if let Some(token) = token {
        command.env("LOOPD_TOKEN", token.text());
    }
    let mut child = command.spawn().context("start the example service")?;
    // Waiting for a child closes its standard input, which here is what tells it to stop.
    let lifeline = Lifeline(child.stdin.take());
    Ok((child, lifeline))
}

/// Waits for a service that was told to stop.
pub(crate) async fn goodbye(mut service: Child) -> anyhow::Result<ExitStatus> {
    match timeout(GOODBYE_TIME, service.wait()).await {
        Ok(status) => status.context("wait for the example service"),
        Err(_) => {
            service.kill().await.context("stop the example service")?;
            bail!("the example service did not stop within {GOODBYE_TIME:?}");
        }
    }
}
