//! One table as a Parquet file, row by row.
//!
//! Rows are gathered into row groups of bounded length and size, so that a table of any length is
//! written in the same memory. Every column may be NULL.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{
    Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::{Type, TypePtr};

use crate::{ExportError, Value};

/// What a column holds. Every column may also hold NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers, lengths and ids: signed, 64 bits.
    Integer,
    /// An instant, given as unix nanoseconds.
    Instant,
    /// True or false, given as the integers 1 and 0.
    Boolean,
    /// A floating-point number. An integer is taken, too.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Blob,
}

impl ColumnType {
    /// What the type is called in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Instant => "an instant",
            Self::Boolean => "a boolean",
            Self::Real => "a number",
            Self::Text => "text",
            Self::Blob => "bytes",
        }
    }
}

/// A row group has at most so many rows, ...
const GROUP_ROWS: usize = 1 << 20;
/// ... and about so many bytes in memory: a row group is held until it is written.
const GROUP_BYTES: usize = 64 << 20;

/// A Parquet file that is being written.
pub struct ParquetTable<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    /// Rows in the row group so far.
    group_rows: usize,
    /// What the row group takes in memory so far, in bytes.
    group_bytes: usize,
    rows: u64,
}

impl<W: Write + Send> ParquetTable<W> {
    /// Begins a file with these columns, by name and type. A name that is there already gets a
    /// number, because readers tell columns apart by name.
    pub fn create(out: W, columns: &[(String, ColumnType)]) -> Result<Self, ExportError> {
        let columns: Vec<_> = unique(columns).into_iter().map(Column::new).collect();
        let schema = schema(&columns).map_err(ExportError::Parquet)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("loopd ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))
            .map_err(ExportError::Parquet)?;
        Ok(Self { file, columns, group_rows: 0, group_bytes: 0, rows: 0 })
    }

    /// Adds one row: a value for each column, in their order.
    pub fn push_row(&mut self, row: &[Value]) -> Result<(), ExportError> {
        let at = self.rows;
        if row.len() != self.columns.len() {
            let (expected, found) = (self.columns.len(), row.len());
            return Err(ExportError::Width { row: at, expected, found });
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            let bytes = column.push(value).map_err(|found| ExportError::Mismatch {
                column: column.name.clone(),
                row: at,
                expected: column.kind.name(),
                found,
            })?;
            self.group_bytes += bytes;
        }
        self.rows += 1;
        self.group_rows += 1;
        if self.group_rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    /// Leaves a remark for readers in the file's metadata.
    pub fn note(&mut self, key: &str, value: String) {
        self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    /// How many rows there are so far.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what is left, and the footer without which no reader opens the file. Gives back
    /// where it was written to.
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.end_group()?;
        self.file.into_inner().map_err(ExportError::Parquet)
    }

    fn end_group(&mut self) -> Result<(), ExportError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut written = || {
            let mut group = self.file.next_row_group()?;
            for column in &mut self.columns {
                column.write(&mut group)?;
            }
            group.close().map(drop)
        };
        written().map_err(ExportError::Parquet)?;
        (self.group_rows, self.group_bytes) = (0, 0);
        Ok(())
    }
}

/// One column of the row group that is being gathered.
struct Column {
    name: String,
    kind: ColumnType,
    /// 1 for a value, 0 for NULL: what Parquet calls definition levels.
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Integer(Vec<i64>),
    Boolean(Vec<bool>),
    Real(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

impl Column {
    fn new((name, kind): (String, ColumnType)) -> Self {
        let values = match kind {
            ColumnType::Integer | ColumnType::Instant => Values::Integer(Vec::new()),
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Real => Values::Real(Vec::new()),
            ColumnType::Text | ColumnType::Blob => Values::Bytes(Vec::new()),
        };
        Self { name, kind, levels: Vec::new(), values }
    }

    /// Returns how many bytes it takes in memory, or, as an error, what the value is.
    fn push(&mut self, value: &Value) -> Result<usize, &'static str> {
        let level = size_of::<i16>();
        let bytes = match (&mut self.values, value) {
            (_, Value::Null) => {
                self.levels.push(0);
                return Ok(level);
            }
            (Values::Integer(values), Value::Integer(value)) => {
                values.push(*value);
                size_of::<i64>()
            }
            (Values::Boolean(values), Value::Integer(value @ 0..=1)) => {
                values.push(*value == 1);
                size_of::<bool>()
            }
            (Values::Real(values), Value::Real(value)) => {
                values.push(*value);
                size_of::<f64>()
            }
            (Values::Real(values), Value::Integer(value)) => {
                values.push(*value as f64);
                size_of::<f64>()
            }
            (Values::Bytes(values), Value::Text(text)) if self.kind == ColumnType::Text => {
                values.push(ByteArray::from(text.as_str()));
                size_of::<ByteArray>() + text.len()
            }
            (Values::Bytes(values), Value::Blob(bytes)) if self.kind == ColumnType::Blob => {
                values.push(ByteArray::from(bytes.clone()));
                size_of::<ByteArray>() + bytes.len()
            }
            (_, value) => return Err(name_of(value)),
        };
        self.levels.push(1);
        Ok(level + bytes)
    }

    /// Moves what was gathered into the file.
    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Integer(values) => write::<Int64Type, W>(group, values, &self.levels)?,
            Values::Boolean(values) => write::<BoolType, W>(group, values, &self.levels)?,
            Values::Real(values) => write::<DoubleType, W>(group, values, &self.levels)?,
            Values::Bytes(values) => write::<ByteArrayType, W>(group, values, &self.levels)?,
        }
        self.levels.clear();
        Ok(())
    }
}

