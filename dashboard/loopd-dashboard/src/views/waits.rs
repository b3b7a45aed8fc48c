//! Who waits for what, who holds them up, and who that one waits for in turn.

use loopd_analysis::findings::{OpenWait, WaitHolder};
use loopd_analysis::wait_graph::{self, Graph};
use loopd_model::{ResourceId, TaskId, UnixNanos};
use loopd_store::{
    HoldRow, HolderRow, MAX_COUNTED_WAITS, MAX_WAITS_AT, Reader, WaitQuery, WaitRow, WaitState,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chains::{OpenWaits, Step, shown};
use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::tasks::{DEFAULT_LIMIT, MAX_LIMIT};
use super::text::{IdText, UnixNanosText, duration_text};
use super::{ViewError, find_process, vocabulary, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/waits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaitsView {
    /// How many the filter lets through, counted up to 10,000.
    pub total: u64,
    /// Whether there are more than `total`.
    pub more: bool,
    /// The instant at which they lasted; null if none was asked for.
    #[serde(default)]
    pub at: Option<UnixNanosText>,
    /// One page of them: those that last, longest first; otherwise the latest first.
    pub rows: Vec<Wait>,
}

/// One wait of a task for a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// `pending`, `ready`, `cancelled`, or `unfinished`: its task or its process ended first, its end may have
    /// been lost, or nobody knows how it ended.
    #[schema(value_type = vocabulary::WaitState)]
    pub state: String,
    /// Who held the resource when it began, and who took it last since then.
    pub holders: Vec<Holder>,
    /// While it lasts: the task that holds it up, the task that holds up that one, and so on.
    pub chain: Vec<Link>,
    /// Whether that chain comes back to a task in it: then none of them can go on, but for one that
    /// waits for something else as well, or for any of several holders.
    pub cycle: bool,
    /// All of it as a sentence without its subject: `waits 3.2 s to lock mutex config …`.
    pub text: String,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WaitLink)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Those that lasted at this instant, as far as was known then.
    pub at: Option<UnixNanos>,
    /// Of this task.
    pub task: Option<u64>,
    /// For this resource.
    pub resource: Option<u64>,
    /// How many to skip.
    pub offset: u64,
    /// How many to show; 0 for [`DEFAULT_LIMIT`].
    pub limit: u64,
}

impl Described for WaitFilter {
    fn params() -> Vec<Param> {
        use super::described::{flag, id, instant, number, offset, process};
        vec![
            process(),
            flag("pending", "Whether only those that last are wanted."),
            instant("at", "Those that lasted at this instant, as far as was known then."),
            id("task", "Only those of this task."),
            id("resource", "Only those for this resource."),
            offset(),
            number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT, "How many rows to give."),
        ]
    }
}

impl WaitFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 7] =
        ["process", "pending", "at", "task", "resource", "offset", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            pending: params.flag("pending")?,
            at: params.instant("at")?,
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
            .add("at", self.at.map(|at| at.0))
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
    if let Some(at) = filter.at {
        let found = reader.waits_at(process, Some(at)).await?;
        let (at, waits) = found.unwrap_or((at, Vec::new()));
        return Ok(at_instant(filter, at, &waits));
    }
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
    let open = OpenWaits::read(reader, query.process, &page.rows).await?;
    let rows = page.rows.iter().map(|row| Wait::new(row, &open)).collect();
    let more = page.total > MAX_COUNTED_WAITS;
    Ok(WaitsView { total: page.total.min(MAX_COUNTED_WAITS), more, at: None, rows })
}

/// Those of all waits of an instant that a filter lets through, with chains through all of them.
fn at_instant(filter: &WaitFilter, at: UnixNanos, waits: &[OpenWait]) -> WaitsView {
    let edges = |wait: &OpenWait| wait_graph::Wait {
        task: wait.task.unwrap_or_default(),
        // Outside any task there is nobody to come back to.
        blockers: wait.task.map(|_| wait.blockers()).unwrap_or_default(),
        spare: 0,
    };
    let graph = Graph::new(waits.iter().map(edges).collect());
    let is_wanted = |wait: &OpenWait| {
        let task = filter.task.is_none_or(|task| wait.task == Some(TaskId(task)));
        let resource = |wanted| wait.resource == Some(ResourceId(wanted));
        task && filter.resource.is_none_or(resource)
    };
    let wanted: Vec<_> = (0..waits.len()).filter(|&index| is_wanted(&waits[index])).collect();
    let (skipped, limit) = (filter.offset as usize, filter.limit() as usize);
    let page = wanted.iter().skip(skipped).take(limit);
    WaitsView {
        total: wanted.len() as u64,
        more: waits.len() >= MAX_WAITS_AT,
        at: Some(at.into()),
        rows: page.map(|&index| Wait::at_instant(at, waits, &graph, index)).collect(),
    }
}

impl Wait {
    fn new(row: &WaitRow, open: &OpenWaits) -> Self {
        let (steps, cycle) = open.chain(row);
        let wait = Self {
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
            chain: steps.iter().map(Link::new).collect(),
            cycle,
            text: String::new(),
        };
        Self { text: sentence(&wait, row.is_open), ..wait }
    }

