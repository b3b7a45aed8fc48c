//! A run, and the session by which loopd hears of it: the agent's half of the protocol.

use std::collections::VecDeque;
use std::time::Duration;

use loopd_model::{DropCause, DumpId, Loss, Nanos, RecordKind};
use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::run::{Run, Sealed};
use super::session::{Collector, MAX_WINDOW, Session, SessionEvent};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// So often a batch is sent again at once: without its events, and then without names and places.
const MAX_REFUSALS: u32 = 2;

/// Who is recorded, and where to.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) app: String,
    pub(super) target: String,
    pub(super) collector: Collector,
}

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) run: Run,
    names: Names,
    session: Option<Session>,
    is_welcome: bool,
    /// Whether the program is connected. While it is not, a session is kept only for what is left to say.
    is_here: bool,
    /// Sent and not acknowledged, oldest first.
    window: VecDeque<Sent>,
    next_seq: u64,
    durable_seq: u64,
    store_epoch: Option<Vec<u8>>,
    retry_at: Instant,
    wait: Duration,
    /// Why there was no session the last time; it is told of once.
    complaint: Option<String>,
}

#[derive(Debug)]
struct Sent {
    batch: pb::Batch,
    /// Events by kind, should it be refused.
    counts: [u32; RecordKind::SLOTS],
    /// How often loopd could not read it.
    refusals: u32,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// loopd has another store, or an older copy of it, that knows nothing of this run, or not all. All has
    /// to be told anew, as another run.
    StoreChanged,
}

impl Recording {
    pub(super) fn new(run: Run, names: Names) -> Self {
        Self {
            run,
            names,
            session: None,
            is_welcome: false,
            is_here: true,
            window: VecDeque::new(),
            next_seq: 1,
            durable_seq: 0,
            store_epoch: None,
            retry_at: Instant::now(),
            wait: FIRST_WAIT,
            complaint: None,
        }
    }

    /// The program has connected, or is gone.
    pub(super) fn set_here(&mut self, is_here: bool) {
        self.is_here = is_here;
    }

    /// Whether there is nothing left to say.
    pub(super) fn is_drained(&self) -> bool {
        self.window.is_empty() && !self.run.has_news()
    }

    /// Sends what can be sent, and waits for the next thing to happen. May be dropped at any time.
    pub(super) async fn step(&mut self) -> Step {
        let is_wanted = self.is_here || !self.is_drained();
        if !is_wanted && self.session.take().is_some() {
            // Without a goodbye: it may come back, and if it does not, loopd notes that it is lost.
            self.is_welcome = false;
        }
        if is_wanted && self.session.is_none() {
            sleep_until(self.retry_at).await;
            self.connect();
        }
        self.send();
        let Some(session) = &mut self.session else { return std::future::pending().await };
        match session.next().await {
            SessionEvent::Message(kind) => self.hear(kind),
            SessionEvent::Ended(reason) => {
                self.ended(&reason);
                Step::Done
            }
        }
    }

    fn connect(&mut self) {
        let process = self.run.process(&self.names.app, &self.names.target);
        let hello = pb::Hello {
            protocol: loopd_wire::PROTOCOL,
            process: Some(loopd_wire::encode_process(process)),
            first_seq: self.window.front().map_or(self.next_seq, |sent| sent.batch.seq),
            settings: None,
            configured: None,
        };
        self.is_welcome = false;
        self.session = Some(Session::start(self.names.collector.clone(), hello));
    }

