//! Who waits for whom, as a graph: which tasks can never go on, the circles among them, and the way from
//! one wait to who holds it up in the end.
//!
//! A task may be in several waits at once (a `select!` or a `join!`), a resource may have several holders,
//! and of a semaphore it is enough that some of them give back. All of it takes time in proportion to
//! the waits and their holders.

use std::collections::{BTreeMap, VecDeque};

use loopd_model::TaskId;

/// One wait that lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Who waits.
    pub task: TaskId,
    /// Who holds it up, and with how much. Nobody: it is not known who, so it may end at any time.
    pub blockers: Vec<Blocker>,
    /// With so much still held the wait ends all the same: 0 for a lock, and for a semaphore what it has
    /// without the permits that are wanted.
    pub spare: u64,
}

/// Who holds up a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Who.
    pub task: TaskId,
    /// With how much: its permits, or 1.
    pub amount: u64,
}

/// When a task that is in several waits at once goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoesOn {
    /// With the first of them that ends, as in a `select!` or a timeout.
    WithAny,
    /// With the last, as in a `join!`.
    WithAll,
}

/// One step from a task to one that holds it up: by which wait, and which of its blockers, as indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The wait, as an index of those that the graph was made of.
    pub wait: usize,
    /// The blocker, as an index of those of the wait.
    pub blocker: usize,
}

/// Tasks that wait for each other, so that none of them goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// A shortest way round, from the smallest of the tasks on.
    pub steps: Vec<Step>,
    /// All tasks of the knot, of which that is one way round; smallest first.
    pub tasks: Vec<TaskId>,
}

/// From one wait to who holds it up in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Step by step: the first is of the wait itself, each next one of a wait of the blocker before.
    pub steps: Vec<Step>,
    /// Whether the last blocker is one of those who wait before.
    pub is_cycle: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Graph {
    waits: Vec<Wait>,
    /// Every task that waits or holds, smallest first; a node is an index of it.
    tasks: Vec<TaskId>,
    nodes: BTreeMap<TaskId, usize>,
    /// The waits of each node.
    waits_of: Vec<Vec<usize>>,
    /// What each node holds up, step by step.
    held_up: Vec<Vec<Step>>,
}

impl Graph {
    /// Of these waits, each of another task or of one that waits for several things.
    pub fn new(waits: Vec<Wait>) -> Self {
        let everybody = waits
            .iter()
            .flat_map(|wait| wait.blockers.iter().map(|blocker| blocker.task).chain([wait.task]));
        let mut tasks: Vec<_> = everybody.collect();
        tasks.sort_unstable();
        tasks.dedup();
        let nodes: BTreeMap<_, _> =
            tasks.iter().enumerate().map(|(node, &task)| (task, node)).collect();
        let mut waits_of = vec![Vec::new(); tasks.len()];
        let mut held_up = vec![Vec::new(); tasks.len()];
        for (wait, it) in waits.iter().enumerate() {
            waits_of[nodes[&it.task]].push(wait);
            for (blocker, by) in it.blockers.iter().enumerate() {
                held_up[nodes[&by.task]].push(Step { wait, blocker });
            }
        }
        Self { waits, tasks, nodes, waits_of, held_up }
    }

    /// Who waits in this step.
    pub fn waiter(&self, step: Step) -> TaskId {
        self.waits[step.wait].task
    }

    /// Whom it waits for.
    pub fn blocker(&self, step: Step) -> TaskId {
        self.waits[step.wait].blockers[step.blocker].task
    }

    /// The waits of a task.
    pub fn waits_of(&self, task: TaskId) -> &[usize] {
        self.nodes.get(&task).map_or(&[], |&node| &self.waits_of[node])
    }

