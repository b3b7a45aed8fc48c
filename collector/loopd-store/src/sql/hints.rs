//! Says before anybody waits what a query is about to read in full, and how to ask for less.
//!
//! SQLite's own plan tells whether a table is searched or read from end to end; the counters of the
//! store tell how much that is. A hint never refuses anything.

mod names;
mod plan;

use rusqlite::{Connection, Result};

pub(super) use self::names::Names;
use self::plan::{Plan, words};
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

/// Functions that look at every row there is.
const AGGREGATES: [&str; 10] =
    ["count", "sum", "total", "avg", "min", "max", "percentile", "p50", "p90", "p99"];

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
        let Ok(plan) = Plan::of(connection, sql) else { return Self::default() };
        let words = words(sql);
        let mut forecast = Self {
            scans: plan.scans(names, &words),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded() {
        let texts = [7, 250_000, 12_345_678, 3_200_000_000].map(rounded);
        assert_eq!(texts, ["7", "250 thousand", "12.3 million", "3.2 billion"]);
    }
}
