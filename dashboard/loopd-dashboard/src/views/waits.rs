//! Who waits for what, who holds them up, and who that one waits for in turn.

use std::collections::HashMap;

use loopd_model::{ResourceId, TaskId};
use loopd_store::{HoldRow, HolderRow, MAX_COUNTED_WAITS, ProcessKey, Reader, WaitQuery, WaitRow};
use serde::{Deserialize, Serialize};

use super::params::{Params, QueryPairs};
use super::tasks::{DEFAULT_LIMIT, MAX_LIMIT};
use super::text::{IdText, UnixNanosText, duration_text};
use super::{ViewError, find_process, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/waits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitsView {
    /// How many the filter lets through, counted up to 10,000.
    pub total: u64,
    /// Whether there are more than `total`.
    pub more: bool,
    /// One page of them: those that last, longest first; otherwise the latest first.
    pub rows: Vec<Wait>,
}

/// One wait of a task for a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// Its id.
    pub wait: IdText,
    /// Who waits; null outside any task.
    pub task: Option<IdText>,
    /// That task's name; null if it has none.
    pub task_name: Option<String>,
    /// For what; null if not known.
    pub resource: Option<ResourceRef>,
    /// To do what: `lock`, `send` …; empty if not known.
    pub op: String,
    /// Where it waits, `file:line`; null if not known.
    pub location: Option<String>,
    /// Permits wanted; 0 where nothing is counted.
    pub amount: u64,
    /// When it began.
    pub began_at: UnixNanosText,
    /// When it ended; null while it lasts.
    pub ended_at: Option<UnixNanosText>,
    /// How long it took, or is known to have lasted, in nanoseconds.
    pub length: u64,
    /// `pending`, `ready`, `cancelled`, or `unfinished`: its task or its process ended first, or its end
    /// may have been lost.
    pub state: String,
    /// Who held the resource when it began, and who took it last since then.
    pub holders: Vec<Holder>,
    /// While it lasts: the task that holds it up, the task that holds up that one, and so on.
    pub chain: Vec<Link>,
    /// Whether that chain comes back to a task in it: then none of them can go on.
    pub cycle: bool,
    /// All of it as a sentence without its subject: `waits 3.2 s to lock mutex config …`.
    pub text: String,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRef {
    /// Its id.
    pub resource: IdText,
    /// What it is; empty if its opening was not seen.
    pub kind: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// Where it was opened, `file:line`; null if not known.
    pub location: Option<String>,
}

/// A task that held what another one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who; null outside any task.
    pub task: Option<IdText>,
    /// That task's name; null if it has none.
    pub task_name: Option<String>,
    /// Since when.
    pub since_at: UnixNanosText,
    /// Where it took it, `file:line`; null if not known.
    pub location: Option<String>,
    /// Permits; 0 where nothing is counted.
    pub amount: u64,
    /// When it gave it back; null if it has not, as far as known.
    pub released_at: Option<UnixNanosText>,
    /// Whether it took it after the wait began; inferred from its own wait, which ended last.
    pub later: bool,
}

/// One task of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The task.
    pub task: IdText,
    /// Its name; null if it has none.
    pub task_name: Option<String>,
    /// What it waits to do itself; empty if it waits for nothing known: it is the root.
    pub op: String,
    /// For what it waits itself; null if for nothing known.
    pub resource: Option<ResourceRef>,
    /// Where it waits, `file:line`; null if not known.
    pub location: Option<String>,
}

/// One hold that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What was held; null if not known.
    pub resource: Option<IdText>,
    /// By whom; null outside any task.
    pub task: Option<IdText>,
    /// That task's name; null if it has none.
    pub task_name: Option<String>,
    /// Since when.
    pub since_at: UnixNanosText,
    /// Until when.
    pub ended_at: UnixNanosText,
    /// How long, in nanoseconds.
    pub length: u64,
    /// Where it was taken, `file:line`; null if not known.
    pub location: Option<String>,
    /// Permits; 0 where nothing is counted.
    pub amount: u64,
    /// Waits that began meanwhile.
    pub waits: u64,
}

