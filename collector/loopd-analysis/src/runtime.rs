//! Which runtime a process's loops are of, so that advice names what its programmer can call.

use crate::capture;

/// A family of event loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// tokio, in Rust.
    Tokio,
    /// The `EventLoop` of loopd's agent for Rust, which is on tokio's: only what is said of its loops names its
    /// functions. The runtime of a process is never this one.
    EventLoop,
    /// asyncio in Python, uvloop included: programs call both alike.
    Asyncio,
    /// That of an agent which this version does not know: advice names no function.
    #[default]
    Unknown,
}

impl Runtime {
    /// By the name of the agent that records the process.
    pub fn of_agent(agent: &str) -> Self {
        match agent {
            "loopd-agent" | capture::CONSOLE_AGENT => Self::Tokio,
            "loopd" => Self::Asyncio,
            _ => Self::Unknown,
        }
    }

    /// In whose words to speak of something that is on `EventLoop`s alone, or not.
    pub const fn on(self, is_event_loop: bool) -> Self {
        match self {
            Self::Tokio if is_event_loop => Self::EventLoop,
            other => other,
        }
    }

    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokio | Self::EventLoop => "tokio",
            Self::Asyncio => "asyncio",
            Self::Unknown => "unknown",
        }
    }

    /// What a slow poll holds up, as in "blocked a worker".
    pub const fn blocked(self) -> &'static str {
        match self {
            Self::Asyncio | Self::EventLoop => "the loop",
            Self::Tokio | Self::Unknown => "a worker",
        }
    }
}
