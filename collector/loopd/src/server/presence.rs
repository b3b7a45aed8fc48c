//! Whether a program of this machine still runs, as far as can be told from outside.

use std::path::Path;

use loopd_store::ProcessRow;

/// Where Linux keeps this machine's name, which is what agents send.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Whether this program ran here and does so no more. Should it run where we cannot see it, such as
/// in a container that shares this machine's name, it only counts as lost until it connects again.
pub(super) fn is_gone(process: &ProcessRow) -> bool {
    let Ok(host) = std::fs::read_to_string(HOST_NAME) else { return false };
    let is_here = !process.host.is_empty() && process.host == host.trim();
    is_here && process.pid != 0 && !Path::new(&format!("/proc/{}", process.pid)).exists()
}