/// Which waits to show.
#[derive(Clone, Debug, Default)]
pub struct WaitFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Only those that last.
    pub pending: bool,
    /// Of this task.
    pub task: Option<u64>,
    /// For this resource.
    pub resource: Option<u64>,
    /// How many to skip.
    pub offset: u64,
    /// How many to show; 0 for [`DEFAULT_LIMIT`].
    pub limit: u64,
}

/// Chains are followed so far; nobody reads a longer one.
const MAX_CHAIN: usize = 32;

impl WaitFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 6] = ["process", "pending", "task", "resource", "offset", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            pending: params.flag("pending")?,
            task: params.parsed("task")?,
            resource: params.parsed("resource")?,
            offset: params.between("offset", 0, 0, i64::MAX as u64)?,
            limit: params.between("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("pending", self.pending.then_some(1))
            .add("task", self.task)
            .add("resource", self.resource)
            .add("offset", Some(self.offset))
            .add("limit", Some(self.limit()))
    }

    fn limit(&self) -> u64 {
        if self.limit == 0 { DEFAULT_LIMIT } else { self.limit.min(MAX_LIMIT) }
    }
}

/// One page of waits.
pub async fn waits(reader: &Reader, filter: &WaitFilter) -> Result<WaitsView, ViewError> {
    let process = find_process(reader, filter.process).await?.process;
    let query = WaitQuery {
        process,
        is_pending: filter.pending,
        task: filter.task.map(TaskId),
        resource: filter.resource.map(ResourceId),
        offset: filter.offset,
        limit: filter.limit(),
    };
    list(reader, &query).await
}

/// The waits of a query, with chains.
pub(super) async fn list(reader: &Reader, query: &WaitQuery) -> Result<WaitsView, ViewError> {
    let page = reader.waits(query).await?;
    let pending = pending(reader, query.process, &page.rows).await?;
    let rows = page.rows.iter().map(|row| Wait::new(row, &pending)).collect();
    let more = page.total > MAX_COUNTED_WAITS;
    Ok(WaitsView { total: page.total.min(MAX_COUNTED_WAITS), more, rows })
}

/// The longest waits that last, by task; none of them if no row needs them.
async fn pending(
    reader: &Reader,
    process: ProcessKey,
    rows: &[WaitRow],
) -> Result<HashMap<TaskId, WaitRow>, ViewError> {
    if !rows.iter().any(|row| row.is_open) {
        return Ok(HashMap::new());
    }
    let query = WaitQuery { process, is_pending: true, limit: MAX_LIMIT, ..WaitQuery::default() };
    Ok(by_task(reader.waits(&query).await?.rows))
}

/// Of a task with several waits the longest, which comes first.
fn by_task(rows: Vec<WaitRow>) -> HashMap<TaskId, WaitRow> {
    let mut by_task = HashMap::new();
    for row in rows {
        if let Some(task) = row.task {
            by_task.entry(task).or_insert(row);
        }
    }
    by_task
}

/// Who holds up a wait now, as far as known.
fn holder_now(wait: &WaitRow) -> Option<&HolderRow> {
    wait.holders.iter().find(|holder| holder.released_at.is_none() && holder.task.is_some())
}

/// The tasks that hold up `wait`, from the nearest on, and whether they come back to one of them.
fn chain(wait: &WaitRow, pending: &HashMap<TaskId, WaitRow>) -> (Vec<Link>, bool) {
    let mut seen: Vec<TaskId> = wait.task.into_iter().collect();
    let mut links = Vec::new();
    let mut holder = holder_now(wait).filter(|_| wait.is_open);
    while let Some(next) = holder.filter(|_| links.len() < MAX_CHAIN) {
        let Some(task) = next.task else { break };
        let own = pending.get(&task);
        links.push(Link {
            task: IdText(task.0),
            task_name: next.task_name.clone(),
            op: own.map(|own| own.op.clone()).unwrap_or_default(),
            resource: own.and_then(ResourceRef::of),
            location: own.and_then(|own| own.location.as_ref()).map(words::place),
        });
        if seen.contains(&task) {
            return (links, true);
        }
        seen.push(task);
        holder = own.and_then(holder_now);
    }
    (links, false)
}

