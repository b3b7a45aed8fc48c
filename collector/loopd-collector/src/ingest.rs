//! The gRPC service: it starts a session for every stream.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use futures_util::Stream;
use loopd_wire::pb;
use tonic::{Request, Response, Status, Streaming};

use crate::outbound::Outbound;
use crate::session::{self, Link};

/// `loopd.v1.Ingest`.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    pub(crate) link: Link,
    pub(crate) max_sessions: usize,
}

#[tonic::async_trait]
impl pb::ingest_server::Ingest for Ingest {
    type StreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::CollectorMessage, Status>> + Send + 'static>>;

    async fn stream(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let open = self.link.counters.sessions.load(Ordering::Relaxed);
        if open >= self.max_sessions as u64 {
            let reason = format!("{open} sessions are open, which is the limit");
            return Err(Status::resource_exhausted(reason));
        }
        let peer = request.extensions().get::<std::net::SocketAddr>().copied();
        let outbound = Outbound::new();
        let messages = outbound.messages();
        tokio::spawn(session::run(request.into_inner(), outbound, self.link.clone(), peer));
        Ok(Response::new(Box::pin(messages)))
    }
}
