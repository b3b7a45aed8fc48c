//! What can be typed: the global flags and the list of commands.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// The flight recorder for async event loops.
#[derive(Debug, Parser)]
#[command(name = "loopd", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok · 1 failure, or check or doctor found something · 2 usage · 3 cannot connect or listen ·
4 the data is incomplete · 5 the database, its path or its disk";

/// Flags that every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// When to use colours.
    #[arg(long, global = true, env = "LOOPD_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: clap::ColorChoice,
}

// The order here is the order in `loopd --help`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Collect from agents and serve the dashboard.
    Serve(commands::serve::ServeArgs),
    /// Record a program that carries console-subscriber, without an agent in it.
    Attach(commands::attach::AttachArgs),
    /// Show loopd on an example service that has every disease, or on another program of a list.
    Demo(commands::demo::DemoArgs),
    /// A program of the demo.
    #[command(hide = true)]
    DemoService(commands::demo::ServiceArgs),
    /// List the programs that were recorded.
    Apps(commands::apps::AppsArgs),
    /// Show and change what is captured of a program, and what that costs it.
    Capture(commands::capture::CaptureArgs),
    /// Watch all programs in the terminal, now or as they were.
    Top(commands::top::TopArgs),
    /// List tasks.
    Tasks(commands::tasks::TasksArgs),
    /// Show everything about one task.
    Task(commands::task::TaskArgs),
    /// Show what blocked the loops, with stacks.
    Slow(commands::slow::SlowArgs),
    /// Show what only ever grows.
    Leaks(commands::leaks::LeaksArgs),
    /// Show what is wrong, with the proof and what to do about it.
    Findings(commands::findings::FindingsArgs),
    /// Fail where something is wrong, for CI: as text, JSON, Markdown, SARIF or JUnit.
    Check(commands::check::CheckArgs),
    /// Write what is wrong as one page to mail.
    Report(commands::report::ReportArgs),
    /// Hold two runs, versions or ranges side by side.
    Compare(commands::compare::CompareArgs),
    /// Show which tasks wait for what, and who holds them up.
    Waits(commands::waits::WaitsArgs),
    /// Show where every task of a running program waits, and who awaits whom.
    Awaits(commands::awaits::AwaitsArgs),
    /// List what was opened, and how things stand with it.
    Resources(commands::resources::ResourcesArgs),
    /// List the notes that people wrote to times of a recording.
    Notes(commands::notes::NotesArgs),
    /// Write, change or remove a note.
    Note(commands::notes::NoteArgs),
    /// Show a stretch of a recording in tokio-console, as if it were now.
    Replay(commands::replay::ReplayArgs),
    /// Run SQL on the recording.
    Query(commands::query::QueryArgs),
    /// Write a recording as files for other tools, or for another loopd.
    Export(commands::export::ExportArgs),
    /// Add an exported recording to a database.
    Import(commands::import::ImportArgs),
    /// Check, measure and shrink the database file.
    Db(commands::db::DbArgs),
    /// Check that recording works here, and say what is missing.
    Doctor(commands::doctor::DoctorArgs),
}

impl Cli {
    /// Runs the command.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let global = &self.global;
        match self.command {
            Command::Serve(args) => commands::serve::run(args, global).await,
            Command::Attach(args) => commands::attach::run(args, global).await,
            Command::Demo(args) => commands::demo::run(args, global).await,
            Command::DemoService(args) => commands::demo::run_service(args).await,
            Command::Apps(args) => commands::apps::run(args, global).await,
            Command::Capture(args) => commands::capture::run(args, global).await,
            Command::Top(args) => commands::top::run(args, global).await,
            Command::Tasks(args) => commands::tasks::run(args, global).await,
            Command::Task(args) => commands::task::run(args, global).await,
            Command::Slow(args) => commands::slow::run(args, global).await,
            Command::Leaks(args) => commands::leaks::run(args, global).await,
            Command::Findings(args) => commands::findings::run(args, global).await,
            Command::Check(args) => commands::check::run(args, global).await,
            Command::Report(args) => commands::report::run(args).await,
            Command::Compare(args) => commands::compare::run(args, global).await,
            Command::Waits(args) => commands::waits::run(args, global).await,
            Command::Awaits(args) => commands::awaits::run(args, global).await,
            Command::Resources(args) => commands::resources::run(args, global).await,
            Command::Notes(args) => commands::notes::run(args, global).await,
            Command::Note(args) => commands::notes::change(args).await,
            Command::Replay(args) => commands::replay::run(args, global).await,
            Command::Query(args) => commands::query::run(args, global).await,
            Command::Export(args) => commands::export::run(args).await,
            Command::Import(args) => commands::import::run(args).await,
            Command::Db(args) => commands::db::run(args, global).await,
            Command::Doctor(args) => commands::doctor::run(args, global).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
