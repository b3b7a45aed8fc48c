//! Tables as comma-separated values (RFC 4180), safe to open in a spreadsheet.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

/// Lines of cells, the first of them the columns' names.
pub struct Csv {
    text: String,
}

impl Csv {
    /// A table with these columns and no rows.
    pub fn new<C: AsRef<str>>(columns: impl IntoIterator<Item = C>) -> Self {
        let mut csv = Self { text: String::new() };
        csv.row(columns);
        csv
    }

    /// Adds a line.
    pub fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        for (i, cell) in cells.into_iter().enumerate() {
            if i > 0 {
                self.text.push(',');
            }
            push_cell(&mut self.text, cell.as_ref());
        }
        self.text.push_str("\r\n");
    }

    /// The whole table.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// The text of a value that may be absent, which is an empty cell.
pub(crate) fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Spreadsheets run cells that begin with one of these as formulas. A number is left alone.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err()
}

/// Adds a cell to a line, quoted and made harmless as it has to be.
pub fn push_cell(out: &mut String, cell: &str) {
    let prefix = if is_formula(cell) { "'" } else { "" };
    if cell.contains([',', '"', '\n', '\r']) {
        out.push('"');
        out.push_str(prefix);
        out.push_str(&cell.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(prefix);
        out.push_str(cell);
    }
}

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, "text/csv; charset=utf-8"),
            (CONTENT_DISPOSITION, "attachment; filename=\"loopd.csv\""),
        ];
        (headers, self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_numbers_stay_numbers() {
        let mut csv = Csv::new(["name", "n"]);
        csv.row(["=HYPERLINK(\"http://x\")", "-5"]);
        csv.row(["@cmd", "+1.5"]);
        csv.row(["a,b", "two\nlines"]);
        assert_eq!(
            csv.into_text(),
            "name,n\r\n\"'=HYPERLINK(\"\"http://x\"\")\",-5\r\n'@cmd,+1.5\r\n\
             \"a,b\",\"two\nlines\"\r\n"
        );
    }
}
