//! console-subscriber with its defaults and a client connected.

use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;

use crate::job::{Job, Records, Result};
use crate::variant::Recorder;

pub(crate) struct Console {
    client: Child,
}

impl Recorder for Console {
    fn start(_: &Job) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        console_subscriber::ConsoleLayer::builder().server_addr(address).init();
        let job = format!(r#"{{"work":"console","endpoint":"http://{address}"}}"#);
        let client = Command::new(std::env::current_exe()?).arg(job).spawn()?;
        // It tries until it is connected; the first bursts warm up.
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self { client })
    }

    fn finish(mut self) -> Option<Records> {
        _ = self.client.kill();
        _ = self.client.wait();
        None
    }
}

/// The client: takes all updates and forgets them, until it is killed or the server is gone.
pub(crate) fn watch(endpoint: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = loop {
            match InstrumentClient::connect(endpoint.to_owned()).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        .max_decoding_message_size(usize::MAX);
        let mut updates = client.watch_updates(InstrumentRequest {}).await?.into_inner();
        while let Ok(Some(update)) = updates.message().await {
            drop(update);
        }
        Ok(())
    })
}
