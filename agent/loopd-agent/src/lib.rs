//! Records the tasks, polls, wakes and resources of tokio runtimes for loopd.
#![warn(missing_docs)]

#[doc(hidden)]
#[path = "main_macro.rs"]
pub mod __private;
mod agent;
mod clock;
mod config;
mod exporter;
mod hooks;
mod lane;
mod place;
mod record;
mod recorder;
mod ring;
mod runtime;
mod status;
mod sys;
mod tasks;
mod tracked;
mod watch;
mod wrapped;

pub use agent::{Agent, stats};
pub use config::{Config, StartError};
pub use loopd_agent_macros::main;
pub use loopd_model::{Coverage, CoverageState, DropCause, RecordKind};
pub use runtime::{Runtime, RuntimeBuilder};
pub use status::{Flushed, Stats};
pub use tasks::{JoinSetExt, Task, block_on, spawn, spawn_blocking, spawn_local, task};
pub use tracked::{Tracked, track_file, track_socket};
