//! `loopd capture` for people.

use loopd_dashboard::views::agent::{AgentView, LedgerLine, Reporting};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::settings::{CommonSettingsView, Settings};
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_store::{SettingKey, SettingValue};

use crate::commands::render::{Screen, Style, Table, clean};

/// One program and its agent.
pub(super) fn agent(process: &Process, agent: &AgentView, screen: Screen) -> String {
    let mut text = format!(
        "{}, process {}, {}\n{}\n{}\n{}\n",
        screen.paint(Style::Title, &clean(&process.app)),
        process.process,
        process.state.as_str(),
        captured(agent),
        cost(agent),
        agent.reporting.map_or_else(String::new, reporting),
    );
    text += &screen.table(&settings(agent));
    text.push('\n');
    text += &screen.unlimited().table(&coverage(agent));
    let lost = agent.ledger.iter().filter(|line| line.dropped > 0);
    for (i, line) in lost.enumerate() {
        text += if i == 0 { "\n" } else { "" };
        text += &format!("{}\n", screen.paint(Style::Bad, &loss(line)));
    }
    text
}

/// What is asked of all, and of programs by name.
pub(super) fn common(view: &CommonSettingsView, screen: Screen) -> String {
    let mut table = Table::default().text("PROGRAM").text("ASKED FOR");
    table.row(["(all)".to_owned(), asked(&view.all)]);
    for app in &view.apps {
        table.row([app.app.clone(), asked(&app.settings)]);
    }
    screen.unlimited().table(&table)
}

fn asked(settings: &Settings) -> String {
    let settings = (*settings).into();
    let pair = |key: SettingKey| Some(format!("{} {}", label(key), value(key.of(&settings)?)));
    let pairs: Vec<_> = SettingKey::ALL.into_iter().filter_map(pair).collect();
    if pairs.is_empty() { "nothing".to_owned() } else { pairs.join(", ") }
}

fn captured(agent: &AgentView) -> String {
    let sum = |of: fn(&LedgerLine) -> u64| agent.ledger.iter().map(of).fold(0, u64::saturating_add);
    let (produced, dropped) = (sum(|line| line.produced), sum(|line| line.dropped));
    match captured_share(agent.captured_share) {
        Some(share) => format!(
            "captured {share} of {} records, {} lost",
            count_text(produced),
            count_text(dropped)
        ),
        None => "nothing has been captured yet".to_owned(),
    }
}

/// A share as a percentage that never says 100 % if anything is missing.
pub(crate) fn captured_share(share: Option<f64>) -> Option<String> {
    let percent = share? * 100.0;
    Some(if percent >= 100.0 { "100 %".to_owned() } else { format!("{:.2} %", percent.min(99.99)) })
}

fn cost(agent: &AgentView) -> String {
    let cost = &agent.cost;
    let parts = [
        cost.cpu_share.map(|share| format!("{} of a processor", percent(share))),
        cost.sent_bytes_per_s.map(|bytes| format!("{}/s sent", bytes_text(bytes))),
        cost.memory_bytes.map(|bytes| format!("{} of memory", bytes_text(bytes as f64))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "the agent does not say what it costs".to_owned(),
        false => format!("the agent takes {}", parts.join(", ")),
    }
}

fn reporting(reporting: Reporting) -> String {
    format!(
        "its last report came {} late, in the last minute {} at most\n",
        duration_text(reporting.lag),
        duration_text(reporting.max_lag)
    )
}

/// A share of a processor, 0 to 1, for people.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn bytes_text(bytes: f64) -> String {
    match bytes {
        ..1e3 => format!("{bytes:.0} B"),
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

fn settings(agent: &AgentView) -> Table {
    let state = &agent.settings;
    let (desired, in_force) = (state.desired.into(), state.in_force.unwrap_or_default().into());
    let configured = state.configured.unwrap_or_default().into();
    let mut table =
        Table::default().text("SETTING").text("IN FORCE").text("ASKED FOR").text("CONFIGURED");
    for key in SettingKey::ALL {
        let cell = |settings| key.of(settings).map_or_else(|| "-".to_owned(), value);
        let is_met = key.of(&desired).is_none() || key.of(&desired) == key.of(&in_force);
        let style = if is_met { None } else { Some(Style::Warn) };
        table.styled_row([
            (label(key).to_owned(), None),
            (cell(&in_force), style),
            (cell(&desired), style),
            (cell(&configured), Some(Style::Dim)),
        ]);
    }
    table
}

/// As the flag is called.
const fn label(key: SettingKey) -> &'static str {
    match key {
        SettingKey::RecordPolls => "polls",
        SettingKey::RecordWakes => "wakes",
        SettingKey::RecordWaits => "waits",
        SettingKey::SampleStacks => "stacks",
        SettingKey::TrackFds => "fds",
        SettingKey::AppEvents => "app-events",
        SettingKey::SlowThreshold => "slow-threshold",
    }
}

fn value(value: SettingValue) -> String {
    match value {
        SettingValue::Switch(true) => "on".to_owned(),
        SettingValue::Switch(false) => "off".to_owned(),
        SettingValue::Nanos(nanos) => duration_text(nanos),
    }
}

fn coverage(agent: &AgentView) -> Table {
    let mut table = Table::default().text("LAYER").text("STATE").text("REASON");
    for layer in &agent.coverage {
        let style = match layer.state.as_str() {
            "on" => Style::Good,
            "off" => Style::Dim,
            _ => Style::Warn,
        };
        let cells = [(&layer.layer, None), (&layer.state, Some(style)), (&layer.reason, None)];
        table.styled_row(cells);
    }
    table
}

fn loss(line: &LedgerLine) -> String {
    let causes = line.by_cause.iter();
    let causes: Vec<_> =
        causes.map(|cause| format!("{} {}", cause.cause, count_text(cause.count))).collect();
    let why = if causes.is_empty() { String::new() } else { format!(": {}", causes.join(", ")) };
    format!("lost of kind {}: {}{why}", line.kind, count_text(line.dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up_to_all() {
        assert_eq!(captured_share(Some(1.0)).unwrap(), "100 %");
        assert_eq!(captured_share(Some(0.999_999)).unwrap(), "99.99 %");
        assert_eq!(captured_share(Some(0.5)).unwrap(), "50.00 %");
        assert_eq!(captured_share(None), None);
    }

    #[test]
    fn what_is_asked_for_reads_as_the_flags_do() {
        assert_eq!(asked(&Settings::default()), "nothing");
        let settings = Settings {
            record_polls: Some(false),
            slow_threshold: Some(50_000_000),
            ..Settings::default()
        };
        assert_eq!(asked(&settings), "polls off, slow-threshold 50.0 ms");
    }
}
