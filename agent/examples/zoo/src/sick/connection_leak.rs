//! Connections are kept for the next order, but each order opens its own.

use std::net::SocketAddr;
use std::time::Duration;

use loopd_agent::net::TcpStream;
use loopd_agent::spawn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["resource_leak", "fd_growth"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let warehouse = open_warehouse().await?;
    let mut idle_connections = Vec::new();
    let mut orders = interval(Duration::from_millis(50));
    loop {
        orders.tick().await;
        let mut connection = TcpStream::connect(warehouse).await?; // <- disease
        connection.write_all(b"reserve").await?;
        connection.read_u8().await?;
        idle_connections.push(connection);
    }
}

/// Says yes to everything.
async fn open_warehouse() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 16]).await;
            let _ = connection.write_all(&[1]).await;
            open.push(connection);
        }
    });
    Ok(address)
}
