//! Who waits for whom in turn: from one wait over those who hold it up to the end, or round in a circle.
//!
//! A task in a `select!` or a `join!` has several waits at once, and a resource may have several
//! holders. So the tasks that hold each other up are a graph, and a circle is looked for in all of it.

use std::collections::{HashMap, HashSet};

use loopd_analysis::wait_graph::{self, Blocker, Graph};
use loopd_model::{TaskId, WaitId};
use loopd_store::{HolderRow, ProcessKey, Reader, WaitRow};

use super::ViewError;

/// Chains are followed so far; nobody reads a longer one.
pub(super) const MAX_CHAIN: usize = 32;
/// Of the tasks that are next in the chains of a page, so many are asked for; more of them than rows
/// of a page are rare. Chains end at a task that is beyond this.
const MAX_TASKS: usize = 4_096;
/// So many of their waits are read, as many as the store gives; those with a holder come first, so that
/// chains end early only where more than these wait for somebody.
const MAX_WAITS: u64 = 1_000;

/// Waits that last, and those of the tasks that their chains lead to.
#[derive(Debug)]
pub(super) struct OpenWaits {
    rows: Vec<WaitRow>,
    by_wait: HashMap<WaitId, usize>,
    graph: Graph,
}

/// One task of a chain: as a holder of what the one before waits for, and its own wait, by which the
/// chain goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) task: TaskId,
    pub(super) holder: &'a HolderRow,
    pub(super) wait: Option<&'a WaitRow>,
}

/// Those who hold up a wait now, as far as known.
pub(super) fn holders_now(wait: &WaitRow) -> impl Iterator<Item = (TaskId, &HolderRow)> {
    let unreleased = wait.holders.iter().filter(|holder| holder.released_at.is_none());
    unreleased.filter_map(|holder| Some((holder.task?, holder)))
}

/// What is left of a chain that is too long to be read.
pub(super) fn shown(mut chain: wait_graph::Chain) -> wait_graph::Chain {
    chain.steps.truncate(MAX_CHAIN);
    chain
}

impl OpenWaits {
    /// Reads what the chains of these waits need, one step of all chains at a time.
    pub(super) async fn read(
        reader: &Reader,
        process: ProcessKey,
        rows: &[WaitRow],
    ) -> Result<Self, ViewError> {
        let mut known = HashSet::new();
        let mut found = Vec::new();
        let mut next = unknown(rows.iter().filter(|row| row.is_open), &mut known);
        for _ in 0..MAX_CHAIN {
            if next.is_empty() {
                break;
            }
            let reached = reader.open_waits_of(process, &next, MAX_WAITS).await?;
            next = unknown(reached.iter(), &mut known);
            found.extend(reached);
        }
        found.extend(rows.iter().filter(|row| row.is_open).cloned());
        Ok(Self::new(found))
    }

    /// Those of one task in the order in which chains are to try them; a second mention adds nothing.
    fn new(mut rows: Vec<WaitRow>) -> Self {
        let mut seen = HashSet::new();
        rows.retain(|row| row.task.is_some() && seen.insert(row.wait));
        let edges = |row: &WaitRow| wait_graph::Wait {
            task: row.task.unwrap_or_default(),
            blockers: holders_now(row)
                .map(|(task, holder)| Blocker { task, amount: holder.amount })
                .collect(),
            spare: 0,
        };
        let graph = Graph::new(rows.iter().map(edges).collect());
        let by_wait = rows.iter().enumerate().map(|(index, row)| (row.wait, index)).collect();
        Self { rows, by_wait, graph }
    }

    /// The tasks that hold up `wait`, from the nearest on, and whether they come back to one of them.
    /// A way that does comes before one that ends; of those that end, the first is taken.
    pub(super) fn chain(&self, wait: &WaitRow) -> (Vec<Step<'_>>, bool) {
        let Some(&index) = self.by_wait.get(&wait.wait) else { return (Vec::new(), false) };
        let chain = shown(self.graph.chain(index));
        let steps = chain.steps.iter().filter_map(|&step| {
            let task = self.graph.blocker(step);
            let (_, holder) = holders_now(&self.rows[step.wait]).nth(step.blocker)?;
            let wait = self.graph.way_on(&chain, step).map(|wait| &self.rows[wait]);
            Some(Step { task, holder, wait })
        });
        (steps.collect(), chain.is_cycle)
    }
}

