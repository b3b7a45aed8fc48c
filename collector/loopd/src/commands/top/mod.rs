//! `loopd top`: all programs in the terminal, live or as they were.
//!
//! [`model`] is what is on the screen and what keys do to it, [`draw`] draws it, [`fetch`] answers what it
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

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use loopd_model::UnixNanos;
use ratatui::crossterm::event::{Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use self::filter::Filter;
use self::model::{Flow, Model, When};
use self::terminal::Ours;
use super::render::Screen;
use super::source::{Source, SourceArgs};
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

Keys are those of tokio-console: t tasks, r resources, arrows or h j k l, i inverts the order, Enter opens,
Esc goes back, Space pauses, gg and G go to the ends, q quits. Beyond those: w waits, f findings, / filters,
[ and ] step through the past, a shows tasks that ended. ? lists them all.

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
    if !io::stdout().is_terminal() {
        return Err(anyhow!(
            "`loopd top` draws on a terminal, and the standard output is none; `loopd tasks`, \
             `loopd waits` and `loopd findings` print the same for pipes and files"
        ))
        .or_exit(Exit::Usage);
    }
    let source = args.source.open().await?;
    let model = first_model(&args, &source, Screen::new(global.color).has_color()).await?;
    watch_it(model, source).await?;
    Ok(ExitCode::SUCCESS)
}

/// The screen as the flags want it, with a first answer: what is wrong from the beginning is an error, and
/// not a notice.
async fn first_model(args: &TopArgs, source: &Source, has_color: bool) -> anyhow::Result<Model> {
    let zone = TimeZone::system();
    let mut model = Model::new(source.name(&args.source), zone.clone(), has_color);
    model.app.clone_from(&args.app);
    model.is_windowed = args.last.is_some();
    model.window = args.last.unwrap_or(model::WINDOW);
    if let Some(text) = &args.filter {
        let filter = Filter::parse(text, model.view).map_err(|error| anyhow!("--filter: {error}"));
        model.begin_with(filter.or_exit(Exit::Usage)?);
    }
    if let Some(app) = &args.app {
        // Says which are known.
        source.process(Some(app)).await?;
    }
    if let Some(at) = args.at {
        let process = source.process(args.app.as_deref()).await?;
        model.when = When::Past(at.resolve(UnixNanos(process.last_at.0), &zone)?);
    }
    if let Some(ask) = model.ask() {
        let answer = fetch::answer(source, &ask).await?;
        model.on_answer(ask, Ok(answer));
    }
    Ok(model)
}

/// Answers that are not drawn yet; each replaces the one before.
const MAX_ANSWERS: usize = 1;

/// What can happen.
enum Wakeup {
    Event(Option<io::Result<Event>>),
    Answer(Option<Box<(ask::Ask, Result<ask::Answer, String>)>>),
    Stop,
}

async fn watch_it(mut model: Model, source: Source) -> anyhow::Result<()> {
    let mut stops = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .context("listen for signals")?;
    let (ask, asks) = watch::channel(model.ask());
    let (sender, mut answers) = mpsc::channel(MAX_ANSWERS);
    let fetching = tokio::spawn(fetch::run(source, asks, sender));
    let mut ours = Ours::take(model.has_color)?;
    let result = loop {
        if let Err(error) = ours.terminal.draw(|frame| draw::draw(&mut model, frame)) {
            break Err(error).context("draw on the terminal");
        }
        let [terminate, interrupt, hangup] = &mut stops[..] else { break Ok(()) };
        let wakeup = tokio::select! {
            event = ours.events.recv() => Wakeup::Event(event),
            answer = answers.recv() => Wakeup::Answer(answer.map(Box::new)),
            _ = terminate.recv() => Wakeup::Stop,
            _ = interrupt.recv() => Wakeup::Stop,
            _ = hangup.recv() => Wakeup::Stop,
        };
        match wakeup {
            Wakeup::Event(Some(Ok(Event::Key(key)))) if key.kind != KeyEventKind::Release => {
                if model.on_key(key) == Flow::Quit {
                    break Ok(());
                }
                // The same question is not asked anew.
                ask.send_if_modified(|before| {
                    let now = model.ask();
                    let is_new = *before != now;
                    *before = now;
                    is_new
                });
            }
            // A new size is drawn by the next round.
            Wakeup::Event(Some(Ok(_))) => {}
            Wakeup::Event(Some(Err(error))) => break Err(error).context("read the keyboard"),
            Wakeup::Answer(Some(answered)) => {
                let (ask, answer) = *answered;
                model.on_answer(ask, answer);
            }
            Wakeup::Answer(None) => break Err(anyhow!("fetching ended; please report this")),
            Wakeup::Event(None) | Wakeup::Stop => break Ok(()),
        }
    };
    fetching.abort();
    result
}
