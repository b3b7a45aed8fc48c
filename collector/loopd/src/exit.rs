//! Exit codes, and the one place where an error is printed.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did not work, or it worked and found something.
    Failure = 1,
    /// The command line is wrong. clap uses the same number.
    Usage = 2,
    /// No connection, or no port to listen on.
    Connect = 3,
    /// It worked, but the data it rests on is incomplete.
    Incomplete = 4,
    /// The database, its path, or its disk.
    Storage = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Gives an error its exit code; without one it is [`Exit::Failure`].
pub(crate) trait OrExit<T> {
    /// Turns an error into one that ends the program with `exit`.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(WithExit { exit, error: error.into() }))
    }
}

/// An error that knows its exit code. It prints as the error it holds.
struct WithExit {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for WithExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for WithExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for WithExit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Prints the whole chain once, on stderr, and says how to exit. A reader that went away, as in
/// `loopd tasks | head`, is no error.
#[expect(clippy::print_stderr, reason = "the one place where errors are printed")]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    exit_of(error).into()
}

/// The exit code that an error was given.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<WithExit>())
        .map_or(Exit::Failure, |with| with.exit)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn an_exit_code_survives_context() {
        let error =
            Err::<(), _>(anyhow!("locked")).or_exit(Exit::Storage).context("open").unwrap_err();
        assert_eq!(exit_of(&error), Exit::Storage);
        assert_eq!(format!("{error:#}"), "open: locked");
    }

    #[test]
    fn an_error_without_a_code_is_a_failure() {
        assert_eq!(exit_of(&anyhow!("no")), Exit::Failure);
    }

    #[test]
    fn a_cause_is_printed_once() {
        let error =
            Err::<(), _>(anyhow!("cause")).context("what").or_exit(Exit::Usage).unwrap_err();
        assert_eq!(format!("{error:#}"), "what: cause");
    }
}
