//! What the reading commands share: their flags, and the warning about incomplete data.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::findings::{FindingFilter, FindingsView};
use loopd_dashboard::views::losses::Loss;
use loopd_dashboard::views::process::{Coverage, Process};
use loopd_dashboard::views::text::count_text;

use super::render::warn;
use super::source::{Source, SourceArgs};
use super::time_arg::TimeArg;
use crate::exit::{Exit, OrExit};

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

/// Flags of every command about what is wrong with one program.
#[derive(Clone, Debug, Args)]
pub(crate) struct JudgeArgs {
    /// Of this program, by name (its newest run), process number or id [default: the newest].
    #[arg(long, visible_alias = "process", value_name = "NAME|ID")]
    pub(crate) app: Option<String>,
    /// Look at what happened from then on: -5m (before the newest data), 14:03:07.412, RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Look at what happened before then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeArg>,
    #[command(flatten)]
    source: SourceArgs,
}

/// A program, and what is wrong with it.
pub(crate) struct Judged {
    pub(crate) process: Process,
    pub(crate) view: FindingsView,
    source: Source,
    range: (Option<i64>, Option<i64>),
}

impl JudgeArgs {
    /// Looks at the program with every rule.
    pub(crate) async fn judge(&self) -> anyhow::Result<Judged> {
        let source = self.source.open().await?;
        let process = source.process(self.app.as_deref()).await?;
        let newest = loopd_model::UnixNanos(process.last_at.0);
        let zone = TimeZone::system();
        let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, &zone)).transpose();
        let (from, to) = (resolve(self.from)?, resolve(self.to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(anyhow!("--from is not before --to")).or_exit(Exit::Usage);
        }
        let view = source.findings(process.process, &FindingFilter { from, to }).await?;
        Ok(Judged { process, view, source, range: (from.map(|at| at.0), to.map(|at| at.0)) })
    }
}

impl Judged {
    /// Warns if something is missing from the range, and gives the exit code that says so.
    pub(crate) async fn completeness(&self) -> anyhow::Result<ExitCode> {
        completeness(&self.source, &self.process, self.range).await
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
        matches!(
            layer.layer.as_str(),
            "hooks" | "steps" | "callbacks" | "uvloop" | "watchdog" | "configuration"
        ) && layer.state != "on"
    };
    // Several layers may be missing for one reason.
    let mut told = BTreeSet::new();
    for layer in process.coverage.iter().filter(is_missing) {
        if told.insert(&layer.reason) {
            warn(&format!("{}: {}", process.app, layer.reason));
        }
    }
}
