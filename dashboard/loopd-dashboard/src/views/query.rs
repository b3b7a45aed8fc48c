//! Answers to SQL, and what there is to ask about.

use std::time::Duration;

use loopd_store::{QueryError, QueryLimits, QueryResult, Reader, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::ViewError;
use crate::csv::Csv;

/// The body of `POST /api/v1/query`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// One statement that reads.
    pub sql: String,
    /// At most this many rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<usize>,
    /// At most this long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeout_ms: Option<u64>,
}

/// `POST /api/v1/query`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryView {
    /// The columns.
    pub columns: Vec<QueryColumn>,
    /// The rows; integers beyond 2^53 are decimal text, bytes are `x'…'`.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than the limit.
    pub truncated: bool,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// What was read in full, and how to ask for less: sentences, usually none.
    #[serde(default)]
    #[schema(required)]
    pub hints: Vec<String>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// What its values are, NULL aside.
    #[serde(rename = "type", default)]
    pub kind: ValueKind,
}

/// What the values of a column are. SQLite has types for values, not for columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// There is none but NULL, or it is not known.
    #[default]
    Null,
    /// Whole numbers; those beyond 2^53 are given as decimal text.
    Integer,
    /// Numbers, some of them with fractions.
    Real,
    /// Text.
    Text,
    /// Bytes, given as `x'…'`.
    Blob,
    /// Some are numbers and some are text, or bytes.
    Mixed,
}

impl ValueKind {
    /// What a column is that has values of both kinds.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (one, other) if one == other => one,
            (Self::Integer, Self::Real) | (Self::Real, Self::Integer) => Self::Real,
            _ => Self::Mixed,
        }
    }

    fn of(value: &loopd_store::Value) -> Self {
        match value {
            loopd_store::Value::Null => Self::Null,
            loopd_store::Value::Integer(_) => Self::Integer,
            loopd_store::Value::Real(_) => Self::Real,
            loopd_store::Value::Text(_) => Self::Text,
            loopd_store::Value::Blob(_) => Self::Blob,
        }
    }
}

/// `GET /api/v1/schema`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaView {
    /// What can be selected from.
    pub views: Vec<SchemaTable>,
    /// Functions beyond those of SQLite.
    pub functions: Vec<SchemaFunction>,
}

/// One view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaTable {
    /// Its name.
    pub name: String,
    /// What a row is.
    pub about: String,
    /// Its columns.
    pub columns: Vec<SchemaColumn>,
}

/// One column of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// What SQLite holds: `integer`, `real`, `text`.
    #[serde(rename = "type")]
    pub sql_type: String,
    /// What it means, in which unit, when it is null.
    pub about: String,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaFunction {
    /// How to call it, as in `duration(ns)`.
    pub name: String,
    /// What it gives.
    pub about: String,
}

/// The longest time a query may ask for, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 60_000;
/// The most rows a query may ask for.
pub const MAX_ROWS: usize = 100_000;
/// Beyond this a browser's numbers are no longer exact.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

impl QueryRequest {
    fn limits(&self) -> Result<QueryLimits, ViewError> {
        let mut limits = QueryLimits::default();
        if let Some(rows) = self.limit {
            if rows == 0 || rows > MAX_ROWS {
                let sentence = format!("`limit` must be from 1 to {MAX_ROWS}, not {rows}");
                return Err(ViewError::Invalid(sentence));
            }
            limits.rows = rows;
        }
        if let Some(time) = self.timeout_ms {
            if time == 0 || time > MAX_TIMEOUT_MS {
                let sentence =
                    format!("`timeout_ms` must be from 1 to {MAX_TIMEOUT_MS}, not {time}");
                return Err(ViewError::Invalid(sentence));
            }
            limits.time = Duration::from_millis(time);
        }
        Ok(limits)
    }
}

