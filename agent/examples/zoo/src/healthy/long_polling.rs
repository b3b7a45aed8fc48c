//! Clients ask for news and wait for seconds until there are some, as they should.

use std::net::SocketAddr;
use std::time::Duration;

use loopd_agent::spawn;
use loopd_agent::sync::watch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

const CLIENTS: usize = 30;

pub(crate) async fn run() -> anyhow::Result<()> {
    let (publish, news) = watch::channel(0_u8);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn(serve(listener, news));
    for _ in 0..CLIENTS {
        spawn(ask_for_ever(address));
    }
    loop {
        sleep(Duration::from_millis(2_500)).await;
        publish.send_modify(|edition| *edition = edition.wrapping_add(1));
    }
}

async fn serve(listener: TcpListener, news: watch::Receiver<u8>) {
    while let Ok((connection, _)) = listener.accept().await {
        spawn(answer(connection, news.clone()));
    }
}

async fn answer(mut connection: TcpStream, mut news: watch::Receiver<u8>) -> anyhow::Result<()> {
    while connection.read_u8().await.is_ok() {
        let is_new = timeout(Duration::from_secs(2), news.changed()).await.is_ok();
        connection.write_all(&[u8::from(is_new)]).await?;
    }
    Ok(())
}

async fn ask_for_ever(address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    loop {
        connection.write_all(b"?").await?;
        connection.read_u8().await?;
    }
}
