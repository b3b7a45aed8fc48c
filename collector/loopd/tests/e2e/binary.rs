//! `loopd serve` as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::{LIMIT, wait_until};

/// A running `loopd serve`. It is killed when dropped.
pub(crate) struct Loopd {
    child: Child,
    pub(crate) addr: SocketAddr,
    log: PathBuf,
}

/// A command that inherits nothing of ours that loopd reads.
pub(crate) fn loopd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| name.starts_with("LOOPD_") || name == "STATE_DIRECTORY")
    }) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

impl Loopd {
    /// Serves `loopd.db` in `dir` on a free port.
    pub(crate) fn start(dir: &TempDir) -> Self {
        Self::start_with(dir, &["--listen", "127.0.0.1:0"], &[])
    }

    pub(crate) fn start_with(dir: &TempDir, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = loopd(&["serve", "--db"]);
        command.arg(db(dir)).args(args).envs(env.iter().copied());
        Self::start_as(dir, command)
    }

    /// Serves a database that is not in `dir`, where its log still goes.
    pub(crate) fn start_on(dir: &TempDir, db: &Path, args: &[&str]) -> Self {
        let mut command = loopd(&["serve", "--listen", "127.0.0.1:0", "--db"]);
        command.arg(db).args(args);
        Self::start_as(dir, command)
    }

    /// With so few files, sockets included.
    pub(crate) fn start_with_files(dir: &TempDir, files: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]);
        command.arg(env!("CARGO_BIN_EXE_loopd")).args(["serve", "--db"]).arg(db(dir));
        command.args(["--listen", "127.0.0.1:0"]).env_remove("LOOPD_LISTEN");
        Self::start_as(dir, command)
    }

    fn start_as(dir: &TempDir, mut command: Command) -> Self {
        let log = dir.path().join("log");
        let mut child =
            command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://")?.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}; {}", read(&log)));
        Self { child, addr, log }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("loopd exits", LIMIT, || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Asks with exactly these bytes, and reads to the end of the connection.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `GET path` with these headers, all lines. Gives the status.
    pub(crate) fn get(&self, path: &str, headers: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        let answer = self.ask(&request);
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| {
            panic!("no status in {answer:?}");
        })
    }

    /// The `Host` header that it takes.
    pub(crate) fn host(&self) -> String {
        format!("host: {}\r\n", self.addr)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }
}

impl Drop for Loopd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that should end by itself. Gives its exit code and what it said on stderr.
pub(crate) fn fails(args: &[&str]) -> (i32, String) {
    let mut child = loopd(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it gives up", LIMIT, || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn db(dir: &TempDir) -> PathBuf {
    dir.path().join("loopd.db")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
