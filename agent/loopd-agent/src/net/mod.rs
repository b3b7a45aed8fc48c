//! [`tokio::net`] with a memory: which sockets are open, to whom, since when, and who opened them.
//!
//! Using it is a change of the `use` line:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! // Was: use tokio::net::{TcpListener, TcpStream};
//! use loopd_agent::net::{TcpListener, TcpStream};
//! use tokio::io::AsyncWriteExt;
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut stream = TcpStream::connect(listener.local_addr()?).await?;
//! stream.write_all(b"hello").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Recorded: each socket from open to close, with its address, the place and the task that opened
//! it; and the waits of `accept` and `connect`. Single reads and writes cost what tokio's do, and
//! their waits are not recorded: there are too many of them, and nobody can tell when a reader gives
//! up. The own address of a listener, and the peer of a stream that is made from one of the standard
//! library's, are asked of the system. Methods that are not listed here are tokio's own, through [`Deref`](std::ops::Deref).

mod tcp;
mod udp;
#[cfg(unix)]
mod unix;

pub use tcp::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
pub use tokio::net::{ToSocketAddrs, lookup_host};
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixListener, UnixStream};
