//! `loopd query` without SQL, in a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use crate::read_commands::Recording;
use crate::{LIMIT, wait_until};

/// A program in a terminal: what is typed, and what appears.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<String>>,
    /// How much of the screen was looked at.
    seen: usize,
}

impl Terminal {
    /// Runs `loopd query` with its state in `home`.
    fn start(args: &[&str], home: &Path) -> Self {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&ours, size).unwrap();
        let mut command: Command = crate::binary::loopd(&[&["query"], args].concat());
        command.env("TERM", "xterm").env("NO_COLOR", "1").env("XDG_STATE_HOME", home);
        command
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs);
        let child = command.spawn().unwrap();
        // The command holds their end until it is gone, and reading would never end.
        drop(command);
        let ours = File::from(ours);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, shown) = (ours.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, keys: ours, screen, seen: 0 }
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` appears behind what was seen so far.
    fn sees(&mut self, text: &str) {
        let (screen, seen) = (Arc::clone(&self.screen), self.seen);
        let found = || screen.lock().unwrap()[seen..].find(text).map(|at| seen + at + text.len());
        let deadline = std::time::Instant::now() + LIMIT;
        while found().is_none() {
            let shown = screen.lock().unwrap()[seen..].to_owned();
            assert!(std::time::Instant::now() < deadline, "no {text:?} in {shown:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.seen = found().unwrap();
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    }

    fn ends(mut self) {
        wait_until("the prompt ends", LIMIT, || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.screen.lock().unwrap());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const READY: &str = "loopd> ";

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_answers_completes_remembers_and_leaves() {
    let recording = Recording::new().await;
    let db = recording.db();
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&["--db", db.to_str().unwrap()], home.path());
    terminal.sees("\\help lists commands");
    terminal.sees(READY);
    // Over two lines, with a name that Tab completes.
    terminal.keys("select app, pid\r");
    terminal.keys("from proc\t where pid = 4242;\r");
    terminal.sees("from processes");
    terminal.sees("orders  4242");
    terminal.sees("(1 row)");
    terminal.sees(READY);
    terminal.keys("select * from no_such;\r");
    terminal.sees("error: no such table: no_such; the views to query are processes,");
    terminal.sees(READY);
    terminal.keys("\\format json\r");
    terminal.sees(READY);
    terminal.keys("select 1 as one; select 2 as two;\r");
    terminal.sees("{\"one\":1}");
    terminal.sees("{\"two\":2}");
    terminal.keys("\\d wakes\r");
    terminal.sees("one wake that led to a poll");
    terminal.sees(READY);
    // Ctrl-C drops what was typed.
    terminal.keys("select nonsense\x03");
    terminal.sees(READY);
    terminal.keys("\\timing\r");
    terminal.sees("timing is on");
    terminal.keys("\\q\r");
    terminal.ends();

    let history = home.path().join("loopd/query_history");
    let mode = std::fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&history).unwrap();
    assert!(text.contains("from processes where pid = 4242;"), "{text}");

    // The next time, the newest is one key away.
    let mut terminal = Terminal::start(&["--db", db.to_str().unwrap()], home.path());
    terminal.sees(READY);
    terminal.keys("\x1b[A\x1b[A\x1b[A");
    terminal.sees("\\d wakes");
    terminal.keys("\x03");
    terminal.sees(READY);
    terminal.keys("\x04");
    terminal.ends();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_asks_a_server_and_stops_a_query() {
    let recording = Recording::new().await;
    let url = recording.serve().await;
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&["--url", &url, "--timeout", "60"], home.path());
    terminal.sees(READY);
    terminal.keys("select app from processes;\r");
    terminal.sees("orders");
    terminal.sees(READY);
    terminal.keys(
        "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c;\r",
    );
    // Signals stop the query and not the prompt.
    terminal.sees("from c;");
    let mut stopped = || {
        terminal.interrupt();
        terminal.screen.lock().unwrap()[terminal.seen..].contains("note: stopped")
    };
    wait_until("the query stops", LIMIT, &mut stopped);
    terminal.sees(READY);
    terminal.keys("select 'still ' || 'here' as x;\r");
    terminal.sees("still here");
    terminal.keys(".quit\r");
    terminal.ends();
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_not_written_to_a_terminal() {
    let recording = Recording::new().await;
    let db = recording.db();
    let home = tempfile::tempdir().unwrap();
    let args = ["--db", db.to_str().unwrap(), "--format", "parquet", "select 1"];
    let mut terminal = Terminal::start(&args, home.path());
    terminal.sees("error: Parquet is not for terminals; name a file with -o, or pipe it on");
    wait_until("it gives up", LIMIT, || terminal.child.try_wait().unwrap().is_some());
    assert_eq!(terminal.child.wait().unwrap().code(), Some(2));
}
