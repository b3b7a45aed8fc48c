//! The programs that `loopd demo` can show: what each is, and what to look at.
//!
//! All are part of this executable. None is known to anything else in loopd: what is wrong with it, the summary says,
//! by what was found.

use std::future::Future;

use anyhow::anyhow;
use clap::ValueEnum;

// The lines here are those of `loopd demo --list` and `loopd demo --help`.
/// A program of the demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// An order service on tokio that has every disease: blocked workers, tasks that leak, sockets nobody closes
    #[default]
    Orders,
    /// A web server with 200 connections on one EventLoop, held up by one handler that asks a bank and blocks
    WebServer,
    /// A window of 60 frames a second on an EventLoop, which stands still when a callback computes for too long
    Frames,
    /// A client that asks six servers at once, and leaks a task for every answer that never comes
    FanOut,
    /// Four loops in four threads that call each other, and one executor for all that has too few threads
    ManyLoops,
}

impl Program {
    /// The name it is asked for by.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What one sees in it, as one line.
    pub(crate) fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// What it is, as the beginning of a sentence.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Orders => "An order service runs",
            Self::WebServer => "A web server on an `EventLoop`, and its customers on another, run",
            Self::Frames => "A window that an `EventLoop` paints runs",
            Self::FanOut => "A search over six servers, on an `EventLoop`, runs",
            Self::ManyLoops => "A store on four `EventLoop`s, and its customers on a fifth, run",
        }
    }

    /// Where to look, and for what: pages of the dashboard.
    pub(crate) const fn sights(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Orders => &[
                ("Overview", "one sentence on how the service is doing"),
                ("Findings", "what is wrong with it, with the proof and the fix"),
                ("Slow", "which line blocks the workers, with the stack taken while it blocked"),
                ("Leaks", "whose tasks never end, and what is opened and never closed"),
                ("Timeline", "every poll of every worker; n jumps to the next slow one"),
            ],
            Self::WebServer => &[
                ("Findings", "the line that blocks the loop, and how long everybody waited for it"),
                ("Slow", "the stack from the handler down to the read that waits"),
                ("Timeline", "the loops `main` and `customers`; n jumps to the next slow step"),
                ("Tasks", "a task for each connection: how long it was ready, and had to wait"),
            ],
            Self::Frames => &[
                ("Findings", "the function that computes in a frame, and what came late for it"),
                ("Timeline", "a frame every 16.7 ms; n jumps to one that was too slow"),
                ("Slow", "the stack of the callback that held the loop"),
                ("Tasks", "with callbacks shown: frames and input, and how late they ran"),
            ],
            Self::FanOut => &[
                ("Findings", "the line whose tasks wait for ever, after some ten seconds"),
                ("Leaks", "how many they are, and the sockets that they keep"),
                ("Tasks", "each question and each search, with how it ended"),
                ("Timeline", "a search every 200 ms, and the shards that answer it"),
            ],
            Self::ManyLoops => &[
                ("Findings", "the line whose jobs wait for a thread"),
                ("Timeline", "five loops, one in each thread, and who wakes whom"),
                ("Tasks", "jobs of the kind blocking: when they were queued and when they began"),
            ],
        }
    }

    /// Runs it in this thread until `stop` resolves.
    pub(crate) fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let ended = match self {
            Self::Orders => return loopd_orders::run(stop),
            Self::WebServer => loopd_loops::web_server::run(stop),
            Self::Frames => loopd_loops::frames::run(stop),
            Self::FanOut => loopd_loops::fan_out::run(stop),
            Self::ManyLoops => loopd_loops::many_loops::run(stop),
        };
        ended.map_err(|error| anyhow!("{error}"))
    }
}
