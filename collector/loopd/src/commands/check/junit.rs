//! JUnit's XML: one test case for each rule, which fails where it found something that fails.

use std::fmt::Write as _;

use jiff::Timestamp;
use loopd_dashboard::views::findings::{Finding, RuleState};

use super::Checked;

/// The whole document.
pub(super) fn write(checked: &Checked<'_>) -> String {
    let rules = checked.rules();
    let cases: Vec<_> = rules.iter().map(|(rule, _)| Case::new(checked, rule)).collect();
    let failures = cases.iter().filter(|case| !case.failing.is_empty()).count();
    let skipped = cases.iter().filter(|case| case.skipped.is_some()).count();
    let app = escaped(&checked.process.app);
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\"", cases.len());
    let to = Timestamp::from_nanosecond(i128::from(checked.view.to.0)).unwrap_or_default();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"loopd\" {counts}>\n\
         \x20 <testsuite name=\"loopd.{app}\" {counts} skipped=\"{skipped}\" time=\"0\" \
         timestamp=\"{}\" hostname=\"{}\">\n",
        to.strftime("%Y-%m-%dT%H:%M:%S"),
        escaped(&checked.process.host),
    );
    for case in &cases {
        case.write(&app, &mut out);
    }
    if let Some(gap) = checked.gap() {
        let _ = writeln!(out, "    <system-err>{}</system-err>", escaped(gap));
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// What one rule said.
struct Case<'a> {
    rule: &'a str,
    failing: Vec<&'a Finding>,
    /// What it found that does not fail.
    others: Vec<&'a Finding>,
    /// Why it could not look.
    skipped: Option<&'a str>,
}

impl<'a> Case<'a> {
    fn new(checked: &Checked<'a>, rule: &'a str) -> Self {
        let found = checked.told().filter(|finding| finding.rule == rule);
        let (failing, others) = found.partition(|finding| checked.fails(finding));
        let skips = |it: &&RuleState| matches!(it.state.as_str(), "needs" | "not_applicable");
        let state = checked.view.rules.iter().filter(skips).find(|it| it.rule == rule);
        Self { rule, failing, others, skipped: state.map(|it| it.reason.as_str()) }
    }

    fn write(&self, app: &str, out: &mut String) {
        let name = escaped(self.rule);
        let _ = write!(out, "    <testcase classname=\"loopd.{app}\" name=\"{name}\" time=\"0\"");
        if self.failing.is_empty() && self.others.is_empty() && self.skipped.is_none() {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        if let Some(reason) = self.skipped {
            let _ = writeln!(out, "      <skipped message=\"{}\"/>", escaped(reason));
        }
        // One element for all of them: of several, some readers show one.
        if let Some(first) = self.failing.first() {
            let more = match self.failing.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            let _ = write!(
                out,
                "      <failure type=\"{}\" message=\"{}{more}\">",
                first.level.as_str(),
                escaped(&first.title)
            );
            out.push_str(&escaped(&told(&self.failing)));
            out.push_str("</failure>\n");
        }
        if !self.others.is_empty() {
            let _ =
                writeln!(out, "      <system-out>{}</system-out>", escaped(&told(&self.others)));
        }
        out.push_str("    </testcase>\n");
    }
}

fn told(findings: &[&Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "{}: {}", finding.level.as_str(), finding.title);
        if let Some(place) = finding.path.as_ref().or(finding.location.as_ref()) {
            let _ = writeln!(out, "  at {place}");
        }
        for evidence in &finding.evidence {
            let _ = writeln!(out, "  - {}", evidence.text);
        }
        let _ = writeln!(out, "  why: {}\n  fix: {}", finding.why, finding.fix);
    }
    out
}

/// Text in XML; what XML cannot say becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_recorded_is_markup() {
        assert_eq!(escaped("<a b=\"&\">\u{1b}\0"), "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}\u{fffd}");
    }
}
