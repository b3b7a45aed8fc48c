//! One stream of one agent: reads and checks, and passes on to the keeper.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loopd_model::{Anchor, Nanos, UnixNanos};
use loopd_store::ProcessKey;
use loopd_wire::pb::agent_message::Kind;
use loopd_wire::{DecodeError, Hello, MAX_BATCH_BYTES, pb};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::clocks::Clocks;
use crate::config::{HELLO_TIME, LAST_WORD_TIME};
use crate::group::Queued;
use crate::keeper::{Command, SessionId};
use crate::outbound::Outbound;
use crate::status::{Counters, add, sub};

/// What a session needs of the rest of the collector.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Permits are bytes between a session and their commit, see [`Queued::room`].
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) next_id: Arc<AtomicU64>,
    pub(crate) clocks: Arc<Clocks>,
}

/// Runs a session until its stream ends.
pub(crate) async fn run(
    incoming: Streaming<pb::AgentMessage>,
    outbound: Outbound,
    link: Link,
    peer: Option<SocketAddr>,
) {
    add(&link.counters.sessions, 1);
    let id = SessionId(link.next_id.fetch_add(1, Ordering::Relaxed));
    let counters = Arc::clone(&link.counters);
    let how = Session { id, incoming, outbound: outbound.clone(), link, peer }.run().await;
    if let Err(status) = &how {
        tracing::info!(session = id.0, ?peer, reason = status.message(), "session ended");
    }
    outbound.end(how);
    sub(&counters.sessions, 1);
    add(&counters.ended_sessions, 1);
}

struct Session {
    id: SessionId,
    incoming: Streaming<pb::AgentMessage>,
    outbound: Outbound,
    link: Link,
    peer: Option<SocketAddr>,
}

/// The keeper is gone or going.
fn stopping() -> Status {
    Status::unavailable("loopd is stopping, connect again")
}

impl Session {
    async fn run(mut self) -> Result<(), Status> {
        let commands = self.link.commands.clone();
        let hello = tokio::select! {
            hello = self.hello() => hello?,
            () = commands.closed() => return Err(stopping()),
        };
        let start = hello.process.anchor;
        let Some(process) = self.begin(hello).await? else { return Ok(()) };
        let outbound = self.outbound.clone();
        let how = tokio::select! {
            biased;
            () = outbound.ended() => return Ok(()),
            how = self.read(process, start) => how,
        };
        match how {
            Ok(last) => {
                // The keeper has the last word, so that it comes after the last ack.
                if self.send(last).await.is_err()
                    || timeout(LAST_WORD_TIME, outbound.ended()).await.is_err()
                {
                    return Err(stopping());
                }
                Ok(())
            }
            Err(status) => {
                // Told before the keeper hears of it, so that the agent learns the reason at once.
                outbound.end(Err(status.clone()));
                let _ = self.send(Command::Broken { session: self.id, process }).await;
                Err(status)
            }
        }
    }

    async fn hello(&mut self) -> Result<Hello, Status> {
        let late = |_| Status::deadline_exceeded(format!("no hello within {HELLO_TIME:?}"));
        let first = timeout(HELLO_TIME, self.incoming.message()).await.map_err(late)??;
        let Some(first) = first else { return Err(Status::cancelled("no hello")) };
        let Some(Kind::Hello(hello)) = first.kind else {
            return Err(Status::failed_precondition("the first message must be a hello"));
        };
        loopd_wire::decode_hello(hello).map_err(|error| match error {
            DecodeError::Protocol { .. } => Status::failed_precondition(error.to_string()),
            _ => Status::invalid_argument(format!("hello: {error}")),
        })
    }

    /// `None` if the keeper ended the session instead.
    async fn begin(&mut self, hello: Hello) -> Result<Option<ProcessKey>, Status> {
        let (reply, begun) = oneshot::channel();
        let process = &hello.process;
        tracing::info!(
            session = self.id.0, peer = ?self.peer, app = process.app, pid = process.pid,
            process = %process.id, "session began"
        );
        let (session, outbound) = (self.id, self.outbound.clone());
        self.send(Command::Begin { session, hello, outbound, reply }).await?;
        Ok(begun.await.ok())
    }

    /// Reads to the end of the stream, and says how the keeper should note it.
    async fn read(&mut self, process: ProcessKey, start: Anchor) -> Result<Command, Status> {
        let session = self.id;
        loop {
            let message = match self.incoming.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(Command::Broken { session, process }),
                Err(status) => return Err(self.unreadable(status)),
            };
            match message.kind {
                Some(Kind::Batch(batch)) => self.batch(process, start, batch).await?,
                Some(Kind::Goodbye(goodbye)) => {
                    let goodbye = loopd_wire::decode_goodbye(goodbye)
                        .map_err(|error| Status::invalid_argument(format!("goodbye: {error}")))?;
                    return Ok(Command::Goodbye { session, process, goodbye });
                }
                Some(Kind::Hello(_)) => {
                    return Err(Status::failed_precondition("a second hello on one stream"));
                }
                None => add(&self.link.counters.unknown, 1),
            }
        }
    }

    async fn batch(
        &mut self,
        process: ProcessKey,
        start: Anchor,
        batch: pb::Batch,
    ) -> Result<(), Status> {
        // Before anything is waited for.
        if let Some(sealed) = &batch.anchor {
            let sealed = Anchor { at: Nanos(sealed.at), unix: UnixNanos(sealed.unix_nanos) };
            self.link.clocks.note(process, start, sealed);
        }
        let (session, seq) = (self.id, batch.seq);
        if seq == 0 {
            return Err(Status::invalid_argument("batch: seq is missing"));
        }
        let bytes = loopd_wire::encoded_len(&batch);
        let refuse = |reason| Command::Refuse { session, process, seq, reason };
        if bytes > MAX_BATCH_BYTES {
            let reason = format!("the batch is {bytes} bytes long, the limit is {MAX_BATCH_BYTES}");
            return self.send(refuse(reason)).await;
        }
        let room = Queued::room(&batch, bytes);
        let budget = Arc::clone(&self.link.budget);
        let Ok(permit) = budget.acquire_many_owned(room as u32).await else {
            return Err(stopping());
        };
        let command = match loopd_wire::decode_batch(batch) {
            Ok((batch, tolerated)) => {
                let counters = &self.link.counters;
                add(&counters.unknown, tolerated.unknown_kinds + tolerated.unknown_values);
                add(&counters.cut_texts, tolerated.cut_texts);
                let queued = Queued::new(session, process, batch, room, permit, counters);
                Command::Batch(queued)
            }
            Err(error) => refuse(error.to_string()),
        };
        self.send(command).await
    }

    async fn send(&self, command: Command) -> Result<(), Status> {
        self.link.commands.send(command).await.map_err(|_| stopping())
    }

    /// What to tell an agent whose message could not be read at all. tonic's own words are for the
    /// reader of the log.
    fn unreadable(&self, status: Status) -> Status {
        use tonic::Code;
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                let limit = loopd_wire::MAX_MESSAGE_BYTES;
                Status::invalid_argument(format!("a message is longer than {limit} bytes"))
            }
            Code::Internal => Status::invalid_argument(status.message().to_owned()),
            _ => status,
        }
    }
}
