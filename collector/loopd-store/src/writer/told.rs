//! What a program says in one commit: marks, spans, what it tells of its tasks, and what its agent
//! captures from then on.

use std::collections::{BTreeMap, BTreeSet};

use loopd_model::{Coverage, CoverageState, MarkLevel, Settings};
use sqlx::sqlite::SqliteConnection;

use super::apply::insert;
use super::digest::cut;
use crate::instant;
use crate::settings;

/// Longer texts are cut: a message is a sentence, not a file.
const MAX_MESSAGE: usize = 4_096;
/// Longer names, targets, keys and reasons are cut.
const MAX_NAME: usize = 256;
/// Longer values of fields, and reasons of layers, are cut.
const MAX_VALUE: usize = 1_024;
/// More fields than this are left out.
const MAX_FIELDS: usize = 32;
/// The fields of one task, as JSON; beyond that newer ones take the place of all older ones.
const MAX_TASK_FIELDS: usize = 16 * 1_024;
/// More layers than this are left out: there are nine.
const MAX_LAYERS: usize = 64;

/// No process's polls are slow below this, in nanoseconds: every slow poll is a row of its own.
pub(super) const MIN_SLOW_THRESHOLD: i64 = 100_000;

/// The new rows.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) marks: Vec<MarkRow>,
    pub(super) spans: Vec<AppSpanRow>,
    /// Process, task, JSON.
    task_fields: Vec<(i64, i64, String)>,
    /// By process and task: whether the lengths of all of its polls are known from now on.
    pub(super) lengths: BTreeMap<(i64, i64), bool>,
    coverage: Vec<CoverageRow>,
}

#[derive(Debug)]
pub(super) struct MarkRow {
    pub(super) process: i64,
    pub(super) at: i64,
    pub(super) task: i64,
    pub(super) level: MarkLevel,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) location: i64,
}

#[derive(Debug)]
pub(super) struct AppSpanRow {
    pub(super) process: i64,
    pub(super) span: i64,
    pub(super) parent: i64,
    pub(super) task: i64,
    pub(super) name: String,
    pub(super) target: String,
    pub(super) opened_at: i64,
    pub(super) closed_at: i64,
    pub(super) busy_time: i64,
    pub(super) fields: Vec<(String, String)>,
    pub(super) location: i64,
}

#[derive(Debug)]
struct CoverageRow {
    process: i64,
    at: i64,
    layers: String,
    settings: String,
}

impl Told {
    pub(super) fn task_fields(&mut self, process: i64, task: i64, fields: &[(String, String)]) {
        self.task_fields.push((process, task, fields_json(fields)));
    }

    pub(super) fn coverage(
        &mut self,
        (process, at): (i64, i64),
        layers: &[Coverage],
        settings: &Settings,
    ) {
        let (layers, settings) = (coverage_json(layers), settings_json(settings));
        self.coverage.push(CoverageRow { process, at, layers, settings });
    }

    /// Writes everything. Tasks come before: their fields are added to them.
    pub(super) async fn write(self, db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let head =
            ("INSERT INTO mark (process, at, task, level, target, message, fields, location) ", "");
        insert(db, head, 8, self.marks, |values, row| {
            values.push_bind(row.process).push_bind(row.at).push_bind(row.task);
            values.push_bind(row.level as i64).push_bind(cut(&row.target, MAX_NAME));
            values.push_bind(cut(&row.message, MAX_MESSAGE)).push_bind(fields_json(&row.fields));
            values.push_bind(row.location);
        })
        .await?;
        let head = (
            "INSERT INTO app_span (process, span, parent, task, name, target, opened_at, closed_at,
                busy_time, fields, location) ",
            "",
        );
        insert(db, head, 11, self.spans, |values, row| {
            values.push_bind(row.process).push_bind(row.span).push_bind(row.parent);
            values.push_bind(row.task).push_bind(cut(&row.name, MAX_NAME));
            values.push_bind(cut(&row.target, MAX_NAME)).push_bind(row.opened_at);
            values.push_bind(row.closed_at).push_bind(row.busy_time);
            values.push_bind(fields_json(&row.fields)).push_bind(row.location);
        })
        .await?;
        let head = "INSERT INTO task (process, task, polls, busy_time, max_poll_time, slow_polls,
            wakes, self_wakes, scheduled_time, fields) ";
        let merge = format!(
            " ON CONFLICT DO UPDATE SET fields = CASE
                WHEN fields IS NULL OR length(fields) + length(excluded.fields) > {MAX_TASK_FIELDS}
                THEN excluded.fields ELSE json_patch(fields, excluded.fields) END"
        );
        insert(db, (head, &merge), 10, self.task_fields, |values, (process, task, fields)| {
            values.push_bind(process).push_bind(task);
            (0..7).for_each(|_| _ = values.push_bind(0));
            values.push_bind(fields);
        })
        .await?;
        for ((process, task), are_known) in self.lengths {
            let update = sqlx::query(PUT_LENGTHS).bind(process).bind(task).bind(!are_known);
            update.execute(&mut *db).await?;
        }
        let head = ("INSERT INTO coverage_change (process, at, layers, settings) ", "");
        let changed: BTreeSet<i64> = self.coverage.iter().map(|row| row.process).collect();
        insert(db, head, 4, self.coverage, |values, row| {
            values.push_bind(row.process).push_bind(row.at).push_bind(row.layers);
            values.push_bind(row.settings);
        })
        .await?;
        for process in changed {
            sqlx::query(PUT_IN_FORCE).bind(process).execute(&mut *db).await?;
        }
        Ok(())
    }
}

