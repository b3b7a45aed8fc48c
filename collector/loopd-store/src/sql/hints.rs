//! Says before anybody waits what a query is about to read in full, and how to ask for less.
//!
//! SQLite's own plan tells whether a table is searched or read from end to end; the counters of the
//! store tell how much that is. A hint never refuses anything.

use rusqlite::{Connection, Result};

use super::guard::Guard;

/// A view that grows with every poll, task or wait.
struct Large {
    view: &'static str,
    /// The kind of record in the ledger that it grows with.
    kind: &'static str,
    /// The column of time by which it can be narrowed.
    at: &'static str,
    /// The columns that `rollups` has as well, in one form or another.
    rolled_up: &'static [&'static str],
}

const LARGE: [Large; 11] = [
    large("polls", "poll", "start_at", &["process", "start_at", "length", "location"]),
    large("parks", "park", "start_at", &[]),
    large("wakes", "wake", "woken_at", &["process", "woken_at", "delay", "count"]),
    large(
        "tasks",
        "task",
        "spawned_at",
        &["process", "location", "spawned_at", "polls", "busy_time", "wakes", "scheduled_time"],
    ),
    large("waits", "wait", "began_at", &[]),
    large("holds", "wait", "since_at", &[]),
    large("marks", "mark", "at", &[]),
    large("app_spans", "mark", "closed_at", &[]),
    large("metrics", "metric", "at", &[]),
    large("resource_states", "resource", "at", &[]),
    large("samples", "sample", "poll_started_at", &[]),
];

const fn large(
    view: &'static str,
    kind: &'static str,
    at: &'static str,
    rolled_up: &'static [&'static str],
) -> Large {
    Large { view, kind, at, rolled_up }
}

/// Fewer rows are read before anybody notices.
const MANY_ROWS: i64 = 200_000;

/// What narrows a virtual table, of the bits in the number of its plan: process, start (from and to),
/// length and task of `segment_spans`. Of others any bit does.
const SPAN_BOUNDS: i64 = 0b1111_0001;
const SPAN_PROCESS: i64 = 1;

/// Functions that look at every row there is.
const AGGREGATES: [&str; 10] =
    ["count", "sum", "total", "avg", "min", "max", "percentile", "p50", "p90", "p99"];

/// The tables behind each view, under the names that plans call them by.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Name>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    view: String,
    table: String,
    alias: String,
}

impl Names {
    /// Reads them from the views of this database.
    pub(super) fn read(connection: &Connection) -> Result<Self> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'view'";
        let mut statement = connection.prepare(sql)?;
        let views = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut names = Vec::new();
        for view in views {
            let (view, sql): (String, String) = view?;
            names.extend(tables_of(&view, &sql));
        }
        Ok(Self(names))
    }

    fn has_view(&self, view: &str) -> bool {
        self.0.iter().any(|name| name.view == view)
    }

    /// Whether a plan's name may stand for a table of this view. Plans that only count use the
    /// table's own name.
    fn belongs(&self, view: &str, alias: &str) -> bool {
        self.0.iter().any(|name| name.view == view && (name.alias == alias || name.table == alias))
    }
}

/// What stands behind FROM, JOIN and the commas between tables in the text of a view.
fn tables_of(view: &str, sql: &str) -> Vec<Name> {
    let code: String = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join(" ");
    let code = code.replace(',', " , ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = code.split_whitespace().collect();
    let is_name = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    let ends_table = |word: &str| {
        let ends = ["ON", "USING", "WHERE", "JOIN", "LEFT", "INDEXED", "ORDER", "GROUP", "UNION"];
        !is_name(word) || ends.iter().any(|end| word.eq_ignore_ascii_case(end))
    };
    let mut names = Vec::new();
    let mut is_from_list = false;
    for (i, word) in words.iter().enumerate() {
        let is_from = ["FROM", "JOIN"].iter().any(|from| word.eq_ignore_ascii_case(from));
        is_from_list = is_from || (is_from_list && !word.eq_ignore_ascii_case("WHERE"));
        let Some(&table) = words.get(i + 1).filter(|word| is_name(word)) else { continue };
        let is_before_table = is_from || (is_from_list && *word == ",");
        if !is_before_table {
            continue;
        }
        let after = words.get(i + 2).filter(|word| !word.eq_ignore_ascii_case("AS"));
        let after = after.or(words.get(i + 3)).filter(|word| !ends_table(word));
        names.push(Name {
            view: view.to_owned(),
            table: table.to_owned(),
            alias: (*after.unwrap_or(&table)).to_owned(),
        });
    }
    names
}

/// What is known of a query before it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Forecast {
    /// The large views that it reads from end to end.
    scans: Vec<&'static str>,
    /// The view whose answer `rollups` has too.
    rolled_up: Option<&'static str>,
    counts: Counts,
}

