//! Monthly invoices, written to files.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};

use tempfile::TempDir;

const LINES: u32 = 60_000;

pub(crate) struct Invoices {
    folder: TempDir,
}

impl Invoices {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("orders-invoices-")? })
    }

    /// Writes the month's invoice and returns its checksum.
    pub(crate) async fn export(&self, month: u32) -> std::io::Result<String> {
        let text = tokio::task::spawn_blocking(move || render(month)).await?;
        let path = self.folder.path().join(format!("{month}.csv"));
        let mut file = File::create(&path)?;
        for line in text.as_bytes().chunks(4096) {
            file.write_all(line)?;
        }
        file.sync_all()?;
        checksum(&mut File::open(&path)?)
    }
}

fn render(month: u32) -> String {
    let mut text = String::new();
    for line in 0..LINES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{month},{line},{}", line.wrapping_mul(2_654_435_761));
    }
    text
}

/// A checksum that nobody has looked at since it was written.
fn checksum(file: &mut File) -> std::io::Result<String> {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    for round in 0..160u64 {
        for byte in &bytes {
            sum = (sum ^ u64::from(*byte) ^ round).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{sum:016x}"))
}
