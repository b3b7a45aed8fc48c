//! Whether a program of this machine still runs, as far as can be told from outside.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Where Linux keeps this machine's name, which is what agents send.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Whether the program with this number on this host ran here and does so no more. Should it run where we cannot see it, such as
/// in a container that shares this machine's name, it only counts as lost until it connects again.
pub(super) fn is_gone(host: &str, pid: u32) -> bool {
    let Ok(here) = std::fs::read_to_string(HOST_NAME) else { return false };
    let is_here = !host.is_empty() && host == here.trim();
    is_here && is_nobody(pid)
}

/// Whether no process has this number. The kernel is asked, as `/proc` may hide those of other users;
/// whatever else it answers means that there is one.
fn is_nobody(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_nobody_has_is_gone() {
        assert!(!is_nobody(std::process::id()));
        assert!(!is_nobody(1), "somebody else's, which may not be signalled");
        assert!(!is_nobody(0), "not known");
        assert!(!is_nobody(u32::MAX), "no number of a process");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(is_nobody(child.id()));
    }
}
