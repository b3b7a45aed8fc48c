//! What agents are asked to capture: kept, so that a restart does not forget it.

use loopd_model::Settings;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use crate::reader::of_process;
use crate::settings::{self, ProcessSettings, SettingsChange, SettingsScope};
use crate::{ProcessKey, StoreError};

/// Program names that may have settings of their own. People set them by hand; a script that
/// makes up names is told to stop.
pub(crate) const MAX_APPS: i64 = 1_024;

impl Writer {
    /// Changes what is asked of `scope`, for good.
    pub async fn change_settings(
        &mut self,
        scope: &SettingsScope,
        change: &SettingsChange,
    ) -> Result<(), StoreError> {
        if let SettingsScope::Process(process) = scope {
            self.know(*process).await?;
        }
        let has_room =
            self.transact("change settings", async |db| change_in(db, scope, change).await).await?;
        if !has_room {
            return Err(StoreError::TooManySettings { limit: MAX_APPS as u64 });
        }
        // The page that shows them is as old as they were.
        self.publish([]);
        Ok(())
    }

    /// How things stand with the settings of one process.
    pub async fn process_settings(
        &mut self,
        process: ProcessKey,
    ) -> Result<ProcessSettings, StoreError> {
        let read = of_process(self.db().await?, process.0).await;
        let read = read.map_err(StoreError::sqlite("read the settings of a process"))?;
        read.ok_or(StoreError::NoSuchProcess { process: process.0 })
    }
}

/// Whether there was room for it.
async fn change_in(
    db: &mut SqliteConnection,
    scope: &SettingsScope,
    change: &SettingsChange,
) -> Result<bool, sqlx::Error> {
    let key = match scope {
        SettingsScope::All => (1, "", 0),
        SettingsScope::App(app) => (2, app.as_str(), 0),
        SettingsScope::Process(process) => (3, "", process.0),
    };
    let sql = "SELECT settings FROM setting WHERE scope = ? AND app = ? AND process = ?";
    let query = sqlx::query_scalar(sql).bind(key.0).bind(key.1).bind(key.2);
    let before: Option<String> = query.fetch_optional(&mut *db).await?;
    let is_new = before.is_none();
    let mut settings = settings::from_json(&before.unwrap_or_default());
    change.apply(&mut settings);
    if settings == Settings::default() {
        let sql = "DELETE FROM setting WHERE scope = ? AND app = ? AND process = ?";
        sqlx::query(sql).bind(key.0).bind(key.1).bind(key.2).execute(&mut *db).await?;
        return Ok(true);
    }
    if is_new && key.0 == 2 && apps(db).await? >= MAX_APPS {
        return Ok(false);
    }
    let sql = "INSERT INTO setting (scope, app, process, settings) VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET settings = excluded.settings";
    let query = sqlx::query(sql).bind(key.0).bind(key.1).bind(key.2);
    query.bind(settings::to_json(&settings)).execute(&mut *db).await?;
    Ok(true)
}

async fn apps(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM setting WHERE scope = 2").fetch_one(db).await
}
