//! What a session still has to tell its agent.
//!
//! Not a queue but the newest state, so that an agent that does not read costs nothing and never
//! holds up the keeper: acks only rise, and there is at most one refusal to answer.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use loopd_model::DumpId;
use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind;
use tokio::sync::watch;
use tonic::Status;

/// Dumps that an agent was asked for and has not heard of; of more the oldest are not asked for any more,
/// since whoever did has given up waiting.
const MAX_DUMPS: usize = 4;

/// The newest state of one session, as its agent should know it.
#[derive(Debug, Default)]
struct State {
    welcome: Option<pb::Welcome>,
    durable_seq: u64,
    /// What the agent is to capture; absent before the welcome.
    settings: Option<pb::Settings>,
    /// The latest dumps that it was asked for; their numbers rise.
    dumps: VecDeque<DumpId>,
    /// How often an ack was due; more than one may become a single message.
    acks: u64,
    refused: Option<pb::Refused>,
    refusals: u64,
    /// How the stream ended; absent while it goes on.
    ended: Option<Result<(), Status>>,
}

/// The collector's side of one stream. Clones speak to the same agent.
#[derive(Clone, Debug)]
pub(crate) struct Outbound(Arc<watch::Sender<State>>);

impl Outbound {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    pub(crate) fn welcome(&self, welcome: pb::Welcome) {
        self.0.send_modify(|state| {
            state.settings = welcome.settings;
            state.welcome = Some(welcome);
        });
    }

    /// Asks for other settings, unless they are those that were asked for last.
    pub(crate) fn ask(&self, settings: pb::Settings) {
        self.0.send_if_modified(|state| state.settings.replace(settings) != Some(settings));
    }

    /// Asks where every task waits.
    pub(crate) fn dump(&self, dump: DumpId) {
        self.0.send_modify(|state| {
            state.dumps.push_back(dump);
            let excess = state.dumps.len().saturating_sub(MAX_DUMPS);
            state.dumps.drain(..excess);
        });
    }

    pub(crate) fn ack(&self, durable_seq: u64) {
        self.0.send_modify(|state| {
            state.durable_seq = state.durable_seq.max(durable_seq);
            state.acks += 1;
        });
    }

    pub(crate) fn refuse(&self, seq: u64, reason: String) {
        self.0.send_modify(|state| {
            state.refused = Some(pb::Refused { seq, reason });
            state.refusals += 1;
        });
    }

    /// Ends the stream after what was said before. Only the first end counts.
    pub(crate) fn end(&self, how: Result<(), Status>) {
        self.0.send_if_modified(|state| {
            let is_first = state.ended.is_none();
            state.ended.get_or_insert(how);
            is_first
        });
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // An error means that every sender is gone, and `self` is one.
        let _ = self.0.subscribe().wait_for(|state| state.ended.is_some()).await;
    }

    /// The messages, for the transport to pull.
    pub(crate) fn messages(
        &self,
    ) -> impl Stream<Item = Result<pb::CollectorMessage, Status>> + Send + use<> {
        let said = Said::new(self.0.subscribe());
        stream::unfold(said, |mut said| async move {
            let message = said.next().await?;
            Some((message, said))
        })
    }
}

/// What the agent was told already.
struct Said {
    state: watch::Receiver<State>,
    is_welcomed: bool,
    settings: Option<pb::Settings>,
    dump: DumpId,
    acks: u64,
    refusals: u64,
    has_ended: bool,
    queue: VecDeque<Result<pb::CollectorMessage, Status>>,
}

impl Said {
    fn new(mut state: watch::Receiver<State>) -> Self {
        state.mark_changed();
        let queue = VecDeque::new();
        Self {
            state,
            is_welcomed: false,
            settings: None,
            dump: DumpId::NONE,
            acks: 0,
            refusals: 0,
            has_ended: false,
            queue,
        }
    }

    async fn next(&mut self) -> Option<Result<pb::CollectorMessage, Status>> {
        while self.queue.is_empty() && !self.has_ended {
            if self.state.changed().await.is_err() {
                return None;
            }
            self.catch_up();
        }
        self.queue.pop_front()
    }