fn write<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the file has fewer columns than the table".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, Some(levels), None)?;
    values.clear();
    column.close()
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let fields = columns.iter().map(|column| {
        let (physical, logical) = match column.kind {
            ColumnType::Integer => (Physical::INT64, None),
            ColumnType::Instant => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS)))
            }
            ColumnType::Boolean => (Physical::BOOLEAN, None),
            ColumnType::Real => (Physical::DOUBLE, None),
            ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnType::Blob => (Physical::BYTE_ARRAY, None),
        };
        Type::primitive_type_builder(&column.name, physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL)
            .build()
            .map(Arc::new)
    });
    let fields = fields.collect::<Result<_, _>>()?;
    Type::group_type_builder("loopd").with_fields(fields).build().map(Arc::new)
}

/// The columns with names that all differ.
fn unique(columns: &[(String, ColumnType)]) -> Vec<(String, ColumnType)> {
    let mut named: Vec<(String, ColumnType)> = Vec::with_capacity(columns.len());
    for (name, kind) in columns {
        let mut unique = name.clone();
        let mut n = 1;
        while named.iter().any(|(name, _)| *name == unique) {
            n += 1;
            unique = format!("{name}_{n}");
        }
        named.push((unique, *kind));
    }
    named
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a number",
        Value::Text(_) => "text",
        Value::Blob(_) => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use bytes::Bytes;

    use super::*;

    fn table(columns: &[(&str, ColumnType)]) -> ParquetTable<Vec<u8>> {
        let columns: Vec<_> = columns.iter().map(|(name, kind)| ((*name).into(), *kind)).collect();
        ParquetTable::create(Vec::new(), &columns).unwrap()
    }

    fn read(bytes: Vec<u8>) -> SerializedFileReader<Bytes> {
        SerializedFileReader::new(Bytes::from(bytes)).unwrap()
    }

    #[test]
    fn every_type_is_read_back_as_it_was_written() {
        let mut table = table(&[
            ("a", ColumnType::Integer),
            ("at", ColumnType::Instant),
            ("is", ColumnType::Boolean),
            ("x", ColumnType::Real),
            ("text", ColumnType::Text),
            ("blob", ColumnType::Blob),
        ]);
        let full = [
            Value::Integer(-7),
            Value::Integer(1_795_356_000_000_000_042),
            Value::Integer(1),
            Value::Integer(2),
            Value::Text("äöü".into()),
            Value::Blob(vec![0, 255]),
        ];
        table.push_row(&full).unwrap();
        table.push_row(&[const { Value::Null }; 6]).unwrap();
        table.note("losses", "none".into());
        let file = read(table.finish().unwrap());

        let rows: Vec<Vec<Field>> = file
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect())
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0][0], Field::Long(-7));
        assert!(format!("{:?}", rows[0][1]).contains("1795356000000000042"), "{:?}", rows[0][1]);
        assert_eq!(rows[0][2..4], [Field::Bool(true), Field::Double(2.0)]);
        assert_eq!(rows[0][4], Field::Str("äöü".into()));
        assert_eq!(rows[0][5], Field::Bytes(vec![0, 255].into()));
        assert!(rows[1].iter().all(|field| *field == Field::Null), "{:?}", rows[1]);
        let notes = file.metadata().file_metadata().key_value_metadata().unwrap();
        assert_eq!((&*notes[0].key, notes[0].value.as_deref()), ("losses", Some("none")));
    }

    #[test]
    fn a_long_table_is_cut_into_row_groups() {
        let mut table = table(&[("n", ColumnType::Integer)]);
        let rows = GROUP_ROWS as i64 + 5;
        for n in 0..rows {
            table.push_row(&[Value::Integer(n)]).unwrap();
        }
        assert_eq!(table.rows(), rows as u64);
        let file = read(table.finish().unwrap());
        let groups: Vec<_> =
            file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [GROUP_ROWS as i64, 5]);
    }

    #[test]
    fn a_row_group_of_long_texts_has_fewer_rows() {
        let mut table = table(&[("text", ColumnType::Text)]);
        let text = Value::Text("x".repeat(GROUP_BYTES / 4));
        (0..9).for_each(|_| table.push_row(std::slice::from_ref(&text)).unwrap());
        let file = read(table.finish().unwrap());
        assert_eq!(file.metadata().num_row_groups(), 3);
    }

    #[test]
    fn columns_of_one_name_are_told_apart_and_no_rows_are_a_file() {
        let columns = [("n", ColumnType::Integer), ("n", ColumnType::Text)];
        let file = read(table(&columns).finish().unwrap());
        let schema = file.metadata().file_metadata().schema_descr();
        let names: Vec<_> = schema.columns().iter().map(|column| column.name()).collect();
        assert_eq!(names, ["n", "n_2"]);
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let mut table = table(&[("n", ColumnType::Integer)]);
        let error = table.push_row(&[Value::Text("7".into())]).unwrap_err();
        assert_eq!(error.to_string(), "row 0 has text in the column n, which is an integer");
        let error = table.push_row(&[]).unwrap_err();
        assert_eq!(error.to_string(), "row 0 has 0 values for 1 columns");
    }
}
