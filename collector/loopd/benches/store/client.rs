//! An agent's side of the stream: sends encoded batches within a window, as a real agent does, and
//! notes when each was acked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loopd_model::{Batch, Process};
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;
use prost::Message;
use prost::bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

/// Batches on their way, as of a real agent.
const WINDOW: u64 = 64;

/// Takes messages that are encoded already, so that encoding is not what is measured.
#[derive(Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = pb::CollectorMessage;
    type Encoder = Self;
    type Decoder = tonic_prost::ProstDecoder<pb::CollectorMessage>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        tonic_prost::ProstCodec::<pb::AgentMessage, _>::default().decoder()
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

/// A batch as the message that carries it.
pub(crate) fn encoded(batch: Batch) -> Bytes {
    const BATCH: u32 = 2;
    let body = loopd_wire::write_batch(batch);
    let mut message = BytesMut::with_capacity(body.len() + 8);
    prost::encoding::encode_key(BATCH, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(body.len() as u64, &mut message);
    message.put_slice(&body);
    message.freeze()
}

/// How a delivery went.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// From the first batch sent to the last one acked.
    pub(crate) time: Duration,
    /// Batches acked.
    pub(crate) acked: u64,
    /// From sending each batch to its ack.
    pub(crate) ack_times: Vec<Duration>,
    /// The longest time without an ack while one was due.
    pub(crate) longest_gap: Duration,
}

/// A welcomed stream.
pub(crate) struct Client {
    outgoing: mpsc::Sender<Bytes>,
    incoming: Streaming<pb::CollectorMessage>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr, process: Process) -> Self {
        let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await;
        let mut grpc = Grpc::new(channel.unwrap());
        grpc.ready().await.unwrap();
        // As wide as the window, so that sending never waits.
        let (outgoing, messages) = mpsc::channel(WINDOW as usize + 1);
        let process = Some(loopd_wire::encode_process(process));
        let hello = pb::Hello { protocol: 1, process, first_seq: 1, ..pb::Hello::default() };
        let hello = pb::AgentMessage { kind: Some(Said::Hello(hello)) };
        outgoing.send(hello.encode_to_vec().into()).await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/loopd.v1.Ingest/Stream");
        let request = Request::new(ReceiverStream::new(messages));
        let incoming = grpc.streaming(request, path, Encoded).await.unwrap().into_inner();
        let mut client = Self { outgoing, incoming };
        assert!(matches!(client.hear().await, Heard::Welcome(_)));
        client
    }

    async fn hear(&mut self) -> Heard {
        self.incoming.message().await.unwrap().and_then(|message| message.kind).unwrap()
    }

    /// Sends what comes, and returns when all of it is acked and no more comes.
    pub(crate) async fn deliver(&mut self, mut batches: mpsc::Receiver<Bytes>) -> Delivery {
        let mut delivery = Delivery::default();
        let mut sent_at: VecDeque<Instant> = VecDeque::new();
        let (mut began_at, mut heard_at) = (None, Instant::now());
        let mut is_over = false;
        while !(is_over && sent_at.is_empty()) {
            tokio::select! {
                heard = self.incoming.message() => {
                    let Some(Heard::Ack(ack)) = heard.unwrap().and_then(|heard| heard.kind) else {
                        continue;
                    };
                    let now = Instant::now();
                    delivery.longest_gap = delivery.longest_gap.max(now - heard_at);
                    heard_at = now;
                    let news = ack.durable_seq - delivery.acked;
                    let sent = sent_at.drain(..news as usize);
                    delivery.ack_times.extend(sent.map(|sent_at| now - sent_at));
                    delivery.acked = ack.durable_seq;
                }
                batch = batches.recv(), if !is_over && (sent_at.len() as u64) < WINDOW => {
                    let Some(batch) = batch else {
                        is_over = true;
                        continue;
                    };
                    let now = Instant::now();
                    began_at.get_or_insert(now);
                    if sent_at.is_empty() {
                        heard_at = now;
                    }
                    sent_at.push_back(now);
                    self.outgoing.send(batch).await.unwrap();
                }
            }
        }
        delivery.time = began_at.map_or(Duration::ZERO, |began_at| began_at.elapsed());
        delivery
    }

    /// Sends what was encoded before.
    pub(crate) async fn deliver_all(&mut self, encoded: Vec<Bytes>) -> Delivery {
        let (sender, batches) = mpsc::channel(encoded.len().max(1));
        for batch in encoded {
            sender.try_send(batch).unwrap();
        }
        drop(sender);
        self.deliver(batches).await
    }
}
