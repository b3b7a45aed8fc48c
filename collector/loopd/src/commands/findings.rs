//! `loopd findings`: what is wrong, with the proof and what to do.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use loopd_dashboard::Mute;
use loopd_dashboard::views::findings::{Finding, FindingsView, Level, RuleState};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::text::{count_text, duration_text};

use super::read::{JudgeArgs, Judged};
use super::render::{Screen, Style, Table, clean, note, print, print_lines};
use super::slow::plural;
use super::source::SourceArgs;
use super::time_arg::clock_text;
use crate::cli::Global;

/// The flags of `loopd findings`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd findings                       of the newest program
  loopd findings shop --from -5m
  loopd findings --all                 also what is only worth knowing
  loopd findings --rules               what is looked for, and what it would take to see more
  loopd findings mute blocking_call orders/src/report.rs:12 --reason 'runs at night'
  loopd findings --json | jq -r '[.level, .rule, .location, .occurrences] | @tsv'

Every rule looks at what was recorded of the program, and says what it found with the line, the proof, why
it is wrong and what to do. Errors come first, then warnings, those that cost others most time before the
rest, and then an incomplete capture, for which all counts are lower bounds. Programs of Python also tell what
asyncio's debug mode checks, without that mode. `loopd check` fails on findings, for CI; `loopd report` writes
them as a page.

JSON: one object for each finding: rule, subject, level (info, warning, error), harm (nanoseconds), score (0
to 100), confidence (possible, likely, certain), title, location, path, occurrences, first_seen_at,
last_seen_at (unix nanoseconds as text), evidence (text, href), why, fix, snippet (language, code), muted (why). With
--rules one object for each rule: rule, title, state (found, ok, not_applicable, needs), reason.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct FindingsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// The same as --app.
    #[arg(value_name = "PROCESS", conflicts_with = "app")]
    target: Option<String>,
    /// Also what is only worth knowing.
    #[arg(long)]
    all: bool,
    /// List what each rule says instead.
    #[arg(long, conflicts_with = "all")]
    rules: bool,
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 40)]
    limit: usize,
    /// Print one JSON object per line, with the keys of the HTTP API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// What can be done to a finding.
#[derive(Debug, Subcommand)]
enum Action {
    /// Hear no more of a finding, in all runs of a program.
    Mute(MuteArgs),
    /// Hear of it again.
    Unmute(UnmuteArgs),
}

