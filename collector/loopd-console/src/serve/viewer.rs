//! What one viewer was told, and what that leaves to be told: plain values in, messages out.

use std::collections::HashMap;
use std::sync::Arc;

use console_api::instrument::Update;
use console_api::{async_ops, resources, tasks};
use loopd_model::UnixNanos;
use prost::Message;

use super::map;
use super::snapshot::{Entry, Snapshot, Stats, Table};

/// No update is longer, in bytes: clients refuse messages from 4 MiB on. What has no room is in the next,
/// which follows at once.
pub const MAX_UPDATE_BYTES: usize = 2 << 20;

/// What an entry of a map or list takes besides what it holds: keys and lengths.
const ENTRY_BYTES: usize = 24;

/// What one viewer was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The latest snapshot of which everything was told.
    number: u64,
    has_metadata: bool,
    tasks: Known<tasks::Task, tasks::Stats>,
    resources: Known<resources::Resource, resources::Stats>,
    ops: Known<async_ops::AsyncOp, async_ops::Stats>,
    left_out: u64,
}

/// Things of one sort as they were told last, by id: mostly shared with the snapshots.
type Known<W, S> = HashMap<u64, Arc<Entry<W, S>>>;

/// What was put together of one sort.
struct Part<W, S> {
    new: Vec<W>,
    stats: HashMap<u64, S>,
    is_all: bool,
}

impl Told {
    /// Whether something of a snapshot may still have to be told.
    pub(super) fn lacks(&self, snapshot: &Snapshot) -> bool {
        self.number < snapshot.number
    }

    /// The next update on the way to a snapshot.
    pub(super) fn next(&mut self, snapshot: &Snapshot) -> Update {
        let mut room = MAX_UPDATE_BYTES;
        let tasks = part(&mut self.tasks, &snapshot.tasks, snapshot.now, &mut room);
        let resources = part(&mut self.resources, &snapshot.resources, snapshot.now, &mut room);
        let ops = part(&mut self.ops, &snapshot.ops, snapshot.now, &mut room);
        if tasks.is_all && resources.is_all && ops.is_all {
            self.number = snapshot.number;
        }
        // Viewers add these up, and take none back.
        let dropped_events = snapshot.left_out.saturating_sub(self.left_out);
        self.left_out += dropped_events;
        let is_first = !std::mem::replace(&mut self.has_metadata, true);
        Update {
            now: map::instant(snapshot.now),
            task_update: Some(tasks::TaskUpdate {
                new_tasks: tasks.new,
                stats_update: tasks.stats,
                dropped_events,
            }),
            resource_update: Some(resources::ResourceUpdate {
                new_resources: resources.new,
                stats_update: resources.stats,
                ..Default::default()
            }),
            async_op_update: Some(async_ops::AsyncOpUpdate {
                new_async_ops: ops.new,
                stats_update: ops.stats,
                ..Default::default()
            }),
            new_metadata: is_first.then(map::metadata),
        }
    }
}

/// What differs from what is known, as far as there is room; and it is known from now on.
fn part<W: Message + Clone + PartialEq + Default, S: Stats + Message>(
    known: &mut Known<W, S>,
    table: &Table<W, S>,
    now: UnixNanos,
    room: &mut usize,
) -> Part<W, S> {
    let mut part = Part { new: Vec::new(), stats: HashMap::new(), is_all: true };
    for entry in &table.entries {
        let before = known.get(&entry.id);
        if before.is_some_and(|it| it.changed_in == entry.changed_in) {
            continue;
        }
        // One that was told as ended the viewer may have forgotten.
        let is_back = |it: &Entry<W, S>| it.ended_at.is_some() && entry.ended_at.is_none();
        let is_new = before.is_none_or(|it| it.new_in != entry.new_in || is_back(it));
        let mut bytes = entry.stats.encoded_len() + ENTRY_BYTES;
        if is_new {
            bytes += entry.what.encoded_len() + ENTRY_BYTES;
        }
        // What is larger than a whole update is told by itself: names have limits far below.
        if bytes > *room && !(part.stats.is_empty() && *room == MAX_UPDATE_BYTES) {
            part.is_all = false;
            *room = 0;
            break;
        }
        *room = room.saturating_sub(bytes);
        if is_new {
            part.new.push(entry.what.clone());
        }
        part.stats.insert(entry.id, entry.stats.clone());
        known.insert(entry.id, Arc::clone(entry));
    }
    // What is no longer in any snapshot was over for long; a viewer that was not told is told now.
    known.retain(|&id, it| {
        if table.get(id).is_some() || !part.is_all {
            return true;
        }
        if it.ended_at.is_some() {
            return false;
        }
        let mut stats = it.stats.clone();
        stats.end(now.max(it.created_at));
        let bytes = stats.encoded_len() + ENTRY_BYTES;
        if bytes > *room {
            part.is_all = false;
            return true;
        }
        *room -= bytes;
        part.stats.insert(id, stats);
        false
    });
    part
}
