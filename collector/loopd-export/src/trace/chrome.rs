//! Chrome's Trace Event format: one JSON object, event by event.
//!
//! Numbers of it are floating point in most readers, so instants count from the trace's beginning;
//! when that was is in the metadata, in unix nanoseconds.

use std::collections::HashMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::sink::{Arg, Args, Instant, Process, Shows, Sink, Slice, TaskRow, Track};
use crate::ExportError;

/// Beyond the thread ids of any system.
const FREE_TID: i64 = 1 << 40;

/// A trace that is being written.
pub(super) struct Chrome<W> {
    out: W,
    started_at: i64,
    is_first: bool,
    tracks: HashMap<Track, Place>,
}

/// Where the events of a track go.
#[derive(Clone, Debug)]
struct Place {
    pid: i32,
    tid: i64,
    /// Counters are told apart by name.
    name: String,
}

impl<W: Write> Chrome<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, started_at: 0, is_first: true, tracks: HashMap::new() }
    }

    fn event(&mut self, event: &Value) -> Result<(), ExportError> {
        self.out.write_all(if self.is_first { b"\n" } else { b",\n" })?;
        self.is_first = false;
        Ok(serde_json::to_writer(&mut self.out, event).map_err(std::io::Error::from)?)
    }

    fn name(&mut self, what: &str, pid: i32, tid: i64, args: Value) -> Result<(), ExportError> {
        self.event(&json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}))
    }

    fn place(&self, track: Track) -> Place {
        let unknown = || Place { pid: 0, tid: 0, name: String::new() };
        self.tracks.get(&track).cloned().unwrap_or_else(unknown)
    }

    /// Microseconds since the beginning, exactly.
    fn micros(&self, at: i64) -> Value {
        micros(at.saturating_sub(self.started_at))
    }
}

impl<W: Write> Sink for Chrome<W> {
    fn begin(&mut self, started_at: i64) -> Result<(), ExportError> {
        self.started_at = started_at;
        Ok(self.out.write_all(b"{\"traceEvents\":[")?)
    }

    fn process(&mut self, process: &Process) -> Result<(), ExportError> {
        self.tracks.insert(process.track, Place { pid: process.pid, tid: 0, name: String::new() });
        self.name("process_name", process.pid, 0, json!({"name": process.name}))?;
        let labels = process.labels.join(", ");
        self.name("process_labels", process.pid, 0, json!({"labels": labels}))
    }

    fn track(
        &mut self,
        process: &Process,
        track: Track,
        name: &str,
        shows: Shows<'_>,
    ) -> Result<(), ExportError> {
        let tid = match shows {
            Shows::Worker { thread_id: Some(tid) } => tid,
            _ => FREE_TID + track as i64,
        };
        self.tracks.insert(track, Place { pid: process.pid, tid, name: name.to_owned() });
        if matches!(shows, Shows::Numbers { .. }) {
            return Ok(());
        }
        self.name("thread_name", process.pid, tid, json!({"name": name}))
    }

    fn slice(&mut self, track: Track, slice: &Slice<'_>) -> Result<(), ExportError> {
        let Place { pid, tid, .. } = self.place(track);
        let (ts, dur) = (self.micros(slice.at), micros(slice.length));
        let (name, category) = (slice.name, slice.category);
        self.event(&json!({
            "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": ts, "dur": dur,
            "args": args(slice.args),
        }))?;
        let Some(id) = slice.flow else { return Ok(()) };
        self.event(&json!({
            "ph": "f", "bp": "e", "name": "wake", "cat": "wake", "id": id, "pid": pid, "tid": tid,
            "ts": ts,
        }))
    }

    fn task_slice(
        &mut self,
        process: &Process,
        TaskRow { task, row }: TaskRow,
        slice: &Slice<'_>,
    ) -> Result<(), ExportError> {
        // Nested by their id: what has one id is shown in one row.
        let id = format!("{} {task} {row}", slice.category);
        let (name, category, pid) = (slice.name, slice.category, process.pid);
        let mut args = args(slice.args);
        args.insert("task".into(), id_text(task));
        let ends_at = slice.at.saturating_add(slice.length);
        self.event(&json!({
            "ph": "b", "name": name, "cat": category, "id": id, "pid": pid, "tid": 0,
            "ts": self.micros(slice.at), "args": args,
        }))?;
        self.event(&json!({
            "ph": "e", "name": name, "cat": category, "id": id, "pid": pid, "tid": 0,
            "ts": self.micros(ends_at),
        }))
    }

    fn instant(&mut self, track: Track, instant: &Instant<'_>) -> Result<(), ExportError> {
        let Place { pid, tid, .. } = self.place(track);
        let ts = self.micros(instant.at);
        let (name, category) = (instant.name, instant.category);
        self.event(&json!({
            "ph": "i", "s": "t", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": ts,
            "args": args(instant.args),
        }))?;
        let Some(id) = instant.flow else { return Ok(()) };
        self.event(&json!({
            "ph": "s", "name": "wake", "cat": "wake", "id": id, "pid": pid, "tid": tid, "ts": ts,
        }))
    }

    fn number(&mut self, track: Track, at: i64, value: f64) -> Result<(), ExportError> {
        let Place { pid, name, .. } = self.place(track);
        let ts = self.micros(at);
        self.event(&json!({
            "ph": "C", "name": name, "pid": pid, "tid": 0, "ts": ts, "args": {"value": value},
        }))
    }

    fn end(&mut self, remarks: &[(&str, String)]) -> Result<(), ExportError> {
        let mut metadata = Map::new();
        metadata.insert("loopd_version".into(), env!("CARGO_PKG_VERSION").into());
        metadata.insert("started_at_unix_ns".into(), self.started_at.to_string().into());
        for (key, value) in remarks {
            metadata.insert((*key).to_owned(), value.clone().into());
        }
        let metadata = Value::from(metadata);
        write!(self.out, "\n],\"displayTimeUnit\":\"ns\",\"metadata\":{metadata}}}\n")?;
        Ok(self.out.flush()?)
    }
}

fn args(args: &Args<'_>) -> Map<String, Value> {
    let value = |arg: &Arg<'_>| match arg {
        Arg::Text("") | Arg::Id(0) => None,
        Arg::Text(text) => Some(Value::from(*text)),
        Arg::Integer(value) => Some(Value::from(*value)),
        Arg::Id(id) => Some(id_text(*id)),
    };
    args.iter().filter_map(|(name, arg)| Some(((*name).to_owned(), value(arg)?))).collect()
}

/// Numbers of JSON end at 2^53 in most readers; ids do not.
fn id_text(id: u64) -> Value {
    Value::from(id.to_string())
}

/// Nanoseconds as microseconds with three decimals. Within a trace of 100 days, a floating-point
/// number is as exact.
fn micros(nanos: i64) -> Value {
    json!(nanos as f64 / 1e3)
}
