//! A file beside the database that only takes up room. When the disk is full it is given up, so
//! that retention has room to remove something: a delete is written to the log before any page of
//! it is free.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use tracing::warn;

/// Enough log for a few hundred pages, which is what one step of retention changes.
const BYTES: usize = 1 << 20;

/// The reserve of one database, named `<database>.reserve`.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_held: bool,
}

impl Reserve {
    /// Makes it, if there is room.
    pub(super) fn new(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push(".reserve");
        let mut reserve = Self { path: name.into(), is_held: false };
        reserve.hold();
        reserve
    }

    /// Makes it again, if it was given up and there is room.
    pub(super) fn hold(&mut self) {
        if !self.is_held {
            self.is_held = write(&self.path).is_ok();
        }
        if !self.is_held {
            // Half of it helps nobody, and without any the store works as well until the disk is
            // full.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Gives it up; returns whether there was anything to give.
    pub(super) fn release(&mut self) -> bool {
        let was_held = std::mem::take(&mut self.is_held);
        match std::fs::remove_file(&self.path) {
            Ok(()) => was_held,
            Err(error) => {
                warn!(%error, path = %self.path.display(), "the reserve cannot be removed");
                false
            }
        }
    }
}

fn write(path: &Path) -> std::io::Result<()> {
    // Zeros would take up no room on a file system that compresses.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let bytes: Vec<u8> = noise.take(BYTES).collect();
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_up_room_until_it_is_given_up_and_again_when_there_is_some() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loopd.db.reserve");
        let size = || std::fs::metadata(&path).map(|file| file.len()).ok();
        let mut reserve = Reserve::new(&directory.path().join("loopd.db"));
        assert_eq!(size(), Some(BYTES as u64));
        assert!(reserve.release());
        assert_eq!(size(), None);
        assert!(!reserve.release());
        reserve.hold();
        assert_eq!(size(), Some(BYTES as u64));
    }

    #[test]
    fn without_room_there_is_none() {
        let mut reserve = Reserve::new(Path::new("/nowhere/loopd.db"));
        assert!(!reserve.release());
    }
}
