//! The programs that run now, as far as the store has them.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use loopd_analysis::runtime::Runtime;
use loopd_model::UnixNanos;
use loopd_store::{
    Head, HeadProcess, ProcessKey, ProcessState, Reader, StandingQuery, StoreError, WaitQuery,
};
use tokio::sync::watch;

use super::target::Target;
use super::view::{
    MAX_ENDED, MAX_OPS, MAX_PROCESSES, MAX_RESOURCES, Program, ProgramView, Shown, View, tasks_each,
};

/// Threads of a program are not in step: what ended may be told of so much later.
const SLACK: i64 = 5_000_000_000;

/// Looks at what is live.
#[derive(Debug)]
pub(super) struct Live {
    reader: Reader,
    head: watch::Receiver<Head>,
    /// What is known of a process, and up to when it was looked at last.
    programs: HashMap<ProcessKey, (Program, UnixNanos)>,
}

impl Live {
    pub(super) fn new(reader: Reader, head: watch::Receiver<Head>) -> Self {
        Self { reader, head, programs: HashMap::new() }
    }

    pub(super) async fn look(
        &mut self,
        target: &Target,
        shown: &HashMap<ProcessKey, Shown>,
    ) -> Result<View, StoreError> {
        let live = self.live(target).await?;
        let now = live.iter().map(|it| it.last_at).max().unwrap_or_else(wall);
        let mut programs = Vec::with_capacity(live.len());
        for process in &live {
            let none = Shown::default();
            let shown = shown.get(&process.process).unwrap_or(&none);
            programs.push(self.program(process, shown, tasks_each(live.len())).await?);
        }
        Ok(View { now, programs })
    }

    /// The processes that are live and wanted, those with the newest data first.
    async fn live(&mut self, target: &Target) -> Result<Vec<HeadProcess>, StoreError> {
        let heads = self.head.borrow().processes.clone();
        let mut live = Vec::new();
        for head in heads.iter().rev().filter(|head| head.state == ProcessState::Live) {
            if !self.programs.contains_key(&head.process) {
                let Some(row) = self.reader.process(head.process).await? else { continue };
                let (app, pid, started_at) = (row.app, row.pid, row.started_at);
                let is_python = Runtime::of_agent(&row.agent) == Runtime::Asyncio;
                let program = Program { process: head.process, app, pid, started_at, is_python };
                // Of what was before only what still is.
                self.programs.insert(head.process, (program, head.last_at));
            }
            let is_wanted = |(program, _): &(Program, _)| target.has(&program.app);
            if self.programs.get(&head.process).is_some_and(is_wanted) {
                live.push(*head);
            }
            if live.len() == MAX_PROCESSES {
                break;
            }
        }
        self.programs.retain(|key, _| heads.iter().any(|head| head.process == *key));
        Ok(live)
    }

    async fn program(
        &mut self,
        head: &HeadProcess,
        shown: &Shown,
        max_tasks: usize,
    ) -> Result<ProgramView, StoreError> {
        let process = head.process;
        let (program, looked_at) = match self.programs.get_mut(&process) {
            Some((program, looked_at)) => {
                (program.clone(), std::mem::replace(looked_at, head.last_at))
            }
            None => return Ok(ProgramView::gone(process)),
        };
        let query = StandingQuery {
            known: shown.tasks.clone(),
            max_alive: max_tasks,
            ended_from: UnixNanos(looked_at.0.saturating_sub(SLACK)),
            max_ended: MAX_ENDED,
            at: None,
        };
        let standings = self.reader.task_standings(process, query).await?;
        let pending =
            WaitQuery { process, is_pending: true, limit: MAX_OPS as u64, ..Default::default() };
        let waits = self.reader.waits(&pending).await?.rows;
        let over = shown.waits.iter().filter(|id| !waits.iter().any(|wait| wait.wait == **id));
        let over: Vec<_> = over.copied().collect();
        let wait_ends = match over.is_empty() {
            true => HashMap::new(),
            false => self.reader.wait_ends(process, &over).await?,
        };
        let waited: HashSet<_> = waits.iter().filter_map(|wait| wait.resource).collect();
        let before: HashSet<_> = shown.resources.iter().copied().collect();
        let wanted: Vec<_> = waited.union(&before).copied().collect();
        let max = MAX_RESOURCES as u64;
        let mut resources = self.reader.resource_standings(process, &wanted, None, max).await?;
        // What is waited for is shown, whenever it was opened; and what was shown stays.
        resources
            .sort_by_key(|row| (!waited.contains(&row.resource), !before.contains(&row.resource)));
        resources.truncate(MAX_RESOURCES + waited.len());
        let (tasks, left_out) = (standings.tasks, standings.left_out);
        Ok(ProgramView { program, tasks, left_out, resources, waits, wait_ends })
    }
}

impl ProgramView {
    /// Of a process of which nothing is left.
    fn gone(process: ProcessKey) -> Self {
        let (app, pid, started_at) = (String::new(), 0, UnixNanos(0));
        Self {
            program: Program { process, app, pid, started_at, is_python: false },
            tasks: Vec::new(),
            left_out: 0,
            resources: Vec::new(),
            waits: Vec::new(),
            wait_ends: HashMap::new(),
        }
    }
}

pub(super) fn wall() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
