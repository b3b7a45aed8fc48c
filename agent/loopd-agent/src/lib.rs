//! Records the tasks, polls, wakes and resources of tokio runtimes, and streams them to loopd.
//!
//! # Getting started
//!
//! Put `#[loopd_agent::main]` where `#[tokio::main]` was, and run `loopd serve`:
//!
//! ```no_run
//! #[loopd_agent::main]
//! async fn main() {
//!     tokio::spawn(async { /* recorded: spawn, every poll, end */ });
//!     // Also recorded: its name, how it ends, and who wakes it.
//!     loopd_agent::task("checkout").spawn(async {});
//! }
//! ```
//!
//! and build with tokio's hooks, in `.cargo/config.toml`:
//!
//! ```toml
//! [build]
//! rustflags = ["--cfg", "tokio_unstable"]
//! ```
//!
//! Without that flag the agent works too, but sees only what goes through its own [`spawn`],
//! [`task()`], [`spawn_blocking`], [`block_on`] and [`JoinSetExt`]; it says so in its coverage.
//!
//! A program that builds its runtimes itself gives the builder to the agent:
//!
//! ```
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = loopd_agent::Config::from_env().app("orders").label("env", "dev");
//! # let config = config.endpoint("http://127.0.0.1:1");
//! let agent = config.start()?;
//! let mut builder = tokio::runtime::Builder::new_multi_thread();
//! builder.enable_all();
//! let runtime = agent.attach("main", builder).on_thread_start(|| ()).build()?;
//! runtime.block_on(async {});
//! // First the runtime, so that the ends of its tasks are recorded.
//! drop(runtime);
//! let flushed = agent.shutdown(Duration::from_millis(100));
//! # let _ = flushed;
//! # Ok(())
//! # }
//! ```
//!
//! # Configuration
//!
//! By [`Config`]'s methods or by environment variables; what is set in code wins, but for
//! `LOOPD_TRACING`.
//!
//! | variable | default | means |
//! |---|---|---|
//! | `LOOPD_ENABLED` | `true` | whether to record at all |
//! | `LOOPD_ENDPOINT` | `http://127.0.0.1:7411` | where the collector listens, also `unix:/path` |
//! | `LOOPD_APP` | the executable's name | what people call the program |
//! | `LOOPD_APP_VERSION` | empty | the program's own version |
//! | `LOOPD_LABELS` | none | `key=value` pairs separated by commas |
//! | `LOOPD_SLOW_THRESHOLD` | `100ms` | from which length a poll is slow |
//! | `LOOPD_MEMORY_LIMIT` | `32MiB` | the most memory that rings, unsent batches and tables take |
//! | `LOOPD_RECORD_POLLS` | `true` | whether to record single polls and parks |
//! | `LOOPD_RECORD_WAKES` | `true` | whether to record who wakes whom |
//! | `LOOPD_RECORD_WAITS` | `true` | whether to record waits, holders and the states of resources |
//! | `LOOPD_SAMPLE_STACKS` | `true` | whether to take the stacks of polls that run long |
//! | `LOOPD_TRACK_FDS` | `false` | whether to track every open file descriptor (Linux) |
//! | `LOOPD_TRACING` | `true` | whether [`Config::tracing`] may take effect, should the program ask for it |
//! | `LOOPD_TRACING_FILTER` | none | which of the program's own spans and events to record, like `orders=debug,info` |
//! | `LOOPD_TOKEN` | none | what the collector asks for, if it asks |
//! | `LOOPD_EXIT_TIMEOUT` | `500ms` | the longest that the end of the program waits for what is not sent yet; what is left then is lost |
//! | `LOOPD_DEBUG` | `false` | whether each `EventLoop` is made in debug mode |
//!
//! A value that cannot be used makes [`Config::start`] return an error that names it. Under
//! `#[loopd_agent::main]` the default takes its place, and `loopd doctor` and the page Sources say
//! what was wrong. While the program runs, the
//! collector can change the slow threshold and switch the recording of polls, wakes and waits, the
//! taking of stacks, the tracking of file descriptors, and the program's own spans and events; the
//! agent tells what is in force.
//!
//! # What is captured
//!
//! | layer | what | needs |
//! |---|---|---|
//! | hooks | spawn, every poll, end of every task of an attached runtime; parks of its workers | `tokio_unstable` |
//! | wrapped | names, how tasks end, who wakes whom; blocking jobs; the roots of `block_on`; all of the above on runtimes that are not attached | spawning through this crate |
//! | watchdog | the stack of a poll while it blocks, computing or in which system call | Linux on x86_64 or aarch64, and `SIGURG` not used by the program |
//! | metrics | tokio's own counters each second, memory, file descriptors, processor time | more counters with `tokio_unstable` |
//! | resources | [`Tracked`] values from open to close | wrapping them |
//! | guards | who holds a lock or permits and who waits for it, how much is in a channel, which sockets, files and children are open, who awaits which task | [`sync`], [`net`], [`fs`], `process`, [`task`](mod@task) in the place of tokio's |
//! | fds | every open file descriptor with its path or addresses, whoever opened it; with the feature `fd-stacks` also the task and stack that did | Linux, and `LOOPD_TRACK_FDS` |
//! | tracing | wakes of every task and who did them; tokio's own locks, semaphores, barriers, oneshot channels and timers, who waits and who holds; tasks that no hook sees; tasks that nothing can wake | the feature `tokio-tracing`, `tokio_unstable`, and [`Config::tracing`] or `loopd_agent::layer()` |
//! | schedule_latency | how long each task waited for each of its polls, whoever spawned it; not who woke it | the feature `schedule-latency` and `tokio_unstable` |
//! | app_events | the program's own `tracing` spans and events that a filter lets through | the feature `layer`, `LOOPD_TRACING_FILTER`, and [`Config::tracing`] or `loopd_agent::layer()` |
//!
//! Not seen without the tracing layer, because tokio has no hook for them: tasks of a `LocalSet`,
//! blocking jobs and `block_on` roots that do not go through this crate, and in any case how a task
//! ended that does not. What the program finds worth knowing it can say with [`mark!`] and
//! [`Task::field`].
//!
//! # An event loop as asyncio has it
//!
//! The module [`event_loop`] (a feature that is on by default) has asyncio's loop: callbacks and tasks in
//! one queue, turn by turn, with handles, cancellation, groups, executors and debug mode. All that runs on
//! it is recorded with no further work: `loopd_agent::run(async { … })` is all that a program needs.
//!
//! # What tokio itself tells
//!
//! Built with the cargo feature `tokio-tracing`, tokio traces each task, waker, lock and timer. The
//! agent hears it in one of two ways. A program without a `tracing` subscriber says
//! [`Config::tracing`]`(true)` or `#[loopd_agent::main(tracing = true)]`: the agent becomes its only
//! one, which is the cheaper way. Should the program install one itself after all, it finds the place
//! taken, and `init()` panics; hence no environment variable switches this on, but
//! `LOOPD_TRACING=off` switches it off. A program with a subscriber adds `loopd_agent::layer()` to it
//! (the feature `layer`), where each other layer needs a filter of its own.
//!
//! It is not for nothing: tokio's part of it alone makes a lock several times as dear, heard or not.
//! Hence it is a choice when building, and its two halves, wakes and waits, can be switched while
//! the program runs. What is opened while waits are off stays unseen.
//!
//! Who holds a lock or permits is inferred from the task that runs when tokio says so, and right as
//! long as permits are not got by `try_acquire` or forgotten. A timer becomes a resource when a task
//! first waits for it. `const_new` values, channels other than oneshot, `Notify` and all input and
//! output are not traced by tokio. Tasks whose polls no hook sees have one poll too many: the drop
//! of their future. A task that nothing can wake is told of after one or two seconds, or at once if
//! it was spawned through this crate; threads with a subscriber of their own
//! (`tracing::subscriber::with_default`) hide the wakers that they drop.
//!
//! # How long tasks wait for a worker
//!
//! Built with the cargo feature `schedule-latency`, tokio notes when each task of an attached runtime
//! was scheduled, and the agent tells a wake by nobody that long before the poll. Wakes of tasks
//! spawned through this crate and those that tokio's tracing tells are not told again, for they say
//! who did them; a first poll has one, from the spawn, only where neither saw it. It is told when
//! the poll ends, and counts as one wake however many led to it. Tokio does not measure tasks of a
//! `LocalSet` and roots of `block_on`. It costs tokio two readings of the clock per poll, also while
//! the recording of wakes is switched off.
//!
//! # Promises
//!
//! - Recording never blocks, panics, prints, calls the system or waits for a lock after a thread's
//!   first event. Each thread has a ring of its own; a full ring refuses polls first, so that
//!   spawns, ends and resources still find room, and everything refused is counted.
//! - Nothing runs on the program's runtimes. The agent has threads of its own, `loopd-export`,
//!   `loopd-watch` and, when there is a stack to name or file descriptors are tracked,
//!   `loopd-symbols` and `loopd-fds`, which take none of the program's signals and trace nothing
//!   into its subscriber.
//! - While no collector is there, batches are kept within a quarter of the memory limit, at most
//!   8 MiB; beyond that the oldest give up their polls, then their events, for a count of both.
//! - What the collector acknowledged is on its disk; the rest is sent again, and never counted
//!   twice. [`Agent::shutdown`] returns at its deadline whatever state the collector is in.
//! - A forked child records nothing.
//!
//! # Limits
//!
//! One agent in a process, once. Naming the functions of the first stack reads the program's debug
//! information: some tens of megabytes beside the memory limit, on a thread of its own, given back
//! after half a minute without another stack. Stacks need line tables (`debug =
//! "line-tables-only"`) to name source lines; without them a frame has a function but no file, and
//! functions that were inlined are missing. A stripped program (`strip = true`) has addresses only.
//!
//! Stacks are taken with the signal `SIGURG`, from a poll that runs for longer than half the slow
//! threshold, and again at doubled ages; twenty in a second at most, over all workers. Its handler
//! asks for interrupted system calls to be restarted, but some never are: `poll`, `epoll_wait`,
//! `select`, `nanosleep`, and `recv`, `send` and `connect` on a socket with a timeout. Inside such a
//! poll they can return [`Interrupted`](std::io::ErrorKind::Interrupted), as with any signal. The
//! standard library tries again where it promises to: `thread::sleep`, `read_exact`, `read_to_end`,
//! `write_all`, `io::copy`; a single `read` or `write` hands it on. Without `LOOPD_SAMPLE_STACKS` no
//! signal is sent.
//!
//! The watchdog looks three quarters of the slow threshold apart, 100 ms at most: with the default, its
//! thread wakes some 13 times in a second in which nothing happens, and more often only while a poll
//! is about to become slow.
//!
//! With the feature `taskdump` a program can have the place where each of its tasks waits recorded,
//! by `dump_tasks`; that needs tokio's feature of the same name, which is why it is off by default.
//! Runtimes of several threads are refused, since tokio's own dump of those can stop their workers
//! for ever when one of them is blocked.
//!
//! Of a poll that runs on another stack than its thread's own, as coroutines and `stacker` make
//! them, only the interrupted instruction is known. A fork waits until a stack being taken has been
//! unwound: about a millisecond, fifty at most.
//!
//! File descriptors are looked at once a second, more rarely when there are many thousands; what is
//! open for less than two looks is not reported, nor are standard input, output and error. With the
//! feature `fd-stacks` the program's `open`, `socket`, `accept`, `dup`, `close` and their like go
//! through the agent, also those of shared libraries, and cost a few nanoseconds more while nothing
//! is tracked; while it is, an opening and its close cost 0.7 µs more on a thread that has a ring,
//! and on another one to three system calls more: `rt_sigprocmask` in a way that changes nothing
//! tells how much of its stack can be read. A filter of system calls (seccomp) that refuses that one
//! costs the stack; one that would end the program for it has to let it through, as it has to for
//! threads to be started. The feature is for Linux with glibc on x86_64, and does nothing elsewhere.
//! Without stack and task are
//! those opened by libc inside itself (`fopen`, `opendir`), by direct system calls, or received
//! from another process, those open before the agent started, and everything in programs linked
//! with libc statically; and the same file opened again under the same number between two looks is
//! then taken for the old one.
#![warn(missing_docs)]

