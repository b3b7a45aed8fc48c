//! Thumbnails are made by another program, whose end the worker waits for.

use std::process::Command;
use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::interval;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["blocking_call"]);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut uploads = interval(Duration::from_millis(400));
    loop {
        uploads.tick().await;
        spawn(async {
            if let Err(error) = make_thumbnail() {
                anyhow::bail!("no thumbnail: {error}");
            }
            Ok(())
        });
    }
}

fn make_thumbnail() -> std::io::Result<()> {
    // Stands for a converter of images.
    Command::new("sleep").arg("0.25").status()?; // <- disease
    Ok(())
}
