//! What SQLite's plan of a query reads from end to end.

use rusqlite::{Connection, Result};

use super::LARGE;
use super::names::Names;

/// Polls, parks and wakes.
const SPANS: &str = "segment_spans";
/// Of the bits in the number of its plan those that narrow [`SPANS`]: process, start (from and to),
/// length and task. Of other virtual tables any bit does.
const SPAN_BOUNDS: i64 = 0b1111_0001;
/// The bit of the process, in all of them.
const PROCESS: i64 = 1;

/// The steps of a plan, and whether every row is looked at before the first is given.
pub(super) struct Plan {
    steps: Vec<String>,
    is_streaming: bool,
}

impl Plan {
    /// Has SQLite plan a query.
    pub(super) fn of(connection: &Connection, sql: &str) -> Result<Self> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let steps = statement.query_map([], |row| row.get(3))?.collect::<Result<Vec<String>>>()?;
        let mut statement = connection.prepare(&format!("EXPLAIN {sql}"))?;
        let mut operations = statement.query([])?;
        let mut is_streaming = !steps.iter().any(|step| step.starts_with("USE TEMP B-TREE"));
        while let Some(operation) = operations.next()? {
            let name = operation.get_ref(1)?;
            let counts = |name: &str| name.starts_with("Agg") || name == "Count";
            is_streaming &= !name.as_str().is_ok_and(counts);
        }
        Ok(Self { steps, is_streaming })
    }

    /// The large views that it reads from end to end.
    pub(super) fn scans(&self, names: &Names, words: &[String]) -> Vec<&'static str> {
        let is_named = |name: &str| words.iter().any(|word| word == name);
        // Rows that nobody sorts, counts or chooses from end with the limit.
        if self.is_streaming && !is_named("where") {
            return Vec::new();
        }
        let steps: Vec<Step<'_>> = self.steps.iter().filter_map(|step| Step::read(step)).collect();
        let scans_process = |step: &Step<'_>| {
            step.verb == "SCAN"
                && names.0.iter().any(|name| {
                    name.table == "process" && name.is_called(step.alias) && is_named(&name.view)
                })
        };
        let reads_every_process = steps.iter().any(scans_process);
        let is_scanned = |view: &str| {
            let mut tables = names.0.iter().filter(|name| name.view == view);
            tables.any(|name| {
                let mut of_table = steps.iter().filter(|step| name.is_called(step.alias));
                of_table.any(|step| step.is_whole(&name.table, reads_every_process))
            })
        };
        let large = LARGE.iter().map(|large| large.view);
        large.filter(|view| is_named(view) && is_scanned(view)).collect()
    }
}

/// One table in a plan.
struct Step<'a> {
    /// `SCAN` or `SEARCH`.
    verb: &'a str,
    /// What the plan calls the table.
    alias: &'a str,
    /// The index, or how a virtual table is asked.
    how: &'a str,
}

impl<'a> Step<'a> {
    fn read(step: &'a str) -> Option<Self> {
        let (verb, rest) = step.split_once(' ')?;
        let (alias, how) = rest.split_once(' ').unwrap_or((rest, ""));
        ["SCAN", "SEARCH"].contains(&verb).then_some(Self { verb, alias, how })
    }

    /// Whether it reads `table` from end to end.
    fn is_whole(&self, table: &str, reads_every_process: bool) -> bool {
        if let Some((_, index)) = self.how.split_once("VIRTUAL TABLE INDEX ") {
            return is_unbounded(index, table, reads_every_process);
        }
        match self.verb {
            // What is virtual is not told apart by its name alone: two views may use one alias.
            _ if table == SPANS => false,
            "SCAN" => true,
            // An index made for this query alone: the table is read to make it.
            _ if self.how.contains("AUTOMATIC") => true,
            _ => reads_every_process && self.how.ends_with("(process=?)"),
        }
    }
}

/// Whether the plan of a virtual table, a number and whatever its table notes behind it, narrows
/// nothing.
fn is_unbounded(index: &str, table: &str, reads_every_process: bool) -> bool {
    let mut bounds = if table == SPANS { SPAN_BOUNDS } else { !0 };
    if reads_every_process {
        bounds &= !PROCESS;
    }
    let number = index.split(':').next().and_then(|number| number.parse::<i64>().ok());
    number.is_some_and(|bits| bits & bounds == 0)
}

/// The words of a query in lower case, without what stands in quotes or comments.
pub(super) fn words(sql: &str) -> Vec<String> {
    let mut code = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '-', '/']) {
        let (before, from) = rest.split_at(at);
        code.push_str(before);
        code.push(' ');
        let skipped = match from.as_bytes() {
            [b'\'', ..] => from[1..].find('\'').map(|end| end + 2),
            [b'-', b'-', ..] => from.find('\n'),
            [b'/', b'*', ..] => from.find("*/").map(|end| end + 2),
            _ => Some(1),
        };
        rest = &from[skipped.unwrap_or(from.len())..];
    }
    code.push_str(rest);
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_in_quotes_and_comments_do_not_count() {
        let found = super::words("SELECT a -- where\n FROM t /* x\n y */ WHERE b = 'or ''c' - 1");
        assert_eq!(found, ["select", "a", "from", "t", "where", "b", "1"]);
        assert_eq!(super::words("a - 'open").join(" "), "a");
    }
}
