//! What the reading commands share: their flags, and the warning about incomplete data.

use std::process::ExitCode;

use clap::Args;
use loopd_dashboard::views::losses::Loss;
use loopd_dashboard::views::process::{Coverage, Process};
use loopd_dashboard::views::text::count_text;

use super::render::warn;
use super::source::{Source, SourceArgs};
use crate::exit::Exit;

/// Flags of every command about one program.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReadArgs {
    /// Of this program, by name (its newest run), process number or id [default: the newest].
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) app: Option<String>,
    /// Print one JSON object per line, with the keys of the HTTP API.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

impl ReadArgs {
    /// Opens the source and finds the program.
    pub(crate) async fn open(&self) -> anyhow::Result<(Source, Process)> {
        let source = self.source.open().await?;
        let process = source.process(self.app.as_deref()).await?;
        Ok((source, process))
    }
}

/// Warns if something that was recorded is missing between `from` and `to`, and gives the exit
/// code that says so.
pub(crate) async fn completeness(
    source: &Source,
    process: &Process,
    (from, to): (Option<i64>, Option<i64>),
) -> anyhow::Result<ExitCode> {
    let account = source.losses(process.process).await?;
    let losses = account.losses;
    let listed = losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let is_inside = |loss: &&Loss| {
        from.is_none_or(|from| loss.to_at.0 >= from) && to.is_none_or(|to| loss.from_at.0 <= to)
    };
    let losses: Vec<_> = losses.iter().filter(is_inside).collect();
    let Some(most) = losses.iter().max_by_key(|loss| loss.count) else {
        // Retention removes losses in time; the ledger keeps their sum.
        let gone = account.ledger.iter().map(|line| line.dropped.saturating_add(line.lost));
        let gone = gone.fold(0u64, u64::saturating_add);
        if gone <= listed || from.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        warn(&format!(
            "{} records of {} were lost longer ago than losses are kept, so all counts are lower \
             bounds",
            count_text(gone),
            process.app,
        ));
        return Ok(Exit::Incomplete.into());
    };
    let count = losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let what = match count {
        0 => "an unknown number of records".into(),
        1 => "1 record".into(),
        n => format!("{} records", count_text(n)),
    };
    warn(&format!(
        "{what} of {} never arrived (mostly: {}), so all counts are lower bounds; \
         `loopd doctor` says more",
        process.app, most.cause,
    ));
    Ok(Exit::Incomplete.into())
}

/// Says, on stderr, what of this program cannot be seen at all.
pub(crate) fn warn_unseen(process: &Process) {
    let is_missing = |layer: &&Coverage| {
        matches!(layer.layer.as_str(), "hooks" | "watchdog" | "configuration")
            && layer.state != "on"
    };
    for layer in process.coverage.iter().filter(is_missing) {
        warn(&format!("{}: {}", process.app, layer.reason));
    }
}