    /// Queues what changed: at most a welcome, settings, a few dumps, an ack, a refusal and an end.
    fn catch_up(&mut self) {
        let state = self.state.borrow_and_update();
        let say = |kind| Ok(pb::CollectorMessage { kind: Some(kind) });
        if let Some(welcome) = state.welcome.as_ref().filter(|_| !self.is_welcomed) {
            self.queue.push_back(say(Kind::Welcome(welcome.clone())));
            (self.is_welcomed, self.settings) = (true, welcome.settings);
        }
        if let Some(settings) = state.settings.filter(|_| self.settings != state.settings) {
            self.queue.push_back(say(Kind::Settings(settings)));
            self.settings = Some(settings);
        }
        for &dump in state.dumps.iter().filter(|&&dump| dump > self.dump) {
            self.queue.push_back(say(Kind::DumpTasks(pb::DumpTasks { dump_id: dump.0 })));
        }
        self.dump = state.dumps.back().map_or(self.dump, |&dump| dump.max(self.dump));
        if state.acks > self.acks {
            let durable_seq = state.durable_seq;
            self.queue.push_back(say(Kind::Ack(pb::Ack { durable_seq })));
            self.acks = state.acks;
        }
        if let Some(refused) = state.refused.as_ref().filter(|_| state.refusals > self.refusals) {
            self.queue.push_back(say(Kind::Refused(refused.clone())));
            self.refusals = state.refusals;
        }
        if let Some(how) = &state.ended {
            self.queue.extend(how.as_ref().err().cloned().map(Err));
            self.has_ended = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use tonic::Code;

    #[tokio::test]
    async fn an_agent_hears_the_newest_settings_and_none_twice() {
        let outbound = Outbound::new();
        let ask = |nanos| {
            outbound.ask(pb::Settings { slow_threshold_nanos: Some(nanos), ..Default::default() });
        };
        let settings = Some(pb::Settings::default());
        outbound.welcome(pb::Welcome { settings, ..pb::Welcome::default() });
        let mut messages = Box::pin(outbound.messages());
        assert!(matches!(heard(messages.next().await), Kind::Welcome(_)));
        (1..=5).for_each(ask);
        let Kind::Settings(settings) = heard(messages.next().await) else { panic!("no settings") };
        assert_eq!(settings.slow_threshold_nanos, Some(5));
        ask(5);
        outbound.ack(1);
        assert!(matches!(heard(messages.next().await), Kind::Ack(_)));
    }

    #[tokio::test]
    async fn an_agent_is_asked_for_each_dump_once_and_for_few_if_it_does_not_read() {
        let outbound = Outbound::new();
        outbound.welcome(pb::Welcome::default());
        let mut messages = Box::pin(outbound.messages());
        assert!(matches!(heard(messages.next().await), Kind::Welcome(_)));
        outbound.dump(DumpId(1));
        assert_eq!(heard(messages.next().await), Kind::DumpTasks(pb::DumpTasks { dump_id: 1 }));
        (2..=9).for_each(|dump| outbound.dump(DumpId(dump)));
        outbound.end(Ok(()));
        let rest: Vec<_> = messages.map(|message| heard(Some(message))).collect().await;
        let asked = (6..=9).map(|dump_id| Kind::DumpTasks(pb::DumpTasks { dump_id }));
        assert_eq!(rest, asked.collect::<Vec<_>>());
    }

    fn heard(message: Option<Result<pb::CollectorMessage, Status>>) -> Kind {
        message.unwrap().unwrap().kind.unwrap()
    }

    #[tokio::test]
    async fn an_agent_that_reads_late_gets_the_newest_and_then_the_end() {
        let outbound = Outbound::new();
        outbound.welcome(pb::Welcome::default());
        (1..=1000).for_each(|seq| outbound.ack(seq));
        outbound.refuse(1001, "no".into());
        outbound.end(Err(Status::unavailable("bye")));
        outbound.end(Ok(()));
        let messages: Vec<_> = outbound.messages().collect().await;
        let kinds: Vec<_> =
            messages[..3].iter().map(|m| m.as_ref().unwrap().kind.clone().unwrap()).collect();
        assert!(matches!(kinds[0], Kind::Welcome(_)));
        assert_eq!(kinds[1], Kind::Ack(pb::Ack { durable_seq: 1000 }));
        assert!(matches!(&kinds[2], Kind::Refused(refused) if refused.seq == 1001));
        assert_eq!(messages[3].as_ref().unwrap_err().code(), Code::Unavailable);
        assert_eq!(messages.len(), 4);
    }
}
