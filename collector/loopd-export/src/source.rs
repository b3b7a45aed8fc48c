//! Reads what was selected, table by table, and counts it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use loopd_store::{ProcessKey, Reader, RowStream, SchemaView, StoreError, Value, schema};

use crate::Selection;
use crate::range::When;

/// Polls, parks and wakes are read in steps of this length, so that no statement runs for long: the
/// log of a store that is written to cannot be cut before the statement ends.
const STEP: i64 = 10_000_000_000;
/// A range is cut into no more steps than this.
const MAX_STEPS: i64 = 10_000;

/// Where rows come from.
pub struct Source {
    rows: RowStream,
    selection: Selection,
    counts: RefCell<Counts>,
}

/// How many rows were written, by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tables by name; those without rows are not listed.
    pub rows: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// The rows of one table.
    pub fn of(&self, table: &str) -> u64 {
        self.rows.get(table).copied().unwrap_or(0)
    }
}

impl Source {
    /// Reads what was selected of a store. Reading blocks: use it on a thread that may.
    pub fn new(reader: &Reader, selection: Selection) -> Result<Self, StoreError> {
        Ok(Self { rows: reader.row_stream()?, selection, counts: RefCell::default() })
    }

    /// What has been handed out so far.
    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// What was selected.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Hands every selected row of a view to `each`: these columns of it, all processes one after
    /// the other. Polls, parks and wakes come in order of time.
    pub(crate) fn each<E: From<StoreError>>(
        &self,
        view: &'static str,
        columns: &str,
        mut each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        for process in self.selection.processes.clone() {
            self.each_of(process, view, columns, &mut each)?;
        }
        Ok(())
    }

    /// The same, of one process.
    pub(crate) fn each_of<E: From<StoreError>>(
        &self,
        process: ProcessKey,
        view: &'static str,
        columns: &str,
        each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_by(process, view, columns, "", each)
    }

    /// The same, in this order, which packed views have already.
    pub(crate) fn each_by<E: From<StoreError>>(
        &self,
        process: ProcessKey,
        view: &'static str,
        columns: &str,
        order: &str,
        mut each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        let when = when(view);
        let condition = Selection::condition(when);
        let bounds = self.selection.bounds();
        let (order, steps) = match when {
            When::At(at) if is_packed(view) => (format!(" ORDER BY {at}"), self.steps(process)?),
            _ if order.is_empty() => (String::new(), vec![bounds]),
            _ => (format!(" ORDER BY {order}"), vec![bounds]),
        };
        let sql = format!("SELECT {columns} FROM {view} WHERE {condition}{order}");
        let mut rows = 0;
        for step in steps {
            self.rows.each(&sql, &Selection::binds(process, when, step), |row| {
                rows += 1;
                each(row)
            })?;
        }
        self.count(view, rows);
        Ok(())
    }

    /// Like [`Self::each`], but what is read does not count as written.
    pub(crate) fn peek<E: From<StoreError>>(
        &self,
        view: &'static str,
        columns: &str,
        each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        let counts = self.counts();
        let done = self.each(view, columns, each);
        self.counts.replace(counts);
        done
    }

    /// Hands every row of a statement to `each`; counted by nobody.
    pub(crate) fn rows<E: From<StoreError>>(
        &self,
        sql: &str,
        binds: &[Value],
        each: impl FnMut(&[Value]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rows.each(sql, binds, each)
    }

    /// Adds to what was written of a view.
    pub(crate) fn count(&self, view: &'static str, rows: u64) {
        if rows > 0 {
            *self.counts.borrow_mut().rows.entry(view).or_default() += rows;
        }
    }

    /// The range cut into steps, within what is known of the process.
    pub(crate) fn steps(&self, process: ProcessKey) -> Result<Vec<(i64, i64)>, StoreError> {
        let (from, to) = self.selection.bounds();
        let mut life = (0, 0);
        let sql = "SELECT started_at, last_at FROM processes WHERE process = ?1";
        self.rows.each(sql, &[Value::Integer(process.0)], |row| {
            life = (integer(&row[0]), integer(&row[1]));
            Ok::<_, StoreError>(())
        })?;
        // A poll that runs longer than is known of its process is in the last step.
        let (first, last) = (from.max(life.0), to.min(life.1.saturating_add(1)));
        let length = (last.saturating_sub(first) / MAX_STEPS).max(STEP);
        let mut steps = Vec::new();
        let mut at = first;
        while at < last {
            let next = at.saturating_add(length).min(last);
            steps.push((at, next));
            at = next;
        }
        // What is said to be before or after that, which only an agent's mistake would make.
        steps.insert(0, (from, first.min(to)));
        steps.push((last.max(from), to));
        steps.retain(|(from, to)| from < to);
        Ok(steps)
    }
}

/// The views that are written: all but the store's own bookkeeping.
pub(crate) fn views() -> impl Iterator<Item = &'static SchemaView> {
    schema().views.iter().filter(|view| view.name != "tiles")
}

/// Whether its rows are unpacked from segments while it is read.
fn is_packed(view: &str) -> bool {
    matches!(view, "polls" | "parks" | "wakes")
}

fn when(view: &str) -> When {
    match view {
        "polls" | "parks" | "slow" | "rollups" | "hourly_rollups" => When::At("start_at"),
        "wakes" => When::At("woken_at"),
        "samples" | "resource_states" | "marks" | "metrics" => When::At("at"),
        "tasks" => When::Lasts("spawned_at", "ended_at"),
        "resources" => When::Lasts("opened_at", "closed_at"),
        "waits" => When::Lasts("began_at", "ended_at"),
        "holds" => When::Lasts("since_at", "ended_at"),
        "app_spans" => When::Lasts("opened_at", "closed_at"),
        "losses" => When::Lasts("from_at", "to_at"),
        _ => When::Ever,
    }
}

/// An integer, or 0.
pub(crate) fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(value) => *value,
        _ => 0,
    }
}

/// A text, or an empty one.
pub(crate) fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}
