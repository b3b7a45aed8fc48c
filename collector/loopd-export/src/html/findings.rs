//! What is wrong, and what each rule said.

use loopd_dashboard::views::findings::{Finding, FindingsView, RuleState};
use loopd_dashboard::views::text::{count_text, duration_text};

use super::markup::{Html, instant};

/// Cards: what matters, then, folded away, what is only worth knowing.
pub(super) fn write(html: &mut Html, view: &FindingsView) {
    html.element("h2", "Findings");
    let looked = view.rules_in("found") + view.rules_in("ok");
    let of_rules = format!("{looked} of {} rules could look", view.rules.len());
    if view.important().next().is_none() {
        html.element("p", &format!("Nothing is wrong as far as was seen: {of_rules}."));
    }
    for finding in view.important() {
        card(html, finding);
    }
    let others: Vec<_> = view.worth_knowing().collect();
    if !others.is_empty() {
        html.raw("<details><summary>").escaped(&format!("Worth knowing: {}", others.len()));
        html.raw("</summary>\n");
        for finding in others {
            card(html, finding);
        }
        html.raw("</details>\n");
    }
}

fn card(html: &mut Html, finding: &Finding) {
    let level = finding.level.as_str();
    html.raw("<article class=\"finding ").raw(level).raw("\">\n<h3><span class=\"level\">");
    html.raw(level).raw("</span> ").prose(&finding.title).raw("</h3>\n");
    html.raw("<p class=\"dim\">");
    if let Some(location) = &finding.location {
        html.raw("<code>").escaped(location).raw("</code> · ");
    }
    html.escaped(&seen(finding)).raw("</p>\n");
    html.raw("<ul>\n");
    for evidence in &finding.evidence {
        html.raw("<li>").prose(&evidence.text).raw("</li>\n");
    }
    html.raw("</ul>\n<p><b>Why</b> ").prose(&finding.why).raw("</p>\n");
    html.raw("<p><b>Fix</b> ").prose(&finding.fix).raw("</p>\n");
    if let Some(snippet) = &finding.snippet {
        html.raw("<pre>").escaped(&snippet.code).raw("</pre>\n");
    }
    html.raw("</article>\n");
}

fn seen(finding: &Finding) -> String {
    let mut parts = vec![finding.rule.replace('_', " "), finding.confidence.clone()];
    if finding.harm > 0 {
        parts.push(format!("harm {}", duration_text(finding.harm)));
    }
    let last = instant(finding.last_seen_at.0);
    parts.push(match finding.occurrences {
        0 | 1 => format!("once, at {last}"),
        n => format!("{} times, last at {last}", count_text(n)),
    });
    parts.join(" · ")
}

/// What each rule said, and what it would take to see more.
pub(super) fn rules(html: &mut Html, view: &FindingsView) {
    html.element("h2", "What was looked for");
    let row = |rule: &RuleState| {
        let state = rule.state.replace('_', " ");
        vec![state, rule.title.clone(), rule.reason.clone()]
    };
    let rows: Vec<_> = view.rules.iter().map(row).collect();
    html.table(&["state", "looks for", "why not"], &rows);
}
