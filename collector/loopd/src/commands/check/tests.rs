//! One program with every sort of finding, in every format.

use loopd_dashboard::views::findings::{Evidence, RuleState, Snippet};
use serde_json::Value;

use super::*;

fn finding(rule: &str, level: Level, location: Option<&str>) -> Finding {
    Finding {
        rule: rule.into(),
        subject: location.unwrap_or("config <lock>").into(),
        level,
        harm: 1_500_000_000,
        score: 52,
        confidence: "certain".into(),
        title: format!("{rule} at `{}`", location.unwrap_or("config <lock>")),
        location: location.map(str::to_owned),
        path: location.map(|location| format!("/srv/{location}")),
        occurrences: 2,
        first_seen_at: loopd_dashboard::views::text::UnixNanosText(1),
        last_seen_at: loopd_dashboard::views::text::UnixNanosText(2),
        evidence: vec![Evidence { text: "300 ms & more".into(), href: None }],
        why: "It holds others up.".into(),
        fix: "Do less.".into(),
        snippet: Some(Snippet { language: "rust".into(), code: "a();\nb();".into() }),
        muted: None,
        resolved_at: None,
    }
}

fn rule(rule: &str, state: &str, reason: &str) -> RuleState {
    let title = format!("What {rule} looks for");
    RuleState { rule: rule.into(), title, state: state.into(), reason: reason.into() }
}

fn check(fail_on: Level, test: impl FnOnce(&Checked<'_>)) {
    let process: Process = serde_json::from_str(PROCESS).unwrap();
    let view = FindingsView {
        process: 1,
        from: loopd_dashboard::views::text::UnixNanosText(0),
        to: loopd_dashboard::views::text::UnixNanosText(1_795_356_000_000_000_000),
        findings: vec![
            finding("capture_incomplete", Level::Info, None),
            finding("blocking", Level::Error, Some("shop/src/a.rs:41")),
            finding("blocking", Level::Error, Some("shop/src/b.rs:7")),
            finding("deadlock", Level::Warning, None),
            finding("never_awaited", Level::Warning, Some("shop/app.py:3")),
            finding("storm", Level::Info, Some("shop/src/c.rs:1")),
            Finding {
                muted: Some("runs at night".into()),
                ..finding("storm", Level::Error, Some("shop/src/night.rs:1"))
            },
        ],
        resolved: Vec::new(),
        rules: vec![
            rule("capture_incomplete", "found", ""),
            rule("blocking", "found", ""),
            rule("deadlock", "found", ""),
            rule("complaints", "found", ""),
            rule("storm", "found", ""),
            rule("leak", "ok", ""),
            rule("starved", "needs", "wakes: switch `LOOPD_RECORD_WAKES` on"),
            rule("gil", "not_applicable", "there is none"),
        ],
    };
    test(&Checked { process: &process, view: &view, fail_on });
}

const PROCESS: &str = r#"{
    "process": 1, "id": "07", "app": "shop", "app_version": "", "host": "box", "pid": 1, "labels": {},
    "agent": "loopd-agent", "agent_version": "0.1.0", "runtime": "tokio", "capture": "records", "state": "ended",
    "started_at": "0", "last_at": "5", "ended_at": null, "slow_threshold": 100000000, "coverage": [],
    "tasks_alive": 0, "tasks_spawned": 0, "polls": 0, "slow_polls": 0, "open_resources": 0, "lost": 0,
    "loops": []
}"#;

#[test]
fn what_fails_is_at_the_level_or_above_and_never_the_capture() {
    let failing = |level| {
        let mut names = Vec::new();
        check(level, |checked| {
            names = checked.failing().map(|it| it.rule.clone()).collect();
        });
        names
    };
    assert_eq!(failing(Level::Error), ["blocking", "blocking"]);
    assert_eq!(failing(Level::Warning), ["blocking", "blocking", "deadlock", "never_awaited"]);
    assert_eq!(failing(Level::Info).len(), 5);
}

#[test]
fn sarif_has_a_result_for_each_finding_with_its_line() {
    check(Level::Warning, |checked| {
        let log: Value = serde_json::from_str(&sarif::write(checked).unwrap()).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 5);
        for result in results {
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(rules[index]["id"], result["ruleId"], "{result}");
        }
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "file:///srv/shop/src/a.rs");
        assert_eq!(place["region"]["startLine"], 41);
        assert_eq!(results[0]["level"], "error");
        assert_eq!(results[0]["message"]["text"], "blocking at `shop/src/a.rs:41`. Do less.");
        assert_eq!(
            (&results[3]["level"], &results[3]["suppressions"]),
            (&"note".into(), &Value::Null)
        );
        assert_eq!(results[4]["suppressions"][0]["justification"], "runs at night");
        // What has no line.
        let told = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
        let texts: Vec<_> = told.iter().map(|it| it["message"]["text"].as_str().unwrap()).collect();
        assert_eq!(
            texts,
            [
                "capture_incomplete at `config <lock>`. Do less.",
                "deadlock at `config <lock>`. Do less."
            ]
        );
        assert_eq!((&told[0]["level"], &told[1]["level"]), (&"warning".into(), &"warning".into()));
    });
}

#[test]
fn junit_has_a_case_for_each_rule() {
    check(Level::Warning, |checked| {
        let xml = junit::write(checked);
        for line in [
            "<testsuite name=\"loopd.shop\" tests=\"9\" failures=\"3\" errors=\"0\" skipped=\"2\" \
             time=\"0\" timestamp=\"2026-11-22T14:00:00\" hostname=\"box\">",
            "<testcase classname=\"loopd.shop\" name=\"leak\" time=\"0\"/>",
            "<failure type=\"error\" message=\"blocking at `shop/src/a.rs:41` (and 1 more)\">error: ",
            "  at /srv/shop/src/b.rs:7\n  - 300 ms &amp; more\n",
            "message=\"deadlock at `config &lt;lock&gt;`\"",
            "name=\"never_awaited\"",
            "<skipped message=\"wakes: switch `LOOPD_RECORD_WAKES` on\"/>",
            "<system-out>info: storm at",
        ] {
            assert!(xml.contains(line), "{line}\n{xml}");
        }
    });
}

#[test]
fn a_comment_tells_what_fails_in_full() {
    check(Level::Error, |checked| {
        let comment = markdown::write(checked);
        for line in [
            "### loopd on shop: 2 errors, 2 warnings, 1 thing worth knowing\n",
            "\n> capture\\_incomplete at `config <lock>`\n",
            "- **error**: blocking at `shop/src/a.rs:41`\n",
            "  - 300 ms &amp; more\n",
            "\n  ```rust\n  a();\n  b();\n  ```\n\n  </details>\n",
            "<sub>6 rules looked, 1 more needs what was not captured; `loopd findings --rules` lists",
        ] {
            assert!(comment.contains(line), "{line}\n{comment}");
        }
        assert!(!comment.contains("deadlock"), "{comment}");
    });
}

#[test]
fn json_is_one_object_with_what_failed() {
    check(Level::Warning, |checked| {
        let document: Value = serde_json::from_str(&json(checked).unwrap()).unwrap();
        let counted = (&document["app"], &document["fail_on"], &document["failed"]);
        assert_eq!(counted, (&"shop".into(), &"warning".into(), &4.into()));
        assert_eq!(document["findings"].as_array().unwrap().len(), 7);
    });
}
