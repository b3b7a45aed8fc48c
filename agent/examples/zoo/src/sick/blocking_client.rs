//! Prices are asked for with a client that blocks, as many that are older than async do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let prices = listener.local_addr()?;
    std::thread::spawn(move || slow_prices(&listener));
    let mut carts = interval(Duration::from_millis(400));
    loop {
        carts.tick().await;
        spawn(async move { price(prices) });
    }
}

fn price(prices: SocketAddr) -> std::io::Result<String> {
    let mut answer = String::new();
    let mut connection = TcpStream::connect(prices)?;
    connection.write_all(b"GET /price HTTP/1.0\r\n\r\n")?;
    connection.read_to_string(&mut answer)?; // <- disease
    Ok(answer)
}

/// Another company's server. It takes its time.
fn slow_prices(listener: &TcpListener) {
    for mut connection in listener.incoming().flatten() {
        let mut question = [0; 64];
        let _ = connection.read(&mut question);
        std::thread::sleep(Duration::from_millis(250));
        let _ = connection.write_all(b"HTTP/1.0 200 OK\r\n\r\n42");
    }
}
