//! What rules judge by: [`Facts`] of a range, filled from whatever was kept of it.
//!
//! What happened after the end of the range has no influence: each part reads as if the store ended there,
//! so the same range tells the same, live or a week later. Only what arrives late, or what retention has
//! removed meanwhile, makes a difference.

mod busy;
mod cells;
mod complaints;
mod holds;
mod jobs;
mod lookup;
mod metrics;
mod peers;
mod polls;
mod populations;
mod process;
mod raw;
mod sites;
mod standouts;
mod uses;
mod waits;

use loopd_analysis::capture::Capture;
use loopd_analysis::findings::{Facts, State};
use loopd_analysis::runtime::Runtime;
use loopd_analysis::slow::place_text;
use loopd_model::{Location, UnixNanos};

use super::Reader;
use crate::{ProcessKey, ProcessRow, ProcessState, StoreError};

/// A range of a process, both ends included.
#[derive(Clone, Copy, Debug)]
struct Range {
    process: ProcessKey,
    /// When the process began.
    started: i64,
    from: i64,
    to: i64,
}

impl Range {
    /// Nothing is known of a process before its start or after its last data.
    fn new(process: &ProcessRow, from: Option<UnixNanos>, to: Option<UnixNanos>) -> Self {
        let started = process.started_at.0;
        let last = process.last_at.0.max(started);
        let to = to.map_or(last, |to| to.0.clamp(started, last));
        let from = from.map_or(started, |from| from.0.clamp(started, to));
        Self { process: process.process, started, from, to }
    }

    /// The first instant after it.
    const fn end(self) -> i64 {
        self.to.saturating_add(1)
    }
}

impl Reader {
    /// What rules may know of a process from `from` to `to`; without these, from its start to the last
    /// that is known of it. `None` if there is no such process.
    ///
    /// What happened after `to` has no influence. A process of which something is known after `to` was
    /// alive then; of one that shut down by then, what is alive is judged at the instant at which its first
    /// loop closed.
    pub async fn facts(
        &self,
        process: ProcessKey,
        from: Option<UnixNanos>,
        to: Option<UnixNanos>,
    ) -> Result<Option<Facts>, StoreError> {
        let Some(row) = self.process(process).await? else { return Ok(None) };
        let range = Range::new(&row, from, to);
        let state = match row.state {
            _ if range.to < row.last_at.0 => State::Live,
            ProcessState::Live => State::Live,
            ProcessState::Ended => State::Ended,
            ProcessState::Lost => State::Lost,
        };
        let mut facts = Facts {
            runtime: Runtime::of_agent(&row.agent),
            capture: Capture::of_agent(&row.agent),
            from: UnixNanos(range.from),
            to: UnixNanos(range.to),
            started_at: row.started_at,
            state,
            coverage: row.coverage,
            slow_threshold: row.slow_threshold,
            ..Facts::default()
        };
        self.add_process(range, &mut facts).await?;
        facts.complaints = self.complaints_of(range).await?;
        self.add_sites(range, &mut facts).await?;
        self.add_slow_polls(range, &mut facts).await?;
        let at = populations::end_of_life(&facts);
        self.add_populations(range, at, &mut facts).await?;
        self.add_standouts(range, at.0, &mut facts).await?;
        // What the shutdown sweeps away is in no channel, waits for no lock, and is closed.
        let lived = Range { to: at.0.clamp(range.from, range.to), ..range };
        self.add_uses(lived, &mut facts).await?;
        self.add_waits(range, at.0, &mut facts).await?;
        self.add_holds(range, &mut facts).await?;
        self.add_metrics(range, &mut facts).await?;
        self.add_busy(range, &mut facts).await?;
        sites::add_examples(&mut facts);
        Ok(Some(facts))
    }
}

/// A place as rules name it.
fn place(location: &Location) -> String {
    place_text(&location.file, location.line)
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let fixed = [
        &cells::STATEMENTS[..],
        &holds::STATEMENTS,
        &jobs::STATEMENTS,
        &peers::STATEMENTS,
        &raw::STATEMENTS,
        &process::STATEMENTS,
    ]
    .concat();
    let mut statements = [
        polls::statements(),
        standouts::statements(),
        waits::statements(),
        uses::statements(),
        busy::statements(),
    ]
    .concat();
    statements.extend(fixed.into_iter().map(str::to_owned));
    statements
}
