//! One connection to the collector: connects, says hello, and carries messages both ways. It runs as
//! a task beside the exporter's loop and decides nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind;
use prost::Message;
use prost::bytes::BufMut;
use prost::encoding;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint;

use crate::cost;
use crate::exporter::window::Numbered;

/// For the connection itself, and again for the collector's first answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that has vanished without a word is noticed within the sum of the two.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest message taken from a collector; its messages are small.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Messages handed to the transport and not yet written. Each may be a whole batch.
const MAX_OUTBOUND: usize = 2;
/// Messages from the collector not yet looked at; a collector that floods is simply read slowly.
const MAX_INBOUND: usize = 64;

/// What is sent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A batch, encoded already.
    Batch(Numbered),
    /// Anything else.
    Message(Box<pb::AgentMessage>),
}

/// As the generated client's codec, but takes encoded batches.
struct BatchCodec;
struct BatchEncoder;

impl Codec for BatchCodec {
    type Encode = Outgoing;
    type Decode = pb::CollectorMessage;
    type Encoder = BatchEncoder;
    type Decoder = tonic_prost::ProstDecoder<pb::CollectorMessage>;

    fn encoder(&mut self) -> BatchEncoder {
        BatchEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        tonic_prost::ProstCodec::<pb::AgentMessage, _>::default().decoder()
    }
}

impl Encoder for BatchEncoder {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            Outgoing::Batch(batch) => {
                cost::sent(batch.body.len());
                put_batch(&batch, out);
            }
            Outgoing::Message(message) => {
                cost::sent(message.encoded_len());
                message.encode(out).map_err(|error| Status::internal(error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Writes `AgentMessage { batch: Batch { seq, … } }` around the bytes there are. Protobuf lets the
/// fields of a message come in any order, so the number can go in front.
fn put_batch(batch: &Numbered, out: &mut impl BufMut) {
    const SEQ: u32 = 1;
    const BATCH: u32 = 2;
    let len = encoding::uint64::encoded_len(SEQ, &batch.seq) + batch.body.len();
    encoding::encode_key(BATCH, encoding::WireType::LengthDelimited, out);
    encoding::encode_varint(len as u64, out);
    encoding::uint64::encode(SEQ, &batch.seq, out);
    out.put_slice(&batch.body);
}

/// What a session tells the exporter.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// A message from the collector.
    Message(Kind),
    /// The session is over, and why.
    Ended(String),
}

impl SessionEvent {
    fn lost() -> Self {
        Self::Ended("the session was lost".to_owned())
    }
}

/// A session under way. Dropping it ends it.
pub(crate) struct Session {
    outbound: mpsc::Sender<Outgoing>,
    inbound: mpsc::Receiver<SessionEvent>,
    task: tokio::task::JoinHandle<()>,
}

/// Where and as whom to connect.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Option<AsciiMetadataValue>,
}

impl Target {
    /// The endpoint with our time limits.
    pub(crate) fn new(endpoint: Endpoint, token: Option<AsciiMetadataValue>) -> Arc<Self> {
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        Arc::new(Self { endpoint, token })
    }
}

impl Session {
    /// Begins to connect.
    pub(crate) fn start(target: Arc<Target>, hello: pb::Hello) -> Self {
        let (outbound, requests) = mpsc::channel(MAX_OUTBOUND);
        let (events, inbound) = mpsc::channel(MAX_INBOUND);
        let task = tokio::spawn(async move {
            let reason = match run(&target, hello, requests, &events).await {
                Ok(()) => "the collector ended the stream".to_owned(),
                Err(reason) => reason,
            };
            let _ = events.send(SessionEvent::Ended(reason)).await;
        });
        Self { outbound, inbound, task }
    }

    /// Waits for the next event, or, if `wants_slot`, until the transport takes a message again,
    /// which is `None`.
    pub(crate) async fn next_or_slot(&mut self, wants_slot: bool) -> Option<SessionEvent> {
        let Self { outbound, inbound, .. } = self;
        let mut slot = pin!(outbound.reserve());
        poll_fn(|context| {
            if let Poll::Ready(event) = inbound.poll_recv(context) {
                return Poll::Ready(Some(event.unwrap_or_else(SessionEvent::lost)));
            }
            // A slot that cannot come means that the session is ending; its last event says so.
            match wants_slot.then(|| slot.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(_))) => Poll::Ready(None),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// A place for one message, if the transport takes one now.
    pub(crate) fn slot(&self) -> Option<mpsc::Permit<'_, Outgoing>> {
        self.outbound.try_reserve().ok()
    }

    /// Says goodbye, if the transport takes it now; says whether it did. Nothing can be sent after it.
    pub(crate) fn say_goodbye(&mut self, goodbye: impl FnOnce() -> pb::Goodbye) -> bool {
        let Some(slot) = self.slot() else { return false };
        let kind = pb::agent_message::Kind::Goodbye(goodbye());
        slot.send(Outgoing::Message(Box::new(pb::AgentMessage { kind: Some(kind) })));
        // Dropping the only sender ends our half of the stream.
        self.outbound = mpsc::channel(1).0;
        true
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    target: &Target,
    hello: pb::Hello,
    requests: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<(), String> {
    let channel = target.endpoint.connect().await.map_err(|error| chain(&error))?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    client.ready().await.map_err(|error| chain(&error))?;
    let hello = pb::AgentMessage { kind: Some(pb::agent_message::Kind::Hello(hello)) };
    let messages = tokio_stream::StreamExt::chain(
        tokio_stream::once(Outgoing::Message(Box::new(hello))),
        ReceiverStream::new(requests),
    );
    let path = http::uri::PathAndQuery::from_static("/loopd.v1.Ingest/Stream");
    let mut request = tonic::Request::new(messages);
    if let Some(token) = &target.token {
        request.metadata_mut().insert("authorization", token.clone());
    }
    let answer =
        tokio::time::timeout(CONNECT_TIMEOUT, client.streaming(request, path, BatchCodec)).await;
    let answer = answer.map_err(|_| "the collector did not answer within 5 s".to_owned())?;
    let mut answers = answer.map_err(|status| chain(&status))?.into_inner();
    loop {
        let message = answers.message().await.map_err(|status| chain(&status))?;
        let Some(message) = message else { return Ok(()) };
        // A kind we do not know is a newer collector's; it must make do without us.
        if let Some(kind) = message.kind
            && events.send(SessionEvent::Message(kind)).await.is_err()
        {
            return Ok(());
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_written_as_the_generated_code_would() {
        let anchor = Some(pb::Anchor { at: 5, unix_nanos: -7 });
        let batch = pb::Batch { anchor, ..pb::Batch::default() };
        let mut bytes = Vec::new();
        put_batch(&Numbered { seq: 300, body: batch.encode_to_vec().into() }, &mut bytes);
        let kind = pb::agent_message::Kind::Batch(pb::Batch { seq: 300, ..batch });
        assert_eq!(bytes, pb::AgentMessage { kind: Some(kind) }.encode_to_vec());
    }
}