/// How much there is.
#[derive(Clone, Debug, Default)]
struct Counts {
    stored: Vec<(String, i64)>,
    newest_process: i64,
}

impl Forecast {
    /// Has SQLite plan the query. Nothing is known of one that cannot be planned.
    pub(super) fn of(connection: &Connection, guard: &Guard, names: &Names, sql: &str) -> Self {
        let Ok(plan) = plan(connection, sql) else { return Self::default() };
        let words = words(sql);
        let mut forecast = Self {
            scans: scans(&plan, names, &words),
            rolled_up: rolled_up(names, &words),
            counts: Counts::default(),
        };
        if !forecast.scans.is_empty() {
            forecast.counts = guard.inside(|| counts(connection)).unwrap_or_default();
        }
        forecast
    }

    /// What to tell of a query that was answered.
    pub(super) fn hints(&self) -> Vec<String> {
        self.texts(MANY_ROWS)
    }

    /// What to tell of a query that took too long.
    pub(super) fn hints_when_late(&self) -> Vec<String> {
        self.texts(0)
    }

    fn texts(&self, many: i64) -> Vec<String> {
        let large = LARGE.iter().filter(|large| self.scans.contains(&large.view));
        let large = large.filter(|large| self.counts.of(large.kind) >= many);
        let mut texts: Vec<String> = large.map(|large| self.scan_text(large)).collect();
        if let Some(view) = self.rolled_up
            && (!texts.is_empty() || many == 0)
        {
            texts.push(format!(
                "rollups has counts, sums and percentiles of {view} by location and minute, and is \
                 read at once: select location, sum(polls), sum(busy_time) from rollups group by 1"
            ));
        }
        texts
    }

    fn scan_text(&self, large: &Large) -> String {
        let Large { view, at, .. } = large;
        let rows = match self.counts.of(large.kind) {
            0 => String::new(),
            rows => format!(" (up to {} were stored)", rounded(rows)),
        };
        let process = self.counts.newest_process.max(1);
        format!(
            "all {view} are read{rows}; narrow it by process and time, as in: where {view}.process = \
             {process} and {view}.{at} > unix('-1h')"
        )
    }
}

impl Counts {
    fn of(&self, kind: &str) -> i64 {
        self.stored.iter().find(|(of, _)| of == kind).map_or(0, |&(_, count)| count)
    }
}

/// 12.3 million.
fn rounded(rows: i64) -> String {
    match rows {
        1_000_000_000.. => format!("{:.1} billion", rows as f64 / 1e9),
        1_000_000.. => format!("{:.1} million", rows as f64 / 1e6),
        1_000.. => format!("{} thousand", rows / 1_000),
        _ => rows.to_string(),
    }
}

/// The steps of a plan, and whether every row is looked at before the first is given.
struct Plan {
    steps: Vec<String>,
    is_streaming: bool,
}

fn plan(connection: &Connection, sql: &str) -> Result<Plan> {
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
    Ok(Plan { steps, is_streaming })
}

/// The large views that a plan reads from end to end.
fn scans(plan: &Plan, names: &Names, words: &[String]) -> Vec<&'static str> {
    let is_named = |name: &str| words.iter().any(|word| word == name);
    // Rows that nobody sorts, counts or chooses from end with the limit.
    if plan.is_streaming && !is_named("where") {
        return Vec::new();
    }
    let reads_every_process = plan.steps.iter().any(|step| {
        let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
        scanned.is_some_and(|alias| {
            names
                .0
                .iter()
                .any(|name| name.table == "process" && name.alias == alias && is_named(&name.view))
        })
    });
    let whole: Vec<(&str, bool)> =
        plan.steps.iter().filter_map(|step| whole(step, reads_every_process)).collect();
    let is_scanned = |view: &str| {
        whole.iter().any(|&(alias, is_virtual)| {
            let spans = ["polls", "parks", "wakes"].contains(&view);
            names.belongs(view, alias) && (!spans || is_virtual)
        })
    };
    let large = LARGE.iter().map(|large| large.view);
    large.filter(|view| is_named(view) && is_scanned(view)).collect()
}

