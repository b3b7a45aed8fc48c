//! The table of tracked resources.

use loopd_store::{Reader, ResourceQuery, ResourceRow};
use serde::{Deserialize, Serialize};

use super::params::Params;
use super::tasks::{DEFAULT_LIMIT, Location, MAX_LIMIT};
use super::text::{IdText, UnixNanosText};
use super::{ViewError, find_process, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/resources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourcesView {
    /// How many the filter lets through.
    pub total: u64,
    /// One page of them, newest first.
    pub rows: Vec<Resource>,
}

/// One thing that was opened and must be closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub how: Option<String>,
}

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

const STATES: [(&str, Option<bool>); 3] =
    [("all", None), ("open", Some(true)), ("closed", Some(false))];

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
}

/// One page of resources.
pub async fn resources(
    reader: &Reader,
    filter: &ResourceFilter,
) -> Result<ResourcesView, ViewError> {
    let process = find_process(reader, filter.process).await?.process;
    let query = ResourceQuery {
        process: Some(process),
        task: None,
        is_open: filter.is_open,
        offset: filter.offset,
        limit: if filter.limit == 0 { DEFAULT_LIMIT } else { filter.limit.min(MAX_LIMIT) },
    };
    let page = reader.resources(&query).await?;
    let rows = page.rows.into_iter().map(Resource::from).collect();
    Ok(ResourcesView { total: page.total, rows })
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
        }
    }
}

/// The columns of the table as comma-separated values.
pub fn csv(rows: &[Resource]) -> Csv {
    let mut csv =
        Csv::new(["resource", "kind", "name", "location", "task", "opened_at", "closed_at", "how"]);
    for row in rows {
        csv.row([
            row.resource.to_string(),
            row.kind.clone(),
            row.name.clone(),
            optional(row.location.as_ref()),
            optional(row.task),
            row.opened_at.to_string(),
            optional(row.closed_at),
            row.how.clone().unwrap_or_default(),
        ]);
    }
    csv
}
