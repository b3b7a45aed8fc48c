//! The tracks of workers.

use std::collections::{HashMap, HashSet};

use super::sink::{Process, Shows, Sink, Track};
use crate::ExportError;

/// Gives out numbers of tracks.
#[derive(Debug)]
pub(super) struct Tracks {
    next: Track,
}

impl Tracks {
    pub(super) const fn new() -> Self {
        Self { next: 1 }
    }

    pub(super) const fn next(&mut self) -> Track {
        self.next += 1;
        self.next
    }
}

/// A loop and the number of its worker.
pub(super) type LaneKey = (i64, i64);

/// The workers of one process.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    tracks: HashMap<LaneKey, Track>,
    /// Threads with a track: two workers may be one thread after the other.
    threads: HashSet<i64>,
    loops: HashMap<i64, String>,
}

impl Lanes {
    /// Learns the name of a loop.
    pub(super) fn name_loop(&mut self, loop_id: i64, name: &str) {
        self.loops.insert(loop_id, name.to_owned());
    }

    /// Declares a worker.
    pub(super) fn declare(
        &mut self,
        sink: &mut impl Sink,
        tracks: &mut Tracks,
        process: &Process,
        key: LaneKey,
        (thread_name, thread_id): (&str, Option<i64>),
    ) -> Result<Track, ExportError> {
        let track = tracks.next();
        let (loop_id, worker) = key;
        let of_loop = match self.loops.get(&loop_id).map(String::as_str) {
            None | Some("") => format!("loop {}", loop_id as u64),
            Some(name) => name.to_owned(),
        };
        let name = match thread_name {
            "" => format!("{of_loop} worker {worker}"),
            name => format!("{name} ({of_loop} {worker})"),
        };
        let thread_id = thread_id.filter(|id| *id > 0 && self.threads.insert(*id));
        sink.track(process, track, &name, Shows::Worker { thread_id })?;
        self.tracks.insert(key, track);
        Ok(track)
    }

    /// The track of a worker, declared if it has none: its beginning may have been lost.
    pub(super) fn track(
        &mut self,
        sink: &mut impl Sink,
        tracks: &mut Tracks,
        process: &Process,
        key: LaneKey,
    ) -> Result<Track, ExportError> {
        match self.tracks.get(&key) {
            Some(track) => Ok(*track),
            None => self.declare(sink, tracks, process, key, ("", None)),
        }
    }
}
