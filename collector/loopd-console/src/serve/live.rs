//! The programs that run now, as far as the store has them.

use std::collections::HashMap;
use std::time::SystemTime;

use loopd_analysis::capture::Capture;
use loopd_analysis::runtime::Runtime;
use loopd_model::UnixNanos;
use loopd_store::{
    Head, HeadProcess, ProcessKey, ProcessRow, ProcessState, Reader, StandingQuery, StoreError,
    TaskStanding,
};
use tokio::sync::watch;

use super::snapshot::KEEP_ENDED;
use super::target::Target;
use super::view::{
    MAX_ENDED, MAX_OPS, MAX_PROCESSES, MAX_RESOURCES, Program, ProgramView, Shown, View,
    tasks_each, wait_ends, wanted_resources,
};

/// Threads of a program are not in step: what ended may be told of so much later.
const SLACK: i64 = 5_000_000_000;

/// Looks at what is live.
#[derive(Debug)]
pub(super) struct Live {
    reader: Reader,
    head: watch::Receiver<Head>,
    /// Those that are live, or were so a short time ago.
    programs: HashMap<ProcessKey, Known>,
    has_looked: bool,
}

/// What is known of a process.
#[derive(Debug)]
struct Known {
    program: Program,
    capture: Capture,
    /// Up to when it was looked at last.
    looked_at: UnixNanos,
    /// Whether it was in the last view, as one that lives.
    is_shown: bool,
    /// Whether its end was told, or is too long ago to be.
    is_over: bool,
}

impl Known {
    fn new(row: ProcessRow) -> Self {
        let program = Program {
            process: row.process,
            app: row.app,
            pid: row.pid,
            started_at: row.started_at,
            is_python: Runtime::of_agent(&row.agent) == Runtime::Asyncio,
        };
        let capture = Capture::of_agent(&row.agent);
        // Whoever comes back after a short time without connection learns what ended meanwhile.
        let looked_at = UnixNanos(row.last_at.0.saturating_sub(KEEP_ENDED));
        Self { program, capture, looked_at, is_shown: false, is_over: false }
    }
}

impl Live {
    pub(super) fn new(reader: Reader, head: watch::Receiver<Head>) -> Self {
        Self { reader, head, programs: HashMap::new(), has_looked: false }
    }

    pub(super) async fn look(
        &mut self,
        target: &Target,
        shown: &HashMap<ProcessKey, Shown>,
    ) -> Result<View, StoreError> {
        let heads = self.head.borrow().processes.clone();
        self.meet(&heads).await?;
        let is_live = |head: &&HeadProcess| head.state == ProcessState::Live;
        let known = |head: &HeadProcess| self.programs.get(&head.process);
        let is_wanted = |head: &&HeadProcess| known(head).is_some_and(|it| it.is_of(target));
        // Those with the newest data first; but those that are shown stay.
        let mut live: Vec<HeadProcess> =
            heads.iter().rev().filter(is_live).filter(is_wanted).copied().collect();
        live.sort_by_key(|head| !known(head).is_some_and(|it| it.is_shown));
        let left_out = live.len().saturating_sub(MAX_PROCESSES);
        let all_live: Vec<ProcessKey> = live.iter().map(|head| head.process).collect();
        live.truncate(MAX_PROCESSES);
        let over = self.over(target, &all_live, &mut live).await?;

        let now = live.iter().map(|it| it.last_at).max().unwrap_or_else(wall);
        let max_tasks = tasks_each(live.len() + over.len());
        let mut programs = Vec::with_capacity(live.len() + over.len());
        let none = Shown::default();
        let lasts = live.iter().map(|head| (head.process, None));
        let over = over.iter().map(|&(process, at)| (process, Some(at)));
        for (process, over_at) in lasts.chain(over) {
            let shown = shown.get(&process).unwrap_or(&none);
            let Some(known) = self.programs.get(&process) else { continue };
            programs.push(self.program(known, shown, max_tasks, over_at).await?);
        }
        // Only now nothing can fail any more.
        for seen in &programs {
            let Some(known) = self.programs.get_mut(&seen.program.process) else { continue };
            (known.is_shown, known.is_over) = (seen.over_at.is_none(), seen.over_at.is_some());
            let head = live.iter().find(|head| head.process == seen.program.process);
            known.looked_at = head.map_or(known.looked_at, |head| head.last_at);
        }
        self.has_looked = true;
        self.programs
            .retain(|key, it| it.is_shown || heads.iter().any(|head| head.process == *key));
        Ok(View { now, programs, left_out })
    }