    /// One of the waits that lasted at an instant.
    fn at_instant(at: UnixNanos, waits: &[OpenWait], graph: &Graph, index: usize) -> Self {
        let chain = shown(graph.chain(index));
        let it = &waits[index];
        let wait = Self {
            wait: IdText(it.wait.0),
            task: it.task.and_then(words::some_task),
            task_name: words::some_text(&it.task_name),
            resource: ResourceRef::of_open(it),
            op: it.op.clone(),
            location: it.location.clone(),
            amount: it.amount,
            began_at: it.began_at.into(),
            ended_at: None,
            length: at.0.saturating_sub(it.began_at.0).max(0) as u64,
            state: WaitState::Pending.as_str().into(),
            holders: it.holders.iter().map(Holder::of_open).collect(),
            chain: chain
                .steps
                .iter()
                .map(|&step| Link::at_instant(waits, graph, &chain, step))
                .collect(),
            cycle: chain.is_cycle,
            text: String::new(),
        };
        Self { text: sentence(&wait, true), ..wait }
    }
}

impl Link {
    fn new(step: &Step<'_>) -> Self {
        Self {
            task: IdText(step.task.0),
            task_name: step.holder.task_name.clone(),
            op: step.wait.map(|own| own.op.clone()).unwrap_or_default(),
            resource: step.wait.and_then(ResourceRef::of),
            location: step.wait.and_then(|own| own.location.as_ref()).map(words::place),
        }
    }

    fn at_instant(
        waits: &[OpenWait],
        graph: &Graph,
        chain: &wait_graph::Chain,
        step: wait_graph::Step,
    ) -> Self {
        let task = graph.blocker(step);
        let own = graph.way_on(chain, step).map(|wait| &waits[wait]);
        let mut holders = waits[step.wait].holders.iter();
        let holder = holders.find(|holder| holder.task == Some(task));
        let names = [own.map(|own| &own.task_name), holder.map(|holder| &holder.task_name)];
        Self {
            task: IdText(task.0),
            task_name: names.into_iter().flatten().find_map(|name| words::some_text(name)),
            op: own.map(|own| own.op.clone()).unwrap_or_default(),
            resource: own.and_then(ResourceRef::of_open),
            location: own.and_then(|own| own.location.clone()),
        }
    }
}

impl ResourceRef {
    pub(super) fn of(row: &WaitRow) -> Option<Self> {
        row.resource.map(|resource| Self {
            resource: IdText(resource.0),
            kind: row.resource_kind.clone(),
            name: row.resource_name.clone(),
            location: row.resource_location.as_ref().map(words::place),
        })
    }

    fn of_open(wait: &OpenWait) -> Option<Self> {
        wait.resource.map(|resource| Self {
            resource: IdText(resource.0),
            kind: wait.resource_kind.clone(),
            name: wait.resource_name.clone(),
            location: wait.resource_location.clone(),
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
fn sentence(wait: &Wait, is_open: bool) -> String {
    let verb = if is_open { "waits" } else { "waited" };
    let op = if wait.op.is_empty() { String::new() } else { format!(" in {}", wait.op) };
    let what = wait.resource.as_ref().map_or(String::new(), |what| format!(" for {what}"));
    let place = wait.location.as_ref().map_or(String::new(), |place| format!(" at {place}"));
    let mut text = format!("{verb} {}{what}{op}{place}", duration_text(wait.length));
    // Of several, the one that the chain goes on with.
    let first = wait.chain.first().map(|link| link.task);
    let is_first = |holder: &&Holder| holder.released_at.is_none() && holder.task == first;
    let holder = match is_open {
        true => wait.holders.iter().find(|holder| first.is_some() && is_first(holder)),
        false => wait.holders.first(),
    };
    if let Some((holder, task)) = holder.and_then(|holder| Some((holder, holder.task?))) {
        let name = holder.task_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        let taken = holder.location.as_ref();
        let taken = taken.map_or(String::new(), |place| format!(", taken at {place}"));
        let now = wait.began_at.0.saturating_add(wait.length.min(i64::MAX as u64) as i64);
        let time = duration_text(now.saturating_sub(holder.since_at.0).max(0) as u64);
        text.push_str(&if is_open {
            format!(", held by task {task}{name} for {time}{taken}")
        } else {
            format!(", held by task {task}{name}{taken}")
        });
    }
    match wait.chain.as_slice() {
        _ if wait.cycle => text.push_str("; in the end it waits for itself"),
        [_, .., root] => text.push_str(&format!("; in the end it waits for task {}", root.task)),
        _ => {}
    }
    text
}

impl Holder {
    fn of_open(holder: &WaitHolder) -> Self {
        Self {
            task: holder.task.and_then(words::some_task),
            task_name: words::some_text(&holder.task_name),
            since_at: holder.since_at.into(),
            location: holder.location.clone(),
            amount: holder.amount,
            released_at: None,
            later: holder.is_later,
        }
    }
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
    use super::super::chains::tests::{open, waits};
    use super::*;

    fn text(script: &str) -> String {
        let rows = waits(script);
        Wait::new(&rows[0], &open(&rows)).text
    }

    #[test]
    fn a_wait_is_told_in_one_sentence() {
        assert_eq!(
            text("1>2 2>3"),
            "waits 2.00 s for mutex 10 in lock, held by task 2 for 3.00 s; in the end it waits \
             for task 3"
        );
        let text = text("1>1");
        assert!(text.ends_with("in the end it waits for itself"), "{text}");
    }

    #[test]
    fn the_holder_that_is_told_is_the_one_that_the_chain_goes_on_with() {
        let text = text("1>2+3 3>1");
        assert!(text.contains("held by task 3 for"), "{text}");
        assert!(text.ends_with("in the end it waits for itself"), "{text}");
    }
}
