//! One resource over a stretch of time: who had it, who waited for it, and what was in it.

use loopd_model::{ResourceId, UnixNanos};
use loopd_store::{HoldRow, HolderRow, Reader, ReadingRow, WaitRow, WaitsOf};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DEFAULT_RANGE, LaneWait, MAX_ROWS};
use crate::views::described::{Described, Param};
use crate::views::params::Params;
use crate::views::range::Range;
use crate::views::text::{IdText, UnixNanosText};
use crate::views::waits::ResourceRef;
use crate::views::{ViewError, find_process, words};

/// `GET /api/v1/lanes/resource`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceLaneView {
    /// The resource.
    pub resource: ResourceRef,
    /// When it was opened; null if that was lost.
    pub opened_at: Option<UnixNanosText>,
    /// When it was closed; null while it is open.
    pub closed_at: Option<UnixNanosText>,
    /// The beginning of the stretch.
    pub t0: UnixNanosText,
    /// Its end.
    pub t1: UnixNanosText,
    /// Who had it, oldest first: holds that somebody waited for, or that took long. What was given back at
    /// once, and nobody waited for, is not recorded.
    pub holds: Vec<LaneHold>,
    /// Who waited for it, oldest first.
    pub waits: Vec<LaneWait>,
    /// What was told of it, oldest first, after the last that was told before.
    pub readings: Readings,
    /// Of what was before this some is left out; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub known_from: Option<UnixNanosText>,
}

/// Somebody who had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneHold {
    /// Who; null outside any task.
    pub task: Option<IdText>,
    /// That task's name; null if it has none.
    pub task_name: Option<String>,
    /// Since when.
    pub since_at: UnixNanosText,
    /// When it was given back, or the last instant at which it is known to have been held.
    pub until_at: UnixNanosText,
    /// Whether it was given back then.
    pub over: bool,
    /// Where it was taken, `file:line`; null if not known.
    pub location: Option<String>,
    /// Permits; 0 where nothing is counted.
    pub amount: u64,
    /// Waits that began meanwhile; null while it lasts.
    pub waits: Option<u64>,
}

/// How things stood, column by column, oldest first; null for what was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readings {
    /// When: nanoseconds after `t0`, negative if before.
    pub s: Vec<i64>,
    /// Values in it.
    pub depth: Vec<Option<u64>>,
    /// Values or permits that there can be.
    pub capacity: Vec<Option<u64>>,
    /// Permits that are free.
    pub permits: Vec<Option<u64>>,
    /// Waits that last.
    pub waiters: Vec<Option<u64>>,
}

/// Which resource, and when.
#[derive(Clone, Debug)]
pub struct ResourceLaneFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// The resource.
    pub resource: u64,
    /// From when; a minute before `to` if not given.
    pub from: Option<UnixNanos>,
    /// Until when; the end of the data if not given.
    pub to: Option<UnixNanos>,
}

/// An agent tells the beginning of a hold twice; its clock may have been corrected a little in between.
const SAME_INSTANT: u64 = 1_000_000;

impl Described for ResourceLaneFilter {
    fn params() -> Vec<Param> {
        use crate::views::described::{instant, needed_id, process};
        vec![
            process(),
            needed_id("resource", "The resource."),
            instant("from", "From when on; a minute before `to` if not given."),
            instant("to", "Until when; the end of the data if not given."),
        ]
    }
}

impl ResourceLaneFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 4] = ["process", "resource", "from", "to"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let Some(resource) = params.parsed("resource")? else {
            return Err(ViewError::Invalid("`resource` is missing, as in resource=3".into()));
        };
        Ok(Self {
            process: params.parsed("process")?,
            resource,
            from: params.instant("from")?,
            to: params.instant("to")?,
        })
    }
}