/// The holders of these waits that are met for the first time.
fn unknown<'a>(
    rows: impl Iterator<Item = &'a WaitRow>,
    known: &mut HashSet<TaskId>,
) -> Vec<TaskId> {
    let holders = rows.flat_map(holders_now).map(|(task, _)| task);
    holders.filter(|task| known.insert(*task)).take(MAX_TASKS).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use loopd_model::{ResourceId, UnixNanos, WaitId};
    use loopd_store::WaitState;

    use super::*;

    /// `"1>2+4 2>3 2>-"`: task 1 waits for what tasks 2 and 4 hold; task 2 for what task 3 holds, and
    /// for something that nobody holds. A holder with a `!` has given it back.
    pub(in crate::views) fn waits(script: &str) -> Vec<WaitRow> {
        let wait = |(i, pair): (usize, &str)| {
            let (task, holders) = pair.split_once('>').unwrap();
            let id = |text: &str| TaskId(text.parse().unwrap());
            let holder = |text: &str| HolderRow {
                task: Some(id(text.trim_end_matches('!'))),
                task_name: None,
                since_at: UnixNanos(0),
                location: None,
                amount: 0,
                released_at: text.ends_with('!').then_some(UnixNanos(1)),
                is_later: false,
            };
            WaitRow {
                process: ProcessKey(1),
                wait: WaitId(i as u64 + 1),
                task: Some(id(task)),
                task_name: None,
                resource: Some(ResourceId(id(task).0 * 10)),
                resource_kind: "mutex".into(),
                resource_name: String::new(),
                resource_location: None,
                op: if holders == "-" { "notified" } else { "lock" }.into(),
                location: None,
                amount: 0,
                began_at: UnixNanos(1_000_000_000),
                ended_at: None,
                length: 2_000_000_000,
                state: WaitState::Pending,
                is_open: true,
                holders: holders.split('+').filter(|text| *text != "-").map(holder).collect(),
            }
        };
        script.split(' ').enumerate().map(wait).collect()
    }

    pub(in crate::views) fn open(rows: &[WaitRow]) -> OpenWaits {
        OpenWaits::new(rows.to_vec())
    }

    fn check(script: &str, expected: &str) {
        let rows = waits(script);
        let waits = open(&rows);
        let (steps, is_circle) = waits.chain(&rows[0]);
        let mut picture: Vec<_> = steps.iter().map(|step| step.task.to_string()).collect();
        if is_circle {
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
        check("1>2!+3 3>4", "3 4");
        let long: Vec<_> = (1..100).map(|i| format!("{i}>{}", i + 1)).collect();
        let rows = waits(&long.join(" "));
        assert_eq!(open(&rows).chain(&rows[0]).0.len(), MAX_CHAIN);
    }

    #[test]
    fn an_old_wait_beside_it_does_not_hide_a_circle() {
        check("1>2 2>- 2>1", "2 1 …");
        check("1>2 1>- 2>- 2>7 2>1 7>8", "2 1 …");
        check("1>2 2>-", "2");
        check("1>2 2>- 2>3 3>-", "2 3");
    }

    #[test]
    fn every_holder_is_followed_and_a_circle_comes_first() {
        check("1>2+3 3>1", "3 1 …");
        check("1>2+3 2>4 3>5", "2 4");
        check("1>2+3 2>4 4>5 3>4 5>-", "2 4 5");
        check("1>2+3 2>4 3>4 4>3", "2 4 3 4 …");
    }

    #[test]
    fn the_wait_of_each_step_is_the_one_that_leads_on() {
        let rows = waits("1>2 2>- 2>1");
        let waits = open(&rows);
        let (steps, _) = waits.chain(&rows[0]);
        let ids: Vec<_> = steps.iter().map(|step| step.wait.unwrap().wait.0).collect();
        assert_eq!(ids, [3, 1]);
    }

    #[test]
    fn a_thicket_is_searched_once_and_within_a_limit() {
        // Each of 200 tasks waits for what all of the next hold: the ways are 199 factorial.
        let holders = |i: u64| (i + 1..=200).map(|i| i.to_string()).collect::<Vec<_>>().join("+");
        let thicket: Vec<_> = (1..200).map(|i| format!("{i}>{}", holders(i))).collect();
        let rows = waits(&thicket.join(" "));
        let waits = open(&rows);
        let (steps, is_circle) = waits.chain(&rows[0]);
        assert_eq!((steps.len(), is_circle), (MAX_CHAIN, false));
    }

    #[test]
    fn a_circle_that_is_too_long_to_be_shown_is_one_all_the_same() {
        let mut long: Vec<_> = (1..50).map(|i| format!("{i}>{}", i + 1)).collect();
        long.push("50>1".into());
        let rows = waits(&long.join(" "));
        let waits = open(&rows);
        let (steps, is_circle) = waits.chain(&rows[0]);
        assert_eq!((steps.len(), is_circle), (MAX_CHAIN, true));
    }
}