    /// The waits that cannot end before this task goes on, the nearest first; its own are not among them.
    pub fn behind(&self, task: TaskId) -> Vec<Step> {
        let Some(&start) = self.nodes.get(&task) else { return Vec::new() };
        let mut is_reached = vec![false; self.tasks.len()];
        is_reached[start] = true;
        let (mut steps, mut next) = (Vec::new(), VecDeque::from([start]));
        while let Some(node) = next.pop_front() {
            for &step in &self.held_up[node] {
                let waiter = self.nodes[&self.waiter(step)];
                if !std::mem::replace(&mut is_reached[waiter], true) {
                    steps.push(step);
                    next.push_back(waiter);
                }
            }
        }
        steps
    }

    /// Circles of tasks of which none can ever go on by itself, one for each knot, that of the smallest
    /// task first.
    pub fn cycles(&self, goes_on: GoesOn) -> Vec<Cycle> {
        let stuck = self.stuck(goes_on);
        let mut cycles: Vec<_> =
            self.knots(&stuck).iter().filter_map(|knot| self.cycle(knot)).collect();
        cycles.sort_by(|a, b| a.tasks.cmp(&b.tasks));
        cycles
    }

    /// For each node, whether it can never go on: whoever waits for nothing goes on, gives back what it
    /// holds, and so lets others go on, until no more do.
    fn stuck(&self, goes_on: GoesOn) -> Vec<bool> {
        let sum = |sum: u64, it: &Blocker| sum.saturating_add(it.amount.max(1));
        let held = |wait: &Wait| wait.blockers.iter().fold(0, sum);
        let mut held: Vec<u64> = self.waits.iter().map(held).collect();
        let mut lasts: Vec<bool> =
            self.waits.iter().zip(&held).map(|(wait, &held)| held > wait.spare).collect();
        let mut lasting: Vec<usize> = self
            .waits_of
            .iter()
            .map(|waits| waits.iter().filter(|&&wait| lasts[wait]).count())
            .collect();
        let is_free = |node: usize, lasting: usize| match goes_on {
            GoesOn::WithAll => lasting == 0,
            GoesOn::WithAny => lasting < self.waits_of[node].len() || lasting == 0,
        };
        let mut stuck = vec![true; self.tasks.len()];
        let mut free: Vec<usize> =
            (0..self.tasks.len()).filter(|&node| is_free(node, lasting[node])).collect();
        for &node in &free {
            stuck[node] = false;
        }
        while let Some(node) = free.pop() {
            for step in &self.held_up[node] {
                let wait = &self.waits[step.wait];
                let given = wait.blockers[step.blocker].amount.max(1);
                held[step.wait] = held[step.wait].saturating_sub(given);
                if !lasts[step.wait] || held[step.wait] > wait.spare {
                    continue;
                }
                lasts[step.wait] = false;
                let waiter = self.nodes[&wait.task];
                lasting[waiter] -= 1;
                if stuck[waiter] && is_free(waiter, lasting[waiter]) {
                    stuck[waiter] = false;
                    free.push(waiter);
                }
            }
        }
        stuck
    }

    /// The steps from a node.
    fn steps_from(&self, node: usize) -> impl Iterator<Item = Step> {
        self.waits_of[node].iter().flat_map(|&wait| {
            (0..self.waits[wait].blockers.len()).map(move |blocker| Step { wait, blocker })
        })
    }

    fn target(&self, step: Step) -> usize {
        self.nodes[&self.blocker(step)]
    }

    /// Groups of `among` in which everybody waits for everybody, if only by way of others (Tarjan's, with
    /// a stack of its own since chains may be as long as there are tasks).
    fn knots(&self, among: &[bool]) -> Vec<Vec<usize>> {
        const NEW: usize = usize::MAX;
        let mut number = vec![NEW; among.len()];
        let mut low = vec![0; among.len()];
        let mut is_open = vec![false; among.len()];
        let (mut open, mut knots, mut count) = (Vec::new(), Vec::new(), 0);
        for start in (0..among.len()).filter(|&node| among[node]) {
            if number[start] != NEW {
                continue;
            }
            let mut path = Vec::new();
            let mut enter = Some(start);
            loop {
                if let Some(node) = enter.take() {
                    (number[node], low[node]) = (count, count);
                    count += 1;
                    open.push(node);
                    is_open[node] = true;
                    path.push((node, self.steps_from(node)));
                }
                let Some((node, steps)) = path.last_mut() else { break };
                let node = *node;
                match steps.next().map(|step| self.target(step)) {
                    Some(next) if !among[next] => {}
                    Some(next) if number[next] == NEW => enter = Some(next),
                    Some(next) if is_open[next] => low[node] = low[node].min(number[next]),
                    Some(_) => {}
                    None => {
                        path.pop();
                        if let Some((above, _)) = path.last() {
                            low[*above] = low[*above].min(low[node]);
                        }
                        if low[node] == number[node] {
                            let place = open.iter().rposition(|&it| it == node).unwrap_or(0);
                            let knot = open.split_off(place);
                            for &node in &knot {
                                is_open[node] = false;
                            }
                            knots.push(knot);
                        }
                    }
                }
            }
        }
        knots
    }

