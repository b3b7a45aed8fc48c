//! The schema, step by step, as the binary carries it.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;

macro_rules! steps {
    ($($version:literal $name:literal),* $(,)?) => {
        [$((
            $version,
            $name,
            include_str!(concat!("../../../../migrations/sqlite/", $name, ".sql")),
        )),*]
    };
}

const STEPS: [(i64, &str, &str); 25] = steps![
    1 "0001_meta",
    2 "0002_process",
    3 "0003_task",
    4 "0004_segment",
    5 "0005_slow_poll",
    6 "0006_resource",
    7 "0007_metric",
    8 "0008_ledger",
    9 "0009_tile",
    10 "0010_views",
    11 "0011_waits",
    12 "0012_settings",
    13 "0013_marks",
    14 "0014_views",
    15 "0015_task_records",
    16 "0016_rollup",
    17 "0017_views",
    18 "0018_usage",
    19 "0019_bounds",
    20 "0020_callbacks",
    21 "0021_task_dumps",
    22 "0022_findings",
    23 "0023_kept_findings",
    24 "0024_notes",
    25 "0025_counted_polls",
];

/// The newest schema this binary knows.
pub(crate) const NEWEST: i64 = STEPS[STEPS.len() - 1].0;

/// Brings a database to [`NEWEST`].
pub(crate) fn migrator() -> Migrator {
    let steps = STEPS.into_iter().map(|(version, name, sql)| {
        let name = Cow::Borrowed(name);
        Migration::new(version, name, MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

/// The first step after which polls too long for the finest tiles are in coarser ones.
const LONG_POLLS_IN_TILES: i64 = 15;

/// Brings a database to [`NEWEST`], with what no SQL can do for it.
pub(crate) async fn run(db: &mut SqliteConnection) -> Result<(), MigrateError> {
    // There is no such table in a new file.
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    let before: i64 = sqlx::query_scalar(sql).fetch_one(&mut *db).await.unwrap_or(NEWEST);
    migrator().run(&mut *db).await?;
    if before < LONG_POLLS_IN_TILES {
        crate::writer::tile_long_polls(db).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[tokio::test]
    async fn what_an_older_loopd_stored_can_be_read_after_the_later_steps() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        crate::connect::equip(&mut db).await.unwrap();
        let first = migrator().iter().filter(|step| step.version <= 10).cloned().collect();
        Migrator::with_migrations(first).run(&mut db).await.unwrap();
        let rows = "INSERT INTO process VALUES
                (1, x'00', 'orders', '', '', 1, '{}', '', '', '[]', 1, 1, 0, 1, 9, NULL, 1, 0);
            INSERT INTO task (process, task, spawned_at, polls, busy_time, max_poll_time,
                slow_polls, wakes, self_wakes, scheduled_time) VALUES (1, 7, 2, 3, 0, 0, 0, 0, 0, 0);
            INSERT INTO resource VALUES (1, 5, 'file', 'data.log', 1, 7, 3, NULL, NULL);
            INSERT INTO sample VALUES (1, 1, 0, 4, 5, 7, 1, 2);
            INSERT INTO slow_poll VALUES (1, 1, 0, 4, 2000000000, 2000000004, 1, 7);
            INSERT INTO ledger_entry VALUES (1, 4, 1, 1, 0, 0)";
        sqlx::raw_sql(rows).execute(&mut db).await.unwrap();
        run(&mut db).await.unwrap();
        let mut read = async |sql: &'static str| {
            sqlx::query_scalar::<_, String>(sql).fetch_one(&mut db).await.unwrap()
        };
        let task = "SELECT task || state || unwakeable || ifnull(fields, '-') FROM tasks";
        assert_eq!(read(task).await, "7alive0-");
        assert_eq!(read("SELECT running || ifnull(syscall, '-') FROM samples").await, "off_cpu-");
        assert_eq!(read("SELECT name || ifnull(waiters, '-') FROM resources").await, "data.log-");
        assert_eq!(read("SELECT kind FROM ledger").await, "task");
        // Of a poll of two seconds the finest tiles are too short.
        let tiles = "SELECT group_concat(level || ':' || folded) FROM tile";
        assert_eq!(read(tiles).await, "2:0");
    }
}
