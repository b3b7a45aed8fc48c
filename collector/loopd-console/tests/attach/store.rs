//! A real collector with a real database, to be asked in SQL.

use std::time::Duration;

use loopd_collector::{Collector, CollectorConfig, CollectorHandle};
use loopd_store::{QueryLimits, Reader, StoreOptions, Value};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Store {
    dir: TempDir,
    handle: CollectorHandle,
    pub(crate) reader: Reader,
    running: tokio::task::JoinHandle<()>,
}

impl Store {
    pub(crate) async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), "loopd.db").await
    }

    /// On a file of the folder.
    async fn on(dir: TempDir, file: &str) -> Self {
        let options = StoreOptions {
            path: dir.path().join(file),
            durability: loopd_store::Durability::Relaxed,
        };
        let (writer, reader) = loopd_store::open(options).await.unwrap();
        let config = CollectorConfig { grace: Duration::from_millis(200), ..Default::default() };
        let (collector, handle) = Collector::new(writer, config);
        let running = tokio::spawn(async move { collector.run().await.unwrap() });
        Self { dir, handle, reader, running }
    }

    /// The collector, as one in this process.
    pub(crate) fn collector(&self) -> loopd_console::attach::Collector {
        loopd_console::attach::Collector::here(self.handle.routes())
    }

    /// Serves it on a port, and gives its address.
    pub(crate) async fn serve(
        &self,
        listener: tokio::net::TcpListener,
    ) -> tokio::task::JoinHandle<()> {
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let routes = self.handle.routes();
        let mut server = tonic::transport::Server::builder();
        let server = server.add_routes(routes).serve_with_incoming(incoming);
        tokio::spawn(async move { server.await.unwrap() })
    }

    /// Ends this one, and begins on another file.
    pub(crate) async fn replaced(self) -> Self {
        self.handle.stop();
        self.running.await.unwrap();
        Self::on(self.dir, "other.db").await
    }

    /// One text for each row.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<String> {
        let limits = QueryLimits { time: LIMIT, ..QueryLimits::default() };
        let result = self.reader.query(sql, limits).await;
        let result = result.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let word = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Blob(bytes) => format!("{} bytes", bytes.len()),
        };
        let row = |row: &Vec<Value>| row.iter().map(word).collect::<Vec<_>>().join(" ");
        result.rows.iter().map(row).collect()
    }

    /// Waits until a query gives these rows.
    #[track_caller]
    pub(crate) fn gives<'a>(
        &'a self,
        sql: &'a str,
        expected: &'a [&'a str],
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = tokio::time::Instant::now() + LIMIT;
            loop {
                let found = self.sql(sql).await;
                if found == expected {
                    return;
                }
                let is_late = tokio::time::Instant::now() >= deadline;
                assert!(!is_late, "{caller}: {sql}\n gives {found:#?}\n not {expected:#?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
