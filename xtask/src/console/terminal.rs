//! A program in a terminal of its own: what is typed, and what its screen shows.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::running::{LIMIT, LOOK_EVERY};

/// Rows and columns: wide enough that no column of a table is cut off.
const SIZE: (NonZeroU16, NonZeroU16) =
    (NonZeroU16::new(50).unwrap(), NonZeroU16::new(240).unwrap());
/// A program that runs; it ends when dropped.
pub(super) struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// tokio-console, which asks this address.
    pub(super) fn console(tui: &Path, address: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(tui);
        command.args(["--no-colors", address]).env("LANG", "en_US.UTF-8");
        command.current_dir(folder);
        Self::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        let theirs = File::options().read(true).write(true).open(name.to_str()?)?;
        let (ws_row, ws_col) = (SIZE.0.get(), SIZE.1.get());
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&ours, size)?;
        command.env("TERM", "xterm-256color");
        command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
        let child = command.spawn().context("start it in a terminal")?;
        // It holds their end, and reading ours would never end.
        drop(command);
        let ours = File::from(ours);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(SIZE.0, SIZE.1, 0)));
        let (mut output, shown) = (ours.try_clone()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..n]);
            }
        });
        Ok(Self { child, keys: ours, screen })
    }

    pub(super) fn types(&mut self, keys: &str) -> anyhow::Result<()> {
        self.keys.write_all(keys.as_bytes()).context("type")
    }

    /// The lines of the screen.
    pub(super) fn shows(&self) -> Vec<String> {
        let parser = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen().contents().lines().map(str::to_owned).collect()
    }

    /// Waits until the screen is as it should be.
    pub(super) fn until(
        &mut self,
        what: &str,
        is_true: impl Fn(&[String]) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let lines = self.shows();
            if is_true(&lines) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended, {status}, before {what}:\n{}", lines.join("\n"));
            }
            let shown = lines.join("\n");
            ensure!(Instant::now() < deadline, "not within {LIMIT:?}: {what}:\n{shown}");
            sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end.
    pub(super) fn ends(mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "it does not end:\n{}", self.shows().join("\n"));
            sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether some line has all of these.
pub(super) fn has(lines: &[String], words: &[&str]) -> bool {
    lines.iter().any(|line| words.iter().all(|word| line.contains(word)))
}
