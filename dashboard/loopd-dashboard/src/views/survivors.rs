//! What was spawned or opened in a range, and is still there: how much of it, what it waits for, and who
//! made it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use loopd_model::{TaskId, UnixNanos};
use loopd_store::{Opener, ProcessKey, Reader, Survivor, SurvivorSite, SurvivorSites, WaitRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chains::holders_now;
use super::described::{Described, Param};
use super::leaks::{end_of_life, forgotten_text, gone, is_about_lives, missing, unseen};
use super::params::{Params, QueryPairs};
use super::tasks::Location;
use super::text::{IdText, UnixNanosText};
use super::waits::ResourceRef;
use super::{ViewError, find_process, is_false, words};
use crate::csv::{Csv, optional};

/// `GET /api/v1/survivors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurvivorsView {
    /// Of which process.
    pub process: i64,
    /// Born after this.
    pub from: UnixNanosText,
    /// And by this.
    pub to: UnixNanosText,
    /// Still there at this instant: the last of the recording, before the program began to shut down.
    pub at: UnixNanosText,
    /// Tasks, by the line that spawned them.
    pub tasks: Survivors,
    /// Resources, by kind and the line that opened them.
    pub resources: Survivors,
    /// Whether the capture is complete enough to say that something has not ended.
    pub complete: bool,
    /// What is missing, if something is.
    pub caveat: Option<String>,
}

/// Survivors of one sort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Survivors {
    /// How many were born in the range, those of other lines as well.
    pub born: u64,
    /// Whether there were too many to count them one by one: then `born` is about their number, or the
    /// least that it can be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub about: bool,
    /// How many of them are still there, as far as they were counted.
    pub alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The lines that made what is still there, those that made the most first.
    pub sites: Vec<Site>,
}

/// The survivors of one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SurvivorSite)]
pub struct Site {
    /// Where they were spawned or opened; null if not known.
    pub location: Option<Location>,
    /// What they are: `task`, or the kind of resources, empty if it is not known.
    pub kind: String,
    /// How many were born in the range.
    pub born: u64,
    /// Whether that is about their number, or the least that it can be.
    #[serde(default, skip_serializing_if = "is_false")]
    pub about: bool,
    /// How many of them are still there, as far as they were counted.
    pub alive: u64,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Share of those born that is still there; null where either was not counted to the end.
    pub share: Option<f64>,
    /// Age of the oldest, in nanoseconds.
    pub oldest_age: u64,
    /// Age that half of them have reached; null if it is not known.
    pub median_age: Option<u64>,
    /// So many, the oldest, were looked at for what follows.
    pub looked: u64,
    /// Who made most of them; null outside any task, or if nobody told.
    pub opened_by: Option<OpenedBy>,
    /// What most of them wait for; null for resources, and where no wait was recorded.
    pub waits_for: Option<WaitsFor>,
    /// Some of the oldest.
    pub examples: Vec<Example>,
}

/// The line whose tasks made most of some survivors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenedBy {
    /// Where these tasks were spawned; null if not known.
    pub location: Option<Location>,
    /// How many survivors are theirs, of those that were looked at.
    pub survivors: u64,
    /// How many tasks of that line made some.
    pub tasks: u64,
    /// The one that made the most.
    pub task: IdText,
    /// Its name; null if it has none.
    pub task_name: Option<String>,
}

/// A wait that survivors have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaitsFor {
    /// To do what: `lock`, `recv` …; empty if not known.
    pub op: String,
    /// Kind of what they wait for; empty if not known.
    pub kind: String,
    /// Where they wait, `file:line`; null if not known.
    pub location: Option<String>,
    /// How many of those that were looked at wait so.
    pub tasks: u64,
    /// What they wait for, if it is one and the same for all; null if not.
    pub resource: Option<ResourceRef>,
    /// Who holds up most of them; null if nobody known does.
    pub held_by: Option<HeldBy>,
}

/// A task that holds up survivors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldBy {
    /// The task.
    pub task: IdText,
    /// Its name; null if it has none.
    pub task_name: Option<String>,
    /// Where it took what they wait for, `file:line`; null if not known.
    pub location: Option<String>,
    /// How many it holds up.
    pub tasks: u64,
}