    fn ended(&mut self, reason: &str) {
        if self.complaint.as_deref() != Some(reason) {
            let (target, again_in) = (&self.names.target, self.wait);
            tracing::warn!(
                target,
                reason,
                ?again_in,
                "loopd cannot be reached, what comes is kept for it"
            );
            self.complaint = Some(reason.to_owned());
        }
        (self.session, self.is_welcome) = (None, false);
        self.retry_at = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    fn send(&mut self) {
        let Some(session) = self.session.as_ref().filter(|_| self.is_welcome) else { return };
        while self.window.len() < MAX_WINDOW && self.run.has_news() {
            let Sealed { batch, counts } = self.run.seal(self.next_seq);
            let batch = loopd_wire::encode_batch(batch);
            self.next_seq += 1;
            session.send(batch.clone());
            self.window.push_back(Sent { batch, counts, refusals: 0 });
        }
    }

    fn hear(&mut self, kind: Kind) -> Step {
        match kind {
            Kind::Welcome(welcome) => return self.welcome(welcome),
            Kind::Ack(ack) => {
                self.acked(ack.durable_seq);
                (self.wait, self.complaint) = (FIRST_WAIT, None);
            }
            Kind::Refused(refused) => self.refused(&refused),
            Kind::DumpTasks(dump) => self.run.cannot_dump(DumpId(dump.dump_id)),
            // There is nothing to set.
            Kind::Settings(_) => {}
        }
        Step::Done
    }

    fn welcome(&mut self, welcome: pb::Welcome) -> Step {
        let is_another =
            self.store_epoch.as_ref().is_some_and(|known| *known != welcome.store_epoch);
        if is_another || welcome.durable_seq < self.durable_seq {
            return Step::StoreChanged;
        }
        self.store_epoch = Some(welcome.store_epoch);
        self.acked(welcome.durable_seq);
        self.is_welcome = true;
        self.send_again(0);
        Step::Done
    }

    fn acked(&mut self, durable_seq: u64) {
        self.durable_seq = self.durable_seq.max(durable_seq);
        while self.window.front().is_some_and(|sent| sent.batch.seq <= durable_seq) {
            self.window.pop_front();
        }
    }

    /// Sends what is in the window from a number on.
    fn send_again(&self, from: u64) {
        let Some(session) = &self.session else { return };
        for sent in self.window.iter().filter(|sent| sent.batch.seq >= from) {
            session.send(sent.batch.clone());
        }
    }

    /// The batch that could not be read is sent again without what happened in it, and those behind it, which
    /// were set aside. If that is refused as well it must be for its names and places; and if there is
    /// nothing left to take out, it is sent again in another session, not in a hurry.
    fn refused(&mut self, refused: &pb::Refused) {
        let pb::Refused { seq, reason } = refused;
        let target = &self.names.target;
        let Some(sent) = self.window.iter_mut().find(|sent| sent.batch.seq == *seq) else { return };
        sent.refusals += 1;
        if sent.refusals > MAX_REFUSALS {
            return self.ended(&format!("batch {seq} was refused: {reason}"));
        }
        tracing::warn!(target, seq, reason, "loopd refused a batch, its content is lost");
        let at = sent.batch.anchor.as_ref().map_or(0, |anchor| anchor.at);
        let lost = RecordKind::ALL.into_iter().filter_map(|kind| {
            let count = u64::from(std::mem::take(&mut sent.counts[kind as usize]));
            let (cause, at) = (DropCause::Malformed, Nanos(at));
            (count > 0).then_some(Loss { kind, cause, count, from: at, to: at })
        });
        let lost: Vec<_> = lost.map(loopd_wire::encode_loss).collect();
        sent.batch.losses.extend(lost);
        sent.batch.events.clear();
        if sent.refusals > 1 {
            sent.batch.names.clear();
            sent.batch.locations.clear();
        }
        self.send_again(*seq);
    }

    /// Says what is left until a deadline.
    pub(super) async fn drain(&mut self, deadline: Instant) {
        self.is_here = false;
        while !self.is_drained() {
            match timeout_at(deadline, self.step()).await {
                Ok(Step::Done) => {}
                Ok(Step::StoreChanged) | Err(_) => {
                    let target = &self.names.target;
                    tracing::warn!(target, "what was left of a run could not be sent in time");
                    return;
                }
            }
        }
    }

    /// Says what is left, and goodbye.
    pub(super) async fn finish(mut self, reason: &str, deadline: Instant) {
        self.is_here = true;
        // A session may still be about to begin.
        while !(self.is_drained() && self.is_welcome) {
            match timeout_at(deadline, self.step()).await {
                Ok(Step::Done) => {}
                Ok(Step::StoreChanged) | Err(_) => return,
            }
        }
        let ledger = loopd_wire::encode_ledger(self.run.ledger());
        let goodbye = pb::Goodbye { reason: reason.to_owned(), ledger };
        if let Some(session) = self.session.take() {
            let _ = timeout_at(deadline, session.finish(goodbye)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use console_api::instrument::Update;

    use super::*;

    #[test]
    fn a_refused_batch_keeps_its_names_until_it_is_refused_again() {
        let names = Names {
            app: "shop".into(),
            target: "here".into(),
            collector: Collector::here(tonic::service::Routes::default()),
        };
        let mut recording = Recording::new(Run::new(&Update::default(), 0), names);
        let name = loopd_model::Name { id: loopd_model::NameId(1), text: "serve".into() };
        let event = loopd_model::Event {
            at: Nanos(1),
            kind: loopd_model::EventKind::TaskUnwakeable { task: loopd_model::TaskId(1) },
        };
        let batch = loopd_model::Batch {
            seq: 1,
            names: vec![name],
            events: vec![event],
            ..loopd_model::Batch::default()
        };
        let mut counts = [0; RecordKind::SLOTS];
        counts[RecordKind::Task as usize] = 1;
        let batch = loopd_wire::encode_batch(batch);
        recording.window.push_back(Sent { batch, counts, refusals: 0 });
        let refused = pb::Refused { seq: 1, reason: "no".into() };
        let mut refuse = |times: usize| {
            (0..times).for_each(|_| recording.refused(&refused));
            let batch = &recording.window[0].batch;
            let held = (batch.events.len(), batch.names.len(), batch.losses.len());
            (held, recording.wait > FIRST_WAIT)
        };
        assert_eq!(refuse(1), ((0, 1, 1), false));
        assert_eq!(refuse(1), ((0, 0, 1), false));
        // There is nothing left to take out: not in a hurry, then.
        assert_eq!(refuse(1), ((0, 0, 1), true));
    }
}
