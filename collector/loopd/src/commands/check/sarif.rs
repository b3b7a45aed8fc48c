//! SARIF 2.1.0: one run, a result for each finding, a location where a line of code is known.

use loopd_dashboard::views::findings::{Finding, Level};
use serde::Serialize;
use serde_json::{Value, json};

use super::Checked;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
struct Run<'a> {
    tool: Tool<'a>,
    invocations: [Invocation<'a>; 1],
    results: Vec<SarifResult<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
struct Driver<'a> {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    id: &'a str,
    short_description: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Message>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification<'a>>,
}

#[derive(Serialize)]
struct Notification<'a> {
    level: &'a str,
    message: Message,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult<'a> {
    rule_id: &'a str,
    rule_index: usize,
    level: &'a str,
    message: Message,
    locations: [Value; 1],
    /// Why nobody wants to hear of it; left out if nobody said so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Value>,
    /// By which a service knows the same finding again in the next upload.
    partial_fingerprints: Value,
    /// How important it is, 0 to 100.
    rank: f64,
    properties: Value,
}

/// The whole log.
pub(super) fn write(checked: &Checked<'_>) -> anyhow::Result<String> {
    let rules = checked.rules();
    let help = |rule: &str| {
        let finding = checked.view.findings.iter().find(|finding| finding.rule == rule)?;
        Some(Message { text: format!("{} {}", finding.why, finding.fix) })
    };
    let descriptors = rules.iter().map(|(id, title)| Descriptor {
        id,
        short_description: Message { text: title.clone() },
        help: help(id),
    });
    // A result without a line in a file makes services refuse all of them.
    let placed = checked.view.findings.iter().map(|it| (it, location(it)));
    let (placed, others): (Vec<_>, Vec<_>) = placed.partition(|(_, place)| place.is_some());
    let results = placed.into_iter().filter_map(|(it, place)| Some(result(it, place?, &rules)));
    let notification = |it: &Finding| Notification {
        level: if it.is_about_capture() { "warning" } else { level(it) },
        message: Message { text: format!("{} {}", sentence(&it.title), it.fix) },
    };
    let others = others.iter().filter(|(it, _)| it.muted.is_none());
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            invocations: [Invocation {
                execution_successful: true,
                tool_execution_notifications: others.map(|(it, _)| notification(it)).collect(),
            }],
            results: results.collect(),
            tool: Tool {
                driver: Driver {
                    name: "loopd",
                    version: env!("CARGO_PKG_VERSION"),
                    rules: descriptors.collect(),
                },
            },
        }],
    };
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

const fn level(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Info => "note",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn result<'a>(finding: &'a Finding, place: Value, rules: &[(&str, String)]) -> SarifResult<'a> {
    let evidence: Vec<_> = finding.evidence.iter().map(|it| it.text.as_str()).collect();
    SarifResult {
        rule_id: &finding.rule,
        rule_index: rules.iter().position(|(rule, _)| *rule == finding.rule).unwrap_or_default(),
        level: level(finding),
        message: Message { text: format!("{} {}", sentence(&finding.title), finding.fix) },
        locations: [place],
        suppressions: finding
            .muted
            .iter()
            .map(|why| json!({ "kind": "external", "justification": why }))
            .collect(),
        partial_fingerprints: json!({
            "loopdSubject/v1": format!("{}:{}", finding.rule, finding.subject),
        }),
        rank: f64::from(finding.score),
        properties: json!({
            "confidence": finding.confidence,
            "occurrences": finding.occurrences,
            "harm": finding.harm,
            "evidence": evidence,
        }),
    }
}

/// The line in the source as the program knows it; `None` if there is none.
fn location(finding: &Finding) -> Option<Value> {
    let place = finding.path.as_deref().or(finding.location.as_deref())?;
    let (file, line) = place.rsplit_once(':')?;
    let line = line.parse::<u32>().ok().filter(|&line| line > 0)?;
    Some(json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(file) },
            "region": { "startLine": line },
        }
    }))
}

/// A path as a reference that SARIF takes: absolute ones are of files.
fn uri(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+@".contains(&byte);
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("/home/me/my shop/src/a.rs"), "file:///home/me/my%20shop/src/a.rs");
        assert_eq!(uri("shop/src/a.rs"), "shop/src/a.rs");
        assert_eq!(uri("C:\\shop\\a.rs"), "C%3A%5Cshop%5Ca.rs");
    }
}
