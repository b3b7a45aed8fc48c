//! The load generator: connections that each send a request, wait for the answer and go on. It writes
//! and reads bytes that are known beforehand, so that the server is what is busy.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::job::{Job, Result};

const CONNECTIONS: usize = 32;
const WARM_UP: Duration = Duration::from_millis(150);
const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\n\
    content-length: 16\r\n\r\nsixteen letters.";

/// Goes on for `bursts` milliseconds.
pub(crate) fn run(job: &Job) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = Rc::new(Cell::new(0_u64));
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        for _ in 0..CONNECTIONS {
            let connection = TcpStream::connect(&job.endpoint).await?;
            connection.set_nodelay(true)?;
            tasks.spawn_local(ask(connection, answered.clone()));
        }
        sleep(WARM_UP).await;
        println!("warm");
        let before = answered.get();
        sleep(Duration::from_millis(job.bursts as u64)).await;
        println!("{}", answered.get() - before);
        Ok(())
    })
}

async fn ask(mut connection: TcpStream, answered: Rc<Cell<u64>>) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    // All answers are as long as the first, which comes in one piece.
    connection.write_all(REQUEST).await?;
    let length = connection.read(&mut buffer).await?;
    loop {
        connection.write_all(REQUEST).await?;
        connection.read_exact(&mut buffer[..length]).await?;
        answered.set(answered.get() + 1);
    }
}