/// One survivor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Survivor)]
pub struct Example {
    /// The task or the resource.
    pub id: IdText,
    /// Its name; empty if it has none.
    pub name: String,
    /// When it was born.
    pub born_at: UnixNanosText,
    /// Who spawned or opened it; null outside any task.
    pub opened_by: Option<IdText>,
}

/// Which range to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct SurvivorFilter {
    /// Of which process; the newest if not given.
    pub process: Option<i64>,
    /// Born after this; that is any time if not given.
    pub from: Option<UnixNanos>,
    /// Born by this; the end of the recording if not given.
    pub to: Option<UnixNanos>,
}

impl Described for SurvivorFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, process};
        vec![
            process(),
            instant("from", "Born after this; at any time if not given."),
            instant("to", "Born by this; by the end of the data if not given."),
        ]
    }
}

impl SurvivorFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 3] = ["process", "from", "to"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        let (from, to) = (params.instant("from")?, params.instant("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(ViewError::Invalid(format!("`from` ({from}) must be before `to` ({to})")));
        }
        Ok(Self { process: params.parsed("process")?, from, to })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default().add("process", self.process).add("from", self.from).add("to", self.to)
    }
}

/// What was born in a range, and is still there.
pub async fn survivors(
    reader: &Reader,
    filter: &SurvivorFilter,
) -> Result<SurvivorsView, ViewError> {
    let process = find_process(reader, filter.process).await?;
    let at = end_of_life(&process);
    // What was born with the process is not after its start.
    let from = filter.from.unwrap_or(UnixNanos(process.started_at.0.saturating_sub(1)));
    // Of an instant that the recording has not reached yet nothing is known, and nothing is wrong.
    let to = filter.to.unwrap_or(at).min(at).max(from);
    let found = reader.survivors(process.process, (from, to), at).await?;

    let caveat = lost_since(reader, process.process, from).await?;
    Ok(SurvivorsView {
        process: process.process.0,
        from: from.into(),
        to: to.into(),
        at: at.into(),
        tasks: Survivors::new(found.tasks, Some("task")),
        resources: Survivors::new(found.resources, None),
        complete: caveat.is_none(),
        caveat: caveat.or_else(|| unseen(&process.coverage)),
    })
}

/// Why "has not ended" cannot be said of what was born after `from`. What was lost before is no reason.
async fn lost_since(
    reader: &Reader,
    process: ProcessKey,
    from: UnixNanos,
) -> Result<Option<String>, ViewError> {
    let mut losses = reader.losses(process).await?;
    losses.retain(is_about_lives);
    let listed = losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let forgotten = gone(&reader.ledger(process).await?).saturating_sub(listed);
    losses.retain(|loss| loss.to_at >= from);
    Ok(missing(&losses).or_else(|| forgotten_text(forgotten)))
}

impl Survivors {
    fn new(found: SurvivorSites, kind: Option<&str>) -> Self {
        let about = !found.is_born_exact;
        let site = |site: SurvivorSite| Site::new(site, kind, about);
        Self {
            born: found.born,
            about,
            alive: found.alive,
            more: found.has_more,
            sites: found.sites.into_iter().map(site).collect(),
        }
    }
}

impl Site {
    fn new(site: SurvivorSite, kind: Option<&str>, about: bool) -> Self {
        let is_counted = !about && !site.has_more && site.born > 0;
        Self {
            share: is_counted.then(|| site.alive as f64 / site.born as f64),
            waits_for: most_common_wait(&site.waits),
            location: site.location.map(Location::from),
            kind: kind.map_or(site.kind, str::to_owned),
            born: site.born,
            about,
            alive: site.alive,
            more: site.has_more,
            oldest_age: site.oldest_age,
            median_age: site.median_age,
            looked: site.looked,
            opened_by: site.opener.map(OpenedBy::from),
            examples: site.examples.into_iter().map(Example::from).collect(),
        }
    }
}