    /// Gets to know those that are new, and at first those that were over a short time ago.
    async fn meet(&mut self, heads: &[HeadProcess]) -> Result<(), StoreError> {
        if !self.has_looked {
            let oldest = wall().0.saturating_sub(KEEP_ENDED);
            for row in self.reader.processes().await?.rows {
                let is_known = heads.iter().any(|head| head.process == row.process);
                // One that the store takes for live may come back.
                let is_over = row.state != ProcessState::Live;
                if is_known || (is_over && ended_at(&row).0 > oldest) {
                    self.programs.entry(row.process).or_insert_with(|| Known::new(row));
                }
            }
        }
        for head in heads {
            if !self.programs.contains_key(&head.process) {
                let Some(row) = self.reader.process(head.process).await? else { continue };
                self.programs.insert(head.process, Known::new(row));
            }
        }
        Ok(())
    }

    /// Those that are over, of which nobody was told yet, and when they were.
    async fn over(
        &mut self,
        target: &Target,
        all_live: &[ProcessKey],
        live: &mut Vec<HeadProcess>,
    ) -> Result<Vec<(ProcessKey, UnixNanos)>, StoreError> {
        let oldest = wall().0.saturating_sub(KEEP_ENDED);
        let mut over = Vec::new();
        let asked = self
            .programs
            .iter_mut()
            .filter(|(key, it)| !it.is_over && it.is_of(target) && !all_live.contains(key));
        for (&process, known) in asked.take(MAX_PROCESSES) {
            match self.reader.process(process).await? {
                Some(row) if row.state == ProcessState::Live => {
                    if known.is_shown {
                        let (last_at, state) = (row.last_at, row.state);
                        live.push(HeadProcess { process, last_at, state });
                    }
                }
                Some(row) if known.is_shown || ended_at(&row).0 > oldest => {
                    over.push((process, ended_at(&row)));
                }
                // It is forgotten, or it was over for long when it was met.
                _ => (known.is_shown, known.is_over) = (false, true),
            }
        }
        Ok(over)
    }

    async fn program(
        &self,
        known: &Known,
        shown: &Shown,
        max_tasks: usize,
        over_at: Option<UnixNanos>,
    ) -> Result<ProgramView, StoreError> {
        let process = known.program.process;
        let query = StandingQuery {
            known: shown.tasks.clone(),
            max_alive: max_tasks,
            ended_from: UnixNanos(known.looked_at.0.saturating_sub(SLACK)),
            max_ended: MAX_ENDED,
            at: None,
        };
        let mut standings = self.reader.task_standings(process, query).await?;
        if known.capture == Capture::Records {
            standings.tasks.iter_mut().for_each(without_early_wake);
        }
        let waits = self.reader.wait_standings(process, MAX_OPS as u64).await?;
        let ends = wait_ends(&self.reader, process, (&waits, shown), None).await?;
        let wanted = wanted_resources(&waits, shown);
        let max = MAX_RESOURCES as u64;
        let resources = self.reader.resource_standings(process, &wanted, None, max).await?;
        let mut view = ProgramView {
            program: known.program.clone(),
            tasks: standings.tasks,
            left_out: if over_at.is_some() { 0 } else { standings.left_out },
            resources,
            waits,
            wait_ends: ends,
            over_at,
        };
        view.limit(shown);
        Ok(view)
    }
}

impl Known {
    fn is_of(&self, target: &Target) -> bool {
        target.has(&self.program.app)
    }
}

/// Agents tell of a wake when the poll begins that it led to, and of the poll when it ends: until then the
/// task would look as if it still waited for its turn.
fn without_early_wake(standing: &mut TaskStanding) {
    let polled_at = standing.running_since.max(standing.last_poll_start);
    if standing.ended_at.is_none() && standing.last_woken_at > polled_at {
        standing.last_woken_at = None;
    }
}

fn ended_at(row: &ProcessRow) -> UnixNanos {
    row.ended_at.unwrap_or(row.last_at)
}

pub(super) fn wall() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
