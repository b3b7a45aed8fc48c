//! The waits of a range that last: as a graph, and in words.

use std::collections::HashMap;

use loopd_model::{ResourceId, TaskId};

use crate::findings::{Facts, HoldSite, OpenWait, WaitHolder, WaitSite};
use crate::runtime::Runtime;
use crate::wait_graph::{Graph, Step, Wait};

/// Agents name no more holders of one resource: where so many are known, there may be others.
const MAX_HOLDERS: usize = 8;

/// What is awaited so few lines below the one that takes a lock is awaited while it is held, as a rule.
const MAX_LINES: u32 = 10;

/// Whether it is for work or a signal, which come when they come: who waits so is idle. A oneshot brings an
/// answer.
fn is_for_work(site: &WaitSite) -> bool {
    matches!(site.op.as_str(), "recv" | "accept" | "changed" | "notified")
        && !site.resource_kind.contains("oneshot")
}

/// Whether what is held there is mostly held while its holder waits for work, as workers do that share one
/// receiver behind a lock. Whoever waits for the lock is then as idle as its holder.
pub(super) fn is_held_for_work(facts: &Facts, site: &HoldSite) -> bool {
    let Some(taken) = site.location.as_deref() else { return false };
    let is_there = |wait: &&WaitSite| {
        is_for_work(wait) && wait.location.as_deref().is_some_and(|it| is_below(taken, it))
    };
    let waits = facts.wait_sites.iter().filter(is_there);
    let time = waits.map(|wait| wait.total_time).fold(0, u64::saturating_add);
    site.total_time > 0 && time >= site.total_time / 2
}

/// Whether a `file:line` is the other or just below it.
fn is_below(taken: &str, place: &str) -> bool {
    let (Some((file, line)), Some((other, below))) = (split(taken), split(place)) else {
        return false;
    };
    file == other && (line..=line.saturating_add(MAX_LINES)).contains(&below)
}

fn split(place: &str) -> Option<(&str, u32)> {
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

/// Why waits are not known, if they are not.
pub(super) fn missing(facts: &Facts) -> Option<String> {
    if !facts.open_waits.is_empty() || !facts.wait_sites.is_empty() {
        return None;
    }
    let layers: &[&str] = match facts.runtime {
        Runtime::Asyncio => &["waits"],
        Runtime::Tokio | Runtime::EventLoop => &["guards", "tracing"],
        Runtime::Unknown => &["guards", "tracing", "waits"],
    };
    if layers.iter().all(|layer| facts.missing(layer).is_some()) {
        return facts.missing(layers[0]);
    }
    // A layer may be on and yet leave them out.
    let is_off = |reason: &str| reason.contains("waits are switched off");
    let off = facts
        .coverage
        .iter()
        .any(|layer| layers.contains(&layer.layer.as_str()) && is_off(&layer.reason));
    off.then(|| "waits, which are switched off; `loopd capture --waits on` switches them on".into())
}

/// The waits of tasks that last.
pub(super) struct Waiting<'a> {
    pub(super) graph: Graph,
    /// The same without what is inferred of receivers ([`may_get_otherwise`]): whoever waits so may go on.
    pub(super) certain: Graph,
    waits: Vec<&'a OpenWait>,
    names: HashMap<TaskId, &'a str>,
}

impl<'a> Waiting<'a> {
    pub(super) fn of(facts: &'a Facts) -> Self {
        let capacities: HashMap<ResourceId, u64> =
            facts.uses.iter().filter_map(|it| Some((it.resource, it.capacity?))).collect();
        let waits: Vec<_> = facts.open_waits.iter().filter(|wait| wait.task.is_some()).collect();
        let graph = Graph::new(waits.iter().map(|wait| edges(wait, &capacities)).collect());
        let certain = waits.iter().map(|wait| match may_get_otherwise(wait) {
            // The wait stays, so that a step is the same in both.
            true => Wait { blockers: Vec::new(), ..edges(wait, &capacities) },
            false => edges(wait, &capacities),
        });
        let certain = Graph::new(certain.collect());
        let names = waits.iter().filter(|wait| !wait.task_name.is_empty());
        let alive = facts.alive.iter().filter(|task| !task.name.is_empty());
        let holders = waits.iter().flat_map(|wait| &wait.holders);
        let holders = holders.filter(|holder| !holder.task_name.is_empty());
        let names = alive
            .map(|task| (task.task, task.name.as_str()))
            .chain(holders.filter_map(|it| Some((it.task?, it.task_name.as_str()))))
            .chain(names.filter_map(|wait| Some((wait.task?, wait.task_name.as_str()))))
            .collect();
        Self { graph, certain, waits, names }
    }

