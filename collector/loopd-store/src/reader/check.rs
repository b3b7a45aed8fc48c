//! Whether the file is whole.

use crate::{Reader, StoreError};

/// More lines say nothing that the first do not.
const MAX_LINES: usize = 20;

impl Reader {
    /// What SQLite finds wrong with the file's structure; nothing if it is sound. Reads the whole
    /// file, and does not compare indexes with their tables.
    pub async fn quick_check(&self) -> Result<Vec<String>, StoreError> {
        let check = async |db: &mut super::Db| {
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA quick_check({MAX_LINES})"));
            sqlx::query_scalar(sql).fetch_all(&mut **db).await
        };
        let lines: Vec<String> = self.ask("check the file", check).await?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}
