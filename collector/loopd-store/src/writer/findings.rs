//! Findings: kept when an analysis of the newest data finds them, resolved when one does no longer.

use loopd_analysis::findings::Finding;
use loopd_model::UnixNanos;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use crate::rows::findings::{MAX_FINDINGS, MAX_MUTES, confidence_number, detail, level_number};
use crate::{ProcessKey, StoreError};

const KEEP: &str =
    "INSERT INTO finding (process, rule, subject, level, score, harm, confidence, title,
        location, occurrences, first_seen_at, last_seen_at, found_at, openings, detail)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14)
    ON CONFLICT DO UPDATE SET
        level = excluded.level, score = excluded.score, harm = excluded.harm,
        confidence = excluded.confidence, title = excluded.title, location = excluded.location,
        occurrences = max(occurrences, excluded.occurrences),
        first_seen_at = min(first_seen_at, excluded.first_seen_at),
        last_seen_at = max(last_seen_at, excluded.last_seen_at), found_at = excluded.found_at,
        openings = openings + (resolved_at IS NOT NULL), resolved_at = NULL,
        detail = excluded.detail";

/// What this analysis did not find.
const RESOLVE: &str = "UPDATE finding SET resolved_at = ?2
    WHERE process = ?1 AND resolved_at IS NULL AND found_at < ?2";

const LIMIT: &str = "DELETE FROM finding WHERE process = ?1 AND (rule, subject) IN
    (SELECT rule, subject FROM finding WHERE process = ?1
     ORDER BY resolved_at IS NULL, found_at LIMIT
        max(0, (SELECT count(*) FROM finding WHERE process = ?1) - ?2))";

impl Writer {
    /// Keeps what an analysis found that had the data of a process up to `at`, and resolves what it found
    /// no longer. An analysis of older data than the last changes nothing that was found since.
    pub async fn keep_findings(
        &mut self,
        process: ProcessKey,
        at: UnixNanos,
        findings: &[Finding],
    ) -> Result<(), StoreError> {
        self.know(process).await?;
        let keep = async |db: &mut SqliteConnection| keep(db, process.0, at.0, findings).await;
        self.transact("keep findings", keep).await?;
        self.publish([process]);
        Ok(())
    }

    /// Mutes a finding in all runs of a program, or lets it be heard again. Gives whether there was
    /// room for it.
    pub async fn mute_finding(
        &mut self,
        (app, rule, subject): (&str, &str, &str),
        reason: Option<&str>,
        now: UnixNanos,
    ) -> Result<bool, StoreError> {
        let mute = async |db: &mut SqliteConnection| {
            let Some(reason) = reason else {
                let sql = "DELETE FROM finding_mute WHERE app = ? AND rule = ? AND subject = ?";
                let query = sqlx::query(sql).bind(app).bind(rule).bind(subject);
                return query.execute(&mut *db).await.map(|_| true);
            };
            let sql = "INSERT INTO finding_mute (app, rule, subject, reason, muted_at)
                SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM finding_mute) < ?6
                    OR EXISTS (SELECT 1 FROM finding_mute
                        WHERE app = ?1 AND rule = ?2 AND subject = ?3)
                ON CONFLICT DO UPDATE SET reason = excluded.reason, muted_at = excluded.muted_at";
            let query = sqlx::query(sql).bind(app).bind(rule).bind(subject);
            let query = query.bind(reason).bind(now.0).bind(MAX_MUTES as i64);
            Ok(query.execute(&mut *db).await?.rows_affected() > 0)
        };
        let has_room = self.transact("mute a finding", mute).await?;
        self.publish([]);
        Ok(has_room)
    }
}

async fn keep(
    db: &mut SqliteConnection,
    process: i64,
    at: i64,
    findings: &[Finding],
) -> Result<(), sqlx::Error> {
    let latest: Option<i64> =
        sqlx::query_scalar("SELECT max(found_at) FROM finding WHERE process = ?")
            .bind(process)
            .fetch_one(&mut *db)
            .await?;
    if latest.is_some_and(|latest| latest > at) {
        return Ok(());
    }
    for it in findings {
        let query = sqlx::query(KEEP).bind(process).bind(it.rule).bind(&it.subject);
        let query = query.bind(level_number(it.level)).bind(i64::from(it.score));
        let query = query.bind(i64::try_from(it.harm).unwrap_or(i64::MAX));
        let query = query.bind(confidence_number(it.confidence)).bind(&it.title);
        let query = query.bind(&it.location);
        let query = query.bind(i64::try_from(it.occurrences).unwrap_or(i64::MAX));
        let query = query.bind(it.first_seen_at.0).bind(it.last_seen_at.0).bind(at);
        query.bind(detail(it)).execute(&mut *db).await?;
    }
    sqlx::query(RESOLVE).bind(process).bind(at).execute(&mut *db).await?;
    sqlx::query(LIMIT).bind(process).bind(MAX_FINDINGS as i64).execute(&mut *db).await?;
    Ok(())
}
