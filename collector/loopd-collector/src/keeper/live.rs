//! Which processes have a session, which are away, and what each session still owes.

use std::collections::HashMap;
use std::time::Duration;

use loopd_model::{DumpId, UnixNanos};
use loopd_store::ProcessKey;
use loopd_wire::pb;
use tokio::time::Instant;
use tonic::Status;

use super::SessionId;
use crate::config::LOOK_EVERY;
use crate::outbound::Outbound;

/// The processes that are live in the store.
#[derive(Debug)]
pub(super) struct Live {
    grace: Duration,
    processes: HashMap<ProcessKey, Presence>,
}

#[derive(Debug)]
enum Presence {
    Here {
        session: SessionId,
        outbound: Outbound,
        /// Every batch up to this one is on disk, as far as this session was told.
        durable_seq: u64,
        /// The refused batch that is awaited; later ones are set aside until it comes.
        refused: Option<u64>,
        home: Home,
    },
    Away {
        since: UnixNanos,
        lost_at: Instant,
        /// Whether it is known to have ended.
        is_gone: bool,
        /// Where to look whether it has ended, and when next; absent for one of an earlier run.
        home: Option<(Home, Instant)>,
    },
}

/// Where a program runs, and its number there.
#[derive(Clone, Debug, Default)]
pub(super) struct Home {
    pub(super) host: String,
    pub(super) pid: u32,
}

/// A process that does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) process: ProcessKey,
    /// Since when it is away.
    pub(super) since: UnixNanos,
    /// Whether it is known to have ended; else its grace is over.
    pub(super) is_gone: bool,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Take it.
    Expected,
    /// It is on disk.
    Duplicate,
    /// It is behind a refused batch and will come again.
    SetAside,
    /// Its session has ended or was superseded.
    Stale,
}

impl Live {
    /// Starts with processes of an earlier run, all away; those that are `gone` have no grace.
    pub(super) fn new(
        grace: Duration,
        before: &[ProcessKey],
        gone: &[ProcessKey],
        now: UnixNanos,
    ) -> Self {
        let began_at = Instant::now();
        let away = |&process| {
            let is_gone = gone.contains(&process);
            let lost_at = if is_gone { began_at } else { began_at + grace };
            (process, Presence::Away { since: now, lost_at, is_gone, home: None })
        };
        Self { grace, processes: before.iter().map(away).collect() }
    }

    /// A session begins. Returns what it supersedes.
    pub(super) fn join(
        &mut self,
        (process, home): (ProcessKey, Home),
        session: SessionId,
        outbound: Outbound,
        durable_seq: u64,
    ) -> Option<Outbound> {
        let here = Presence::Here { session, outbound, durable_seq, refused: None, home };
        match self.processes.insert(process, here) {
            Some(Presence::Here { outbound, .. }) => Some(outbound),
            Some(Presence::Away { .. }) | None => None,
        }
    }