/// Who had a resource and who waited for it in a stretch of time.
pub async fn resource_lane(
    reader: &Reader,
    filter: &ResourceLaneFilter,
) -> Result<ResourceLaneView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let range = Range::new(&process, filter.from, filter.to, DEFAULT_RANGE)?;
    let (key, id) = (process.process, ResourceId(filter.resource));
    let stretch = (range.from, range.to);
    let waits = reader.waits_between(key, WaitsOf::Resource(id), stretch, MAX_ROWS).await?;
    let holds = reader.holds_between(key, id, stretch, MAX_ROWS).await?;
    let readings = reader.readings_between(key, id, stretch, MAX_ROWS).await?;
    let known = reader.resource(key, id).await?.map(|detail| detail.resource);
    // Its opening may have been lost, and those who wait still know what it is called.
    let by_wait = || waits.rows.first().and_then(ResourceRef::of);
    let resource = match &known {
        Some(row) => ResourceRef {
            resource: IdText(filter.resource),
            kind: row.kind.clone(),
            name: row.name.clone(),
            location: row.location.as_ref().map(words::place),
        },
        None => by_wait().ok_or(ViewError::NoResource { process: key.0, resource: id.0 })?,
    };
    let cut = [waits.known_from, holds.known_from, readings.known_from];
    Ok(ResourceLaneView {
        resource,
        opened_at: known.as_ref().and_then(|row| row.opened_at).map(UnixNanosText::from),
        closed_at: known.as_ref().and_then(|row| row.closed_at).map(UnixNanosText::from),
        t0: range.from.into(),
        t1: range.to.into(),
        holds: all_holds(&holds.rows, &waits.rows, process.last_at),
        waits: waits.rows.iter().map(LaneWait::from).collect(),
        readings: Readings::new(&readings.rows, range.from),
        known_from: cut.into_iter().flatten().max().map(UnixNanosText::from),
    })
}

/// Holds that are over, and those of which only who waits for them tells.
fn all_holds(over: &[HoldRow], waits: &[WaitRow], last_at: UnixNanos) -> Vec<LaneHold> {
    let mut holds: Vec<_> = over.iter().map(LaneHold::from).collect();
    for wait in waits {
        for holder in wait.holders.iter().filter(|holder| holder.released_at.is_none()) {
            // While somebody waits it is held; later nobody knows.
            let until = if wait.is_open { last_at } else { wait.ended_at.unwrap_or(wait.began_at) };
            let known = holds.iter_mut().find(|hold| hold.is_of(holder));
            match known {
                Some(hold) if hold.over => {}
                Some(hold) => hold.until_at = hold.until_at.max(until.into()),
                None => holds.push(LaneHold::known_to(holder, until)),
            }
        }
    }
    holds.sort_by_key(|hold| hold.since_at);
    holds
}

impl LaneHold {
    fn is_of(&self, holder: &HolderRow) -> bool {
        self.task == holder.task.and_then(words::some_task)
            && self.since_at.0.abs_diff(holder.since_at.0) <= SAME_INSTANT
    }

    fn known_to(holder: &HolderRow, until: UnixNanos) -> Self {
        Self {
            task: holder.task.and_then(words::some_task),
            task_name: holder.task_name.clone(),
            since_at: holder.since_at.into(),
            until_at: until.max(holder.since_at).into(),
            over: false,
            location: holder.location.as_ref().map(words::place),
            amount: holder.amount,
            waits: None,
        }
    }
}

impl From<&HoldRow> for LaneHold {
    fn from(row: &HoldRow) -> Self {
        Self {
            task: row.task.and_then(words::some_task),
            task_name: row.task_name.clone(),
            since_at: row.since_at.into(),
            until_at: row.ended_at.into(),
            over: true,
            location: row.location.as_ref().map(words::place),
            amount: row.amount,
            waits: Some(row.waits),
        }
    }
}

impl Readings {
    fn new(rows: &[ReadingRow], t0: UnixNanos) -> Self {
        Self {
            s: rows.iter().map(|row| row.at.0.saturating_sub(t0.0)).collect(),
            depth: rows.iter().map(|row| row.depth).collect(),
            capacity: rows.iter().map(|row| row.capacity).collect(),
            permits: rows.iter().map(|row| row.permits).collect(),
            waiters: rows.iter().map(|row| row.waiters).collect(),
        }
    }
}
