//! Reads: one method per question, none of them a query per row.

use std::path::{Path, PathBuf};

use loopd_model::{TaskId, UnixNanos};

use crate::*;

/// Reads the store, also while a writer in this or another process writes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
}

impl Reader {
    /// Opens an existing database for reading only.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { path: path.as_ref().to_owned() })
    }

    /// Every process, the latest started first.
    pub async fn processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        Ok(Vec::new())
    }

    /// One process; `None` if there is no such.
    pub async fn process(&self, _process: ProcessKey) -> Result<Option<ProcessRow>, StoreError> {
        Ok(None)
    }

    /// How busy each lane was from `from` to `to`, in at most `max_buckets` buckets.
    pub async fn timeline(
        &self,
        _process: ProcessKey,
        _from: UnixNanos,
        _to: UnixNanos,
        _max_buckets: u32,
    ) -> Result<Timeline, StoreError> {
        Ok(Timeline::default())
    }

    /// The single polls that overlap a range, at most `limit`.
    pub async fn polls(
        &self,
        _process: ProcessKey,
        _from: UnixNanos,
        _to: UnixNanos,
        _limit: usize,
    ) -> Result<Spans, StoreError> {
        Ok(Spans::default())
    }

    /// The single parks that overlap a range, at most `limit`.
    pub async fn parks(
        &self,
        _process: ProcessKey,
        _from: UnixNanos,
        _to: UnixNanos,
        _limit: usize,
    ) -> Result<Spans, StoreError> {
        Ok(Spans::default())
    }

    /// A page of tasks.
    pub async fn tasks(&self, _query: &TaskQuery) -> Result<Page<TaskRow>, StoreError> {
        Ok(Page::default())
    }

    /// One task; `None` if nothing of it was seen.
    pub async fn task(
        &self,
        _process: ProcessKey,
        _task: TaskId,
    ) -> Result<Option<TaskRow>, StoreError> {
        Ok(None)
    }

    /// The polls of a task: the `last` latest, the `slowest` longest, and all of them by length.
    pub async fn task_polls(
        &self,
        _process: ProcessKey,
        _task: TaskId,
        _last: usize,
        _slowest: usize,
    ) -> Result<TaskPolls, StoreError> {
        Ok(TaskPolls::default())
    }

    /// The latest wakes of a task, latest first.
    pub async fn task_wakes(
        &self,
        _process: ProcessKey,
        _task: TaskId,
        _limit: usize,
    ) -> Result<Vec<WakeRow>, StoreError> {
        Ok(Vec::new())
    }

    /// How many tasks a task has spawned.
    pub async fn task_children(
        &self,
        _process: ProcessKey,
        _task: TaskId,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// What the tasks spawned at the same place as this one have in common.
    pub async fn location_stats(
        &self,
        _process: ProcessKey,
        _task: TaskId,
    ) -> Result<LocationStats, StoreError> {
        Ok(LocationStats::default())
    }

    /// Slow polls with their samples and stacks, latest first.
    pub async fn slow_polls(&self, _query: &SlowQuery) -> Result<SlowPolls, StoreError> {
        Ok(SlowPolls::default())
    }

    /// How many tasks were alive, at each of these instants.
    pub async fn tasks_alive_at(
        &self,
        _process: ProcessKey,
        _instants: &[UnixNanos],
    ) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    /// Live tasks per spawn location over the window that ends at `at`, at `samples` instants.
    pub async fn task_sites(
        &self,
        _process: ProcessKey,
        _at: UnixNanos,
        _window: u64,
        _samples: usize,
    ) -> Result<Vec<TaskSite>, StoreError> {
        Ok(Vec::new())
    }

    /// Open resources per kind and open location over the window that ends at `at`.
    pub async fn resource_sites(
        &self,
        _process: ProcessKey,
        _at: UnixNanos,
        _window: u64,
        _samples: usize,
    ) -> Result<Vec<ResourceSite>, StoreError> {
        Ok(Vec::new())
    }

    /// A page of resources, latest opened first.
    pub async fn resources(&self, _query: &ResourceQuery) -> Result<Page<ResourceRow>, StoreError> {
        Ok(Page::default())
    }

    /// One metric in `points` even steps from `from` to `to`.
    pub async fn metrics(
        &self,
        _process: ProcessKey,
        _name: &str,
        _from: UnixNanos,
        _to: UnixNanos,
        _points: usize,
    ) -> Result<Vec<MetricSeries>, StoreError> {
        Ok(Vec::new())
    }

    /// The latest reading of every metric of a process.
    pub async fn latest_metrics(&self, _process: ProcessKey) -> Result<Vec<MetricRow>, StoreError> {
        Ok(Vec::new())
    }

    /// What was lost of a process, latest first.
    pub async fn losses(&self, _process: ProcessKey) -> Result<Vec<LossRow>, StoreError> {
        Ok(Vec::new())
    }

    /// The books of a process, one row per kind.
    pub async fn ledger(&self, _process: ProcessKey) -> Result<Vec<LedgerRow>, StoreError> {
        Ok(Vec::new())
    }

    /// The store as a whole.
    pub async fn status(&self) -> Result<StoreStatus, StoreError> {
        Ok(StoreStatus {
            path: self.path.clone(),
            bytes: 0,
            epoch: [0; 16],
            schema: 0,
            oldest_at: None,
            batches: 0,
            events: 0,
            polls: 0,
        })
    }

    /// Answers one SQL query over the documented views.
    pub async fn query(&self, _sql: &str, _limits: QueryLimits) -> Result<QueryResult, QueryError> {
        Ok(QueryResult::default())
    }
}
