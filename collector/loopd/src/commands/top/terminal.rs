//! The terminal while it is ours, and its way back: on quitting, on an error, on a panic, and while we are
//! stopped.

use std::io::{self, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::process::{Signal, getpid, getppid, getsid, kill_current_process_group, kill_process};
use tokio::sync::{Notify, mpsc};

/// Keys that are not handled yet; a terminal that sends more waits.
const MAX_EVENTS: usize = 64;
/// How often the reading of keys looks whether anybody still wants them.
const LOOK: Duration = Duration::from_millis(200);

/// Whether the terminal is ours, for the panic hook.
static IS_OURS: AtomicBool = AtomicBool::new(false);
/// Tells who draws that a panic has taken the terminal from them.
static TAKEN_AWAY: Notify = Notify::const_new();

/// A terminal in raw mode with a screen of its own. Gives it back when dropped.
pub(super) struct Ours {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    pub(super) events: mpsc::Receiver<io::Result<Event>>,
}

impl Ours {
    /// Takes the terminal.
    pub(super) fn take(has_color: bool) -> anyhow::Result<Self> {
        // The flags and the environment were weighed already.
        force_color_output(has_color);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // What it says belongs on the screen that stays.
            give_back();
            before(panic);
            TAKEN_AWAY.notify_one();
        }));
        IS_OURS.store(true, Ordering::Release);
        let taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen));
        let terminal = taken.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal, events: events() }),
            Err(error) => {
                give_back();
                Err(error).context("take over the terminal")
            }
        }
    }
}

impl Ours {
    /// Gives the terminal back, and stops until somebody lets us go on.
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        give_back();
        kill_process(getpid(), Signal::STOP).context("stop")?;
        self.take_again()
    }

    /// Takes the terminal again from who had it while we were stopped, whatever they left on it.
    pub(super) fn take_again(&mut self) -> anyhow::Result<()> {
        // Otherwise it is taken to be raw still.
        let _ = disable_raw_mode();
        IS_OURS.store(true, Ordering::Release);
        let taken = enable_raw_mode()
            .and_then(|()| execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All)));
        // One that knows of nothing that was drawn; to clear the other would ask where the cursor is, and the
        // answer comes with the keys.
        let terminal = taken.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        self.terminal = terminal.context("take the terminal again")?;
        Ok(())
    }
}

/// Waits until a panic has taken the terminal away.
pub(super) async fn taken_away() {
    TAKEN_AWAY.notified().await;
}

/// Asks for what Ctrl-Z asks for elsewhere: that all of this job stops. Without a shell above us nobody could
/// let us go on.
pub(super) fn ask_to_stop() {
    let session = |pid| getsid(pid).ok();
    let has_shell = getppid().is_some_and(|parent| session(Some(parent)) == session(None));
    if has_shell {
        // It cannot fail for our own.
        let _ = kill_current_process_group(Signal::TSTP);
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if !IS_OURS.swap(false, Ordering::AcqRel) {
        return;
    }
    // Of a terminal that is gone nothing can be given back.
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = io::stdout().flush();
}

/// Reads the keyboard on a thread of its own, which ends when nobody listens.
fn events() -> mpsc::Receiver<io::Result<Event>> {
    let (sender, events) = mpsc::channel(MAX_EVENTS);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let event = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    });
    events
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::Command;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    /// Says that this process is the one that panics.
    const IS_CHILD: &str = "LOOPD_TEST_PANICS";
    const NAME: &str = "commands::top::terminal::tests::a_panic_gives_the_terminal_back";

    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(IS_CHILD).is_some() {
            panic_while_it_is_ours();
            return;
        }
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        let mut child = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(IS_CHILD, "1")
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut screen = File::from(ours);
        let reading = std::thread::spawn(move || {
            let (mut said, mut bytes) = (String::new(), [0; 4096]);
            // It fails when nobody has the other side any more.
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                said.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
            said
        });
        let status = child.wait().unwrap();
        let after = tcgetattr(&theirs).unwrap();
        drop(theirs);
        let said = reading.join().unwrap();
        assert!(status.success(), "{said}");
        assert_eq!(after.local_modes, before.local_modes, "{said}");
        let place = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what:?} in {said}"));
        // What it says is on the screen that stays.
        assert!(place("\x1b[?1049h") < place("\x1b[?1049l"), "{said}");
        assert!(place("\x1b[?1049l") < place("for the test"), "{said}");
    }

    fn panic_while_it_is_ours() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ours = Ours::take(false).unwrap();
        let panicked = std::thread::spawn(|| panic!("for the test")).join();
        assert!(panicked.is_err());
        // Who draws is told, too, even if they come to ask only now.
        runtime.block_on(taken_away());
        drop(ours);
    }
}
