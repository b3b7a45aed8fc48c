//! Lines that tell the prompt what to do, in the words of psql and of sqlite3.

use clap::ValueEnum;
use loopd_dashboard::views::query::MAX_ROWS;

use super::output::Format;

/// What a line that begins with `\` or `.` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Leave.
    Quit,
    /// List the commands.
    Help,
    /// Describe one view, or list all.
    Describe(Option<String>),
    /// Print rows like this from now on.
    Format(Format),
    /// Say how long queries take; `None`: if it does not yet.
    Timing(Option<bool>),
    /// Print at most so many rows.
    Limit(usize),
}

pub(super) const HELP: &str = "\
\\d            list the views and functions      .tables
\\d VIEW       its columns                       .schema VIEW
\\format F     table, json or csv                .mode F
\\limit N      at most N rows
\\timing       say how long queries take         .timer on
\\q            leave, as does Ctrl-D             .quit

A statement ends with ; and may take many lines. Tab completes, Ctrl-R searches what was typed before,
Ctrl-C drops the line or stops the query.
";

/// Reads a command.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let name = line.trim_start_matches(['\\', '.']);
    let (name, argument) = name.split_once(char::is_whitespace).unwrap_or((name, ""));
    let argument = argument.trim();
    match name {
        "q" | "quit" | "exit" => Ok(Command::Quit),
        "h" | "?" | "help" => Ok(Command::Help),
        "d" | "dt" | "dv" | "df" | "tables" | "schema" => {
            Ok(Command::Describe((!argument.is_empty()).then(|| argument.to_lowercase())))
        }
        "format" | "mode" => match Format::from_str(argument, true) {
            Ok(format) if format != Format::Parquet => Ok(Command::Format(format)),
            _ => Err(format!("{line}: write table, json or csv behind it")),
        },
        "timing" | "timer" => match argument {
            "" => Ok(Command::Timing(None)),
            "on" => Ok(Command::Timing(Some(true))),
            "off" => Ok(Command::Timing(Some(false))),
            _ => Err(format!("{line}: write on or off behind it")),
        },
        "limit" => match argument.parse() {
            Ok(rows @ 1..=MAX_ROWS) => Ok(Command::Limit(rows)),
            _ => Err(format!("{line}: write how many rows behind it, from 1 to {MAX_ROWS}")),
        },
        _ => Err(format!("{line} is no command here; \\help lists them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_psql_and_of_sqlite3_are_understood() {
        for (line, command) in [
            ("\\q", Command::Quit),
            (".quit", Command::Quit),
            ("  \\exit ;", Command::Quit),
            ("\\?", Command::Help),
            ("\\d", Command::Describe(None)),
            (".tables", Command::Describe(None)),
            ("\\d  Polls", Command::Describe(Some("polls".into()))),
            (".schema polls;", Command::Describe(Some("polls".into()))),
            ("\\format CSV", Command::Format(Format::Csv)),
            (".mode json", Command::Format(Format::Json)),
            ("\\timing", Command::Timing(None)),
            (".timer off", Command::Timing(Some(false))),
            ("\\limit 20", Command::Limit(20)),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
        for line in [
            "\\",
            "\\format",
            "\\format parquet",
            "\\limit 0",
            "\\limit 100001",
            "\\limit x",
            "\\timing x",
            ".open x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
