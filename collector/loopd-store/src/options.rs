//! What a person can choose about the store.

use std::path::PathBuf;
use std::time::Duration;

/// How to open the store for writing.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file. It and its directory are made if missing.
    pub path: PathBuf,
    /// When a commit counts as stored.
    pub durability: Durability,
}

impl StoreOptions {
    /// The defaults, with this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default() }
    }
}

/// When a commit counts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it survives a power cut (`synchronous = FULL`).
    #[default]
    Full,
    /// When it survives a crash of loopd; a power cut may take the last moments
    /// (`synchronous = NORMAL`).
    Relaxed,
}

/// How much to keep. Raw polls go first, then the rest; alive tasks and open resources stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Remove what is older; `None` keeps it however old.
    pub max_age: Option<Duration>,
    /// Remove the oldest while the file is larger, in bytes; `None` lets it grow.
    pub max_bytes: Option<u64>,
    /// Remove the oldest of a process while what is large of it (polls, tasks, tiles, roll-ups) is
    /// larger, in bytes; `None` sets no limit to one process.
    pub max_process_bytes: Option<u64>,
}
