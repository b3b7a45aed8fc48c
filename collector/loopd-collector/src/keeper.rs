//! The one task that owns the store's writer: commits, acks, and says which process is alive.

mod health;
mod live;

use std::sync::Arc;
use std::time::SystemTime;

use loopd_analysis::findings::Finding;
use loopd_model::{DumpId, Settings, UnixNanos};
use loopd_store::{
    CommitOutcome, How, NoteChange, NoteOutcome, ProcessKey, ReportedSettings, Session,
    SettingsChange, SettingsScope, StoreError, Writer,
};
use loopd_wire::{Goodbye, Hello, MAX_BATCH_BYTES, PROTOCOL, pb};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::collector::DumpError;
use crate::config::{CollectorConfig, MAINTAIN_EVERY, MAINTAIN_REST, MAX_MAINTAIN_REST};
use crate::group::{Group, Queued};
use crate::outbound::Outbound;
use crate::status::{Counters, add};
use health::Health;
use live::{Arrival, Home, Live, Lost};

/// One stream, among all since the collector started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(pub(crate) u64);

/// What a session asks of the keeper. Commands of one session are handled in order.
#[derive(Debug)]
pub(crate) enum Command {
    /// The agent introduced itself. `reply` is dropped if the session was ended instead.
    Begin {
        session: SessionId,
        hello: Hello,
        outbound: Outbound,
        reply: oneshot::Sender<ProcessKey>,
    },
    Batch(Queued),
    /// A batch that could not be read.
    Refuse {
        session: SessionId,
        process: ProcessKey,
        seq: u64,
        reason: String,
    },
    Goodbye {
        session: SessionId,
        process: ProcessKey,
        goodbye: Goodbye,
    },
    /// The stream ended without a goodbye.
    Broken {
        session: SessionId,
        process: ProcessKey,
    },
    /// Somebody wants other settings. Of no session.
    Change {
        scope: SettingsScope,
        change: SettingsChange,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Somebody wants to know where every task of a process waits. Of no session.
    Dump {
        process: ProcessKey,
        reply: oneshot::Sender<Result<DumpId, DumpError>>,
    },
    /// What rules found in the data of a process up to an instant. Of no session.
    Found {
        process: ProcessKey,
        at: UnixNanos,
        findings: Vec<Finding>,
    },
    /// Somebody writes, changes or removes a note. Of no session.
    Note {
        change: NoteChange,
        reply: oneshot::Sender<Result<NoteOutcome, StoreError>>,
    },
    /// Somebody wants to hear no more of a finding in a program, or to hear of it again. Of no session.
    Mute {
        app: String,
        rule: String,
        subject: String,
        reason: Option<String>,
        reply: oneshot::Sender<Result<bool, StoreError>>,
    },
}

/// Everything that makes the keeper do something.
#[expect(clippy::large_enum_variant, reason = "made and consumed at once, never stored")]
enum Wakeup {
    CommitDue,
    MaintainDue,
    GraceOver,
    Command(Command),
    Stop,
}

#[derive(Debug)]
pub(crate) struct Keeper {
    store: Writer,
    config: CollectorConfig,
    commands: mpsc::Receiver<Command>,
    stop: watch::Receiver<bool>,
    counters: Arc<Counters>,
    live: Live,
    group: Group,
    health: Health,
    maintain_at: Instant,
}

impl Keeper {
    pub(crate) fn new(
        store: Writer,
        config: CollectorConfig,
        commands: mpsc::Receiver<Command>,
        stop: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> Self {
        let live = Live::new(config.grace, &config.live_before, &config.gone_before, now());
        let health = Health::new(Arc::clone(&counters));
        let (group, maintain_at) = (Group::default(), Instant::now() + MAINTAIN_EVERY);
        Self { store, config, commands, stop, counters, live, group, health, maintain_at }
    }

    /// Runs until told to stop, and then until everything received is committed.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        loop {
            match self.next().await {
                Wakeup::CommitDue => self.commit().await,
                Wakeup::MaintainDue => self.maintain().await,
                Wakeup::GraceOver => self.give_up_lost().await,
                Wakeup::Command(command) => self.handle(command).await,
                Wakeup::Stop => return self.drain().await,
            }
        }
    }

