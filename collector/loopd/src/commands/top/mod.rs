//! `loopd top`: all programs in the terminal, live or as they were.
//!
//! [`mod@model`] is what is on the screen and what keys do to it, [`draw`] draws it, [`fetch`] answers what it
//! asks, in a task of its own. Here is the loop that joins them, which waits for nothing else.

mod ask;
mod details;
mod draw;
mod fetch;
mod filter;
mod grid;
mod help;
mod lines;
mod model;
mod past;
mod table;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use loopd_model::UnixNanos;
use ratatui::crossterm::event::{Event, KeyEventKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::fetch::{Answered, PATIENCE};
use self::filter::Filter;
use self::model::{Flow, Model, When};
use self::terminal::Ours;
use super::render::Screen;
use super::source::{DEFAULT_URL, Source, SourceArgs};
use super::time_arg::TimeArg;
use crate::cli::Global;
use crate::exit::{Exit, OrExit};

/// The flags of `loopd top`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd top
  loopd top --app orders --filter 'busy>1s ~^src/(api|db)'
  loopd top --last 30s                 what tasks did in the last 30 s, and not in all their life
  loopd top --at 14:03:07              as it was then; [ and ] step back and forth
  loopd top --db old.db --at -5m       of a file, without a server

The keys of tokio-console do here what they do there: t tasks, r resources, arrows or h j k l, i inverts the
order, Enter opens, Esc goes back, Space pauses, gg and G go to the ends, q or Ctrl-D quits. Beyond those:
w waits, f findings, / filters, [ and ] step through the past, a shows tasks that ended. ? lists them all.

At most 1,000 rows of 20 programs are fetched at a time, once a second; the screen says if there are more.")]
pub(crate) struct TopArgs {
    /// Of this program alone, by name (its newest run), process number or id [default: all that run; if
    /// none does, the newest run of each].
    #[arg(long, value_name = "NAME|ID")]
    app: Option<String>,
    /// As it was at this instant: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<TimeArg>,
    /// Count only what tasks did in so long a time before the instant, such as 30s or 5m, and step so far
    /// [default: now all their life, in the past 10s].
    #[arg(long, value_name = "LENGTH", value_parser = length)]
    last: Option<u64>,
    /// Begin with this filter of tasks, as `loopd tasks` has it; a term that begins with ~ is a regular
    /// expression for name, location and fields.
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    filter: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// The longest that can be counted at once: polls are looked at one by one.
const MAX_LAST: u64 = 3_600_000_000_000;

fn length(text: &str) -> Result<u64, String> {
    let length: SignedDuration = text.parse().map_err(|_| "write 30s, 5m or 1h".to_owned())?;
    match u64::try_from(length.as_nanos()) {
        Ok(nanos @ 1_000_000..=MAX_LAST) => Ok(nanos),
        _ => Err("from 1ms to 1h can be looked back at".into()),
    }
}

/// Runs the command.
pub(crate) async fn run(args: TopArgs, global: &Global) -> anyhow::Result<ExitCode> {
    can_draw().or_exit(Exit::Usage)?;
    let mut model = model(&args, Screen::new(global.color).has_color())?;
    let source = match timeout(PATIENCE, args.source.open()).await {
        Ok(source) => source?.with_timeout(PATIENCE),
        Err(_) => {
            let error = anyhow!("no answer from {DEFAULT_URL} within {} s", PATIENCE.as_secs());
            return Err(error).or_exit(Exit::Connect);
        }
    };
    model.source = source.name(&args.source);
    model.is_file = matches!(source, Source::File(_));
    watch_it(model, source, &args).await?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the standard output can be drawn on.
fn can_draw() -> anyhow::Result<()> {
    let instead = "`loopd tasks`, `loopd waits` and `loopd findings` print the same";
    if !io::stdout().is_terminal() {
        bail!(
            "`loopd top` draws on a terminal, and the standard output is none; {instead} for pipes \
             and files"
        );
    }
    match std::env::var("TERM").as_deref() {
        Err(_) | Ok("") => bail!(
            "`loopd top` draws all over a terminal, and TERM does not say what this one is; set it, as \
             in TERM=xterm-256color; {instead} line by line"
        ),
        Ok("dumb") => bail!(
            "`loopd top` draws all over a terminal, and this one cannot do that, as TERM=dumb says; \
             {instead} line by line"
        ),
        Ok(_) => Ok(()),
    }
}

/// The screen as the flags want it.
fn model(args: &TopArgs, has_color: bool) -> anyhow::Result<Model> {
    let mut model = Model::new(String::new(), TimeZone::system(), has_color);
    model.app.clone_from(&args.app);
    model.is_windowed = args.last.is_some();
    model.window = args.last.unwrap_or(model::WINDOW);
    if let Some(text) = &args.filter {
        let filter = Filter::parse(text, model.view).map_err(|error| anyhow!("--filter: {error}"));
        model.begin_with(filter.or_exit(Exit::Usage)?);
    }
    Ok(model)
}

/// Answers that are not drawn yet; each replaces the one before.
const MAX_ANSWERS: usize = 1;

/// What can happen.
enum Wakeup {
    Event(Option<io::Result<Event>>),
    /// What the flags need to know is known.
    Begun(anyhow::Result<Option<UnixNanos>>),
    Answer(Option<Box<Answered>>),
    /// Somebody wants us to stop for a while,
    Suspend,
    /// to go on,
    GoOn,
    /// to end.
    Stop,
    /// Something panicked, and the terminal is not ours any more.
    Panicked,
}

/// Signals that can be waited for.
struct Signals {
    ends: [Signal; 4],
    suspend: Signal,
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use rustix::process::Signal as Number;
        let raw = |number: Number| signal(SignalKind::from_raw(number.as_raw()));
        let ends = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ];
        Ok(Self { ends, suspend: raw(Number::TSTP)?, go_on: raw(Number::CONT)? })
    }

    async fn next(&mut self) -> Wakeup {
        let [terminate, interrupt, hangup, quit] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => Wakeup::Stop,
            _ = interrupt.recv() => Wakeup::Stop,
            _ = hangup.recv() => Wakeup::Stop,
            _ = quit.recv() => Wakeup::Stop,
            _ = self.suspend.recv() => Wakeup::Suspend,
            _ = self.go_on.recv() => Wakeup::GoOn,
        }
    }
}

