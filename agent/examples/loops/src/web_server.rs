//! A web server: one loop, a task for each connection, and an end that cuts nobody off.
//!
//! Two hundred customers keep it busy, on a loop and in a thread of their own.
//!
//! What is wrong with it: prices in euros need the bank's rate of the day, which is got with a client that knows
//! nothing of event loops. It waits for its answer in the handler, and with it wait all customers. Pictures
//! do it right: they are drawn by the executor.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, client, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use loopd_agent::event_loop::{Error, EventLoop, Result, TaskGroup, create_task, sleep, wait_for};
use loopd_agent::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

/// Who comes when there are so many waits to be accepted.
const MAX_CONNECTIONS: usize = 500;
/// So long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

const CUSTOMERS: u64 = 200;
/// What a customer looks at before it goes, and how long it looks.
const PAGES: u64 = 40;
const READING: Duration = Duration::from_millis(400);
/// A customer who was not served, or has seen it all, comes back after this.
const AWAY: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves.
///
/// # Errors
/// If the agent's configuration is wrong, or no loopback port can be had.
pub fn run(stop: impl Future<Output = ()> + 'static) -> Result<()> {
    let agent = loopd_agent::Config::from_env().app("web-server").start()?;
    let served = loopd_agent::run(serve(stop));
    agent.shutdown(crate::GOODBYE);
    served
}

/// What all handlers can reach. They are of one thread, so it needs no lock.
struct Shop {
    /// Where to ask for the rate of the day.
    bank: SocketAddr,
}

async fn serve(stop: impl Future<Output = ()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let shop = Rc::new(Shop { bank: open_bank()? });
    let customers = Customers::invite(listener.local_addr()?)?;
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (close, closing) = watch::channel(false);
    let served = TaskGroup::scope(async |connections| {
        let mut stop = pin!(stop);
        loop {
            let (stream, seat) = tokio::select! {
                accepted = accept(&listener, &seats) => accepted?,
                () = &mut stop => break,
            };
            connections.create_task(connection(stream, shop.clone(), closing.clone(), seat))?;
        }
        // Nobody is cut off: the group is over when each connection has answered what it was asked.
        let _ = close.send(true);
        Ok(())
    })
    .await;
    customers.go().await?;
    served
}

async fn accept(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> Result<(TcpStream, OwnedSemaphorePermit)> {
    let seat = seats.clone().acquire_owned().await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, seat)),
            // No file descriptor is free, or the customer is gone already: neither is the server's end.
            Err(_) => sleep(Duration::from_millis(50)).await?,
        }
    }
}