    async fn next(&mut self) -> Wakeup {
        // Due work comes before new work, or a flood of batches would put it off for ever.
        tokio::select! {
            biased;
            // An error means that the handle is gone, and with it everybody who could stop us.
            _ = self.stop.wait_for(|stop| *stop) => Wakeup::Stop,
            () = at(self.group.due_at()) => Wakeup::CommitDue,
            () = sleep_until(self.maintain_at) => Wakeup::MaintainDue,
            () = at(self.live.next_lost_at()) => Wakeup::GraceOver,
            command = self.commands.recv() => command.map_or(Wakeup::Stop, Wakeup::Command),
        }
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Begin { session, hello, outbound, reply } => {
                self.begin(session, hello, outbound, reply).await;
            }
            Command::Batch(queued) => self.queue(queued),
            Command::Refuse { session, process, seq, reason } => {
                self.refuse(session, process, seq, reason);
            }
            Command::Goodbye { session, process, goodbye } => {
                self.goodbye(session, process, goodbye).await;
            }
            Command::Broken { session, process } => {
                self.commit().await;
                if let Some(outbound) = self.live.leave(session, process, now()) {
                    outbound.end(Ok(()));
                }
            }
            Command::Change { scope, change, reply } => {
                // Who asked may be gone; the change is made all the same.
                let _ = reply.send(self.change(&scope, &change).await);
            }
            Command::Dump { process, reply } => {
                let _ = reply.send(self.dump(process).await);
            }
            Command::Found { process, at, findings } => self.found(process, at, &findings).await,
            Command::Note { change, reply } => {
                // Who asked may be gone.
                let _ = reply.send(self.store.change_note(&change, now()).await);
            }
            Command::Mute { app, rule, subject, reason, reply } => {
                let key = (app.as_str(), rule.as_str(), subject.as_str());
                let muted = self.store.mute_finding(key, reason.as_deref(), now()).await;
                // Who asked may be gone.
                let _ = reply.send(muted);
            }
        }
    }

    /// Keeps what is asked for, and asks the agents here whose settings it changes.
    async fn change(
        &mut self,
        scope: &SettingsScope,
        change: &SettingsChange,
    ) -> Result<(), StoreError> {
        self.store.change_settings(scope, change).await?;
        tracing::info!(?scope, ?change, "settings changed");
        for process in self.live.here() {
            match self.store.process_settings(process).await {
                Ok(settings) => {
                    self.live.ask(process, loopd_wire::encode_settings(settings.told()));
                }
                // The change is made. The others are to hear of it; this one does when it connects.
                Err(error) => tracing::error!(
                    process = process.0,
                    error = &error as &dyn std::error::Error,
                    "an agent was not told of changed settings"
                ),
            }
        }
        Ok(())
    }

    /// Asks an agent where every task waits. What it answers are events like any other.
    async fn dump(&mut self, process: ProcessKey) -> Result<DumpId, DumpError> {
        if !self.live.is_here(process) {
            return Err(DumpError::NotConnected { process: process.0 });
        }
        let dump = self.store.begin_dump(process, now()).await?;
        self.live.dump(process, dump);
        tracing::info!(process = process.0, dump = dump.0, "asked where tasks wait");
        Ok(dump)
    }

    /// What was found again in ten seconds is worth no more than a line in the log if it is not kept.
    async fn found(&mut self, process: ProcessKey, at: UnixNanos, findings: &[Finding]) {
        if let Err(error) = self.store.keep_findings(process, at, findings).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(process = process.0, error, "findings were not kept");
        }
    }

    async fn begin(
        &mut self,
        session: SessionId,
        hello: Hello,
        outbound: Outbound,
        reply: oneshot::Sender<ProcessKey>,
    ) {
        // What an older session of this process sent counts before the new one is told where to
        // go on.
        self.commit().await;
        if let Some(status) = self.health.refusal() {
            return outbound.end(Err(status));
        }
        match self.begin_in_store(&hello).await {
            Ok((begun, settings)) => {
                self.health.worked();
                outbound.welcome(welcome(&begun, settings));
                let home = Home { host: hello.process.host, pid: hello.process.pid };
                let joined = (begun.process, home);
                if let Some(older) = self.live.join(joined, session, outbound, begun.durable_seq) {
                    older.end(Err(Status::aborted("a newer connection of this process took over")));
                }
                // If the session is gone already, its `Broken` never comes.
                if reply.send(begun.process).is_err() {
                    self.live.leave(session, begun.process, now());
                }
            }
            Err(error) => outbound.end(Err(self.health.failed(&error))),
        }
    }

    /// The session, and what its agent is asked for.
    async fn begin_in_store(&mut self, hello: &Hello) -> Result<(Session, Settings), StoreError> {
        let said = ReportedSettings { in_force: hello.settings, configured: hello.configured };
        let begun = self.store.begin_session_saying(&hello.process, hello.first_seq, &said).await?;
        let settings = self.store.process_settings(begun.process).await?;
        Ok((begun, settings.told()))
    }

    fn queue(&mut self, queued: Queued) {
        if self.is_expected(queued.session, queued.process, queued.batch.seq) {
            self.group.push(queued);
        }
    }

    /// What is queued goes on waiting: bad batches must not make others' commits small.
    fn refuse(&mut self, session: SessionId, process: ProcessKey, seq: u64, reason: String) {
        if self.is_expected(session, process, seq) {
            self.tell_refused(process, seq, reason);
        }
    }

    /// Whether a batch is news, and counts it if it is not.
    fn is_expected(&mut self, session: SessionId, process: ProcessKey, seq: u64) -> bool {
        match self.live.arrive(session, process, seq) {
            Arrival::Expected => return true,
            Arrival::Duplicate => {
                add(&self.counters.duplicates, 1);
                self.live.ack(session, process, seq);
            }
            Arrival::SetAside => add(&self.counters.set_aside, 1),
            Arrival::Stale => {}
        }
        false
    }

    fn tell_refused(&mut self, process: ProcessKey, seq: u64, reason: String) {
        add(&self.counters.refused, 1);
        tracing::warn!(process = process.0, seq, reason, "batch refused");
        self.live.refuse(process, seq, reason);
    }

    async fn goodbye(&mut self, session: SessionId, process: ProcessKey, goodbye: Goodbye) {
        self.commit().await;
        let Some(outbound) = self.live.leave(session, process, now()) else { return };
        let how = How::Goodbye { ledger: goodbye.ledger };
        match self.store.end_session(process, how, now()).await {
            Ok(()) => {
                self.health.worked();
                self.live.forget(process);
                add(&self.counters.goodbyes, 1);
                tracing::info!(process = process.0, reason = goodbye.reason, "process ended");
                outbound.end(Ok(()));
            }
            Err(error) => outbound.end(Err(self.health.failed(&error))),
        }
    }

    /// Commits what is queued, and acks it.
    async fn commit(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let taken = self.group.take();
        let committed = match self.store.commit(taken.batches).await {
            Ok(committed) => committed,
            Err(error) => {
                let status = self.health.failed(&error);
                for (session, process, _) in taken.origins {
                    if let Some(outbound) = self.live.leave(session, process, now()) {
                        outbound.end(Err(status.clone()));
                    }
                }
                return;
            }
        };
        self.health.worked();
        add(&self.counters.commits, 1);
        for (committed, (session, process, size)) in committed.into_iter().zip(taken.origins) {
            match committed.outcome {
                CommitOutcome::Stored => {
                    size.count_in(&self.counters);
                    self.live.ack(session, process, committed.durable_seq);
                }
                CommitOutcome::Duplicate => {
                    add(&self.counters.duplicates, 1);
                    self.live.ack(session, process, committed.durable_seq);
                }
                CommitOutcome::Malformed { reason } => {
                    self.tell_refused(process, committed.seq, reason);
                }
                CommitOutcome::Gap { expected, got } => self.gap(session, process, expected, got),
            }
        }
        drop(taken.rooms);
    }

    fn gap(&mut self, session: SessionId, process: ProcessKey, expected: u64, got: u64) {
        // Behind a refused batch a gap is what we asked for.
        if self.live.awaits_refused(process) {
            return add(&self.counters.set_aside, 1);
        }
        if let Some(outbound) = self.live.leave(session, process, now()) {
            add(&self.counters.gaps, 1);
            let reason = format!("batch {expected} is missing, batch {got} came");
            outbound.end(Err(Status::failed_precondition(reason)));
        }
    }

    async fn maintain(&mut self) {
        let began_at = Instant::now();
        let next = match self.store.maintain(now(), &self.config.retention).await {
            Ok(done) if done.more => (began_at.elapsed() * MAINTAIN_REST).min(MAX_MAINTAIN_REST),
            Ok(_) => MAINTAIN_EVERY,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "maintenance failed");
                MAINTAIN_EVERY
            }
        };
        self.maintain_at = Instant::now() + next;
    }

    async fn give_up_lost(&mut self) {
        for Lost { process, since, is_gone } in self.live.lost(Instant::now(), self.config.is_gone)
        {
            match self.store.end_session(process, How::Lost, since).await {
                Ok(()) => {
                    self.live.forget(process);
                    tracing::warn!(process = process.0, is_gone, "process lost");
                }
                Err(error) => {
                    self.health.failed(&error);
                    self.live.put_off(process);
                }
            }
        }
    }

    /// Takes what sessions had already handed over, commits it, and ends every session. What
    /// comes later was never acked, so its agents still have it.
    async fn drain(mut self) -> Result<(), StoreError> {
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Begin { outbound, .. } => outbound.end(Err(stopping())),
                command => self.handle(command).await,
            }
            if self.group.due_at().is_some_and(|due_at| due_at <= Instant::now()) {
                self.commit().await;
            }
        }
        self.commit().await;
        self.live.end_all(&stopping());
        self.store.close().await
    }
}

fn welcome(begun: &Session, settings: Settings) -> pb::Welcome {
    pb::Welcome {
        protocol: PROTOCOL,
        store_epoch: begun.store_epoch.to_vec(),
        durable_seq: begun.durable_seq,
        settings: Some(loopd_wire::encode_settings(settings)),
        max_batch_bytes: MAX_BATCH_BYTES as u32,
    }
}

fn stopping() -> Status {
    Status::unavailable("loopd is stopping, connect again")
}

/// Waits for an instant, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
