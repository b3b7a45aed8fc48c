//! What each view shows: its columns, the cells of its rows, and what they are sorted by.

use std::cmp::Ordering;

use loopd_dashboard::views::findings::{Finding, Level};
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_dashboard::views::waits::Wait;
use loopd_store::TaskSort;

use super::ask::{Of, Page, View};
use super::grid::{Cell, Column, Kind, Tone};
use super::lines::{ResourceLine, TaskLine};
use crate::commands::render::clean;

const fn text(title: &'static str, rank: u8) -> Column {
    Column { title, kind: Kind::Text, rank }
}

const fn number(title: &'static str, rank: u8) -> Column {
    Column { title, kind: Kind::Number, rank }
}

const fn place(title: &'static str, rank: u8) -> Column {
    Column { title, kind: Kind::Place, rank }
}

// Those of tokio-console, in its order, with the program. Where the screen is narrow, those of the lowest rank
// give way.
const TASKS: [Column; 13] = [
    number("Warn", 6),
    text("App", 7),
    number("ID", 12),
    text("State", 9),
    text("Name", 11),
    number("Total", 8),
    number("Busy", 7),
    number("Sched", 3),
    number("Idle", 4),
    number("Polls", 6),
    text("Kind", 2),
    place("Location", 12),
    text("Fields", 5),
];
const RESOURCES: [Column; 10] = [
    text("App", 6),
    number("ID", 12),
    text("Kind", 10),
    text("State", 4),
    text("Name", 11),
    number("Total", 8),
    number("Task", 5),
    number("Waiters", 9),
    text("Inside", 9),
    place("Location", 12),
];
const WAITS: [Column; 8] = [
    text("App", 6),
    number("Task", 12),
    text("Name", 8),
    number("For", 11),
    text("Op", 5),
    text("Resource", 10),
    text("Held up by", 10),
    place("Location", 12),
];
const FINDINGS: [Column; 7] = [
    text("Level", 11),
    text("App", 6),
    number("Score", 3),
    text("Rule", 9),
    place("Location", 12),
    number("Times", 4),
    text("What", 12),
];

/// The columns of a view.
pub(super) const fn columns(view: View) -> &'static [Column] {
    match view {
        View::Tasks => &TASKS,
        View::Resources => &RESOURCES,
        View::Waits => &WAITS,
        View::Findings => &FINDINGS,
    }
}

/// By which column a view is sorted at first: tasks and resources by age, as in tokio-console.
pub(super) const fn first_sort(view: View) -> usize {
    match view {
        View::Tasks | View::Resources => 5,
        View::Waits => 3,
        View::Findings => 0,
    }
}

/// Whether a column's largest values come first unless its order is inverted.
pub(super) fn is_largest_first(view: View, column: usize) -> bool {
    let column = columns(view)[column];
    column.kind == Kind::Number && !matches!(column.title, "ID" | "Task") || column.title == "Level"
}

/// Whether the rows that are fetched are the first of all in this order, and not only in order among
/// themselves.
pub(super) fn is_fetched_in_order(view: View, column: usize, is_descending: bool) -> bool {
    match (view, columns(view)[column].title) {
        (View::Tasks, title) => {
            !matches!(title, "Warn" | "App" | "State" | "Idle" | "Kind" | "Fields")
        }
        (View::Resources, "Total") => true,
        (View::Waits, "For") | (View::Findings, "Level") => is_descending,
        _ => false,
    }
}

/// Whether resources are fetched oldest first: unless the youngest are to be on top.
pub(super) fn is_oldest_first(column: usize, is_descending: bool) -> bool {
    RESOURCES[column].title != "Total" || is_descending
}

/// What the server sorts by, so that the rows that are fetched are the first of all.
pub(super) fn server_sort(column: usize) -> TaskSort {
    match TASKS[column].title {
        "Warn" => TaskSort::MaxPollTime,
        "State" => TaskSort::State,
        "Name" => TaskSort::Name,
        "Busy" => TaskSort::BusyTime,
        "Sched" => TaskSort::ScheduledTime,
        "Polls" => TaskSort::Polls,
        "Location" => TaskSort::Location,
        "Total" | "Idle" => TaskSort::Lifetime,
        _ => TaskSort::Task,
    }
}

