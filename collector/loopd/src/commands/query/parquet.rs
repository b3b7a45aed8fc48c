//! The answer to a query as a Parquet file: SQLite's types of values become types of columns.

use loopd_dashboard::views::query::{QueryColumn, QueryView, ValueKind, cell};
use loopd_export::{ColumnType, ParquetTable, Value};

/// The file, and the names of the columns that hold text because their values differ in type.
pub(super) fn encode(view: &QueryView) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let columns: Vec<_> =
        view.columns.iter().map(|column| (column.name.clone(), column_type(column))).collect();
    let mut table = ParquetTable::create(Vec::new(), &columns)?;
    for row in &view.rows {
        let values = row.iter().zip(&columns).map(|(value, (_, kind))| typed(value, *kind));
        table.push_row(&values.collect::<Vec<_>>())?;
    }
    let mixed = view.columns.iter().filter(|column| column.kind == ValueKind::Mixed);
    let mixed = mixed.map(|column| column.name.clone()).collect();
    Ok((table.finish()?, mixed))
}

fn column_type(column: &QueryColumn) -> ColumnType {
    let is_instant = column.name == "at" || column.name.ends_with("_at");
    match column.kind {
        ValueKind::Integer if is_instant => ColumnType::Instant,
        ValueKind::Integer => ColumnType::Integer,
        ValueKind::Real => ColumnType::Real,
        ValueKind::Blob => ColumnType::Blob,
        ValueKind::Text | ValueKind::Mixed | ValueKind::Null => ColumnType::Text,
    }
}

/// A value of an answer as what its column holds. Large integers, infinities and bytes come as text.
fn typed(value: &serde_json::Value, kind: ColumnType) -> Value {
    let text = match value {
        serde_json::Value::Null => return Value::Null,
        value => cell(value),
    };
    let typed = match kind {
        ColumnType::Integer | ColumnType::Instant => text.parse().ok().map(Value::Integer),
        ColumnType::Real => text.parse().ok().map(Value::Real),
        ColumnType::Blob => bytes(&text).map(Value::Blob),
        _ => None,
    };
    typed.unwrap_or(Value::Text(text))
}

/// The bytes of `x'00ff'`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("x'")?.strip_suffix('\'')?;
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_get_the_types_of_their_columns_back() {
        for (value, kind, expected) in [
            (json!(null), ColumnType::Integer, Value::Null),
            (json!(7), ColumnType::Integer, Value::Integer(7)),
            (json!("9007199254740993"), ColumnType::Instant, Value::Integer(9_007_199_254_740_993)),
            (json!("9007199254740993"), ColumnType::Text, Value::Text("9007199254740993".into())),
            (json!(7), ColumnType::Real, Value::Real(7.0)),
            (json!(0.25), ColumnType::Real, Value::Real(0.25)),
            (json!("inf"), ColumnType::Real, Value::Real(f64::INFINITY)),
            (json!("x'00ff'"), ColumnType::Blob, Value::Blob(vec![0, 255])),
            (json!(7), ColumnType::Text, Value::Text("7".into())),
        ] {
            assert_eq!(typed(&value, kind), expected, "{value}");
        }
    }

    #[test]
    fn whole_numbers_are_instants_by_their_name_alone() {
        let kind = |name: &str, kind| column_type(&QueryColumn { name: name.into(), kind });
        assert_eq!(kind("start_at", ValueKind::Integer), ColumnType::Instant);
        assert_eq!(kind("at", ValueKind::Integer), ColumnType::Instant);
        assert_eq!(kind("format", ValueKind::Integer), ColumnType::Integer);
        assert_eq!(kind("start_at", ValueKind::Text), ColumnType::Text);
        assert_eq!(kind("x", ValueKind::Mixed), ColumnType::Text);
    }
}
