//! A collector's stand-in, a process of its own: acknowledges and forgets. Prints where it listens:
//! for agents, and for the hand-written recorder, which speaks no protocol.

use std::io::Read;
use std::net::TcpListener;
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use loopd_wire::pb;
use loopd_wire::pb::ingest_server::{Ingest, IngestServer};
use tonic::{Request, Response, Status, Streaming};

use crate::job::Result;

/// Serves until it is killed.
pub(crate) fn run() -> Result<()> {
    let (agents, raw) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    println!("http://{}", agents.local_addr()?);
    println!("floor://{}", raw.local_addr()?);
    std::thread::spawn(move || {
        for connection in raw.incoming().flatten() {
            std::thread::spawn(move || swallow(connection));
        }
    });
    agents.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let agents = tokio::net::TcpListener::from_std(agents)?;
        let incoming = tonic::transport::server::TcpIncoming::from(agents);
        let service = IngestServer::new(Sink).max_decoding_message_size(4 << 20);
        let server = tonic::transport::Server::builder().add_service(service);
        Ok(server.serve_with_incoming(incoming).await?)
    })
}

fn swallow(mut connection: impl Read) {
    let mut buffer = vec![0; 1 << 16];
    while connection.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

struct Sink;

type Answers =
    Pin<Box<dyn Stream<Item = std::result::Result<pb::CollectorMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Ingest for Sink {
    type StreamStream = Answers;

    async fn stream(
        &self,
        request: Request<Streaming<pb::AgentMessage>>,
    ) -> std::result::Result<Response<Answers>, Status> {
        use pb::agent_message::Kind as Asked;
        use pb::collector_message::Kind;
        let answers = request.into_inner().filter_map(|message| async move {
            let kind = match message.ok()?.kind? {
                Asked::Hello(_) => {
                    Kind::Welcome(pb::Welcome { protocol: 1, ..pb::Welcome::default() })
                }
                Asked::Batch(batch) => Kind::Ack(pb::Ack { durable_seq: batch.seq }),
                Asked::Goodbye(_) => return None,
            };
            Some(Ok(pb::CollectorMessage { kind: Some(kind) }))
        });
        Ok(Response::new(answers.boxed()))
    }
}
