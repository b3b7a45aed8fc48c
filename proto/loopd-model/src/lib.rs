//! The words every part of loopd shares: ids, time, events, batches, and the segment codec.
//!
//! No IO, no protobuf, no SQL, no clock. [`Batch`] is what an agent sends and a collector stores;
//! [`segment`] is how polls, parks and wakes are packed inside it, `stored` how a store keeps them.
#![warn(missing_docs)]

mod batch;
#[cfg(feature = "stored")]
mod bits;
mod event;
#[cfg(feature = "stored")]
mod head;
mod ids;
#[cfg(feature = "stored")]
mod pack;
pub mod segment;
mod span;
#[cfg(feature = "stored")]
pub mod stored;
#[cfg(feature = "stored")]
pub mod table;
mod time;

pub use batch::{
    Anchor, Batch, Coverage, CoverageState, DropCause, LedgerEntry, Loss, Process, RecordKind,
    Segment, Settings,
};
pub use event::{
    CloseHow, EVENT_LOOP_FLAVOR, Event, EventKind, Frame, Holder, Location, MAX_HOLDERS, MarkLevel,
    Metric, Name, Outcome, PAGE_FAULT, RUNQUEUE, Running, Stack, TaskCounts, TaskKind, WaitHow,
};
pub use ids::{
    AppSpanId, DumpId, LocationId, LoopId, NameId, ProcessId, ResourceId, StackId, TaskId, WaitId,
    WorkerId,
};
pub use span::Span;
pub use time::{Nanos, UnixNanos};