impl Wait {
    fn new(row: &WaitRow, pending: &HashMap<TaskId, WaitRow>) -> Self {
        let (chain, cycle) = chain(row, pending);
        Self {
            wait: IdText(row.wait.0),
            task: row.task.and_then(words::some_task),
            task_name: row.task_name.clone(),
            resource: ResourceRef::of(row),
            op: row.op.clone(),
            location: row.location.as_ref().map(words::place),
            amount: row.amount,
            began_at: row.began_at.into(),
            ended_at: row.ended_at.map(UnixNanosText::from),
            length: row.length,
            state: row.state.as_str().into(),
            holders: row.holders.iter().map(Holder::from).collect(),
            text: sentence(row, &chain, cycle),
            chain,
            cycle,
        }
    }
}

impl ResourceRef {
    fn of(row: &WaitRow) -> Option<Self> {
        row.resource.map(|resource| Self {
            resource: IdText(resource.0),
            kind: row.resource_kind.clone(),
            name: row.resource_name.clone(),
            location: row.resource_location.as_ref().map(words::place),
        })
    }
}

impl std::fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.kind.is_empty() { "resource" } else { &self.kind };
        match (self.name.as_str(), &self.location) {
            ("", Some(location)) => write!(f, "{kind} of {location}"),
            ("", None) => write!(f, "{kind} {}", self.resource),
            (name, _) => write!(f, "{kind} {name}"),
        }
    }
}

/// `waits 3.2 s to lock mutex config at a.rs:10, held by task 12 for 4 s since b.rs:3`.
fn sentence(row: &WaitRow, chain: &[Link], cycle: bool) -> String {
    let verb = if row.is_open { "waits" } else { "waited" };
    let op = if row.op.is_empty() { String::new() } else { format!(" in {}", row.op) };
    let what = ResourceRef::of(row).map_or(String::new(), |what| format!(" for {what}"));
    let place = row.location.as_ref().map(words::place);
    let place = place.map_or(String::new(), |place| format!(" at {place}"));
    let mut text = format!("{verb} {}{what}{op}{place}", duration_text(row.length));
    let holder = if row.is_open { holder_now(row) } else { row.holders.first() };
    if let Some((holder, task)) = holder.and_then(|holder| Some((holder, holder.task?))) {
        let name = holder.task_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        let taken = holder.location.as_ref().map(words::place);
        let taken = taken.map_or(String::new(), |place| format!(", taken at {place}"));
        let now = row.began_at.0.saturating_add(row.length.min(i64::MAX as u64) as i64);
        let time = duration_text(now.saturating_sub(holder.since_at.0).max(0) as u64);
        text.push_str(&if row.is_open {
            format!(", held by task {task}{name} for {time}{taken}")
        } else {
            format!(", held by task {task}{name}{taken}")
        });
    }
    match chain {
        _ if cycle => text.push_str("; in the end it waits for itself"),
        [_, .., root] => text.push_str(&format!("; in the end it waits for task {}", root.task)),
        _ => {}
    }
    text
}

impl From<&HolderRow> for Holder {
    fn from(row: &HolderRow) -> Self {
        Self {
            task: row.task.and_then(words::some_task),
            task_name: row.task_name.clone(),
            since_at: row.since_at.into(),
            location: row.location.as_ref().map(words::place),
            amount: row.amount,
            released_at: row.released_at.map(UnixNanosText::from),
            later: row.is_later,
        }
    }
}

impl From<&HoldRow> for Hold {
    fn from(row: &HoldRow) -> Self {
        Self {
            resource: row.resource.map(|resource| IdText(resource.0)),
            task: row.task.and_then(words::some_task),
            task_name: row.task_name.clone(),
            since_at: row.since_at.into(),
            ended_at: row.ended_at.into(),
            length: row.ended_at.0.saturating_sub(row.since_at.0).max(0) as u64,
            location: row.location.as_ref().map(words::place),
            amount: row.amount,
            waits: row.waits,
        }
    }
}

