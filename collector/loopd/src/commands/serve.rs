//! `loopd serve`: collects from agents and serves the dashboard, until told to stop.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ColorChoice, ValueEnum};
use loopd_store::Retention;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::attach::Attachment;
use crate::cli::Global;
use crate::exit::{Exit, OrExit};
use crate::paths;
use crate::server::guard::{HostName, Token};
use crate::server::{self, RunningServer, ServerConfig};
use crate::units::{self, Limit};

/// The flags of `loopd serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
tokio-console shows what is recorded, from the same port:
  tokio-console http://127.0.0.1:7411            every program
  tokio-console http://orders@127.0.0.1:7411     one, by name; http://orders:TOKEN@… where there is a token")]
pub(crate) struct ServeArgs {
    /// Address and port to listen on, for agents and browsers alike.
    #[arg(long, env = "LOOPD_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7411")]
    listen: SocketAddr,
    /// The database file [default: loopd/loopd.db in $XDG_STATE_HOME or ~/.local/state].
    #[arg(long, env = "LOOPD_DB", value_name = "PATH")]
    db: Option<PathBuf>,
    /// Remove what is older: a number and s, m, h or d, or `off`.
    #[arg(
        long, env = "LOOPD_RETAIN_AGE", value_name = "AGE", default_value = "7d",
        value_parser = units::age
    )]
    retain_age: Limit<Duration>,
    /// Remove the oldest while the database is larger: a number and a unit, or `off`.
    #[arg(
        long, env = "LOOPD_RETAIN_SIZE", value_name = "SIZE", default_value = "10GiB",
        value_parser = units::size
    )]
    retain_size: Limit<u64>,
    /// Remove the oldest of a program's run while its polls, tasks, tiles and roll-ups take more: a number
    /// and a unit, or `off`.
    #[arg(
        long, env = "LOOPD_RETAIN_PROCESS_SIZE", value_name = "SIZE", default_value = "off",
        value_parser = units::size
    )]
    retain_process_size: Limit<u64>,
    /// What an acknowledged batch survives.
    #[arg(long, env = "LOOPD_DURABILITY", value_name = "HOW", default_value = "full")]
    durability: Durability,
    /// File with the token that agents and browsers must give. LOOPD_TOKEN holds the token itself.
    #[arg(long, env = "LOOPD_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Another name that this server goes by, as HOST or HOST:PORT. Repeatable.
    #[arg(long, env = "LOOPD_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    allow_host: Vec<HostName>,
    /// Record a program that carries console-subscriber, as `loopd attach` does: http://HOST:PORT or
    /// file:///PATH, and =NAME to call it. Repeatable.
    #[arg(long, env = "LOOPD_ATTACH", value_name = "URL[=NAME]", value_delimiter = ',')]
    attach: Vec<Attachment>,
    /// How to write the log, which goes to stderr. LOOPD_LOG chooses what, as in `info` or
    /// `loopd_collector=debug`.
    #[arg(long, env = "LOOPD_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Durability {
    /// A power cut
    Full,
    /// A crash of loopd, but the last moments may be lost in a power cut
    Relaxed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs the command.
pub(crate) async fn run(args: ServeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    start_log(args.log_format, global)?;
    // Before anything is opened, so that no signal finds us unprepared.
    let mut signals = Signals::new().context("listen for signals")?;
    let mut server = tokio::select! {
        server = start(&args) => server?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    tokio::select! {
        () = signals.next() => {}
        error = server.failed() => return Err(error).or_exit(Exit::Storage),
    }
    tracing::info!("stopping, a second signal stops at once");
    tokio::select! {
        done = server.shutdown() => done?,
        () = signals.next() => return Ok(Exit::Failure.into()),
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn start(args: &ServeArgs) -> anyhow::Result<RunningServer> {
    let config = args.config()?;
    let db = config.db.clone();
    let server = server::start(config).await?;
    announce(server.addr, &db).context("print the address")?;
    tracing::info!(addr = %server.addr, db = %db.display(), "listening");
    Ok(server)
}

/// The one line on stdout. The token is not in it: output ends up in logs.
fn announce(addr: SocketAddr, db: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "loopd is on http://{addr} and records to {}", db.display());
    match written.and_then(|()| out.flush()) {
        // Nobody needs to read it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

impl ServeArgs {
    fn config(&self) -> anyhow::Result<ServerConfig> {
        let db = match &self.db {
            Some(db) => db.clone(),
            None => paths::default_db().or_exit(Exit::Storage)?,
        };
        Ok(ServerConfig {
            listen: self.listen,
            db,
            durability: match self.durability {
                Durability::Full => loopd_store::Durability::Full,
                Durability::Relaxed => loopd_store::Durability::Relaxed,
            },
            retention: Retention {
                max_age: self.retain_age.0,
                max_bytes: self.retain_size.0,
                max_process_bytes: self.retain_process_size.0,
            },
            token: token(self.token_file.as_deref())?,
            allow_hosts: self.allow_host.clone(),
            attach: self.attach.clone(),
            // Who can reach it from elsewhere may not start programs here. Another name means a proxy.
            has_demo: self.listen.ip().is_loopback() && self.allow_host.is_empty(),
        })
    }
}

/// The token is never a flag, because every user of a machine sees every command line.
pub(super) fn token(file: Option<&Path>) -> anyhow::Result<Option<Token>> {
    let (text, place) = match (file, std::env::var("LOOPD_TOKEN")) {
        (Some(path), _) => {
            let what = || format!("cannot read the token file {}", path.display());
            let text = std::fs::read_to_string(path).with_context(what).or_exit(Exit::Usage)?;
            (text, path.display().to_string())
        }
        (None, Ok(text)) if !text.is_empty() => (text, "LOOPD_TOKEN".to_owned()),
        (None, _) => return Ok(None),
    };
    let token = text.trim().parse().map_err(|why: String| anyhow!("{place}: {why}"));
    token.or_exit(Exit::Usage).map(Some)
}

pub(crate) fn start_log(format: LogFormat, global: &Global) -> anyhow::Result<()> {
    let what = std::env::var("LOOPD_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&what)
        .with_context(|| format!("LOOPD_LOG is {what:?}"))
        .or_exit(Exit::Usage)?;
    let has_color = match global.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(has_color)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.context("start the log")
}

/// What asks us to stop: a terminal, or whoever started us.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: ServeArgs,
    }

    #[test]
    fn only_who_is_here_may_start_the_demo() {
        let has_demo = |flags: &[&str]| {
            let typed = [&["serve", "--db", "loopd.db"], flags].concat();
            Typed::try_parse_from(typed).unwrap().args.config().unwrap().has_demo
        };
        assert!(has_demo(&[]));
        assert!(has_demo(&["--listen", "[::1]:7411"]));
        assert!(!has_demo(&["--listen", "0.0.0.0:7411"]));
        assert!(!has_demo(&["--allow-host", "loopd.example.org"]));
    }
}
