//! Findings are kept, open and resolve, and can be muted.

use crate::support::*;
use loopd_analysis::findings::{Confidence, Evidence, Finding, Level, Link, Snippet};
use loopd_model::*;
use loopd_store::{FindingRow, MAX_FINDINGS, MAX_MUTES};

fn finding(subject: &str, level: Level) -> Finding {
    Finding {
        rule: "blocking_call",
        subject: subject.into(),
        level,
        harm: 1_500_000_000,
        score: 52,
        confidence: Confidence::Likely,
        title: format!("`{subject}` blocked a worker"),
        location: Some(subject.into()),
        occurrences: 3,
        first_seen_at: UnixNanos(ORIGIN),
        last_seen_at: UnixNanos(ORIGIN + 7),
        evidence: vec![
            Evidence { text: "one of them".into(), link: Some(Link::Task(TaskId(u64::MAX))) },
            Evidence { text: "no more".into(), link: None },
        ],
        why: "It blocks.".into(),
        fix: "Await.".into(),
        snippet: Some(Snippet { language: "rust", code: "sleep(…).await" }),
    }
}

impl Store {
    async fn found(&mut self, at: i64, findings: &[Finding]) {
        let at = UnixNanos(ORIGIN + at);
        self.writer.keep_findings(self.process, at, findings).await.unwrap();
    }

    async fn findings(&self) -> Vec<FindingRow> {
        self.reader.findings(self.process).await.unwrap()
    }

    /// Subject, when it resolved, and how often it opened.
    async fn short(&self) -> Vec<(String, Option<i64>, u64)> {
        let short =
            |row: FindingRow| (row.subject, row.resolved_at.map(|at| at.0 - ORIGIN), row.openings);
        self.findings().await.into_iter().map(short).collect()
    }
}

#[tokio::test]
async fn what_was_found_is_given_back_whole() {
    let mut store = Store::new().await;
    let it = finding("src/a.rs:7", Level::Error);
    store.found(10, std::slice::from_ref(&it)).await;
    let rows = store.findings().await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.rule.as_str(), &row.subject, row.level), (it.rule, &it.subject, it.level));
    assert_eq!((row.harm, row.score, row.confidence), (it.harm, it.score, it.confidence));
    assert_eq!((&row.title, &row.location, row.occurrences), (&it.title, &it.location, 3));
    assert_eq!((row.first_seen_at, row.last_seen_at), (it.first_seen_at, it.last_seen_at));
    assert_eq!((&row.evidence, &row.why, &row.fix), (&it.evidence, &it.why, &it.fix));
    assert_eq!(row.snippet, Some(("rust".into(), "sleep(…).await".into())));
    assert_eq!((row.resolved_at, row.openings, &row.muted), (None, 1, &None));
    let told = store
        .sql("SELECT rule, subject, level, score, confidence, resolved_at FROM findings")
        .await;
    assert_eq!(told, ["blocking_call src/a.rs:7 error 52 likely -"]);
}

#[tokio::test]
async fn findings_resolve_when_they_are_found_no_longer_and_open_again() {
    let mut store = Store::new().await;
    let (a, b) = (finding("a", Level::Warning), finding("b", Level::Warning));
    store.found(10, &[a.clone(), b.clone()]).await;
    store.found(20, std::slice::from_ref(&b)).await;
    assert_eq!(store.short().await, [("b".into(), None, 1), ("a".into(), Some(20), 1)]);
    store.found(30, &[]).await;
    assert_eq!(store.short().await, [("a".into(), Some(20), 1), ("b".into(), Some(30), 1)]);
    store.found(40, std::slice::from_ref(&a)).await;
    assert_eq!(store.short().await, [("a".into(), None, 2), ("b".into(), Some(30), 1)]);
    // An older analysis that comes late says nothing new.
    store.found(5, &[b]).await;
    assert_eq!(store.short().await, [("a".into(), None, 2), ("b".into(), Some(30), 1)]);
}

#[tokio::test]
async fn the_most_serious_comes_first_and_the_oldest_goes() {
    let mut store = Store::new().await;
    let many: Vec<_> =
        (0..MAX_FINDINGS).map(|i| finding(&format!("old {i}"), Level::Info)).collect();
    store.found(10, &many).await;
    store.found(20, &[finding("new", Level::Info), finding("worse", Level::Error)]).await;
    let short = store.short().await;
    assert_eq!(short.len(), MAX_FINDINGS);
    assert_eq!(short[..2], [("worse".into(), None, 1), ("new".into(), None, 1)]);
}

#[tokio::test]
async fn a_finding_is_muted_in_all_runs_of_a_program() {
    let mut store = Store::new().await;
    store.found(10, &[finding("src/a.rs:7", Level::Warning)]).await;
    let app = store.sql("SELECT app FROM processes").await.remove(0);
    let key = (app.as_str(), "blocking_call", "src/a.rs:7");
    let now = UnixNanos(ORIGIN + 11);
    assert!(store.writer.mute_finding(key, Some("known, a batch job"), now).await.unwrap());
    assert_eq!(store.findings().await[0].muted.as_deref(), Some("known, a batch job"));
    let all = store.reader.mutes(&app).await.unwrap();
    assert_eq!(all, [("blocking_call".into(), "src/a.rs:7".into(), "known, a batch job".into())]);
    assert!(store.writer.mute_finding(key, None, now).await.unwrap());
    assert_eq!(store.findings().await[0].muted, None);

    for i in 0..MAX_MUTES {
        let subject = i.to_string();
        let key = (app.as_str(), "blocking_call", subject.as_str());
        assert!(store.writer.mute_finding(key, Some(""), now).await.unwrap());
    }
    assert!(!store.writer.mute_finding(key, Some(""), now).await.unwrap());
    let known = (app.as_str(), "blocking_call", "7");
    assert!(store.writer.mute_finding(known, Some("again"), now).await.unwrap());
}
