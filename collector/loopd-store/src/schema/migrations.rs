//! The schema, step by step, as the binary carries it.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! steps {
    ($($version:literal $name:literal),* $(,)?) => {
        [$((
            $version,
            $name,
            include_str!(concat!("../../../../migrations/sqlite/", $name, ".sql")),
        )),*]
    };
}

const STEPS: [(i64, &str, &str); 14] = steps![
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
