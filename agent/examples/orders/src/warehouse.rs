//! Express orders are reserved over a connection to the warehouse.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use loopd_agent::Tracked;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Warehouse {
    address: SocketAddr,
    /// Kept for the next reservation.
    connections: Mutex<Vec<Tracked<TcpStream>>>,
}

impl Warehouse {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connections: Mutex::new(Vec::new()) }
    }

    /// Reserves what an order needs.
    pub(crate) async fn reserve(&self, order: u64) -> std::io::Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        let mut connection = Tracked::new("socket", &self.address.to_string(), stream);
        connection.write_all(&order.to_be_bytes()).await?;
        let mut answer = [0; 1];
        connection.read_exact(&mut answer).await?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(connection);
        Ok(())
    }
}

/// The warehouse itself: says yes to everything.
pub(crate) async fn open_doors() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut order = [0; 8];
                while stream.read_exact(&mut order).await.is_ok() {
                    if stream.write_all(&[1]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(address)
}
