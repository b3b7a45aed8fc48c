//! Findings that were kept while processes ran.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Answer, Db, Reader, amount, instant};
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
        let read = async |db: &mut Db| {
            let query = sqlx::query(OF_PROCESS).bind(process.0).bind(MAX_FINDINGS as i64);
            query.fetch_all(&mut **db).await?.iter().map(finding).collect()
        };
        self.ask("list findings", read).await
    }

    /// What is muted in runs of this program: rule, subject and reason.
    pub async fn mutes(&self, app: &str) -> Result<Vec<(String, String, String)>, StoreError> {
        let read = async |db: &mut Db| {
            let sql = "SELECT rule, subject, reason FROM finding_mute WHERE app = ?
                ORDER BY rule, subject";
            sqlx::query_as(sql).bind(app).fetch_all(&mut **db).await
        };
        self.ask("list what is muted", read).await
    }
}

fn finding(row: &SqliteRow) -> Answer<FindingRow> {
    let mut finding = FindingRow {
        process: ProcessKey(row.try_get("process")?),
        rule: row.try_get("rule")?,
        subject: row.try_get("subject")?,
        level: level(row.try_get("level")?),
        score: u8::try_from(row.try_get::<i64, _>("score")?).unwrap_or(100),
        harm: amount(row, "harm")?,
        confidence: confidence(row.try_get("confidence")?),
        title: row.try_get("title")?,
        location: row.try_get("location")?,
        occurrences: amount(row, "occurrences")?,
        first_seen_at: UnixNanos(row.try_get("first_seen_at")?),
        last_seen_at: UnixNanos(row.try_get("last_seen_at")?),
        resolved_at: instant(row, "resolved_at")?,
        openings: amount(row, "openings")?,
        muted: row.try_get("muted")?,
        evidence: Vec::new(),
        why: String::new(),
        fix: String::new(),
        snippet: None,
    };
    add_detail(&mut finding, row.try_get("detail")?);
    Ok(finding)
}
