//! The table of tracked resources.

use loopd_model::ResourceId;
use loopd_store::{MAX_COUNTED, Reader, ResourceQuery, ResourceRow, ResourceState, WaitQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs, word};
use super::slow::{self, Frame};
use super::tasks::{DEFAULT_LIMIT, Location, MAX_LIMIT};
use super::text::{IdText, UnixNanosText};
use super::waits::{self, Hold, Holder, Wait};
use super::{ViewError, find_process, is_false, vocabulary, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/resources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourcesView {
    /// How many the filter lets through, as far as they were counted.
    pub total: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// One page of them, newest first; of closed ones those that were closed last.
    pub rows: Vec<Resource>,
}

/// One thing that was opened and must be closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// Its id.
    pub resource: IdText,
    /// `file`, `socket`, or what the program calls it.
    pub kind: String,
    /// A path or an address; empty if not given.
    pub name: String,
    /// Where it was opened; null if not known.
    pub location: Option<Location>,
    /// By which task; null outside any task.
    pub task: Option<IdText>,
    /// When it was opened; when it was closed, if its opening was lost.
    pub opened_at: UnixNanosText,
    /// When it was closed; null while it is open.
    pub closed_at: Option<UnixNanosText>,
    /// `closed`, `dropped` or `unclosed`; null while it is open.
    #[schema(value_type = Option<vocabulary::CloseHow>)]
    pub how: Option<String>,
    /// How things stand with it; null if it never told.
    pub state: Option<State>,
}

/// How things stand, or stood, with a resource; null for what it does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ResourceState)]
pub struct State {
    /// When the latest of these was told.
    pub at: UnixNanosText,
    /// Values in a queue.
    pub depth: Option<u64>,
    /// Values or permits that there can be.
    pub capacity: Option<u64>,
    /// Permits that are free.
    pub permits: Option<u64>,
    /// Waits that last.
    pub waiters: Option<u64>,
    /// Handles that can send.
    pub senders: Option<u64>,
    /// Handles that can receive.
    pub receivers: Option<u64>,
    /// Whether somebody has it.
    pub locked: Option<bool>,
    /// How often it was taken, in all; this and the rest are running totals.
    pub acquired: Option<u64>,
    /// How often somebody waited.
    pub contended: Option<u64>,
    /// Time of all waits, in nanoseconds.
    pub waited_time: Option<u64>,
    /// Time of all holds, in nanoseconds.
    pub held_time: Option<u64>,
    /// Values sent.
    pub sent: Option<u64>,
    /// Values received.
    pub received: Option<u64>,
    /// Values that a receiver missed.
    pub lagged: Option<u64>,
}

/// `GET /api/v1/resources/{process}/{resource}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    /// The resource.
    pub resource: Resource,
    /// The stack that opened it, leaf first; empty if it was not taken.
    pub open_stack: Vec<Frame>,
    /// Who holds it now, as far as those who wait for it know.
    pub holders: Vec<Holder>,
    /// Waits that last, longest first.
    pub waits: Vec<Wait>,
    /// Its last [`MAX_PAST`] waits, whatever became of them, latest first.
    pub past_waits: Vec<Wait>,
    /// Its latest holds that somebody waited for, or that took long, latest first.
    pub holds: Vec<Hold>,
    /// How things stood with it, latest first.
    pub states: Vec<State>,
}

/// How many past waits are shown of one resource or one task.
pub const MAX_PAST: u64 = 50;

/// Which resources to show.
#[derive(Clone, Debug, Default)]
pub struct ResourceFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Only open ones, only closed ones, or both.
    pub is_open: Option<bool>,
    /// How many to skip.
    pub offset: u64,
    /// How many to show; 0 for [`DEFAULT_LIMIT`].
    pub limit: u64,
}

/// The names of the states to choose from.
pub const STATES: [(&str, Option<bool>); 3] =
    [("all", None), ("open", Some(true)), ("closed", Some(false))];

impl Described for ResourceFilter {
    fn params() -> Vec<Param> {
        use super::described::{number, offset, process, words};
        vec![
            process(),
            words("state", &STATES, Some("all"), "Only open ones, only closed ones, or both."),
            offset(),
            number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT, "How many rows to give."),
        ]
    }
}

impl ResourceFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 4] = ["process", "state", "offset", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            is_open: params.one_of("state", &STATES)?.flatten(),
            offset: params.between("offset", 0, 0, i64::MAX as u64)?,
            limit: params.between("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("state", word(&STATES, self.is_open))
            .add("offset", Some(self.offset))
            .add("limit", Some(self.limit()))
    }

    fn limit(&self) -> u64 {
        if self.limit == 0 { DEFAULT_LIMIT } else { self.limit.min(MAX_LIMIT) }
    }
}

