//! The terminal while it is ours, and its way back: on quitting, on an error and on a panic.

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
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

/// Keys that are not handled yet; a terminal that sends more waits.
const MAX_EVENTS: usize = 64;
/// How often the reading of keys looks whether anybody still wants them.
const LOOK: Duration = Duration::from_millis(200);

/// Whether the terminal is ours, for the panic hook.
static IS_OURS: AtomicBool = AtomicBool::new(false);

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
