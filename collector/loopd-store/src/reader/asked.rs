//! Who asks what of one process.

use loopd_model::Settings;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Db, Reader};
use crate::settings::from_json;
use crate::{ProcessKey, SettingsScope, StoreError};

impl Reader {
    /// What each scope asks of a process, the widest first; nothing of one that is not known.
    pub async fn asked_of(
        &self,
        process: ProcessKey,
    ) -> Result<Vec<(SettingsScope, Settings)>, StoreError> {
        let read = async |db: &mut Db| {
            let sql = "SELECT s.scope, s.app, s.settings FROM process p
                CROSS JOIN (SELECT 1 AS scope UNION ALL SELECT 2 UNION ALL SELECT 3) k
                CROSS JOIN setting s ON s.scope = k.scope AND s.app = iif(k.scope = 2, p.app, '')
                    AND s.process = iif(k.scope = 3, p.id, 0)
                WHERE p.id = ? ORDER BY s.scope";
            let rows = sqlx::query(sql).bind(process.0).fetch_all(&mut **db).await?;
            let asked = |row: &SqliteRow| {
                let scope = match row.try_get(0)? {
                    1 => SettingsScope::All,
                    2 => SettingsScope::App(row.try_get(1)?),
                    _ => SettingsScope::Process(process),
                };
                Ok((scope, from_json(row.try_get(2)?)))
            };
            rows.iter().map(asked).collect()
        };
        self.ask("read who asks what of a process", read).await
    }
}
