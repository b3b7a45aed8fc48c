//! Sockets of the file system.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::Path;

use tokio::net;
use tokio::net::unix::SocketAddr;

use crate::opened::{Kept, Open, descriptor, reads, transparent, writes};
use crate::waits::Op;

/// As [`tokio::net::UnixStream`].
#[derive(Debug)]
pub struct UnixStream(Open<net::UnixStream>);

impl UnixStream {
    /// As [`tokio::net::UnixStream::connect`].
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move {
            let kept = Kept::open(place, "unix", || path.as_ref().display().to_string());
            let connecting = net::UnixStream::connect(path.as_ref());
            let inner = kept.call(Op::Connect, place).wait(connecting).await?;
            Ok(Self(Open { inner, kept }))
        }
    }

    /// As [`tokio::net::UnixStream::pair`].
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let place = Location::caller();
        let (one, other) = net::UnixStream::pair()?;
        Ok((Self::new(one, place, String::new), Self::new(other, place, String::new)))
    }

    /// As [`tokio::net::UnixStream::from_std`].
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        let place = Location::caller();
        Ok(Self::new(net::UnixStream::from_std(stream)?, place, String::new))
    }

    /// As [`tokio::net::UnixStream::into_std`]. From here on it is not loopd's to watch.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        self.0.inner.into_std()
    }

    /// What is inside. From here on it is not loopd's to watch.
    pub fn into_inner(self) -> net::UnixStream {
        self.0.inner
    }

    fn new(
        inner: net::UnixStream,
        place: &'static Location<'static>,
        name: impl FnOnce() -> String,
    ) -> Self {
        Self(Open { inner, kept: Kept::open(place, "unix", name) })
    }
}

transparent!(UnixStream, net::UnixStream);
descriptor!(UnixStream);
reads!(UnixStream);
writes!(UnixStream);

/// As [`tokio::net::UnixListener`].
#[derive(Debug)]
pub struct UnixListener(Open<net::UnixListener>);

impl UnixListener {
    /// As [`tokio::net::UnixListener::bind`].
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let inner = net::UnixListener::bind(path.as_ref())?;
        let name = || path.as_ref().display().to_string();
        Ok(Self(Open { inner, kept: Kept::open(Location::caller(), "unix_listener", name) }))
    }

    /// As [`tokio::net::UnixListener::from_std`].
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        let inner = net::UnixListener::from_std(listener)?;
        let kept = Kept::open(Location::caller(), "unix_listener", String::new);
        Ok(Self(Open { inner, kept }))
    }

    /// As [`tokio::net::UnixListener::accept`]. The stream counts as opened where this is called.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, SocketAddr)>> {
        let place = Location::caller();
        let call = self.0.kept.call(Op::Accept, place);
        async move {
            let (inner, peer) = call.wait(self.0.accept()).await?;
            let path = peer.as_pathname().map(|path| path.display().to_string());
            Ok((UnixStream::new(inner, place, || path.unwrap_or_default()), peer))
        }
    }
}

transparent!(UnixListener, net::UnixListener);
descriptor!(UnixListener);
