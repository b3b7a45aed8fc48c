//! A pool of connections that fills up under load and then stays: no leak.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loopd_agent::net::TcpStream;
use loopd_agent::spawn;
use loopd_agent::sync::Semaphore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

/// Connections that there may be at most.
const SIZE: usize = 20;

struct Pool {
    slots: Semaphore,
    idle: Mutex<Vec<TcpStream>>,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let database = open_database().await?;
    let pool = Arc::new(Pool { slots: Semaphore::new(SIZE), idle: Mutex::default() });
    let mut pages = interval(Duration::from_millis(300));
    loop {
        pages.tick().await;
        // Each page wants a little more than there is.
        for _ in 0..SIZE + 5 {
            let pool = pool.clone();
            spawn(async move { pool.ask(database).await });
        }
    }
}

impl Pool {
    async fn ask(&self, database: SocketAddr) -> anyhow::Result<u8> {
        let _slot = self.slots.acquire().await?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => TcpStream::connect(database).await?,
        };
        connection.write_all(b"select 1").await?;
        let answer = connection.read_u8().await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }
}

async fn open_database() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            spawn(async move {
                let mut question = [0; 8];
                while connection.read_exact(&mut question).await.is_ok() {
                    sleep(Duration::from_millis(20)).await;
                    if connection.write_all(&[1]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(address)
}
