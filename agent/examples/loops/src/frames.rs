//! A window: sixty frames a second, input that comes from another thread, and timers that are taken back.
//!
//! There is no screen; frames are painted into memory, and a thread that plays the mouse moves and clicks.
//!
//! What is wrong with it: a click has the shadow computed anew, in the frame that shows it. That is work of many frames,
//! so the picture stands still meanwhile, and the mouse with it. Saving does it right: it is left to the
//! executor.

use std::cell::RefCell;
use std::future::Future;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use loopd_agent::event_loop::{EventLoop, LoopHandle, Result, TimerHandle, create_task};
use tokio::time::Instant;

/// Sixty frames a second.
const FRAME: Duration = Duration::from_nanos(16_666_667);
/// A frame that takes as long as three is one that people see.
const STUTTER: Duration = Duration::from_millis(50);

const WIDTH: usize = 320;
const HEIGHT: usize = 200;

/// What the mouse tells, and how often.
const MOUSE_INTERVAL: Duration = Duration::from_millis(8);
const MOVES_PER_CLICK: u64 = 200;
/// The pointer has to rest for so long before there is a hint.
const HINT_AFTER: Duration = Duration::from_millis(300);
/// What was changed is saved once nothing has changed for so long.
const SAVE_AFTER: Duration = Duration::from_millis(700);

/// Shows the window until `stop` resolves.
///
/// # Errors
/// If the agent's configuration is wrong, or the thread of the mouse cannot be started.
pub fn run(stop: impl Future<Output = ()> + 'static) -> Result<()> {
    let agent = loopd_agent::Config::from_env().app("frames").slow_threshold(STUTTER).start()?;
    let shown = loopd_agent::run(show(stop));
    agent.shutdown(crate::GOODBYE);
    shown
}

thread_local! {
    /// The window belongs to the thread of the loop. That is how calls from other threads find it: what they send must be
    /// `Send`, and a window is not.
    static WINDOW: RefCell<Window> = RefCell::new(Window::new());
}

/// What is shown, and what was told of it.
struct Window {
    pixels: Vec<u8>,
    shadow: Vec<u8>,
    pointer: (usize, usize),
    clicks: Vec<(usize, usize)>,
    is_shadow_due: bool,
    is_hint_shown: bool,
    shown_frames: u64,
    missed_frames: u64,
    hint: Option<TimerHandle>,
    save: Option<TimerHandle>,
}

/// What a mouse has to say.
#[derive(Clone, Copy)]
enum Input {
    Moved { x: usize, y: usize },
    Clicked,
    Rested,
}

async fn show(stop: impl Future<Output = ()>) -> Result<()> {
    let event_loop = EventLoop::running()?;
    frame(event_loop.time())?;
    let mouse = plug_in_mouse(event_loop.handle())?;
    stop.await;
    // Frames end with the loop, and so does the mouse: nobody takes what it sends.
    drop(mouse);
    Ok(())
}

/// One frame, and the next one by the clock: as long after this was due, and not after it was done, so that the time
/// does not drift.
fn frame(due_at: Instant) -> Result<()> {
    let event_loop = EventLoop::running()?;
    WINDOW.with_borrow_mut(|window| {
        window.paint();
        let mut next_at = due_at + FRAME;
        // It is too late for those that are over: nobody would see them.
        while next_at <= event_loop.time() {
            next_at += FRAME;
            window.missed_frames += 1;
        }
        event_loop.call_at(next_at, move || frame(next_at))?;
        Ok(())
    })
}

impl Window {
    fn new() -> Self {
        Self {
            pixels: vec![0; WIDTH * HEIGHT],
            shadow: vec![0; WIDTH * HEIGHT],
            pointer: (0, 0),
            clicks: Vec::new(),
            is_shadow_due: false,
            is_hint_shown: false,
            shown_frames: 0,
            missed_frames: 0,
            hint: None,
            save: None,
        }
    }

