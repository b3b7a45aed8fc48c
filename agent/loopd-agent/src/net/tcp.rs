//! TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use tokio::net::{self, ToSocketAddrs};

use crate::opened::{Kept, Open, descriptor, reads, transparent, writes};
use crate::waits::Op;

/// As [`tokio::net::TcpStream`].
#[derive(Debug)]
pub struct TcpStream(Open<net::TcpStream>);

impl TcpStream {
    /// As [`tokio::net::TcpStream::connect`].
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(address: A) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        connect(address, place)
    }

    /// As [`tokio::net::TcpStream::from_std`].
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self::from(net::TcpStream::from_std(stream)?))
    }

    /// As [`tokio::net::TcpStream::into_std`]. From here on it is not loopd's to watch.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.0.inner.into_std()
    }

    /// What is inside. From here on it is not loopd's to watch.
    pub fn into_inner(self) -> net::TcpStream {
        self.0.inner
    }

    /// As [`tokio::net::TcpStream::into_split`]. The stream counts as open while there is a half.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let Open { inner, kept } = self.0;
        let (read, write) = inner.into_split();
        (
            OwnedReadHalf(Open { inner: read, kept: kept.clone() }),
            OwnedWriteHalf(Open { inner: write, kept }),
        )
    }

    fn new(
        inner: net::TcpStream,
        place: &'static Location<'static>,
        name: impl FnOnce() -> String,
    ) -> Self {
        Self(Open { inner, kept: Kept::open(place, "tcp", name) })
    }
}

/// As tokio connects: one address after the other. Each attempt counts as opened when it begins.
async fn connect(
    address: impl ToSocketAddrs,
    place: &'static Location<'static>,
) -> io::Result<TcpStream> {
    let mut last = None;
    for peer in net::lookup_host(address).await? {
        let kept = Kept::open(place, "tcp", || peer.to_string());
        match kept.call(Op::Connect, place).wait(net::TcpStream::connect(peer)).await {
            Ok(inner) => return Ok(TcpStream(Open { inner, kept })),
            Err(error) => last = Some(error),
        }
    }
    let nowhere =
        || io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address");
    Err(last.unwrap_or_else(nowhere))
}

/// It counts as opened here; the name is its peer's address.
impl From<net::TcpStream> for TcpStream {
    #[track_caller]
    fn from(inner: net::TcpStream) -> Self {
        let place = Location::caller();
        let peer = || inner.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        let kept = Kept::open(place, "tcp", peer);
        Self(Open { inner, kept })
    }
}

transparent!(TcpStream, net::TcpStream);
descriptor!(TcpStream);
reads!(TcpStream);
writes!(TcpStream);

/// As [`tokio::net::tcp::OwnedReadHalf`].
#[derive(Debug)]
pub struct OwnedReadHalf(Open<net::tcp::OwnedReadHalf>);

impl OwnedReadHalf {
    /// As [`tokio::net::tcp::OwnedReadHalf::reunite`].
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, net::tcp::ReuniteError> {
        let inner = self.0.inner.reunite(other.0.inner)?;
        Ok(TcpStream(Open { inner, kept: self.0.kept }))
    }
}

transparent!(OwnedReadHalf, net::tcp::OwnedReadHalf);
reads!(OwnedReadHalf);

/// As [`tokio::net::tcp::OwnedWriteHalf`].
#[derive(Debug)]
pub struct OwnedWriteHalf(Open<net::tcp::OwnedWriteHalf>);

impl OwnedWriteHalf {
    /// As [`tokio::net::tcp::OwnedWriteHalf::reunite`].
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, net::tcp::ReuniteError> {
        other.reunite(self)
    }

    /// As [`tokio::net::tcp::OwnedWriteHalf::forget`].
    pub fn forget(self) {
        self.0.inner.forget();
    }
}

transparent!(OwnedWriteHalf, net::tcp::OwnedWriteHalf);
writes!(OwnedWriteHalf);

/// As [`tokio::net::TcpListener`].
#[derive(Debug)]
pub struct TcpListener(Open<net::TcpListener>);

impl TcpListener {
    /// As [`tokio::net::TcpListener::bind`].
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move { Ok(Self::new(net::TcpListener::bind(address).await?, place)) }
    }

    /// As [`tokio::net::TcpListener::from_std`].
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self::new(net::TcpListener::from_std(listener)?, Location::caller()))
    }

    /// As [`tokio::net::TcpListener::into_std`]. From here on it is not loopd's to watch.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.0.inner.into_std()
    }

    /// What is inside. From here on it is not loopd's to watch.
    pub fn into_inner(self) -> net::TcpListener {
        self.0.inner
    }

    /// As [`tokio::net::TcpListener::accept`]. The stream counts as opened where this is called.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        let place = Location::caller();
        let call = self.0.kept.call(Op::Accept, place);
        async move {
            let (inner, peer) = call.wait(self.0.accept()).await?;
            Ok((TcpStream::new(inner, place, || peer.to_string()), peer))
        }
    }

    fn new(inner: net::TcpListener, place: &'static Location<'static>) -> Self {
        let own = || inner.local_addr().map(|own| own.to_string()).unwrap_or_default();
        let kept = Kept::open(place, "tcp_listener", own);
        Self(Open { inner, kept })
    }
}

transparent!(TcpListener, net::TcpListener);
descriptor!(TcpListener);
