//! What one commit says of waits, holds, and the state of resources.
//!
//! A wait's beginning and end are one row if both are in the commit. They may come in either order
//! and in different commits, since threads are not in step.

use std::sync::LazyLock;

use loopd_model::{Holder, LocationId, MAX_HOLDERS, Metric, ResourceId, TaskId, WaitHow, WaitId};
use sqlx::sqlite::SqliteConnection;

use super::apply::packed;
use super::digest::{Source, id};
use super::hash::IdMap;
use super::words::word_id;
use crate::instant::{count, wall};
use crate::sql::packed_rows::{NULL, PackedRows};

/// Readings of a resource that are kept, as agents name them, in the order of the columns.
const READINGS: [&str; 14] = [
    "depth",
    "capacity",
    "permits",
    "waiters",
    "senders",
    "receivers",
    "locked",
    "acquired",
    "contended",
    "waited_nanos",
    "held_nanos",
    "sent",
    "received",
    "lagged",
];
const STATE_COLUMNS: &str = "depth, capacity, permits, waiters, senders, receivers, locked,
    acquired, contended, waited_time, held_time, sent, received, lagged";
/// Process, resource, instant, and the readings.
const STATE_WIDTH: usize = 3 + READINGS.len();
const WAIT_WIDTH: usize = 10;
/// Where the word for the operation is in the row of a wait.
const OP: usize = 4;

/// The new rows.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By process and wait: process, wait, task, resource, op, location, amount, began_at,
    /// ended_at, how. The op is a place in the commit's words.
    waits: IdMap<(i64, i64), [i64; WAIT_WIDTH]>,
    holders: Vec<[i64; 7]>,
    holds: Vec<[i64; 8]>,
    states: Vec<[i64; STATE_WIDTH]>,
}

/// What began to wait for what.
pub(super) struct Began<'a> {
    pub(super) wait: WaitId,
    pub(super) task: TaskId,
    pub(super) resource: ResourceId,
    pub(super) op: i64,
    pub(super) location: LocationId,
    pub(super) amount: u64,
    pub(super) holders: &'a [Holder],
}

impl Waits {
    pub(super) fn began(&mut self, source: &Source, at: i64, began: &Began<'_>) {
        let Began { wait, task, resource, op, location, amount, holders } = began;
        let row = self.wait(source.process, *wait);
        // A wait begins once; who says so twice is not believed the second time.
        if row[7] != NULL {
            return;
        }
        let facts = [id(task.0), id(resource.0), *op, id(location.0), count(*amount), at];
        row[2..8].copy_from_slice(&facts);
        for (place, holder) in holders.iter().take(MAX_HOLDERS).enumerate() {
            self.holders.push([
                source.process,
                id(wait.0),
                place as i64,
                id(holder.task.0),
                wall(source.origin, holder.since),
                id(holder.location.0),
                count(holder.amount),
            ]);
        }
    }

    pub(super) fn ended(&mut self, source: &Source, at: i64, wait: WaitId, how: WaitHow) {
        let row = self.wait(source.process, wait);
        if row[8] == NULL {
            let how = match how {
                WaitHow::Unknown => 0,
                WaitHow::Ready => 1,
                WaitHow::Cancelled => 2,
            };
            row[8..].copy_from_slice(&[at, how]);
        }
    }

    fn wait(&mut self, process: i64, wait: WaitId) -> &mut [i64; WAIT_WIDTH] {
        let key = (process, id(wait.0));
        self.waits.entry(key).or_insert_with(|| {
            let mut row = [NULL; WAIT_WIDTH];
            (row[0], row[1]) = key;
            row
        })
    }

    pub(super) fn hold_ended(
        &mut self,
        source: &Source,
        at: i64,
        resource: ResourceId,
        hold: &Holder,
        waits: u64,
    ) {
        self.holds.push([
            source.process,
            id(resource.0),
            id(hold.task.0),
            wall(source.origin, hold.since),
            at,
            id(hold.location.0),
            count(hold.amount),
            count(waits),
        ]);
    }

    pub(super) fn state(
        &mut self,
        source: &Source,
        at: i64,
        resource: ResourceId,
        readings: &[Metric],
    ) {
        let mut row = [NULL; STATE_WIDTH];
        row[..3].copy_from_slice(&[source.process, id(resource.0), at]);
        for reading in readings.iter().filter(|reading| reading.value.is_finite()) {
            if let Some(place) = READINGS.iter().position(|name| *name == reading.name) {
                row[3 + place] = count(reading.value.max(0.0) as u64);
            }
        }
        if row[3..].iter().any(|&value| value != NULL) {
            self.states.push(row);
        }
    }