/// What opens when a row is entered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Task { process: i64, task: u64, app: String },
    Resource(Box<ResourceLine>),
    Finding(Box<Of<Finding>>),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The same in every answer.
    pub(super) key: String,
    pub(super) target: Option<Target>,
    pub(super) cells: Vec<Cell>,
    values: Vec<Value>,
}

/// What a cell is sorted by.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Value {
    Number(u64),
    Text(String),
    /// Last, in either order.
    Unknown,
}

impl Row {
    /// Its place among others by one column.
    pub(super) fn compare(&self, other: &Self, column: usize, is_descending: bool) -> Ordering {
        match (self.values.get(column), other.values.get(column)) {
            (Some(Value::Unknown), Some(Value::Unknown)) => Ordering::Equal,
            (Some(Value::Unknown), _) => Ordering::Greater,
            (_, Some(Value::Unknown)) => Ordering::Less,
            (one, other) => {
                let order = one.partial_cmp(&other).unwrap_or(Ordering::Equal);
                if is_descending { order.reverse() } else { order }
            }
        }
    }
}

/// Collects the cells of a row.
#[derive(Default)]
struct Cells {
    cells: Vec<Cell>,
    values: Vec<Value>,
}

impl Cells {
    fn text(self, text: &str, tone: Tone) -> Self {
        match text {
            "" => self.push("-".into(), Tone::Dim, Value::Unknown),
            text => self.push(clean(text), tone, Value::Text(text.to_lowercase())),
        }
    }

    fn number(self, value: Option<u64>, text: fn(u64) -> String, tone: Tone) -> Self {
        match value {
            None => self.push("-".into(), Tone::Dim, Value::Unknown),
            Some(value) => self.push(text(value), tone, Value::Number(value)),
        }
    }

    fn push(mut self, text: String, tone: Tone, value: Value) -> Self {
        self.cells.push((text, tone));
        self.values.push(value);
        self
    }

    fn row(self, key: String, target: Option<Target>) -> Row {
        Row { key, target, cells: self.cells, values: self.values }
    }
}

/// The rows of a page, in its order.
pub(super) fn rows(page: &Page) -> Vec<Row> {
    match page {
        Page::Tasks(list) => list.rows.iter().map(task).collect(),
        Page::Resources(list) => list.rows.iter().map(resource).collect(),
        Page::Waits(list) => list.rows.iter().map(wait).collect(),
        Page::Findings(list) => list.rows.iter().map(finding).collect(),
        Page::Task(_) | Page::Resource(..) | Page::Finding(_) => Vec::new(),
    }
}

fn task(task: &TaskLine) -> Row {
    let state = match task.state.as_str() {
        "running" => Tone::Good,
        "scheduled" => Tone::Plain,
        "panicked" | "raised" => Tone::Bad,
        "destroyed" => Tone::Warn,
        _ => Tone::Dim,
    };
    let warnings = task.warnings.len() as u64;
    let cells = match warnings {
        0 => Cells::default().push(String::new(), Tone::Plain, Value::Number(0)),
        n => Cells::default().push(format!("! {n}"), Tone::Warn, Value::Number(n)),
    };
    cells
        .text(&task.app, Tone::Plain)
        .number(Some(task.task), |id| id.to_string(), Tone::Plain)
        .text(&task.state, state)
        .text(task.name.as_deref().unwrap_or_default(), Tone::Plain)
        .number(task.total, duration_text, Tone::Plain)
        .number(task.busy, duration_text, Tone::Plain)
        .number(task.scheduled, duration_text, Tone::Plain)
        .number(task.idle, duration_text, Tone::Plain)
        .number(task.polls, count_text, Tone::Plain)
        .text(&task.kind, Tone::Dim)
        .text(task.location.as_deref().unwrap_or_default(), Tone::Place)
        .text(&task.fields, Tone::Plain)
        .row(
            format!("{}/{}", task.process, task.task),
            Some(Target::Task { process: task.process, task: task.task, app: task.app.clone() }),
        )
}

