//! What agents are asked to capture, and what they say they do.

use loopd_model::Settings;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Answer, Db, Reader, processes};
use crate::settings::{self, ProcessSettings, SettingsScope};
use crate::{ProcessKey, StoreError};

/// For so many names settings are given: people make them, one by one.
const MAX_APPS: i64 = 1_000;

impl Reader {
    /// How things stand with the settings of one process; `None` if there is no such.
    pub async fn process_settings(
        &self,
        process: ProcessKey,
    ) -> Result<Option<ProcessSettings>, StoreError> {
        let read = async |db: &mut Db| of_process(db, process.0).await;
        self.ask("read the settings of a process", read).await
    }

    /// What is asked of every program and of those of a name, in the order of their names.
    pub async fn common_settings(&self) -> Result<Vec<(SettingsScope, Settings)>, StoreError> {
        self.ask("read the settings", async |db| common(db).await).await
    }
}

/// How things stand with the settings of one process.
pub(crate) async fn of_process(
    db: &mut SqliteConnection,
    process: i64,
) -> Answer<Option<ProcessSettings>> {
    let sql = "SELECT app, coverage, in_force, configured FROM process WHERE id = ?";
    let Some(row) = sqlx::query(sql).bind(process).fetch_optional(&mut *db).await? else {
        return Ok(None);
    };
    let said = |column| {
        let json: Option<String> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(json.map(|json| settings::from_json(&json)))
    };
    let sql = "SELECT settings FROM setting
        WHERE (scope, app, process) IN (VALUES (1, '', 0), (2, ?1, 0), (3, '', ?2))
        ORDER BY scope";
    let asked: Vec<String> = sqlx::query_scalar(sql)
        .bind(row.try_get::<String, _>("app")?)
        .bind(process)
        .fetch_all(&mut *db)
        .await?;
    let desired = asked.iter().fold(Settings::default(), |wider, narrower| {
        settings::merged(wider, &settings::from_json(narrower))
    });
    Ok(Some(ProcessSettings {
        desired,
        in_force: said("in_force")?,
        configured: said("configured")?,
        coverage: processes::coverage(row.try_get("coverage")?),
    }))
}

async fn common(db: &mut Db) -> Answer<Vec<(SettingsScope, Settings)>> {
    let sql =
        "SELECT scope, app, settings FROM setting WHERE scope < 3 ORDER BY scope, app LIMIT ?";
    let rows = sqlx::query(sql).bind(MAX_APPS).fetch_all(&mut **db).await?;
    let scope = |row: &sqlx::sqlite::SqliteRow| {
        let scope = match row.try_get(0)? {
            1 => SettingsScope::All,
            _ => SettingsScope::App(row.try_get(1)?),
        };
        Ok((scope, settings::from_json(row.try_get(2)?)))
    };
    rows.iter().map(scope).collect()
}
