//! One table as comma-separated values (RFC 4180), row by row.

use std::io::Write;

use loopd_dashboard::csv::push_cell;

use crate::{ExportError, Value};

/// A table that is being written. NULL is an empty cell, bytes are hexadecimal. A text that a
/// spreadsheet would run as a formula begins with an apostrophe, as in every CSV of loopd's.
pub struct CsvTable<W: Write> {
    out: W,
    line: String,
}

impl<W: Write> CsvTable<W> {
    /// Begins a table with the names of its columns.
    pub fn create(out: W, columns: &[impl AsRef<str>]) -> Result<Self, ExportError> {
        let mut table = Self { out, line: String::new() };
        for name in columns {
            table.cell(name.as_ref());
        }
        table.end_line()?;
        Ok(table)
    }

    /// Adds one row.
    pub fn push_row(&mut self, row: &[Value]) -> Result<(), ExportError> {
        for value in row {
            match value {
                Value::Null => self.cell(""),
                Value::Integer(value) => self.cell(&value.to_string()),
                Value::Real(value) => self.cell(&value.to_string()),
                Value::Text(text) => self.cell(text),
                Value::Blob(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    self.cell(&digits);
                }
            }
        }
        self.end_line()
    }

    /// Gives back where it was written to.
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn cell(&mut self, cell: &str) {
        push_cell(&mut self.line, cell);
        self.line.push(',');
    }

    fn end_line(&mut self) -> Result<(), ExportError> {
        // The comma after the last cell.
        self.line.pop();
        self.line.push_str("\r\n");
        self.out.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be_and_formulas_are_none() {
        let mut table = CsvTable::create(Vec::new(), &["a", "b,c"]).unwrap();
        let rows = [
            [Value::Null, Value::Integer(-7)],
            [Value::Text("=1+1".into()), Value::Text("say \"x\"\n".into())],
            [Value::Real(0.5), Value::Blob(vec![0, 255])],
        ];
        rows.iter().for_each(|row| table.push_row(row).unwrap());
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        assert_eq!(text, "a,\"b,c\"\r\n,-7\r\n'=1+1,\"say \"\"x\"\"\n\"\r\n0.5,00ff\r\n");
    }
}
