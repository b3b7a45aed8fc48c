//! One connection to loopd: connects, says hello, and carries messages both ways. It decides nothing.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use loopd_wire::pb;
use loopd_wire::pb::collector_message::Kind;
use loopd_wire::pb::ingest_client::IngestClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::feed::chain;

/// For the connection itself, and again for the collector's first answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest message taken from a collector; its messages are small.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Batches on their way: what is known beyond waits in the table, where it takes no more.
pub(super) const MAX_WINDOW: usize = 16;
/// Messages handed to the transport: a window, the same again after a refusal, and a goodbye.
const MAX_OUTBOUND: usize = 2 * MAX_WINDOW + 1;
const MAX_INBOUND: usize = 64;

/// The loopd that records.
#[derive(Clone, Debug)]
pub struct Collector(Place);

#[derive(Clone, Debug)]
enum Place {
    Elsewhere { endpoint: Box<Endpoint>, token: Option<AsciiMetadataValue> },
    Here(Routes),
}

/// Why an address is none of a loopd.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// No address.
    #[error("`{url}` is no address of a loopd; give http://HOST:PORT")]
    Malformed {
        /// What was given.
        url: String,
    },
    /// An address with a user in it.
    #[error(
        "the address of loopd has a user in it; give http://HOST:PORT, and the token as LOOPD_TOKEN"
    )]
    User,
    /// A token that no header can hold.
    #[error("the token has characters that cannot be sent")]
    Token,
}

impl Collector {
    /// A server, by its address and the token that it asks for.
    pub fn at(url: &str, token: Option<&str>) -> Result<Self, CollectorError> {
        // Before anything can repeat a secret.
        if url.contains('@') {
            return Err(CollectorError::User);
        }
        let malformed = || CollectorError::Malformed { url: url.to_owned() };
        let address = match url.split_once("://") {
            None => format!("http://{url}"),
            Some(("http", _)) => url.to_owned(),
            Some(_) => return Err(malformed()),
        };
        let endpoint = Endpoint::from_shared(address).map_err(|_| malformed())?;
        if endpoint.uri().host().is_none_or(str::is_empty) {
            return Err(malformed());
        }
        let header = |token| format!("Bearer {token}").parse().map_err(|_| CollectorError::Token);
        let (endpoint, token) = (Box::new(endpoint), token.map(header).transpose()?);
        Ok(Self(Place::Elsewhere { endpoint, token }))
    }

    /// The collector of this process, by its routes.
    pub fn here(routes: Routes) -> Self {
        Self(Place::Here(routes))
    }

    async fn connect(&self) -> Result<Client, String> {
        let service = match &self.0 {
            Place::Elsewhere { endpoint, .. } => {
                let endpoint = Endpoint::clone(endpoint).connect_timeout(CONNECT_TIME);
                let endpoint = endpoint
                    .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
                    .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                    .keep_alive_while_idle(true);
                let channel = endpoint.connect().await.map_err(|error| chain(&error))?;
                BoxCloneSyncService::new(channel)
            }
            Place::Here(routes) => {
                let never = |error: Infallible| -> Failure { match error {} };
                let routes = routes.clone();
                BoxCloneSyncService::new(ServiceExt::<Request<Body>>::map_err(routes, never))
            }
        };
        Ok(IngestClient::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn token(&self) -> Option<&AsciiMetadataValue> {
        match &self.0 {
            Place::Elsewhere { token, .. } => token.as_ref(),
            Place::Here(_) => None,
        }
    }
}

type Failure = tonic::transport::Error;
type Client = IngestClient<BoxCloneSyncService<Request<Body>, Response<Body>, Failure>>;

/// What a session tells.
#[derive(Debug)]
pub(super) enum SessionEvent {
    Message(Kind),
    /// It is over, and why.
    Ended(String),
}

/// A session under way. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Session {
    outbound: mpsc::Sender<pb::AgentMessage>,
    inbound: mpsc::Receiver<SessionEvent>,
    task: JoinHandle<()>,
}

impl Session {
    /// Begins to connect.
    pub(super) fn start(collector: Collector, hello: pb::Hello) -> Self {
        let (outbound, requests) = mpsc::channel(MAX_OUTBOUND);
        let (events, inbound) = mpsc::channel(MAX_INBOUND);
        let task = tokio::spawn(async move {
            let reason = match run(&collector, hello, requests, &events).await {
                Ok(()) => "loopd ended the stream".to_owned(),
                Err(reason) => reason,
            };
            let _ = events.send(SessionEvent::Ended(reason)).await;
        });
        Self { outbound, inbound, task }
    }

    pub(super) async fn next(&mut self) -> SessionEvent {
        let lost = || SessionEvent::Ended("the session was lost".to_owned());
        self.inbound.recv().await.unwrap_or_else(lost)
    }

    /// Sends a batch; there is room for all of a window. A session that is ending says so next.
    pub(super) fn send(&self, batch: pb::Batch) {
        let kind = Some(pb::agent_message::Kind::Batch(batch));
        let sent = self.outbound.try_send(pb::AgentMessage { kind });
        debug_assert!(
            !matches!(sent, Err(mpsc::error::TrySendError::Full(_))),
            "more was sent than a window"
        );
    }

    /// Says goodbye and waits until loopd has ended the stream.
    pub(super) async fn finish(mut self, goodbye: pb::Goodbye) {
        let kind = Some(pb::agent_message::Kind::Goodbye(goodbye));
        if self.outbound.send(pb::AgentMessage { kind }).await.is_err() {
            return;
        }
        // Dropping the only sender ends our half of the stream.
        self.outbound = mpsc::channel(1).0;
        while let SessionEvent::Message(_) = self.next().await {}
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    collector: &Collector,
    hello: pb::Hello,
    requests: mpsc::Receiver<pb::AgentMessage>,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<(), String> {
    let mut client = collector.connect().await?;
    let hello = pb::AgentMessage { kind: Some(pb::agent_message::Kind::Hello(hello)) };
    let messages = tokio_stream::once(hello).chain(ReceiverStream::new(requests));
    let mut request = tonic::Request::new(messages);
    if let Some(token) = collector.token() {
        request.metadata_mut().insert("authorization", token.clone());
    }
    let answer = timeout(CONNECT_TIME, client.stream(request)).await;
    let answer = answer.map_err(|_| format!("loopd did not answer within {CONNECT_TIME:?}"))?;
    let mut answers = answer.map_err(|status| chain(&status))?.into_inner();
    loop {
        let message = answers.message().await.map_err(|status| chain(&status))?;
        let Some(message) = message else { return Ok(()) };
        if let Some(kind) = message.kind
            && events.send(SessionEvent::Message(kind)).await.is_err()
        {
            return Ok(());
        }
    }
}