/// Answers one customer until it leaves, or the shop closes.
async fn connection(
    stream: TcpStream,
    shop: Rc<Shop>,
    mut closing: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
) -> Result<()> {
    let service = service_fn(move |request| answer(shop.clone(), request));
    let mut http = server::conn::http1::Builder::new();
    // With a clock it hangs up on who says nothing for half a minute.
    http.timer(TokioTimer::new());
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = told(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            timeout(PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    // Customers hang up when they please. An error here would end the group, and so the server.
    let _ = served;
    Ok(())
}

async fn told(closing: &mut watch::Receiver<bool>) {
    // Without a sender the shop is closed as well.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}

async fn answer(
    shop: Rc<Shop>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = match request.uri().path() {
        "/" => Ok("Welcome. There are /picture and /price.\n".to_owned()),
        "/picture" => picture().await,
        "/price" => price(&shop),
        _ => return Ok(response(StatusCode::NOT_FOUND, "No such page.\n".to_owned())),
    };
    Ok(match answered {
        Ok(text) => response(StatusCode::OK, text),
        Err(error) => response(StatusCode::BAD_GATEWAY, format!("{error}\n")),
    })
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// Drawn in a thread of the executor, while the loop serves others.
async fn picture() -> Result<String> {
    EventLoop::running()?.run_in_executor(None, || Ok(draw(96)))?.await
}

/// A Mandelbrot set in letters.
fn draw(width: u32) -> String {
    let mut picture = String::new();
    for y in 0..width / 2 {
        for x in 0..width {
            let (re, im) = (f64::from(x) / 32.0 - 2.2, f64::from(y) / 16.0 - 1.5);
            let (mut a, mut b, mut steps) = (0.0, 0.0, 0);
            while a * a + b * b < 4.0 && steps < 500 {
                (a, b, steps) = (a * a - b * b + re, 2.0 * a * b + im, steps + 1);
            }
            picture.push(if steps < 500 { '.' } else { '#' });
        }
        picture.push('\n');
    }
    picture
}

/// What a picture costs today.
fn price(shop: &Shop) -> Result<String> {
    let dollars = 12.0;
    let rate = rate_of_the_day(shop.bank)?;
    Ok(format!("{:.2} EUR\n", dollars * rate))
}

/// As a client does it that was written for threads.
fn rate_of_the_day(bank: SocketAddr) -> Result<f64> {
    let mut stream = std::net::TcpStream::connect_timeout(&bank, PATIENCE)?;
    let mut rate = String::new();
    stream.read_to_string(&mut rate)?; // <- disease
    Ok(rate.trim().parse::<f64>()?)
}

/// The bank, which thinks for a while before it answers. Somebody else's program.
fn open_bank() -> io::Result<SocketAddr> {
    let counter = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = counter.local_addr()?;
    thread::Builder::new().name("bank".into()).spawn(move || {
        for mut stream in counter.incoming().flatten() {
            thread::sleep(Duration::from_millis(150));
            // Who asked may be gone.
            let _ = stream.write_all(b"0.9215\n");
        }
    })?;
    Ok(address)
}

/// Those who keep the server busy: somebody else's programs, too.
struct Customers {
    go_home: oneshot::Sender<()>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Customers {
    fn invite(shop: SocketAddr) -> io::Result<Self> {
        let (go_home, leave) = oneshot::channel();
        let come = async move {
            for number in 0..CUSTOMERS {
                create_task(again_and_again(shop, number, "/"))?;
            }
            create_task(again_and_again(shop, 0, "/price"))?;
            // Those who are still there then are cancelled by `run`.
            let _ = leave.await;
            Ok(())
        };
        let thread = thread::Builder::new().name("customers".into());
        Ok(Self { go_home, thread: thread.spawn(|| loopd_agent::run(come))? })
    }

    async fn go(self) -> Result<()> {
        drop(self.go_home);
        // Waiting for a thread blocks, and is nothing for the loop.
        let gone =
            || self.thread.join().unwrap_or_else(|_| Err(Error::new("the customers panicked")));
        EventLoop::running()?.run_in_executor(None, gone)?.await
    }
}

async fn again_and_again(shop: SocketAddr, number: u64, first: &'static str) -> Result<()> {
    loop {
        if let Err(error) = visit(shop, number, first).await
            && error.is_cancelled()
        {
            return Err(error);
        }
        sleep(AWAY).await?;
    }
}

async fn visit(shop: SocketAddr, number: u64, first: &str) -> Result<()> {
    let stream = TokioIo::new(TcpStream::connect(shop).await?);
    let (mut requests, connection) = client::conn::http1::handshake(stream).await?;
    let connection = create_task(async move { Ok(connection.await?) })?;
    for page in 0..PAGES {
        let path = if (number + page).is_multiple_of(PAGES) { "/picture" } else { first };
        let request = Request::get(path).header("host", "shop").body(Empty::<Bytes>::new())?;
        wait_for(PATIENCE, async {
            let response = requests.send_request(request).await?;
            response.into_body().collect().await?;
            Ok(())
        })
        .await?;
        // Some read more slowly than others, or all would come at once.
        sleep(READING + Duration::from_millis(number)).await?;
    }
    drop(requests);
    connection.await
}