const PUT_LENGTHS: &str = "UPDATE task SET are_lengths_unknown = ?3
    WHERE process = ?1 AND task = ?2 AND are_lengths_unknown IS NOT ?3";

/// The process says what holds now, which is what the latest change said.
const PUT_IN_FORCE: &str = "UPDATE process SET coverage = c.layers,
        in_force = coalesce(nullif(c.settings, '{}'), in_force),
        slow_threshold = coalesce(json_extract(c.settings, '$.slow_threshold'), slow_threshold)
    FROM (SELECT layers, settings FROM coverage_change WHERE process = ?1
          ORDER BY at DESC, rowid DESC LIMIT 1) c
    WHERE id = ?1";

/// Notes what an agent says at the beginning of a session, unless it is what was known already.
pub(super) async fn note_coverage(
    db: &mut SqliteConnection,
    (process, at): (i64, i64),
    layers: &[Coverage],
    in_force: Option<&Settings>,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO coverage_change (process, at, layers, settings)
        SELECT ?1, ?2, ?3, coalesce(?4, (SELECT settings FROM coverage_change WHERE process = ?1
                                         ORDER BY at DESC, rowid DESC LIMIT 1), '{}')
        WHERE (?3, coalesce(?4, '')) IS NOT
            (SELECT layers, iif(?4 IS NULL, '', settings) FROM coverage_change
             WHERE process = ?1 ORDER BY at DESC, rowid DESC LIMIT 1)";
    let query = sqlx::query(sql).bind(process).bind(at).bind(coverage_json(layers));
    query.bind(in_force.map(settings_json)).execute(db).await?;
    Ok(())
}

/// Keys and values as a JSON object; of a key that comes twice the last value.
fn fields_json(fields: &[(String, String)]) -> String {
    let fields = fields.iter().take(MAX_FIELDS);
    let fields = fields.map(|(key, value)| (cut(key, MAX_NAME), cut(value, MAX_VALUE).into()));
    serde_json::Value::Object(fields.collect()).to_string()
}

/// Layers as `[[layer, state, reason]]`.
pub(super) fn coverage_json(coverage: &[Coverage]) -> String {
    let layers = coverage.iter().take(MAX_LAYERS).map(|layer| {
        let state = match layer.state {
            CoverageState::On => "on",
            CoverageState::Off => "off",
            CoverageState::Unavailable => "unavailable",
        };
        serde_json::json!([cut(&layer.layer, MAX_NAME), state, cut(&layer.reason, MAX_VALUE)])
    });
    serde_json::Value::Array(layers.collect()).to_string()
}

/// Settings as a JSON object, without those that were not told.
fn settings_json(settings: &Settings) -> String {
    let threshold = settings.slow_threshold.map(|nanos| slow_threshold(nanos).unsigned_abs());
    settings::to_json(&Settings { slow_threshold: threshold, ..*settings })
}

/// The threshold that counts when an agent asks for this one.
pub(super) fn slow_threshold(nanos: u64) -> i64 {
    instant::length(nanos).max(MIN_SLOW_THRESHOLD)
}