#[doc(hidden)]
#[path = "main_macro.rs"]
pub mod __private;
mod agent;
mod alarm;
mod clock;
mod config;
mod cost;
mod coverage;
#[cfg(all(
    tokio_unstable,
    feature = "taskdump",
    target_os = "linux",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
mod dump;
mod dumps;
#[doc(hidden)]
pub mod embed;
#[cfg(feature = "event-loop")]
pub mod event_loop;
mod exporter;
mod fds;
mod fork;
pub mod fs;
mod handoff;
mod hooks;
mod labels;
mod lane;
mod layer;
mod marks;
pub mod net;
mod notes;
mod opened;
mod outside;
mod place;
#[cfg(unix)]
pub mod process;
mod record;
mod recorder;
mod renewable;
mod resource;
mod ring;
mod runtime;
mod settings;
mod silence;
mod status;
mod switches;
pub mod sync;
mod sys;
pub mod task;
mod tasks;
mod tenancy;
mod tracked;
mod waits;
mod watch;
mod wrapped;

pub use agent::{Agent, stats};
pub use config::{Config, StartError};
#[cfg(all(
    tokio_unstable,
    feature = "taskdump",
    target_os = "linux",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
pub use dump::{DumpError, dump_tasks};
#[cfg(feature = "event-loop")]
pub use event_loop::{EventLoop, run};
#[cfg(feature = "layer")]
pub use layer::layer;
pub use loopd_agent_macros::main;
pub use loopd_model::{Coverage, CoverageState, DropCause, RecordKind};
pub use marks::{Mark, mark};
pub use runtime::{Runtime, RuntimeBuilder};
pub use status::{Flushed, Stats};
pub use tasks::{
    JoinSetExt, Task, block_in_place, block_on, spawn, spawn_blocking, spawn_local, task,
};
pub use tracked::{Tracked, track_file, track_socket};
