//! A file system of a few megabytes, for tests that fill it.
//!
//! Mounting takes root. Without, the test runs itself again in a user namespace of its own, where
//! it is root; where that is forbidden too, it says so on stderr and proves nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

/// Set in the namespace.
const IN_NAMESPACE: &str = "LOOPD_TEST_IN_NAMESPACE";

/// A mounted directory of limited size. It is unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

/// Runs the body of the test of this name with a file system of so many megabytes.
pub(crate) fn with_small_disk(test: &str, megabytes: u32, body: impl FnOnce(&SmallDisk)) {
    if let Some(disk) = SmallDisk::mount(megabytes) {
        return body(&disk);
    }
    if std::env::var_os(IN_NAMESPACE).is_none() && can_mount_in_namespace() {
        let mut again = in_namespace(&[]);
        again.arg(std::env::current_exe().unwrap()).args(["--exact", "--nocapture", test]);
        assert!(again.status().unwrap().success(), "{test} failed in a namespace of its own");
        return;
    }
    skipped(test);
}

#[expect(clippy::print_stderr, reason = "a test that proves nothing must not look like one")]
fn skipped(test: &str) {
    eprintln!("SKIPPED: {test} needs to mount a tmpfs; run it as root, or allow user namespaces");
}

fn in_namespace(args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount"]).args(args).env(IN_NAMESPACE, "1");
    command
}

fn can_mount_in_namespace() -> bool {
    let dir = tempdir().unwrap();
    let mut mount = in_namespace(&["mount", "-t", "tmpfs", "tmpfs"]);
    let status = mount.arg(dir.path()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(dir.path());
        let status = mount.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then(|| Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while a process that failed still has a file open there.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