    /// A shortest way round a knot; `None` if it is a single task that does not wait for itself.
    fn cycle(&self, knot: &[usize]) -> Option<Cycle> {
        let start = *knot.iter().min()?;
        // How each node of the knot was reached; nodes outside are none of it.
        let mut reached: BTreeMap<usize, Option<Step>> =
            knot.iter().map(|&node| (node, None)).collect();
        let mut next = VecDeque::from([start]);
        while let Some(node) = next.pop_front() {
            for step in self.steps_from(node) {
                let target = self.target(step);
                let Some(by @ None) = reached.get_mut(&target) else { continue };
                *by = Some(step);
                if target == start {
                    return Some(self.back(start, &reached, knot));
                }
                next.push_back(target);
            }
        }
        None
    }

    fn back(&self, start: usize, reached: &BTreeMap<usize, Option<Step>>, knot: &[usize]) -> Cycle {
        let mut steps = Vec::new();
        let mut node = start;
        while let Some(Some(step)) = reached.get(&node) {
            steps.push(*step);
            node = self.nodes[&self.waiter(*step)];
            if node == start {
                break;
            }
        }
        steps.reverse();
        let mut tasks: Vec<_> = knot.iter().map(|&node| self.tasks[node]).collect();
        tasks.sort_unstable();
        Cycle { steps, tasks }
    }

    /// By which of its waits a chain leaves the blocker of one of its steps: the next step's; where the chain
    /// ends, the first, if it has any.
    pub fn way_on(&self, chain: &Chain, step: Step) -> Option<usize> {
        let task = self.blocker(step);
        let next = chain.steps.iter().map(|next| next.wait);
        let own = next.into_iter().find(|&wait| self.waits[wait].task == task);
        own.or_else(|| self.waits_of(task).first().copied())
    }