/// One page of resources.
pub async fn resources(
    reader: &Reader,
    filter: &ResourceFilter,
) -> Result<ResourcesView, ViewError> {
    let process = find_process(reader, filter.process).await?.process;
    let query = ResourceQuery {
        process,
        task: None,
        is_open: filter.is_open,
        offset: filter.offset,
        limit: filter.limit(),
    };
    let page = reader.resources(&query).await?;
    let rows = page.rows.into_iter().map(Resource::from).collect();
    let more = page.total > MAX_COUNTED;
    Ok(ResourcesView { total: page.total.min(MAX_COUNTED), more, rows })
}

/// One resource of a process.
pub async fn resource(
    reader: &Reader,
    process: i64,
    resource: u64,
) -> Result<ResourceView, ViewError> {
    let key = find_process(reader, Some(process)).await?.process;
    let id = ResourceId(resource);
    let detail = reader.resource(key, id).await?;
    let detail = detail.ok_or(ViewError::NoResource { process, resource })?;
    let query = WaitQuery {
        process: key,
        resource: Some(id),
        is_pending: true,
        limit: MAX_LIMIT,
        ..WaitQuery::default()
    };
    let waits = waits::list(reader, &query).await?.rows;
    let past = WaitQuery { is_pending: false, limit: MAX_PAST, ..query };
    Ok(ResourceView {
        resource: Resource::from(detail.resource),
        open_stack: slow::frames(&detail.open_stack),
        holders: holders(&waits),
        past_waits: waits::list(reader, &past).await?.rows,
        waits,
        holds: detail.holds.iter().map(Hold::from).collect(),
        states: detail.states.iter().map(State::from).collect(),
    })
}

/// Those who hold up the waits, each once.
fn holders(waits: &[Wait]) -> Vec<Holder> {
    let mut holders: Vec<Holder> = Vec::new();
    let now = waits.iter().flat_map(|wait| &wait.holders);
    for holder in now.filter(|holder| holder.released_at.is_none()) {
        let is_known =
            |known: &&Holder| (known.task, known.since_at) == (holder.task, holder.since_at);
        if holders.iter().find(is_known).is_none() {
            holders.push(holder.clone());
        }
    }
    holders
}

impl From<&ResourceState> for State {
    fn from(state: &ResourceState) -> Self {
        Self {
            at: state.at.into(),
            depth: state.depth,
            capacity: state.capacity,
            permits: state.permits,
            waiters: state.waiters,
            senders: state.senders,
            receivers: state.receivers,
            locked: state.is_locked,
            acquired: state.acquired,
            contended: state.contended,
            waited_time: state.waited_time,
            held_time: state.held_time,
            sent: state.sent,
            received: state.received,
            lagged: state.lagged,
        }
    }
}

impl From<ResourceRow> for Resource {
    fn from(row: ResourceRow) -> Self {
        Self {
            resource: IdText(row.resource.0),
            kind: row.kind,
            name: row.name,
            location: row.location.map(Location::from),
            task: row.task.and_then(words::some_task),
            opened_at: row.opened_at.or(row.closed_at).unwrap_or_default().into(),
            closed_at: row.closed_at.map(UnixNanosText::from),
            how: row.how.map(|how| words::close_how(how).into()),
            state: (row.state != ResourceState::default()).then(|| State::from(&row.state)),
        }
    }
}

/// The columns of the table as comma-separated values.
pub fn csv(rows: &[Resource]) -> Csv {
    let mut csv = Csv::new([
        "resource",
        "kind",
        "name",
        "location",
        "task",
        "opened_at",
        "closed_at",
        "how",
        "depth",
        "capacity",
        "permits",
        "waiters",
        "locked",
        "acquired",
        "contended",
        "waited_time",
        "held_time",
    ]);
    for row in rows {
        let told = |of: fn(&State) -> Option<u64>| optional(row.state.as_ref().and_then(of));
        csv.row([
            row.resource.to_string(),
            row.kind.clone(),
            row.name.clone(),
            optional(row.location.as_ref()),
            optional(row.task),
            row.opened_at.to_string(),
            optional(row.closed_at),
            row.how.clone().unwrap_or_default(),
            told(|state| state.depth),
            told(|state| state.capacity),
            told(|state| state.permits),
            told(|state| state.waiters),
            optional(row.state.as_ref().and_then(|state| state.locked)),
            told(|state| state.acquired),
            told(|state| state.contended),
            told(|state| state.waited_time),
            told(|state| state.held_time),
        ]);
    }
    csv
}