    /// What the mouse says is taken at once, and shown by the next frame.
    fn take(&mut self, input: Input) -> Result<()> {
        let event_loop = EventLoop::running()?;
        match input {
            Input::Moved { x, y } => {
                self.pointer = (x % WIDTH, y % HEIGHT);
                self.is_hint_shown = false;
                if let Some(hint) = self.hint.take() {
                    hint.cancel();
                }
            }
            Input::Rested => {
                let show_hint = || WINDOW.with_borrow_mut(|window| window.is_hint_shown = true);
                self.hint = Some(event_loop.call_later(HINT_AFTER, show_hint)?);
            }
            Input::Clicked => {
                // Only the latest are kept.
                if self.clicks.len() >= 32 {
                    self.clicks.remove(0);
                }
                self.clicks.push(self.pointer);
                self.is_shadow_due = true;
                let save = event_loop.call_later(SAVE_AFTER, save)?;
                if let Some(earlier) = self.save.replace(save) {
                    earlier.cancel();
                }
            }
        }
        Ok(())
    }

    fn paint(&mut self) {
        if std::mem::take(&mut self.is_shadow_due) {
            self.shadow = shadow_of(&self.clicks);
        }
        self.shown_frames += 1;
        let (x, y) = self.pointer;
        for (row, pixels) in self.pixels.chunks_mut(WIDTH).enumerate() {
            for (column, pixel) in pixels.iter_mut().enumerate() {
                let is_pointer = column.abs_diff(x) < 4 && row.abs_diff(y) < 4;
                let light = if is_pointer { 255 } else { (row + column) as u8 / 4 };
                *pixel = light.saturating_sub(self.shadow[row * WIDTH + column]);
            }
        }
        if self.is_hint_shown {
            self.pixels[..WIDTH].fill(200);
        }
    }
}

/// The shadow that was cast where somebody clicked, with soft edges.
fn shadow_of(clicks: &[(usize, usize)]) -> Vec<u8> {
    let mut shadow = vec![0.0f32; WIDTH * HEIGHT];
    for &(x, y) in clicks {
        shadow[y * WIDTH + x] = 255.0;
    }
    // Made softer, a little at a time.
    for _ in 0..600 {
        soften(&mut shadow);
    }
    shadow.iter().map(|depth| depth.min(255.0) as u8).collect()
}

/// Each point becomes what is around it, on average.
fn soften(shadow: &mut [f32]) {
    for at in WIDTH..shadow.len() - WIDTH {
        let around = [at - 1, at + 1, at - WIDTH, at + WIDTH];
        shadow[at] = around.iter().map(|&near| shadow[near]).sum::<f32>() / 4.0; // <- disease
    }
}

/// Saves what was clicked: a task that has a thread of the executor do what blocks.
fn save() -> Result<()> {
    let clicks = WINDOW.with_borrow(|window| window.clicks.clone());
    let write = move || {
        // One without a name, which is gone once it is closed.
        let mut file = tempfile::tempfile()?;
        write!(file, "{clicks:?}")?;
        Ok(file.sync_all()?)
    };
    create_task(async { EventLoop::running()?.run_in_executor(None, write)?.await })?;
    Ok(())
}

/// Another thread, as systems have one that hears of input.
fn plug_in_mouse(event_loop: LoopHandle) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("mouse".into()).spawn(move || {
        for moves in 1u64.. {
            thread::sleep(MOUSE_INTERVAL);
            let (x, y) = ((moves * 3) as usize, (moves * 2) as usize);
            let input = match moves % MOVES_PER_CLICK {
                0 => Input::Clicked,
                100 => Input::Rested,
                101..150 => continue,
                _ => Input::Moved { x, y },
            };
            let tell = move || WINDOW.with_borrow_mut(|window| window.take(input));
            if event_loop.call_soon_threadsafe(tell).is_err() {
                // The loop is closed, and the window with it.
                return;
            }
        }
    })
}
