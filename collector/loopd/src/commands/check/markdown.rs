//! Markdown for a comment on a pull request: what fails in full, the rest as counts.

use std::fmt::Write as _;

use loopd_dashboard::views::findings::Finding;
use loopd_dashboard::views::text::{count_text, duration_text};

use super::Checked;
use crate::commands::findings::looked;
use crate::commands::render::clean;

/// A comment has some sixty thousand characters at most.
const MAX_FINDINGS: usize = 20;
/// More proof is on the page.
const MAX_EVIDENCE: usize = 6;

/// The whole comment.
pub(super) fn write(checked: &Checked<'_>) -> String {
    let app = escaped(&checked.process.app);
    let mut out = format!("### loopd on {app}: {}\n", checked.counts());
    if let Some(gap) = checked.gap() {
        let _ = write!(out, "\n> {}\n", escaped(gap));
    }
    let failing: Vec<_> = checked.failing().collect();
    if failing.is_empty() {
        let _ = write!(out, "\nNothing at level {} or above.\n", checked.fail_on.as_str());
    }
    for finding in failing.iter().take(MAX_FINDINGS) {
        out.push('\n');
        one(&mut out, finding);
    }
    if failing.len() > MAX_FINDINGS {
        let _ = write!(out, "\n{} more: `loopd findings`\n", failing.len() - MAX_FINDINGS);
    }
    let looked = looked(checked.view).replace("--rules", "`loopd findings --rules`");
    let _ = write!(out, "\n<sub>{}</sub>\n", escaped(&looked));
    out
}

fn one(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "- **{}**: {}", finding.level.as_str(), escaped(&finding.title));
    let place = match &finding.location {
        Some(location) => format!("{} · ", escaped(&format!("`{location}`"))),
        None => String::new(),
    };
    let harm = match finding.harm {
        0 => String::new(),
        harm => format!(" · harm {}", duration_text(harm)),
    };
    let _ = write!(
        out,
        "  <br>{place}{} · {}{harm} · {}×\n\n  <details><summary>Proof and fix</summary>\n\n",
        escaped(&finding.rule.replace('_', " ")),
        finding.confidence,
        count_text(finding.occurrences),
    );
    for evidence in finding.evidence.iter().take(MAX_EVIDENCE) {
        let _ = writeln!(out, "  - {}", escaped(&evidence.text));
    }
    let _ = write!(out, "\n  **Why**: {}\n", escaped(&finding.why));
    let _ = write!(out, "\n  **Fix**: {}\n", escaped(&finding.fix));
    if let Some(snippet) = &finding.snippet {
        let _ = write!(out, "\n  ```{}\n", snippet.language);
        for line in snippet.code.lines() {
            let _ = writeln!(out, "  {line}");
        }
        out.push_str("  ```\n");
    }
    out.push_str("\n  </details>\n");
}

/// Text that stays text, but for code between backticks.
fn escaped(text: &str) -> String {
    let text = clean(text);
    let parts: Vec<_> = text.split('`').collect();
    // A backtick without its partner is only a character.
    if parts.len().is_multiple_of(2) {
        return plain(&text);
    }
    let part = |(i, part): (usize, &&str)| match i % 2 {
        0 => plain(part),
        _ => format!("`{part}`"),
    };
    parts.iter().enumerate().map(part).collect()
}

fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Nobody is called by a name that a program gave to something.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_code_and_all_else_is_text() {
        assert_eq!(escaped("`a_b` is *not* a_b"), "`a_b` is \\*not\\* a\\_b");
        assert_eq!(escaped("odd ` <b> @me"), "odd \\` &lt;b&gt; &#64;me");
        assert_eq!(escaped("[x](javascript:1)"), "\\[x\\](javascript:1)");
    }
}
