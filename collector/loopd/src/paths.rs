//! Where the database is when nobody says, and what stands beside it.

use std::path::PathBuf;

use anyhow::Context;
use etcetera::base_strategy::{BaseStrategy, choose_base_strategy};

/// A small file of loopd's own beside the default database.
pub(crate) fn state_file(name: &str) -> anyhow::Result<PathBuf> {
    Ok(default_db()?.with_file_name(name))
}

/// `loopd.db` in the directory that systemd gave this service, else in the user's state directory:
/// `$XDG_STATE_HOME/loopd`, which is `~/.local/state/loopd` unless set.
pub(crate) fn default_db() -> anyhow::Result<PathBuf> {
    if let Some(dirs) = std::env::var_os("STATE_DIRECTORY") {
        // One directory for each `StateDirectory=`; the first is ours.
        if let Some(dir) = std::env::split_paths(&dirs).find(|dir| dir.is_absolute()) {
            return Ok(dir.join("loopd.db"));
        }
    }
    let base = choose_base_strategy()
        .context("cannot tell where to keep the database; name a file with --db")?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("loopd").join("loopd.db"))
}