/// The table that a step reads from end to end, as the plan calls it, and whether it is virtual.
fn whole(step: &str, reads_every_process: bool) -> Option<(&str, bool)> {
    let (verb, rest) = step.split_once(' ')?;
    let (alias, how) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some((_, index)) = how.split_once("VIRTUAL TABLE INDEX ") {
        let (number, text) = index.split_once(':')?;
        let bits: i64 = number.parse().ok()?;
        let bounds = if reads_every_process { SPAN_BOUNDS & !SPAN_PROCESS } else { SPAN_BOUNDS };
        let text = text.trim_end_matches("LEFT-JOIN").trim();
        return (bits & bounds == 0 && text.is_empty()).then_some((alias, true));
    }
    let is_whole = match verb {
        "SCAN" => true,
        // An index made for this query alone: the table is read to make it.
        "SEARCH" if how.contains("AUTOMATIC") => true,
        "SEARCH" => reads_every_process && how.ends_with("(process=?)"),
        _ => false,
    };
    is_whole.then_some((alias, false))
}

/// The view whose answer `rollups` has as well: the query only counts, sums and ranks what is rolled
/// up.
fn rolled_up(names: &Names, words: &[String]) -> Option<&'static str> {
    let is_named = |name: &str| words.iter().any(|word| word == name);
    if !names.has_view("rollups") || is_named("rollups") || !AGGREGATES.iter().any(|f| is_named(f))
    {
        return None;
    }
    let views = crate::schema::schema().views;
    let named: Vec<_> = views.iter().filter(|view| is_named(view.name)).collect();
    // `polls` is a view and a column of `tasks`.
    let large = LARGE.iter().find(|large| {
        let others = named.iter().filter(|view| view.name != large.view);
        let is_column = |view: &str| large.rolled_up.contains(&view);
        is_named(large.view) && others.clone().all(|view| is_column(view.name))
    })?;
    let columns = views.iter().find(|view| view.name == large.view)?.columns;
    let is_rolled_up = |name: &str| large.rolled_up.contains(&name);
    let only_those = columns
        .iter()
        .filter(|column| is_named(column.name))
        .all(|column| is_rolled_up(column.name));
    (only_those && !large.rolled_up.is_empty()).then_some(large.view)
}

fn counts(connection: &Connection) -> Result<Counts> {
    let sql = "SELECT kind, sum(stored) FROM ledger WHERE kind IS NOT NULL AND kind <> 'task'
        GROUP BY kind UNION ALL SELECT 'task', sum(tasks_spawned) FROM processes";
    let mut statement = connection.prepare(sql)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or(0))))?;
    let stored = rows.collect::<Result<_>>()?;
    let sql = "SELECT ifnull(max(process), 1) FROM processes";
    Ok(Counts { stored, newest_process: connection.query_row(sql, [], |row| row.get(0))? })
}

/// The words of a query in lower case, without what stands in quotes or comments.
fn words(sql: &str) -> Vec<String> {
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
    use super::*;

    #[test]
    fn tables_are_found_under_the_names_that_plans_use() {
        let sql = "CREATE VIEW v AS SELECT a, (SELECT max(b) FROM inner i WHERE x = y) -- FROM no
            FROM task t JOIN process AS p ON p.id = t.process, json_each(t.x) f
            LEFT JOIN name n ON n.a = f.b, last WHERE a = 1";
        let names = tables_of("v", sql);
        let found: Vec<_> =
            names.iter().map(|name| format!("{} {}", name.table, name.alias)).collect();
        assert_eq!(
            found,
            ["inner i", "task t", "process p", "json_each json_each", "name n", "last last"]
        );
    }

    #[test]
    fn words_in_quotes_and_comments_do_not_count() {
        let words = words("SELECT a -- where\n FROM t /* x\n y */ WHERE b = 'or ''c' - 1");
        assert_eq!(words, ["select", "a", "from", "t", "where", "b", "1"]);
        assert_eq!(super::words("a - 'open").join(" "), "a");
    }

    #[test]
    fn amounts_are_rounded() {
        let texts = [7, 250_000, 12_345_678, 3_200_000_000].map(rounded);
        assert_eq!(texts, ["7", "250 thousand", "12.3 million", "3.2 billion"]);
    }
}
