//! The accept loop: HTTP/1 and HTTP/2 on one port, each connection within limits.
//!
//! `axum::serve` has none of these: it lets a client take for ever over its first byte or its
//! headers, and opens as many connections as there are file descriptors.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::ServiceExt;

use super::first_bytes::FirstBytes;
use super::guard::{Guard, Peer};

/// Connections at the same time; further ones wait in the kernel's queue. A process usually may
/// have 1,024 files open, and the store needs some of them.
const MAX_CONNECTIONS: usize = 900;

/// For the first bytes, and again for the headers of every HTTP/1 request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// For one request, body included, up to the head of its answer. Streams begin theirs at once, and a
/// query has a shorter limit of its own.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// How long accepting rests when the process is out of file descriptors or memory.
const REST_TIME: Duration = Duration::from_millis(200);

/// Streams on one HTTP/2 connection. An agent needs one, a browser a few.
const MAX_STREAMS: u32 = 16;

/// Bytes of all headers of one request.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// HTTP/2 pings find connections that are half-open: one each 10 s, 5 s to answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIME: Duration = Duration::from_secs(5);

pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    pub(super) guard: Arc<Guard>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Acceptor {
    /// Accepts until stopped; then gives connections `drain_time` to end, and closes the rest.
    pub(super) async fn run(mut self, drain_time: Duration) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop(&mut self.stopped) => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let connection = self.connection(stream, peer);
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections, resting");
                    sleep(REST_TIME).await;
                }
            }
        }
        drop(self.listener);
        let deadline = Instant::now() + drain_time;
        while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
        connections.shutdown().await;
    }

    /// Serves one connection until it ends.
    fn connection(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (router, guard) = (self.router.clone(), Arc::clone(&self.guard));
        let mut stopped = self.stopped.clone();
        async move {
            // Acks are small and must not wait for more to say.
            let _ = stream.set_nodelay(true);
            let peer = Peer { addr, local: stream.local_addr().ok() };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                answer(Arc::clone(&guard), router.clone(), peer, request.map(Body::new))
            });
            let stream = TokioIo::new(FirstBytes::within(HEAD_TIME, stream));
            let builder = builder();
            let mut connection = pin!(builder.serve_connection(stream, service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(peer = %addr, error, "connection ended");
            }
        }
    }
}

async fn answer(
    guard: Arc<Guard>,
    router: Router,
    peer: Peer,
    mut request: Request<Body>,
) -> Result<axum::response::Response, Infallible> {
    if let Some(response) = guard.check(&mut request, peer) {
        return Ok(response);
    }
    request.extensions_mut().insert(peer.addr);
    match timeout(ANSWER_TIME, router.oneshot(request)).await {
        Ok(answer) => answer,
        Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// Waits for the order to stop, or for nobody to be left who could give it.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Whether the connection went away before it was accepted, which says nothing about the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES);
    builder
}
