//! `loopd top` in a terminal of its own, whose screen is read.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::binary::{Loopd, fails};
use crate::read_commands::{Recording, recording};
use crate::{LIMIT, wait_until};

const ROWS: u16 = 40;
const COLUMNS: u16 = 160;

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a terminal has some")
}

/// The program, its keyboard and its screen.
struct Terminal {
    child: Child,
    ours: File,
    /// Held, so that its state can be looked at when the program is gone.
    theirs: File,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[("TERM", "xterm-256color")], &[])
    }

    /// With these variables, and run by `under` that is told the program and its arguments.
    fn start_with(args: &[&str], env: &[(&str, &str)], under: &[&str]) -> Self {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let ours = File::from(ours);
        resize(&ours, ROWS, COLUMNS);
        let loopd = crate::binary::loopd(&[&["top"], args].concat());
        // In a session of its own, so that this terminal is its `/dev/tty`, and not that of who runs the test.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(under).arg(loopd.get_program()).args(loopd.get_args());
        for (name, _) in loopd.get_envs() {
            command.env_remove(name);
        }
        command
            .env("TZ", "UTC")
            .env_remove("TERM")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied());
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap());
        command.stderr(theirs.try_clone().unwrap());
        let before = tcgetattr(&theirs).unwrap();
        let child = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(ROWS), size(COLUMNS), 0)));
        let (mut output, shown) = (ours.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..n]);
            }
        });
        Self { child, ours, theirs, before, screen }
    }

    fn keys(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits for a picture.
    #[track_caller]
    fn shows(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = std::time::Instant::now() + LIMIT;
        while !is_it(&self.contents()) {
            assert!(std::time::Instant::now() < deadline, "{what}, not in\n{}", self.contents());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn sees(&self, text: &str) {
        self.shows(text, |screen| screen.contains(text));
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(size(rows), size(columns));
        resize(&self.ours, rows, columns);
    }

    /// Waits for its end, with this code and with the terminal as it was.
    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        wait_until("top ends", LIMIT, || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.contents());
        let is_restored = || {
            let screen = self.screen.lock().unwrap();
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        };
        wait_until("the screen is given back", LIMIT, is_restored);
        let after = tcgetattr(&self.theirs).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        self.contents()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_looked_at_filtered_opened_and_left() {
    let recording = Recording::new().await;
    let db = recording.db();
    let mut terminal = Terminal::start(&["--db", db.to_str().unwrap()]);
    terminal.sees("reporter");
    terminal.sees("orders/src/report.rs:30");
    terminal.sees("orders/src/leak.rs:12");
    terminal.sees("121 tasks");
    assert!(terminal.screen.lock().unwrap().screen().alternate_screen());

    terminal.keys("/~^rep\r");
    terminal.shows("one task", |screen| {
        screen.contains("1 of 121 tasks") && !screen.contains("leak.rs:12")
    });
    terminal.keys("\r");
    terminal.sees("task 10 of orders");
    terminal.sees("Poll times");
    terminal.sees("Longest polls");

    // Half as wide and high, everything is where it belongs.
    terminal.resize(20, 60);
    terminal.shows("a small screen", |screen| {
        let lines: Vec<_> = screen.lines().collect();
        lines.first().is_some_and(|line| line.starts_with("loopd top"))
            && lines.get(19).is_some_and(|line| line.starts_with("Esc back"))
            && screen.contains("task 10 of orders")
    });
    terminal.resize(ROWS, COLUMNS);
    terminal.shows("a large screen", |screen| {
        screen.lines().nth(39).is_some_and(|line| line.starts_with("Esc back"))
    });
    terminal.keys("\x1b");
    terminal.sees("1 of 121 tasks");
    terminal.keys("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_of_a_file_is_stepped_through() {
    let recording = Recording::new().await;
    let db = recording.db();
    let args =
        ["--db", db.to_str().unwrap(), "--app", "orders", "--at", "14:00:02.1", "--last", "5s"];
    let mut terminal = Terminal::start(&args);
    terminal.sees("past, 2026-11-22 14:00:02.100  the 5.00 s before");
    terminal.shows("a task that runs", |screen| {
        screen.lines().any(|line| line.contains("running") && line.contains("reporter"))
    });
    terminal.keys("]");
    terminal.sees("past, 2026-11-22 14:00:07.100");
    terminal.shows("it waits", |screen| {
        screen.lines().any(|line| line.contains("idle") && line.contains("reporter"))
    });
    // Ctrl-C is a key like others.
    terminal.keys("\x03");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_go_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(recording::orders(&dir.path().join("loopd.db")).await);
    let mut server = Loopd::start(&dir);
    let address = server.addr.to_string();
    let terminal = Terminal::start(&["--url", &format!("http://{address}")]);
    terminal.sees("reporter");
    server.signal("TERM");
    assert!(server.wait().success());
    terminal.sees("no answer from http://127.0.0.1");
    terminal.sees("reporter");
    let _server = Loopd::start_with(&dir, &["--listen", &address], &[]);
    terminal.shows("no notice", |screen| {
        screen.contains("reporter") && !screen.contains("no answer from")
    });
    let pid = terminal.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_told_on_the_screen_that_stays() {
    let recording = Recording::new().await;
    let db = recording.db();
    let db = db.to_str().unwrap();
    let (code, error) = fails(&["top", "--db", db]);
    assert_eq!(code, 2);
    assert!(error.contains("draws on a terminal, and the standard output is none"), "{error}");
    for (args, code, said) in [
        (&["--db", db, "--app", "nobody"][..], 1, "no program \"nobody\" is known"),
        (&["--db", db, "--filter", "busy>soon"], 2, "--filter: the filter cannot be read"),
        (&["--url", "http://127.0.0.1:1"], 3, "no answer from http://127.0.0.1:1"),
    ] {
        let terminal = Terminal::start(args);
        assert!(terminal.ends(code).contains(said), "{args:?}");
    }
    for (env, said) in [
        (&[][..], "TERM does not say what this one is"),
        (&[("TERM", "dumb")], "this one cannot do that, as TERM=dumb says"),
    ] {
        let terminal = Terminal::start_with(&["--db", db], env, &[]);
        terminal.sees(said);
        terminal.ends(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_gets_the_terminal_while_top_is_stopped() {
    let recording = Recording::new().await;
    let db = recording.db();
    let env = [("TERM", "xterm-256color")];
    // With job control, as for people.
    let shell = ["sh", "-c", "set -m; \"$@\"; echo at the shell; read line; fg; exit", "sh"];
    let mut terminal = Terminal::start_with(&["--db", db.to_str().unwrap()], &env, &shell);
    terminal.sees("reporter");
    terminal.keys("\x1a");
    terminal.sees("at the shell");
    assert!(!terminal.screen.lock().unwrap().screen().alternate_screen());
    assert_eq!(tcgetattr(&terminal.theirs).unwrap().local_modes, terminal.before.local_modes);
    terminal.keys("\n");
    terminal.shows("everything again", |screen| {
        screen.contains("reporter")
            && screen.contains("121 tasks")
            && !screen.contains("at the shell")
    });
    terminal.keys("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_ends_it_gives_the_terminal_back() {
    let recording = Recording::new().await;
    let db = recording.db();
    let terminal = Terminal::start(&["--db", db.to_str().unwrap()]);
    terminal.sees("reporter");
    let pid = terminal.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "QUIT", &pid]).status().unwrap().success());
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_can_be_left_at_once() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut terminal = Terminal::start(&["--url", &url]);
    terminal.sees("reading …");
    terminal.keys("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_asks_for_no_colour_gets_one() {
    let recording = Recording::new().await;
    let db = recording.db();
    let term = ("TERM", "xterm-256color");
    for (flags, env, is_colourful) in [
        (&["--color", "never"][..], &[term][..], false),
        (&["--color", "always"], &[term], true),
        (&[], &[term], true),
        (&[], &[term, ("NO_COLOR", "1")], false),
        (&["--color", "always"], &[term, ("NO_COLOR", "1")], true),
    ] {
        let args = [flags, &["--db", db.to_str().unwrap()]].concat();
        let mut terminal = Terminal::start_with(&args, env, &[]);
        terminal.sees("reporter");
        let has_color = {
            let screen = terminal.screen.lock().unwrap();
            let (rows, columns) = screen.screen().size();
            let (rows, columns) = (0..rows.get(), 0..columns.get());
            let cells = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
            let mut cells = cells.filter_map(|(row, column)| screen.screen().cell(row, column));
            cells.any(|cell| cell.fgcolor() != vt100::Color::Default)
        };
        assert_eq!(has_color, is_colourful, "{flags:?} {env:?}");
        terminal.keys("q");
        terminal.ends(0);
    }
}