#[derive(Debug, Args)]
struct MuteArgs {
    #[command(flatten)]
    which: UnmuteArgs,
    /// Why: shown wherever the finding is.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
struct UnmuteArgs {
    /// The rule, such as blocking_call.
    #[arg(value_name = "RULE")]
    rule: String,
    /// What it is about, as `loopd findings --json` has it: mostly file:line.
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// In this program, by name (its newest run), process number or id [default: the newest].
    #[arg(long, value_name = "NAME|ID")]
    app: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

impl Action {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (which, reason) = match self {
            Self::Mute(MuteArgs { which, reason }) => (which, Some(reason)),
            Self::Unmute(which) => (which, None),
        };
        let source = which.source.open().await?;
        let process = source.process(which.app.as_deref()).await?;
        let server = source.server(&which.source)?;
        let mute = Mute { rule: which.rule, subject: which.subject, reason };
        server.mute_finding(process.process, &mute).await?;
        let verb = if mute.reason.is_some() { "muted" } else { "heard again" };
        let (rule, subject) = (clean(&mute.rule), clean(&mute.subject));
        note(&format!("{rule} of {subject} is {verb} in all runs of {}", clean(&process.app)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs the command.
pub(crate) async fn run(args: FindingsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(action) = args.action {
        return action.run().await;
    }
    let mut judge = args.judge;
    judge.app = args.target.or(judge.app);
    let judged = judge.judge().await?;
    let Judged { process, view, .. } = &judged;
    let screen = Screen::new(global.color);
    let shown = view.findings.iter().filter(|it| args.all || is_important(it));
    match (args.rules, args.json) {
        (true, true) => print_lines(&view.rules)?,
        (true, false) => print(&rules(&view.rules, screen))?,
        (false, true) => print_lines(shown.take(args.limit))?,
        (false, false) => {
            let shown: Vec<_> = shown.collect();
            print(&text(view, &shown, process, args.limit, screen))?;
        }
    }
    judged.completeness().await
}

fn is_important(finding: &Finding) -> bool {
    (finding.is_about_capture() || finding.level > Level::Info) && finding.muted.is_none()
}

fn text(
    view: &FindingsView,
    shown: &[&Finding],
    process: &Process,
    limit: usize,
    screen: Screen,
) -> String {
    let mut out = String::new();
    if shown.is_empty() {
        let zone = TimeZone::system();
        let (from, to) = (clock_text(view.from.0, &zone), clock_text(view.to.0, &zone));
        let app = clean(&process.app);
        let _ =
            writeln!(out, "nothing is wrong with {app} as far as was seen, from {from} to {to}");
    }
    for finding in shown.iter().take(limit) {
        out.push_str(&card(finding, screen));
        out.push('\n');
    }
    if shown.len() > limit {
        let _ = writeln!(out, "{} more; --limit shows them", shown.len() - limit);
    }
    let hidden = view.findings.len() - shown.len();
    if hidden > 0 {
        let (things, are) =
            (plural(hidden as u64, "thing"), if hidden == 1 { "is" } else { "are" });
        let _ = writeln!(out, "{things} {are} only worth knowing, or muted; --all shows them");
    }
    if !view.resolved.is_empty() {
        let _ = writeln!(out, "no longer found:");
    }
    for finding in view.resolved.iter().take(limit) {
        let title = clean(&finding.title);
        let _ = writeln!(out, "  {}  {title}", screen.paint(Style::Dim, finding.level.as_str()));
    }
    let _ = writeln!(out, "{}", screen.paint(Style::Dim, &looked(view)));
    out
}

/// How many rules looked, and how many could not.
pub(crate) fn looked(view: &FindingsView) -> String {
    let needs = view.rules_in("needs");
    let looked = view.rules_in("found") + view.rules_in("ok");
    let mut text = format!("{} looked", plural(looked as u64, "rule"));
    if needs > 0 {
        let verb = if needs == 1 { "needs" } else { "need" };
        let _ = write!(text, ", {needs} more {verb} what was not captured");
    }
    text + "; --rules lists them"
}

/// One finding, as people read it.
pub(crate) fn card(finding: &Finding, screen: Screen) -> String {
    let mut out = format!(
        "{}  {}\n",
        screen.paint(style(finding.level), finding.level.as_str()),
        screen.paint(Style::Title, &clean(&finding.title))
    );
    let place = finding.location.as_deref().unwrap_or("no line of code");
    let zone = TimeZone::system();
    let last = clock_text(finding.last_seen_at.0, &zone);
    let seen = match finding.occurrences {
        0 | 1 => format!("once, at {last}"),
        n => format!("{} times, last at {last}", count_text(n)),
    };
    let harm = match finding.harm {
        0 => String::new(),
        harm => format!(", harm {}", duration_text(harm)),
    };
    let _ = writeln!(
        out,
        "  {}  {}, {}{harm}, {seen}",
        screen.paint(Style::Place, &clean(place)),
        clean(&finding.rule),
        clean(&finding.confidence),
    );
    for evidence in &finding.evidence {
        let _ = writeln!(out, "  - {}", clean(&evidence.text));
    }
    if let Some(reason) = &finding.muted {
        let _ = writeln!(out, "  muted: {}", clean(reason));
    }
    let _ = writeln!(out, "  why: {}", clean(&finding.why));
    let _ = writeln!(out, "  fix: {}", clean(&finding.fix));
    for line in finding.snippet.iter().flat_map(|snippet| snippet.code.lines()) {
        let _ = writeln!(out, "       {}", screen.paint(Style::Dim, &clean(line)));
    }
    out
}

/// The colour of a level.
const fn style(level: Level) -> Style {
    match level {
        Level::Info => Style::Dim,
        Level::Warning => Style::Warn,
        Level::Error => Style::Bad,
    }
}

/// What each rule says.
fn rules(rules: &[RuleState], screen: Screen) -> String {
    let mut table = Table::default().text("STATE").text("RULE").text("LOOKS FOR").text("WHY NOT");
    for rule in rules {
        let (state, style) = match rule.state.as_str() {
            "not_applicable" => ("does not apply", Some(Style::Dim)),
            "found" => ("found", Some(Style::Warn)),
            "ok" => ("ok", Some(Style::Good)),
            state => (state, None),
        };
        table.styled_row([
            (state, style),
            (rule.rule.as_str(), None),
            (rule.title.as_str(), None),
            (rule.reason.as_str(), Some(Style::Dim)),
        ]);
    }
    // What to turn on is at the end of a line, which is worth a second one.
    screen.unlimited().table(&table)
}