/// Answers one statement.
pub async fn query(reader: &Reader, request: &QueryRequest) -> Result<QueryView, ViewError> {
    if request.sql.trim().is_empty() {
        return Err(ViewError::Invalid("`sql` is empty; try: select * from processes".into()));
    }
    match reader.query(&request.sql, request.limits()?).await {
        Ok(result) => Ok(QueryView::from(result)),
        Err(QueryError::Store { source }) => {
            Err(StoreError::Sqlite { attempt: "answer a query", source }.into())
        }
        Err(error) => {
            let at = match &error {
                QueryError::Refused { offset: Some(offset), .. } => {
                    Some(TextPlace::of(&request.sql, *offset))
                }
                _ => None,
            };
            Err(ViewError::Sql { sentence: error.to_string(), at })
        }
    }
}

/// A place in a text that a person wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextPlace {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl TextPlace {
    /// The place of a byte of `text`; its end for one beyond it.
    fn of(text: &str, byte: usize) -> Self {
        let before = &text.as_bytes()[..byte.min(text.len())];
        // Bytes of a character but for its first are not counted.
        let is_begin = |byte: &&u8| !(0x80..0xc0).contains(*byte);
        let lines = before.split(|byte| *byte == b'\n');
        let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        Self { line: lines.count() as u64, column: last.iter().filter(is_begin).count() as u64 + 1 }
    }
}

impl From<QueryResult> for QueryView {
    fn from(result: QueryResult) -> Self {
        let mut kinds = vec![ValueKind::Null; result.columns.len()];
        for row in &result.rows {
            for (kind, value) in kinds.iter_mut().zip(row) {
                *kind = kind.with(ValueKind::of(value));
            }
        }
        let columns = result.columns.into_iter().zip(kinds);
        let row = |row: Vec<loopd_store::Value>| row.into_iter().map(json).collect();
        Self {
            columns: columns.map(|(name, kind)| QueryColumn { name, kind }).collect(),
            rows: result.rows.into_iter().map(row).collect(),
            truncated: result.is_truncated,
            elapsed_ns: u64::try_from(result.elapsed.as_nanos()).unwrap_or(u64::MAX),
            hints: result.hints,
        }
    }
}

fn json(value: loopd_store::Value) -> Value {
    match value {
        loopd_store::Value::Null => Value::Null,
        loopd_store::Value::Integer(n) if n.unsigned_abs() > MAX_SAFE_INTEGER => {
            Value::String(n.to_string())
        }
        loopd_store::Value::Integer(n) => n.into(),
        // JSON has no infinities; text keeps what was there.
        loopd_store::Value::Real(x) if !x.is_finite() => Value::String(x.to_string()),
        loopd_store::Value::Real(x) => x.into(),
        loopd_store::Value::Text(text) => text.into(),
        loopd_store::Value::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::String(format!("x'{hex}'"))
        }
    }
}

/// What can be selected from.
pub fn schema() -> SchemaView {
    let schema = loopd_store::schema();
    SchemaView {
        views: schema.views.iter().map(SchemaTable::from).collect(),
        functions: schema.functions.iter().map(SchemaFunction::from).collect(),
    }
}

impl From<&loopd_store::SchemaView> for SchemaTable {
    fn from(view: &loopd_store::SchemaView) -> Self {
        let column = |column: &loopd_store::SchemaColumn| SchemaColumn {
            name: column.name.into(),
            sql_type: column.kind.into(),
            about: column.about.into(),
        };
        Self {
            name: view.name.into(),
            about: view.about.into(),
            columns: view.columns.iter().map(column).collect(),
        }
    }
}

impl From<&loopd_store::SchemaFunction> for SchemaFunction {
    fn from(function: &loopd_store::SchemaFunction) -> Self {
        Self { name: function.signature.into(), about: function.about.into() }
    }
}

/// The text of one value, as a cell of a table; empty for null.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The answer as comma-separated values.
pub fn csv(view: &QueryView) -> Csv {
    let mut csv = Csv::new(view.columns.iter().map(|column| &column.name));
    for row in &view.rows {
        csv.row(row.iter().map(cell));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_on_its_line() {
        let place = |text, byte| {
            let TextPlace { line, column } = TextPlace::of(text, byte);
            (line, column)
        };
        assert_eq!(place("SELECT x", 7), (1, 8));
        assert_eq!(place("SELECT 'é€',\n  nope", 18), (2, 3));
        assert_eq!(place("SELECT 'é€', nope", 16), (1, 14));
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("a\n", 99), (2, 1));
    }
}
