//! `loopd attach`: records a program that carries `console-subscriber`, without an agent in it.

use std::process::ExitCode;

use clap::Args;
use loopd_console::attach::{Bridge, Collector, Target};

use super::render::note;
use super::serve::{LogFormat, Signals, start_log};
use crate::cli::Global;
use crate::exit::{Exit, OrExit};

/// The flags of `loopd attach`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd attach http://127.0.0.1:6669 --name shop
  loopd attach file:///run/shop/console.sock --url http://127.0.0.1:7411
  loopd serve --attach http://127.0.0.1:6669=shop

The program has to carry console-subscriber, as for tokio-console, whose viewers may look on at the same
time. loopd follows it, connects again when it was away, and begins another run when it was restarted. It
never pauses the program's reports.

What is recorded is what console-subscriber counts, about once a second: tasks with their polls, wakes, busy
and scheduled time, names, fields and spawn locations; locks, semaphores and timers, and who waits for them.
Single polls and wakes, workers, who woke whom and how tasks ended are not in it: pages show them as not
known, and rules that need them say so. The longest poll is read from the histograms of tasks that may have
had a slow one, one task at a time, four a second at most.

It runs until it is interrupted. LOOPD_TOKEN is the token of a server that asks for one.")]
pub(crate) struct AttachArgs {
    /// Where the program's console-subscriber listens: http://HOST:PORT, or file:///PATH of a socket.
    target: Target,
    /// What to call the program [default: its address].
    #[arg(long, value_name = "APP")]
    name: Option<String>,
    /// The loopd that records.
    #[arg(long, env = "LOOPD_URL", value_name = "URL", default_value = "http://127.0.0.1:7411")]
    url: String,
    /// How to write the log, which goes to stderr. LOOPD_LOG chooses what.
    #[arg(long, env = "LOOPD_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Runs the command.
pub(crate) async fn run(args: AttachArgs, global: &Global) -> anyhow::Result<ExitCode> {
    start_log(args.log_format, global)?;
    let token = std::env::var("LOOPD_TOKEN").ok().filter(|token| !token.trim().is_empty());
    let token = token.as_deref().map(str::trim);
    let collector = Collector::at(&args.url, token).or_exit(Exit::Usage)?;
    let mut signals = Signals::new()?;
    note(&format!("recording {} to {}; interrupt to end it", args.target, args.url));
    let bridge = Bridge::new(args.target, args.name, collector);
    bridge.run(signals.next()).await;
    Ok(ExitCode::SUCCESS)
}

/// A program to attach to, and what to call it: `URL`, or `URL=NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) target: Target,
    pub(crate) name: Option<String>,
}

impl std::str::FromStr for Attachment {
    type Err = loopd_console::attach::TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The path of a socket may have one as well: a name has no `/`.
        let (target, name) = match text.rsplit_once('=').filter(|(_, name)| !name.contains('/')) {
            Some((target, name)) => (target, Some(name.trim().to_owned())),
            None => (text, None),
        };
        Ok(Self { target: target.parse()?, name: name.filter(|name| !name.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_an_address_and_maybe_a_name() {
        let read = |text: &str| {
            let Attachment { target, name } = text.parse().unwrap();
            (target.to_string(), name)
        };
        let url = "http://127.0.0.1:6669".to_owned();
        assert_eq!(read("http://127.0.0.1:6669"), (url.clone(), None));
        assert_eq!(read("127.0.0.1:6669=shop"), (url.clone(), Some("shop".to_owned())));
        assert_eq!(read("http://127.0.0.1:6669="), (url, None));
        let socket = ("file:///run/a=b/c.sock".to_owned(), None);
        assert_eq!(read("file:///run/a=b/c.sock"), socket);
        assert_eq!(read("file:///run/a=b/c.sock=shop"), (socket.0, Some("shop".to_owned())));
        let secret = "http://ada:secret@127.0.0.1=shop".parse::<Attachment>().unwrap_err();
        assert!(!secret.to_string().contains("secret"));
        assert!("ftp://127.0.0.1=shop".parse::<Attachment>().is_err());
    }
}