async fn watch_it(mut model: Model, source: Source, args: &TopArgs) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("listen for signals")?;
    let (ask, asks) = watch::channel(None);
    let (sender, mut answers) = mpsc::channel(MAX_ANSWERS);
    let (begin, mut begun) = oneshot::channel();
    let (app, at, zone) = (args.app.clone(), args.at, model.zone.clone());
    let fetching = tokio::spawn(async move {
        let source = Arc::new(source);
        let at = fetch::first_instant(&source, app.as_deref(), at, &zone).await;
        let is_ready = at.is_ok();
        if begin.send(at).is_ok() && is_ready {
            fetch::run(source, asks, sender).await;
        }
    });
    let mut ours = Ours::take(model.has_color)?;
    let mut has_begun = false;
    let result = loop {
        if let Err(error) = ours.terminal.draw(|frame| draw::draw(&mut model, frame)) {
            break Err(error).context("draw on the terminal");
        }
        let wakeup = tokio::select! {
            biased;
            () = terminal::taken_away() => Wakeup::Panicked,
            event = ours.events.recv() => Wakeup::Event(event),
            wakeup = signals.next() => wakeup,
            begun = &mut begun, if !has_begun => {
                Wakeup::Begun(begun.unwrap_or_else(|_| Err(anyhow!(FETCHING_ENDED))))
            }
            answer = answers.recv(), if has_begun => Wakeup::Answer(answer.map(Box::new)),
        };
        match wakeup {
            Wakeup::Event(Some(Ok(Event::Key(key)))) if key.kind != KeyEventKind::Release => {
                match model.on_key(key) {
                    Flow::GoOn => {}
                    Flow::Suspend => terminal::ask_to_stop(),
                    Flow::Quit => break Ok(()),
                }
            }
            // A new size is drawn by the next round.
            Wakeup::Event(Some(Ok(_))) => {}
            Wakeup::Event(Some(Err(error))) => break Err(error).context("read the keyboard"),
            Wakeup::Begun(Ok(at)) => {
                has_begun = true;
                if let Some(at) = at {
                    model.when = When::Past(at);
                }
            }
            Wakeup::Begun(Err(error)) => break Err(error),
            Wakeup::Answer(Some(answered)) => match *answered {
                (ask, Ok(answer)) => model.on_answer(ask, Ok(answer)),
                // What is wrong from the beginning is an error, and not a notice.
                (_, Err(error)) if model.shown.is_none() => break Err(error),
                (ask, Err(error)) => model.on_answer(ask, Err(format!("{error:#}"))),
            },
            Wakeup::Answer(None) => break Err(anyhow!(FETCHING_ENDED)),
            Wakeup::Suspend => {
                if let Err(error) = ours.suspend() {
                    break Err(error);
                }
            }
            Wakeup::GoOn => {
                if let Err(error) = ours.take_again() {
                    break Err(error);
                }
            }
            Wakeup::Panicked => {
                break Err(anyhow!("a part of loopd panicked, as said above; please report this"));
            }
            Wakeup::Event(None) | Wakeup::Stop => break Ok(()),
        }
        // The same question is not asked anew.
        ask.send_if_modified(|before| {
            let now = model.ask().filter(|_| has_begun);
            let is_new = *before != now;
            *before = now;
            is_new
        });
    };
    fetching.abort();
    result
}

const FETCHING_ENDED: &str = "fetching ended; please report this";
