//! A collector on port 0, over a database in a temporary directory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use loopd_collector::{Collector, CollectorConfig, CollectorHandle};
use loopd_store::{Head, Reader, StoreError, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) collector: CollectorHandle,
    pub(crate) dir: Arc<TempDir>,
    reader: Reader,
    head: watch::Receiver<Head>,
    running: JoinHandle<Result<(), StoreError>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), CollectorConfig::default()).await
    }

    pub(crate) async fn start_in(dir: Arc<TempDir>, config: CollectorConfig) -> Self {
        let (writer, reader) = loopd_store::open(StoreOptions::new(db(&dir))).await.unwrap();
        let head = writer.head();
        let (collector, handle) = Collector::new(writer, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_routes(handle.routes());
        let serving = tokio::spawn(async move {
            server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        });
        let running = tokio::spawn(collector.run());
        Self { addr, collector: handle, dir, reader, head, running, serving }
    }

    /// Has what comes in judged until the server stops.
    pub(crate) fn judge(&self) -> JoinHandle<()> {
        let (collector, reader, head) =
            (self.collector.clone(), self.reader.clone(), self.head.clone());
        tokio::spawn(async move { collector.judge(reader, head).await })
    }

    /// Stops, and gives the directory for another.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        self.collector.stop();
        self.running.await.unwrap().unwrap();
        self.serving.abort();
        self.dir
    }

    /// A connection of its own to the database.
    pub(crate) fn sql(&self) -> Connection {
        sql(&self.dir)
    }

    /// The only value of the only row.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        number(&self.dir, sql)
    }
}

fn db(dir: &TempDir) -> PathBuf {
    dir.path().join("loopd.db")
}

fn sql(dir: &TempDir) -> Connection {
    let connection = Connection::open(db(dir)).unwrap();
    connection.busy_timeout(crate::LIMIT).unwrap();
    connection
}

pub(crate) fn number(dir: &TempDir, query: &str) -> i64 {
    sql(dir).query_row(query, [], |row| row.get(0)).unwrap()
}
