//! UDP.

use std::future::Future;
use std::io;
use std::panic::Location;

use tokio::net::{self, ToSocketAddrs};

use crate::opened::{Kept, Open, descriptor, transparent};

/// As [`tokio::net::UdpSocket`].
#[derive(Debug)]
pub struct UdpSocket(Open<net::UdpSocket>);

impl UdpSocket {
    /// As [`tokio::net::UdpSocket::bind`].
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        async move { Ok(Self::new(net::UdpSocket::bind(address).await?, place)) }
    }

    /// As [`tokio::net::UdpSocket::from_std`].
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self::new(net::UdpSocket::from_std(socket)?, Location::caller()))
    }

    /// As [`tokio::net::UdpSocket::into_std`]. From here on it is not loopd's to watch.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.0.inner.into_std()
    }

    fn new(inner: net::UdpSocket, place: &'static Location<'static>) -> Self {
        let own = || inner.local_addr().map(|own| own.to_string()).unwrap_or_default();
        let kept = Kept::open(place, "udp", own);
        Self(Open { inner, kept })
    }
}

transparent!(UdpSocket, net::UdpSocket);
descriptor!(UdpSocket);