/// The wait that most tasks have in common: operation, kind of resource and line. Of equals the one in
/// which somebody holds up more of them.
fn most_common_wait(waits: &[WaitRow]) -> Option<WaitsFor> {
    let mut groups: BTreeMap<_, Vec<&WaitRow>> = BTreeMap::new();
    for wait in waits {
        let location = wait.location.as_ref().map(words::place);
        groups.entry((&wait.op, &wait.resource_kind, location)).or_default().push(wait);
    }
    let told = groups.into_iter().map(|((op, kind, location), waits)| {
        let first = waits[0];
        let is_same = waits.iter().all(|wait| wait.resource == first.resource);
        WaitsFor {
            op: op.clone(),
            kind: kind.clone(),
            location,
            // A task may wait in one way for several things at once.
            tasks: waits.iter().map(|wait| wait.task).collect::<BTreeSet<_>>().len() as u64,
            resource: ResourceRef::of(first).filter(|_| is_same),
            held_by: most_common_holder(&waits),
        }
    });
    let told: Vec<_> = told.collect();
    let weight = |it: &WaitsFor| (it.tasks, it.held_by.as_ref().map_or(0, |holder| holder.tasks));
    // The last of equals, so that the answer is the same each time.
    told.into_iter().max_by_key(weight)
}

/// The task that holds up most of some waits.
fn most_common_holder(waits: &[&WaitRow]) -> Option<HeldBy> {
    let mut held: BTreeMap<TaskId, (BTreeSet<_>, _)> = BTreeMap::new();
    for wait in waits {
        for (task, holder) in holders_now(wait) {
            held.entry(task).or_insert((BTreeSet::new(), holder)).0.insert(wait.task);
        }
    }
    let most = held.into_iter().max_by_key(|(task, (tasks, _))| (tasks.len(), Reverse(*task)))?;
    let (task, (tasks, holder)) = most;
    Some(HeldBy {
        task: IdText(task.0),
        task_name: holder.task_name.clone(),
        location: holder.location.as_ref().map(words::place),
        tasks: tasks.len() as u64,
    })
}

impl From<Opener> for OpenedBy {
    fn from(opener: Opener) -> Self {
        Self {
            location: opener.location.map(Location::from),
            survivors: opener.survivors,
            tasks: opener.tasks,
            task: IdText(opener.task.0),
            task_name: opener.task_name,
        }
    }
}

impl From<Survivor> for Example {
    fn from(survivor: Survivor) -> Self {
        Self {
            id: IdText(survivor.id),
            name: survivor.name,
            born_at: survivor.born_at.into(),
            opened_by: survivor.opener.and_then(words::some_task),
        }
    }
}

impl std::fmt::Display for WaitsFor {
    /// `lock of mutex config at src/a.rs:7, held by task 12 (reloader)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.op.is_empty() { "something" } else { &self.op })?;
        match &self.resource {
            Some(resource) => write!(f, " of {resource}")?,
            None if !self.kind.is_empty() => write!(f, " of {}", self.kind)?,
            None => {}
        }
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        let Some(held_by) = &self.held_by else { return Ok(()) };
        write!(f, ", held by task {}", held_by.task)?;
        held_by.task_name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// Tasks and resources in one table of comma-separated values.
pub fn csv(view: &SurvivorsView) -> Csv {
    let mut csv = Csv::new([
        "what",
        "location",
        "born",
        "alive",
        "share",
        "oldest_age",
        "median_age",
        "waits_for",
        "opened_by",
        "opener_location",
        "examples",
    ]);
    for site in view.tasks.sites.iter().chain(&view.resources.sites) {
        let examples: Vec<_> = site.examples.iter().map(|it| it.id.to_string()).collect();
        let opener = site.opened_by.as_ref();
        csv.row([
            site.kind.as_str(),
            &optional(site.location.as_ref()),
            &site.born.to_string(),
            &site.alive.to_string(),
            &optional(site.share),
            &site.oldest_age.to_string(),
            &optional(site.median_age),
            &optional(site.waits_for.as_ref()),
            &optional(opener.map(|it| it.task)),
            &optional(opener.and_then(|it| it.location.as_ref())),
            &examples.join(" "),
        ]);
    }
    csv
}
