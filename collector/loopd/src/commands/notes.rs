//! `loopd notes`: what people wrote to times of a recording. `loopd note`: writes, changes and removes it.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use loopd_dashboard::views::notes::{Note, NoteFilter, NotesView};
use loopd_dashboard::views::text::{UnixNanosText, duration_text};
use loopd_dashboard::{NewNote, NotePatch};
use loopd_model::UnixNanos;

use super::render::{Screen, Style, Table, clean, note as say, print, print_lines};
use super::source::SourceArgs;
use super::time_arg::{TimeArg, clock_text};
use crate::cli::Global;
use crate::exit::{Exit, OrExit};

/// The flags of `loopd notes`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd notes                              every note
  loopd notes --app orders --from -1h      about the newest run of orders, and about all runs
  loopd notes --search deploy
  loopd notes --json | jq -r '[.from, .text] | @tsv'

`loopd note` writes, changes and removes them, as the page Timeline does. In SQL they are the view notes. A
note lives as long as the run it is about, goes with it when that is exported, and one about all runs stays
until it is removed.

JSON keys: note, process (null: about all), from, to (the same for an instant), text, author, made_at,
changed_at. Instants are unix nanoseconds as text.")]
pub(crate) struct NotesArgs {
    /// Those about this program, by name (its newest run), process number or id, and those about all runs.
    #[arg(long, value_name = "NAME|ID")]
    app: Option<String>,
    /// Only those not over before then: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Only those that begin before then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeArg>,
    /// Only those with this in their text or author's name.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=2000))]
    limit: u64,
    /// Print one JSON object per line, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs `loopd notes`.
pub(crate) async fn run(args: NotesArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let source = args.source.open().await?;
    let is_of_time = args.from.is_some() || args.to.is_some();
    let process = match args.app.as_deref() {
        None if !is_of_time => None,
        // Notes about all runs need none.
        None => source.process(None).await.ok(),
        app => Some(source.process(app).await?),
    };
    let newest = process.as_ref().map_or_else(now, |process| UnixNanos(process.last_at.0));
    let zone = TimeZone::system();
    let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, &zone)).transpose();
    let filter = NoteFilter {
        process: process.filter(|_| args.app.is_some()).map(|process| process.process),
        from: resolve(args.from)?,
        to: resolve(args.to)?,
        q: args.search,
        limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
    };
    let view = source.notes(&filter).await?;
    if args.json {
        print_lines(&view.notes)?;
    } else if view.notes.is_empty() {
        say("no notes; write one with `loopd note add`, or with the key b on the page Timeline");
    } else {
        print(&text(&view, Screen::new(global.color)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(view: &NotesView, screen: Screen) -> String {
    let mut table = Table::default()
        .number("NOTE")
        .text("AT")
        .text("FOR")
        .number("PROCESS")
        .text("BY")
        .text("TEXT");
    let zone = TimeZone::system();
    for note in &view.notes {
        let length = note.to.0.abs_diff(note.from.0);
        table.styled_row([
            (note.note.to_string(), None),
            (clock_text(note.from.0, &zone), None),
            (if length == 0 { String::new() } else { duration_text(length) }, None),
            (note.process.map_or_else(|| "all".to_owned(), |it| it.to_string()), Some(Style::Dim)),
            (note.author.clone().unwrap_or_default(), Some(Style::Dim)),
            (note.text.clone(), None),
        ]);
    }
    let mut out = screen.table(&table);
    if view.more {
        out.push_str("there are more; --limit shows them\n");
    }
    out
}

/// The flags of `loopd note`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd note add 'deployed 1.4.2'                        now, to the newest run
  loopd note add 'load test' --at 14:03 --to 14:10 --app orders --author ci
  loopd note add 'switch replaced' --at -2h --everywhere
  loopd note edit 7 'load test, 200 clients'
  loopd note rm 7

The server keeps them: it has to run. `loopd notes` lists them.")]
pub(crate) struct NoteArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a note to a time.
    Add(AddArgs),
    /// Change what a note says.
    Edit(EditArgs),
    /// Remove a note.
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// What it says, in at most 4096 bytes.
    #[arg(value_name = "TEXT")]
    text: String,
    /// At what time: -5m (before the newest data), 14:03:07.412, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<TimeArg>,
    /// Up to what time, if it is about more than an instant.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "at")]
    to: Option<TimeArg>,
    /// Who says so.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// About this program, by name (its newest run), process number or id [default: the newest].
    #[arg(long, value_name = "NAME|ID")]
    app: Option<String>,
    /// About all runs of all programs.
    #[arg(long, conflicts_with = "app")]
    everywhere: bool,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, Args)]
struct EditArgs {
    /// Its number, as `loopd notes` shows it.
    #[arg(value_name = "NOTE")]
    note: i64,
    /// What it says from now on.
    #[arg(value_name = "TEXT")]
    text: String,
    /// Who says so from now on.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Its number, as `loopd notes` shows it.
    #[arg(value_name = "NOTE")]
    note: i64,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs `loopd note`.
pub(crate) async fn change(args: NoteArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Add(args) => {
            let note = add(&args).await?;
            let about = match note.process {
                Some(process) => format!("process {process}"),
                None => "all runs".to_owned(),
            };
            let at = clock_text(note.from.0, &TimeZone::system());
            say(&format!("note {} at {at} about {about}", note.note));
        }
        Action::Edit(args) => {
            let source = args.source.open().await?;
            let patch = NotePatch {
                text: Some(args.text),
                author: args.author.map(Some),
                ..NotePatch::default()
            };
            let note = source.server(&args.source)?.edit_note(args.note, &patch).await?;
            say(&format!("note {} says: {}", note.note, clean(&note.text)));
        }
        Action::Rm(args) => {
            let source = args.source.open().await?;
            let note = source.server(&args.source)?.remove_note(args.note).await?;
            say(&format!("note {} is gone; it said: {}", note.note, clean(&note.text)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(args: &AddArgs) -> anyhow::Result<Note> {
    let source = args.source.open().await?;
    let server = source.server(&args.source)?;
    let process = match args.everywhere {
        // Times that count back need the newest data of something.
        true => source.process(None).await.ok(),
        false => Some(source.process(args.app.as_deref()).await?),
    };
    let newest = process.as_ref().map_or_else(now, |process| UnixNanos(process.last_at.0));
    let zone = TimeZone::system();
    let from = match args.at {
        Some(at) => at.resolve(newest, &zone)?,
        None => now(),
    };
    let to = args.to.map(|to| to.resolve(newest, &zone)).transpose()?;
    if to.is_some_and(|to| to < from) {
        return Err(anyhow!("the note ends before it begins")).or_exit(Exit::Usage);
    }
    let note = NewNote {
        from: UnixNanosText(from.0),
        to: to.map(|to| UnixNanosText(to.0)),
        text: args.text.clone(),
        author: args.author.clone(),
        process: process.filter(|_| !args.everywhere).map(|process| process.process),
    };
    server.add_note(&note).await
}

fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
