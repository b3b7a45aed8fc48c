//! What tokio's spans and events carry, read without allocating.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};

use crate::place;

/// A short text, cut at its end.
#[derive(Clone, Copy)]
pub(crate) struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Short<N> {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn set(&mut self, text: &str) {
        self.len = 0;
        let _ = self.write_str(text);
    }
}

impl<const N: usize> Write for Short<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let text = crate::notes::cut(text, N - self.len);
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// What a task or resource is, and where it comes from.
#[derive(Default)]
pub(crate) struct Origin {
    /// `kind` of a task, `concrete_type` of a resource, `source` of an operation.
    pub(crate) what: Short<32>,
    /// The beginning of a blocking job's type name.
    pub(crate) function: Short<40>,
    /// Tokio's number of the task.
    pub(crate) task: u64,
    /// Of the place.
    pub(crate) place: u64,
    line: u32,
    column: u32,
    file: FileOf,
}

/// A file's name as a number of [`place::file`].
#[derive(Default)]
struct FileOf(u32);

impl Origin {
    /// What the fields say that `record` shows.
    pub(crate) fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut origin = Self::default();
        record(&mut origin);
        origin.place = place::made_of(origin.file.0, origin.line, origin.column);
        origin
    }
}

impl Visit for Origin {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "task.id" => self.task = value,
            "loc.line" => self.line = value as u32,
            "loc.col" => self.column = value as u32,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "concrete_type" | "source" => self.what.set(value),
            "loc.file" => self.file = FileOf(place::file(value)),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Formatted only where it is wanted: it is by far the dearest.
        let _ = match field.name() {
            "kind" if self.what.len == 0 => write!(self.what, "{value:?}"),
            "fn" => write!(self.function, "{value:?}"),
            _ => Ok(()),
        };
    }
}

/// What tokio says of a task that we cannot know otherwise: its name, if it has one, and how large its
/// future is, in bytes; 0 where it does not say.
#[derive(Default)]
pub(crate) struct Traits {
    pub(crate) name: Short<{ crate::notes::MAX_TEXT }>,
    /// Of the future.
    pub(crate) size: u64,
    /// Of the future as it was written, if tokio has put it into a box for that.
    pub(crate) original_size: u64,
}

impl Visit for Traits {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "size.bytes" => self.size = value,
            "original_size.bytes" => self.original_size = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "task.name" {
            let _ = write!(self.name, "{value:?}");
        }
    }
}

/// What happened to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerOp {
    Clone,
    Drop,
    /// Used up by it.
    Wake,
    WakeByRef,
}

/// A waker, and by the id of its span the task that it wakes.
#[derive(Default)]
pub(crate) struct WakerEvent {
    pub(crate) op: Option<WakerOp>,
    pub(crate) span: u64,
}

impl Visit for WakerEvent {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "task.id" {
            self.span = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "op" {
            self.op = match value {
                "waker.clone" => Some(WakerOp::Clone),
                "waker.drop" => Some(WakerOp::Drop),
                "waker.wake" => Some(WakerOp::Wake),
                "waker.wake_by_ref" => Some(WakerOp::WakeByRef),
                _ => None,
            };
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Whether an operation was ready.
#[derive(Default)]
pub(crate) struct Readiness(pub(crate) bool);

impl Visit for Readiness {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "is_ready" {
            self.0 = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// How a number changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    /// Or no word on it.
    #[default]
    Override,
}

/// A change of state: a claim, or a number.
#[derive(Default)]
pub(crate) struct Change {
    /// Locked by one who alone has it.
    pub(crate) is_locked: Option<bool>,
    pub(crate) readers: Option<u64>,
    pub(crate) permits: Option<u64>,
    pub(crate) permits_requested: Option<u64>,
    pub(crate) permits_obtained: Option<u64>,
    /// Of a barrier.
    pub(crate) size: Option<u64>,
    pub(crate) arithmetic: Arithmetic,
}

impl Visit for Change {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if matches!(field.name(), "locked" | "write_locked") {
            self.is_locked = Some(value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, value.unsigned_abs());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let number = match field.name() {
            "current_readers" => &mut self.readers,
            "permits" => &mut self.permits,
            "permits_requested" => &mut self.permits_requested,
            "permits_obtained" => &mut self.permits_obtained,
            "size" => &mut self.size,
            _ => return,
        };
        *number = Some(value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name().ends_with(".op") {
            self.arithmetic = match value {
                "add" => Arithmetic::Add,
                "sub" => Arithmetic::Sub,
                _ => Arithmetic::Override,
            };
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