    /// Writes everything; `words` are the ids of the words of the commit.
    pub(super) async fn write(
        self,
        db: &mut SqliteConnection,
        words: &[i64],
    ) -> Result<(), sqlx::Error> {
        let (mut begun, mut only_ended) =
            (PackedRows::new(WAIT_WIDTH), PackedRows::new(WAIT_WIDTH));
        let mut waits: Vec<_> = self.waits.into_values().collect();
        // In the order of the table, which makes the writes to it sequential.
        waits.sort_unstable_by_key(|row| (row[0], row[1]));
        for mut row in waits {
            row[OP] = word_id(words, row[OP]);
            let rows = if row[7] == NULL { &mut only_ended } else { &mut begun };
            rows.push(&row);
        }
        packed(db, UPSERT_BEGUN, begun).await?;
        packed(db, UPSERT_ENDED, only_ended).await?;
        packed(db, INSERT_HOLDERS, all(&self.holders)).await?;
        packed(db, INSERT_HOLDS, all(&self.holds)).await?;
        packed(db, &UPSERT_STATES, all(&self.states)).await?;
        packed(db, &INSERT_READINGS, all(&self.states)).await
    }
}

fn all<const WIDTH: usize>(rows: &[[i64; WIDTH]]) -> PackedRows {
    let mut packed = PackedRows::new(WIDTH);
    rows.iter().for_each(|row| packed.push(row));
    packed
}

const UPSERT_BEGUN: &str = "INSERT INTO wait
        (process, wait, task, resource, op, location, amount, began_at, ended_at, how)
    SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM packed_rows(?, ?) WHERE true
    ON CONFLICT DO UPDATE SET
        task = coalesce(task, excluded.task), resource = coalesce(resource, excluded.resource),
        op = coalesce(op, excluded.op), location = coalesce(location, excluded.location),
        amount = coalesce(amount, excluded.amount),
        began_at = coalesce(began_at, excluded.began_at),
        ended_at = coalesce(ended_at, excluded.ended_at), how = coalesce(how, excluded.how)";

/// Touches no index but that of the pending ones.
const UPSERT_ENDED: &str = "INSERT INTO wait (process, wait, ended_at, how)
    SELECT c0, c1, c8, c9 FROM packed_rows(?, ?) WHERE true
    ON CONFLICT DO UPDATE SET
        ended_at = coalesce(ended_at, excluded.ended_at), how = coalesce(how, excluded.how)";

const INSERT_HOLDERS: &str = "INSERT OR IGNORE INTO wait_holder
        (process, wait, place, task, since, location, amount)
    SELECT c0, c1, c2, c3, c4, c5, c6 FROM packed_rows(?, ?)";

const INSERT_HOLDS: &str = "INSERT INTO hold
        (process, resource, task, since, ended_at, location, amount, waits)
    SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM packed_rows(?, ?)";

/// `c0, c1, …` for a state.
static STATE_VALUES: LazyLock<String> = LazyLock::new(|| {
    (0..STATE_WIDTH).map(|column| format!("c{column}")).collect::<Vec<_>>().join(", ")
});

static INSERT_READINGS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO resource_reading (process, resource, at, {STATE_COLUMNS})
         SELECT {} FROM packed_rows(?, ?)",
        *STATE_VALUES
    )
});

/// Of each reading the latest stays, whatever the order in which they come.
static UPSERT_STATES: LazyLock<String> = LazyLock::new(|| {
    let update = |column: &str| {
        format!(
            "{column} = iif(excluded.at >= at, coalesce(excluded.{column}, {column}),
                            coalesce({column}, excluded.{column}))"
        )
    };
    let updates: Vec<_> = STATE_COLUMNS.split(',').map(|column| update(column.trim())).collect();
    format!(
        "INSERT INTO resource_state (process, resource, at, {STATE_COLUMNS})
         SELECT {} FROM packed_rows(?, ?) WHERE true
         ON CONFLICT DO UPDATE SET {}, at = max(at, excluded.at)",
        *STATE_VALUES,
        updates.join(", ")
    )
});