    /// From a wait over those who hold it up to the end, or round. A way that comes round is taken before
    /// one that ends; of those that end, the first.
    pub fn chain(&self, wait: usize) -> Chain {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Never,
            OnPath,
            Done,
        }
        let Some(first) = self.waits.get(wait) else { return Chain::default() };
        let mut seen = BTreeMap::from([(self.nodes[&first.task], Seen::OnPath)]);
        let own = (0..first.blockers.len()).map(|blocker| Step { wait, blocker });
        let mut path: Vec<(usize, Box<dyn Iterator<Item = Step> + '_>)> =
            vec![(self.nodes[&first.task], Box::new(own))];
        let (mut steps, mut ended): (Vec<Step>, Option<Vec<Step>>) = (Vec::new(), None);
        while let Some((node, ways)) = path.last_mut() {
            let node = *node;
            let Some(step) = ways.next() else {
                ended.get_or_insert_with(|| steps.clone());
                seen.insert(node, Seen::Done);
                path.pop();
                steps.pop();
                continue;
            };
            let target = self.target(step);
            match seen.get(&target).copied().unwrap_or(Seen::Never) {
                Seen::OnPath => {
                    steps.push(step);
                    return Chain { steps, is_cycle: true };
                }
                Seen::Done => {}
                Seen::Never => {
                    steps.push(step);
                    seen.insert(target, Seen::OnPath);
                    path.push((target, Box::new(self.steps_from(target))));
                }
            }
        }
        Chain { steps: ended.unwrap_or_default(), is_cycle: false }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `"1>2+4 2>-"`: task 1 waits for what tasks 2 and 4 hold, task 2 for something that nobody holds;
    /// `1>2+3/1` goes on when one of them gives back.
    fn graph(script: &str) -> Graph {
        let id = |text: &str| TaskId(text.parse().unwrap());
        let wait = |pair: &str| {
            let (task, rest) = pair.split_once('>').unwrap();
            let (blockers, spare) = rest.split_once('/').unwrap_or((rest, "0"));
            let blocker = |text: &str| Blocker { task: id(text), amount: 1 };
            let blockers = blockers.split('+').filter(|text| *text != "-").map(blocker).collect();
            Wait { task: id(task), blockers, spare: spare.parse().unwrap() }
        };
        Graph::new(script.split_whitespace().map(wait).collect())
    }

    fn round(graph: &Graph, steps: &[Step]) -> String {
        let tasks: Vec<_> = steps.iter().map(|&step| graph.waiter(step).to_string()).collect();
        tasks.join(" ")
    }

    /// The circles if the first wait of several is enough, and those if all are needed.
    #[track_caller]
    fn check(script: &str, any: &[&str], all: &[&str]) {
        let graph = graph(script);
        for (goes_on, expected) in [(GoesOn::WithAny, any), (GoesOn::WithAll, all)] {
            let cycles = graph.cycles(goes_on);
            let found: Vec<_> = cycles.iter().map(|cycle| round(&graph, &cycle.steps)).collect();
            assert_eq!(found, expected, "{script} {goes_on:?}");
        }
    }

    #[test]
    fn tasks_that_wait_for_each_other_are_a_circle() {
        check("1>2", &[], &[]);
        check("1>2 2>3 3>-", &[], &[]);
        check("2>1 1>2", &["1 2"], &["1 2"]);
        check("1>1", &["1"], &["1"]);
        check("3>1 1>2 2>3 9>3", &["1 2 3"], &["1 2 3"]);
        check("1>2 2>1 3>4 4>3", &["1 2", "3 4"], &["1 2", "3 4"]);
        check("1>7+2 2>1", &["1 2"], &["1 2"]);
    }

    #[test]
    fn another_wait_may_lead_out() {
        check("1>2 2>1 2>-", &[], &["1 2"]);
        check("1>2 2>1 2>1", &["1 2"], &["1 2"]);
        check("1>2 2>1 2>7", &[], &["1 2"]);
    }

    #[test]
    fn a_semaphore_is_left_when_enough_of_its_holders_go_on() {
        check("1>2+3/1 2>1", &[], &[]);
        check("1>2+3/1 2>1 3>1", &["1 2"], &["1 2"]);
        check("1>2+3 2>1", &["1 2"], &["1 2"]);
        check("1>2/1 2>1", &[], &[]);
    }

    #[test]
    fn a_knot_is_told_once_by_its_shortest_way_round() {
        check("1>1+2 2>1+2", &["1"], &["1"]);
        let graph = graph("1>2 2>3 3>1+4 4>2");
        let cycles = graph.cycles(GoesOn::WithAny);
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].tasks, [1, 2, 3, 4].map(TaskId));
        assert_eq!(round(&graph, &cycles[0].steps), "1 2 3");
    }

    #[track_caller]
    fn check_chain(script: &str, expected: &str) {
        let graph = graph(script);
        let chain = graph.chain(0);
        let mut picture: Vec<_> =
            chain.steps.iter().map(|&step| graph.blocker(step).to_string()).collect();
        if chain.is_cycle {
            picture.push("…".into());
        }
        assert_eq!(picture.join(" "), expected, "{script}");
    }

    #[test]
    fn chains_lead_to_who_holds_it_up_in_the_end() {
        check_chain("1>-", "");
        check_chain("1>2", "2");
        check_chain("1>2 2>3 3>4 9>1", "2 3 4");
        check_chain("1>2 2>1", "2 1 …");
        check_chain("1>1", "1 …");
        check_chain("1>2 2>3 3>2", "2 3 2 …");
        check_chain("1>2 2>- 2>1", "2 1 …");
        check_chain("1>2+3 3>1", "3 1 …");
        check_chain("1>2+3 2>4 3>5", "2 4");
        check_chain("1>2+3 2>4 3>4 4>3", "2 4 3 4 …");
    }

    #[test]
    fn whoever_cannot_go_on_before_a_task_is_behind_it() {
        let graph = graph("1>2 2>3 4>3 5>9 3>-");
        let behind = |task| {
            let steps = graph.behind(TaskId(task));
            steps.iter().map(|&step| graph.waiter(step).0).collect::<Vec<_>>()
        };
        assert_eq!(behind(3), [2, 4, 1]);
        assert_eq!(behind(1), []);
        assert_eq!(behind(77), []);
    }

    #[test]
    fn a_hundred_thousand_waits_are_looked_through_once() {
        const N: u64 = 100_000;
        let wait = |task: u64, blocker: u64| Wait {
            task: TaskId(task),
            blockers: vec![Blocker { task: TaskId(blocker), amount: 1 }],
            spare: 0,
        };
        let ring = Graph::new((0..N).map(|i| wait(i, (i + 1) % N)).collect());
        let cycles = ring.cycles(GoesOn::WithAny);
        assert_eq!((cycles.len(), cycles[0].steps.len()), (1, N as usize));
        let line = Graph::new((0..N).map(|i| wait(i, i + 1)).collect());
        assert_eq!(line.cycles(GoesOn::WithAny), []);
        assert_eq!(line.chain(0).steps.len(), N as usize);
        assert_eq!(line.behind(TaskId(N)).len(), N as usize);
        // All wait for one that waits for itself.
        let convoy = Graph::new((0..N).map(|i| wait(i, 0)).collect());
        assert_eq!(convoy.cycles(GoesOn::WithAny).len(), 1);
    }

    /// Who reaches whom in at least one step.
    fn reach(n: usize, edges: &[(usize, usize)]) -> Vec<Vec<bool>> {
        let mut reach = vec![vec![false; n]; n];
        for &(from, to) in edges {
            reach[from][to] = true;
        }
        for via in 0..n {
            for from in 0..n {
                for to in 0..n {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        reach
    }

    proptest! {
        #[test]
        fn a_circle_is_told_exactly_where_there_is_one(
            n in 1usize..30,
            edges in proptest::collection::vec((0usize..30, 0usize..30), 0..45),
        ) {
            let edges: Vec<_> = edges.into_iter().map(|(a, b)| (a % n, b % n)).collect();
            let wait = |task: usize| {
                let to = edges.iter().filter(|edge| edge.0 == task).map(|edge| edge.1 as u64);
                let blockers = to.map(|to| Blocker { task: TaskId(to), amount: 1 }).collect();
                Wait { task: TaskId(task as u64), blockers, spare: 0 }
            };
            let graph = Graph::new((0..n).map(wait).collect());
            let cycles = graph.cycles(GoesOn::WithAny);
            let reach = reach(n, &edges);
            let mut in_circles: Vec<_> = cycles.iter().flat_map(|it| it.tasks.clone()).collect();
            in_circles.sort_unstable();
            let expected: Vec<_> =
                (0..n).filter(|&task| reach[task][task]).map(|task| TaskId(task as u64)).collect();
            prop_assert_eq!(in_circles, expected);
            for cycle in &cycles {
                prop_assert_eq!(graph.waiter(cycle.steps[0]), cycle.tasks[0]);
                for (i, &step) in cycle.steps.iter().enumerate() {
                    let next = cycle.steps[(i + 1) % cycle.steps.len()];
                    prop_assert_eq!(graph.blocker(step), graph.waiter(next));
                }
            }
            for task in 0..n {
                let leads = (0..n).any(|to| (to == task || reach[task][to]) && reach[to][to]);
                prop_assert_eq!(graph.chain(task).is_cycle, leads);
            }
        }
    }
}
