//! The file behind what the flags name: exports read files, not servers.

use std::path::PathBuf;

use anyhow::anyhow;
use loopd_dashboard::views::status::StatusView;
use loopd_store::Reader;

use crate::commands::client::Client;
use crate::commands::render::note;
use crate::commands::source::{Source, SourceArgs};
use crate::exit::{Exit, OrExit};

/// Opens the database that the flags name, or the one that the server they name writes to. That
/// one may be read while it does.
pub(super) async fn open(args: &SourceArgs) -> anyhow::Result<Reader> {
    match args.open().await? {
        Source::File(reader) => Ok(reader),
        Source::Server(client) => behind(&client).await,
    }
}

async fn behind(client: &Client) -> anyhow::Result<Reader> {
    let status: StatusView = client.get("/status", &[]).await?;
    let path = PathBuf::from(&status.store.path);
    let elsewhere = || {
        anyhow!(
            "an export reads the database file itself, and the server at {} has its own at {}, which \
             is not here; run this on that machine, or copy the file and name it with --db",
            client.base(),
            path.display(),
        )
    };
    if !path.is_file() {
        return Err(elsewhere()).or_exit(Exit::Storage);
    }
    let reader = Reader::open(&path).await.or_exit(Exit::Storage)?;
    let here = reader.status().await.or_exit(Exit::Storage)?;
    // A path alone says little: this may be another machine's.
    let epoch: String = here.epoch.iter().map(|byte| format!("{byte:02x}")).collect();
    if epoch != status.store.epoch {
        return Err(elsewhere()).or_exit(Exit::Storage);
    }
    note(&format!("reading {}, the database of the server at {}", path.display(), client.base()));
    Ok(reader)
}