    /// A session ends, if it still is the process's. Its grace begins.
    pub(super) fn leave(
        &mut self,
        session: SessionId,
        process: ProcessKey,
        now: UnixNanos,
    ) -> Option<Outbound> {
        let presence = self.processes.get_mut(&process)?;
        match presence {
            Presence::Here { session: current, home, .. } if *current == session => {
                let home = Some((std::mem::take(home), Instant::now() + LOOK_EVERY));
                let lost_at = Instant::now() + self.grace;
                let away = Presence::Away { since: now, lost_at, is_gone: false, home };
                match std::mem::replace(presence, away) {
                    Presence::Here { outbound, .. } => Some(outbound),
                    Presence::Away { .. } => None,
                }
            }
            Presence::Here { .. } | Presence::Away { .. } => None,
        }
    }

    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
    }

    /// A batch came.
    pub(super) fn arrive(&mut self, session: SessionId, process: ProcessKey, seq: u64) -> Arrival {
        match self.processes.get_mut(&process) {
            Some(Presence::Here { session: current, durable_seq, refused, .. })
                if *current == session =>
            {
                match *refused {
                    _ if seq <= *durable_seq => Arrival::Duplicate,
                    Some(awaited) if seq > awaited => Arrival::SetAside,
                    Some(_) | None => {
                        *refused = None;
                        Arrival::Expected
                    }
                }
            }
            _ => Arrival::Stale,
        }
    }

    /// Tells the session that every batch up to `known_seq` is on disk, or what it was told before
    /// if that is more.
    pub(super) fn ack(&mut self, session: SessionId, process: ProcessKey, known_seq: u64) {
        if let Some(Presence::Here { session: current, outbound, durable_seq, .. }) =
            self.processes.get_mut(&process)
            && *current == session
        {
            *durable_seq = known_seq.max(*durable_seq);
            outbound.ack(*durable_seq);
        }
    }

    pub(super) fn refuse(&mut self, process: ProcessKey, seq: u64, reason: String) {
        if let Some(Presence::Here { outbound, refused, .. }) = self.processes.get_mut(&process) {
            *refused = Some(seq);
            outbound.refuse(seq, reason);
        }
    }

    /// The processes that have a session.
    pub(super) fn here(&self) -> Vec<ProcessKey> {
        let is_here = |(&process, presence): (&ProcessKey, &Presence)| {
            matches!(presence, Presence::Here { .. }).then_some(process)
        };
        self.processes.iter().filter_map(is_here).collect()
    }

    /// Asks the process's agent for these settings.
    pub(super) fn ask(&self, process: ProcessKey, settings: pb::Settings) {
        if let Some(Presence::Here { outbound, .. }) = self.processes.get(&process) {
            outbound.ask(settings);
        }
    }

    pub(super) fn is_here(&self, process: ProcessKey) -> bool {
        matches!(self.processes.get(&process), Some(Presence::Here { .. }))
    }

    /// Asks the process's agent where every task waits.
    pub(super) fn dump(&self, process: ProcessKey, dump: DumpId) {
        if let Some(Presence::Here { outbound, .. }) = self.processes.get(&process) {
            outbound.dump(dump);
        }
    }

    pub(super) fn awaits_refused(&self, process: ProcessKey) -> bool {
        matches!(self.processes.get(&process), Some(Presence::Here { refused: Some(_), .. }))
    }

    /// When the next process counts as lost, or may be found to have ended.
    pub(super) fn next_lost_at(&self) -> Option<Instant> {
        let lost_at = |presence: &Presence| match presence {
            Presence::Away { lost_at, home: Some((_, look_at)), .. } => Some(*lost_at.min(look_at)),
            Presence::Away { lost_at, home: None, .. } => Some(*lost_at),
            Presence::Here { .. } => None,
        };
        self.processes.values().filter_map(lost_at).min()
    }

    /// The processes whose grace is over, or that have ended meanwhile.
    pub(super) fn lost(&mut self, now: Instant, has_ended: fn(&str, u32) -> bool) -> Vec<Lost> {
        let lost = |(&process, presence): (&ProcessKey, &mut Presence)| {
            let Presence::Away { since, lost_at, is_gone, home } = presence else { return None };
            *is_gone |= home.as_mut().is_some_and(|(home, look_at)| {
                let is_due = *look_at <= now;
                if is_due {
                    *look_at = now + LOOK_EVERY;
                }
                is_due && has_ended(&home.host, home.pid)
            });
            let lost = Lost { process, since: *since, is_gone: *is_gone };
            (*is_gone || *lost_at <= now).then_some(lost)
        };
        self.processes.iter_mut().filter_map(lost).collect()
    }

    /// Grants another grace.
    pub(super) fn put_off(&mut self, process: ProcessKey) {
        if let Some(Presence::Away { lost_at, is_gone, home, .. }) =
            self.processes.get_mut(&process)
        {
            (*lost_at, *is_gone, *home) = (Instant::now() + self.grace, false, None);
        }
    }

    pub(super) fn end_all(&mut self, status: &Status) {
        for (_, presence) in self.processes.drain() {
            if let Presence::Here { outbound, .. } = presence {
                outbound.end(Err(status.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessKey = ProcessKey(1);
    const SESSION: SessionId = SessionId(1);

    fn home() -> (ProcessKey, Home) {
        (PROCESS, Home { host: "here".into(), pid: 7 })
    }

    fn nobody_knows(_: &str, _: u32) -> bool {
        false
    }

    fn lost(process: u8, since: i64, is_gone: bool) -> Lost {
        Lost { process: ProcessKey(process.into()), since: UnixNanos(since), is_gone }
    }

    fn live() -> Live {
        Live::new(Duration::from_secs(15), &[], &[], UnixNanos(0))
    }

    #[tokio::test]
    async fn behind_a_refused_batch_others_wait() {
        let mut live = live();
        live.join(home(), SESSION, Outbound::new(), 3);
        live.refuse(PROCESS, 5, "no".into());
        assert_eq!(live.arrive(SESSION, PROCESS, 6), Arrival::SetAside);
        assert_eq!(live.arrive(SESSION, PROCESS, 3), Arrival::Duplicate);
        assert_eq!(live.arrive(SESSION, PROCESS, 5), Arrival::Expected);
        assert_eq!(live.arrive(SESSION, PROCESS, 6), Arrival::Expected);
    }

    #[tokio::test]
    async fn a_superseded_session_has_no_say() {
        let mut live = live();
        live.join(home(), SESSION, Outbound::new(), 0);
        assert!(live.join(home(), SessionId(2), Outbound::new(), 0).is_some());
        assert_eq!(live.arrive(SESSION, PROCESS, 1), Arrival::Stale);
        assert!(live.leave(SESSION, PROCESS, UnixNanos(9)).is_none());
        assert!(live.leave(SessionId(2), PROCESS, UnixNanos(9)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_earlier_run_those_that_are_gone_have_no_grace() {
        let before = [PROCESS, ProcessKey(2)];
        let mut live = Live::new(Duration::from_secs(15), &before, &before[1..], UnixNanos(7));
        assert_eq!(live.lost(Instant::now(), nobody_knows), [lost(2, 7, true)]);
        live.forget(ProcessKey(2));
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(live.lost(Instant::now(), nobody_knows), [lost(1, 7, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_lost_after_its_grace_and_not_before() {
        let mut live = live();
        live.join(home(), SESSION, Outbound::new(), 0);
        assert_eq!(live.next_lost_at(), None);
        live.leave(SESSION, PROCESS, UnixNanos(9));
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(live.lost(Instant::now(), nobody_knows), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(live.lost(Instant::now(), nobody_knows), [lost(1, 9, false)]);
        live.put_off(PROCESS);
        assert_eq!(live.lost(Instant::now(), nobody_knows), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_ended_is_lost_when_that_is_seen() {
        let mut live = live();
        live.join(home(), SESSION, Outbound::new(), 0);
        live.leave(SESSION, PROCESS, UnixNanos(9));
        let is_it = |host: &str, pid| (host, pid) == ("here", 7);
        assert_eq!(live.lost(Instant::now(), is_it), [], "it may be about to end");
        tokio::time::advance(LOOK_EVERY).await;
        assert!(live.next_lost_at().is_some_and(|at| at <= Instant::now()));
        assert_eq!(live.lost(Instant::now(), nobody_knows), []);
        assert_eq!(live.next_lost_at(), Some(Instant::now() + LOOK_EVERY));
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(live.lost(Instant::now(), is_it), [lost(1, 9, true)]);
    }
}
