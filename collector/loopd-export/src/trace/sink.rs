//! What a trace is made of, whatever the format: tracks, and what happens on them.

use crate::ExportError;
use crate::names::Frame;

/// Names a track within one trace.
pub(crate) type Track = u64;

/// A process and its own track.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) track: Track,
    /// The number that the format gets as process id; no other process of the trace has it.
    pub(crate) pid: i32,
    pub(crate) name: String,
    /// `key=value`, for people.
    pub(crate) labels: Vec<String>,
    /// Unix ns.
    pub(crate) started_at: i64,
}

/// What a track of a process shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows<'a> {
    /// A worker. `None`: its thread is not known, or has a track already.
    Worker { thread_id: Option<i64> },
    /// Something of the process as a whole.
    Process,
    /// Numbers, in this unit.
    Numbers { unit: &'a str },
}

/// A value of an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg<'a> {
    Text(&'a str),
    Integer(i64),
    /// An unsigned id.
    Id(u64),
}

/// Arguments by name. Those that are empty texts are left out.
pub(crate) type Args<'a> = [(&'static str, Arg<'a>)];

/// Something that lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    /// Unix ns.
    pub(crate) at: i64,
    /// In ns.
    pub(crate) length: i64,
    pub(crate) name: &'a str,
    pub(crate) category: &'static str,
    /// The flow that ends here.
    pub(crate) flow: Option<u64>,
    pub(crate) args: &'a Args<'a>,
}

/// One of the rows that show what a task did or waited for; 0 stands for no task. In a row things
/// are beside or inside of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskRow {
    pub(crate) task: u64,
    pub(crate) row: usize,
}

/// Something that happens at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant<'a> {
    /// Unix ns.
    pub(crate) at: i64,
    pub(crate) name: &'a str,
    pub(crate) category: &'static str,
    /// The flow that begins here.
    pub(crate) flow: Option<u64>,
    pub(crate) args: &'a Args<'a>,
    /// The stack at that instant, leaf first; may be empty.
    pub(crate) stack: &'a [Frame],
}

/// A format. Tracks are declared before anything happens on them; what happens comes in order of
/// time on each track, but not over all of them.
pub(crate) trait Sink {
    /// Begins the trace at `started_at`, in unix ns. What reaches into it may have begun before.
    fn begin(&mut self, started_at: i64) -> Result<(), ExportError>;
    /// Declares a process.
    fn process(&mut self, process: &Process) -> Result<(), ExportError>;
    /// Declares a track of a process.
    fn track(
        &mut self,
        process: &Process,
        track: Track,
        name: &str,
        shows: Shows<'_>,
    ) -> Result<(), ExportError>;
    /// Something that lasts.
    fn slice(&mut self, track: Track, slice: &Slice<'_>) -> Result<(), ExportError>;
    /// Something of a task that lasts, such as a wait. Not on a worker, and so not declared.
    fn task_slice(
        &mut self,
        process: &Process,
        place: TaskRow,
        slice: &Slice<'_>,
    ) -> Result<(), ExportError>;
    /// Something that happens.
    fn instant(&mut self, track: Track, instant: &Instant<'_>) -> Result<(), ExportError>;
    /// A number from an instant on.
    fn number(&mut self, track: Track, at: i64, value: f64) -> Result<(), ExportError>;
    /// Ends the trace, with remarks by name.
    fn end(&mut self, remarks: &[(&str, String)]) -> Result<(), ExportError>;
}
