//! How a process is captured: record by record, or as snapshots of counters. What snapshots do not carry is
//! not known, which is something else than zero.

/// The name, as an agent, of what `loopd attach` reads: it records nothing itself.
pub const CONSOLE_AGENT: &str = "console-subscriber";

/// The capture layer of a process that is read in this way.
pub const CONSOLE_LAYER: &str = "console";

/// How a process is captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Capture {
    /// By an agent in the program, which tells of polls, parks and wakes one by one.
    #[default]
    Records,
    /// From a program's `console-subscriber`, whose counters are read about once a second.
    ConsoleSnapshots,
}

impl Capture {
    /// By the name of the agent that records the process.
    pub fn of_agent(agent: &str) -> Self {
        if agent == CONSOLE_AGENT { Self::ConsoleSnapshots } else { Self::Records }
    }

    /// The words for it in JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::ConsoleSnapshots => "console snapshots",
        }
    }
}
