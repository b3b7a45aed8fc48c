//! Who awaits whom, as a tree that can be read line by line: at the top the tasks that nobody awaits,
//! beneath each task those that it awaits.
//!
//! A task that several await is told of in full once. Tasks that await each other in a circle, and are
//! awaited by nobody else, would be beneath no top: the circle is cut open at the smallest of them.

use std::collections::{BTreeMap, BTreeSet};

use loopd_model::TaskId;

/// One line of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The task.
    pub task: TaskId,
    /// The task above, which awaits it; `None` at the top.
    pub parent: Option<TaskId>,
    /// How many are above it.
    pub depth: usize,
    /// Why nothing is told of it here; `None` if this is its own line.
    pub pointer: Option<Pointer>,
}

/// What a line points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// One of the tasks above it, which so awaits itself in the end.
    Cycle,
    /// A line before this one.
    Above,
    /// Nothing: it is awaited, and nothing more is known of it.
    Missing,
}

impl Pointer {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Above => "above",
            Self::Missing => "missing",
        }
    }
}

/// The tree of these tasks, each with those that it awaits. Every task has one line of its own, every
/// await one beneath that.
pub fn lines(tasks: &BTreeMap<TaskId, Vec<TaskId>>) -> Vec<Line> {
    let by = |(&task, awaited): (&TaskId, &Vec<TaskId>)| {
        awaited.iter().map(move |&other| (other, task)).collect::<Vec<_>>()
    };
    let awaited_by: BTreeMap<TaskId, TaskId> = tasks.iter().flat_map(by).collect();
    let mut walk = Walk { tasks, placed: BTreeSet::new(), lines: Vec::new() };
    for &task in tasks.keys().filter(|task| !awaited_by.contains_key(task)) {
        walk.beneath(task);
    }
    // Whoever is left is in a circle that nobody awaits from outside, or beneath one.
    for &task in tasks.keys() {
        if !walk.placed.contains(&task) {
            walk.beneath(smallest_in_circle(&awaited_by, task));
        }
    }
    walk.lines
}

/// The smallest task of a circle from which the awaits lead to this one. There is one above it: upwards
/// it never ends.
fn smallest_in_circle(awaited_by: &BTreeMap<TaskId, TaskId>, task: TaskId) -> TaskId {
    let up = |task: &TaskId| awaited_by.get(task).copied();
    let mut seen = BTreeSet::new();
    let in_circle = std::iter::successors(Some(task), up).find(|&above| !seen.insert(above));
    let first = in_circle.unwrap_or(task);
    let rest = std::iter::successors(up(&first), up).take_while(|&above| above != first);
    rest.chain([first]).min().unwrap_or(first)
}

struct Walk<'a> {
    tasks: &'a BTreeMap<TaskId, Vec<TaskId>>,
    /// Those that have a line of their own.
    placed: BTreeSet<TaskId>,
    lines: Vec<Line>,
}

impl<'a> Walk<'a> {
    /// Adds the lines of a task and of all beneath it, unless it has its own. Chains may be as long as
    /// there are tasks, so this keeps its own stack.
    fn beneath(&mut self, top: TaskId) {
        if !self.placed.insert(top) {
            return;
        }
        self.lines.push(Line { task: top, parent: None, depth: 0, pointer: None });
        // The tasks from the top to here, each with those of its children that are to come.
        let mut path = vec![(top, self.children(top))];
        let mut on_path = BTreeSet::from([top]);
        while let Some((parent, children)) = path.last_mut() {
            let parent = *parent;
            let Some((&task, rest)) = children.split_first() else {
                on_path.remove(&parent);
                path.pop();
                continue;
            };
            *children = rest;
            let pointer = if on_path.contains(&task) {
                Some(Pointer::Cycle)
            } else if !self.tasks.contains_key(&task) {
                Some(Pointer::Missing)
            } else if !self.placed.insert(task) {
                Some(Pointer::Above)
            } else {
                None
            };
            self.lines.push(Line { task, parent: Some(parent), depth: path.len(), pointer });
            if pointer.is_none() {
                on_path.insert(task);
                path.push((task, self.children(task)));
            }
        }
    }

    fn children(&self, task: TaskId) -> &'a [TaskId] {
        self.tasks.get(&task).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks as `task: awaited awaited …`, and the tree as one line for each.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let id = |text: &str| TaskId(text.trim().parse().unwrap());
        let task = |line: &str| {
            let (task, awaited) = line.split_once(':').unwrap();
            (id(task), awaited.split_whitespace().map(id).collect())
        };
        let tasks = script.split(',').map(task).collect();
        let picture = |line: &Line| {
            let pointer = line.pointer.map_or(String::new(), |it| format!(" {}", it.as_str()));
            format!("{}{}{pointer}", "-".repeat(line.depth), line.task)
        };
        let found = lines(&tasks);
        let mut above = Vec::new();
        for line in &found {
            above.truncate(line.depth);
            assert_eq!(line.parent, above.last().copied());
            above.push(line.task);
        }
        assert_eq!(found.iter().map(picture).collect::<Vec<_>>(), expected, "{script}");
    }

    #[test]
    fn beneath_each_task_are_those_that_it_awaits() {
        check("1:, 2:", &["1", "2"]);
        check("1: 3, 2:, 3: 2", &["1", "-3", "--2"]);
        check("1: 2 3, 2: 4, 3:, 4:", &["1", "-2", "--4", "-3"]);
        // The first by number is not the top.
        check("1:, 2: 1, 7: 2", &["7", "-2", "--1"]);
    }

    #[test]
    fn what_several_await_is_told_of_once() {
        check("1: 3, 2: 3, 3: 4, 4:", &["1", "-3", "--4", "2", "-3 above"]);
        check("1: 2 3, 2: 3, 3:", &["1", "-2", "--3", "-3 above"]);
    }

    #[test]
    fn circles_are_cut_open_and_marked() {
        check("1: 1", &["1", "-1 cycle"]);
        check("3: 4, 4: 5, 5: 3", &["3", "-4", "--5", "---3 cycle"]);
        // One that waits for the circle is its top.
        check("3: 4, 4: 3, 9: 4", &["9", "-4", "--3", "---4 cycle"]);
        // What is beneath a circle is no top, however small.
        check("1:, 3: 4, 4: 3 1", &["3", "-4", "--3 cycle", "--1"]);
        check("1: 2, 2: 1, 3: 4, 4: 3", &["1", "-2", "--1 cycle", "3", "-4", "--3 cycle"]);
    }

    #[test]
    fn what_is_awaited_and_not_known_is_said_to_be_missing() {
        check("1: 9, 2: 9", &["1", "-9 missing", "2", "-9 missing"]);
    }

    #[test]
    fn a_chain_of_any_length_is_followed() {
        let tasks = (0..200_000).map(|n| (TaskId(n + 1), vec![TaskId(n)])).collect();
        let lines = lines(&tasks);
        assert_eq!(lines.len(), 200_001);
        assert_eq!(lines.last().map(|line| line.depth), Some(200_000));
    }
}