/// The waits as comma-separated values.
pub fn csv(rows: &[Wait]) -> Csv {
    let mut csv = Csv::new([
        "wait",
        "task",
        "task_name",
        "op",
        "resource",
        "resource_kind",
        "resource_name",
        "location",
        "amount",
        "began_at",
        "ended_at",
        "length",
        "state",
        "holder",
        "cycle",
    ]);
    for row in rows {
        let resource = row.resource.as_ref();
        csv.row([
            row.wait.to_string(),
            optional(row.task),
            row.task_name.clone().unwrap_or_default(),
            row.op.clone(),
            optional(resource.map(|resource| resource.resource)),
            resource.map(|resource| resource.kind.clone()).unwrap_or_default(),
            resource.map(|resource| resource.name.clone()).unwrap_or_default(),
            row.location.clone().unwrap_or_default(),
            row.amount.to_string(),
            row.began_at.to_string(),
            optional(row.ended_at),
            row.length.to_string(),
            row.state.clone(),
            optional(row.holders.iter().find_map(|holder| holder.task)),
            row.cycle.to_string(),
        ]);
    }
    csv
}

#[cfg(test)]
mod tests {
    use loopd_model::{UnixNanos, WaitId};
    use loopd_store::WaitState;

    use super::*;

    /// `"1>2 2>3"`: task 1 waits for what task 2 holds, task 2 for what task 3 holds.
    fn waits(script: &str) -> Vec<WaitRow> {
        let wait = |pair: &str| {
            let (task, holder) = pair.split_once('>').unwrap();
            let id = |text: &str| TaskId(text.parse().unwrap());
            let holder = (holder != "-").then(|| HolderRow {
                task: Some(id(holder)),
                task_name: None,
                since_at: UnixNanos(0),
                location: None,
                amount: 0,
                released_at: None,
                is_later: false,
            });
            WaitRow {
                process: ProcessKey(1),
                wait: WaitId(id(task).0),
                task: Some(id(task)),
                task_name: None,
                resource: Some(ResourceId(id(task).0 * 10)),
                resource_kind: "mutex".into(),
                resource_name: String::new(),
                resource_location: None,
                op: "lock".into(),
                location: None,
                amount: 0,
                began_at: UnixNanos(1_000_000_000),
                ended_at: None,
                length: 2_000_000_000,
                state: WaitState::Pending,
                is_open: true,
                holders: holder.into_iter().collect(),
            }
        };
        script.split(' ').map(wait).collect()
    }

    fn check(script: &str, expected: &str) {
        let rows = waits(script);
        let (links, cycle) = chain(&rows[0], &by_task(rows.clone()));
        let mut picture: Vec<_> = links.iter().map(|link| link.task.to_string()).collect();
        if cycle {
            picture.push("…".into());
        }
        assert_eq!(picture.join(" "), expected, "{script}");
    }

    #[test]
    fn chains_lead_to_the_root_and_end_where_they_come_round() {
        check("1>-", "");
        check("1>2", "2");
        check("1>2 2>3 3>4 9>1", "2 3 4");
        check("1>2 2>1", "2 1 …");
        check("1>1", "1 …");
        check("1>2 2>3 3>2", "2 3 2 …");
        let long: Vec<_> = (1..100).map(|i| format!("{i}>{}", i + 1)).collect();
        let rows = waits(&long.join(" "));
        assert_eq!(chain(&rows[0], &by_task(rows.clone())).0.len(), MAX_CHAIN);
    }

    #[test]
    fn a_wait_is_told_in_one_sentence() {
        let rows = waits("1>2 2>3");
        let wait = Wait::new(&rows[0], &by_task(rows.clone()));
        assert_eq!(
            wait.text,
            "waits 2.00 s for mutex 10 in lock, held by task 2 for 3.00 s; in the end it waits \
             for task 3"
        );
        let rows = waits("1>1");
        let wait = Wait::new(&rows[0], &by_task(rows.clone()));
        assert!(wait.text.ends_with("in the end it waits for itself"), "{}", wait.text);
    }
}