fn resource(line: &ResourceLine) -> Row {
    let waiters = line.state.as_ref().and_then(|state| state.waiters);
    let waits = if waiters.unwrap_or(0) > 0 { Tone::Warn } else { Tone::Plain };
    let inside = crate::commands::resources::inside(line.state.as_ref());
    Cells::default()
        .text(&line.app, Tone::Plain)
        .number(Some(line.resource), |id| id.to_string(), Tone::Plain)
        .text(&line.kind, Tone::Plain)
        .text(line.how.as_deref().unwrap_or("open"), Tone::Dim)
        .text(&line.name, Tone::Plain)
        .number(Some(line.total), duration_text, Tone::Plain)
        .number(line.task, |id| id.to_string(), Tone::Plain)
        .number(waiters, count_text, waits)
        .text(if inside == "-" { "" } else { &inside }, Tone::Plain)
        .text(line.location.as_deref().unwrap_or_default(), Tone::Place)
        .row(
            format!("{}/{}", line.process, line.resource),
            Some(Target::Resource(Box::new(line.clone()))),
        )
}

fn wait(Of { process, app, it }: &Of<Wait>) -> Row {
    let held_up_by = crate::commands::waits::held_up_by(it);
    let held_up_by = if held_up_by == "-" { "" } else { &held_up_by };
    let resource = it.resource.as_ref().map(ToString::to_string).unwrap_or_default();
    let target =
        it.task.map(|task| Target::Task { process: *process, task: task.0, app: app.clone() });
    Cells::default()
        .text(app, Tone::Plain)
        .number(it.task.map(|task| task.0), |id| id.to_string(), Tone::Plain)
        .text(it.task_name.as_deref().unwrap_or_default(), Tone::Plain)
        .number(Some(it.length), duration_text, Tone::Plain)
        .text(&it.op, Tone::Plain)
        .text(&resource, Tone::Plain)
        .text(held_up_by, if it.cycle { Tone::Bad } else { Tone::Plain })
        .text(it.location.as_deref().unwrap_or_default(), Tone::Place)
        .row(format!("{process}/{}", it.wait), target)
}

/// The colour of a level.
pub(super) const fn level_tone(level: Level) -> Tone {
    match level {
        Level::Info => Tone::Dim,
        Level::Warning => Tone::Warn,
        Level::Error => Tone::Bad,
    }
}

fn finding(of: &Of<Finding>) -> Row {
    let Of { process, app, it } = of;
    // Within a level those that cost most time come first.
    let place = it.level as u64 * 1_000 + u64::from(it.score);
    let title = if it.muted.is_some() { format!("muted: {}", it.title) } else { it.title.clone() };
    Cells::default()
        .push(it.level.as_str().into(), level_tone(it.level), Value::Number(place))
        .text(app, Tone::Plain)
        .number(Some(u64::from(it.score)), count_text, Tone::Plain)
        .text(&it.rule, Tone::Plain)
        .text(it.location.as_deref().unwrap_or_default(), Tone::Place)
        .number(Some(it.occurrences), count_text, Tone::Plain)
        .text(&title, if it.muted.is_some() { Tone::Dim } else { Tone::Plain })
        .row(
            format!("{process}/{}/{}", it.rule, it.subject),
            Some(Target::Finding(Box::new(of.clone()))),
        )
}

/// The texts of a row that regular expressions look at: of tasks name, location and fields. What is not known
/// is no text.
pub(super) fn searched(view: View, row: &Row) -> Vec<&str> {
    let is_searched = |title: &str| match view {
        View::Tasks => matches!(title, "Name" | "Location" | "Fields"),
        _ => true,
    };
    let cells = row.cells.iter().zip(&row.values).zip(columns(view));
    let cells =
        cells.filter(|((_, value), column)| is_searched(column.title) && **value != Value::Unknown);
    cells.map(|(((text, _), _), _)| &**text).collect()
}
