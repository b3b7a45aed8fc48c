//! Findings that were kept while processes ran.

use rusqlite::{Connection, Row};

use super::{Reader, unsigned};
use crate::rows::findings::{MAX_FINDINGS, add_detail, confidence, level};
use crate::{FindingRow, ProcessKey, StoreError, UnixNanos};

pub(super) const OF_PROCESS: &str = "SELECT f.*, m.reason AS muted FROM finding f
    JOIN process p ON p.id = f.process
    LEFT JOIN finding_mute m ON m.app = p.app AND m.rule = f.rule AND m.subject = f.subject
    WHERE f.process = ?1 ORDER BY f.resolved_at IS NOT NULL, f.level DESC, f.score DESC, f.rule,
        f.subject LIMIT ?2";

impl Reader {
    /// Every finding of a process that is kept: those that are open first, then by level and score.
    pub async fn findings(&self, process: ProcessKey) -> Result<Vec<FindingRow>, StoreError> {
        let read = move |db: &Connection| {
            let mut statement = db.prepare_cached(OF_PROCESS)?;
            statement.query_map((process.0, MAX_FINDINGS as i64), finding)?.collect()
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("list findings"))
    }

    /// What is muted in runs of this program: rule, subject and reason.
    pub async fn mutes(&self, app: &str) -> Result<Vec<(String, String, String)>, StoreError> {
        const SQL: &str = "SELECT rule, subject, reason FROM finding_mute WHERE app = ?
            ORDER BY rule, subject";
        let app = app.to_owned();
        let read = move |db: &Connection| {
            let mut statement = db.prepare_cached(SQL)?;
            let rows =
                statement.query_map([app], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        };
        self.raw.ask(read).await.map_err(StoreError::sqlite("list what is muted"))
    }
}

fn finding(row: &Row<'_>) -> rusqlite::Result<FindingRow> {
    let mut finding = FindingRow {
        process: ProcessKey(row.get("process")?),
        rule: row.get("rule")?,
        subject: row.get("subject")?,
        level: level(row.get("level")?),
        score: u8::try_from(row.get::<_, i64>("score")?).unwrap_or(100),
        harm: unsigned(row.get("harm")?),
        confidence: confidence(row.get("confidence")?),
        title: row.get("title")?,
        location: row.get("location")?,
        occurrences: unsigned(row.get("occurrences")?),
        first_seen_at: UnixNanos(row.get("first_seen_at")?),
        last_seen_at: UnixNanos(row.get("last_seen_at")?),
        resolved_at: row.get::<_, Option<i64>>("resolved_at")?.map(UnixNanos),
        openings: unsigned(row.get("openings")?),
        muted: row.get("muted")?,
        evidence: Vec::new(),
        why: String::new(),
        fix: String::new(),
        snippet: None,
    };
    add_detail(&mut finding, row.get_ref("detail")?.as_str()?);
    Ok(finding)
}
