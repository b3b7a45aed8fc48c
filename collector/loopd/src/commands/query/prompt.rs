//! `loopd query` without SQL: a prompt that reads statements and answers them, one after the other.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use loopd_dashboard::views::query::{QueryRequest, SchemaTable, SchemaView};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter};
use tokio::signal::unix::{SignalKind, signal};

use super::command::{self, Command};
use super::output::{self, Format};
use super::words;
use crate::commands::render::{Screen, Style, note, print, warn};
use crate::commands::source::Source;
use crate::exit;
use crate::paths::state_file;

const PROMPT: &str = "loopd> ";
/// So many statements are remembered; the oldest go.
const MAX_HISTORY: usize = 1_000;
/// More rows than this scroll away before anybody reads them.
const ROWS: usize = 200;

/// What the prompt was started with, and what its commands have changed since.
pub(super) struct Prompt {
    pub(super) source: Source,
    pub(super) schema: Arc<SchemaView>,
    pub(super) screen: Screen,
    pub(super) format: Format,
    pub(super) limit: Option<usize>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) is_timing: bool,
}

impl Prompt {
    /// Reads and answers until the end.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        // From here on an interrupt stops a query, and is nothing between two of them.
        let _interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let history = history();
        let mut editor = editor(Arc::clone(&self.schema), history.as_deref())?;
        print(
            "SQL over what was recorded; end it with ; - \\help lists commands, Tab completes\n",
        )?;
        loop {
            let read = move || {
                let line = editor.readline(PROMPT);
                (editor, line)
            };
            let (back, line) = tokio::task::spawn_blocking(read).await?;
            editor = back;
            let line = match line {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("read from the terminal"),
            };
            remember(&mut editor, &line, history.as_deref());
            let answered = if words::is_command(&line) {
                match command::parse(&line) {
                    Ok(Command::Quit) => return Ok(()),
                    Ok(command) => self.obey(command),
                    Err(sentence) => Err(anyhow::anyhow!(sentence)),
                }
            } else {
                self.answer_all(&line).await
            };
            if let Err(error) = answered {
                // What comes next may work.
                let _ = exit::report(&error);
            }
        }
    }

    async fn answer_all(&self, line: &str) -> anyhow::Result<()> {
        for sql in words::statements(line).0 {
            self.answer(sql).await?;
        }
        Ok(())
    }

    async fn answer(&self, sql: &str) -> anyhow::Result<()> {
        let limit = self.limit.unwrap_or(ROWS);
        let request =
            QueryRequest { sql: sql.to_owned(), limit: Some(limit), timeout_ms: self.timeout_ms };
        let view = tokio::select! {
            view = self.source.query(&request) => view?,
            _ = tokio::signal::ctrl_c() => {
                note("stopped");
                return Ok(());
            }
        };
        output::print(&output::encode(&view, self.format, self.screen)?)?;
        let rows = match view.rows.len() {
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        };
        let took = std::time::Duration::from_nanos(view.elapsed_ns);
        let took = if self.is_timing { format!(" in {took:.1?}") } else { String::new() };
        if self.format == Format::Table || self.is_timing {
            print(&format!("{}\n", self.screen.paint(Style::Dim, &format!("({rows}{took})"))))?;
        }
        if view.truncated {
            warn(&format!("only the first {rows} are shown; \\limit gives more"));
        }
        view.hints.iter().for_each(|hint| note(hint));
        Ok(())
    }

    fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Quit => Ok(()),
            Command::Help => print(command::HELP),
            Command::Describe(None) => print(&super::overview(&self.schema, self.screen)),
            Command::Describe(Some(name)) => {
                let is_it = |view: &&SchemaTable| view.name == name;
                match self.schema.views.iter().find(is_it) {
                    Some(view) => print(&super::view_text(view, self.screen)),
                    None => Err(anyhow::anyhow!("there is no view {name}; \\d lists them")),
                }
            }
            Command::Format(format) => {
                self.format = format;
                Ok(())
            }
            Command::Limit(rows) => {
                self.limit = Some(rows);
                Ok(())
            }
            Command::Timing(is_timing) => {
                self.is_timing = is_timing.unwrap_or(!self.is_timing);
                print(if self.is_timing { "timing is on\n" } else { "timing is off\n" })
            }
        }
    }
}

/// Where statements are remembered; `None`, and a note, if that is not possible.
fn history() -> Option<PathBuf> {
    let made = || {
        let path = state_file("query_history")?;
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // Statements name what only the owner may know of.
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        anyhow::Ok(path)
    };
    match made() {
        Ok(path) => Some(path),
        Err(error) => {
            note(&format!("what is typed here will not be remembered: {error:#}"));
            None
        }
    }
}

type LineEditor = Editor<Words, FileHistory>;

fn editor(schema: Arc<SchemaView>, history: Option<&Path>) -> anyhow::Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(MAX_HISTORY)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = LineEditor::with_config(config).context("open the terminal")?;
    editor.set_helper(Some(Words { schema }));
    // An unreadable history is an empty one.
    if let Some(path) = history {
        let _ = editor.load_history(path);
    }
    Ok(editor)
}

/// Keeps a line for the next time. A full disk is no reason to stop.
fn remember(editor: &mut LineEditor, line: &str, history: Option<&Path>) {
    let line = line.trim_end();
    if !line.is_empty() && editor.add_history_entry(line).unwrap_or(false) {
        let _ = history.map(|path| editor.append_history(path));
    }
}

/// Completes words, and reads on until a statement ends.
#[derive(Helper, Highlighter, Hinter)]
struct Words {
    schema: Arc<SchemaView>,
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(words::completions(&self.schema, line, at))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_open = !words::is_command(text) && words::statements(text).1;
        Ok(if is_open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
