//! How much one message may hold. Both ends know these: the agent cuts and splits to stay within
//! them, the collector refuses or cuts what does not.
//!
//! A list over its limit is refused. A text over its limit is cut by the collector, because half a
//! function's name is better than none of the batch.

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;

/// The largest encoded batch. What a collector takes up for decoding is a multiple of this, for
/// each session at the same time.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The largest message that is decoded at all; above it the stream ends. It is more than
/// [`MAX_BATCH_BYTES`] so that a batch that is somewhat too large can be refused by its number, and
/// the session goes on.
pub const MAX_MESSAGE_BYTES: usize = 2 * MAX_BATCH_BYTES;

/// Events in one batch.
pub const MAX_EVENTS: usize = 65_536;

/// Names in one batch, and also locations, and also stacks.
pub const MAX_DEFINITIONS: usize = 16_384;

/// Frames of one stack. Deeper ones are cut at the root by the agent.
pub const MAX_FRAMES: usize = 256;

/// Segments in one batch. An agent writes three for each worker.
pub const MAX_SEGMENTS: usize = 4_096;

/// Spans in all segments of one batch. A column of equal values is a few bytes long however many
/// spans it stands for, so the encoded length alone does not bound the work.
pub const MAX_SPANS: usize = 1 << 20;

/// Readings in one event.
pub const MAX_METRICS: usize = 4_096;

/// Holders of one wait.
pub const MAX_HOLDERS: usize = loopd_model::MAX_HOLDERS;

/// Keys and values of one task, mark or span.
pub const MAX_FIELDS: usize = 32;

/// Losses in one batch: every kind and cause a few times over.
pub const MAX_LOSSES: usize = 1_024;

/// Lines of one ledger. There are ten kinds of record; more may come.
pub const MAX_LEDGER: usize = 64;

/// Labels of a process.
pub const MAX_LABELS: usize = 32;

/// Capture layers of a process.
pub const MAX_COVERAGE: usize = 32;

/// Bytes of a name, a label, a version, a reason, and of every text that is none of those below.
pub const MAX_TEXT_BYTES: usize = 256;

/// Bytes of the name of a file or a resource.
pub const MAX_PATH_BYTES: usize = 1_024;

/// Bytes of what a mark says, and of the value of a field.
pub const MAX_MESSAGE_TEXT_BYTES: usize = 1_024;

/// Bytes of the name of a function. Generic Rust makes long ones.
pub const MAX_FUNCTION_BYTES: usize = 1_024;

/// The largest id, instant, length and count. SQL has no larger integer.
pub const MAX_NUMBER: u64 = i64::MAX as u64;