    /// The wait of a step, or by its index.
    pub(super) fn wait(&self, index: usize) -> &'a OpenWait {
        self.waits[index]
    }

    pub(super) fn waits(&self) -> impl Iterator<Item = (usize, &'a OpenWait)> {
        self.waits.iter().copied().enumerate()
    }

    /// As what the blocker of a step holds up its wait; `None` if it holds nothing.
    pub(super) fn holder(&self, step: Step) -> Option<&'a WaitHolder> {
        let blocker = self.graph.blocker(step);
        self.wait(step.wait).holders.iter().find(|holder| holder.task == Some(blocker))
    }

    /// A task in words.
    pub(super) fn who(&self, task: TaskId) -> String {
        match self.names.get(&task) {
            Some(name) => format!("task {task} `{name}`"),
            None => format!("task {task}"),
        }
    }
}

/// Whether a task waits for a value of which is known only who alone sends. That is how idle tasks wait; and
/// it may be in a `select!` beside something that is not recorded, such as a socket, and go on with that.
pub(super) fn may_get_otherwise(wait: &OpenWait) -> bool {
    wait.op == "recv" && wait.holders.iter().all(|holder| holder.task.is_none())
}

fn edges(wait: &OpenWait, capacities: &HashMap<ResourceId, u64>) -> Wait {
    let blockers = wait.blockers();
    let known = blockers.iter().fold(0u64, |sum, it| sum.saturating_add(it.amount));
    let spare = match wait.resource.and_then(|resource| capacities.get(&resource)) {
        _ if wait.op != "acquire" => 0,
        Some(capacity) => capacity.saturating_sub(wait.amount.max(1)),
        // How many permits there are is not known: one that comes back may be enough.
        None if blockers.len() < MAX_HOLDERS => known.saturating_sub(1),
        None => u64::MAX,
    };
    Wait { task: wait.task.unwrap_or_default(), blockers, spare }
}

/// What a wait is for, as in "waits …".
pub(super) fn purpose(wait: &OpenWait) -> String {
    let thing = thing(wait);
    match wait.op.as_str() {
        "lock" => format!("to lock {thing}"),
        "read" => format!("to read {thing}"),
        "write" => format!("to write to {thing}"),
        "acquire" if wait.amount > 1 => format!("for {} permits of {thing}", wait.amount),
        "acquire" => format!("for a permit of {thing}"),
        "send" => format!("to send to {thing}"),
        "recv" => format!("to receive from {thing}"),
        "join" => "for the end of a task".to_owned(),
        op => format!("for `{op}` of {thing}"),
    }
}

/// What is waited for, in words.
pub(super) fn thing(wait: &OpenWait) -> String {
    let kind = match wait.resource_kind.as_str() {
        "" => "something",
        kind => kind,
    };
    match (wait.resource_name.as_str(), &wait.resource_location) {
        ("", Some(place)) => format!("the {kind} opened at `{place}`"),
        ("", None) => match wait.resource {
            Some(resource) => format!("{kind} {resource}"),
            None => kind.to_owned(),
        },
        (name, _) => format!("{kind} `{name}`"),
    }
}

/// A place in a sentence, as in "waits …".
pub(super) fn at(location: Option<&str>) -> String {
    location.map_or_else(|| "at an unknown place".to_owned(), |place| format!("at `{place}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_just_below_is_awaited_while_it_is_held() {
        for (place, expected) in [
            ("a/w.rs:20", true),
            ("a/w.rs:30", true),
            ("a/w.rs:31", false),
            ("a/w.rs:19", false),
            ("b/w.rs:20", false),
            ("nowhere", false),
        ] {
            assert_eq!(is_below("a/w.rs:20", place), expected, "{place}");
        }
    }
}
